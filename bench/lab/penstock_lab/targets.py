"""targets.py - what Penstock wants to reach beside its peers, and whether this run shows it.

Model     a target is a statement about one run: ratios between devices, or a device's own idle cost. Met or missed means
          that the whole plausible range of the ratio (bootstrap over rounds) is on one side of the limit; what a run did
          not measure, or measured with too much noise, is neither.
"""
import dataclasses

from . import stats
from .formats import percent, ratio, seconds
from .results import BASE


@dataclasses.dataclass(frozen=True)
class Outcome:
    text: str
    wanted: str
    found: str
    word: str  # met, missed, refused
    say: str
    why: str
    device: str = ""   # where to look for the reason, when missed
    load: str = ""


COPIES = ("no more frames than HAProxy needs (the load's table counts them), but the kernel copies each into or out of the socket's memory and wakes "
          "who waits; the profile tells ours from the kernel's")
ENDS = ("ends", "ends-64")  # client and servers are XDP programs
BODIES = ("what comes in is copied twice on the sender's core, which client and server share here (docs/adr/0019-large-frames.md); without large_frames every "
          "segment is, and walks through the driver besides")
FIRST_HALF = "a connection's first half second is the worker's, which copies every packet twice; a longer --seconds shows less of it"
# (text, load, metric, device, peer, least or greatest ratio of medians, what limits it when missed)
RATIOS = (
    ("L4: a request adds no more CPU than nftables does", "keepalive", "cost", "penstock-fullnat", "nft", "at most", 1.0,
     "AF_XDP in copy mode on veth copies every packet twice and wakes a process; the kernel forwards it by pointer"),
    ("L4: packets per second, at least twice the kernel's NAT", "packets", "rate", "penstock-fullnat", "nft", "at least", 2.0,
     "on two cores the generator's softirq work shares a core with the receiver"),
    ("X: a request adds no more CPU than nftables does", "keepalive", "cost", "penstock-xdp", "nft", "at most", 1.0, FIRST_HALF),
    ("X: packets per second, at least twice the kernel's NAT", "packets", "rate", "penstock-xdp", "nft", "at least", 2.0,
     "on two cores the generator's softirq work, which holds the program's, shares a core with the receiver"),
    ("Proxy: a request adds no more CPU than HAProxy does", "keepalive", "cost", "penstock-proxy", "haproxy-tcp", "at most", 1.0,
     COPIES),
    ("Proxy: a request adds half of HAProxy's CPU", "keepalive", "cost", "penstock-proxy", "haproxy-tcp", "at most", 0.5,
     COPIES),
    ("Proxy: a new connection adds no more CPU than HAProxy does", "oneshot", "cost", "penstock-proxy", "haproxy-tcp", "at most", 1.0,
     COPIES),
    ("HTTP: a request adds no more CPU than nginx does", "keepalive", "cost", "penstock-http", "nginx-http", "at most", 1.0,
     COPIES),
    ("HTTP: a request adds half of nginx's CPU", "keepalive", "cost", "penstock-http", "nginx-http", "at most", 0.5,
     COPIES),
    *((f"HTTP: {what} than {of}", "body-16k", metric, "penstock-http", peer, "at most", 1.0, BODIES)
      for what, metric in (("16 KiB add no more CPU", "cost"), ("16 KiB take no more of the CPU that is neither client's nor server's", "cost_device"))
      for peer, of in (("nginx-http", "nginx"), ("haproxy-http", "HAProxy"))),
    *((f"HTTP, the device alone: twice {of}'s requests per CPU second", load, "cost", "penstock-http", peer, "at most", 0.5, COPIES)
      for load in ENDS for peer, of in (("nginx-http", "nginx"), ("haproxy-http", "HAProxy"))),
    *(("Proxy, the device alone: twice HAProxy's requests per CPU second", load, "cost", "penstock-proxy", "haproxy-tcp", "at most", 0.5, COPIES)
      for load in ENDS),
)
# (text, load, device, greatest added CPU seconds per operation, what limits it when missed): 1 / so many a CPU-second
COSTS = (
    ("HTTP: 84,000 requests per CPU second, three times MOSN's", "keepalive", "penstock-http", 1 / 84e3, COPIES),
    ("HTTP: 140,000 requests per CPU second", "keepalive", "penstock-http", 1 / 140e3,
     COPIES),
    ("HTTP, the device alone: 140,000 requests per CPU second", "ends", "penstock-http", 1 / 140e3, COPIES),
    ("RPC: 150,000 calls of 1 KiB per CPU second", "rpc", "penstock-proxy", 1 / 150e3,
     COPIES + "; nothing of Penstock reads Bolt"),
    ("RPC: a million heartbeats per CPU second", "heartbeats", "penstock-proxy", 1 / 1e6,
     "a heartbeat is relayed to the server like any payload; nothing of Penstock answers it"),
)
LARGE = {name: f"{name}-lf" for name in ("penstock-proxy", "penstock-http")}  # the same with large_frames has the same targets
RATIOS += tuple((f"{text}; large_frames", load, metric, LARGE[device], *rest) for text, load, metric, device, *rest in RATIOS if device in LARGE)
COSTS += tuple((f"{text}; large_frames", load, LARGE[device], *rest) for text, load, device, *rest in COSTS if device in LARGE)
ROUTES_SAME = 1.1  # cost of a request among many routes, beside one route
ROUTES = {"routes-1000": "1,000 regular expressions, the last taken,", "routes-10000": "10,000 regular expressions, the last taken,",
          "routes-1000-first": "1,000 regular expressions, the first taken,",
          "routes-1000-alike": "1,000 regular expressions that begin alike, the last taken,",
          "routes-1000-alike-first": "1,000 regular expressions that begin alike, the first taken,"}
KERNEL_PATH = "penstock-fallback"
IDLE = "idle"  # the place of a target that is missed without a load
ADDED_P50_US = 20.0
APART = "direct-apart"
LATENCY = {"latency-awake": "no core halts", "latency": "as cores are"}
WAKE_UPS = {
    "latency-awake": "request and answer each go to the device's core and on from there; the kernel copies each for AF_XDP, and walks the receiver's TCP in "
                     "the sender's system call",
    "latency": "client and server share a core, so a cable wakes nobody, while a device wakes another core, and that core the first; a virtual "
               "core that halted is woken by the hypervisor, whoever the device is (docs/adr/0018-what-a-proxied-body-costs-on-veth.md): "
               "latency-awake leaves that out"}
IDLE_MAX_PERCENT = 2.0


def outcome(text, wanted, found, holds, why, place):
    word = "met" if holds else "missed"
    return Outcome(text, wanted, found, word, word, "" if holds else why, *place)


def refuse(text, wanted, why):
    return Outcome(text, wanted, "-", "refused", "not shown", why)


def check_ratio(results, text, load, metric, device, peer, bound, limit, why):
    wanted = f"{bound} {limit:g} of {peer}"
    if load not in results.loads() or device not in results.devices() or peer not in results.devices():
        return None
    metric = results.cost_metric(load) if metric == "cost" else metric
    a, b = results.samples(peer, load, metric), results.samples(device, load, metric)
    if not a or not b:
        return refuse(text, wanted, "no figures")
    for name in (peer, device):
        noisy = results.noise(name, load, metric)
        if noisy:
            return refuse(text, wanted, f"{name}: {noisy}")
    if min(a) <= 0:
        return refuse(text, wanted, f"{peer} cost nothing that could be seen")
    low, high = stats.bootstrap_ratio(a, b)
    found = f"{ratio(stats.median(b) / stats.median(a))} ({ratio(low)} to {ratio(high)})"
    if low <= limit < high:
        return dataclasses.replace(refuse(text, wanted, "the range holds the limit"), found=found)
    return outcome(text, wanted, found, high <= limit if bound == "at most" else low >= limit, why, (device, load))


def check_cost(results, text, load, device, limit, why):
    """What the device adds per operation, in CPU seconds of this machine."""
    wanted = f"at most {seconds(limit)} added"
    if load not in results.loads() or device not in results.devices():
        return None
    samples = results.samples(device, load, "cost_added")
    noisy = results.noise(device, load, "cost_added") if samples else "no figures"
    if noisy:
        return refuse(text, wanted, noisy)
    found = f"{seconds(stats.median(samples))} ({seconds(min(samples))} to {seconds(max(samples))})"
    return within(text, wanted, found, samples, limit, why, (device, load))


def check_routes(results, load, routes):
    """A request among many routes beside one among one, by the whole machine's CPU."""
    base, device = "routes-1", "penstock-http"
    text, wanted = f"HTTP: {routes} cost no more than one", f"at most {ROUTES_SAME:g} of one route"
    if not all(name in results.loads() for name in (load, base)) or device not in results.devices():
        return None
    a, b = (results.samples(device, name, "cost_machine") for name in (base, load))
    for name, samples in ((base, a), (load, b)):
        noisy = results.noise(device, name, "cost_machine") if samples else "no figures"
        if noisy:
            return refuse(text, wanted, f"{name}: {noisy}")
    low, high = stats.bootstrap_ratio(a, b)
    found = f"{ratio(stats.median(b) / stats.median(a))} ({ratio(low)} to {ratio(high)})"
    if low <= ROUTES_SAME < high:
        return dataclasses.replace(refuse(text, wanted, "the range holds the limit"), found=found)
    return outcome(text, wanted, found, high <= ROUTES_SAME, "see the profile: the route table's automata", (device, load))


def added_p50(results, device, load):
    """Microseconds more than a cable, round by round, since a quiet minute helps both."""
    a, b = ({cell["round"]: cell["values"]["p50"] for cell in results.counted(name, load)} for name in (BASE, device))
    usual = stats.median(list(a.values())) if a else 0.0  # in place of a round that does not count
    return [b[turn] - a.get(turn, usual) for turn in b] if a else []


def check_added(results, device, load):
    """Added median latency of one connection, over a cable."""
    text, wanted = f"{device}: added p50 of a lone request, {LATENCY[load]}", f"at most {ADDED_P50_US:g} us over {BASE}"
    if load not in results.loads() or device not in results.devices() or BASE not in results.devices():
        return None
    added = added_p50(results, device, load)
    if not added:
        return refuse(text, wanted, "no figures")
    for name in (BASE, device):
        noisy = results.noise(name, load, "p50")
        if noisy:
            return refuse(text, wanted, f"{name}: {noisy}")
    found = f"{seconds(stats.median(added) / 1e6)} ({seconds(min(added) / 1e6)} to {seconds(max(added) / 1e6)})"
    how = next((f" ({cell['values']['awake']})" for cell in results.good(device, load) if "awake" in cell["values"]), "")
    return within(text + how, wanted, found, added, ADDED_P50_US, WAKE_UPS[load] + distance(results, load), (device, load))


def distance(results, load):
    """What the way to another core takes of it, where the run measured that."""
    added = added_p50(results, APART, load)
    return f"; without a device, a server on the device's core is {seconds(stats.median(added) / 1e6)} away" if added else ""


def check_idle(results, device):
    samples = results.idle(device)
    if not samples:
        return None
    text, wanted = f"{device}: idle CPU", f"at most {IDLE_MAX_PERCENT:g} % of a core"
    return within(text, wanted, percent(stats.median(samples)), samples, IDLE_MAX_PERCENT,
                  "the worker polls; see penstock status, sleep seconds", (device, IDLE))


def within(text, wanted, found, samples, limit, why, place):
    """Met or missed only if every sample is on one side of the limit."""
    if min(samples) <= limit < max(samples):
        return dataclasses.replace(refuse(text, wanted, "the range holds the limit"), found=found)
    return outcome(text, wanted, found, max(samples) <= limit, why, place)


def check_targets(results):
    ours = [name for name in results.devices() if name.startswith("penstock")]
    found = [check_ratio(results, *row) for row in RATIOS]
    found += [check_cost(results, *row) for row in COSTS] + [check_routes(results, *row) for row in ROUTES.items()]
    found += [check_added(results, name, load) for load in LATENCY for name in ours] + [check_idle(results, name) for name in ours]
    return [row for row in found if row is not None]


def places(devices, loads):
    """How many places there are at which a run of these devices and loads may miss a target under load."""
    found = {(row[3], row[1]) for row in RATIOS} | {(row[2], row[1]) for row in COSTS} | {("penstock-http", load) for load in ROUTES}
    found |= {(name, load) for load in LATENCY for name in devices if name.startswith("penstock") and name != KERNEL_PATH}
    return sum(device in devices and load in loads for device, load in found)


def missed_places(results):
    """(device, load) of every missed target, each once; where the dataplane is halted there is nothing to look at."""
    return list(dict.fromkeys((row.device, row.load) for row in check_targets(results) if row.word == "missed" and row.device != KERNEL_PATH))
