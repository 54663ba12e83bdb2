"""patterns.py - the routes of route tables: regular expressions of which exactly one takes a path.

Shapes    each begins with a text of its own; or all begin `alike`, so that no beginning tells which may match.
"""


def path_of(index, alike=False):
    """A path that only the route `index` takes."""
    return f"/abc/r{index}/42" if alike else f"/r{index}/abc/42"


def pattern_of(index, alike=False):
    return f"^/[a-z]+/r{index}/[0-9]+$" if alike else f"^/r{index}/[a-z]+/[0-9]+$"
