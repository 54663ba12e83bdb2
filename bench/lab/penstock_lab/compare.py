"""compare.py - two result files of one machine: what changed, and whether that is more than chance."""
from . import stats
from .formats import figure, ratio
from .verdict import judge

SAME = ("cpu", "cores", "kernel", "memory_mib")
WORDS = {"better": "better", "worse": "WORSE", "same": "no difference shown", "refused": "no verdict"}


def differences(a, b):
    """Facts about the machine that differ."""
    one, two = a.data["machine"], b.data["machine"]
    return [f"{key}: {one.get(key)} / {two.get(key)}" for key in SAME if one.get(key) != two.get(key)]


def rows(a, b):
    """(device, load, metric, median a, median b, Verdict) for all that both measured."""
    for load in a.loads():
        if load not in b.loads():
            continue
        for device in a.measured(load):
            for metric in a.metrics(load):
                first, second = (one.samples(device, load, metric["name"]) if device in one.devices() else [] for one in (a, b))
                if first and second:
                    yield (device, load, metric, stats.median(first), stats.median(second),
                           judge(first, second, metric["better"], *noises(a, b, device, load, metric["name"])))


def noises(a, b, device, load, metric):
    """Why nothing may be said about either side; costs are told at each run's own pace, so that must be alike."""
    one, two = (results.usual_pace(device, load) for results in (a, b))
    away = max(one, two) / min(one, two) - 1 if one and two else 0.0
    apart = f"the machine's cores were {away:.0%} slower in one of the runs" if away > stats.SLOW_MAX else ""
    return [results.noise(device, load, metric) or apart for results in (a, b)]


def lines(a, b):
    for text in differences(a, b):
        yield f"not the same machine or system: {text}"
    yield f"{'device':18}{'load':15}{'metric':14}{'before':>18}{'after':>18}{'ratio':>7}  verdict"
    count = worse = judged = 0
    for device, load, metric, before, after, verdict in rows(a, b):
        count += 1
        judged += verdict.word != "refused"
        worse += verdict.word == "worse"
        unit = metric["unit"]
        detail = verdict.why if verdict.word == "refused" else f"p {verdict.p:.3f}, {ratio(verdict.low)} to {ratio(verdict.high)}"
        yield (f"{device:18}{load:15}{metric['name']:14}{figure(before, unit):>18}{figure(after, unit):>18}{ratio(verdict.ratio):>7}  "
               f"{WORDS[verdict.word]} ({detail})")
    yield f"{count} compared, {judged} judged, {worse} worse; about {judged * stats.SIGNIFICANT:.1f} of them would differ by chance alone"


def any_worse(a, b):
    return any(verdict.word == "worse" for *_rest, verdict in rows(a, b))
