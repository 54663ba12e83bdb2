"""profile.py - where the device's process spends its time under a load, by perf's clock samples (no hardware counters needed).

Model     after the rounds, one more turn per Penstock device: the load runs, perf samples the device's process beside it.
Errors    none that end a run: without perf, or without its permission, there is no profile and the page has no such section.
"""
import re
import shutil

from .procs import LoadError

FREQUENCY = 997
SYMBOLS_MAX = 18


def available():
    return shutil.which("perf") is not None


def parse(text):
    """[(symbol, percent)] from perf report --stdio --sort symbol."""
    rows = re.findall(r"^\s+([\d.]+)%\s+\[(.)\]\s+(.+?)(?:\s+-)*\s*$", text, re.M)
    return [(f"{name}{' (kernel)' if space == 'k' else ''}", float(share)) for share, space, name in rows][:SYMBOLS_MAX]


def take(bed, device, load, seconds):
    """{"device", "load", "how", "symbols"} of one run of `load`."""
    data = bed.lab.directory / "perf.data"
    words = ["perf", "record", "-q", "-e", "cpu-clock", "-F", FREQUENCY, "-p", device.pid(), "-o", data, "--", "sleep", seconds]
    recorder = bed.start("lab", bed.lab.node, *words)
    load.run(bed, device, seconds + 0.5)
    bed.lab.end(recorder)
    if not data.exists():
        raise LoadError("perf recorded nothing")
    text = bed.run("lab", bed.lab.node, "perf", "report", "--stdio", "-q", "-F", "overhead,sym", "--percent-limit", "0.7", "-i", data,
                   timeout=60)
    return {"device": device.name, "load": load.name, "symbols": parse(text),
            "how": f"perf record -e cpu-clock -F {FREQUENCY} of its process, {seconds:g} s, with what the kernel did on its behalf and in "
                   "softirqs that interrupted it"}
