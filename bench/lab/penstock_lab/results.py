"""results.py - the result file: one JSON object, raw figures of every round, and how to read them.

Shape     {"format": 1, "created", "mode", "machine", "plan", "devices": {name: {title, kind, notes}},
           "loads": {name: {title, operation, metrics, curve}}, "cells": [{device, load, round, values, cpu, error, tries}],
           "idle": [{device, round, percent..}], "profiles": [...]}
Derived   CPU seconds per operation, at the usual pace of this device under this load (pace.py): a second on cores that were slower by
          a third counts three quarters of one. cost_machine: all of it, without the lab and foreign processes; cost_added: that, less
          the same of the row without a device (`direct`) in the same round, or the usual one where that round does not count; cost_device: without client and servers;
          cost_softirq: the part of all that ran in softirqs, whoever was charged
Rounds    a cell is disturbed when other processes took more than stats.FOREIGN_MAX of the machine, or its cores were slower than
          usual by more than stats.SLOW_MAX. Usual is one device's under one load: what a device does slows cores as well, where two of
          them share a real one. Disturbed cells are left out where stats.ROUNDS_MIN others are there
"""
import json
import pathlib
import statistics

from . import stats

FORMAT = 1
BASE = "direct"
COSTS = {"cost_machine": "ours", "cost_device": "device", "cost_softirq": "softirq"}
COST_METRICS = ({"name": "cost_machine", "unit": "s", "better": "lower", "title": "CPU per {op}, whole machine"},
                {"name": "cost_added", "unit": "s", "better": "lower", "title": "CPU per {op}, more than without a device"},
                {"name": "cost_device", "unit": "s", "better": "lower", "title": "CPU per {op}, not charged to client or servers"},
                {"name": "cost_softirq", "unit": "s", "better": "lower", "title": "of the machine's, in softirqs (sampled)"})


class Results:
    def __init__(self, data):
        if data.get("format") != FORMAT:
            raise ValueError(f"format {data.get('format')}: this lab reads {FORMAT}")
        self.data, self._usual = data, (0, {})

    @classmethod
    def read(cls, path):
        try:
            return cls(json.loads(pathlib.Path(path).read_text()))
        except (OSError, json.JSONDecodeError) as error:
            raise ValueError(f"{path}: {error}") from None

    def write(self, path):
        """All of it or nothing: whoever reads, or is interrupted, finds a whole file."""
        fresh = pathlib.Path(f"{path}.new")
        fresh.write_text(json.dumps(self.data, indent=1))
        fresh.replace(path)

    def devices(self):
        return self.data["devices"]

    def loads(self):
        return self.data["loads"]

    def metrics(self, load):
        return [*self.loads()[load]["metrics"], *(COST_METRICS if self.tells_cpu(load) else ())]

    def tells_cpu(self, load):
        """Is CPU per operation worth a word?"""
        return self.loads()[load].get("tells_cpu", True)

    def headline(self, load):
        return next(metric for metric in self.loads()[load]["metrics"] if metric["headline"])

    def cells(self, device, load):
        return [cell for cell in self.data["cells"] if cell["device"] == device and cell["load"] == load]

    def good(self, device, load):
        return [cell for cell in self.cells(device, load) if not cell.get("error")]

    def errors(self, device, load):
        return [cell["error"] for cell in self.cells(device, load) if cell.get("error")]

    def usual_pace(self, device, load):
        """Nanoseconds of a piece of work (pace.py); None where it was not measured."""
        cells = self.data["cells"]
        if self._usual[0] != len(cells):
            paces = {}
            for cell in cells:
                if cell["cpu"].get("pace"):
                    paces.setdefault((cell["device"], cell["load"]), []).append(cell["cpu"]["pace"])
            self._usual = len(cells), {key: stats.usual(found) for key, found in paces.items()}
        return self._usual[1].get((device, load))

    def trouble(self, cell):
        """What disturbed this measurement; empty when nothing did."""
        share, slower = self.foreign_of(cell), self.slower_by(cell)
        if share > stats.FOREIGN_MAX:
            return f"other processes took {share:.0%} of the machine"
        return f"the machine's cores were {slower:.0%} slower" if slower > stats.SLOW_MAX else ""

    def disturbance(self, cell):
        """How much; above 1 is trouble."""
        return max(self.foreign_of(cell) / stats.FOREIGN_MAX, self.slower_by(cell) / stats.SLOW_MAX)

    @staticmethod
    def foreign_of(cell):
        """Share of the machine that foreign processes took."""
        cpu = cell["cpu"]
        return cpu["foreign"] / (cpu["seconds"] * cpu["cores"]) if cpu and cpu["seconds"] else 0.0

    def slower_by(self, cell):
        """How much slower than usual the machine's cores were; 0 where that is not known."""
        pace, usual = cell["cpu"].get("pace"), self.usual_pace(cell["device"], cell["load"])
        return pace / usual - 1 if pace and usual else 0.0

    def counted(self, device, load):
        """Cells that succeeded; without the disturbed ones, where enough are left."""
        good = self.good(device, load)
        quiet = [cell for cell in good if not self.trouble(cell)]
        return quiet if len(quiet) >= stats.ROUNDS_MIN else good

    def left_out(self, device, load):
        """How many rounds do not count."""
        return len(self.good(device, load)) - len(self.counted(device, load))

    def troubles(self, device, load, metric):
        """What forbids a verdict: others at work in one of the rounds that count, or slow cores in most of them, unless the metric allows
        for their pace. Fewer such rounds show as spread."""
        cells = self.counted(device, load)
        share, slower = (max(map(self.foreign_of, cells)), stats.median([*map(self.slower_by, cells)])) if cells else (0.0, 0.0)
        if share > stats.FOREIGN_MAX:
            return f"other processes took {share:.0%} of the machine in a round"
        slow = slower > stats.SLOW_MAX and not metric.startswith("cost")
        return f"the machine's cores were {slower:.0%} slower than usual" if slow else ""

    def noise(self, device, load, metric):
        """Why nothing may be said about it; empty when something may."""
        return stats.noise(self.steadiness(device, load, metric), self.troubles(device, load, metric))

    def samples(self, device, load, metric):
        """One figure per round that counts."""
        if metric.startswith("cost") and not self.tells_cpu(load):
            return []
        if metric == "cost_added":
            return self.added(device, load)
        found = (self.value(cell, metric) for cell in self.counted(device, load))
        return [value for value in found if value is not None]

    def added(self, device, load):
        base = {cell["round"]: cost for cell in self.counted(BASE, load) if (cost := self.value(cell, "cost_machine")) is not None}
        if device == BASE or not base:
            return []
        usual = stats.median(list(base.values()))  # in place of a round that does not count
        return [self.value(cell, "cost_machine") - base.get(cell["round"], usual) for cell in self.counted(device, load)
                if cell["values"].get("operations")]

    def steadiness(self, device, load, metric):
        """The samples whose spread tells how steady the run was. A small difference of two large figures has a large
        relative spread of its own; that is what the significance test is for."""
        return self.samples(device, load, "cost_machine" if metric == "cost_added" else metric)

    def cost_metric(self, load):
        """The fairest cost that this run has."""
        return "cost_added" if self.good(BASE, load) else "cost_machine"

    def measured(self, load):
        """Devices that have at least one cell of this load, in the plan's order."""
        return [name for name in self.devices() if self.cells(name, load)]

    def foreign_share(self):
        """Share of the machine that foreign processes took, median over all cells."""
        shares = [self.foreign_of(cell) for cell in self.data["cells"] if cell["cpu"]]
        return statistics.median(shares) if shares else 0.0

    def value(self, cell, metric):
        if metric not in COSTS:
            return cell["values"].get(metric)
        operations = cell["values"].get("operations")
        return cell["cpu"][COSTS[metric]] / operations / (1 + self.slower_by(cell)) if operations else None

    def idle(self, device, name="device_percent"):
        return [row[name] for row in self.data["idle"] if row["device"] == device and name in row]
