#include "dataplane/l4/rewrite.h"

#include <gtest/gtest.h>

#include <array>

#include "dataplane/l4/verify.h"
#include "tests/support/flow_pair.h"
#include "tests/support/packet_builder.h"
#include "tests/support/seeded.h"

namespace penstock::l4 {
namespace {

using test::Bytes;
using test::ChecksumMode;
using test::FlowPair;
using test::PacketBuilder;
using test::side;
using test::TestFrame;

const Link kLink{*MacAddress::parse("02:00:00:00:00:aa"), *MacAddress::parse("02:00:00:00:00:bb"), 0};

/// One combination of what the packet path meets.
struct Case {
  bool v4, tcp, fullnat, forward;
  ChecksumMode checksum;
  std::uint16_t vlan_in, vlan_out;
  friend std::ostream& operator<<(std::ostream& out, const Case& c) {
    return out << (c.v4 ? "v4" : "v6") << (c.tcp ? " tcp" : " udp") << (c.fullnat ? " fullnat" : " dnat")
               << (c.forward ? " forward" : " reverse") << " checksum " << static_cast<int>(c.checksum) << " vlan "
               << c.vlan_in << " -> " << c.vlan_out;
  }
};

FlowPair flow_of(const Case& c) {
  const IpProto proto = c.tcp ? IpProto::tcp : IpProto::udp;
  if (c.v4)
    return flow_pair(side("10.1.0.2", 40000), side("10.96.0.10", 80),
                     c.fullnat ? side("10.10.2.1", 16384) : side("10.1.0.2", 40000), side("10.10.2.11", 8080), proto);
  return flow_pair(side("fd01::2", 40000), side("fd96::10", 80),
                   c.fullnat ? side("fd10:2::1", 16384) : side("fd01::2", 40000), side("fd10:2::11", 8080), proto);
}

PacketBuilder packet(const Case& c, const test::Side& src, const test::Side& dst, std::uint8_t ttl) {
  PacketBuilder out;
  out.from_to(src.address, dst.address).ttl(ttl);
  if (c.tcp)
    out.tcp(src.port.host(), dst.port.host(), "PA").seq(0xfffffff0).ack(77);
  else
    out.udp(src.port.host(), dst.port.host());
  return out.payload("GET / HTTP/1.1\r\n\r");  // an odd count of octets
}

/// The frame that must come out: built from nothing with the translated addresses and a full checksum.
Bytes expected(const Case& c, const control::FlowDirection& partner) {
  PacketBuilder out = packet(c, {partner.dst, partner.dst_port}, {partner.src, partner.src_port}, 63);
  out.eth(kLink.source.text(), kLink.destination.text());
  if (c.vlan_out != 0) out.vlan(c.vlan_out);
  if (c.checksum == ChecksumMode::zero) out.checksum(ChecksumMode::zero);
  return out.build();
}

void check_case(const Case& c) {
  SCOPED_TRACE(testing::Message() << c);
  const FlowPair flow = flow_of(c);
  const control::FlowDirection& in = c.forward ? flow.forward : flow.reverse;
  const control::FlowDirection& partner = c.forward ? flow.reverse : flow.forward;
  PacketBuilder builder = packet(c, {in.src, in.src_port}, {in.dst, in.dst_port}, 64);
  if (c.vlan_in != 0) builder.vlan(c.vlan_in);
  TestFrame frame{builder.checksum(c.checksum).build()};
  const auto info = wire::parse_packet(frame.frame().bytes());
  ASSERT_TRUE(info.ok());
  Link link = kLink;
  link.vlan_tci = c.vlan_out;
  const Rewritten result = rewrite(frame.frame(), *info, translation_of(in, partner), link);
  EXPECT_EQ(result.reason, DropReason::none);
  EXPECT_EQ(result.checksum_completed, c.checksum == ChecksumMode::partial);
  EXPECT_EQ(frame.content(), expected(c, partner)) << test::dump(frame.content()) << test::dump(expected(c, partner));
  EXPECT_TRUE(test::problems_of(frame.content()).empty()) << test::dump(frame.content());
}

TEST(Rewrite, gives_exactly_the_octets_of_the_translated_packet_in_every_combination) {
  int cases = 0;
  for (const bool v4 : {true, false})
    for (const bool tcp : {true, false})
      for (const bool fullnat : {true, false})
        for (const bool forward : {true, false})
          for (const ChecksumMode mode : {ChecksumMode::full, ChecksumMode::partial, ChecksumMode::zero})
            for (const std::uint16_t vlan_in : std::array<std::uint16_t, 3>{0, 5, 0x2007})
              for (const std::uint16_t vlan_out : std::array<std::uint16_t, 3>{0, 5, 0xe123}) {
                if (mode == ChecksumMode::zero && (tcp || !v4)) continue;
                check_case({v4, tcp, fullnat, forward, mode, vlan_in, vlan_out});
                ++cases;
              }
  EXPECT_EQ(cases, (8 * 2 * 2 + 4) * 9);
}

TEST(Rewrite, there_and_back_gives_the_first_packet_with_two_hops_less) {
  const Case c{true, true, true, true, ChecksumMode::full, 0, 0};
  const FlowPair flow = flow_of(c);
  const Bytes before = packet(c, side("10.1.0.2", 40000), side("10.96.0.10", 80), 64).build();
  TestFrame frame{before};
  // Out as forward, then the answer of an endpoint that mirrors the packet.
  ASSERT_EQ(
      rewrite(frame.frame(), *wire::parse_packet(before), translation_of(flow.forward, flow.reverse), kLink).reason,
      DropReason::none);
  const Bytes mirrored = packet(c, side("10.10.2.11", 8080), side("10.10.2.1", 16384), 64).build();
  TestFrame answer{mirrored};
  ASSERT_EQ(
      rewrite(answer.frame(), *wire::parse_packet(mirrored), translation_of(flow.reverse, flow.forward), kLink).reason,
      DropReason::none);
  const auto info = wire::parse_packet(answer.frame().bytes());
  ASSERT_TRUE(info.ok());
  EXPECT_EQ(info->src, test::ip("10.96.0.10"));
  EXPECT_EQ(info->dst, test::ip("10.1.0.2"));
  EXPECT_EQ(info->src_port, test::port(80));
  EXPECT_EQ(info->dst_port, test::port(40000));
}

TEST(Rewrite, leaves_a_frame_alone_whose_time_to_live_ends_here) {
  for (const std::uint8_t ttl : std::array<std::uint8_t, 2>{0, 1}) {
    const Case c{true, true, true, true, ChecksumMode::full, 0, 5};
    const FlowPair flow = flow_of(c);
    const Bytes before = packet(c, side("10.1.0.2", 40000), side("10.96.0.10", 80), ttl).build();
    TestFrame frame{before};
    const auto info = wire::parse_packet(frame.frame().bytes());
    EXPECT_EQ(rewrite(frame.frame(), *info, translation_of(flow.forward, flow.reverse), kLink).reason,
              DropReason::ttl_expired);
    EXPECT_EQ(frame.content(), before);
  }
}

TEST(Rewrite, leaves_a_frame_alone_that_has_no_room_for_a_tag) {
  const Case c{true, true, true, true, ChecksumMode::full, 0, 5};
  const FlowPair flow = flow_of(c);
  const Bytes before = packet(c, side("10.1.0.2", 40000), side("10.96.0.10", 80), 64).build();
  TestFrame frame{before, 3};
  Link link = kLink;
  link.vlan_tci = 5;
  const auto info = wire::parse_packet(frame.frame().bytes());
  EXPECT_EQ(rewrite(frame.frame(), *info, translation_of(flow.forward, flow.reverse), link).reason,
            DropReason::no_headroom);
  EXPECT_EQ(frame.content(), before);
}

TEST(Rewrite, damage_on_the_way_in_stays_visible_on_the_way_out) {
  const Case c{true, true, true, true, ChecksumMode::full, 0, 0};
  const FlowPair flow = flow_of(c);
  Bytes before = packet(c, side("10.1.0.2", 40000), side("10.96.0.10", 80), 64).build();
  before.back() ^= std::byte{0x10};
  TestFrame frame{before};
  ASSERT_EQ(
      rewrite(frame.frame(), *wire::parse_packet(before), translation_of(flow.forward, flow.reverse), kLink).reason,
      DropReason::none);
  EXPECT_FALSE(test::problems_of(frame.content()).empty());
}

TEST(Rewrite, keeps_link_padding_and_what_lies_behind_the_udp_length) {
  const Case c{true, false, true, true, ChecksumMode::full, 0, 0};
  const FlowPair flow = flow_of(c);
  const Bytes before = packet(c, side("10.1.0.2", 40000), side("10.96.0.10", 80), 64).padding(7).build();
  TestFrame frame{before};
  ASSERT_EQ(
      rewrite(frame.frame(), *wire::parse_packet(before), translation_of(flow.forward, flow.reverse), kLink).reason,
      DropReason::none);
  EXPECT_EQ(frame.content().size(), before.size());
  EXPECT_TRUE(test::problems_of(frame.content()).empty()) << test::dump(frame.content());
}

TEST(Rewrite, random_packets_keep_right_checksums) {
  test::Seeded random{20260101};
  for (int round = 0; round < 20000; ++round) {
    const bool v4 = random.coin(), tcp = random.coin();
    const auto any = [&] { return test::Side{random.address(v4), Be16::from_wire(random.u16())}; };
    const FlowPair flow = flow_pair(any(), any(), any(), any(), tcp ? IpProto::tcp : IpProto::udp);
    const bool forward = random.coin();
    const auto& in = forward ? flow.forward : flow.reverse;
    const auto& partner = forward ? flow.reverse : flow.forward;
    PacketBuilder builder;
    if (random.coin()) builder.vlan(random.u16());
    builder.from_to(in.src, in.dst).ttl(static_cast<std::uint8_t>(2 + random.below(254)));
    if (v4) builder.ip_options(random.below(3) * 4);
    if (tcp)
      builder.tcp(in.src_port.host(), in.dst_port.host())
          .seq(random.u32())
          .tcp_options(random.bytes(random.below(5) * 4));
    else
      builder.udp(in.src_port.host(), in.dst_port.host());
    builder.payload(random.bytes(random.below(100))).padding(random.below(4));
    if (random.below(4) == 0) builder.checksum(ChecksumMode::partial);
    TestFrame frame{builder.build()};
    const auto info = wire::parse_packet(frame.frame().bytes());
    ASSERT_TRUE(info.ok()) << "round " << round;
    const Link link{random.mac(), random.mac(), random.coin() ? random.u16() : std::uint16_t{0}};
    ASSERT_EQ(rewrite(frame.frame(), *info, translation_of(in, partner), link).reason, DropReason::none);
    ASSERT_TRUE(test::problems_of(frame.content()).empty()) << "round " << round << "\n" << test::dump(frame.content());
    const auto after = wire::parse_packet(frame.frame().bytes());
    ASSERT_TRUE(after.ok());
    ASSERT_TRUE(checksums_valid(frame.frame().bytes(), *after));
    ASSERT_EQ(after->src, partner.dst);
    ASSERT_EQ(after->dst, partner.src);
    ASSERT_EQ(after->src_port, partner.dst_port);
    ASSERT_EQ(after->dst_port, partner.src_port);
    ASSERT_EQ(after->ttl, info->ttl - 1);
    ASSERT_EQ(after->vlan_tci, link.vlan_tci);
    ASSERT_EQ(after->payload_octets, info->payload_octets);
  }
}

TEST(Rewrite, the_delta_of_the_way_back_undoes_the_delta_of_the_way_there) {
  test::Seeded random{3};
  for (int round = 0; round < 5000; ++round) {
    const bool v4 = random.coin();
    const auto any = [&] { return test::Side{random.address(v4), Be16::from_wire(random.u16())}; };
    const FlowPair flow = flow_pair(any(), any(), any(), any());
    const std::uint32_t both = std::uint32_t{flow.forward.l4_delta} + flow.reverse.l4_delta;
    ASSERT_EQ(both % 0xffff, 0u) << "round " << round;
  }
}

}  // namespace
}  // namespace penstock::l4
