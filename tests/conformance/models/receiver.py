"""receiver.py - what a receiver acknowledges, reports and hands on when segments overlap, repeat and overtake.

The model is a set of octets. RFC 9293 s3.10.7.4 (what is acknowledged), RFC 2018 s4 (the latest range first, then
those told before), RFC 2883 s4 (the first range that came twice comes before them), RFC 5681 s4.2 (what is acknowledged
at once).
"""
import dialogue

BLOCKS = 4  # SACK blocks in an option without timestamps
DELAYED = "*"  # some time: a delayed acknowledgement


def runs_of(octets):
    """Maximal runs [first, past), in order."""
    out = []
    for octet in sorted(octets):
        if out and out[-1][1] == octet:
            out[-1][1] += 1
        else:
            out.append([octet, octet + 1])
    return [tuple(run) for run in out]


class Receiver:
    def __init__(self):
        self.held = set()
        self.next = 1
        self.told = []  # ranges above a gap, the latest first

    def takes(self, first, past):
        """Of [first, past) arriving: the blocks of the acknowledgement, and whether it leaves at once."""
        repeated = [run for run in runs_of(self.held) if run[0] < past and first < run[1]]
        at_once = bool(repeated or self.told or first != self.next)
        self.held |= set(range(first, past))
        while self.next in self.held:
            self.next += 1
        above = [run for run in runs_of(self.held) if run[0] > self.next]
        latest = [run for run in above if run[0] <= first < run[1]]
        earlier = [run for old in self.told for run in above if run[0] <= old[0] and old[1] <= run[1]]
        self.told = list(dict.fromkeys(latest + earlier))
        twice = [(max(first, repeated[0][0]), min(past, repeated[0][1]))] if repeated else []
        return (twice + self.told)[:BLOCKS], at_once


def overlaps(random):
    """Random pieces of a short stream; every block of every acknowledgement is compared."""
    text = dialogue.passive("", "mss 1460,sackOK,nop,nop", "mss 1460,nop,nop,sackOK")
    receiver = Receiver()
    for _ in range(random.randint(4, 14)):
        first = random.randint(1, 60)
        past = first + random.randint(1, 20)
        blocks, at_once = receiver.takes(first, past)
        option = " <nop,nop,sack " + " ".join(f"{a}:{b}" for a, b in blocks) + ">" if blocks else ""
        text += dialogue.arrives(".", first, past - first, 1, after="0")
        text += dialogue.leaves(".", 1, 0, receiver.next, option, "+0" if at_once else DELAYED)
        if receiver.next > 1:
            text += f"+0 recv(4, ..., 1024, MSG_PEEK) = {receiver.next - 1}\n"
    return text


def endings(random):
    """The same with a FIN that comes early, late and again; with and without timestamps."""
    stamped = random.random() < 0.5
    option = "TS val 1 ecr 0" if stamped else "nop,nop"
    text = dialogue.passive("challenge_acks=250", f"mss 1460,sackOK,{option}",
                            "mss 1460,sackOK,TS val 100 ecr 1" if stamped else "mss 1460,nop,nop,sackOK",
                            option=dialogue.timestamps(2 if stamped else None))
    length = random.randint(5, 60)
    receiver, ended, stamp = Receiver(), False, 2
    for _ in range(random.randint(4, 16)):
        first = random.randint(1, length + 1)
        past = min(first + random.randint(0, 25), length + 1)
        ends = past == length + 1 and random.random() < 0.6
        if first == past and not ends:
            continue
        receiver.takes(first, past)
        ended |= ends
        closed = ended and receiver.next == length + 1
        stamp += 1
        text += dialogue.arrives("F." if ends else ".", first, past - first, 1,
                                 option=dialogue.timestamps(stamp if stamped else None), after="0.06")
        text += dialogue.leaves(".", 1, 0, receiver.next + closed, " <...>", "+0~+0.045")
    if ended and receiver.next == length + 1:
        text += f"+0 recv(4, ..., 1024, 0) = {length}\n+0 recv(4, ..., 1024, 0) = 0\n"
        text += dialogue.state_is("TCP_CLOSE_WAIT")
    return text
