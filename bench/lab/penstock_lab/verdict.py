"""verdict.py - what may be said about two sets of samples, and about Penstock beside its peers of the same kind.

Model     a Verdict has medians, ratio, p and one word: better, worse, same (no difference shown), or a refusal with why.
Refusals  too much spread, other processes at work, or fewer than stats.ROUNDS_MIN rounds on a side.
"""
import dataclasses

from . import stats


@dataclasses.dataclass(frozen=True)
class Verdict:
    word: str                 # better, worse, same, refused
    ratio: float = None       # median of b / median of a
    low: float = None         # plausible range of the ratio
    high: float = None
    p: float = None
    why: str = ""


def judge(a, b, better="higher", noise_a=None, noise_b=None):
    """Is b better than a? `noise`: why nothing may be said about a side, or empty; None: as its samples tell."""
    if not a or not b:
        return Verdict("refused", why="no figures")
    ratio = stats.median(b) / stats.median(a) if stats.median(a) else None
    for name, samples, noise in (("first", a, noise_a), ("second", b, noise_b)):
        why = stats.noise(list(samples)) if noise is None else noise
        if why:
            return Verdict("refused", ratio, why=f"{name}: {why}")
    if min(len(a), len(b)) < stats.ROUNDS_MIN:
        return Verdict("refused", ratio, why=f"fewer than {stats.ROUNDS_MIN} rounds")
    p = stats.mann_whitney(list(a), list(b))
    low, high = stats.bootstrap_ratio(list(a), list(b))
    if p >= stats.SIGNIFICANT or ratio is None or ratio == 1:
        word = "same"
    else:
        word = "better" if (ratio > 1) == (better == "higher") else "worse"
    return Verdict(word, ratio, low, high, p)


def peers_of(results, load, device):
    """Devices of the same kind that were measured and are not Penstock."""
    kind = results.devices()[device]["kind"]
    return [name for name in results.measured(load)
            if results.devices()[name]["kind"] == kind and not name.startswith("penstock") and results.good(name, load)]


def quietness(results, rows):
    """One sentence about how far this run may be trusted; `rows` of beside_peers()."""
    refused = sum(row["verdict"].word == "refused" for row in rows)
    share, cells = results.foreign_share(), [cell for cell in results.data["cells"] if not cell.get("error")]
    disturbed = sum(bool(results.trouble(cell)) for cell in cells)
    remedy = " End what else runs here; scripts/lab resume RESULTS.json --again plays once more what it disturbed." if share > stats.FOREIGN_MAX else ""
    return (f"Other processes took {share:.0%} of the machine (median of all measurements); {disturbed} of {len(cells)} measurements were disturbed, by "
            f"them or by slow cores, and count only where too few others are there. {refused} of {len(rows)} comparisons got no verdict.{remedy}")


def pairs(rows):
    """[((device, peer, what), [word of every load])] of beside_peers()."""
    found = {}
    for row in rows:
        what = "CPU per operation" if row["metric"].startswith("cost") else "headline"
        found.setdefault((row["device"], row["peer"], what), []).append(row["verdict"].word)
    return sorted(found.items())


def beside_peers(results):
    """Rows {load, device, peer, metric, verdict} for every Penstock device, load and peer of its kind."""
    rows = []
    for load in results.loads():
        for device in results.measured(load):
            if not device.startswith("penstock"):
                continue
            for peer in peers_of(results, load, device):
                costs = [{"name": results.cost_metric(load), "better": "lower"}] * results.tells_cpu(load)
                for metric in (results.headline(load), *costs):
                    a, b = (results.samples(name, load, metric["name"]) for name in (peer, device))
                    noises = [results.noise(name, load, metric["name"]) if samples else "" for name, samples in ((peer, a), (device, b))]
                    rows.append({"load": load, "device": device, "peer": peer, "metric": metric["name"],
                                 "verdict": judge(a, b, metric["better"], *noises)})
    return rows
