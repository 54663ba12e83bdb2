// Writes the seeds of the fuzz targets that take frames: corpus_writer wire_fuzz|l4_fuzz FOLDER.
// The seeds are committed; run this again only after adding one here.
#include <cstdio>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/packet_builder.h"

namespace {

using namespace penstock::test;
using Seeds = std::vector<std::pair<std::string, Bytes>>;

PacketBuilder ipv4() { return PacketBuilder{}.ipv4("10.1.0.2", "10.96.0.10"); }
PacketBuilder ipv6() { return PacketBuilder{}.ipv6("fd01::2", "fd96::10"); }

void add_transport(Seeds& out) {
  for (const bool v4 : {true, false}) {
    const std::string family = v4 ? "ipv4" : "ipv6";
    const auto ip_packet = [v4] { return v4 ? ipv4() : ipv6(); };
    for (const char* flags : {"S", "SA", "A", "PA", "FA", "RA", "", "SF"})
      out.emplace_back(family + "_tcp_" + (*flags == 0 ? "none" : flags), ip_packet().tcp(40000, 80, flags).build());
    out.emplace_back(family + "_tcp_options",
                     ip_packet().tcp(40000, 80, "S").tcp_options(bytes_of("\x02\x04\x05\xb4\x01\x03\x03\x07")).build());
    out.emplace_back(family + "_tcp_data", ip_packet().tcp(40000, 80, "PA").payload("GET / HTTP/1.1\r\n\r\n").build());
    out.emplace_back(family + "_tcp_vlan", ip_packet().vlan(5).tcp(40000, 80).payload("x").build());
    out.emplace_back(family + "_tcp_qinq", ip_packet().vlan(0xe005, 0x88a8).tcp(40000, 80).build());
    out.emplace_back(family + "_tcp_partial",
                     ip_packet().tcp(1, 2).payload("x").checksum(ChecksumMode::partial).build());
    out.emplace_back(family + "_tcp_bad", ip_packet().tcp(1, 2).payload("x").checksum(ChecksumMode::bad).build());
    out.emplace_back(family + "_udp", ip_packet().udp(5000, 53).payload("query").build());
    out.emplace_back(family + "_udp_empty", ip_packet().udp(5000, 53).build());
    out.emplace_back(family + "_udp_no_checksum", ip_packet().udp(5, 6).checksum(ChecksumMode::zero).build());
    out.emplace_back(family + "_udp_padding", ip_packet().udp(5, 6).payload("abc").padding(11).build());
    out.emplace_back(family + "_udp_cut", ip_packet().udp(5, 6).payload("abcdef").cut(v4 ? 44 : 64).build());
    out.emplace_back(family + "_ttl_1", ip_packet().ttl(1).tcp(1, 2, "S").build());
    out.emplace_back(family + "_proto_47", ip_packet().ip_proto(47).tcp(1, 2).build());
  }
  out.emplace_back("ipv4_options", ipv4().ip_options(12).tcp(1, 2, "S").build());
  out.emplace_back("ipv4_fragment_first", ipv4().fragment(0, true).udp(1, 2).payload("x").build());
  out.emplace_back("ipv4_fragment_later", ipv4().fragment(185, false).udp(1, 2).build());
  for (const int next : {0, 43, 44, 60})
    out.emplace_back("ipv6_next_" + std::to_string(next),
                     ipv6().ip_proto(static_cast<std::uint8_t>(next)).udp(1, 2).build());
}

void add_control(Seeds& out) {
  const Bytes tcp4 = PacketBuilder{}.ipv4("10.10.2.1", "10.10.2.11").tcp(16384, 8080, "PA").payload_octets(40).quote();
  const Bytes udp6 = PacketBuilder{}.ipv6("fd10:2::1", "fd10:2::11").udp(16384, 8080).payload_octets(40).quote();
  const auto part = [](const Bytes& bytes, long count) { return Bytes{bytes.begin(), bytes.begin() + count}; };
  const auto router4 = [] { return PacketBuilder{}.ipv4("10.9.9.9", "10.10.2.1"); };
  const auto router6 = [] { return PacketBuilder{}.ipv6("fd09::9", "fd10:2::1"); };
  out.emplace_back("icmp_unreachable", router4().icmp(3, 1).payload(tcp4).build());
  out.emplace_back("icmp_frag_needed", router4().icmp(3, 4, 1400).payload(part(tcp4, 28)).build());
  out.emplace_back("icmp_time_exceeded", router4().icmp(11, 0).payload(part(tcp4, 38)).build());
  out.emplace_back("icmp_parameter", router4().icmp(12, 0).payload(part(tcp4, 27)).build());
  out.emplace_back("icmp_redirect", router4().icmp(5, 0).payload(part(tcp4, 28)).build());
  out.emplace_back("icmp_empty", router4().icmp(3, 0).build());
  out.emplace_back("icmpv6_unreachable", router6().icmp(1, 4).payload(udp6).build());
  out.emplace_back("icmpv6_too_big", router6().icmp(2, 0, 1280).payload(part(udp6, 48)).build());
  out.emplace_back("icmpv6_time_exceeded", router6().icmp(3, 0).payload(part(udp6, 47)).build());
  out.emplace_back("echo4", ipv4().echo_request(7, 1).payload_octets(56).build());
  out.emplace_back("echo6", ipv6().vlan(3).echo_request(7, 1).payload_octets(57).build());
  const auto solicit = [](const char* src, const char* dst, const char* option) {
    return PacketBuilder{}.ipv6(src, dst).neighbor_solicitation("fd96::10", option).build();
  };
  out.emplace_back("nd", solicit("fd01::2", "ff02::1:ff00:10", "02:00:00:00:00:01"));
  out.emplace_back("nd_unicast", solicit("fd01::2", "fd96::10", ""));
  out.emplace_back("nd_dad", solicit("::", "ff02::1:ff00:10", ""));
  out.emplace_back("arp", PacketBuilder{}.arp(1, "02:00:00:00:00:01", "10.1.0.2", "10.96.0.10").padding(18).build());
  out.emplace_back("arp_probe", PacketBuilder{}.vlan(4).arp(1, "02:00:00:00:00:01", "0.0.0.0", "10.96.0.10").build());
  out.emplace_back("arp_reply", PacketBuilder{}.arp(2, "02:00:00:00:00:01", "10.1.0.2", "10.96.0.10").build());
  out.emplace_back("probe", PacketBuilder{}.ether_type(0x88b5).payload("PENS").build());
  out.emplace_back("lldp", PacketBuilder{}.ether_type(0x88cc).payload("lldp").build());
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: corpus_writer wire_fuzz|l4_fuzz FOLDER\n");
    return 2;
  }
  Seeds seeds;
  add_transport(seeds);
  add_control(seeds);
  const bool l4 = std::string{argv[1]} == "l4_fuzz";
  for (const auto& [name, frame] : seeds) {
    std::ofstream file{std::string{argv[2]} + "/" + name, std::ios::binary};
    // l4_fuzz reads 16 octets of control in front of the frame: see l4_fuzz.cpp.
    if (l4) file.write("\x01\x05\x00\x80\x40\x10\x20\x30\x00\x11\x22\x33\x44\x55\x66\x77", 16);
    for (const std::byte octet : frame) file.put(static_cast<char>(octet));
  }
  std::printf("%zu seeds\n", seeds.size());
  return 0;
}
