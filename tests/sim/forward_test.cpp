// Tier X: which flows sink into the XDP program, what keeps them there and what brings them back.
#include <gtest/gtest.h>

#include "dataplane/flow/restore.h"
#include "tests/sim/fake_xdp.h"

namespace penstock::sim {
namespace {

using control::SlotCounters;
using control::WorkerCounters;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr milliseconds kFold{600};  // longer than a fold period

struct Forwarding : testing::Test {
  Forwarding() { begin(shape); }
  ~Forwarding() override { world.check(); }

  void begin(const Shape& to) {
    shape = to;
    world.listeners = {make_listener(shape, 2)};
    world.listeners[0].forward = true;
    xdp.open();
  }
  [[nodiscard]] test::Bytes request(std::uint16_t port = 40000) const { return from_client(shape, port).build(); }
  /// A new connection (or flow of datagrams) that is established; returns its first packet at the endpoint.
  Seen establish(std::uint16_t port = 40000) {
    if (shape.proto == IpProto::tcp) return connect(world, shape, port);
    const Seen first = world.pass(kDownstream, request(port));
    world.pass(kUpstream, reply_to(first).build());
    return first;
  }
  void heat(const Seen& first, std::uint16_t port = 40000) {
    for (int i = 0; i < 6; ++i) {  // two more than needed: a fold may come behind the first
      world.pass(kDownstream, request(port));
      world.pass(kUpstream, reply_to(first).build());
    }
    world.advance(kFold);
  }
  /// Establishes, heats, and has the entries inserted.
  Seen sunk(std::uint16_t port = 40000) {
    const Seen first = establish(port);
    heat(first, port);
    xdp.serve();
    return first;
  }
  [[nodiscard]] std::uint64_t active() const { return world.sum(&WorkerCounters::forwards_active); }
  [[nodiscard]] control::FlowCold cold(std::uint32_t flow = 0) const {
    auto arena = flow::ArenaView::open(world.arena(0));
    flow::FlowRecord record;
    EXPECT_EQ(arena->read(flow, record), flow::ArenaView::Read::valid);
    return record.cold;
  }
  [[nodiscard]] penstock_forward_slot& slot_of(const test::Bytes& frame) {
    wire::PacketInfo info{};
    static_cast<void>(wire::parse_packet_into(frame, info));
    const penstock_forward* const entry = xdp.find(info);
    EXPECT_NE(entry, nullptr);
    return xdp.slot(entry == nullptr ? 0 : entry->slot);
  }

  Shape shape;
  World world{{.forward_pairs = 2}};
  FakeXdp xdp{world};
};

/// The four shapes that the worker translates.
struct ForwardingOf : Forwarding, testing::WithParamInterface<Shape> {};
INSTANTIATE_TEST_SUITE_P(Shapes, ForwardingOf,
                         testing::Values(Shape{IpProto::tcp, IpFamily::v4, control::Forwarding::fullnat},
                                         Shape{IpProto::udp, IpFamily::v6, control::Forwarding::fullnat},
                                         Shape{IpProto::udp, IpFamily::v4, control::Forwarding::dnat},
                                         Shape{IpProto::tcp, IpFamily::v6, control::Forwarding::dnat}));

TEST_P(ForwardingOf, a_hot_flow_sinks_and_its_frames_become_what_the_worker_makes_of_them) {
  begin(GetParam());
  const Seen first = establish();
  const Seen by_worker = world.pass(kDownstream, request());
  const Seen back_by_worker = world.pass(kUpstream, reply_to(first).build());
  EXPECT_FALSE(xdp.forward(request())) << "it is not hot yet";
  heat(first);
  EXPECT_FALSE(xdp.forward(request())) << "the entries are not inserted yet";
  xdp.serve();
  EXPECT_EQ(xdp.entries(), 2u);
  EXPECT_EQ(active(), 1u);
  EXPECT_EQ(world.sum(&WorkerCounters::forwards_begun), 1u);
  const auto there = xdp.forward(request());
  ASSERT_TRUE(there);
  EXPECT_EQ(there->bytes, by_worker.bytes);
  EXPECT_EQ(there->port, by_worker.port);
  const auto back = xdp.forward(reply_to(first).build());
  ASSERT_TRUE(back);
  EXPECT_EQ(back->bytes, back_by_worker.bytes);
  EXPECT_EQ(back->port, back_by_worker.port);
  EXPECT_EQ(world.pass(kDownstream, request()).bytes, by_worker.bytes) << "what still comes here goes the same way";
}

TEST_F(Forwarding, only_hot_established_untagged_flows_of_such_listeners_between_such_ports_sink) {
  const Seen cold_flow = establish(40001);
  for (int i = 0; i < 7 - 3; ++i) world.pass(kDownstream, request(40001));  // seven with the handshake
  world.advance(kFold);
  EXPECT_EQ(active(), 0u) << "not hot";
  for (int i = 0; i < 10; ++i) world.pass(kDownstream, from_client(shape, 40002, "S").build());
  world.advance(kFold);
  EXPECT_EQ(active(), 0u) << "not established";
  const Seen tagged = world.pass(kDownstream, from_client(shape, 40003, "S").vlan(7).build());
  world.pass(kUpstream, reply_to(tagged, "SA").build());
  for (int i = 0; i < 10; ++i) world.pass(kDownstream, from_client(shape, 40003, "A").vlan(7).build());
  world.advance(kFold);
  EXPECT_EQ(active(), 0u) << "tagged";
  world.ports[kDownstream].redirect_target = false;
  world.publish();
  heat(cold_flow, 40001);
  EXPECT_EQ(active(), 0u) << "replies cannot be redirected to the client's port";
  world.ports[kDownstream].redirect_target = true;
  world.listeners[0].forward = false;
  world.publish();
  heat(cold_flow, 40001);
  EXPECT_EQ(active(), 0u) << "the listener does not say so";
  world.listeners[0].forward = true;
  world.publish();
  heat(cold_flow, 40001);
  EXPECT_EQ(active(), 1u);
}

TEST_F(Forwarding, a_fin_lifts_at_once_and_the_pair_is_free_after_the_answer_and_a_rest) {
  const Seen first = sunk();
  penstock_forward_slot& slot = slot_of(request());
  EXPECT_NE(slot.generation, 0u);
  world.pass(kDownstream, from_client(shape, 40000, "FA").build());
  EXPECT_EQ(slot.generation, 0u);
  EXPECT_FALSE(xdp.forward(request())) << "no answer of the control thread is needed for that";
  EXPECT_FALSE(xdp.forward(reply_to(first).build()));
  EXPECT_EQ(xdp.entries(), 2u);
  EXPECT_EQ(active(), 0u);
  for (int i = 0; i < 10; ++i) world.pass(kUpstream, reply_to(first).build());
  world.advance(kFold);
  EXPECT_EQ(active(), 0u) << "a half-closed flow does not sink again";
  // Two flows more: one finds the other pair, the second none, until the first one's is free.
  sunk(40001);
  world.advance(kFold);
  const Seen third = establish(40002);
  heat(third, 40002);
  EXPECT_EQ(active(), 1u + 1u) << "the deletion was answered by serve() above, and the pair has rested since";
  EXPECT_EQ(xdp.entries(), 2u);
  xdp.serve();
  EXPECT_EQ(xdp.entries(), 4u);
  EXPECT_TRUE(xdp.forward(request(40002)));
}

TEST_F(Forwarding, ends_that_the_program_forwarded_while_no_worker_beat_are_followed_at_the_next_fold) {
  struct Case {
    const char* there;
    const char* back;  // nullptr: nothing
    control::FlowState state;
    std::uint32_t timeout_ms;
  };
  const control::NodeRecord& node = world.node;
  for (const Case& c : {Case{"FA", "FA", control::FlowState::closing, node.tcp_closed_ms},
                        Case{"FA", nullptr, control::FlowState::fin_forward, node.tcp_fin_ms},
                        Case{"A", "RA", control::FlowState::reset, node.tcp_closed_ms}}) {
    FakeXdp dead{world};
    dead.open();
    const Seen first = establish();
    heat(first);
    dead.serve();
    ASSERT_EQ(active(), 1u);
    dead.miss_heartbeats();
    ASSERT_TRUE(dead.forward(from_client(shape, 40000, c.there).build()));
    if (c.back != nullptr) {
      ASSERT_TRUE(dead.forward(reply_to(first, c.back).build()));
    }
    world.advance(kFold);
    EXPECT_EQ(active(), 0u);
    auto arena = flow::ArenaView::open(world.arena(0));
    flow::FlowRecord record;
    ASSERT_EQ(arena->read(0, record), flow::ArenaView::Read::valid);
    EXPECT_EQ(record.forward.state, c.state);
    EXPECT_EQ(record.reverse.state, c.state);
    dead.serve();
    world.advance(milliseconds{c.timeout_ms - 1000});
    EXPECT_EQ(world.flows(), 1u);
    world.advance(seconds{2});
    EXPECT_EQ(world.flows(), 0u) << "its timer was set right";
    EXPECT_EQ(world.slot_sum(world.listener_slot(1), &SlotCounters::active), 0u);
  }
}

TEST_F(Forwarding, a_connection_that_is_revived_after_a_forwarded_reset_stays) {
  const Seen first = sunk();
  xdp.miss_heartbeats();
  ASSERT_TRUE(xdp.forward(from_client(shape, 40000, "R").build()));
  world.advance(kFold);
  world.pass(kUpstream, reply_to(first).build());  // the reset was forged
  xdp.serve();
  world.advance(milliseconds{world.node.tcp_closed_ms + 2000});
  EXPECT_EQ(world.flows(), 1u) << "the mark counts once";
}

TEST_F(Forwarding, nothing_to_sweep_for_weeks_does_not_keep_pairs_or_counters_waiting) {
  for (int i = 0; i < 8; ++i) world.advance(std::chrono::hours{5 * 24});  // more than half the range of CoarseMs
  const Seen first = establish();
  for (int i = 0; i < 6; ++i) world.pass(kDownstream, request());
  world.advance(kFold);
  EXPECT_EQ(active(), 1u) << "the counters were folded";
  xdp.serve();
  ASSERT_TRUE(xdp.forward(reply_to(first).build()));
  world.advance(kFold);
  EXPECT_EQ(cold().packets[1], 2u);
  world.pass(kDownstream, from_client(shape, 40000, "FA").build());
  xdp.serve();
  world.advance(kFold);
  EXPECT_GT(world.workers[0]->next_deadline() - world.now(), kFold) << "the pair is free again";
}

TEST_F(Forwarding, a_pair_is_not_used_again_before_its_deletion_is_answered) {
  sunk(40000);
  const Seen second = sunk(40001);
  world.pass(kDownstream, from_client(shape, 40000, "R").build());
  const Seen third = establish(40002);
  heat(third, 40002);
  heat(third, 40002);
  EXPECT_EQ(active(), 1u);
  EXPECT_EQ(world.sum(&WorkerCounters::forward_full), 2u);
  xdp.serve();
  world.advance(kFold);
  heat(third, 40002);
  EXPECT_EQ(active(), 2u);
  xdp.serve();
  EXPECT_EQ(xdp.entries(), 4u);
  EXPECT_TRUE(xdp.forward(request(40001)));
  EXPECT_TRUE(xdp.forward(reply_to(third).build()));
}

TEST_F(Forwarding, everything_is_counted_exactly_once_also_what_was_under_way_when_the_flow_ended) {
  const Seen first = sunk();
  const test::Bytes frame = request();
  const std::uint64_t before = world.slot_sum(world.listener_slot(1), &SlotCounters::rx_packets);
  EXPECT_EQ(before, 8u);
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(xdp.forward(frame));
  for (int i = 0; i < 30; ++i) ASSERT_TRUE(xdp.forward(reply_to(first).payload_octets(1000).build()));
  for (int i = 0; i < 5; ++i) world.pass(kDownstream, frame);
  world.advance(kFold);
  world.advance(kFold);
  EXPECT_EQ(cold().packets[0], 8u + 100 + 5);
  EXPECT_EQ(cold().packets[1], 7u + 30);
  const std::uint64_t small = frame.size() - 14;
  EXPECT_EQ(cold().octets[1], 7 * small + 30 * (small + 1000));
  penstock_forward_slot& slot = slot_of(frame);
  world.pass(kDownstream, from_client(shape, 40000, "RA").build());
  world.advance(milliseconds{world.node.tcp_closed_ms + 100});
  EXPECT_EQ(world.flows(), 0u);
  slot.packets += 1;  // a program that had looked the entry up just before the end
  slot.octets += small;
  xdp.serve();
  world.advance(kFold);
  for (const std::uint32_t stat :
       {world.listener_slot(1), world.endpoint_slot({.address = first.info.dst, .port = 8080})}) {
    EXPECT_EQ(world.slot_sum(stat, &SlotCounters::rx_packets), 8u + 100 + 5 + 1 + 1);
    EXPECT_EQ(world.slot_sum(stat, &SlotCounters::rx_octets), (8u + 100 + 5 + 1 + 1) * small);
    EXPECT_EQ(world.slot_sum(stat, &SlotCounters::tx_packets), 7u + 30);
    EXPECT_EQ(world.slot_sum(stat, &SlotCounters::active), 0u);
  }
  EXPECT_EQ(world.sum(&WorkerCounters::forwards_ended), 1u);
}

TEST_F(Forwarding, traffic_that_the_program_alone_sees_keeps_a_flow_alive_and_silence_lifts_it) {
  begin({.proto = IpProto::udp});
  world.node.udp_stream_ms = 3000;
  world.publish();
  const Seen first = sunk();
  for (int i = 0; i < 10; ++i) {
    ASSERT_TRUE(xdp.forward(reply_to(first).build()));
    world.advance(milliseconds{2500});
    ASSERT_EQ(world.flows(), 1u);
  }
  world.advance(milliseconds{1000});
  EXPECT_EQ(world.flows(), 0u) << "its own idle time ended it";
  world.node.udp_stream_ms = 60'000;
  world.publish();
  xdp.serve();
  sunk();
  world.advance(milliseconds{control::kForwardIdleMs - 1500});
  EXPECT_EQ(active(), 1u);
  world.advance(seconds{2});
  EXPECT_EQ(active(), 0u) << "silent for kForwardIdleMs";
  EXPECT_EQ(world.flows(), 1u);
}

TEST_F(Forwarding, an_idle_worker_wakes_twice_a_second_for_its_pairs_and_not_at_all_without) {
  sunk();
  world.advance(seconds{2});
  EXPECT_GE(world.workers[0]->next_deadline() - world.now(), milliseconds{1});
  const std::uint64_t polls = world.sum(&WorkerCounters::polls);
  world.advance(seconds{4});
  EXPECT_LE(world.sum(&WorkerCounters::polls) - polls, 4u * 4) << "two rounds of work, each followed by one without";
  world.advance(seconds{10});
  xdp.serve();
  world.advance(seconds{1});
  EXPECT_GT(world.workers[0]->next_deadline() - world.now(), seconds{5});
}

TEST_F(Forwarding, another_next_hop_lifts_and_the_flow_sinks_anew) {
  const Seen first = sunk();
  world.publish();
  EXPECT_EQ(active(), 1u) << "nothing changed";
  for (SimEndpoint& endpoint : world.listeners[0].endpoints) endpoint.resolved = false;
  world.publish();
  EXPECT_EQ(active(), 0u);
  EXPECT_FALSE(xdp.forward(request()));
  for (SimEndpoint& endpoint : world.listeners[0].endpoints) endpoint.resolved = true;
  world.publish();
  heat(first);
  xdp.serve();
  EXPECT_EQ(active(), 1u);
  EXPECT_EQ(xdp.entries(), 2u) << "the deletion came before the insertion";
  EXPECT_TRUE(xdp.forward(request()));
  world.ports[kUpstream].mtu = 1400;
  world.publish();
  EXPECT_EQ(active(), 0u) << "the slot says 1500";
}

TEST_F(Forwarding, a_port_or_listener_that_no_longer_serves_tier_x_lifts) {
  const Seen first = sunk();
  world.ports[kUpstream].redirect_target = false;
  world.publish();
  EXPECT_EQ(active(), 0u);
  world.ports[kUpstream].redirect_target = true;
  world.publish();
  heat(first);
  xdp.serve();
  EXPECT_EQ(active(), 1u);
  world.listeners[0].forward = false;
  world.publish();
  EXPECT_EQ(active(), 0u);
  world.pass(kDownstream, request());
}

TEST_F(Forwarding, a_syn_lifts_and_a_connection_that_begins_anew_on_the_same_ports_sinks_again) {
  const Seen first = sunk();
  world.pass(kDownstream, from_client(shape, 40000, "R").build());
  xdp.serve();
  world.pass(kDownstream, from_client(shape, 40000, "S").build());
  EXPECT_EQ(world.sum(&WorkerCounters::flows_closed), 1u) << "a new flow";
  world.advance(kFold);
  const Seen again = sunk();
  ASSERT_TRUE(xdp.forward(request()));
  const penstock_forward_slot& slot = slot_of(request());
  EXPECT_NE(slot.generation, 0u);
  world.pass(kDownstream, from_client(shape, 40000, "S").build());
  EXPECT_EQ(slot.generation, 0u) << "even where the endpoint only challenges it";
  EXPECT_EQ(world.flows(), 1u);
}

TEST_F(Forwarding, an_insertion_that_the_kernel_refuses_lifts_and_is_counted) {
  xdp.refuse_insertions(1);
  const Seen first = sunk();
  EXPECT_EQ(xdp.entries(), 0u);
  EXPECT_EQ(active(), 0u);
  EXPECT_EQ(world.sum(&WorkerCounters::forward_failed), 1u);
  heat(first);
  xdp.serve();
  EXPECT_EQ(active(), 1u);
  EXPECT_TRUE(xdp.forward(request()));
}

TEST_F(Forwarding, other_maps_lift_what_was_in_the_old_ones) {
  const Seen first = sunk();
  penstock_forward_slot& old = slot_of(request());
  old.packets += 7;
  FakeXdp successor{world};
  successor.open();
  EXPECT_EQ(old.generation, 0u);
  EXPECT_EQ(active(), 0u);
  heat(first);
  successor.serve();
  EXPECT_EQ(successor.entries(), 2u);
  EXPECT_TRUE(successor.forward(request()));
  EXPECT_FALSE(xdp.forward(request()));
  world.advance(kFold);
  EXPECT_EQ(cold().packets[0], 8u + 7 + 6 + 1);
}

TEST_F(Forwarding, a_restored_flow_is_the_workers_again) {
  const Seen first = sunk();
  world.crash_and_restore();
  world.publish();
  EXPECT_EQ(active(), 0u);
  EXPECT_EQ(world.pass(kDownstream, request()).info.dst, first.info.dst);
  EXPECT_TRUE(xdp.forward(request())) << "the program goes on without anybody until the new process takes the maps";
  xdp.open();
  EXPECT_FALSE(xdp.forward(request()));
  heat(first);
  xdp.serve();
  EXPECT_TRUE(xdp.forward(request()));
}

TEST(ForwardingOfWorkers, each_worker_uses_its_own_share_of_the_slots) {
  World world{{.workers = 2, .queues = 2, .forward_pairs = 3}};
  world.listeners = {make_listener({}, 2)};
  world.listeners[0].forward = true;
  FakeXdp xdp{world, 2};
  xdp.open();
  for (std::uint16_t port = 40000; port < 40016; ++port) {
    connect(world, {}, port);
    for (int i = 0; i < 8; ++i) world.pass(kDownstream, from_client({}, port).build());
  }
  world.advance(kFold);
  xdp.serve();
  EXPECT_EQ(world.sum(&WorkerCounters::forwards_active), 6u) << "both shares are full";
  EXPECT_EQ(xdp.entries(), 12u);
  for (std::uint32_t s = 0; s < 12; ++s) {
    EXPECT_NE(xdp.slot(s).generation, 0u);
    EXPECT_EQ(xdp.slot(s).worker, s / 6);
  }
  EXPECT_EQ(xdp.slot(12).generation, 0u);
}

}  // namespace
}  // namespace penstock::sim
