"""runner.py - plays a plan: a fresh bed per turn, idle first, then each load under the CPU meter.

Model     the run is the data of its result file: run() plays the turns that the data does not hold yet, and hands the data
          to keep() after each, so that a run may end anywhere and go on later (sittings).
Errors    a device that does not start, or a load that fails, is recorded in its cell and the run goes on; the
          namespaces and processes of a turn are gone before the next one begins.
Noise     what was disturbed (results.py) is measured once more at once, while the device still runs, at most TRIES times and as far as
          the budget goes; the least disturbed try counts. When all is done, turns that were disturbed are played once more
Limits    a turn ends with its loads' own time-outs; a budget ends the run between two rounds, an allowance the sitting
          between two turns.
"""
import datetime
import math
import subprocess
import time

from . import duts, loads as catalogue, machine, parts, plan, profile
from .formats import figure
from .procs import LoadError
from .results import FORMAT, Results
from .targets import missed_places
from .topology import Bed

TRIES = 3
FAILURES = (LoadError, RuntimeError, OSError, TimeoutError, ValueError, KeyError, AttributeError, subprocess.SubprocessError)


def now():
    return datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")


def fresh(mode, devices, loads, rounds, seconds, budget, profiles, cores, with_parts=False):
    """The data of a run that has not begun."""
    return {
        "format": FORMAT, "created": now(), "mode": mode, "machine": machine.describe(),
        "plan": {"rounds": rounds, "seconds": seconds, "budget": budget, "profiles": profiles, "parts": with_parts,
                 "rounds_done": 0, "took_seconds": 0.0, "finished": False, "turns_done": [], "sittings": [],
                 "cores": {party: sorted(own) for party, own in cores.items()}},
        "devices": {device.name: {"title": device.title, "kind": device.kind, "notes": device.notes()} for device in devices},
        "loads": {load.name: {"title": load.title, "operation": load.operation, "offloads": load.offloads, "curve": load.curve, "tells_cpu": load.tells_cpu,
                              "metrics": [{"name": m.name, "unit": m.unit, "better": m.better, "headline": m.headline}
                                          for m in load.metrics]} for load in loads},
        "skipped": plan.skipped(devices, loads), "cells": [], "idle": [], "profiles": [], "parts": {}}


def turns_of(data):
    """(every turn, those that are still to be played)."""
    every = plan.turns([duts.make(name) for name in data["devices"]], [catalogue.find(name) for name in data["loads"]],
                       data["plan"]["rounds"])
    done = {tuple(key) for key in data["plan"]["turns_done"]}
    return every, [turn for turn in every if (turn.round, turn.device.name) not in done]


def disturbed(data):
    """{(round, device)} of every turn in which something disturbed a measurement (results.py)."""
    results = Results(data)
    return {(cell["round"], cell["device"]) for cell in data["cells"] if results.trouble(cell)}


def forget(data, turns):
    """Takes out whatever was measured in them, so that they are played again."""
    for name in ("cells", "idle"):
        data[name] = [row for row in data[name] if (row["round"], row["device"]) not in turns]
    data["plan"]["turns_done"] = [key for key in data["plan"]["turns_done"] if tuple(key) not in turns]


def forget_disturbed(data):
    """Every disturbed turn is to be played again; how many."""
    turns = disturbed(data)
    forget(data, turns)
    data["plan"].update(finished=False, again=[], budget=data["plan"]["budget"] + data["plan"]["took_seconds"])
    return len(turns)


class Runner:
    def __init__(self, parties, groups, say, keep, clock=time.monotonic):
        self.parties, self.groups, self.say, self.keep, self.clock = parties, groups, say, keep, clock

    def run(self, data, allowance=None):
        """Plays what is missing, at most for `allowance` seconds; Results. data["plan"]["finished"] tells whether all is done."""
        self.data, self.plan, self.seconds = data, data["plan"], data["plan"]["seconds"]
        begun, before = self.clock(), self.plan["took_seconds"]
        self.plan["sittings"].append(now())
        every, left = turns_of(data)
        progress = plan.Progress(left, self.seconds, self.clock)
        self.progress = progress
        self.spare = lambda: min(self.plan["budget"] - before - (self.clock() - begun) - progress.left(),
                                 (allowance or math.inf) - (self.clock() - begun) - progress.turn_left())
        for turn in left:
            number = len(self.plan["turns_done"]) + 1
            if self.over(turn, left, progress, before):
                self.say(f"time is up after {self.plan['rounds_done']} of {self.plan['rounds']} rounds")
                break
            if allowance and self.clock() - begun + progress.next_seconds() > allowance:
                return Results(data)
            self.say(f"[{number}/{len(every)}] round {turn.round + 1}: {turn.device.name:18} {plan.minutes(progress.left())} left")
            self.turn(turn)
            progress.finished()
            self.plan["turns_done"].append([turn.round, turn.device.name])
            self.plan["rounds_done"] = min((turn.round for turn in turns_of(data)[1]), default=self.plan["rounds"])
            self.plan["took_seconds"] = round(before + self.clock() - begun, 1)
            self.keep(data)
        if not self.again(progress.pace(), begun, before, allowance):
            return Results(data)
        self.plan["finished"] = (not self.plan["profiles"] or self.profiles(begun, allowance)) and self.parts(begun, allowance)
        self.plan["took_seconds"] = round(before + self.clock() - begun, 1)
        self.keep(data)
        return Results(data)

    def again(self, pace, begun, before, allowance):
        """Once more what was disturbed, as far as the budget goes, each turn once; False when the sitting is over before."""
        played = self.plan.setdefault("again", [])
        self.spare = lambda: 0.0  # what would repeat a load would cost another its turn
        hurt = disturbed(self.data)
        for turn in turns_of(self.data)[0]:
            key, takes = (turn.round, turn.device.name), plan.turn_seconds(turn, self.seconds) * pace
            if key not in hurt or list(key) in played:
                continue
            if before + self.clock() - begun + takes > self.plan["budget"]:
                break
            if allowance and self.clock() - begun + takes > allowance:
                return False
            self.say(f"again, since it was disturbed: round {turn.round + 1}, {turn.device.name}")
            forget(self.data, {key})
            self.turn(turn)
            self.plan["turns_done"].append(list(key))
            played.append(list(key))
            self.plan["took_seconds"] = round(before + self.clock() - begun, 1)
            self.keep(self.data)
        return True

    def parts(self, begun, allowance):
        """Benches of single parts, for a run that wants them; False when time ran out before the last."""
        for step in parts.steps() if self.plan.get("parts") else ():
            if step in self.data["parts"]:
                continue
            if allowance and self.clock() - begun + parts.STEP_SECONDS > allowance:
                return False
            self.say(f"single parts: {step}")
            self.data["parts"][step] = self.part(step)
            self.keep(self.data)
        return True

    def part(self, step):
        try:
            return parts.measure(step)
        except FAILURES as error:
            self.say(f"    failed: {str(error)[:150]}")
            return {}

    def over(self, turn, left, progress, before):
        """Would the round that begins with this turn end later than the budget? The first round is always played."""
        begun = any(done[0] == turn.round for done in self.plan["turns_done"])
        in_round = sum(other.round == turn.round for other in left)
        return turn.round > 0 and not begun and not progress.round_fits(in_round, self.plan["budget"] - before)

    def turn(self, turn):
        for index, loads in enumerate(plan.beds(turn.loads)):
            self.on_a_bed(turn, loads, idle=index == 0)

    def on_a_bed(self, turn, loads, idle):
        device = duts.make(turn.device.name)  # a fresh one: no state from the bed before
        try:
            with Bed(self.parties, name="lab") as bed:
                self.stand(bed, device)
                if idle:
                    self.idle(turn, bed, device)
                for load in loads:
                    if device.offloads is None:
                        bed.use_offloads(load.offloads)
                    self.cell(turn, bed, device, load)
        except FAILURES as error:
            done = {cell["load"] for cell in self.data["cells"]
                    if cell["round"] == turn.round and cell["device"] == device.name}
            for load in loads:
                if load.name not in done:
                    self.data["cells"].append(self.row(turn, load, error=f"{type(error).__name__}: {error}"[:500]))
            self.say(f"    {device.name}: {type(error).__name__}: {str(error)[:200]}")

    @staticmethod
    def stand(bed, device):
        if device.flat:
            bed.flatten()
        if device.gro_at_ends:
            bed.use_gro_at_ends()
        if device.offloads == "off":
            bed.use_offloads("off")
        device.start(bed)

    def profiles(self, begun, allowance):
        """A profile of every place where a target was missed; False when time ran out before the last."""
        have = {(row["device"], row["load"]) for row in self.data["profiles"]}
        for name, load in missed_places(Results(self.data))[:self.plan["profiles"]]:
            if (name, load) in have:
                continue
            if allowance and self.clock() - begun + plan.PROFILE_SECONDS > allowance:
                return False
            self.say(f"profile of {name} under {load}")
            self.data["profiles"].append(self.profile(name, load))
        return True

    def profile(self, name, load):
        device = duts.make(name)
        try:
            with Bed(self.parties, name="lab") as bed:
                self.stand(bed, device)
                return profile.take(bed, device, None if load == profile.IDLE else catalogue.find(load))
        except FAILURES as error:
            self.say(f"    no profile: {str(error)[:150]}")
            return {"device": name, "load": load, "symbols": [], "how": f"no profile: {str(error)[:200]}"}

    def idle(self, turn, bed, device):
        time.sleep(0.3)
        meter = bed.meter()
        time.sleep(plan.IDLE_SECONDS)
        cpu = meter.since()
        self.data["idle"].append({"device": device.name, "round": turn.round,
                                  "device_percent": 100 * cpu["device_process"] / cpu["seconds"],
                                  "machine_percent": 100 * (cpu["busy"] - cpu["foreign"] - cpu["lab"]) / cpu["seconds"], "cpu": cpu})

    def cell(self, turn, bed, device, load):
        results, tries, error = Results(self.data), [], None
        try:
            tries.append(self.measured(turn, bed, device, load))
            while not load.once and len(tries) < TRIES and results.trouble(tries[-1]) and self.spare() >= load.overhead + self.seconds:
                begun = self.clock()
                tries.append(self.measured(turn, bed, device, load))
                self.progress.repeated += self.clock() - begun
        except FAILURES as failure:
            error = f"{type(failure).__name__}: {failure}"[:500]
            self.say(f"    {load.name:16} {'once more ' if tries else ''}failed: {str(failure)[:150]}")
        if not tries:
            self.data["cells"].append(self.row(turn, load, error=error))
            return
        best = min(tries, key=results.disturbance)
        self.data["cells"].append({**best, "tries": len(tries)})
        head = next(metric for metric in load.metrics if metric.headline)
        trouble = results.trouble(best)
        self.say(f"    {load.name:16} {figure(best['values'][head.name], head.unit)}{'; ' + trouble if trouble else ''}")

    def measured(self, turn, bed, device, load):
        """One try, as a cell."""
        load.prepare(bed, device)
        frames, meter = bed.frames(), bed.meter()
        values = load.run(bed, device, self.seconds)
        cpu = values.pop("cpu", None) or meter.since()
        values.setdefault("frames", (bed.frames() - frames) / values["operations"])
        return self.row(turn, load, values=values, cpu=cpu)

    @staticmethod
    def row(turn, load, values=None, cpu=None, error=None):
        return {"device": turn.device.name, "load": load.name, "round": turn.round, "values": values or {}, "cpu": cpu or {}, "error": error}
