"""machine.py - what machine this is, as far as it matters for reading the figures."""
import os
import pathlib
import platform
import re
import shutil
import subprocess

from . import ROOT

TOOLS = {"haproxy": ("haproxy", "-v"), "nginx": ("nginx", "-v"), "wrk": ("wrk", "-v"), "iperf3": ("iperf3", "--version"),
         "h2load": ("h2load", "--version"), "perf": ("perf", "--version"),
         "nft": ("nft", "--version"), "testpmd": ("dpkg-query", "-W", "-f", "${Version}", "dpdk-dev")}


def first_line(*command):
    if shutil.which(command[0]) is None:
        return None
    done = subprocess.run(command, capture_output=True, text=True, timeout=10)
    return (done.stdout + done.stderr).strip().split("\n")[0][:120] or None


def read(path, default=""):
    try:
        return pathlib.Path(path).read_text()
    except OSError:
        return default


def cpu_model(cpuinfo):
    found = re.search(r"model name\s*:\s*(.*)", cpuinfo)
    return found.group(1).strip() if found else platform.machine()


def numa_nodes():
    return len(list(pathlib.Path("/sys/devices/system/node").glob("node[0-9]*"))) or 1


def vulnerabilities():
    """Mitigations that cost time per system call."""
    top = pathlib.Path("/sys/devices/system/cpu/vulnerabilities")
    return {path.name: path.read_text().strip()[:100] for path in sorted(top.glob("*"))
            if "Mitigation" in path.read_text()} if top.exists() else {}


def git(*words):
    """What git prints, of a clone that may belong to somebody else than root."""
    if shutil.which("git") is None:
        return ""
    return subprocess.run(["git", "-c", "safe.directory=*", "-C", str(ROOT), *words], capture_output=True, text=True).stdout.strip()


def commit():
    return (git("rev-parse", "--short", "HEAD") or "unknown") + ("+changes" if git("status", "--porcelain", "--untracked-files=no") else "")


def describe():
    cpuinfo = read("/proc/cpuinfo")
    meminfo = re.search(r"MemTotal:\s+(\d+)", read("/proc/meminfo"))
    governor = read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor").strip()
    siblings = {read(path).strip() for path in pathlib.Path("/sys/devices/system/cpu").glob(
        "cpu[0-9]*/topology/thread_siblings_list")}
    return {"cpu": cpu_model(cpuinfo), "cores": os.cpu_count(), "physical_cores": len(siblings) or None,
            "numa_nodes": numa_nodes(), "virtual": "hypervisor" in cpuinfo, "governor": governor or None,
            "memory_mib": int(meminfo.group(1)) // 1024 if meminfo else None, "kernel": platform.release(),
            "system": next((line.split("=", 1)[1].strip('"') for line in read("/etc/os-release").splitlines()
                            if line.startswith("PRETTY_NAME=")), None),
            "mitigations": vulnerabilities(), "commit": commit(),
            "tools": {name: first_line(*command) for name, command in TOOLS.items()}}
