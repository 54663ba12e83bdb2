"""profile.py - where the device's process spends its time under a load, by perf's clock samples (no hardware counters needed).

Model     after the rounds, one more turn for every place where a target was missed: the load runs, or nothing does, and perf
          samples the device's process beside it.
Errors    none that end a run: without perf, or without its permission, the page says so in the profile's place.
"""
import re
import shutil
import time

from .procs import LoadError
from .targets import IDLE

FREQUENCY = 997
SECONDS = 3
SYMBOLS_MAX = 18
ENDS = ("tcp_", "__tcp_", "inet_", "__inet_", "sock_", "__sk_", "sk_", "ip_", "__ip_", "nf_", "nft_")  # kernel functions of connections' ends
PROFILES_MAX = 12

__all__ = ["IDLE", "PROFILES_MAX", "parse", "take"]


def parse(text):
    """[(symbol, percent)] from perf report --stdio --sort symbol."""
    rows = re.findall(r"^\s+([\d.]+)%\s+\[(.)\]\s+(.+?)(?:\s+-)*\s*$", text, re.M)
    return [(f"{name}{' (kernel)' if space == 'k' else ''}", float(share)) for share, space, name in rows]


def shares(symbols):
    """{what: percent}. The device's own process never uses the kernel's TCP: what of it is sampled there belongs to client and servers,
    whose kernel receives on the core of whoever sends."""
    found = {"own": 0.0, "ends": 0.0, "kernel": 0.0}
    for name, share in symbols:
        what = "own" if not name.endswith(" (kernel)") else "ends" if name.startswith(ENDS) else "kernel"
        found[what] += share
    return found


def said(found):
    """One sentence about shares()."""
    return (f"{found['own']:.0f} % in Penstock and DPDK, {found['ends']:.0f} % in the TCP of client and servers, whose kernel receives on the core "
            f"of whoever sends, {found['kernel']:.0f} % in the rest of the kernel: AF_XDP, veth, system calls, wake-ups")


def take(bed, device, load):
    """{"device", "load", "how", "symbols"} of one run of `load`; None: of nothing."""
    if shutil.which("perf") is None:
        raise LoadError("perf is missing: package linux-perf")
    data = bed.lab.directory / "perf.data"
    if load:
        if device.offloads is None:
            bed.use_offloads(load.offloads)
        load.prepare(bed, device)
    words = ["perf", "record", "-q", "-e", "cpu-clock", "-F", FREQUENCY, "-p", device.pid(), "-o", data, "--", "sleep", SECONDS]
    recorder = bed.start("lab", bed.lab.node, *words)
    if load:
        load.run(bed, device, SECONDS + 0.5)
    else:
        time.sleep(SECONDS + 0.5)
    bed.lab.end(recorder)
    if not data.exists():
        raise LoadError("perf recorded nothing")
    text = bed.run("lab", bed.lab.node, "perf", "report", "--stdio", "-q", "-F", "overhead,sym", "-i", data,
                   timeout=60)
    symbols = parse(text)
    return {"device": device.name, "load": load.name if load else IDLE, "symbols": symbols[:SYMBOLS_MAX], "shares": shares(symbols),
            "how": f"perf record -e cpu-clock -F {FREQUENCY} of its process, {SECONDS} s, with what the kernel did on its behalf and in "
                   "softirqs that interrupted it"}
