"""patterns.py - the routes of route tables: regular expressions of which exactly one takes a path."""


def path_of(count):
    """A path that only the last of `count` routes takes."""
    return f"/r{count - 1}/abc/42"


def pattern_of(index):
    return f"^/r{index}/[a-z]+/[0-9]+$"
