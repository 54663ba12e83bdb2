"""report.py - the page: one HTML file that needs nothing else.

Order     targets and verdicts first, then each load (throughput, latency, CPU split, table), curves, idle CPU, profiles, tiers,
          what was not measured, machine, method, what the figures do not show.
"""
from . import charts, report_parts, stats
from .charts import esc
from .formats import bare, microseconds, number, percent, ratio, seconds
from .profile import said
from .page import CAVEATS, CLASSES, ELSEWHERE, METHOD, STYLE, TIERS
from .results import BASE
from .targets import check_targets
from .verdict import beside_peers, pairs, quietness

SPLIT = (("client", "client"), ("servers", "servers"), ("device_process", "device: its processes"),
         ("kernel_threads", "device: kernel threads"), ("uncharged", "device: softirq charged to nobody"))
COST_NAMES = {"cost_added": "CPU per operation, added", "cost_machine": "CPU per operation, machine"}
PROSE, ROWS_OPEN = "wide prose", 60
WORDS = {"better": "better", "worse": "worse", "same": "no difference shown", "refused": "no verdict"}


def table(head, rows, numeric_from=1, cls="wide"):
    cells = "".join(f"<th>{esc(name)}</th>" for name in head)
    body = ""
    for row in rows:
        body += "<tr>" + "".join(f'<td class="{"n" if index >= numeric_from else ""}">{cell}</td>'
                                 for index, cell in enumerate(row)) + "</tr>"
    return f'<div class="{cls}"><table><thead><tr>{cells}</tr></thead><tbody>{body}</tbody></table></div>'


def summary_of(samples, unit):
    if not samples:
        return "-"
    return f"{bare(stats.median(samples), unit)}<small>{bare(min(samples), unit)} to {bare(max(samples), unit)}</small>"


def title_of(metric, operation):
    """With the unit, unless every figure carries it."""
    unit = "" if metric["unit"] in ("s", "us") else f", {metric['unit']}"
    return metric.get("title", metric["name"]).format(op=operation) + unit


def split_of(results, device, load):
    """Median CPU seconds per operation of each part, at the usual pace."""
    cells = results.counted(device, load)
    return [stats.median([cell["cpu"][name] / cell["values"]["operations"] / (1 + results.slower_by(cell)) for cell in cells]) for name, _text in SPLIT]


def load_section(results, load):
    info, names = results.loads()[load], results.measured(load)
    head = results.headline(load)
    out = [f'<h3 id="{esc(load)}">{esc(info["title"])}</h3>']
    rows = []
    for name in names:
        samples = results.samples(name, load, head["name"])
        if samples:
            rows.append((name, stats.median(samples), min(samples), max(samples), name.startswith("penstock")))
    timed = head["unit"] in ("s", "us")
    out.append(f'<h4>{esc(head["name"] if timed else head["unit"])}, median and range over the rounds</h4>'
               + charts.bars(rows, "" if timed else head["unit"], lambda value: bare(value, head["unit"])))
    if any(metric["name"] == "p99" for metric in info["metrics"]):
        found = [(name, *(middle(results, name, load, key) for key in ("p50", "p90", "p99"))) for name in names]
        out.append("<h4>latency: p50 (dot), p90 (line), p99 (end)</h4>" + charts.latencies(found))
    parts = [(name, split_of(results, name, load)) for name in names if results.good(name, load)]
    if results.tells_cpu(load):
        out.append(f'<h4>CPU seconds per {esc(info["operation"])}, the whole machine, by who used them</h4>'
                   + charts.stacked(parts, [title for _key, title in SPLIT], seconds))
    out.append(load_table(results, load, names))
    return "".join(out)


def middle(results, device, load, metric):
    samples = results.samples(device, load, metric)
    return stats.median(samples) if samples else None


def load_table(results, load, names):
    metrics = results.metrics(load)
    rows = []
    for name in names:
        head = results.samples(name, load, results.headline(load)["name"])
        why = results.noise(name, load, results.headline(load)["name"]) if head else None
        errors, out = results.errors(name, load), results.left_out(name, load)
        note = esc("; ".join(filter(None, [why and f"noisy: {why}", out and f"{out} disturbed rounds left out", errors and f"{len(errors)} failed: {errors[0][:160]}"])))
        word = ("noisy" if why else "ok") if head else "failed"
        rows.append([esc(name), word, *(summary_of(results.samples(name, load, metric["name"]), metric["unit"]) for metric in metrics),
                     summary_of(results.samples(name, load, "frames"), ""), note])
    titles = [title_of(metric, results.loads()[load]["operation"]) for metric in metrics]
    return table(["device", "quality", *titles, "frames in and out of the node per operation", "why"], rows, 2)


def verdict_section(results):
    rows, found = [], beside_peers(results)
    for row in found:
        verdict = row["verdict"]
        word = f'<b class="v-{verdict.word}">{WORDS[verdict.word]}</b>'
        detail = esc(verdict.why) if verdict.word == "refused" else (
            f"p {verdict.p:.3f}, ratio {ratio(verdict.low)} to {ratio(verdict.high)}")
        what = COST_NAMES.get(row["metric"]) or results.headline(row["load"])["unit"]
        rows.append([esc(row["load"]), esc(row["device"]), esc(row["peer"]), esc(what), ratio(verdict.ratio), word, detail])
    if not rows:
        return "<p>Nothing to compare: no peer of the same kind was measured.</p>"
    every = table(["load", "device", "beside", "what", "ratio", "verdict", "why"], rows, 4)
    return (f"<p>{esc(quietness(results, found))}</p>{pair_table(found)}"
            f"<details{' open' if len(rows) <= ROWS_OPEN else ''}><summary>all {len(rows)} comparisons</summary>{every}</details>")


def pair_table(found):
    """How many loads went which way, for every pair of devices."""
    rows = [[*map(esc, key), *(words.count(word) or "" for word in WORDS), ""] for key, words in pairs(found)]
    return table(["device", "beside", "what", *(f"{word}, loads" for word in WORDS.values()), ""], rows, 3)


def target_section(results):
    profiles = {(profile["device"], profile["load"]) for profile in results.data.get("profiles", [])}
    rows = []
    for row in check_targets(results):
        link = f' <a href="#{profile_id(row.device, row.load)}">profile</a>' if (
            row.word == "missed" and (row.device, row.load) in profiles) else ""
        rows.append([esc(row.text), esc(row.wanted), esc(row.found), f'<b class="v-{row.word}">{esc(row.say)}</b>', esc(row.why) + link])
    return table(["target", "wanted", "found", "", "why"], rows, 5, PROSE) if rows else "<p>This run measured no target.</p>"


def skipped_section(results):
    """What does not exist and what failed; one row for loads of the same fate."""
    grouped = {}
    for row in results.data.get("skipped", []):
        grouped.setdefault((row["load"], row["why"]), []).append(row["device"])
    for load in results.loads():
        for name in results.measured(load):
            for error in sorted(set(results.errors(name, load))):
                grouped.setdefault((load, f"failed: {error[:200]}"), []).append(name)
    alike = {}
    for (load, why), names in grouped.items():
        alike.setdefault((tuple(names), why), []).append(load)
    rows = [[esc(", ".join(found)), esc(", ".join(names)), esc(why)] for (names, why), found in alike.items()]
    return table(["loads", "devices", "why"], rows, 9, PROSE) if rows else "<p>Every device met every load.</p>"


def idle_section(results):
    out = ""
    for metric, title in (("device_percent", "its processes"), ("machine_percent", "the whole machine, without the lab and other processes")):
        rows = []
        for name in results.devices():
            samples = results.idle(name, metric)
            if samples:
                rows.append((name, stats.median(samples), min(samples), max(samples), name.startswith("penstock")))
        out += f"<h4>{title}</h4>" + charts.bars(rows, "% of a core", percent) if rows else ""
    return out


def curve_section(results):
    families = {}
    for load, info in results.loads().items():
        if info.get("curve"):
            families.setdefault(info["curve"][0], []).append((info["curve"][1], load))
    out = []
    for family, points in families.items():
        if len(points) < 2:
            continue
        for metric, title, log_y in (("rate", "operations/s", False), ("p50", "p50", True),
                                     ("cost_machine", "CPU per operation, machine", True)):
            for kind, series in series_by_kind(results, points, metric).items():
                chart = charts.curves(series, family, title, log_y, {"cost_machine": seconds, "p50": microseconds}.get(metric, number))
                out.append(f"<h4>{esc(title)} over {esc(family)}: {esc(kind)}</h4>{chart}" if chart else "")
    return "".join(out)


def series_by_kind(results, points, metric):
    """{kind of device: {device: [(x, median)]}}; one chart each, or nobody can tell the lines apart. The cable is in all of them."""
    found = {}
    for x, load in sorted(points):
        for name in results.measured(load):
            value = middle(results, name, load, metric)
            if value:
                found.setdefault(results.devices()[name]["kind"], {}).setdefault(name, []).append((x, value))
    cable = {name: series for name, series in found.pop("none", {}).items() if name == BASE}
    return {kind: {**cable, **series} for kind, series in found.items()} or {"none": cable}


def machine_section(results):
    machine, plan = results.data["machine"], results.data["plan"]
    rows = [[esc(key), esc(", ".join(f"{k}: {v}" for k, v in value.items()) if isinstance(value, dict) else value)]
            for key, value in machine.items()]
    rows += [["cores of", esc(", ".join(f"{party} {cores}" for party, cores in plan["cores"].items()))],
             ["rounds", f"{plan.get('rounds_done', '?')} of {plan['rounds']}, {number(plan['seconds'])} s per load, "
                        f"{number(plan.get('took_seconds'))} s in all, in {max(1, len(plan.get('sittings', [])))} sittings"
                        + ("" if plan.get("finished", True) else ": not finished")]]
    rows += [[f"device {esc(name)}", esc("; ".join(filter(None, [info["title"], info["kind"], info["notes"]])))]
             for name, info in results.devices().items()]
    return table(["", ""], rows, 9)


def profile_id(device, load):
    return f"profile-{device}-{load}"


def profile_section(results):
    """Where each missed target was missed."""
    out = ""
    for profile in results.data.get("profiles", []):
        rows = [[esc(name), percent(share)] for name, share in profile["symbols"]]
        out += (f'<h4 id="{profile_id(profile["device"], profile["load"])}">{esc(profile["device"])} under {esc(profile["load"])}</h4>'
                f'<p>{esc(profile["how"])}{esc(": " + said(profile["shares"])) if profile.get("shares") else ""}.</p>'
                + (table(["symbol", "share"], rows) if rows else ""))
    return f"<h2>Profiles</h2>{out}" if out else ""


def page(results):
    data = results.data
    measured = [load for load in results.loads() if results.measured(load)]
    links = " · ".join(f'<a href="#{esc(load)}">{esc(load)}</a>' for load in measured)
    sections = [
        f"<h1>Penstock lab: {esc(data['mode'])}</h1><p>{esc(data['created'])}, commit {esc(data['machine']['commit'])}, "
        f"{esc(data['machine']['cpu'])}, {data['machine']['cores']} cores, kernel {esc(data['machine']['kernel'])}. {links}</p>",
        "<h2>Targets</h2>", target_section(results), "<h3>Targets that other experiments show</h3>",
        table(["target", "wanted", "experiment", "what is known"], [list(map(esc, row)) for row in ELSEWHERE], 9, PROSE),
        "<h2>Penstock beside its peers</h2><p>Only devices of one kind do the same work. A ratio is Penstock's median divided by the "
        "peer's.</p>", verdict_section(results), "<h2>Loads</h2>",
        *(load_section(results, load) for load in measured)]
    curve = curve_section(results)
    sections += [f"<h2>Curves</h2>{curve}" if curve else "",
                 "<h2>Idle: percent of one core while nothing happens</h2>", idle_section(results),
                 profile_section(results), report_parts.section(data, table), "<h2>Devices</h2>",
                 table(["kind", "meaning"], [[esc(kind), esc(meaning)] for kind, meaning in CLASSES], 9),
                 "<h3>Penstock's tiers</h3>", table(["tier", "what it is", "device"], [list(map(esc, row)) for row in TIERS], 9),
                 "<h2>What was not measured, and why</h2>", skipped_section(results), "<h2>Machine</h2>", machine_section(results),
                 f"<h2>Method</h2>{METHOD}",
                 f"<h2>What these figures do not show</h2>{CAVEATS}"]
    return ('<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
            f"<title>Penstock lab</title><style>{STYLE}</style></head><body><main>{''.join(sections)}</main></body></html>\n")
