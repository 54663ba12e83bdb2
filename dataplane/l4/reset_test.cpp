#include "dataplane/l4/reset.h"

#include <gtest/gtest.h>

#include "dataplane/wire/tcp.h"
#include "tests/support/packet_builder.h"

namespace penstock::l4 {
namespace {

using test::Bytes;
using test::PacketBuilder;
using test::TestFrame;

PacketBuilder segment(bool v4, const char* flags) {
  return PacketBuilder{}
      .from_to(test::ip(v4 ? "10.1.0.2" : "fd01::2"), test::ip(v4 ? "10.96.0.10" : "fd96::10"))
      .tcp(40000, 80, flags)
      .seq(0xfffffff0)
      .ack(5000);
}

struct Answer {
  std::uint32_t sequence, acknowledgement;
  std::uint8_t flags;
};

Answer answer_to(const PacketBuilder& builder) {
  TestFrame frame{builder.build()};
  EXPECT_EQ(make_reset(frame.frame(), *wire::parse_packet(frame.frame().bytes())), DropReason::none);
  const Bytes content = frame.content();
  EXPECT_TRUE(test::problems_of(content).empty()) << test::dump(content);
  const auto info = wire::parse_packet(content);
  EXPECT_TRUE(info.ok());
  EXPECT_EQ(info->src_port, test::port(80));
  EXPECT_EQ(info->dst_port, test::port(40000));
  EXPECT_EQ(info->src, test::ip(info->family == IpFamily::v4 ? "10.96.0.10" : "fd96::10"));
  EXPECT_EQ(info->dst, test::ip(info->family == IpFamily::v4 ? "10.1.0.2" : "fd01::2"));
  EXPECT_EQ(info->payload_octets, 0);
  EXPECT_EQ(content.size(), info->l3_offset + info->ip_octets);
  EXPECT_TRUE(test::describe(content).starts_with("02:00:00:00:00:02 > 02:00:00:00:00:01")) << test::dump(content);
  const auto tcp = wire::TcpView::parse(ByteView{content}.subspan(info->l4_offset));
  EXPECT_EQ(tcp->window(), 0);
  return {tcp->sequence(), tcp->acknowledgement(), tcp->flags()};
}

TEST(Reset, takes_its_sequence_from_the_acknowledgement) {
  for (const bool v4 : {true, false})
    for (const char* flags : {"A", "PA", "FA", "SA", "SFA"}) {
      const Answer answer = answer_to(segment(v4, flags).payload("data"));
      EXPECT_EQ(answer.sequence, 5000u) << flags;
      EXPECT_EQ(answer.acknowledgement, 0u) << flags;
      EXPECT_EQ(answer.flags, wire::kTcpRst) << flags;
    }
}

TEST(Reset, acknowledges_what_a_segment_without_ack_takes_up) {
  struct {
    const char* flags;
    std::uint32_t octets;
  } const cases[] = {{"", 20}, {"S", 21}, {"F", 21}, {"SF", 22}, {"P", 20}};
  for (const bool v4 : {true, false})
    for (const auto& c : cases) {
      const Answer answer = answer_to(segment(v4, c.flags).payload_octets(20));
      EXPECT_EQ(answer.sequence, 0u) << c.flags;
      EXPECT_EQ(answer.acknowledgement, 0xfffffff0u + c.octets) << c.flags;  // wraps
      EXPECT_EQ(answer.flags, wire::kTcpRst | wire::kTcpAck) << c.flags;
    }
}

TEST(Reset, leaves_options_padding_and_long_data_behind) {
  const Answer answer =
      answer_to(segment(true, "A").ip_options(40).tcp_options(Bytes(40, std::byte{1})).payload_octets(1000).padding(9));
  EXPECT_EQ(answer.sequence, 5000u);
}

TEST(Reset, keeps_the_tag) {
  TestFrame frame{segment(true, "A").vlan(0x3009).build()};
  ASSERT_EQ(make_reset(frame.frame(), *wire::parse_packet(frame.frame().bytes())), DropReason::none);
  EXPECT_EQ(wire::parse_packet(frame.frame().bytes())->vlan_tci, 0x3009);
}

TEST(Reset, never_answers_a_reset_a_group_or_anything_but_tcp) {
  const PacketBuilder refused[] = {
      segment(true, "R"),
      segment(false, "RA"),
      segment(true, "RSFA"),
      segment(true, "A").ipv4("224.0.0.1", "10.96.0.10"),
      segment(true, "A").ipv4("255.255.255.255", "10.96.0.10"),
      segment(true, "A").ipv4("10.1.0.2", "239.0.0.1"),
      segment(false, "S").ipv6("::", "fd96::10"),
      segment(true, "S").eth("02:00:00:00:00:01", "ff:ff:ff:ff:ff:ff"),
      PacketBuilder{}.ipv4("10.1.0.2", "10.96.0.10").udp(1, 2),
      PacketBuilder{}.ipv4("10.1.0.2", "10.96.0.10").echo_request(1, 2),
  };
  for (const PacketBuilder& builder : refused) {
    const Bytes before = builder.build();
    TestFrame frame{before};
    EXPECT_EQ(make_reset(frame.frame(), *wire::parse_packet(before)), DropReason::no_flow) << test::describe(before);
    EXPECT_EQ(frame.content(), before);
  }
}

}  // namespace
}  // namespace penstock::l4
