"""cli.py - the command scripts/lab.

Usage   lab quick [--budget 300]          the usual suspects in five minutes
        lab full [--rounds 6]             every device, every load
        lab resume RESULTS.json           goes on with a run that was interrupted, or ended by --for; exit 3: still not finished
        lab run --devices A,B --loads X,Y [--rounds N] [--seconds S]
        lab list                          devices and loads
        lab compare BEFORE.json AFTER.json     exit 1 if something got worse
        lab page RESULTS.json [PAGE.html]      the page again
        lab scaling [--rounds N] [--worker-ns N --device-ns N]     one worker per core at once, and the model
Files   build/lab/<mode>-<time>.json and .html, unless --out names a folder
"""
import argparse
import datetime
import os
import pathlib
import subprocess
import sys

from . import ROOT, compare, duts, loads, machine, parts, plan, profile, report, runner, scaling, summary, targets
from .procs import Groups, LoadError, Parties, cores_for
from .results import Results

QUICK_DEVICES = ("direct", "nft", "haproxy-tcp", "nginx-http", "penstock-fullnat", "penstock-xdp", "penstock-proxy",
                 "penstock-http")
QUICK_LOADS = ("keepalive", "oneshot", "latency-awake", "bulk", "packets")
QUICK_BUDGET, QUICK_ROUNDS, QUICK_PROFILES = 300, 4, 2
FULL_BUDGET, FULL_ROUNDS, FULL_SECONDS = 3.5 * 3600, 6, 2
UNFINISHED = 3
PROGRAMS = ("penstockd", "penstock", "penstock-dataplane", "lab_peers")


def prepare(more=()):
    """Packages and a build; nothing to do when PENSTOCK_BUILD names one."""
    if "PENSTOCK_BUILD" in os.environ:
        return
    subprocess.run([ROOT / "scripts" / "setup"], check=True)
    build = ROOT / "build" / "release"
    if not (build / "build.ninja").exists():
        subprocess.run(["cmake", "--preset", "release"], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["cmake", "--build", build, "-j", str(os.cpu_count()), "--target", *PROGRAMS, *more], check=True)


def choose(names, table, find):
    return [find(name) for name in (names.split(",") if names else table)]


def measure(options, mode, device_names, load_names, rounds, seconds, budget):
    devices = choose(options.devices, device_names, duts.make)
    chosen = choose(options.loads, load_names, loads.find)
    rounds, budget = options.rounds or rounds, options.budget or budget
    reserved = after_rounds(options, devices, chosen)
    seconds = options.seconds or seconds or plan.seconds_for(budget - reserved, devices, chosen, rounds)
    if options.plan:
        show_plan(plan.turns(devices, chosen, rounds), seconds, reserved)
        return
    begin(options, parts.programs() if options.parts else ())
    cores = cores_for(os.sched_getaffinity(0))
    data = runner.fresh(mode, devices, chosen, rounds, seconds, budget - reserved, profiles(options), cores, options.parts)
    play(options, data, new_place(options.out, mode))


def after_rounds(options, devices, chosen):
    """Seconds for profiles and single parts, at most."""
    missed = targets.places([device.name for device in devices], [load.name for load in chosen])
    return plan.PROFILE_SECONDS * min(profiles(options), missed) + parts.STEP_SECONDS * len(parts.steps()) * options.parts


def profiles(options):
    """How many at most."""
    most = QUICK_PROFILES if options.command == "quick" else profile.PROFILES_MAX
    return most if options.profile else 0


def show_plan(turns, seconds, reserved):
    cells = sum(len(turn.loads) for turn in turns)
    whole = sum(plan.turn_seconds(turn, seconds) for turn in turns) + reserved
    print(f"{len(turns)} turns, {cells} measurements of {seconds:g} s: about {plan.minutes(whole)} (minutes:seconds)")


def resume(options):
    """Goes on with a run that was stopped or interrupted, on the same machine and the same tree."""
    data = Results.read(options.results).data
    if options.again:
        print(f"{runner.forget_disturbed(data)} disturbed turns are played again")
    begin(options, parts.programs() if data["plan"].get("parts") else ())
    here = machine.describe()
    for key in (*compare.SAME, "commit"):
        if data["machine"].get(key) != here.get(key):
            raise ValueError(f"{options.results} was begun with {key} {data['machine'].get(key)}, here it is {here.get(key)}")
    play(options, data, pathlib.Path(options.results))


def begin(options, more=()):
    """Everything is installed and built; only then the machine can be described."""
    if os.getuid() != 0:
        sys.exit("lab: needs root (network namespaces, cgroups, XDP)")
    from lab import end_on_signals
    end_on_signals()
    if not options.no_build:
        prepare(more)


def play(options, data, place):
    """Measures what `data` lacks; its file is whole after every turn."""
    groups = Groups()
    try:
        parties = Parties(groups, cores_for(os.sched_getaffinity(0)))
        results = runner.Runner(parties, groups, say, lambda data: Results(data).write(place)).run(data, options.sitting)
    except BaseException:
        if place.exists():
            show_interrupted(place)
        raise
    finally:
        groups.close()
    show_results(results, place.with_suffix(".html"))
    print(f"\n{place}")
    if not data["plan"]["finished"]:
        print(f"lab: not finished, {len(runner.turns_of(data)[1])} turns are left: scripts/lab resume {place}")
        sys.exit(UNFINISHED)


def show_interrupted(place):
    """What was measured so far is worth a page."""
    html = place.with_suffix(".html")
    html.write_text(report.page(Results.read(place)))
    print(f"lab: interrupted; so far: {html}\nlab: go on with scripts/lab resume {place}", file=sys.stderr)


def say(text):
    print(text, flush=True)


def new_place(out, mode):
    folder = pathlib.Path(out or ROOT / "build" / "lab")
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{mode}-{datetime.datetime.now().strftime('%Y%m%d-%H%M%S')}.json"


def show_results(results, html):
    html.write_text(report.page(results))
    for line in summary.lines(results):
        print(line)
    print(f"\n{html}")


def show_list():
    for name, device in duts.ALL.items():
        print(f"device  {name:20}{device.kind:13}{device.title}")
    for name, load in loads.ALL.items():
        print(f"load    {name:20}{load.operation:13}{load.title}")


def show_compare(before, after):
    a, b = Results.read(before), Results.read(after)
    for line in compare.lines(a, b):
        print(line)
    sys.exit(1 if compare.any_worse(a, b) else 0)


def show_page(raw, html):
    show_results(Results.read(raw), pathlib.Path(html or pathlib.Path(raw).with_suffix(".html")))


def show_scaling(options):
    """Measured on every core of this machine, then the model for more."""
    if options.rounds:
        program = ROOT / "build" / "release" / "bench" / "scenario" / "worker_bench"
        if not program.exists():
            sys.exit(f"lab: {program} is not built; scripts/dev build worker_bench")
        for line in scaling.lines_of_measured(scaling.measure(program, rounds=options.rounds)):
            print(line)
        print()
    for line in scaling.lines_of_model(options.worker_ns, options.device_ns, options.flows, options.entries, options.gbit,
                                       options.handoff_ns):
        print(line)


def sittings(command):
    command.add_argument("--for", dest="sitting", type=float, help="seconds of this sitting; what is left goes on with resume")
    command.add_argument("--no-build", action="store_true", help="use what is built")


def parser():
    top = argparse.ArgumentParser(prog="lab", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = top.add_subparsers(dest="command", required=True)
    for name in ("quick", "full", "run"):
        one = commands.add_parser(name)
        one.add_argument("--devices", required=name == "run", help="comma-separated; see lab list")
        one.add_argument("--loads", required=name == "run")
        one.add_argument("--rounds", type=int)
        one.add_argument("--seconds", type=float, help="measured seconds per load")
        one.add_argument("--budget", type=float, help="seconds for all of it")
        one.add_argument("--profile", action=argparse.BooleanOptionalAction, default=name != "run",
                         help="perf samples Penstock where a target was missed")
        one.add_argument("--parts", action=argparse.BooleanOptionalAction, default=name == "full",
                         help="benches of single parts and of workers side by side as well")
        one.add_argument("--out", help="folder of the result files")
        one.add_argument("--plan", action="store_true", help="say how much that would be, and end")
        sittings(one)
    again = commands.add_parser("resume")
    again.add_argument("results")
    again.add_argument("--again", action="store_true", help="also what was measured while other processes were busy")
    sittings(again)
    commands.add_parser("list")
    two = commands.add_parser("compare")
    two.add_argument("before")
    two.add_argument("after")
    page = commands.add_parser("page")
    page.add_argument("results")
    page.add_argument("html", nargs="?")
    scale = commands.add_parser("scaling")
    scale.add_argument("--rounds", type=int, default=3, help="0: the model alone")
    for name, default, text in (("worker-ns", 30, "a packet of a known flow"), ("device-ns", 25, "receive and transmit"),
                                ("handoff-ns", 0, "a frame of another worker's flow"),
                                ("flows", 1_000_000, ""), ("entries", 128, "of the card's indirection table"), ("gbit", 100, "")):
        scale.add_argument(f"--{name}", type=type(default) if name in ("flows", "entries") else float, default=default, help=text)
    return top


def main(arguments=None):
    options = parser().parse_args(arguments)
    try:
        if options.command == "quick":
            measure(options, "quick", QUICK_DEVICES, QUICK_LOADS, QUICK_ROUNDS, None, QUICK_BUDGET)
        elif options.command == "full":
            measure(options, "full", duts.ALL, loads.ALL, FULL_ROUNDS, FULL_SECONDS, FULL_BUDGET)
        elif options.command == "run":
            measure(options, "run", (), (), QUICK_ROUNDS, None, QUICK_BUDGET)
        elif options.command == "resume":
            resume(options)
        elif options.command == "list":
            show_list()
        elif options.command == "scaling":
            show_scaling(options)
        elif options.command == "compare":
            show_compare(options.before, options.after)
        else:
            show_page(options.results, options.html)
    except (LoadError, ValueError, subprocess.CalledProcessError) as error:
        sys.exit(f"lab: {error}")
