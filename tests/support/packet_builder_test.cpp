#include "tests/support/packet_builder.h"

#include <gtest/gtest.h>

namespace penstock::test {
namespace {

TEST(PacketBuilder, writes_the_octets_of_a_known_packet) {
  // 10.0.0.1.1000 > 10.0.0.2.53 udp "hi". UDP sum by hand: 0a00+0001+0a00+0002+0011+000a +03e8+0035+000a +6869 = 80ae.
  const Bytes frame = PacketBuilder{}.ipv4("10.0.0.1", "10.0.0.2").udp(1000, 53).payload("hi").build();
  const unsigned expected[] = {0x02, 0, 0,  0,    0,    0x02, 0x02, 0,  0,  0,    0,    0x01, 0x08, 0x00, 0x45,
                               0,    0, 30, 0x12, 0x34, 0x40, 0x00, 64, 17, 0x14, 0x99, 10,   0,    0,    1,
                               10,   0, 0,  2,    0x03, 0xe8, 0,    53, 0,  10,   0x7f, 0x51, 'h',  'i'};
  ASSERT_EQ(frame.size(), std::size(expected)) << dump(frame);
  for (std::size_t i = 0; i < frame.size(); ++i)
    EXPECT_EQ(std::to_integer<unsigned>(frame[i]), expected[i]) << i << "\n" << dump(frame);
  EXPECT_TRUE(problems_of(frame).empty()) << dump(frame);
}

TEST(PacketBuilder, every_layer_it_builds_is_right) {
  for (const bool v4 : {true, false}) {
    const IpAddress src = v4 ? ip("10.0.0.1") : ip("fd00::1"), dst = v4 ? ip("10.0.0.2") : ip("fd00::2");
    const Bytes frames[] = {
        PacketBuilder{}.from_to(src, dst).tcp(1, 2, "SA").payload_octets(1001).build(),
        PacketBuilder{}.vlan(7).from_to(src, dst).udp(1, 2).payload_octets(33).build(),
        PacketBuilder{}.from_to(src, dst).echo_request(1, 2).payload("x").build(),
    };
    for (const Bytes& frame : frames) EXPECT_TRUE(problems_of(frame).empty()) << dump(frame);
  }
}

TEST(PacketBuilder, the_checker_sees_every_kind_of_damage) {
  const auto base = PacketBuilder{}.ipv4("10.0.0.1", "10.0.0.2").tcp(1, 2).payload("hello");
  EXPECT_FALSE(problems_of(PacketBuilder{base}.checksum(ChecksumMode::bad).build()).empty());
  EXPECT_FALSE(problems_of(PacketBuilder{base}.checksum(ChecksumMode::partial).build()).empty());
  EXPECT_TRUE(
      problems_of(PacketBuilder{base}.checksum(ChecksumMode::partial).build(), {.allow_partial = true}).empty());
  EXPECT_FALSE(problems_of(PacketBuilder{base}.ip_checksum(ChecksumMode::bad).build()).empty());
  EXPECT_FALSE(problems_of(PacketBuilder{base}.cut(40).build()).empty());
}

TEST(PacketBuilder, describes_a_packet_in_one_line) {
  const Bytes frame = PacketBuilder{}.vlan(5).ipv4("10.1.0.2", "10.96.0.10").tcp(40000, 80, "S").build();
  EXPECT_EQ(describe(frame),
            "02:00:00:00:00:01 > 02:00:00:00:00:02 vlan 5, 10.1.0.2.40000 > 10.96.0.10.80 tcp S seq 1000 ack 0 len 0 "
            "ttl 64");
}

}  // namespace
}  // namespace penstock::test
