"""frames_test.py - what sockets never send: malformed frames, path MTU, neighbours, echo; and what idling costs."""
import contextlib
import socket
import struct
import time

import case
import frames
from case import HTTP_FULLNAT
from frames import ETH_IP, ETH_IP6
from lab import CLIENT4, CLIENT6, NODE_SERVERS4, NODE_SERVERS6, VIP4, VIP6, wait_for
from traffic import echo_bulk, server_name


class Frames(case.LabTest):
    tag = "frm"

    def node_mac(self):
        return frames.mac(self.lab.node, "veth-client")

    def send(self, ether_type, packets):
        source, destination = frames.mac(self.lab.client), self.node_mac()
        frames.send(self.lab.client, [frames.ethernet(destination, source, ether_type, packet) for packet in packets])

    def test_malformed_frames_are_counted_each_and_traffic_goes_on(self):
        good4 = frames.tcp(CLIENT4, VIP4, 50000, 80)
        good6 = frames.tcp(CLIENT6, VIP6, 50000, 80)
        datagram = frames.udp(CLIENT4, VIP4, 50000, 7000, b"hello")
        cases = {
            ("truncated", ETH_IP): frames.ipv4(CLIENT4, VIP4, 6, good4, total=4000),
            ("bad_ihl", ETH_IP): frames.ipv4(CLIENT4, VIP4, 6, good4, ihl=3),
            ("bad_version", ETH_IP): frames.ipv4(CLIENT4, VIP4, 6, good4, version=7),
            ("bad_tcp_offset", ETH_IP): frames.ipv4(CLIENT4, VIP4, 6, frames.tcp(CLIENT4, VIP4, 50000, 80, offset=2)),
            ("bad_udp_length", ETH_IP): frames.ipv4(CLIENT4, VIP4, 17, frames.udp(CLIENT4, VIP4, 1, 7000, b"x", length=4)),
            ("fragment", ETH_IP): frames.ipv4(CLIENT4, VIP4, 17, datagram, fragment=0x2000),
            ("truncated", ETH_IP6): frames.ipv6(CLIENT6, VIP6, 6, good6, length=4000),
            ("bad_version", ETH_IP6): frames.ipv6(CLIENT6, VIP6, 6, good6, version=9),
            ("ipv6_extension", ETH_IP6): frames.ipv6(CLIENT6, VIP6, 0, b"\x06\0\x01\x04\0\0\0\0" + good6),
            ("unsupported_proto", ETH_IP): frames.ipv4(CLIENT4, VIP4, 132, b"x" * 40),
            ("not_ip", 0x88B6): b"x" * 60,
            ("vlan_depth", 0x8100): b"\0\5\x81\0\0\6\x08\0" + frames.ipv4(CLIENT4, VIP4, 6, good4),
            ("mapped_address", ETH_IP6): frames.ipv6(f"::ffff:{CLIENT4}", VIP6, 6, good6),
            ("fragment", ETH_IP6): frames.ipv6(CLIENT6, VIP6, 44, b"\x06\0\0\1\0\0\0\1" + good6),
        }
        for (reason, ether_type), packet in cases.items():
            with self.subTest(reason=reason, ether_type=hex(ether_type)):
                before = self.steer_count("veth-client", reason)
                self.send(ether_type, [packet] * 10)
                count = wait_for(lambda: self.steer_count("veth-client", reason) - before >= 10, 2, f"10 {reason}")
                self.assertTrue(count)
        self.assertEqual(self.lab.status()["dataplane"]["restarts"], 0)
        self.assertIn(server_name(self.lab.client, VIP4, HTTP_FULLNAT)[0], ("web1", "web2", "web3"))

    def test_random_bytes_towards_a_service_harm_nobody(self):
        import random
        draw = random.Random(7)
        packets = []
        for _ in range(3000):
            packet = bytearray(frames.ipv4(CLIENT4, VIP4, 6, frames.tcp(CLIENT4, VIP4, draw.randrange(65536), 80,
                                                                        flags=draw.randrange(256),
                                                                        payload=draw.randbytes(draw.randrange(60)))))
            for _ in range(draw.randrange(4)):
                packet[draw.randrange(len(packet))] = draw.randrange(256)
            packets.append(bytes(packet[:draw.randrange(14, len(packet) + 1)]))
        self.send(ETH_IP, packets)
        self.assertIn(server_name(self.lab.client, VIP4, HTTP_FULLNAT)[0], ("web1", "web2", "web3"))
        self.assertEqual(self.lab.status()["dataplane"]["restarts"], 0)

    def test_an_unknown_segment_is_answered_with_a_reset(self):
        before = self.drops("no_flow")
        flags = frames.tcp_probe(self.lab.client, self.node_mac(), CLIENT4, VIP4, 40001, HTTP_FULLNAT)
        self.assertTrue(flags & frames.RST, f"flags {flags:#x}")
        self.assertGreaterEqual(self.drops("no_flow"), before + 1)

    def test_a_packet_at_its_last_hop_is_dropped_and_counted(self):
        before = self.drops("ttl_expired")
        self.send(ETH_IP, [frames.ipv4(CLIENT4, VIP4, 6, frames.tcp(CLIENT4, VIP4, 40002, 80), ttl=1)])
        wait_for(lambda: self.drops("ttl_expired") == before + 1, 2, "ttl_expired")

    def test_service_addresses_answer_ping(self):
        for address, family in ((VIP4, socket.AF_INET), (VIP6, socket.AF_INET6)):
            with self.subTest(address=address):
                before = self.steer_count("veth-client", "redirected_echo")
                request = b"\x08\0\0\0" if family == socket.AF_INET else b"\x80\0\0\0"
                proto = 1 if family == socket.AF_INET else socket.IPPROTO_ICMPV6
                with contextlib.closing(self.lab.client.socket(family, socket.SOCK_RAW, proto)) as ping:
                    ping.settimeout(2)
                    body = struct.pack("!HH", 77, 1) + b"penstock"
                    text = request[:2] + b"\0\0" + body
                    if family == socket.AF_INET:
                        text = request[:2] + struct.pack("!H", frames.checksum(text)) + body
                    ping.sendto(text, (address, 0))
                    while True:
                        answer = ping.recv(200)
                        icmp = answer[20:] if family == socket.AF_INET else answer
                        if icmp[0] in (0, 129):
                            break
                    self.assertEqual(icmp[4:], body)
                self.assertGreater(self.steer_count("veth-client", "redirected_echo"), before)

    def test_idling_costs_below_two_percent_of_a_core(self):
        time.sleep(1)
        pid = self.lab.dataplane_pid()

        def cpu_seconds():
            with open(f"/proc/{pid}/stat") as file:
                fields = file.read().rsplit(")", 1)[1].split()
            return (int(fields[11]) + int(fields[12])) / 100
        before, start = cpu_seconds(), time.monotonic()
        time.sleep(5)
        percent = 100 * (cpu_seconds() - before) / (time.monotonic() - start)
        worker = self.lab.status()["workers"][0]
        print(f"idle: {percent:.2f} % of a core by the kernel, status says {worker['thread_cpu_percent']}")
        self.assertLess(percent, 2.0)
        self.assertLess(worker["thread_cpu_percent"], 2.0)


class OnLink(case.LabTest):
    """The service address lies in the client's own subnet: we answer for it."""

    tag = "onl"
    vip4, vip6 = "10.10.1.100", "fd10:1::100"

    @classmethod
    def configuration(cls):
        return cls.lab.config(case.usual_clusters(), [
            case.listener("web4", cls.vip4, 80, "tcp", "web4"), case.listener("web6", cls.vip6, 80, "tcp", "web6")])

    def test_arp_and_neighbour_discovery_are_answered(self):
        for address in (self.vip4, self.vip6):
            with self.subTest(address=address):
                self.lab.client.run("ip", "neigh", "flush", "dev", "eth0")
                before = self.steer_count("veth-client", "redirected_neighbor")
                self.assertIn(server_name(self.lab.client, address, 80)[0], ("web1", "web2", "web3"))
                self.assertGreater(self.steer_count("veth-client", "redirected_neighbor"), before)
        replies = sum(worker["neighbor_replies_total"] for worker in self.lab.status()["workers"])
        self.assertGreaterEqual(replies, 2)


class PathMtu(case.LabTest):
    """Servers offer a segment size that the way to them does not carry, so that the client must learn from ICMP.

    Each row has a service address of its own, since a client learns a path's MTU per address.
    """

    tag = "mtu"
    node_rows = [("10.96.0.21", 7200, "fullnat", 4), ("10.96.0.22", 7200, "dnat", 4),
                 ("fd10:96::21", 7200, "fullnat", 6), ("fd10:96::22", 7200, "dnat", 6)]
    router_rows = [("10.96.0.31", 7200, "fullnat", 4), ("10.96.0.32", 7200, "dnat", 4),
                   ("fd10:96::31", 7200, "fullnat", 6), ("fd10:96::32", 7200, "dnat", 6)]

    @classmethod
    def configuration(cls):
        clusters = case.usual_clusters() + [
            {"name": "inner4", "endpoints": [{"address": "10.10.4.2", "port": 7100}]},
            {"name": "inner6", "endpoints": [{"address": "fd10:4::2", "port": 7100}]}]
        listeners = [case.listener(f"{kind}-{address}", address, port, "tcp", f"{kind}{family}", forwarding)
                     for kind, rows in (("echo", cls.node_rows), ("inner", cls.router_rows))
                     for address, port, forwarding, family in rows]
        for row in listeners:
            row["name"] = row["name"].replace(":", "-").replace(".", "-")
        return cls.lab.config(clusters, listeners)

    @classmethod
    def start_servers(cls):
        """A router hop of MTU 1300 in the servers' namespace, and an echo server behind it."""
        super().start_servers()
        lab = cls.lab
        inner = lab.namespace(f"psk-inner-{lab.tag}")
        lab.servers.ip(f"link add veth-inner mtu 1300 type veth peer name eth0 netns {inner.name}",
                       "link set veth-inner up", "addr add 10.10.4.1/24 dev veth-inner",
                       "addr add fd10:4::1/64 dev veth-inner nodad")
        inner.ip("link set eth0 up", "addr add 10.10.4.2/24 dev eth0", "addr add fd10:4::2/64 dev eth0 nodad",
                 "route add default via 10.10.4.1 mtu 1300 advmss 1460",
                 "route add default via fd10:4::1 mtu 1300 advmss 1440")
        lab.servers.sysctl(ipv4__ip_forward=1, ipv6__conf__all__forwarding=1)
        lab.node.ip(f"route add 10.10.4.0/24 via {case.server4(1)}", f"route add fd10:4::/64 via {case.server6(1)}")
        case.servers.echo(lab, {"inner": [("10.10.4.2", 7100), ("fd10:4::2", 7100)]}, space=inner)

    def test_errors_from_a_router_behind_are_translated_to_the_client(self):
        for address, port, forwarding, _family in self.router_rows:
            with self.subTest(address=address, forwarding=forwarding):
                before = self.workers("icmp_translated_total")
                echo_bulk(self.lab.client, address, port, 1 << 20)
                self.assertGreater(self.workers("icmp_translated_total"), before, "an ICMP error was translated")

    def test_a_smaller_mtu_of_our_own_port_is_answered_by_the_node(self):
        self.lab.node.ip("link set veth-servers mtu 1280")
        routes = [f"route change default via {NODE_SERVERS4}", f"route change default via {NODE_SERVERS6}",
                  "route change 10.10.2.0/24 dev eth0"]
        self.lab.servers.ip(*[f"{route} mtu 1280 advmss 1440" for route in routes],
                            "route add fd10:2::/64 dev eth0 metric 128 mtu 1280 advmss 1440")
        self.addCleanup(self.lab.servers.ip, *routes, "route del fd10:2::/64 dev eth0 metric 128")
        self.addCleanup(self.lab.node.ip, "link set veth-servers mtu 1500")
        self.lab.apply()
        time.sleep(1)
        for address, port, forwarding, _family in self.node_rows:
            with self.subTest(address=address, forwarding=forwarding):
                before = self.workers("too_big_sent_total")
                echo_bulk(self.lab.client, address, port, 1 << 20)
                self.assertGreater(self.workers("too_big_sent_total"), before, "the node answered for its own port")

    def workers(self, name):
        return sum(worker[name] for worker in self.lab.status()["workers"])


if __name__ == "__main__":
    case.main()
