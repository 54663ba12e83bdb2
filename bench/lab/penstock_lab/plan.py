"""plan.py - which device meets which load, how often, for how long, and how much time is left.

Model     rounds x devices; a turn is one device in one round, with all its loads. Every device has its turn before a second
          round begins, FIRST at first, so that a run that ends early has the rows that most readers look for; from round to
          round the order is rotated, so that nobody has always the same place. Loads with offloads come before those without,
          since a turn's bed changes only once; what leaves something behind comes late, and what that would disturb early. Loads that
          are apart have a bed of their own, and the device begins anew on it.
Time      the measured seconds of a load follow from the budget; a round begins only if it will end within it.
"""
import dataclasses

SETUP_SECONDS = 1.5   # a bed, its servers and a device: 1 to 3 s on two cores
IDLE_SECONDS = 1.0
SECONDS_MIN, SECONDS_MAX = 1.0, 10.0
REPORT_SECONDS = 5.0
PROFILE_SECONDS = 9.0   # a bed, a device, and profile.SECONDS of a load
FIRST = ("direct", "penstock-http", "nginx-http", "penstock-proxy", "haproxy-tcp", "penstock-fullnat", "penstock-xdp", "nft",
         "haproxy-http", "penstock-http-lf", "penstock-proxy-lf", "direct-apart", "route")


@dataclasses.dataclass(frozen=True)
class Turn:
    round: int
    device: object
    loads: tuple


def loads_for(device, loads):
    """The loads that fit, in the order of a turn."""
    fitting = [load for load in loads if load.why_not(device) is None]
    return tuple(sorted(fitting, key=lambda load: (load.offloads == "off", load.late, not load.early)))


def beds(loads):
    """Loads that share a bed, each with the others of its kind, in order."""
    return [tuple(chosen) for apart in (False, True) if (chosen := [load for load in loads if load.apart == apart])]


def skipped(devices, loads):
    """Every pair that does not exist, with its reason."""
    return [{"device": device.name, "load": load.name, "why": why} for load in loads for device in devices if (why := load.why_not(device))]


def seconds_for(budget, devices, loads, rounds):
    """Measured seconds per load, so that all of it fits into the budget."""
    chosen = [loads_for(device, loads) for device in devices]
    cells = [load for one in chosen for load in one]
    if not cells:
        return SECONDS_MIN
    fixed = rounds * (len(devices) * IDLE_SECONDS + SETUP_SECONDS * sum(len(beds(one)) for one in chosen) + sum(load.overhead for load in cells))
    free = (budget - REPORT_SECONDS - fixed) / (rounds * len(cells))
    return max(SECONDS_MIN, min(SECONDS_MAX, free // 1))


def turns(devices, loads, rounds):
    """Every turn, in order."""
    out = []
    devices = sorted(devices, key=lambda device: FIRST.index(device.name) if device.name in FIRST else len(FIRST))
    for index in range(rounds):
        shift = index % len(devices)
        for device in devices[shift:] + devices[:shift]:
            chosen = loads_for(device, loads)
            if chosen:
                out.append(Turn(index, device, chosen))
    return out


def turn_seconds(turn, seconds):
    return SETUP_SECONDS * len(beds(turn.loads)) + IDLE_SECONDS + sum(seconds + load.overhead for load in turn.loads)


class Progress:
    """What is left, from what was planned and how long it really took."""

    def __init__(self, all_turns, seconds, clock):
        self.planned = [turn_seconds(turn, seconds) for turn in all_turns]
        self.clock, self.start, self.done = clock, clock(), 0
        self.repeated = 0.0  # seconds of what was measured more often than planned
        self.ended = 0.0     # when the last turn ended, without those

    def _gone(self):
        return self.clock() - self.start - self.repeated

    def finished(self):
        self.done, self.ended = self.done + 1, self._gone()

    def pace(self):
        """Real seconds per planned second so far; 1 before the first turn ended."""
        planned = sum(self.planned[:self.done])
        return self.ended / planned if planned else 1.0

    def next_seconds(self):
        """What the next turn will take."""
        return self.planned[self.done] * max(1.0, self.pace())

    def turn_left(self):
        """What is left of the turn that is being played."""
        return max(0.0, sum(self.planned[self.done:self.done + 1]) * self.pace() - (self._gone() - self.ended))

    def left(self):
        return self.turn_left() + sum(self.planned[self.done + 1:]) * self.pace()

    def round_fits(self, turns_of_round, budget):
        """Will the next so many turns end within the budget?"""
        ahead = sum(self.planned[self.done:self.done + turns_of_round]) * self.pace()
        return self.clock() - self.start + ahead <= budget


def minutes(seconds):
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"
