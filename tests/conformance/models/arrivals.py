"""arrivals.py - what one segment does to a connection: every state, flags, numbers at the edges, timestamps.

RFC 9293 s3.10.7.4 in its order, RFC 5961 s3 to s5 (resets, SYNs and acknowledgements that are challenged), RFC 7323
s5.3 (what looks old is acknowledged and dropped) and s4.3 (whose timestamp is echoed).

Left out: data beyond the window (some of it is taken, see acceptability.h), a reset whose text alone lies in the
window, and what follows a FIN.
"""
import dataclasses

import dialogue

HALF_CLOSE = "+0 < F. 1:1(0) ack 1 win 30000{ts}\n+0 > . 1:1(0) ack 2{any}\n"
SHUTDOWN = "+0 shutdown(4, SHUT_WR) = 0\n+0 > F. 1:1(0) ack {ack}{any}\n"
FIN_ACKED = "+0 < . 1:1(0) ack 2 win 30000{ts}\n"
CROSSED = "+0 < F. 1:1(0) ack 1 win 30000{ts}\n+0 > . 2:2(0) ack 2{any}\n"


@dataclasses.dataclass(frozen=True)
class Connection:
    state: str
    next: int  # RCV.NXT
    una: int
    nxt: int
    way: str  # how it gets there


CONNECTIONS = (
    Connection("TCP_ESTABLISHED", 1, 1, 1, ""),
    Connection("TCP_ESTABLISHED", 1, 1, 11, "+0 write(4, ..., 10) = 10\n+0 > P. 1:11(10) ack 1{any}\n"),
    Connection("TCP_CLOSE_WAIT", 2, 1, 1, HALF_CLOSE),
    Connection("TCP_FIN_WAIT1", 1, 1, 2, SHUTDOWN.replace("{ack}", "1")),
    Connection("TCP_FIN_WAIT2", 1, 2, 2, SHUTDOWN.replace("{ack}", "1") + FIN_ACKED),
    Connection("TCP_CLOSING", 2, 1, 2, SHUTDOWN.replace("{ack}", "1") + CROSSED),
    Connection("TCP_LAST_ACK", 2, 1, 2, HALF_CLOSE + SHUTDOWN.replace("{ack}", "2")),
)
AFTER_FIN = {"TCP_ESTABLISHED": "TCP_CLOSE_WAIT", "TCP_FIN_WAIT1": "TCP_CLOSING", "TCP_FIN_WAIT2": "TCP_TIME_WAIT"}
AFTER_ACK = {"TCP_FIN_WAIT1": "TCP_FIN_WAIT2", "TCP_CLOSING": "TCP_TIME_WAIT", "TCP_LAST_ACK": "TCP_CLOSE"}


@dataclasses.dataclass(frozen=True)
class Segment:
    flags: str
    seq: int
    octets: int
    ack: int | None

    def span(self):
        return self.octets + ("S" in self.flags) + ("F" in self.flags)

    def begins_in(self, first, edge):
        return first <= self.seq < edge

    def acceptable(self, first, edge):
        last = self.seq + max(self.span(), 1) - 1
        return self.begins_in(first, edge) or first <= last < edge


@dataclasses.dataclass(frozen=True)
class Effect:
    state: str
    ack: int | None = None  # what is acknowledged, if anything
    delayed: bool = False
    taken: bool = False  # it passed all checks


def effect(c, s):
    """RFC 9293 s3.10.7.4 for segment `s`; None where a stack may choose."""
    edge = c.next + dialogue.WINDOW
    if "R" in s.flags:
        if s.seq == c.next:
            return Effect("TCP_CLOSE")
        return Effect(c.state, c.next if s.begins_in(c.next, edge) else None)
    if "S" in s.flags or not s.acceptable(c.next, edge):
        return Effect(c.state, c.next)
    if s.ack is None:
        return Effect(c.state)
    if s.ack > c.nxt or s.ack < c.una - dialogue.PEER_WINDOW:
        return Effect(c.state, c.next)
    state = AFTER_ACK.get(c.state, c.state) if s.ack == c.nxt > c.una else c.state
    if c.next == 2:  # the peer had closed: neither text nor FIN is news
        return None if s.span() > 0 else Effect(state, taken=True)
    return text_of(s, c.next, state)


def text_of(s, upto, state):
    past = s.seq + s.octets
    if s.span() == 0:
        return Effect(state, taken=True)
    ahead, in_order = s.seq > upto, s.seq == upto
    news = not ahead and past > upto
    upto = past if news else upto
    fin = "F" in s.flags and not ahead and past == upto
    delayed = news and in_order and "F" not in s.flags
    return Effect(AFTER_FIN[state] if fin else state, upto + fin, delayed, True)


def is_left_out(c, s):
    edge = c.next + dialogue.WINDOW
    begins_before = s.seq < c.next <= s.seq + s.span() - 1
    beyond = s.seq < edge < s.seq + s.octets or (s.seq >= edge and "R" not in s.flags)
    return s.seq < 0 or ("R" in s.flags and begins_before) or beyond


def segments(c, kinds, offsets, acks):
    for flags in kinds:
        for offset in offsets:
            for octets in (0, 3):
                for ack in acks if "." in flags else (None,):
                    segment = Segment(flags, c.next + offset, octets, ack)
                    if not is_left_out(c, segment):
                        yield segment


def reply(c, e, option):
    if e.ack is None:
        return ""
    return dialogue.leaves(".", c.nxt, 0, e.ack, option, "+0~+0.06" if e.delayed else "+0")


def plain():
    """Without timestamps."""
    opening = dialogue.passive("challenge_acks=200", f"mss {dialogue.MSS}", "mss 1460") + "+0 close(3) = 0\n"
    kinds = (".", "F.", "F", "S", "S.", "SF", "R", "R.", "-", "P.", "SR", "FPUEW.", "FR.")
    for c in CONNECTIONS:
        acks = sorted({c.una - 1, c.una, c.nxt, c.nxt + 1, c.una - dialogue.PEER_WINDOW - 5})
        for s in segments(c, kinds, (-2, -1, 0, 1, 5, dialogue.WINDOW - 4, dialogue.WINDOW), acks):
            e = effect(c, s)
            if e is not None:
                yield (opening + c.way.format(ts="", any="") + dialogue.arrives(s.flags, s.seq, s.octets, s.ack)
                       + reply(c, e, "") + dialogue.state_is(e.state))


RECENT = 1001
STAMPS = (None, RECENT - 1, RECENT, RECENT + 4, RECENT + (1 << 31) - 1, RECENT + (1 << 31))


def stamped_effect(c, s, stamp):
    """What RFC 7323 makes of it, and the timestamp echoed from then on."""
    e = effect(c, s)
    if "R" in s.flags or e is None:
        return e, RECENT
    if stamp is None:
        return Effect(c.state), RECENT
    if (stamp - RECENT) % dialogue.MODULUS >= 1 << 31:
        return Effect(c.state, c.next), RECENT
    repeats = not s.acceptable(c.next, c.next + dialogue.WINDOW) and s.seq + s.span() == c.next
    return e, stamp if (e.taken and s.seq <= c.next) or repeats else RECENT


def stamped():
    """With timestamps: the one echoed is compared, in the reply and once more after it."""
    opening = dialogue.passive("challenge_acks=200 ts_tick=1000", f"mss {dialogue.MSS},nop,nop,TS val 1000 ecr 0",
                               "mss 1460,nop,nop,TS val 100 ecr 1000", option=dialogue.timestamps(RECENT))
    for c in CONNECTIONS:
        way = opening + "+0 close(3) = 0\n" + c.way.format(ts=dialogue.timestamps(RECENT), any=" <...>")
        for s in segments(c, (".", "F.", "S", "R", "-", "P."), (-1, 0, 1, 5), sorted({c.una, c.nxt, c.nxt + 1})):
            for stamp in STAMPS:
                e, echo = stamped_effect(c, s, stamp)
                if e is None:
                    continue
                clock = 160 if e.delayed else 120
                text = way + dialogue.arrives(s.flags, s.seq, s.octets, s.ack, option=dialogue.timestamps(stamp))
                text += reply(c, e, dialogue.timestamps(clock, echo % dialogue.MODULUS)) + dialogue.state_is(e.state)
                if e.state not in ("TCP_CLOSE", "TCP_TIME_WAIT"):
                    upto = c.next if e.ack is None else e.ack
                    text += dialogue.arrives(".", upto - 1, 0, c.nxt, option=dialogue.timestamps(echo))
                    again = dialogue.timestamps(clock + 10, echo % dialogue.MODULUS)
                    text += dialogue.leaves(".", c.nxt, 0, upto, again)
                yield text
