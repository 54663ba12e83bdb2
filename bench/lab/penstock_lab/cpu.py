"""cpu.py - where the machine's CPU time went between two looks.

Model     machine   all cores, from /proc/stat: everything that is neither idle nor stolen, whoever is charged for it
          parties   client, device, servers, lab: one cgroup (v2) each, from its cpu.stat
          awake     what keeps cores from halting under some loads (procs.py); no part of anything else
          kernel    kernel threads (ksoftirqd, napi, kworker), from /proc/PID/schedstat
          foreign   every other process, from /proc/PID/stat; children that ended count with the parent that reaped them
          uncharged what is left: interrupts and softirqs that ran while a core was idle
          device    machine minus client, servers, lab and foreign; ours: machine minus lab and foreign
          pace      how fast the cores were that were busy (pace.py), where that is known
Units     seconds
Limits    /proc/stat is sampled by the timer tick (10 ms or 4 ms); over 2 s on two cores that is half a percent. Softirq work
          that interrupts a process is charged to that process: on veth the sender pays for what receives. So `ours`, less
          the same of a run without a device (results.py: cost_added), is what a device really costs.
Not here  the cgroups' making (procs.py)
"""
import os
import pathlib

from . import pace as paces

TICK = os.sysconf("SC_CLK_TCK")
PARTIES = ("client", "device", "servers", "lab")
AWAKE = "awake"


def parse_stat(text):
    """{"busy": s, "softirq": s, "idle": s, "steal": s} over all cores, from /proc/stat."""
    user, nice, system, idle, iowait, irq, softirq, steal = map(int, text.split("\n", 1)[0].split()[1:9])
    return {"busy": (user + nice + system + irq + softirq) / TICK, "softirq": (irq + softirq) / TICK,
            "idle": (idle + iowait) / TICK, "steal": steal / TICK}


def parse_busy(text):
    """{core: busy s}, from /proc/stat."""
    rows = (line.split() for line in text.splitlines() if line.startswith("cpu") and not line.startswith("cpu "))
    return {int(row[0][3:]): (sum(map(int, row[1:4])) + sum(map(int, row[6:8]))) / TICK for row in rows}


def parse_cpu_stat(text):
    """Seconds used, from a cgroup's cpu.stat."""
    return int(dict(line.split() for line in text.splitlines())["usage_usec"]) / 1e6


def parse_process_stat(text):
    """(parent, seconds of it and of the children it reaped), from /proc/PID/stat."""
    fields = text.rsplit(")", 1)[1].split()
    return int(fields[1]), sum(map(int, fields[11:15])) / TICK


def processes(ours):
    """({pid: seconds} of kernel threads, {pid: seconds} of other processes outside `ours`)."""
    kernel, foreign = {}, {}
    for name in os.listdir("/proc"):
        if not name.isdigit() or int(name) in ours:
            continue
        try:
            parent, seconds = parse_process_stat(pathlib.Path("/proc", name, "stat").read_text())
            if parent == 2 or name == "2":
                kernel[int(name)] = int(pathlib.Path("/proc", name, "schedstat").read_text().split()[0]) / 1e9
            else:
                foreign[int(name)] = seconds
        except (OSError, IndexError, ValueError):
            continue  # it ended meanwhile
    return kernel, foreign


def grown(before, after):
    """What all together used in between. A process that ended is part of its parent's figure, with its past: so the
    difference of sums is right, and the sum of differences is not."""
    return max(0.0, sum(after.values()) - sum(before.values()))


def split(machine, parties, kernel, foreign, seconds, cores):
    """The figures of one interval from differences."""
    awake = parties.get(AWAKE, 0.0)
    busy = max(0.0, machine["busy"] - awake)
    ends = parties["client"] + parties["servers"] + parties["lab"]
    charged = ends + parties["device"] + kernel + foreign
    return {"seconds": seconds, "cores": cores, "busy": busy, "softirq": machine["softirq"], "steal": machine["steal"],
            "client": parties["client"], "servers": parties["servers"], "device_process": parties["device"],
            "lab": parties["lab"], "awake": awake, "kernel_threads": kernel, "foreign": foreign,
            "uncharged": max(0.0, busy - charged), "device": max(parties["device"], busy - ends - foreign),
            "ours": max(0.0, busy - foreign - parties["lab"])}


class Meter:
    """CPU between its making and since(). `groups` are procs.Groups."""

    def __init__(self, groups, clock, pace=None):
        self.groups, self.clock, self.pace = groups, clock, pace
        self.first = self._look()

    def _look(self):
        ours = self.groups.pids()
        kernel, foreign = processes(ours)
        stat = pathlib.Path("/proc/stat").read_text()
        return {"at": self.clock(), "machine": parse_stat(stat), "busy": parse_busy(stat), "pace": self.pace.look() if self.pace else {},
                "parties": {name: self.groups.seconds(name) for name in (*PARTIES, AWAKE)}, "kernel": kernel, "foreign": foreign}

    def since(self):
        now, then = self._look(), self.first
        machine = {name: now["machine"][name] - then["machine"][name] for name in now["machine"]}
        parties = {name: now["parties"][name] - then["parties"][name] for name in now["parties"]}
        found = split(machine, parties, grown(then["kernel"], now["kernel"]), grown(then["foreign"], now["foreign"]),
                      now["at"] - then["at"], os.cpu_count())
        busy = {core: seconds - then["busy"].get(core, 0.0) for core, seconds in now["busy"].items()}
        return {**found, "pace": paces.between(then["pace"], now["pace"], busy)}
