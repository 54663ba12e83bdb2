"""summary.py - the same in a terminal: one table per load, then verdicts and targets."""
from . import parts, stats
from .formats import bare, percent, ratio, seconds
from .profile import said
from .targets import check_targets
from .verdict import beside_peers, pairs, quietness

ROWS_MAX = 60  # beyond, loads are counted per pair of devices; the page lists all
WORDS = {"same": "no difference shown", "refused": "no verdict"}


def load_lines(results, load):
    head = results.headline(load)
    yield f"{load}: {results.loads()[load]['title']}"
    title = head["name"] if head["unit"] in ("s", "us") else head["unit"]
    yield f"  {'device':18}{title:>22}{'range':>10}{'p50':>11}{'p99':>11}{'CPU machine':>13}{'CPU added':>13}{'CPU device':>13}  quality"
    for name in results.measured(load):
        samples = results.samples(name, load, head["name"])
        if not samples:
            yield f"  {name:18}{'-':>22}  failed: {results.errors(name, load)[0][:90]}"
            continue
        why = results.noise(name, load, head["name"])
        cells = [bare(stats.median(samples), head["unit"]).rjust(22), f"{stats.spread(samples):.0%}".rjust(10)]
        for metric in ("p50", "p99"):
            found = results.samples(name, load, metric)
            cells.append((seconds(stats.median(found) / 1e6) if found else "-").rjust(11))
        for metric in ("cost_machine", "cost_added", "cost_device"):
            found = results.samples(name, load, metric)
            cells.append((seconds(stats.median(found)) if found else "-").rjust(13))
        out = results.left_out(name, load)
        rest = f", {out} disturbed rounds left out" if out else ""
        yield f"  {name:18}{''.join(cells)}  {'noisy: ' + why if why else 'ok'}{rest}"


def lines(results):
    machine = results.data["machine"]
    yield f"{machine['cpu']}, {machine['cores']} cores, kernel {machine['kernel']}, commit {machine['commit']}"
    for load in results.loads():
        if results.measured(load):
            yield ""
            yield from load_lines(results, load)
    yield ""
    yield "idle, percent of a core: " + ", ".join(f"{name} {percent(stats.median(results.idle(name)))}" for name in results.devices()
                                                  if results.idle(name))
    yield ""
    yield "Penstock beside its peers (ratio of medians)"
    rows = beside_peers(results)
    if len(rows) > ROWS_MAX:
        for (device, peer, what), words in pairs(rows):
            counts = ", ".join(f"{words.count(word)} {WORDS.get(word, word)}" for word in ("better", "worse", "same", "refused") if word in words)
            yield f"  {device:18}{peer:14}{what:18}{counts}"
    for row in rows if len(rows) <= ROWS_MAX else ():
        verdict = row["verdict"]
        what = "CPU/op" if row["metric"].startswith("cost") else row["metric"]
        text = f"p {verdict.p:.3f}" if verdict.p is not None else verdict.why
        word = WORDS.get(verdict.word, verdict.word)
        yield f"  {row['load']:18} {row['device']:18}{row['peer']:14}{what:8}{ratio(verdict.ratio):>6}  {word} ({text})"
    yield "  " + quietness(results, rows)
    if results.data.get("parts"):
        yield ""
        yield "Single parts (limits of bars.py)"
    for bar, samples, word, why, _profile in parts.rows(results.data):
        yield f"  {'no verdict' if word == 'refused' else word:10}  {bar.text}: {bar.show(stats.median(samples))}, limit {bar.show(bar.limit)}; {why}"
    found = check_targets(results)
    if found:
        yield ""
        yield "Targets"
        yield from (f"  {row.say:10}{row.text}: {row.found}, wanted {row.wanted}{'; ' + row.why if row.why else ''}" for row in found)
    for one in results.data.get("profiles", []):
        if one.get("shares"):
            yield f"  profile of {one['device']} under {one['load']}: {said(one['shares'])}"
