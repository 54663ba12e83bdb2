"""parts.py - the part of a run that needs no network: single parts beside what peers take (bars.py), and workers beside one another
(scaling.py). One step per bench program, so that a sitting may end between two.

Shape     data["parts"] = {program: {"bars": {case: [seconds]}, "profiles": {case: [(symbol, percent)]}}, "scaling": {case: {workers: [packets/s]}}}
"""
import json
import os
import pathlib
import shutil
import subprocess
import tempfile

from . import ROOT, bars, profile, scaling

PROCESSES = 5
SCALING, SCALING_PROGRAM, SCALING_ROUNDS = "scaling", "worker_bench", 3
STEP_SECONDS = 45.0  # worker_bench and scaling; the others take a quarter
SYMBOLS = 6


def programs():
    return sorted({bar.program for bar in bars.BARS} | {SCALING_PROGRAM})


def steps():
    return [*sorted({bar.program for bar in bars.BARS}), SCALING]


def place_of(name):
    """The built program."""
    top = pathlib.Path(os.environ.get("PENSTOCK_BUILD", ROOT / "build" / "release"))
    for path in top.rglob(name):
        if path.is_file() and os.access(path, os.X_OK):
            return path
    raise FileNotFoundError(f"{name} is not built in {top}; scripts/dev build {name}")


def run(name, *options):
    """The JSON report of one process."""
    done = subprocess.run([place_of(name), "--benchmark_format=json", *options], cwd=ROOT, check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def one_process(program):
    """{bar: its figure} of one process of a bench program."""
    if program == bars.STEER:
        values = bars.steer_values(subprocess.run([place_of(program)], check=True, capture_output=True, text=True).stdout)
        return {bar: values[bar.case] for bar in bars.BARS if bar.program == program}
    report = run(program, f"--benchmark_filter={bars.cases(program)}", "--benchmark_min_time=0.1")
    return {bar: bars.value_of(report, bar) for bar in bars.BARS if bar.program == program}


def symbols(bar):
    """[(symbol, percent)]: where the time of a bar goes, by perf's clock samples of its bench; nothing without perf."""
    if shutil.which("perf") is None:
        return []
    with tempfile.TemporaryDirectory() as folder:
        data = pathlib.Path(folder, "perf.data")
        subprocess.run(["perf", "record", "-q", "-e", "cpu-clock", "-F", str(profile.FREQUENCY), "-o", data, "--", place_of(bar.program),
                        *(() if bar.program == bars.STEER else (f"--benchmark_filter=^{bar.case}$", "--benchmark_min_time=1"))], cwd=ROOT, check=True, capture_output=True)
        text = subprocess.run(["perf", "report", "--stdio", "-q", "-F", "overhead,sym", "--percent-limit", "3", "-i", data], check=True,
                              capture_output=True, text=True).stdout
    return profile.parse(text)[:SYMBOLS]


def measure(step):
    """What data["parts"][step] will be."""
    if step == SCALING:
        found = scaling.measure(place_of(SCALING_PROGRAM), rounds=SCALING_ROUNDS)
        return {case: {str(count): sums for count, sums in counts.items()} for case, counts in found.items()}
    samples = {}
    for _process in range(PROCESSES):
        for bar, value in one_process(step).items():
            samples.setdefault(bar, []).append(value)
    missed = [bar for bar, values in samples.items() if bars.judge(bar, values)[0] == "missed" and bar.unit == "s"]
    return {"bars": {bar.case: values for bar, values in samples.items()}, "profiles": {bar.case: symbols(bar) for bar in missed}}


def rows(data):
    """(bar, samples, word, why, profile) of every bar that this run measured."""
    for bar in bars.BARS:
        samples = data.get("parts", {}).get(bar.program, {}).get("bars", {}).get(bar.case)
        if samples:
            word, why = bars.judge(bar, samples)
            yield bar, samples, word, why or bar.why, data["parts"][bar.program]["profiles"].get(bar.case, [])
