"""dialogue.py - the openings of scripts, and numbers that all models share."""

WINDOW = 65535  # what our side offers without a window scale
PEER_WINDOW = 30000
MSS = 1000  # the peer's
MODULUS = 1 << 32

LISTENER = """\
 0    socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
+0    bind(3, ..., ...) = 0
+0    listen(3, 1) = 0
"""


def timestamps(value, echo=100):
    """The option of a segment, or nothing."""
    return "" if value is None else f" <nop,nop,TS val {value % MODULUS} ecr {echo}>"


def passive(settings, syn, syn_ack, window=PEER_WINDOW, option="", round_trip="0.01"):
    """A connection that the peer opened: descriptor 4, both sides at number 1."""
    return (
        f"//@ profile=penstock {settings}\n{LISTENER}"
        f"+0    < S 0:0(0) win {window} <{syn}>\n"
        f"+0    > S. 0:0(0) ack 1 win {WINDOW} <{syn_ack}>\n"
        f"+{round_trip} < . 1:1(0) ack 1 win {window}{option}\n"
        "+0    accept(3, ..., ...) = 4\n"
    )


def arrives(flags, first, octets, ack, window=PEER_WINDOW, option="", after="0.01"):
    number = "" if ack is None else f" ack {ack % MODULUS}"
    return f"+{after} < {flags} {first}:{first + octets}({octets}){number} win {window}{option}\n"


def leaves(flags, first, octets, ack, option="", after="+0"):
    return f"{after} > {flags} {first}:{first + octets}({octets}) ack {ack}{option}\n"


def state_is(name):
    return f"+0 %{{ assert tcpi_state == {name}, tcpi_state }}%\n"
