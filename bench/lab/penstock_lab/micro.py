"""micro.py - Google Benchmark runs kept for later, and compared: one sample per process, not per repetition.

Model     a record is {"format", "machine", "commit", "created", "rows": {"program/bench": {"unit", "samples": [...]}}}. A sample
          is the median CPU time of one process's repetitions: repetitions of one process share its memory layout and
          are no independent draws.
Verdict   worse or better: Mann-Whitney p below 5 % and the median moved by more than MOVED_MIN.
Refusals  another machine (CPU, number of cores); fewer than stats.ROUNDS_MIN processes; spread above stats.SPREAD_MAX.
"""
import datetime
import json
import os
import pathlib
import re
import statistics

from . import stats

FORMAT = 1
MOVED_MIN = 0.03  # smaller moves come from code alignment as well as from code
SAME = ("cpu", "cores")
UNIT_SECONDS = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0}


def machine(cpuinfo=None):
    text = cpuinfo if cpuinfo is not None else pathlib.Path("/proc/cpuinfo").read_text()
    model = re.search(r"model name\s*:\s*(.*)", text)
    return {"cpu": model.group(1).strip() if model else "unknown", "cores": os.cpu_count(), "kernel": os.uname().release}


def samples_of(report):
    """{bench: median CPU seconds} of one process's JSON report."""
    found = {}
    for item in report["benchmarks"]:
        if item.get("run_type") == "iteration" and not item.get("error_occurred"):
            found.setdefault(item["run_name"], []).append(item["cpu_time"] * UNIT_SECONDS[item["time_unit"]])
    return {name: statistics.median(times) for name, times in found.items()}


def add(record, program, report):
    """One more process of `program`."""
    for name, seconds in samples_of(report).items():
        record["rows"].setdefault(f"{program}/{name}", []).append(seconds)


def empty(commit):
    return {"format": FORMAT, "machine": machine(), "commit": commit,
            "created": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"), "rows": {}}


def read(path):
    try:
        record = json.loads(pathlib.Path(path).read_text())
    except (OSError, json.JSONDecodeError) as error:
        raise ValueError(f"{path}: {error}") from None
    if record.get("format") != FORMAT:
        raise ValueError(f"{path}: format {record.get('format')}, this program reads {FORMAT}")
    return record


def write(record, path):
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record, indent=1))


def differences(a, b):
    return [f"{key}: {a['machine'].get(key)} / {b['machine'].get(key)}" for key in SAME
            if a["machine"].get(key) != b["machine"].get(key)]


def judge(before, after):
    """(word, ratio, p or why): slower, faster, same, refused."""
    ratio = statistics.median(after) / statistics.median(before) if statistics.median(before) else None
    if min(len(before), len(after)) < stats.ROUNDS_MIN:
        return "refused", ratio, f"fewer than {stats.ROUNDS_MIN} processes"
    for name, samples in (("before", before), ("after", after)):
        if stats.spread(samples) > stats.SPREAD_MAX:
            return "refused", ratio, f"{name}: spread {stats.spread(samples):.0%}"
    p = stats.mann_whitney(before, after)
    if p >= stats.SIGNIFICANT or ratio is None or abs(ratio - 1) <= MOVED_MIN:
        return "same", ratio, p
    return ("slower" if ratio > 1 else "faster"), ratio, p


def compare(a, b):
    """Rows (name, before, after, word, ratio, detail), and names that only one has."""
    rows = [(name, statistics.median(a["rows"][name]), statistics.median(b["rows"][name]), *judge(a["rows"][name], b["rows"][name]))
            for name in a["rows"] if name in b["rows"]]
    return rows, sorted(set(a["rows"]) ^ set(b["rows"]))
