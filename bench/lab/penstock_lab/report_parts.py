"""report_parts.py - the page's section on single parts and on workers side by side: measured on this machine, predicted for larger ones."""
import statistics

from . import charts, parts, scaling
from .charts import esc
from .formats import number, percent

# The columns of the table in docs/architecture/scaling.md: worker, device, hand-off.
MODEL = ((30, 25, 0, "30 + 25 ns (few flows, DPDK driver)"), (53, 25, 0, "53 + 25 ns (1M flows, DPDK driver)"),
         (53, 25, 50, "53 + 25 ns, 50 for a hand-off"), (53, 71, 0, "53 + 71 ns (1M flows, AF_XDP zero copy)"))
MODEL_CORES = (1, 2, 4, 8, 16, 32, 64)
FLOWS, ENTRIES, GBIT = 1_000_000, 128, 100


def bar_rows(data):
    for bar, samples, word, why, symbols in parts.rows(data):
        found = f"{bar.show(statistics.median(samples))}<small>{bar.show(min(samples))} to {bar.show(max(samples))}</small>"
        where = "".join(f"<small>{percent(share)} {esc(name[:90])}</small>" for name, share in symbols)
        say = "no verdict" if word == "refused" else word
        yield [esc(bar.text), bar.show(bar.limit), found, f'<b class="v-{word}">{say}</b>', esc(why) + where]


def measured_chart(found):
    """Sum of the workers' rates by their number, beside so many times one."""
    series = {}
    for case, counts in found.items():
        middles = {int(count): statistics.median(sums) / 1e6 for count, sums in counts.items()}
        series[f"measured, {case}"] = sorted(middles.items())
        series[f"{case}: so many times one"] = [(count, count * middles[min(middles)]) for count in sorted(middles)]
    return charts.curves(series, "workers", "Mpps in all")


def model_chart():
    line = scaling.line_rate_mpps(GBIT, 64)
    series = {name: [(cores, min(line, scaling.predicted_mpps(cores, worker, device, FLOWS, ENTRIES, handoff))) for cores in MODEL_CORES]
              for worker, device, handoff, name in MODEL}
    return charts.curves(series, "cores", "Mpps")


def section(data, table):
    """HTML, empty without such figures; `table` is the report's."""
    found = data.get("parts", {})
    rows = list(bar_rows(data))
    out = ""
    if rows:
        out += "<h2>Single parts</h2>" + table(["part", "limit", "found", "", "why, or what it is compared with; where the time goes"], rows, 2,
                                               "wide prose")
    if found.get(parts.SCALING):
        out += ("<h2>Workers side by side</h2><h4>measured: worker_bench, a process per core at once, no device</h4>"
                + measured_chart(found[parts.SCALING])
                + f"<h4>predicted, not measured: 100 GbE of 64-octet frames ({number(scaling.line_rate_mpps(GBIT, 64))} Mpps at most)</h4>"
                + model_chart()
                + "<p>Arithmetic of docs/architecture/scaling.md, which says what it assumes. No card, no second socket and no more "
                f"cores than this machine's were measured; a node can be told at most {scaling.WORKERS_MAX} workers.</p>")
    return out
