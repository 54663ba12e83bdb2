"""page.py - the fixed parts of the report: style, method, caveats."""
from . import stats

COLOURS = ("#1f6f8b", "#9bb8c4", "#e08e45", "#7a5195", "#5a9367", "#c44536", "#8a817c", "#3d5a80", "#c98bb9", "#b5a33a", "#6b4632")
DARK = {0: "#3a9fc2", 3: "#a77bc7", 7: "#7d9cc6", 10: "#b58a6f"}  # where the others would drown
STYLE = """
:root { --fg:#1c2326; --bg:#fff; --soft:#5e6b70; --grid:#dde3e5; --good:#1d7a3f; --bad:#b3261e; --link:#1f6f8b; color-scheme:light dark; }
@media (prefers-color-scheme: dark) { :root { --fg:#e4e9eb; --bg:#14191b; --soft:#97a4a9; --grid:#2e373a; --good:#63c384; --bad:#ff8a80; --link:#7cc4de; } }
body { margin:0; overflow-wrap:break-word; background:var(--bg); color:var(--fg); font:15px/1.5 system-ui,sans-serif; }
main { max-width:1000px; margin:0 auto; padding:24px; }
h1,h2,h3 { line-height:1.2; } h2 { margin-top:2em; border-bottom:1px solid var(--grid); } h4 { margin:1em 0 .3em; font-weight:600; }
.wide { overflow-x:auto; } .wide svg { min-width:560px; } table { border-collapse:collapse; font-size:13px; margin:.8em 0; }
th,td { text-align:left; padding:3px 10px 3px 0; border-bottom:1px solid var(--grid); vertical-align:top; }
td:not(:last-child) { white-space:nowrap; } td:last-child { min-width:12em; } .prose td { white-space:normal; min-width:7em; }
@media print { td:not(:last-child) { white-space:normal; } } summary { cursor:pointer; } a { color:var(--link); }
td.n { font-variant-numeric:tabular-nums; } small { color:var(--soft); display:block; }
svg text { font-size:12px; fill:var(--fg); } svg .tick { fill:var(--soft); font-size:11px; } svg .value { font-size:11px; } svg .mine { font-weight:600; }
svg .grid { stroke:var(--grid); } svg .whisker { stroke:var(--fg); stroke-width:1.5; } polyline { fill:none; stroke-width:2; } .ours { stroke-width:4; } polyline.dash { stroke-dasharray:6 3; }
.legend span { margin-right:14px; font-size:12px; display:inline-block; } .legend i { display:inline-block; width:10px; height:10px; margin-right:4px; } .legend .dash { outline:1px dashed var(--fg); }
.v-better,.v-met { color:var(--good); } .v-worse,.v-missed { color:var(--bad); } .v-same,.v-refused { color:var(--soft); font-weight:400; }
"""


def colour_classes(colours):
    """Fill, background and stroke of each."""
    return "".join(f".c{i} {{ fill:{c}; }} .b{i} {{ background:{c}; }} .l{i} {{ stroke:{c}; }}\n" for i, c in colours)


STYLE += colour_classes(enumerate(COLOURS)) + f"@media (prefers-color-scheme: dark) {{ {colour_classes(DARK.items())} }}\n"

CLASSES = (("none", "no device: what client and servers can do at most"),
           ("frames", "forwards frames without reading them: a floor, not a peer"),
           ("packets", "reads and rewrites packets; client and server share one TCP connection"),
           ("connections", "ends the client's TCP connection and opens another one"),
           ("requests", "reads every HTTP request as well"))

TIERS = (("kernel path", "the kernel, by nftables, while the dataplane is away", "penstock-fallback"),
         ("X, in XDP", "the XDP program itself translates and sends packets of hot flows", "penstock-xdp"),
         ("L4, packets", "a worker translates addresses and ports: FullNAT, DNAT", "penstock-fullnat, penstock-dnat"),
         ("P, connections", "a worker ends TCP on both sides (mode: proxy); lf: with large_frames", "penstock-proxy, penstock-proxy-lf"),
         ("P, requests", "and reads HTTP/1.1 (protocol: http)", "penstock-http, penstock-http-lf"),
         ("S, splice", "a worker joins two connections by translating sequence numbers (splice: true)", "penstock-splice"))

# (target, wanted, experiment, what is known)
ELSEWHERE = (
    ("single parts: steering, a packet, a flow, a segment, a connection, a request, a route, a Maglev table", "limits of bars.py",
     "scripts/lab full, scripts/bench bars", "in a section of its own, with profiles, where this run measured them; docs/guide/lab.md"),
    ("two workers beside one", "1.9 times", "scripts/lab full, scripts/lab scaling", "in memory, without a device; met in "
     "docs/architecture/scaling.md"),
    ("Maglev: entries per endpoint, and flows that move when one leaves", "spread of 1; about 0.5 %", "maglev_test", "asserted by every test run"),
    ("memory of an idle proxied connection", "1,024 octets", "relay_bench Idle", "among the single parts; pools are allocated at start, so the "
     "memory column of the load idle cannot show it"),
    ("100,000 proxied connections with heartbeats", "100 MB, 5 % of a core", "relay_bench Idle; none for the CPU",
     "memory: the part above, times 100,000; CPU: not shown, since a client here may not open so many files"),
    ("new connections a second and core", "400,000 in memory; over AF_XDP told apart", "relay_bench Live; the load oneshot",
     "among the single parts; over veth the kernel's ends are the limit, see what a connection adds"),
    ("an upgrade or a crash loses no established connection", "none", "tests/e2e/survival_test.py, proxy_survival_test.py, http_load_test.py",
     "asserted by every test run; requests in flight when the dataplane is killed are counted and bounded"),
    ("proxying on two cores beside one", "1.8 times", "none", "not shown: with two cores, client and servers need one of them"),
    ("DSR and GUE: cost of the outer checksum", "5 ns", "none", "not built"),
    ("Bolt read by the proxy; heartbeats answered at once", "150,000 and 1,000,000 per CPU second", "rpc, heartbeats", "not built: octets of TCP"),
)

METHOD = f"""<p>Client, node and servers are network namespaces of one machine, joined by veth pairs; every turn builds them anew and
tears them down, so that no turn inherits anything. A turn is one device in one round with all its loads; rounds are repeated with the
order of devices rotated. The device has a core of its own; client and servers share the others. Generators are wrk, h2load, iperf3
and our own (AF_XDP frames, connections, Bolt); servers are nginx, iperf3 and our own.</p>
<p><b>CPU</b>: busy time of the whole machine from /proc/stat, less what the lab itself and foreign processes took; client, servers,
device and lab have one cgroup each; kernel threads and foreign processes come from /proc. On veth the kernel does part of a device's
work in softirqs that are charged to whoever sent the packet, client and servers included. So what a device costs is read as
<i>added</i>: the whole machine's CPU per operation, less the same with a cable in the device's place in the same round.</p>
<p><b>Verdicts</b>: medians over rounds; better or worse only if a two-sided Mann-Whitney test gives p below {stats.SIGNIFICANT:.0%} with at
least {stats.ROUNDS_MIN} rounds on each side. None is given when the range (from {stats.TRIMMED_FROM} rounds on: without the
farthest sample) exceeds {stats.SPREAD_MAX:.0%} of the median or others took more than {stats.FOREIGN_MAX:.0%} of the machine in a round that counts. One comparison in twenty of equal things looks significant by chance.</p>
<p><b>Pace</b>: what runs beside a virtual machine slows its cores at times, and no counter shows it. A piece of fixed work is timed on every core all the
time; CPU seconds are told at the usual pace of each device under each load: one on cores that were slower by a third counts as three quarters of a second. A measurement
whose cores were more than {stats.SLOW_MAX:.0%} slower than usual is made again at once if the budget allows. What is still disturbed, by slow cores or other processes, does not count where {stats.ROUNDS_MIN} other rounds are there.</p>"""

CAVEATS = """<ul><li>Absolute figures belong to this machine. Ratios between rows of one run are what counts, and only between devices of
one kind.</li>
<li>veth is no network card: no wire, no DMA, no receive-side scaling, copy-mode AF_XDP. With offloads a veth carries 64 KiB at once, which
favours whatever never looks at packets.</li>
<li>Client, servers and device share caches and memory bandwidth; on two cores client and servers share one core and are often what limits
a row. Look at CPU per operation, not at the rate alone.</li>
<li>A connection sinks to tier X half a second after it has become hot, so short runs of penstock-xdp hold what the worker did before. Nothing of
Penstock reads HTTP/2 or Bolt: those loads pass through
its packet and TCP tiers as octets. On veth the kernel's own forwarding is hard to beat by any program in user space.</li>
<li>The loss-free rate comes from trials of a third of a second and one of the run's length; RFC 2544 asks for a minute. The generator
shares its core with what receives, so what it sends is no upper limit of a wire.</li>
<li>Nothing here shows more than one worker, NUMA, or line rate: see docs/architecture/scaling.md.</li>
<li>A virtual core that halts is woken by the hypervisor, which takes tens of microseconds. A cable between two processes of one core needs
nobody woken, a device needs it twice, so latency at low load shows the hypervisor more than the device; latency-awake keeps every core from
halting.</li>
<li>Latencies are closed-loop: a slow device is asked less often, so its worst cases are under-represented (coordinated omission).</li>
<li>The tick samples softirq time; short runs carry an error of about one percent of a core.</li></ul>"""
