#include "dataplane/l4/neighbor.h"

#include <gtest/gtest.h>

#include "dataplane/wire/arp.h"
#include "dataplane/wire/ethernet.h"
#include "dataplane/wire/nd.h"
#include "tests/support/packet_builder.h"

namespace penstock::l4 {
namespace {

using test::Bytes;
using test::ip;
using test::mac;
using test::PacketBuilder;
using test::TestFrame;

const MacAddress kOurs = *MacAddress::parse("02:00:00:00:00:cc");

DropReason answer(TestFrame& frame) {
  const auto info = wire::parse_packet(frame.frame().bytes());
  EXPECT_TRUE(info.ok()) << test::dump(frame.content());
  return answer_neighbor(frame.frame(), *info, kOurs);
}
void expect_refused(const PacketBuilder& builder) {
  const Bytes before = builder.build();
  TestFrame frame{before};
  EXPECT_EQ(answer(frame), DropReason::neighbor_invalid) << test::dump(before);
  EXPECT_EQ(frame.content(), before);
}

PacketBuilder request() {
  return PacketBuilder{}
      .eth("02:00:00:00:00:01", "ff:ff:ff:ff:ff:ff")
      .arp(1, "02:00:00:00:00:01", "10.1.0.2", "10.96.0.10")
      .padding(18);
}

TEST(Arp, answers_the_asker_with_our_address) {
  for (const bool tagged : {false, true}) {
    PacketBuilder builder = request();
    if (tagged) builder.vlan(0x2005);
    TestFrame frame{builder.build()};
    ASSERT_EQ(answer(frame), DropReason::none);
    const auto ethernet = wire::EthernetView::parse(frame.frame().bytes());
    ASSERT_TRUE(ethernet.ok());
    EXPECT_EQ(ethernet->destination(), mac("02:00:00:00:00:01"));
    EXPECT_EQ(ethernet->source(), kOurs);
    EXPECT_EQ(ethernet->tci(), tagged ? 0x2005 : 0);
    const auto arp = wire::ArpView::parse(ethernet->payload());
    ASSERT_TRUE(arp.ok());
    EXPECT_EQ(arp->operation(), wire::kArpReply);
    EXPECT_EQ(arp->sender_mac(), kOurs);
    EXPECT_EQ(arp->sender(), ip("10.96.0.10"));
    EXPECT_EQ(arp->target_mac(), mac("02:00:00:00:00:01"));
    EXPECT_EQ(arp->target(), ip("10.1.0.2"));
    EXPECT_EQ(frame.content().size(), builder.build().size());
  }
}

TEST(Arp, answers_a_probe_from_nobody) {
  TestFrame frame{request().arp(1, "02:00:00:00:00:01", "0.0.0.0", "10.96.0.10").build()};
  EXPECT_EQ(answer(frame), DropReason::none);
}

TEST(Arp, does_not_answer_announcements_or_group_senders) {
  expect_refused(request().arp(1, "02:00:00:00:00:01", "10.96.0.10", "10.96.0.10"));
  expect_refused(request().arp(1, "01:00:00:00:00:01", "10.1.0.2", "10.96.0.10"));
  expect_refused(request().arp(1, "00:00:00:00:00:00", "10.1.0.2", "10.96.0.10"));
  expect_refused(request().arp(1, "02:00:00:00:00:01", "224.0.0.1", "10.96.0.10"));
}

PacketBuilder solicitation(const char* src = "fd01::2", const char* dst = "ff02::1:ff00:10",
                           const char* option = "02:00:00:00:00:01") {
  return PacketBuilder{}
      .eth("02:00:00:00:00:01", "33:33:ff:00:00:10")
      .ipv6(src, dst)
      .neighbor_solicitation("fd96::10", option);
}

/// Checks the parts of an advertisement and returns its flags.
std::uint32_t flags_of(const Bytes& frame, const char* to_mac, const char* to) {
  EXPECT_TRUE(test::problems_of(frame).empty()) << test::dump(frame);
  const auto ethernet = wire::EthernetView::parse(frame);
  EXPECT_EQ(ethernet->destination(), mac(to_mac));
  EXPECT_EQ(ethernet->source(), kOurs);
  const ByteView packet = ethernet->payload();
  EXPECT_EQ(packet.size(), 72u);
  EXPECT_EQ(std::to_integer<int>(packet[7]), 255);
  EXPECT_EQ(std::to_integer<int>(packet[40]), 136);
  IpAddress src, dst;
  std::memcpy(src.octets.data(), packet.data() + 8, 16);
  std::memcpy(dst.octets.data(), packet.data() + 24, 16);
  EXPECT_EQ(src, ip("fd96::10"));
  EXPECT_EQ(dst, ip(to));
  const auto neighbor = wire::NeighborView::parse(packet.subspan(40));
  EXPECT_TRUE(neighbor.ok());
  EXPECT_EQ(neighbor->target(), ip("fd96::10"));
  EXPECT_EQ(neighbor->link_address(wire::kNdTargetLinkAddress), kOurs);
  return neighbor->flags();
}

TEST(NeighborDiscovery, answers_a_solicitation_with_a_solicited_advertisement) {
  TestFrame frame{solicitation().build()};
  ASSERT_EQ(answer(frame), DropReason::none);
  EXPECT_EQ(flags_of(frame.content(), "02:00:00:00:00:01", "fd01::2"), wire::kNdSolicited | wire::kNdOverride);
}

TEST(NeighborDiscovery, keeps_the_tag_of_the_question) {
  TestFrame frame{solicitation().vlan(77).build()};
  ASSERT_EQ(answer(frame), DropReason::none);
  EXPECT_EQ(wire::EthernetView::parse(frame.frame().bytes())->tci(), 77);
  EXPECT_EQ(flags_of(frame.content(), "02:00:00:00:00:01", "fd01::2"), wire::kNdSolicited | wire::kNdOverride);
}

TEST(NeighborDiscovery, answers_a_unicast_probe_without_option_to_the_frames_source) {
  TestFrame frame{solicitation("fd01::2", "fd96::10", "").build()};
  ASSERT_EQ(answer(frame), DropReason::none);
  EXPECT_EQ(flags_of(frame.content(), "02:00:00:00:00:01", "fd01::2"), wire::kNdSolicited | wire::kNdOverride);
}

TEST(NeighborDiscovery, answers_duplicate_address_detection_to_all_nodes) {
  TestFrame frame{solicitation("::", "ff02::1:ff00:10", "").build()};
  ASSERT_EQ(answer(frame), DropReason::none);
  EXPECT_EQ(flags_of(frame.content(), "33:33:00:00:00:01", "ff02::1"), wire::kNdOverride);
}

TEST(NeighborDiscovery, discards_what_rfc_4861_section_7_1_1_tells_to_discard) {
  expect_refused(solicitation().ttl(254));
  expect_refused(solicitation().checksum(test::ChecksumMode::bad));
  expect_refused(solicitation("::", "ff02::1:ff00:10", "02:00:00:00:00:01"));  // unspecified source with option
  expect_refused(solicitation("::", "fd96::10", ""));                          // unspecified source to unicast
  expect_refused(solicitation("fd01::2", "ff02::1:ff00:11"));                  // another group
  expect_refused(solicitation("ff02::5"));                                     // source is a group
  expect_refused(solicitation("fd01::2", "ff02::1:ff00:10", "03:00:00:00:00:01"));
  const PacketBuilder to_group =
      PacketBuilder{}.ipv6("fd01::2", "ff02::1:ff00:10").neighbor_solicitation("ff02::10", "");
  expect_refused(to_group);
}

TEST(NeighborDiscovery, leaves_a_short_frame_alone_that_cannot_grow) {
  const Bytes before = solicitation("fd01::2", "fd96::10", "").build();
  TestFrame frame{before, 128, 7};
  EXPECT_EQ(answer(frame), DropReason::no_headroom);
  EXPECT_EQ(frame.content(), before);
}

TEST(Neighbor, answers_nothing_but_questions) {
  expect_refused(PacketBuilder{}.ipv4("10.0.0.1", "10.0.0.2").tcp(1, 2));
}

}  // namespace
}  // namespace penstock::l4
