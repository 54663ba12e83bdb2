"""cli.py - the command scripts/lab.

Usage   lab quick [--budget 300]          the usual suspects in five minutes
        lab full [--rounds 6]             every device, every load; one to two hours
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

from . import ROOT, compare, duts, loads, plan, report, runner, scaling, summary
from .procs import Groups, LoadError, Parties, cores_for
from .results import Results

QUICK_DEVICES = ("direct", "route", "nft", "haproxy-tcp", "penstock-fullnat", "penstock-proxy")
QUICK_LOADS = ("keepalive", "oneshot", "bulk", "packets")
QUICK_BUDGET, QUICK_ROUNDS = 300, 4
FULL_BUDGET, FULL_ROUNDS, FULL_SECONDS = 3 * 3600, 6, 3
PROGRAMS = ("penstockd", "penstock", "penstock-dataplane", "lab_peers")


def prepare():
    """Packages and a build; nothing to do when PENSTOCK_BUILD names one."""
    if "PENSTOCK_BUILD" in os.environ:
        return
    subprocess.run([ROOT / "scripts" / "setup"], check=True)
    build = ROOT / "build" / "release"
    if not (build / "build.ninja").exists():
        subprocess.run(["cmake", "--preset", "release"], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["cmake", "--build", build, "-j", str(os.cpu_count()), "--target", *PROGRAMS], check=True)


def choose(names, table, find):
    return [find(name) for name in (names.split(",") if names else table)]


def measure(options, mode, device_names, load_names, rounds, seconds, budget):
    if os.getuid() != 0:
        sys.exit("lab: needs root (network namespaces, cgroups, XDP)")
    from lab import end_on_signals
    end_on_signals()
    devices = choose(options.devices, device_names, duts.make)
    chosen = choose(options.loads, load_names, loads.find)
    rounds = options.rounds or rounds
    if not options.no_build:
        prepare()
    budget = options.budget or budget
    seconds = options.seconds or seconds or plan.seconds_for(budget, devices, chosen, rounds)
    groups = Groups()
    try:
        parties = Parties(groups, cores_for(os.sched_getaffinity(0)))
        results = runner.Runner(parties, groups, say).run(mode, devices, chosen, rounds, seconds, budget, options.profile)
    finally:
        groups.close()
    write(results, options.out)


def say(text):
    print(text, flush=True)


def write(results, out):
    folder = pathlib.Path(out or ROOT / "build" / "lab")
    folder.mkdir(parents=True, exist_ok=True)
    stamp = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
    raw, html = (folder / f"{results.data['mode']}-{stamp}{suffix}" for suffix in (".json", ".html"))
    results.write(raw)
    html.write_text(report.page(results))
    for line in summary.lines(results):
        print(line)
    print(f"\n{raw}\n{html}")


def show_list():
    for name, device in duts.ALL.items():
        print(f"device  {name:18}{device.kind:13}{device.title}")
    for name, load in loads.ALL.items():
        print(f"load    {name:18}{load.operation:13}{load.title}")


def show_compare(before, after):
    a, b = Results.read(before), Results.read(after)
    for line in compare.lines(a, b):
        print(line)
    sys.exit(1 if compare.any_worse(a, b) else 0)


def show_page(raw, html):
    results = Results.read(raw)
    place = pathlib.Path(html or pathlib.Path(raw).with_suffix(".html"))
    place.write_text(report.page(results))
    for line in summary.lines(results):
        print(line)
    print(place)


def show_scaling(options):
    """Measured on every core of this machine, then the model for more."""
    if options.rounds:
        program = ROOT / "build" / "release" / "bench" / "scenario" / "worker_bench"
        if not program.exists():
            sys.exit(f"lab: {program} is not built; scripts/dev build worker_bench")
        for line in scaling.lines_of_measured(scaling.measure(program, rounds=options.rounds)):
            print(line)
        print()
    for line in scaling.lines_of_model(options.worker_ns, options.device_ns, options.flows, options.entries, options.gbit):
        print(line)


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
        one.add_argument("--profile", action="store_true", default=name == "full", help="sample Penstock's core (perf)")
        one.add_argument("--out", help="folder of the result files")
        one.add_argument("--no-build", action="store_true", help="use what is built")
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
