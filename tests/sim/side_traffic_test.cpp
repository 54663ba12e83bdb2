// ICMP, echo, ARP, neighbour discovery, probes and the MTU.
#include <gtest/gtest.h>

#include "dataplane/wire/icmp.h"
#include "tests/sim/world.h"

namespace penstock::sim {
namespace {

using control::WorkerCounters;
using test::PacketBuilder;

struct SideTraffic : testing::TestWithParam<Shape> {
  SideTraffic() {
    world.listeners = {make_listener(shape, 2)};
    world.publish();
  }
  ~SideTraffic() override { world.check(); }
  [[nodiscard]] bool v4() const { return shape.family == IpFamily::v4; }
  /// An unreachable or too-big error from `router` to `to`, quoting the packet that `seen` was.
  test::Bytes error(const IpAddress& router, const Seen& seen) const {
    const test::Bytes quote{seen.bytes.begin() + 14, seen.bytes.end()};
    PacketBuilder b;
    b.from_to(router, seen.info.src).icmp(v4() ? 3 : 2, v4() ? 4 : 0, 1280).payload(quote);
    return b.build();
  }
  const Shape shape = GetParam();
  World world;
};
std::string shape_name(const testing::TestParamInfo<Shape>& info) {
  return std::string{info.param.family == IpFamily::v4 ? "v4" : "v6"} +
         (info.param.forwarding == control::Forwarding::fullnat ? "_fullnat" : "_dnat");
}
INSTANTIATE_TEST_SUITE_P(All, SideTraffic,
                         testing::Values(Shape{IpProto::udp, IpFamily::v4, control::Forwarding::fullnat},
                                         Shape{IpProto::udp, IpFamily::v6, control::Forwarding::fullnat},
                                         Shape{IpProto::tcp, IpFamily::v4, control::Forwarding::dnat},
                                         Shape{IpProto::tcp, IpFamily::v6, control::Forwarding::dnat}),
                         shape_name);

TEST_P(SideTraffic, an_error_about_a_request_reaches_the_client_in_its_own_terms) {
  const Seen request = connect(world, shape, 40000);
  const Seen out = world.pass(kUpstream, error(endpoint_address(shape.family, 200), request));
  EXPECT_EQ(out.port, kDownstream);
  EXPECT_EQ(out.info.kind, wire::PacketKind::icmp_error);
  EXPECT_EQ(out.info.dst, client_address(shape.family));
  // The quoted packet must be the client's own: client:40000 -> service:80.
  const auto quoted = ByteView{out.bytes}.subspan(out.info.payload_offset);
  const std::size_t transport = v4() ? 20 : 40;
  EXPECT_EQ(load_be<std::uint16_t>(quoted, transport).host(), 40000);
  EXPECT_EQ(load_be<std::uint16_t>(quoted, transport + 2).host(), 80);
  EXPECT_EQ(world.sum(&WorkerCounters::icmp_translated), 1u);
}

TEST_P(SideTraffic, an_error_about_a_reply_reaches_the_endpoint) {
  const Seen request = connect(world, shape, 40000);
  const Seen reply = world.pass(kUpstream, reply_to(request, "A").build());
  const Seen out = world.pass(kDownstream, error(client_address(shape.family, 99), reply));
  EXPECT_EQ(out.port, kUpstream);
  EXPECT_EQ(out.info.dst, request.info.dst);
  const auto quoted = ByteView{out.bytes}.subspan(out.info.payload_offset);
  EXPECT_EQ(load_be<std::uint16_t>(quoted, v4() ? 20 : 40).host(), 8080);
}

TEST_P(SideTraffic, an_error_about_no_flow_is_dropped) {
  Seen request = connect(world, shape, 40000);
  test::Bytes packet = error(endpoint_address(shape.family, 200), request);
  packet[packet.size() - request.bytes.size() + 14 + (v4() ? 20 : 40)] ^= std::byte{1};  // quoted source port
  const std::uint64_t before = world.drops(DropReason::icmp_unrelated);
  EXPECT_TRUE(world.feed(kUpstream, packet).empty());
  EXPECT_EQ(world.drops(DropReason::icmp_unrelated), before + 1);
}

TEST_P(SideTraffic, a_packet_above_the_mtu_is_answered_with_too_big) {
  connect(world, shape, 40000);
  world.ports[kUpstream].mtu = 1300;
  world.publish();
  const Seen out = world.pass(kDownstream, from_client(shape, 40000, "A").payload_octets(1400).build());
  EXPECT_EQ(out.port, kDownstream);
  EXPECT_EQ(out.info.kind, wire::PacketKind::icmp_error);
  EXPECT_EQ(out.info.dst, client_address(shape.family));
  EXPECT_EQ(out.info.src, service_address(shape.family));
  EXPECT_EQ(world.drops(DropReason::too_big), 1u);
  EXPECT_EQ(world.sum(&WorkerCounters::too_big_sent), 1u);
  const std::size_t mtu_at = out.info.l4_offset + (v4() ? 6u : 4u);
  EXPECT_EQ(v4() ? load_be<std::uint16_t>(out.bytes, mtu_at).host() : load_be<std::uint32_t>(out.bytes, mtu_at).host(),
            1300u);
}

TEST_P(SideTraffic, a_reply_above_the_mtu_is_answered_towards_the_endpoint) {
  const Seen request = connect(world, shape, 40000);
  world.ports[kDownstream].mtu = 1300;
  world.publish();
  const Seen out = world.pass(kUpstream, reply_to(request, "A").payload_octets(1400).build());
  EXPECT_EQ(out.port, kUpstream);
  EXPECT_EQ(out.info.dst, request.info.dst);
  EXPECT_NE(out.info.src, client_address(shape.family)) << "we never speak with the client's address";
}

TEST_P(SideTraffic, echo_requests_to_a_service_are_answered) {
  PacketBuilder b;
  b.from_to(client_address(shape.family), service_address(shape.family)).echo_request(7, 1).payload("hello");
  const Seen out = world.pass(kDownstream, b.build());
  EXPECT_EQ(out.port, kDownstream);
  EXPECT_EQ(out.info.dst, client_address(shape.family));
  EXPECT_EQ(world.sum(&WorkerCounters::echo_replies), 1u);
  PacketBuilder other;
  other.from_to(client_address(shape.family), endpoint_address(shape.family, 5)).echo_request(7, 1);
  world.refuse(kDownstream, other.build(), DropReason::no_listener);
}

TEST_P(SideTraffic, who_has_a_service_address_is_answered_with_the_ports_own) {
  const auto ask = [&](const std::string& target) {
    if (v4()) return PacketBuilder{}.arp(1, "02:00:00:00:00:01", "10.1.0.2", target).build();
    return PacketBuilder{}
        .ipv6("fd10:1::2", "ff02::1:ff00:10")
        .neighbor_solicitation(target, "02:00:00:00:00:01")
        .build();
  };
  const Seen out = world.pass(kDownstream, ask(service_address(shape.family).text()));
  EXPECT_EQ(out.src_mac(), world.ports[kDownstream].mac);
  EXPECT_EQ(out.dst_mac(), test::mac("02:00:00:00:00:01"));
  EXPECT_EQ(world.sum(&WorkerCounters::neighbor_replies), 1u);
  world.refuse(kDownstream, ask(endpoint_address(shape.family, 5).text()), DropReason::neighbor_not_ours);
}

TEST(Probe, frames_of_the_attach_self_test_are_consumed_and_counted) {
  World world;
  world.publish();
  test::Bytes frame(60);
  frame[12] = std::byte{0x88};
  frame[13] = std::byte{0xb5};
  const std::array<std::uint8_t, 4> magic{0x50, 0x45, 0x4e, 0x53};
  std::memcpy(frame.data() + 14, magic.data(), 4);
  world.refuse(kDownstream, frame, DropReason::probe);
  world.check();
}

TEST(BeforeTheFirstView, everything_is_dropped_and_nothing_is_lost) {
  World world;
  world.refuse(kDownstream, from_client({}, 40000, "S").build(), DropReason::port_gone);
  world.check();
}

}  // namespace
}  // namespace penstock::sim
