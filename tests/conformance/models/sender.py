"""sender.py - what may leave: the peer's window, and the retransmission timeout.

Windows: RFC 9293 s3.10.7.4 (which segment's window counts: WL1, WL2), s3.8.6.2.1 (silly windows), s3.8.6 (windows that
shrink). Timeouts: RFC 6298, with Karn's rule; nothing but time is compared.
"""
import dialogue

WINDOWS = (4000, 8000, 30000)  # at least two segments: below that a window may cut a segment in two


class Sender:
    def __init__(self, window):
        self.una = self.next = self.end = 1
        self.window = self.largest = window
        self.wl1 = self.wl2 = 1

    def is_told(self, seq, ack, window):
        if not self.una <= ack <= self.next:
            return
        newer = ack > self.una or self.wl1 < seq or (self.wl1 == seq and self.wl2 <= ack)
        self.una = ack
        if newer:
            self.window, self.wl1, self.wl2 = window, seq, ack
            self.largest = max(self.largest, window)

    def sends(self):
        """The segments that leave now."""
        text = ""
        while True:
            queued, usable = self.end - self.next, self.una + self.window - self.next
            octets = min(queued, usable, dialogue.MSS)
            worth_it = octets in (queued, dialogue.MSS) or octets >= self.largest / 2
            if octets <= 0 or not worth_it:
                return text
            text += dialogue.leaves("P." if octets == queued else ".", self.next, octets, 1)
            self.next += octets


def windows(random):
    """Writes, acknowledgements with windows that grow, shrink and overtake each other; without Nagle's algorithm."""
    first = random.choice(WINDOWS)
    settings = "nagle=0 rto_min=5s rto_initial=5s initial_window=200"
    text = dialogue.passive(settings, f"mss {dialogue.MSS}", "mss 1460", first)
    sender, told = Sender(first), first
    for _ in range(random.randint(4, 10)):
        if sender.next == sender.end and random.random() < 0.6:  # how writes that wait are joined is a stack's own
            octets = random.choice([random.randint(1, 500), 1000, random.randint(900, 1100), random.randint(1, 5000)])
            text += f"+0.003 write(4, ..., {octets}) = {octets}\n"
            sender.end += octets
            text += sender.sends()
            continue
        choices = [first // 2, first, first - 1, 0, 500, 1000, 1499, first // 3, random.randint(1, first)]
        told = random.choice([window for window in choices if window != told])  # the same one would be a duplicate
        kind = random.random()
        if kind < 0.6 and sender.next > sender.una:
            ack = random.randint(sender.una + 1, sender.next)
        elif kind < 0.7 and sender.una > 1:
            ack = random.randint(max(1, sender.una - 1000), sender.una - 1)
        else:
            ack = sender.una
        ahead = ack <= sender.una or random.random() < 0.5  # an octet beyond a gap, which stays
        seq = random.randint(3, 60) if ahead else 1
        text += dialogue.arrives(".", seq, int(ahead), ack, told, after="0.003")
        sender.is_told(seq, ack, told)
        sent = sender.sends()
        text += sent if sent or not ahead else dialogue.leaves(".", sender.next, 0, 1)
    return text


class Timeout:
    """RFC 6298 s2 and s5, in milliseconds."""

    def __init__(self, first):
        self.smoothed, self.deviation, self.doubled = float(first), first / 2, 1

    def sample(self, measured):
        self.deviation += (abs(self.smoothed - measured) - self.deviation) / 4
        self.smoothed += (measured - self.smoothed) / 8
        self.doubled = 1

    def value(self):
        return min(max(self.smoothed + max(4 * self.deviation, 0.001), 200) * self.doubled, 60000)


def timeouts(random):
    """One segment at a time, some lost up to four times in a row."""
    most = random.choice([5, 50, 400, 900])
    trip = random.randint(1, most)
    text = dialogue.passive("rack=0 tolerance=1ms", f"mss {dialogue.MSS}", "mss 1460", round_trip=f"{trip / 1000:.3f}")
    timeout, at = Timeout(trip), 1
    for _ in range(random.randint(3, 14)):
        text += "+0.01 write(4, ..., 100) = 100\n" + dialogue.leaves("P.", at, 100, 1)
        losses = random.randint(1, 4) if random.random() < 0.35 else 0
        for _ in range(losses):
            text += dialogue.leaves("P.", at, 100, 1, after=f"+{timeout.value() / 1000:.6f}")
            timeout.doubled *= 2
        trip = random.randint(1, most)
        if trip >= timeout.value() * 0.95:
            trip = max(1, int(timeout.value() / 2))
        at += 100
        text += dialogue.arrives(".", 1, 0, at, after=f"{trip / 1000:.3f}")
        if losses == 0:
            timeout.sample(trip)
    return text
