"""made_up.py - a run of every device and load with invented figures, for tests of what is written about one. Nothing is measured."""
import random

from . import bars, duts, loads, parts, plan, profile, runner, scaling
from .results import Results

PARTS = ("client", "servers", "device_process", "kernel_threads", "uncharged")
SCALES = {"%": 10, "% of a core": 1, "us": 400, "ms": 3}


def cpu_of(source, operations, cost):
    shares = [source.uniform(0.5, 1.5) for _part in PARTS]
    used = {name: cost * operations * share / sum(shares) for name, share in zip(PARTS, shares)}
    return {"seconds": 2.0, "cores": 2, "busy": cost * operations, "ours": cost * operations, "foreign": 0.01, "lab": 0.01, "softirq": 0.3,
            "device": 0.6 * cost * operations, **used}


def values_of(source, load, size):
    found = {metric.name: size * source.uniform(0.95, 1.05) * SCALES.get(metric.unit, 12000) for metric in load.metrics}
    found.update({name: found["p50"] * times for name, times in (("p90", 2), ("p99", 9)) if name in found})
    return {"operations": 24000, "errors": 0, "frames": 8.0, **found}


def run(rounds=2, seed=1):
    """Results: every figure is there; one cell has failed, one target has a profile. Two rounds: verdicts are refused, which takes no time."""
    source = random.Random(seed)
    devices, chosen = [duts.make(name) for name in duts.ALL], list(loads.ALL.values())
    data = runner.fresh("full", devices, chosen, rounds, 2, 9000, profile.PROFILES_MAX, {"client": {0}, "servers": {0}, "device": {1}})
    for index, device in enumerate(devices):
        for turn in range(rounds):
            data["idle"].append({"device": device.name, "round": turn, "device_percent": 100.0 if device.polls else 0.1 + index / 20})
            for load in plan.loads_for(device, chosen):
                size = (1 + index / 9) * (load.curve[1] + 1 if load.curve else 1) ** -0.3
                cell = {"device": device.name, "load": load.name, "round": turn, "cpu": {}, "values": {}, "error": "LoadError: why"}
                if (device.name, load.name) != ("sidecar", "flood"):
                    cost = (2 + index % 7 * source.uniform(0.97, 1.03)) * 1e-5
                    cell.update(cpu=cpu_of(source, 24000, cost), values=values_of(source, load, size), error=None)
                data["cells"].append(cell)
    data["plan"].update(rounds_done=rounds, took_seconds=9000.0, finished=True)
    data["profiles"] = [{"device": "penstock-fullnat", "load": "keepalive", "how": "made up", "shares": {"own": 30.0, "ends": 45.0, "kernel": 25.0},
                         "symbols": [(f"penstock::symbol_{index}(unsigned long)", 9.0 - index) for index in range(profile.SYMBOLS_MAX // 2)]}]
    for bar in bars.BARS:
        one = data["parts"].setdefault(bar.program, {"bars": {}, "profiles": {}})
        one["bars"][bar.case] = [bar.limit * times for times in (0.9, 0.95, 0.97)]
    data["parts"][parts.SCALING] = {case: {"1": [9e6, 9.1e6], "2": [18e6, 18.3e6]} for case in scaling.CASES}
    return Results(data)
