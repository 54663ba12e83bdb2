// Every malformed frame is refused for its own reason, and a worker goes on as if it had never come.
#include <gtest/gtest.h>

#include "tests/sim/world.h"

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
  };
}

TEST(MalformedFrames, each_is_counted_under_its_reason) {
  World world;
  world.listeners = {make_listener({}, 1)};
  world.publish();
  for (const Malformed& m : corpus()) {
    SCOPED_TRACE(m.what);
    world.refuse(kDownstream, m.frame, m.reason);
  }
  EXPECT_EQ(world.flows(), 0u);
  connect(world, {}, 40000);
  world.check();
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
