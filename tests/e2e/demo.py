"""demo - Penstock between a real client and real servers, in three network namespaces of this machine.

Usage   scripts/demo                builds what is missing, shows everything, cleans up; exit 0 only if every check held
        scripts/demo --keep         the same, and leaves it running for you to try
        scripts/demo --only STEP    this step (may be repeated) instead of all
        scripts/demo --stop         ends what --keep left
Needs   root on Debian 12. Touches nothing outside its own namespaces and /run/penstock-demo.
"""
import argparse
import collections
import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.dont_write_bytecode = True
sys.path.insert(0, str(HERE))

import lab as lab_module  # noqa: E402
import servers  # noqa: E402
from lab import VIP4, VIP6, Lab, Namespace, server4, server6, wait_for  # noqa: E402
from traffic import EchoStreams, Prober, dig, http_get, server_name, wrk  # noqa: E402

DIRECTORY = pathlib.Path("/run/penstock-demo")
WEIGHTS = {"web1": 10, "web2": 20, "web3": 30}
TURNED = {"web1": 30, "web2": 20, "web3": 10}
GAP_MAX_MS, FAST_PATH_MAX_S, IDLE_MAX_PERCENT = 200, 3.0, 2.0
PICTURE = """
   psk-client            psk-node                          psk-servers
  +----------+  veth  +------------------------------+  veth  +-----------------+
  | curl wrk |--------| XDP -> AF_XDP -> DPDK worker |--------| nginx web1..3   |
  | dig echo |        |   `-> kernel, if we are away |        | dnsmasq dns1..2 |
  +----------+        +------------------------------+        +-----------------+
   10.10.1.2            service addresses                       10.10.2.11 .. 13
   fd10:1::2            10.96.0.10  fd10:96::10                 fd10:2::11 .. 13
"""


class Screen:
    """Steps, lines and checks; colours only on a terminal."""

    def __init__(self):
        self.colours = sys.stdout.isatty()
        self.checks = []

    def paint(self, code, text):
        return f"\033[{code}m{text}\033[0m" if self.colours else text

    def step(self, text):
        print(f"\n{self.paint('1', '== ' + text)}", flush=True)

    def line(self, text=""):
        print(f"   {text}" if text else "", flush=True)

    def check(self, what, held, figure=""):
        self.checks.append((what, bool(held), str(figure)))
        word = self.paint("32", "ok    ") if held else self.paint("31", "FAILED")
        print(f"   {word} {what}{': ' + str(figure) if figure != '' else ''}", flush=True)

    def summary(self):
        self.step("Summary")
        for what, held, figure in self.checks:
            word = self.paint("32", "ok    ") if held else self.paint("31", "FAILED")
            print(f"   {word} {what:58} {figure}")
        failed = sum(not held for _what, held, _figure in self.checks)
        print(f"\n   {len(self.checks) - failed} checks held, {failed} failed")
        return failed == 0


screen = Screen()


def prepare():
    """Packages and a build; nothing to do when PENSTOCK_BUILD names one."""
    if "PENSTOCK_BUILD" in os.environ:
        return
    screen.step("Packages and build (only what is missing)")
    subprocess.run([ROOT / "scripts" / "setup"], check=True)
    build = ROOT / "build" / "release"
    if not (build / "build.ninja").exists():
        subprocess.run(["cmake", "--preset", "release"], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["cmake", "--build", build, "-j", str(os.cpu_count()), "--target", "penstockd", "penstock",
                    "penstock-dataplane"], check=True)


def start_servers(lab):
    for index, port in ((1, 8080), (2, 8080), (3, 8081)):
        servers.nginx(lab, f"web{index}", [server4(index), server6(index)], port)
    for index in (1, 2):
        servers.dns(lab, f"dns{index}", [server4(index)], 53)
    servers.echo(lab, {f"echo{index}": [(server4(index), 7000)] for index in (1, 2)})
    screen.line("nginx web1 web2 web3, dnsmasq dns1 dns2 and an echo server are up")


def configuration(lab, weights):
    """docs/guide/example.yaml with these weights for the web servers."""
    text = (ROOT / "docs" / "guide" / "example.yaml").read_text()
    text = text.replace("/run/penstock-demo/run", str(lab.runtime_dir))
    for index, name in enumerate(sorted(weights), 1):
        text = re.sub(rf"({re.escape(server4(index))}|{re.escape(server6(index))})(\"?, port: 808\d, weight: )\d+",
                      rf"\g<1>\g<2>{weights[name]}", text)
    return text


def show_spread(counts, weights):
    """One bar per server; the largest distance from the share that its weight asks for, in points."""
    total, weight_sum, worst = sum(counts.values()), sum(weights.values()), 0.0
    for name, weight in sorted(weights.items()):
        share, wanted = 100 * counts[name] / total, 100 * weight / weight_sum
        worst = max(worst, abs(share - wanted))
        screen.line(f"{name}  {'#' * round(share / 2):32} {counts[name]:5}  {share:5.1f} %  (weight asks for {wanted:4.1f} %)")
    return worst


def listener(status, name):
    return next(row for row in status["listeners"] if row["name"] == name)


def steered(status):
    return sum(port["steered_frames"] for port in status["ports"])


def steered_to_services(status):
    return sum(port["reasons"]["redirected_service"] for port in status["ports"])


def forwarded(status):
    return sum(port["reasons"]["forwarded"] for port in status["ports"])


def passed(status):
    return sum(port["passed_frames"] for port in status["ports"])


def frames(status):
    return sum(worker["frames_total"] for worker in status["workers"])


def busy_ns(status):
    return 1e9 * sum(worker["busy_seconds_total"] for worker in status["workers"])


def show_start(lab):
    screen.step("penstockd starts in psk-node with docs/guide/example.yaml")
    start = time.monotonic()
    lab.start_daemon(configuration(lab, WEIGHTS))
    screen.check("penstockd is ready", True, f"{time.monotonic() - start:.2f} s after its start")
    for row in lab.cli("status", check=False).stdout.rstrip().splitlines():
        screen.line(row)
    screen.check("status says ok", lab.status()["verdict"] == "ok", lab.status()["reasons"] or "")


def show_http(lab):
    screen.step("HTTP through XDP, AF_XDP and DPDK: 600 new connections")
    done = lab.client.run("curl", "-sS", "-g", f"http://{VIP4}/", f"http://[{VIP6}]/")
    screen.line(f"curl http://{VIP4}/ http://[{VIP6}]/  ->  {', '.join(done.stdout.split(chr(10))[:2])}")
    for address, name in ((VIP4, "web"), (VIP6, "web6")):
        before = lab.status()
        counts = collections.Counter(server_name(lab.client, address, 80)[0] for _ in range(300))
        after = lab.status()
        forwarding = listener(after, name)["forwarding"]
        screen.line(f"{address} ({forwarding}, tier {listener(after, name)['tier']})")
        worst = show_spread(counts, WEIGHTS)
        screen.check(f"{name}: connections follow the weights", worst < 12, f"at most {worst:.1f} points off")
        flows = listener(after, name)["flows_total"] - listener(before, name)["flows_total"]
        screen.check(f"{name}: every connection was balanced by the dataplane", flows == 300, f"{flows} of 300")
        screen.line(f"frames steered {steered(after) - steered(before)}, passed to the kernel {passed(after) - passed(before)}")


def show_dns(lab):
    screen.step("DNS over UDP: 200 queries")
    before = lab.status()
    screen.line(f"dig @{VIP4} whoami.test TXT  ->  {dig(lab.client, VIP4, 53)}")
    counts = collections.Counter()
    query = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x06whoami\x04test\0\0\x10\0\x01"
    for _ in range(200):
        with contextlib.closing(lab.client.socket(kind=lab_module.socket.SOCK_DGRAM)) as client:
            client.settimeout(2)
            client.connect((VIP4, 53))
            client.send(query)
            counts[client.recv(512)[-4:].decode()] += 1
    worst = show_spread(counts, {"dns1": 1, "dns2": 1})
    screen.check("queries are answered by both servers evenly", worst < 15, f"at most {worst:.1f} points off")
    queries = steered_to_services(lab.status()) - steered_to_services(before)
    screen.check("every query went through the dataplane", queries >= 200, f"{queries} steered")


def show_load(lab):
    screen.step("Load: wrk, 32 keep-alive connections, 5 s")
    result = {}
    thread = threading.Thread(target=lambda: result.update(wrk(lab.client, f"http://{VIP4}/", 5)), daemon=True)
    first = last = lab.status()
    thread.start()
    while thread.is_alive():
        thread.join(1)
        now = lab.status()
        count = frames(now) - frames(last)
        if thread.is_alive() and count:
            cpu = [worker["thread_cpu_percent"] for worker in now["workers"]]
            screen.line(f"{steered(now) - steered(last):8} frames steered  {passed(now) - passed(last):4} passed  "
                        f"{(busy_ns(now) - busy_ns(last)) / count:6.0f} ns per packet  worker CPU "
                        f"{' '.join(f'{value:.0f} %' for value in cpu if value is not None)}")
        last = now
    count = frames(last) - frames(first)
    nanoseconds = (busy_ns(last) - busy_ns(first)) / max(count, 1)
    screen.check("wrk had no error", result.get("errors") == 0,
                 f"{result['requests']} requests, {result['rate']:.0f}/s, p50 {result['p50']}, p99 {result['p99']}")
    screen.check("the fast path carried the load", count > 2 * result["requests"],
                 f"{count} packets, {nanoseconds:.0f} ns each, device kicks included")


def show_reload(lab):
    screen.step("Weights are turned round under load")
    with EchoStreams(lab.client, VIP4, 7, 20) as streams:
        with Prober(lab.client, VIP4, 80, interval=0.004) as prober:
            time.sleep(1)
            before = lab.status()["epochs"]["active"]
            start = time.monotonic()
            lab.write_config(configuration(lab, TURNED))
            lab.cli("apply", lab.config_path)
            took = time.monotonic() - start
            time.sleep(2.5)
        later = collections.Counter(a.server for a in prober.attempts if a.start > start + took and a.outcome == "ok")
        screen.line(f"penstock apply: epoch {before} -> {lab.status()['epochs']['active']} in {took * 1e3:.0f} ms")
        worst = show_spread(later, TURNED)
        screen.check("reload: new connections follow the new weights", worst < 12, f"at most {worst:.1f} points off")
        screen.check("reload: no request failed", not prober.failed(), f"{len(prober.failed())} of {len(prober.attempts)}")
        screen.check("reload: no established connection broke", not streams.broken(),
                     f"{len(streams.broken())} of 20, {streams.messages()} messages checked")
    lab.write_config(configuration(lab, WEIGHTS))
    lab.cli("apply", lab.config_path)


def show_kill(lab):
    screen.step("kill -9 of the dataplane under load")
    old = lab.dataplane_pid()
    with EchoStreams(lab.client, VIP4, 7, 20) as streams, Prober(lab.client, VIP4, 80, interval=0.005, timeout=6) as prober:
        time.sleep(1)
        moment = time.monotonic()
        os.kill(old, signal.SIGKILL)

        def back():
            with contextlib.suppress(OSError):
                now = lab.status()
                return now["dataplane"]["pid"] not in (0, old) and frames(now) > 20
            return False
        with contextlib.suppress(TimeoutError):
            wait_for(back, 15, "the fast path is back")
        returned = time.monotonic() - moment
        time.sleep(3)
        alive = streams.messages()
        time.sleep(1)
        progress = streams.messages() - alive
    restored = sum(worker["flows_restored_total"] for worker in lab.status()["workers"])
    gap = max(prober.first_success_after(moment), prober.gap_around(moment)) * 1e3
    by_kernel = sum(port["reasons"]["no_socket"] + port["reasons"]["kernel_flow"] for port in lab.status()["ports"])
    screen.line(f"meanwhile the kernel path served {by_kernel} frames of the services")
    screen.check("kill: new connections go on through the kernel", gap < GAP_MAX_MS, f"longest gap {gap:.0f} ms")
    screen.check("kill: the fast path is back", returned < FAST_PATH_MAX_S, f"after {returned:.2f} s, new process {lab.dataplane_pid()}")
    screen.check("kill: no request failed", not prober.failed(), f"{len(prober.failed())} of {len(prober.attempts)}")
    screen.check("kill: established connections survived", not streams.broken() and progress > 100,
                 f"{20 - len(streams.broken())} of 20, {restored} flows restored, longest wait {streams.worst():.2f} s")


def use_gro(lab, state):
    for space in (lab.client, lab.servers):
        space.run("ethtool", "-K", "eth0", "gro", state)


def show_forward(lab):
    screen.step("Tier X: with GRO on in the pods, the XDP program forwards hot connections by itself")
    use_gro(lab, "on")
    wait_for(lambda: all(port["redirect_target"] for port in lab.status()["ports"]), 5, "XDP can send to both ports")
    with EchoStreams(lab.client, VIP4, 7, 20, interval=0.02) as streams:
        def tiers():
            return collections.Counter(flow["tier"] for flow in lab.api_json("GET", "/v1/flows?service=echo&limit=1000")["flows"])
        with contextlib.suppress(TimeoutError):
            wait_for(lambda: tiers()["xdp"] >= 20, 5, "20 flows are in tier X")
        screen.check("20 established connections sank", tiers()["xdp"] >= 20, ", ".join(f"{count} {tier}" for tier, count in tiers().items()))
        before = lab.status()
        result = wrk(lab.client, f"http://{VIP4}/", 3)
        after = lab.status()
        by_xdp, by_worker = (count(after) - count(before) for count in (forwarded, frames))
        screen.check("wrk had no error", result["errors"] == 0, f"{result['requests']} requests, {result['rate']:.0f}/s, p50 {result['p50']}, p99 {result['p99']}")
        screen.check("the XDP program carried it", by_xdp > by_worker, f"{by_xdp} packets, {by_worker} by the worker")
        old = lab.dataplane_pid()
        alive = streams.messages()
        os.kill(old, signal.SIGKILL)
        wait_for(lambda: lab.dataplane_pid() not in (None, old), 15, "another dataplane runs")
        time.sleep(2)
        screen.check("kill: connections in tier X did not notice", not streams.broken() and streams.worst() * 1e3 < GAP_MAX_MS,
                     f"longest wait {streams.worst() * 1e3:.0f} ms, {streams.messages() - alive} messages checked meanwhile")
    use_gro(lab, "off")


def show_idle(lab):
    screen.step("Idle: nothing is sent for 5 s")
    time.sleep(1)
    first = lab.status()
    time.sleep(5)
    last = lab.status()
    percent = [worker["thread_cpu_percent"] for worker in last["workers"]]
    slept = sum(b["sleep_seconds_total"] - a["sleep_seconds_total"]
                for a, b in zip(first["workers"], last["workers"])) / 0.05 / len(percent)
    figure = max((value for value in percent if value is not None), default=100.0)
    screen.check("an idle worker costs next to nothing", figure < IDLE_MAX_PERCENT,
                 f"{figure:.2f} % of a core, asleep {min(slept, 100):.1f} % of the time")


def names_and_directory():
    existing = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True).stdout.split()
    names = ["psk-client", "psk-node", "psk-servers"]
    if DIRECTORY.exists() or any(name in existing for name in names):
        return [f"{name}-{os.getpid()}" for name in names], pathlib.Path(f"{DIRECTORY}-{os.getpid()}")
    return names, DIRECTORY


def keep(lab):
    state = {"names": [space.name for space in lab.namespaces], "daemon": lab.daemon.pid}
    (lab.directory / "state.json").write_text(json.dumps(state))
    lab.keep()
    penstock = f"{lab_module.binary('penstock')} --socket {lab.socket_path}"
    screen.step("Left running; try")
    for text in (f"{penstock} status", f"{penstock} flows", f"{penstock} --help",
                 f"ip netns exec {lab.client.name} curl http://{VIP4}/",
                 f"ip netns exec {lab.client.name} wrk -c 32 -d 5s http://{VIP4}/",
                 f"ip netns exec {lab.node.name} curl -s http://127.0.0.1:9464/metrics",
                 f"$EDITOR {lab.config_path} && {penstock} apply {lab.config_path}", "scripts/demo --stop      (ends all of it)"):
        screen.line(text)


def stop():
    """Ends every demo that --keep left: the recorded daemon if it still is one, then its namespaces."""
    found = sorted(DIRECTORY.parent.glob(f"{DIRECTORY.name}*/state.json"))
    for state_file in found:
        state = json.loads(state_file.read_text())
        pid = state["daemon"]
        with contextlib.suppress(OSError):
            if os.path.basename(os.readlink(f"/proc/{pid}/exe")).startswith("penstockd"):
                os.kill(pid, signal.SIGTERM)
                with contextlib.suppress(TimeoutError):
                    wait_for(lambda: not os.path.exists(f"/proc/{pid}"), 15, "penstockd ends")
        for name in state["names"]:
            Namespace.existing(name).delete()
        lab_module.unmount_below(state_file.parent)
        shutil.rmtree(state_file.parent, ignore_errors=True)
        print(f"stopped: {', '.join(state['names'])}")
    if not found:
        print("nothing was left running")


STEPS = {"http": show_http, "dns": show_dns, "load": show_load, "reload": show_reload, "kill": show_kill,
         "forward": show_forward, "idle": show_idle}


def show_everything(keep_it, steps):
    names, directory = names_and_directory()
    print(PICTURE)
    with Lab("demo", names=names, runtime_dir=directory) as lab:
        screen.step("Namespaces and servers")
        screen.line(f"{', '.join(names)}; logs in {directory}")
        start_servers(lab)
        show_start(lab)
        for name in steps:
            try:
                STEPS[name](lab)
            except (OSError, RuntimeError, KeyError, ValueError, TimeoutError) as error:
                screen.check(f"step {name}", False, f"{type(error).__name__}: {error}")
        if keep_it:
            held = screen.summary()
            keep(lab)
            return held
        code = lab.stop_daemon()
        screen.step("penstockd is stopped")
        left = lab.node.run("nft", "list", "tables").stdout.strip()
        screen.check("it left nothing behind", code == 0 and not left and lab.dataplane_pid() is None,
                     f"exit code {code}" + (f", {left}" if left else ""))
    return screen.summary()


def main():
    parser = argparse.ArgumentParser(prog="scripts/demo", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keep", action="store_true", help="leave it running")
    parser.add_argument("--only", action="append", choices=STEPS, metavar="STEP", help=f"one of {', '.join(STEPS)}")
    parser.add_argument("--stop", action="store_true", help="end what --keep left")
    options = parser.parse_args()
    if os.getuid() != 0:
        sys.exit("demo: needs root (network namespaces, XDP)")
    lab_module.end_on_signals()
    if options.stop:
        stop()
        return
    prepare()
    sys.exit(0 if show_everything(options.keep, options.only or list(STEPS)) else 1)


if __name__ == "__main__":
    main()
