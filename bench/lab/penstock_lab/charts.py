"""charts.py - SVG by hand: bars with whiskers, stacked bars, curves. Text is inherited from the page; no script, no network.

Model     every chart is one <svg> as text, which scrolls where the page is narrow. Colours are CSS classes c0..c9 (page.py), so that
          a page may have two themes. Every mark has a <title>, which a browser shows as a tooltip.
"""
import html
import math

from .formats import count, microseconds, number

WIDTH, LABEL, RIGHT = 720, 190, 115
COLOURS_COUNT = 11
ROW, GAP, AXIS, ZERO_GAP = 20, 6, 22, 80


def esc(text):
    return html.escape(str(text), quote=True)


def nice_ticks(top, wanted=5):
    """Round numbers from 0 to at least `top`."""
    if not top or top <= 0 or not math.isfinite(top):
        return [0.0, 1.0]
    raw = top / wanted
    power = 10 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= raw * 0.999)
    return [index * step for index in range(math.ceil(top / step - 1e-9) + 1)]


def log_ticks(low, high):
    """Powers of ten that enclose both."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    return [10.0 ** power for power in range(first, max(last, first + 1) + 1)]


def svg(height, parts, width=WIDTH):
    return (f'<div class="wide"><svg viewBox="0 0 {width} {height:.0f}" role="img" style="max-width:{width}px;width:100%">'
            + "".join(parts) + "</svg></div>")


def text(x, y, content, anchor="start", cls=""):
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" class="{cls}">{esc(content)}</text>'


def label(name, y):
    """A row's name; Penstock's stand out."""
    return text(LABEL - 8, y + 14, name, "end", "mine" if name.startswith("penstock") else "")


def rect(x, y, width, height, cls, title):
    return (f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(width, 0):.1f}" height="{height:.1f}" class="{cls}">'
            f"<title>{esc(title)}</title></rect>")


def line(x1, y1, x2, y2, cls):
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{cls}"/>'


def axis(ticks, place, height, show=number):
    parts = []
    for tick in ticks:
        x = place(tick)
        parts += [line(x, 0, x, height, "grid"), text(x, height + 14, show(tick), "middle", "tick")]
    return parts


def bars(rows, unit="", show=number):
    """rows: (name, median, least, greatest, emphasised). Horizontal bars with the range as a whisker."""
    rows = [row for row in rows if row[1] is not None]
    if not rows:
        return ""
    ticks = nice_ticks(max(row[3] for row in rows))
    place = scale(0, ticks[-1])
    height = len(rows) * (ROW + GAP)
    parts = axis(ticks, place, height, show)
    for index, (name, middle, least, most, emphasised) in enumerate(rows):
        y = index * (ROW + GAP) + GAP / 2
        title = f"{name}: {show(middle)} {unit} ({show(least)} to {show(most)})"
        parts += [label(name, y), rect(LABEL, y, place(middle) - LABEL, ROW, "c0" if emphasised else "c1", title),
                  line(place(least), y + ROW / 2, place(most), y + ROW / 2, "whisker"),
                  text(max(place(most), place(middle)) + 6, y + 14, show(middle), "start", "value")]
    return svg(height + AXIS, parts)


def stacked(rows, names, show=number):
    """rows: (name, [part, ...]); parts are stacked in the order of `names`."""
    rows = [row for row in rows if any(row[1])]
    if not rows:
        return ""
    ticks = nice_ticks(max(sum(parts) for _name, parts in rows))
    place = scale(0, ticks[-1])
    height = len(rows) * (ROW + GAP)
    out = axis(ticks, place, height, show)
    for index, (name, values) in enumerate(rows):
        y, at = index * (ROW + GAP) + GAP / 2, 0.0
        out.append(label(name, y))
        for kind, value in enumerate(values):
            out.append(rect(place(at), y, place(at + value) - place(at), ROW, f"c{kind}", f"{name}, {names[kind]}: {show(value)}"))
            at += value
        out.append(text(place(at) + 6, y + 14, show(at), "start", "value"))
    return svg(height + AXIS, out) + legend(names)


def legend(names):
    return '<p class="legend">' + " ".join(f'<span><i class="b{index % COLOURS_COUNT}{dash_of(index)}"></i>{esc(name)}</span>'
                                           for index, name in enumerate(names)) + "</p>"


def dash_of(index):
    """Series beyond the colours are dashed."""
    return " dash" if index >= COLOURS_COUNT else ""


def scale(low, high, left=LABEL, right=WIDTH - RIGHT):
    return lambda value: left + (value - low) / ((high - low) or 1) * (right - left)


def log_scale(low, high, left, right):
    a, b = math.log10(low), math.log10(high)
    return lambda value: left + (math.log10(max(value, low)) - a) / ((b - a) or 1) * (right - left)


def log_scale_with_zero(xs, left, right):
    """Logarithmic over what is above zero; zero has a place of its own before it."""
    if xs[0] > 0:
        return log_scale(xs[0], xs[-1], left, right)
    above = log_scale(xs[1], xs[-1], left + ZERO_GAP, right)
    return lambda value: above(value) if value > 0 else left


def curves(series, x_name, y_name, log_y=False, show=number):
    """series: {name: [(x, y), ...]}; x is logarithmic."""
    series = {name: sorted(points) for name, points in series.items() if points}
    xs = sorted({x for points in series.values() for x, _y in points})
    ys = [y for points in series.values() for _x, y in points if y > 0]
    if len(xs) < 2 or not ys:
        return ""
    height, left, right = 240, 70, WIDTH - 20
    across = log_scale_with_zero(xs, left, right)
    ticks = log_ticks(min(ys), max(ys)) if log_y else nice_ticks(max(ys))
    up = log_scale(ticks[0], ticks[-1], height, 8) if log_y else scale(ticks[0], ticks[-1], height, 8)
    parts = []
    for tick in ticks:
        parts += [line(left, up(tick), right, up(tick), "grid"), text(left - 6, up(tick) + 4, show(tick), "end", "tick")]
    parts += [text(across(x), height + 14, count(x), "middle", "tick") for x in xs]
    parts += [text((left + right) / 2, height + 32, x_name, "middle", "tick"), text(left, height + 32, y_name, "start", "tick")]
    for index, (name, points) in enumerate(series.items()):
        path = " ".join(f"{across(x):.1f},{up(y):.1f}" for x, y in points if y > 0)
        parts.append(f'<polyline points="{path}" class="l{index % COLOURS_COUNT}{dash_of(index)}{" ours" if name.startswith("penstock") else ""}"/>')
        parts += [f'<circle cx="{across(x):.1f}" cy="{up(y):.1f}" r="3.5" class="c{index % COLOURS_COUNT}"><title>'
                  f"{esc(name)}: {show(y)} at {count(x)}</title></circle>" for x, y in points if y > 0]
    return svg(height + 40, parts) + legend(list(series))


def latencies(rows):
    """rows: (name, p50, p90, p99) in microseconds, on a logarithmic axis: a bar from p50 to p99 with a mark at p90."""
    rows = [row for row in rows if all(value and value > 0 for value in row[1:])]
    if not rows:
        return ""
    ticks = log_ticks(min(row[1] for row in rows), max(row[3] for row in rows))
    place = log_scale(ticks[0], ticks[-1], LABEL, WIDTH - RIGHT)
    height = len(rows) * (ROW + GAP)
    parts = axis(ticks, place, height, microseconds)
    for index, (name, p50, p90, p99) in enumerate(rows):
        y = index * (ROW + GAP) + GAP / 2
        title = f"{name}: p50 {microseconds(p50)}, p90 {microseconds(p90)}, p99 {microseconds(p99)}"
        parts += [label(name, y), rect(place(p50), y + 3, max(2, place(p99) - place(p50)), ROW - 6, "c1", title),
                  line(place(p90), y + 1, place(p90), y + ROW - 1, "whisker"),
                  f'<circle cx="{place(p50):.1f}" cy="{y + ROW / 2:.1f}" r="5" class="c0"><title>{esc(title)}</title></circle>',
                  text(place(p99) + 6, y + 14, f"{microseconds(p50)} / {microseconds(p99)}", "start", "value")]
    return svg(height + AXIS, parts)
