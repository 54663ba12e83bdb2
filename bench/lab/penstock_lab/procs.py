"""procs.py - processes of the four parties: each in its cgroup, on its cores, in its namespace, and surely ended.

Model     Groups makes one cgroup (v2) per party below psk-lab-<pid>; a child enters it before it executes, so that its
          own children are counted as well. The lab's own process is a party too. A group beside them holds what keeps
          cores awake: processes that run only where nothing else would (SCHED_IDLE, cpu.idle).
Cores     client and servers share the first cores, the device has cores of its own: cores_for().
Errors    a load that does not end in time is killed and raises LoadError; the runner records it and goes on.
"""
import os
import pathlib
import resource
import subprocess

from .cpu import AWAKE, PARTIES, parse_cpu_stat


class LoadError(Exception):
    """A measurement that gave no figure; the text says why."""


def cores_for(available, device_cores=1):
    """{"client": {..}, "servers": {..}, "device": {..}, "lab": {..}} out of the cores that this process may use."""
    cores = sorted(available)
    if len(cores) < 1 + device_cores:
        return {party: set(cores) for party in PARTIES}
    device = set(cores[-device_cores:])
    rest = cores[:-device_cores]
    servers = {rest[-1]} if len(rest) > 1 else set(rest)
    client = set(rest) - servers or set(rest)
    return {"client": client, "servers": servers, "device": device, "lab": client}


def cgroup2_mount(mounts):
    """Where the cgroup v2 tree is mounted, from the text of /proc/mounts; None without."""
    for line in mounts.splitlines():
        words = line.split()
        if len(words) > 2 and words[2] == "cgroup2":
            return pathlib.Path(words[1])
    return None


class Groups:
    """The parties' cgroups. close() after their processes ended."""

    def __init__(self):
        mount = cgroup2_mount(pathlib.Path("/proc/mounts").read_text())
        if mount is None:
            raise LoadError("no cgroup v2 tree is mounted; the lab counts CPU time by it")
        self.top = mount / f"psk-lab-{os.getpid()}"
        self.home = mount / pathlib.Path("/proc/self/cgroup").read_text().split("0::/", 1)[1].split("\n")[0]
        self.places = {**{party: self.top / party for party in PARTIES}, AWAKE: mount / f"{self.top.name}-{AWAKE}"}
        for place in self.places.values():
            place.mkdir(parents=True, exist_ok=True)
        idle = self.places[AWAKE] / "cpu.idle"
        if idle.exists():
            idle.write_text("1")  # where groups share out CPU time, a process's own policy counts inside its group only
        (self.places["lab"] / "cgroup.procs").write_text("0")

    def enter(self, party):
        """For the calling process."""
        (self.places[party] / "cgroup.procs").write_text("0")

    def seconds(self, party):
        return parse_cpu_stat((self.places[party] / "cpu.stat").read_text())

    def pids(self, *parties):
        """Processes of these parties, or of all."""
        return {int(pid) for party in parties or self.places for pid in (self.places[party] / "cgroup.procs").read_text().split()}

    def close(self):
        (self.home / "cgroup.procs").write_text("0")
        for place in self.places.values():
            try:
                place.rmdir()
            except OSError:
                return  # something of ours still runs; its namespace's end will kill it
        self.top.rmdir()


class Parties:
    """Starts and runs commands as one of the parties."""

    def __init__(self, groups, cores, open_files=65536):
        self.groups, self.cores = groups, cores
        self.open_files = min(open_files, resource.getrlimit(resource.RLIMIT_NOFILE)[1])

    def connections_max(self):
        """Proxied connections that one process may hold: two descriptors each."""
        return min(12000, (self.open_files - 400) // 2)

    def entering(self, party, cores=None):
        """What a child does between fork and exec."""
        def enter():
            self.groups.enter(party)
            os.sched_setaffinity(0, cores or self.cores[party])
            if party == AWAKE:
                os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
            resource.setrlimit(resource.RLIMIT_NOFILE, (self.open_files, self.open_files))
        return enter

    def start(self, lab, party, space, *command, log=None, stdin=None, cores=None):
        """A child in a namespace, ended at the latest by the lab's close()."""
        output = open(log, "ab") if log else subprocess.DEVNULL
        try:
            child = subprocess.Popen(space.command(*command), stdin=stdin or subprocess.DEVNULL, stdout=output,
                                     stderr=subprocess.STDOUT, start_new_session=True, preexec_fn=self.entering(party, cores))
        finally:
            if log:
                output.close()
        lab.children.append(child)
        return child

    def run(self, party, space, *command, timeout):
        """Its output; LoadError when it fails or does not end."""
        words = space.command(*command)
        child = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                 preexec_fn=self.entering(party))
        name = f"{command[0]}"
        try:
            out, err = child.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            child.kill()
            child.communicate()
            raise LoadError(f"{name} did not end within {timeout:.0f} s") from None
        if child.returncode != 0:
            raise LoadError(f"{name}: exit {child.returncode}: {(err or out).strip()[-300:]}")
        return out
