// Every malformed frame is refused for its own reason, and a worker goes on as if it had never come.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <set>

#include "dataplane/wire/packet_info.h"
#include "tests/sim/world.h"
#include "tests/support/seeded.h"

namespace penstock::sim {
namespace {

using test::Bytes;
using test::PacketBuilder;

PacketBuilder tcp4() { return PacketBuilder{}.ipv4("10.1.0.2", "10.96.0.10").tcp(40000, 80, "S"); }
PacketBuilder udp6() { return PacketBuilder{}.ipv6("fd10:1::2", "fd10:96::10").udp(40000, 80); }

struct Malformed {
  const char* what;
  Bytes frame;
  DropReason reason;
};

/// Reasons that lie in the state of worker, tables and configuration, not in the frame alone: their tests stand beside
/// that state. Every other reason needs a row of corpus().
constexpr std::array kOfTheSituation{
    DropReason::none,          DropReason::no_listener,        DropReason::listener_draining,
    DropReason::no_endpoint,   DropReason::no_next_hop,        DropReason::no_flow,
    DropReason::policy_denied, DropReason::flow_table_full,    DropReason::source_ports_exhausted,
    DropReason::parked_full,   DropReason::question_ring_full, DropReason::question_deadline,
    DropReason::handoff_full,  DropReason::transmit_full,      DropReason::port_gone,
    DropReason::too_big,       DropReason::icmp_unrelated,     DropReason::neighbor_not_ours,
    DropReason::probe,         DropReason::no_headroom,        DropReason::stopping,
    DropReason::proxy_full,    DropReason::splice_reset,
};

/// An IPv6 frame whose 16 octets at `at` are the service's IPv4 address in mapped form.
Bytes mapped(Bytes frame, std::size_t at) {
  const IpAddress address = test::ip("10.96.0.10");
  std::memcpy(frame.data() + at, address.octets.data(), address.octets.size());
  return frame;
}

Bytes with(Bytes frame, std::size_t at, std::uint8_t value) {
  frame[at] = std::byte{value};
  return frame;
}

std::vector<Malformed> corpus() {
  const Bytes tcp = tcp4().build();
  const Bytes udp = udp6().build();
  return {
      {"empty Ethernet header", Bytes(13), DropReason::truncated},
      {"cut in the IP header", tcp4().cut(30).build(), DropReason::truncated},
      {"cut in the TCP header", tcp4().cut(50).build(), DropReason::truncated},
      {"unknown EtherType", tcp4().ether_type(0x1234).build(), DropReason::not_ip},
      {"two VLAN tags", tcp4().vlan(5).ether_type(0x8100).build(), DropReason::vlan_depth},
      {"version 6 in IPv4", with(tcp, 14, 0x65), DropReason::bad_version},
      {"version 4 in IPv6", with(udp, 14, 0x40), DropReason::bad_version},
      {"header length 4 words", with(tcp, 14, 0x44), DropReason::bad_ihl},
      {"total length below the header", with(with(tcp, 16, 0), 17, 10), DropReason::bad_total_length},
      {"TCP offset 4 words", with(tcp, 14 + 20 + 12, 0x40), DropReason::bad_tcp_offset},
      {"UDP length 7", with(with(udp, 14 + 40 + 4, 0), 14 + 40 + 5, 7), DropReason::bad_udp_length},
      {"later fragment", tcp4().fragment(10, true).build(), DropReason::fragment},
      {"first fragment", tcp4().fragment(0, true).build(), DropReason::fragment},
      {"hop-by-hop options", with(udp, 14 + 6, 0), DropReason::ipv6_extension},
      {"GRE", with(tcp, 14 + 9, 47), DropReason::unsupported_proto},
      {"echo reply", PacketBuilder{}.ipv4("10.1.0.2", "10.96.0.10").icmp(0, 0).build(), DropReason::unsupported_proto},
      {"error without a quote", PacketBuilder{}.ipv4("10.1.0.2", "10.96.0.10").icmp(3, 1).build(),
       DropReason::icmp_malformed},
      {"mapped source", mapped(udp, 14 + 8), DropReason::mapped_address},
      {"mapped destination", mapped(udp, 14 + 24), DropReason::mapped_address},
      {"request from a group", PacketBuilder{}.arp(1, "03:00:00:00:00:01", "10.1.0.2", "10.96.0.10").build(),
       DropReason::neighbor_invalid},
      {"solicitation through a router",
       PacketBuilder{}
           .ipv6("fd10:1::2", "ff02::1:ff00:10")
           .neighbor_solicitation("fd10:96::10", "02:00:00:00:00:01")
           .ttl(254)
           .build(),
       DropReason::neighbor_invalid},
      {"last hop", tcp4().ttl(1).build(), DropReason::ttl_expired},
      {"wrong checksum", tcp4().checksum(test::ChecksumMode::bad).build(), DropReason::bad_checksum},
  };
}

TEST(MalformedFrames, each_is_counted_under_its_reason) {
  World world;
  world.listeners = {make_listener({}, 1), make_listener({.family = IpFamily::v6}, 1, 2)};
  world.ports[kDownstream].verify_checksums = true;
  world.publish();
  for (const Malformed& m : corpus()) {
    SCOPED_TRACE(m.what);
    world.refuse(kDownstream, m.frame, m.reason);
  }
  EXPECT_EQ(world.flows(), 0u);
  connect(world, {}, 40000);
  world.check();
}

TEST(MalformedFrames, every_reason_has_a_row_or_is_one_of_the_situation) {
  for (const ReasonInfo& row : kDropReasons) {
    const auto frames = corpus();
    const bool of_the_frame =
        std::any_of(frames.begin(), frames.end(), [&](const Malformed& m) { return m.reason == row.reason; });
    const bool of_the_situation =
        std::find(kOfTheSituation.begin(), kOfTheSituation.end(), row.reason) != kOfTheSituation.end();
    EXPECT_NE(of_the_frame, of_the_situation) << row.name << ": needs a row here, or a place in kOfTheSituation";
  }
}

TEST(MalformedFrames, the_parser_knows_no_reason_without_a_row) {
  std::set<std::string_view> rows{name_of(DropReason::none)};
  for (const Malformed& m : corpus()) rows.insert(name_of(m.reason));
  std::vector<Bytes> seeds{tcp4().payload("hello").build(), udp6().payload("hello").build(),
                           PacketBuilder{}.arp(1, "02:00:00:00:00:01", "10.1.0.2", "10.96.0.10").build(),
                           PacketBuilder{}.ether_type(0x88b5).payload("PENS").build()};
  for (const Malformed& m : corpus()) seeds.push_back(m.frame);
  test::Seeded random{7};
  std::set<std::string_view> seen;
  for (int round = 0; round < 100'000; ++round) {
    Bytes frame = seeds[random.below(seeds.size())];
    for (std::size_t i = random.below(4); i > 0 && !frame.empty(); --i)
      frame[random.below(frame.size())] = std::byte(random.u16() & 0xff);
    if (random.coin()) frame.resize(random.below(frame.size() + 1));
    seen.insert(name_of(wire::parse_packet(frame).reason()));
  }
  for (const std::string_view name : seen) EXPECT_TRUE(rows.contains(name)) << name;
  EXPECT_GE(seen.size(), 12u) << "the mutations reach most reasons";
}

TEST(MalformedFrames, every_truncation_of_good_frames_has_one_disposition) {
  World world{{.flows = 16}};
  world.listeners = {make_listener({}, 1)};
  world.publish();
  for (const Bytes& good : {tcp4().payload("hello").build(), udp6().payload("hello").build(),
                            PacketBuilder{}.arp(1, "02:00:00:00:00:01", "10.1.0.2", "10.96.0.10").build()})
    for (std::size_t n = 0; n <= good.size(); ++n) {
      world.feed(kDownstream, Bytes{good.begin(), good.begin() + static_cast<std::ptrdiff_t>(n)});
      world.check();
    }
}

}  // namespace
}  // namespace penstock::sim
