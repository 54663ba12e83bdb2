"""runner.py - plays a plan: a fresh bed per turn, idle first, then each load under the CPU meter.

Errors    a device that does not start, or a load that fails, is recorded in its cell and the run goes on; the
          namespaces and processes of a turn are gone before the next one begins.
Limits    a turn ends with its loads' own time-outs; a budget ends the run between two rounds.
"""
import datetime
import subprocess
import time

from . import duts, machine, plan, profile
from .formats import figure
from .procs import LoadError
from .results import FORMAT, Results
from .topology import Bed

FAILURES = (LoadError, RuntimeError, OSError, TimeoutError, ValueError, KeyError, AttributeError, subprocess.SubprocessError)

PROFILE_SECONDS = 3


class Runner:
    def __init__(self, parties, groups, say, clock=time.monotonic):
        self.parties, self.groups, self.say, self.clock = parties, groups, say, clock

    def start(self, mode, devices, loads, rounds, seconds):
        self.seconds = seconds
        cores = {party: sorted(cores) for party, cores in self.parties.cores.items()}
        self.data = {
            "format": FORMAT, "created": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"), "mode": mode,
            "machine": machine.describe(), "plan": {"rounds": rounds, "seconds": seconds, "cores": cores},
            "devices": {device.name: {"title": device.title, "kind": device.kind, "notes": device.notes()} for device in devices},
            "loads": {load.name: {"title": load.title, "operation": load.operation, "offloads": load.offloads, "curve": load.curve,
                                  "metrics": [{"name": m.name, "unit": m.unit, "better": m.better, "headline": m.headline}
                                              for m in load.metrics]} for load in loads},
            "cells": [], "idle": [], "profiles": []}

    def run(self, mode, devices, loads, rounds, seconds, budget, profiles=False):
        """All rounds that fit into the budget; the Results."""
        self.start(mode, devices, loads, rounds, seconds)
        turns = plan.turns(devices, loads, rounds)
        progress = plan.Progress(turns, seconds, self.clock)
        begun = -1
        for number, turn in enumerate(turns, 1):
            if turn.round != begun:
                in_round = sum(other.round == turn.round for other in turns)
                if begun >= 0 and not progress.round_fits(in_round, budget):
                    self.say(f"time is up after {begun + 1} of {rounds} rounds")
                    break
                begun = turn.round
            self.say(f"[{number}/{len(turns)}] round {turn.round + 1}: {turn.device.name:18} {plan.minutes(progress.left())} left")
            self.turn(turn)
            progress.finished()
        if profiles:
            self.profiles(devices, loads)
        self.data["plan"]["rounds_done"] = begun + 1
        self.data["plan"]["took_seconds"] = round(self.clock() - progress.start, 1)
        return Results(self.data)

    def turn(self, turn):
        device = duts.make(turn.device.name)  # a fresh one: no state from the round before
        try:
            with Bed(self.parties, name="lab") as bed:
                if device.flat:
                    bed.flatten()
                if device.offloads == "off":
                    bed.use_offloads("off")
                device.start(bed)
                self.idle(turn, bed, device)
                for load in turn.loads:
                    if device.offloads is None:
                        bed.use_offloads(load.offloads)
                    self.cell(turn, bed, device, load)
        except FAILURES as error:
            done = {cell["load"] for cell in self.data["cells"]
                    if cell["round"] == turn.round and cell["device"] == device.name}
            for load in turn.loads:
                if load.name not in done:
                    self.record(turn, load, error=f"{type(error).__name__}: {error}"[:500])
            self.say(f"    {device.name}: {type(error).__name__}: {str(error)[:200]}")

    def profiles(self, devices, loads):
        """One more turn for each device of ours, under the first load that fits."""
        for chosen in devices:
            fitting = plan.loads_for(chosen, loads)
            if not chosen.name.startswith("penstock") or not fitting or not profile.available():
                continue
            device = duts.make(chosen.name)
            self.say(f"profile of {device.name} under {fitting[0].name}")
            try:
                with Bed(self.parties, name="lab") as bed:
                    device.start(bed)
                    self.data["profiles"].append(profile.take(bed, device, fitting[0], PROFILE_SECONDS))
            except FAILURES as error:
                self.say(f"    no profile: {str(error)[:150]}")

    def idle(self, turn, bed, device):
        time.sleep(0.3)
        meter = bed.meter()
        time.sleep(plan.IDLE_SECONDS)
        cpu = meter.since()
        self.data["idle"].append({"device": device.name, "round": turn.round,
                                  "device_percent": 100 * cpu["device_process"] / cpu["seconds"],
                                  "machine_percent": 100 * (cpu["busy"] - cpu["foreign"] - cpu["lab"]) / cpu["seconds"], "cpu": cpu})

    def cell(self, turn, bed, device, load):
        try:
            load.prepare(bed, device)
            meter = bed.meter()
            values = load.run(bed, device, self.seconds)
            cpu = values.pop("cpu", None) or meter.since()
        except FAILURES as error:
            self.record(turn, load, error=f"{type(error).__name__}: {error}"[:500])
            self.say(f"    {load.name:16} failed: {str(error)[:150]}")
            return
        self.record(turn, load, values=values, cpu=cpu)
        head = next(metric for metric in load.metrics if metric.headline)
        self.say(f"    {load.name:16} {figure(values[head.name], head.unit)}")

    def record(self, turn, load, values=None, cpu=None, error=None):
        self.data["cells"].append({"device": turn.device.name, "load": load.name, "round": turn.round, "values": values or {},
                                   "cpu": cpu or {}, "error": error})
