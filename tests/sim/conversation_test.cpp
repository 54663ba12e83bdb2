// Whole conversations through a worker, for every protocol, family and way of forwarding.
#include <gtest/gtest.h>

#include "tests/sim/world.h"

namespace penstock::sim {
namespace {

using control::Forwarding;

std::string name_of_shape(const testing::TestParamInfo<Shape>& info) {
  const Shape& s = info.param;
  return std::string{s.proto == IpProto::tcp ? "tcp" : "udp"} + (s.family == IpFamily::v4 ? "_v4" : "_v6") +
         (s.forwarding == Forwarding::fullnat ? "_fullnat" : "_dnat");
}

std::vector<Shape> all_shapes() {
  std::vector<Shape> out;
  for (const IpProto proto : {IpProto::tcp, IpProto::udp})
    for (const IpFamily family : {IpFamily::v4, IpFamily::v6})
      for (const Forwarding forwarding : {Forwarding::fullnat, Forwarding::dnat})
        out.push_back({proto, family, forwarding});
  return out;
}

struct Conversation : testing::TestWithParam<Shape> {
  Conversation() {
    world.listeners = {make_listener(shape, 3)};
    world.publish();
  }
  ~Conversation() override { world.check(); }
  const Shape shape = GetParam();
  World world;
};
INSTANTIATE_TEST_SUITE_P(All, Conversation, testing::ValuesIn(all_shapes()), name_of_shape);

TEST_P(Conversation, the_endpoint_sees_the_right_packet_and_the_client_its_service) {
  const Seen request = world.pass(kDownstream, from_client(shape, 40000, "S").build());
  EXPECT_EQ(request.port, kUpstream);
  EXPECT_EQ(request.dst_mac(), endpoint_mac(request.info.dst));
  EXPECT_EQ(request.dst_port(), 8080);
  EXPECT_EQ(request.info.ttl, 63);
  if (shape.forwarding == Forwarding::fullnat) {
    EXPECT_EQ(request.info.src, node_address(shape.family));
    EXPECT_GE(request.src_port(), world.node.source_port_low);
    EXPECT_LE(request.src_port(), world.node.source_port_high);
  } else {
    EXPECT_EQ(request.info.src, client_address(shape.family));
    EXPECT_EQ(request.src_port(), 40000);
  }
  const Seen reply = world.pass(kUpstream, reply_to(request, "SA").build());
  EXPECT_EQ(reply.port, kDownstream);
  EXPECT_EQ(reply.info.src, service_address(shape.family));
  EXPECT_EQ(reply.src_port(), 80);
  EXPECT_EQ(reply.info.dst, client_address(shape.family));
  EXPECT_EQ(reply.dst_port(), 40000);
  EXPECT_EQ(reply.dst_mac(), test::mac("02:00:00:00:00:01")) << "to the link address the request came from";
}

TEST_P(Conversation, stays_with_its_endpoint_and_source_port) {
  const Seen first = world.pass(kDownstream, from_client(shape, 40000, "S").build());
  world.pass(kUpstream, reply_to(first, "SA").build());
  for (int i = 0; i < 50; ++i) {
    const Seen next = world.pass(kDownstream, from_client(shape, 40000, "A").build());
    EXPECT_EQ(next.info.dst, first.info.dst);
    EXPECT_EQ(next.info.src_port, first.info.src_port);
  }
  EXPECT_EQ(world.flows(), 1u);
  EXPECT_EQ(world.sum(&control::WorkerCounters::flows_created), 1u);
}

TEST_P(Conversation, packets_and_octets_of_listener_and_endpoint_are_counted_both_ways) {
  const Seen first = world.pass(kDownstream, from_client(shape, 40000, "S").build());
  world.pass(kUpstream, reply_to(first, "SA").build());
  for (int i = 0; i < 10; ++i) world.pass(kDownstream, from_client(shape, 40000, "A").build());
  world.advance(std::chrono::seconds{2});
  using control::SlotCounters;
  for (const std::uint32_t slot :
       {world.listener_slot(1), world.endpoint_slot({.address = first.info.dst, .port = 8080})}) {
    EXPECT_EQ(world.slot_sum(slot, &SlotCounters::rx_packets), 11u);
    EXPECT_EQ(world.slot_sum(slot, &SlotCounters::tx_packets), 1u);
    EXPECT_EQ(world.slot_sum(slot, &SlotCounters::active), 1u);
    EXPECT_EQ(world.slot_sum(slot, &SlotCounters::flows), 1u);
    EXPECT_EQ(world.slot_sum(slot, &SlotCounters::tx_octets), reply_to(first, "SA").build().size() - 14);
  }
}

TEST_P(Conversation, a_reply_with_a_vlan_tag_is_put_back_on_the_clients_vlan) {
  const Seen request = world.pass(kDownstream, from_client(shape, 40000, "S").vlan(7).build());
  EXPECT_FALSE(request.info.tagged());
  const Seen reply = world.pass(kUpstream, reply_to(request, "SA").build());
  EXPECT_TRUE(reply.info.tagged());
  EXPECT_EQ(reply.info.vlan_tci, 7);
}

TEST_P(Conversation, a_burst_of_one_new_flow_makes_one_flow) {
  world.inject(kDownstream, from_client(shape, 40000, "S").build());
  for (int i = 0; i < 9; ++i) world.inject(kDownstream, from_client(shape, 40000, "S").build());
  EXPECT_EQ(world.settle().size(), 10u);
  EXPECT_EQ(world.flows(), 1u);
}

TEST_P(Conversation, partial_checksums_of_a_local_kernel_are_completed) {
  const auto packet = from_client(shape, 40000, "S").checksum(test::ChecksumMode::partial).build();
  world.pass(kDownstream, packet);  // read() demands a full checksum
  EXPECT_EQ(world.sum(&control::WorkerCounters::checksum_completed), 1u);
}

TEST_P(Conversation, flows_survive_a_crash_in_the_middle) {
  const Seen before = connect(world, shape, 40000);
  const auto reports = world.crash_and_restore();
  ASSERT_EQ(reports.size(), 1u);
  EXPECT_EQ(reports[0].restored, 1u);
  world.publish();
  const Seen after = world.pass(kDownstream, from_client(shape, 40000, "A").build());
  EXPECT_EQ(after.info.dst, before.info.dst);
  EXPECT_EQ(after.info.src_port, before.info.src_port);
  const Seen reply = world.pass(kUpstream, reply_to(before, "A").build());
  EXPECT_EQ(reply.dst_port(), 40000);
  EXPECT_EQ(world.slot_sum(world.listener_slot(1), &control::SlotCounters::active), 1u);
}

TEST_P(Conversation, restored_flows_wait_for_the_first_snapshot_however_long_it_takes) {
  connect(world, shape, 40000);
  world.crash_and_restore();
  auto nothing_yet = std::make_unique<worker::WorkerView>();  // what a process publishes before it is told anything
  worker::build_view_index(*nothing_yet);
  world.publisher->publish(std::move(nothing_yet));
  world.settle();
  world.advance(std::chrono::seconds{3});
  EXPECT_EQ(world.flows(), 1u);
  world.publish();
  world.pass(kDownstream, from_client(shape, 40000, "A").build());
  EXPECT_EQ(world.flows(), 1u);
}

TEST(Spread, new_flows_follow_the_weights) {
  World world{{.flows = 8192}};
  world.listeners = {make_listener({}, 3)};
  world.listeners[0].endpoints[0].weight = 30;
  world.listeners[0].endpoints[1].weight = 10;
  world.listeners[0].endpoints[2].weight = 0;
  world.publish();
  std::map<IpAddress, int> count;
  for (std::uint16_t i = 0; i < 4000; ++i)
    ++count[world.pass(kDownstream, from_client({}, static_cast<std::uint16_t>(1024 + i), "S").build()).info.dst];
  EXPECT_NEAR(count[endpoint_address(IpFamily::v4, 1)], 3000, 120);
  EXPECT_NEAR(count[endpoint_address(IpFamily::v4, 2)], 1000, 120);
  EXPECT_EQ(count[endpoint_address(IpFamily::v4, 3)], 0);
  world.check();
}

/// An endpoint whose source ports are all taken by connections that it remembers and the worker does not, as after a
/// restart: their first SYN earns an ACK, the RST for that frees the port, the repeated SYN is accepted.
TEST(Challenge, a_port_that_the_endpoint_remembers_costs_one_repetition_of_the_syn) {
  for (const IpFamily family : {IpFamily::v4, IpFamily::v6}) {
    World world;
    const Shape shape{IpProto::tcp, family, Forwarding::fullnat};
    world.listeners = {make_listener(shape, 3)};
    world.publish();
    const Seen first = world.pass(kDownstream, from_client(shape, 40000, "S").seq(100).build());
    const Seen challenge = world.pass(kUpstream, reply_to(first, "A").seq(5000).ack(9000).build());
    EXPECT_EQ(challenge.port, kDownstream);
    EXPECT_EQ(challenge.info.tcp_flags, wire::kTcpAck);
    const Seen reset = world.pass(kDownstream, from_client(shape, 40000, "R").seq(9000).build());
    EXPECT_EQ(reset.port, kUpstream);
    EXPECT_EQ(reset.info.tcp_flags, wire::kTcpRst);
    EXPECT_EQ(reset.src_port(), first.src_port()) << "the older connection's";
    world.advance(std::chrono::seconds{1});
    const Seen second = world.pass(kDownstream, from_client(shape, 40000, "S").seq(100).build());
    EXPECT_EQ(second.info.dst, first.info.dst);
    EXPECT_EQ(second.src_port(), first.src_port()) << "another port may be as taken as this one was";
    EXPECT_EQ(world.pass(kUpstream, reply_to(second, "SA").build()).port, kDownstream);
    EXPECT_EQ(world.flows(), 1u);
    EXPECT_EQ(world.sum(&control::WorkerCounters::flows_created), 1u);
    world.check();
  }
}

TEST(TcpReset, an_unknown_segment_is_answered_by_a_reset_of_the_service) {
  World world;
  world.listeners = {make_listener({}, 1)};
  world.publish();
  const Seen answer = world.pass(kDownstream, from_client({}, 40000, "A").ack(777).build());
  EXPECT_EQ(answer.port, kDownstream);
  EXPECT_EQ(answer.info.tcp_flags & wire::kTcpRst, wire::kTcpRst);
  EXPECT_EQ(answer.info.src, service_address(IpFamily::v4));
  EXPECT_EQ(answer.dst_port(), 40000);
  EXPECT_EQ(world.drops(DropReason::no_flow), 1u);
  world.refuse(kDownstream, from_client({}, 40000, "R").build(), DropReason::no_flow);
  EXPECT_EQ(world.flows(), 0u);
  world.check();
}

TEST(TcpReset, resets_are_bounded_per_second) {
  World world;
  world.listeners = {make_listener({}, 1)};
  world.publish();
  for (int i = 0; i < 2000; ++i) world.inject(kDownstream, from_client({}, 40000, "A").build());
  const std::size_t answered = world.settle().size();
  EXPECT_GE(answered, 100u);
  EXPECT_LE(answered, 300u);
  EXPECT_EQ(world.drops(DropReason::no_flow), 2000u);
  world.check();
}

TEST(Replies, an_endpoint_that_talks_to_no_flow_is_told_so) {
  World world;
  world.listeners = {make_listener({}, 1)};
  world.publish();
  Seen request;
  request.info.src = node_address(IpFamily::v4);
  request.info.dst = endpoint_address(IpFamily::v4, 1);
  request.info.src_port = test::port(20000);
  request.info.dst_port = test::port(8080);
  request.info.proto = IpProto::tcp;
  const Seen reset = world.pass(kUpstream, reply_to(request, "SA").build());
  EXPECT_EQ(reset.port, kUpstream);
  EXPECT_EQ(reset.info.tcp_flags, wire::kTcpRst);
  EXPECT_EQ(reset.info.dst, request.info.dst);
  EXPECT_EQ(world.drops(DropReason::no_flow), 1u);
  world.refuse(kUpstream, test::PacketBuilder{}.ipv4("10.1.0.2", "10.96.0.99").tcp(1, 2, "S").build(),
               DropReason::no_listener);
  world.check();
}

}  // namespace
}  // namespace penstock::sim
