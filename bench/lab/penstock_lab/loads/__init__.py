"""loads - what clients do, and the figures that come of it. One file per family."""
from . import bulk, conns, ends, packets, routes, web

ALL = {load.name: load for module in (web, ends, bulk, conns, packets, routes) for load in module.LOADS}


def find(name):
    if name not in ALL:
        raise ValueError(f"load {name}: one of {', '.join(ALL)}")
    return ALL[name]
