#include "dataplane/wire/packet_info.h"

#include <gtest/gtest.h>

#include "dataplane/wire/ethernet.h"
#include "dataplane/wire/ip_class.h"
#include "dataplane/wire/nd.h"
#include "tests/support/packet_builder.h"
#include "tests/support/seeded.h"

namespace penstock::wire {
namespace {

using test::Bytes;
using test::ip;
using test::PacketBuilder;
using test::port;

PacketBuilder tcp4() { return PacketBuilder{}.ipv4("10.1.0.2", "10.96.0.10").tcp(40000, 80, "SA").payload("hello"); }
PacketBuilder udp6() { return PacketBuilder{}.ipv6("fd00::1", "fd00::2").udp(5000, 53).payload("query"); }
DropReason reason_of(const PacketBuilder& builder) { return parse_packet(builder.build()).reason(); }

TEST(ParsePacket, reads_every_field_of_an_ipv4_tcp_segment) {
  const auto info = parse_packet(tcp4().ttl(17).build());
  ASSERT_TRUE(info.ok()) << name_of(info.reason());
  EXPECT_EQ(info->kind, PacketKind::transport);
  EXPECT_EQ(info->family, IpFamily::v4);
  EXPECT_EQ(info->proto, IpProto::tcp);
  EXPECT_EQ(info->src, ip("10.1.0.2"));
  EXPECT_EQ(info->dst, ip("10.96.0.10"));
  EXPECT_EQ(info->src_port, port(40000));
  EXPECT_EQ(info->dst_port, port(80));
  EXPECT_EQ(info->tcp_flags, kTcpSyn | kTcpAck);
  EXPECT_EQ(info->ttl, 17);
  EXPECT_EQ(info->l3_offset, 14);
  EXPECT_EQ(info->l4_offset, 34);
  EXPECT_EQ(info->payload_offset, 54);
  EXPECT_EQ(info->payload_octets, 5);
  EXPECT_EQ(info->ip_octets, 45);
  EXPECT_TRUE(info->dont_fragment);
  EXPECT_FALSE(info->tagged());
}

TEST(ParsePacket, reads_an_ipv6_udp_datagram_behind_a_vlan_tag) {
  const auto info = parse_packet(udp6().vlan(0x6005).ttl(3).padding(9).build());
  ASSERT_TRUE(info.ok()) << name_of(info.reason());
  EXPECT_EQ(info->family, IpFamily::v6);
  EXPECT_EQ(info->proto, IpProto::udp);
  EXPECT_EQ(info->src, ip("fd00::1"));
  EXPECT_EQ(info->dst, ip("fd00::2"));
  EXPECT_EQ(info->src_port, port(5000));
  EXPECT_EQ(info->dst_port, port(53));
  EXPECT_EQ(info->vlan_tci, 0x6005);
  EXPECT_TRUE(info->tagged());
  EXPECT_EQ(info->l3_offset, 18);
  EXPECT_EQ(info->l4_offset, 58);
  EXPECT_EQ(info->payload_offset, 66);
  EXPECT_EQ(info->payload_octets, 5);
  EXPECT_EQ(info->ip_octets, 53);
  EXPECT_EQ(info->tcp_flags, 0);
  EXPECT_EQ(info->ttl, 3);
}

TEST(ParsePacket, skips_ip_and_tcp_options) {
  const auto info = parse_packet(tcp4().ip_options(40).tcp_options(Bytes(40, std::byte{1})).build());
  ASSERT_TRUE(info.ok()) << name_of(info.reason());
  EXPECT_EQ(info->l4_offset, 14 + 60);
  EXPECT_EQ(info->payload_offset, 14 + 60 + 60);
  EXPECT_EQ(info->payload_octets, 5);
}

TEST(ParsePacket, leaves_out_what_lies_behind_the_udp_length) {
  Bytes frame = PacketBuilder{}.ipv4("10.0.0.1", "10.0.0.2").udp(1, 2).payload("0123456789").build();
  store_be(ByteSpan{frame}, 14 + 20 + 4, Be16::from_host(8 + 4));
  const auto info = parse_packet(frame);
  ASSERT_TRUE(info.ok());
  EXPECT_EQ(info->payload_octets, 4);
}

TEST(ParsePacket, tells_the_kinds_of_control_messages_apart) {
  const auto kind = [](const PacketBuilder& builder) {
    const auto info = parse_packet(builder.build());
    EXPECT_TRUE(info.ok()) << test::dump(builder.build()) << name_of(info.reason());
    return info->kind;
  };
  const auto v4 = [] { return PacketBuilder{}.ipv4("10.0.0.1", "10.0.0.2"); };
  const auto v6 = [] { return PacketBuilder{}.ipv6("fd00::1", "fd00::2"); };
  for (const int type : {3, 11, 12})
    EXPECT_EQ(kind(v4().icmp(static_cast<std::uint8_t>(type), 0)), PacketKind::icmp_error) << type;
  for (const int type : {1, 2, 3, 4})
    EXPECT_EQ(kind(v6().icmp(static_cast<std::uint8_t>(type), 0)), PacketKind::icmp_error) << type;
  EXPECT_EQ(kind(v4().echo_request(1, 2)), PacketKind::echo_request);
  EXPECT_EQ(kind(v6().echo_request(1, 2)), PacketKind::echo_request);
  EXPECT_EQ(kind(PacketBuilder{}.arp(1, "02:00:00:00:00:01", "10.0.0.1", "10.0.0.2")), PacketKind::arp_request);
  EXPECT_EQ(kind(v6().neighbor_solicitation("fd00::2", "02:00:00:00:00:01")), PacketKind::neighbor_solicitation);
  EXPECT_EQ(kind(PacketBuilder{}.ether_type(0x88b5).payload("PENS")), PacketKind::probe);
}

TEST(ParsePacket, names_the_address_asked_for_as_destination) {
  const auto arp = parse_packet(PacketBuilder{}.arp(1, "02:00:00:00:00:01", "10.0.0.1", "10.0.0.2").build());
  ASSERT_TRUE(arp.ok());
  EXPECT_EQ(arp->src, ip("10.0.0.1"));
  EXPECT_EQ(arp->dst, ip("10.0.0.2"));
  const auto nd =
      parse_packet(PacketBuilder{}.ipv6("fd00::1", "ff02::1:ff00:2").neighbor_solicitation("fd00::2", "").build());
  ASSERT_TRUE(nd.ok());
  EXPECT_EQ(nd->src, ip("fd00::1"));
  EXPECT_EQ(nd->dst, ip("fd00::2"));
}

TEST(ParsePacket, refuses_each_fault_with_its_own_reason) {
  EXPECT_EQ(reason_of(tcp4().vlan(1).ether_type(0x8100)), DropReason::vlan_depth);
  EXPECT_EQ(reason_of(tcp4().vlan(1, 0x88a8).ether_type(0x88a8)), DropReason::vlan_depth);
  EXPECT_EQ(reason_of(tcp4().ether_type(0x86dd)), DropReason::bad_version);
  EXPECT_EQ(reason_of(udp6().ether_type(0x0800)), DropReason::bad_version);
  EXPECT_EQ(reason_of(tcp4().ether_type(0x88cc)), DropReason::not_ip);
  EXPECT_EQ(reason_of(tcp4().ether_type(0x0600)), DropReason::not_ip);
  EXPECT_EQ(reason_of(tcp4().fragment(0, true)), DropReason::fragment);
  EXPECT_EQ(reason_of(tcp4().fragment(100, false)), DropReason::fragment);
  EXPECT_EQ(reason_of(udp6().ip_proto(44)), DropReason::fragment);
  for (const int next : {0, 43, 50, 51, 60, 135, 139, 140})
    EXPECT_EQ(reason_of(udp6().ip_proto(static_cast<std::uint8_t>(next))), DropReason::ipv6_extension) << next;
  for (const int proto : {0, 2, 44, 47, 58, 132})
    EXPECT_EQ(reason_of(tcp4().ip_proto(static_cast<std::uint8_t>(proto))), DropReason::unsupported_proto) << proto;
  EXPECT_EQ(reason_of(udp6().ip_proto(1)), DropReason::unsupported_proto);
  EXPECT_EQ(reason_of(udp6().ip_proto(59)), DropReason::unsupported_proto);
  EXPECT_EQ(reason_of(PacketBuilder{}.ipv4("10.0.0.1", "10.0.0.2").icmp(0, 0)), DropReason::unsupported_proto);
  EXPECT_EQ(reason_of(PacketBuilder{}.ipv6("fd00::1", "fd00::2").icmp(136, 0)), DropReason::unsupported_proto);
  EXPECT_EQ(reason_of(PacketBuilder{}.arp(2, "02:00:00:00:00:01", "10.0.0.1", "10.0.0.2")),
            DropReason::unsupported_proto);
  EXPECT_EQ(reason_of(PacketBuilder{}.ether_type(0x88b5).payload("PENX")), DropReason::not_ip);
}

TEST(ParsePacket, refuses_ipv6_packets_whose_addresses_would_pass_for_ipv4) {
  Bytes frame = udp6().build();
  const IpAddress mapped = ip("10.96.0.10");
  for (const std::size_t at : {14u + 8u, 14u + 24u}) {
    Bytes bad = frame;
    std::memcpy(bad.data() + at, mapped.octets.data(), 16);
    EXPECT_EQ(parse_packet(bad).reason(), DropReason::mapped_address);
  }
  frame = PacketBuilder{}.ipv6("fd00::1", "fd00::2").neighbor_solicitation("fd00::2", "").build();
  std::memcpy(frame.data() + 14 + 40 + 8, mapped.octets.data(), 16);
  EXPECT_EQ(parse_packet(frame).reason(), DropReason::mapped_address);
}

TEST(ParsePacket, refuses_length_fields_that_disagree) {
  const auto with = [](Bytes frame, std::size_t at, unsigned value) {
    frame[at] = static_cast<std::byte>(value);
    return parse_packet(frame).reason();
  };
  const Bytes tcp = tcp4().build(), udp = PacketBuilder{}.ipv4("10.0.0.1", "10.0.0.2").udp(1, 2).payload("x").build();
  EXPECT_EQ(with(tcp, 14, 0x44), DropReason::bad_ihl);
  EXPECT_EQ(with(tcp, 14 + 3, 19), DropReason::bad_total_length);
  EXPECT_EQ(with(tcp, 14 + 3, 46), DropReason::truncated);
  EXPECT_EQ(with(tcp, 14 + 3, 39), DropReason::truncated);  // 19 octets of TCP
  EXPECT_EQ(with(tcp, 34 + 12, 0x40), DropReason::bad_tcp_offset);
  EXPECT_EQ(with(tcp, 34 + 12, 0x70), DropReason::bad_tcp_offset);
  EXPECT_EQ(with(udp, 34 + 5, 7), DropReason::bad_udp_length);
  EXPECT_EQ(with(udp, 34 + 5, 10), DropReason::bad_udp_length);
  EXPECT_EQ(with(udp6().build(), 14 + 5, 14), DropReason::truncated);
  EXPECT_EQ(with(udp6().build(), 14 + 5, 7), DropReason::truncated);
}

TEST(ParsePacket, every_shorter_prefix_of_a_good_frame_is_refused) {
  const PacketBuilder good[] = {
      tcp4(),
      udp6(),
      tcp4().vlan(9),
      PacketBuilder{}.ipv4("10.0.0.1", "10.0.0.2").echo_request(1, 1).payload("abc"),
      PacketBuilder{}.ipv6("fd00::1", "fd00::2").neighbor_solicitation("fd00::2", "02:00:00:00:00:01"),
      PacketBuilder{}.arp(1, "02:00:00:00:00:01", "10.0.0.1", "10.0.0.2"),
      PacketBuilder{}.ether_type(0x88b5).payload("PENS"),
  };
  for (const PacketBuilder& builder : good) {
    const Bytes frame = builder.build();
    ASSERT_TRUE(parse_packet(frame).ok()) << test::dump(frame);
    for (std::size_t octets = 0; octets < frame.size(); ++octets)
      EXPECT_EQ(parse_packet(ByteView{frame}.first(octets)).reason(), DropReason::truncated) << octets << "\n"
                                                                                             << test::dump(frame);
  }
}

TEST(ParsePacket, what_it_accepts_lies_inside_the_frame_whatever_the_octets) {
  test::Seeded random{2026};
  std::size_t accepted = 0;
  for (int round = 0; round < 200000; ++round) {
    Bytes frame = random.coin() ? tcp4().ip_options(random.below(4) * 4).build() : udp6().build();
    for (std::size_t i = random.below(4); i > 0; --i)
      frame[12 + random.below(frame.size() - 12)] = std::byte(random.u16() & 0xff);
    if (random.coin()) frame.resize(random.below(frame.size() + 1));
    const auto info = parse_packet(frame);
    if (!info) continue;
    ++accepted;
    ASSERT_LE(info->l3_offset + info->ip_octets, frame.size());
    if (info->kind != PacketKind::transport) continue;
    ASSERT_LE(info->payload_offset + info->payload_octets, info->l3_offset + info->ip_octets);
    ASSERT_LE(info->l4_offset, info->payload_offset);
  }
  EXPECT_GT(accepted, 20000u);
}

TEST(NeighborView, refuses_options_of_length_zero_or_past_the_end) {
  Bytes frame =
      PacketBuilder{}.ipv6("fd00::1", "fd00::2").neighbor_solicitation("fd00::2", "02:00:00:00:00:01").build();
  const ByteSpan message = ByteSpan{frame}.subspan(14 + 40);
  ASSERT_TRUE(NeighborView::parse(message).ok());
  message[25] = std::byte{0};
  EXPECT_FALSE(NeighborView::parse(message).ok());
  message[25] = std::byte{2};
  EXPECT_FALSE(NeighborView::parse(message).ok());
}

TEST(IpClass, knows_which_addresses_are_one_host) {
  for (const char* text : {"10.0.0.1", "192.168.1.255", "223.255.255.255", "fd00::1", "fe80::1", "::2", "2001:db8::"})
    EXPECT_TRUE(is_unicast(ip(text))) << text;
  for (const char* text :
       {"0.0.0.0", "0.1.2.3", "127.0.0.1", "224.0.0.1", "255.255.255.255", "240.0.0.1", "::", "::1", "ff02::1"})
    EXPECT_FALSE(is_unicast(ip(text))) << text;
  EXPECT_TRUE(is_unspecified(ip("::")));
  EXPECT_TRUE(is_unspecified(ip("0.0.0.0")));
  EXPECT_FALSE(is_unspecified(ip("::1")));
}

}  // namespace
}  // namespace penstock::wire
