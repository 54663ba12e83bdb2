"""awake.py - no core halts while a load runs: on a virtual machine the hypervisor wakes who halted, in its own time.

Model     POLLING   idle cores poll for work: PM QoS's request for no wake-up latency (/dev/cpu_dma_latency), as long as it is held. Needs an
                    idle driver of the kernel (cpuidle). Costs no process anything, and is not counted as busy
          SPINNING  without such a driver: on every core a process spins that gives way to all others (SCHED_IDLE). Waking somebody on
                    another core then takes an interrupt, and softirqs that hit the spinner are charged to it
Not here  the spinners' cgroup (procs.py) and their start (topology.py)
"""
import contextlib
import pathlib
import struct

POLLING, SPINNING = "idle cores poll", "spinning processes of the lowest class"
DRIVER = pathlib.Path("/sys/devices/system/cpu/cpuidle/current_driver")
LATENCY = pathlib.Path("/dev/cpu_dma_latency")


def can_poll(driver=DRIVER, latency=LATENCY):
    """Has the kernel an idle driver that would heed the request?"""
    return latency.exists() and driver.exists() and driver.read_text().strip() not in ("", "none")


@contextlib.contextmanager
def polling(latency=LATENCY):
    """Idle cores poll meanwhile."""
    with open(latency, "r+b", buffering=0) as held:
        held.write(struct.pack("i", 0))
        yield
