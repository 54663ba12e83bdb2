"""results.py - the result file: one JSON object, raw figures of every round, and how to read them.

Shape     {"format": 1, "created", "mode", "machine", "plan", "devices": {name: {title, kind, notes}},
           "loads": {name: {title, operation, metrics, curve}}, "cells": [{device, load, round, values, cpu, error}],
           "idle": [{device, round, percent..}], "profiles": [...]}
Derived   CPU seconds per operation. cost_machine: all of it, without the lab and foreign processes; cost_added: that, less
          the same of the row without a device (`direct`) in the same round; cost_device: without client and servers;
          cost_softirq: the part of all that ran in softirqs, whoever was charged
"""
import json
import pathlib
import statistics

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
        self.data = data

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

    def samples(self, device, load, metric):
        """One figure per round that succeeded."""
        if metric.startswith("cost") and not self.tells_cpu(load):
            return []
        if metric == "cost_added":
            return self.added(device, load)
        found = (value_of(cell, metric) for cell in self.good(device, load))
        return [value for value in found if value is not None]

    def added(self, device, load):
        base = {cell["round"]: value_of(cell, "cost_machine") for cell in self.good(BASE, load)}
        if device == BASE:
            return []
        return [value_of(cell, "cost_machine") - base[cell["round"]] for cell in self.good(device, load)
                if base.get(cell["round"]) is not None and cell["values"].get("operations")]

    def steadiness(self, device, load, metric):
        """The samples whose spread tells how steady the run was. A small difference of two large figures has a large
        relative spread of its own; that is what the significance test is for."""
        return self.samples(device, load, "cost_machine" if metric == "cost_added" else metric)

    def cost_metric(self, load):
        """The fairest cost that this run has."""
        return "cost_added" if self.good(BASE, load) else "cost_machine"

    def foreign(self, device, load):
        """Share of the machine that foreign processes took, per round."""
        return [cell["cpu"]["foreign"] / (cell["cpu"]["seconds"] * cell["cpu"]["cores"])
                for cell in self.good(device, load) if cell["cpu"]["seconds"]]

    def measured(self, load):
        """Devices that have at least one cell of this load, in the plan's order."""
        return [name for name in self.devices() if self.cells(name, load)]

    def foreign_share(self):
        """Share of the machine that foreign processes took, median over all cells."""
        shares = [cell["cpu"]["foreign"] / (cell["cpu"]["seconds"] * cell["cpu"]["cores"]) for cell in self.data["cells"]
                  if cell["cpu"] and cell["cpu"]["seconds"]]
        return statistics.median(shares) if shares else 0.0

    def idle(self, device, name="device_percent"):
        return [row[name] for row in self.data["idle"] if row["device"] == device and name in row]


def value_of(cell, metric):
    if metric in COSTS:
        operations = cell["values"].get("operations")
        return cell["cpu"][COSTS[metric]] / operations if operations else None
    return cell["values"].get(metric)
