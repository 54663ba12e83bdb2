"""pace.py - how fast this machine's cores were meanwhile (bench/lab/peers/pace), as what runs beside this machine makes them slower.

Model     a piece of fixed work is timed on every core, every 40 ms or so. The pace of an interval is the mean of it, each core
          counted by how busy it was: what a core without work could have done says nothing.
Units     nanoseconds for a piece of work; less is faster. Compare with other intervals of the same run only.
Not here  what is made of it (results.py)
"""
import pathlib
import struct

ROW = struct.Struct("=QQ")   # pieces, nanoseconds
PIECES_MIN = 10              # of a core that was busy; below, an interval has no pace


class Pace:
    """Reads the file of a running `pace`, which names these cores."""

    def __init__(self, path, cores):
        self.path, self.cores = pathlib.Path(path), list(cores)

    def look(self):
        """{core: (pieces, nanoseconds)} so far."""
        rows = ROW.iter_unpack(self.path.read_bytes()[:ROW.size * len(self.cores)])
        return dict(zip(self.cores, rows))


def between(before, after, busy):
    """Nanoseconds for a piece between two looks; None without enough of them. `busy`: seconds by core."""
    weighted = whole = 0.0
    for core, (pieces, nanoseconds) in after.items():
        first = before.get(core, (0, 0))
        done, weight = pieces - first[0], busy.get(core, 0.0)
        if weight <= 0:
            continue
        if done < PIECES_MIN:
            return None
        weighted += weight * (nanoseconds - first[1]) / done
        whole += weight
    return weighted / whole if whole else None
