"""frames.py - raw frames by AF_PACKET: builders and a sender, for what no socket would send."""
import contextlib
import ipaddress
import socket
import struct
import time

FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16
ETH_IP, ETH_IP6, ETH_ARP = 0x0800, 0x86DD, 0x0806


def checksum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def packed(address):
    return ipaddress.ip_address(address).packed


def mac(space, device="eth0"):
    text = space.run("ip", "-o", "link", "show", device).stdout
    return bytes.fromhex(text.split("link/ether ")[1].split()[0].replace(":", ""))


def ethernet(destination, source, ether_type, payload):
    return destination + source + struct.pack("!H", ether_type) + payload


def ipv4(source, destination, protocol, payload, *, ttl=64, ihl=5, total=None, fragment=0, version=4):
    total = 20 + len(payload) if total is None else total
    head = struct.pack("!BBHHHBBH4s4s", version << 4 | ihl, 0, total, 1, fragment, ttl, protocol, 0, packed(source),
                       packed(destination))
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + payload


def ipv6(source, destination, next_header, payload, *, hops=64, length=None, version=6):
    length = len(payload) if length is None else length
    return struct.pack("!IHBB16s16s", version << 28, length, next_header, hops, packed(source),
                       packed(destination)) + payload


def pseudo(source, destination, protocol, length):
    if ":" in source:
        return packed(source) + packed(destination) + struct.pack("!IHBB", length, 0, 0, protocol)
    return packed(source) + packed(destination) + struct.pack("!BBH", 0, protocol, length)


def tcp(source, destination, source_port, port, *, flags=SYN, seq=1, ack=0, offset=5, payload=b""):
    head = struct.pack("!HHIIBBHHH", source_port, port, seq, ack, offset << 4, flags, 1024, 0, 0)
    total = checksum(pseudo(source, destination, 6, len(head) + len(payload)) + head + payload)
    return head[:16] + struct.pack("!H", total) + head[18:] + payload


def udp(source, destination, source_port, port, payload=b"", *, length=None):
    size = 8 + len(payload) if length is None else length
    head = struct.pack("!HHHH", source_port, port, size, 0)
    total = checksum(pseudo(source, destination, 17, 8 + len(payload)) + head + payload) or 0xFFFF
    return head[:6] + struct.pack("!H", total) + payload


@contextlib.contextmanager
def packet_socket(space, device="eth0", ether_type=3):
    with space.entered():
        raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ether_type))
        raw.bind((device, ether_type))
    try:
        yield raw
    finally:
        raw.close()


def send(space, frames, device="eth0"):
    """Sends frames that begin at the Ethernet header."""
    with packet_socket(space, device) as raw:
        for frame in frames:
            raw.send(frame)


def receive_until(raw, matches, timeout=2.0):
    """The first frame for which matches(frame) is true."""
    deadline = time.monotonic() + timeout
    while (left := deadline - time.monotonic()) > 0:
        raw.settimeout(left)
        try:
            frame = raw.recv(65536)
        except TimeoutError:
            break
        if matches(frame):
            return frame
    raise TimeoutError("no such frame arrived")


def tcp_probe(space, node_mac, source, destination, source_port, port, flags=ACK, seq=1000, ack=2000):
    """Sends one IPv4 TCP segment and returns the flags of the segment that answers it."""
    frame = ethernet(node_mac, mac(space), ETH_IP, ipv4(source, destination, 6, tcp(
        source, destination, source_port, port, flags=flags, seq=seq, ack=ack)))
    with packet_socket(space) as raw:
        raw.send(frame)
        answer = receive_until(raw, lambda f: f[12:14] == b"\x08\x00" and f[23] == 6 and
                               f[26:30] == packed(destination) and f[36:38] == struct.pack("!H", source_port))
    return answer[47]
