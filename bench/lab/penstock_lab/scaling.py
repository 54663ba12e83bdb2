"""scaling.py - what more cores would give: one measured thing, and arithmetic that says what it assumes.

Measured  `worker_bench`, one process per core at once: workers share nothing but caches and memory, so the sum over the
          processes, against as many times one alone, is how far the machine itself lets them scale. No device is in it.
Model     packets/s = cores / (worker ns + device ns + handed-over share x hand-off ns) / imbalance, capped by the line.
          Imbalance: hash of flows over queues, and a table of entries that may not divide evenly. Share: what the card's
          hash brings to a queue that is not the flow's owner's, (cores - 1) / cores where the two know nothing of each other.
Units     ns per packet, Mpps, Gbit/s
Not here  NUMA, PCIe, a real card: docs/architecture/scaling.md says so
"""
import concurrent.futures
import json
import math
import os
import statistics
import subprocess

LINE_OVERHEAD = 20  # preamble and gap, octets
WORKERS_MAX = 16    # PENSTOCK_WORKER_MAX: what one node can be told today
CASES = ("Established/udp4/1000", "Established/udp4/1000000")


def line_rate_mpps(gbit, frame_octets):
    """Frames per second of a line, frame with its checksum."""
    return gbit * 1e3 / (8 * (frame_octets + LINE_OVERHEAD))


def hash_imbalance(flows, queues):
    """Load of the fullest queue over the mean, `flows` equal flows hashed at random (first-order, for flows >> queues)."""
    return 1.0 if queues == 1 else 1 + math.sqrt(2 * math.log(queues) * queues / flows)


def table_imbalance(entries, queues):
    """Load of the fullest queue when an indirection table of `entries` is dealt out to `queues`."""
    return math.ceil(entries / queues) * queues / entries


def predicted_mpps(cores, worker_ns, device_ns, flows=1_000_000, entries=128, handoff_ns=0):
    imbalance = hash_imbalance(flows, cores) * table_imbalance(entries, cores)
    return cores * 1e3 / (worker_ns + device_ns + handoff_ns * (1 - 1 / cores)) / imbalance


def cores_for_line(gbit, frame_octets, worker_ns, device_ns, most=256, **options):
    """The first number of cores whose prediction fills the line, or None."""
    line = line_rate_mpps(gbit, frame_octets)
    return next((cores for cores in range(1, most + 1)
                 if predicted_mpps(cores, worker_ns, device_ns, **options) >= line), None)


def counts_of(cores):
    """1, 2, 4, ... and all of them."""
    return sorted({2 ** power for power in range(cores.bit_length()) if 2 ** power <= cores} | {cores})


def rate_of(report, case):
    """Packets per second of the medians in a JSON report of worker_bench."""
    rates = [row["items_per_second"] for row in report["benchmarks"]
             if row.get("run_type") == "iteration" and row["run_name"] == case]
    return statistics.median(rates)


def run_one(program, case, core):
    words = ["taskset", "-c", str(core), program, f"--benchmark_filter=^{case}$", "--benchmark_format=json",
             "--benchmark_repetitions=3", "--benchmark_min_time=0.3"]
    return rate_of(json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout), case)


def measure(program, cores=None, rounds=3):
    """{case: {workers: [sum of packets/s per round]}}"""
    cores = cores or sorted(os.sched_getaffinity(0))
    found = {case: {count: [] for count in counts_of(len(cores))} for case in CASES}
    for _round in range(rounds):
        for case in CASES:
            for count in found[case]:
                with concurrent.futures.ThreadPoolExecutor(count) as pool:
                    rates = list(pool.map(lambda core: run_one(program, case, core), cores[:count]))
                found[case][count].append(sum(rates))
    return found


def lines_of_measured(found):
    yield f"{'worker_bench, no device':28}{'workers':>8}{'Mpps in all':>13}{'range':>17}{'times one':>11}"
    for case, counts in found.items():
        one = statistics.median(counts[min(counts)])
        for count, sums in counts.items():
            middle = statistics.median(sums)
            yield (f"{case:28}{count:>8}{middle / 1e6:>13.1f}{f'{min(sums) / 1e6:.1f} - {max(sums) / 1e6:.1f}':>17}"
                   f"{middle / one:>11.2f}")


def lines_of_model(worker_ns, device_ns, flows, entries, gbit=100, handoff_ns=0):
    yield (f"model: worker {worker_ns:g} ns, device {device_ns:g} ns, hand-off {handoff_ns:g} ns, {flows:,} flows, table of {entries} entries; "
           f"{gbit} Gbit/s carries {line_rate_mpps(gbit, 64):.1f} Mpps of 64 and {line_rate_mpps(gbit, 1518):.2f} of 1,518 octets")
    yield f"{'cores':>6}{'fullest queue':>15}{'Mpps':>9}{'of 64-octet line':>18}"
    for cores in (1, 2, 8, 16, 32, 48, 64):
        rate = predicted_mpps(cores, worker_ns, device_ns, flows, entries, handoff_ns)
        imbalance = hash_imbalance(flows, cores) * table_imbalance(entries, cores)
        yield (f"{cores:>6}{imbalance:>15.2f}{rate:>9.1f}{min(1.0, rate / line_rate_mpps(gbit, 64)):>18.0%}"
               + (f"   more than the {WORKERS_MAX} workers a node has today" if cores > WORKERS_MAX else ""))
    for frame in (64, 256, 1518):
        need = cores_for_line(gbit, frame, worker_ns, device_ns, flows=flows, entries=entries, handoff_ns=handoff_ns)
        yield f"cores for a full line of {frame} octets: {need or 'never'}"
