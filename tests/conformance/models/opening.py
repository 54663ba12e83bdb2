"""opening.py - what one segment does before a connection is open (RFC 9293 s3.10.7.3 and s3.10.7.4, RFC 5961 s3)."""
import dialogue

KINDS = ("S", "S.", ".", "P.", "R", "R.", "-", "F", "F.", "SR", "SR.", "P")
ACKS = (0, 1, 2, dialogue.MODULUS - 1, 70000)
CONNECT = """\
//@ profile=penstock challenge_acks=200 rto_initial=5s
 0    socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
+0    fcntl(3, F_SETFL, O_RDWR|O_NONBLOCK) = 0
+0    connect(3, ..., ...) = -1 EINPROGRESS (Operation now in progress)
+0    > S 0:0(0) win 65535 <...>
"""
HALF_OPEN = (
    f"//@ profile=penstock challenge_acks=200 rto_initial=5s\n{dialogue.LISTENER}"
    "+0    < S 0:0(0) win 30000 <mss 1000>\n+0    > S. 0:0(0) ack 1 win 65535 <mss 1460>\n"
)


def syn_sent_replies(flags, seq, ack):
    """The state afterwards and what leaves."""
    if ack not in (None, 1):
        return "TCP_SYN_SENT", "" if "R" in flags else f"+0 > R {ack}:{ack}(0)\n"
    if "R" in flags:
        return ("TCP_CLOSE" if ack == 1 else "TCP_SYN_SENT"), ""
    if "S" not in flags:
        return "TCP_SYN_SENT", ""
    if ack == 1:
        return "TCP_ESTABLISHED", "+0 > . 1:1(0) ack 1 win 65535\n"  # counted from the SYN
    return "TCP_SYN_RECV", f"+0 > S. 0:0(0) ack {seq + 1} win 65535 <...>\n"


def syn_sent():
    for flags in KINDS:
        for ack in ACKS if "." in flags else (None,):
            for seq in (0, 1, 5000):
                for octets in (0,) if "S" in flags else (0, 3):
                    state, reply = syn_sent_replies(flags, seq, ack)
                    text = CONNECT + dialogue.arrives(flags, seq, octets, ack) + reply + dialogue.state_is(state)
                    if state == "TCP_SYN_SENT":  # unharmed
                        text += "+0.01 < S. 900:900(0) ack 1 win 30000\n+0 > . 1:1(0) ack 1 win 65535\n"
                        text += dialogue.state_is("TCP_ESTABLISHED")
                    yield text


def syn_received_replies(flags, seq, octets, ack):
    """What becomes of the half-open connection ("kept", "gone", "open") and what leaves."""
    inside = 1 <= seq < 1 + dialogue.WINDOW
    challenge = "+0 > . 1:1(0) ack 1 win 65535\n"
    if "R" in flags:
        return ("gone", "") if seq == 1 else ("kept", challenge if inside else "")
    last = seq + max(octets + ("S" in flags) + ("F" in flags), 1) - 1
    if "S" in flags or not (inside or 1 <= last < 1 + dialogue.WINDOW):
        return "kept", challenge
    if ack is None:
        return "kept", ""
    if ack != 1:
        return "kept", f"+0 > R {ack}:{ack}(0)\n"
    upto = seq + octets if seq <= 1 < seq + octets else 1
    if octets == 0 and "F" not in flags:
        return "open", ""
    fin = "F" in flags and seq <= 1 and seq + octets == upto
    at_once = seq != 1 or "F" in flags or upto == 1
    return "open", f"{'+0' if at_once else '+0~+0.06'} > . 1:1(0) ack {upto + fin}\n"


def syn_received():
    for flags in KINDS:
        for ack in ACKS if "." in flags else (None,):
            for seq in (0, 1, 2, 51, dialogue.WINDOW - 3, dialogue.WINDOW + 1, dialogue.WINDOW + 6):
                for octets in (0, 3):
                    syn_again = "S" in flags and seq == 0
                    reset_before = "R" in flags and seq == 0 and octets > 0
                    beyond = seq > dialogue.WINDOW and "R" not in flags
                    if syn_again or reset_before or beyond:
                        continue
                    fate, reply = syn_received_replies(flags, seq, octets, ack)
                    text = HALF_OPEN + dialogue.arrives(flags, seq, octets, ack) + reply
                    if fate != "open":
                        text += "+0.01 < . 1:1(0) ack 1 win 30000\n"
                    yield text + ("+0 > R 1:1(0)\n" if fate == "gone" else "+0 accept(3, ..., ...) = 4\n")
