"""formats.py - figures for people."""
import math


def number(value, digits=3):
    """Three digits and a magnitude: 12.3k, 1.05M, 0.42."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return "-"
    sign, value = ("-" if value < 0 else ""), float(f"{abs(value):.{digits - 1}e}")
    for limit, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= limit:
            value, suffix = value / limit, letter
            break
    else:
        suffix = ""
    if value == 0:
        return "0"
    places = max(0, digits - 1 - math.floor(math.log10(value) + 1e-12))
    text = f"{value:.{min(places, 6)}f}"
    return f"{sign}{text}{suffix}"


def seconds(value):
    """0.0000123 -> 12.3 us."""
    if value is None:
        return "-"
    for limit, unit in ((1, "s"), (1e-3, "ms"), (1e-6, "us"), (0, "ns")):
        if abs(value) >= limit * 0.9995:
            return f"{number(value / (limit or 1e-9))} {unit}"
    return f"{number(value)} s"


def count(value):
    """A whole number: 10,000, or 64 KiB."""
    for unit, name in ((1 << 20, "MiB"), (1 << 10, "KiB")):
        if value and value % unit == 0:
            return f"{value // unit} {name}"
    return f"{value:,}"


def microseconds(value):
    return "-" if value is None else seconds(value / 1e6)


def bare(value, unit):
    """With a unit of its own where that is a time, without where the heading names it."""
    return {"s": seconds, "us": microseconds}.get(unit, number)(value)


def figure(value, unit):
    return bare(value, unit) + ("" if unit in ("s", "us") else f" {unit}")


def percent(value):
    return "-" if value is None else f"{value:.1f} %"


def ratio(value):
    return "-" if value is None else f"{value:.2f}"
