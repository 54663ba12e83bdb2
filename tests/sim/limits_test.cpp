// What happens at the limits: ports, table, devices, time.
#include <gtest/gtest.h>

#include "dataplane/flow/timer_wheel.h"
#include "tests/sim/world.h"

namespace penstock::sim {
namespace {

using control::WorkerCounters;
using std::chrono::milliseconds;
using std::chrono::seconds;

struct Limits : testing::Test {
  Limits() {
    world.listeners = {make_listener({}, 1)};
    world.publish();
  }
  ~Limits() override { world.check(); }
  Seen client(std::uint16_t port, std::string_view flags) {
    return world.pass(kDownstream, from_client({}, port, flags).build());
  }
  void expires_after(milliseconds idle) {
    ASSERT_EQ(world.flows(), 1u);
    world.advance(idle - milliseconds{1});
    EXPECT_EQ(world.flows(), 1u) << "ended early";
    world.advance(milliseconds{1} + milliseconds{2 * flow::TimerWheel::kSlotMs});
    EXPECT_EQ(world.flows(), 0u) << "did not end";
    EXPECT_EQ(world.slot_sum(world.listener_slot(1), &control::SlotCounters::active), 0u);
  }
  World world{{.flows = 64}};
};

TEST_F(Limits, source_ports_run_out_and_come_back) {
  world.node.source_port_low = 20000;
  world.node.source_port_high = 20009;
  world.publish();
  std::set<std::uint16_t> used;
  for (std::uint16_t i = 0; i < 10; ++i) EXPECT_TRUE(used.insert(connect(world, {}, 40000 + i).src_port()).second);
  world.refuse(kDownstream, from_client({}, 40010, "S").build(), DropReason::source_ports_exhausted);
  client(40003, "R");
  const Seen taken_over = client(40011, "S");
  EXPECT_TRUE(used.contains(taken_over.src_port())) << "a reset flow gives its port up";
  EXPECT_EQ(world.flows(), 10u);
  world.node_addresses.push_back(node_address(IpFamily::v4, 3));
  world.publish();
  EXPECT_EQ(client(40012, "S").info.src, node_address(IpFamily::v4, 3));
}

TEST_F(Limits, a_full_table_drops_the_newest_flow_and_recovers) {
  for (std::uint16_t i = 0; i < 64; ++i) client(40000 + i, "S");
  world.refuse(kDownstream, from_client({}, 41000, "S").build(), DropReason::flow_table_full);
  client(40000, "S");
  world.advance(seconds{31});
  EXPECT_EQ(world.flows(), 0u);
  client(41000, "S");
}

TEST_F(Limits, a_configured_flow_limit_below_the_capacity_holds) {
  world.node.flow_max = 3;
  world.publish();
  for (std::uint16_t i = 0; i < 3; ++i) client(40000 + i, "S");
  world.refuse(kDownstream, from_client({}, 41000, "S").build(), DropReason::flow_table_full);
}

TEST_F(Limits, a_flow_expires_by_the_timeout_of_its_state) {
  client(40000, "S");
  expires_after(milliseconds{world.node.tcp_syn_ms});
  connect(world, {}, 40001);
  expires_after(milliseconds{world.node.tcp_established_ms});
  const Seen syn = connect(world, {}, 40002);
  client(40002, "FA");
  expires_after(milliseconds{world.node.tcp_fin_ms});
  connect(world, {}, 40003);
  client(40003, "FA");
  EXPECT_EQ(world.sum(&WorkerCounters::flows_expired), 3u);
  static_cast<void>(syn);
}

TEST_F(Limits, both_fins_close_a_flow_and_its_timeout_is_short) {
  const Seen syn = connect(world, {}, 40000);
  client(40000, "FA");
  world.pass(kUpstream, reply_to(syn, "FA").build());
  client(40000, "A");
  expires_after(milliseconds{world.node.tcp_closed_ms});
  EXPECT_EQ(world.sum(&WorkerCounters::flows_closed), 1u);
}

TEST_F(Limits, a_syn_on_a_closed_flow_starts_a_new_one_on_another_source_port) {
  const Seen syn = connect(world, {}, 40000);
  client(40000, "FA");
  world.pass(kUpstream, reply_to(syn, "FA").build());
  const Seen again = client(40000, "S");
  EXPECT_NE(again.src_port(), syn.src_port());
  EXPECT_EQ(world.flows(), 1u);
  EXPECT_EQ(world.sum(&WorkerCounters::flows_created), 2u);
}

TEST_F(Limits, a_forged_reset_does_not_kill_a_flow_even_after_long_idling) {
  const Seen syn = connect(world, {}, 40000);
  world.advance(std::chrono::minutes{50});
  client(40000, "R");
  world.advance(seconds{5});
  EXPECT_EQ(client(40000, "A").src_port(), syn.src_port());
  world.pass(kUpstream, reply_to(syn, "A").build());  // the endpoint has not believed it
  world.advance(std::chrono::minutes{50});
  EXPECT_EQ(world.flows(), 1u);
}

TEST_F(Limits, a_real_reset_ends_the_flow_soon) {
  connect(world, {}, 40000);
  client(40000, "R");
  expires_after(milliseconds{world.node.tcp_closed_ms});
}

TEST_F(Limits, traffic_in_either_direction_keeps_a_flow) {
  const Seen syn = connect(world, {}, 40000);
  for (int i = 0; i < 3; ++i) {
    world.advance(std::chrono::minutes{40});
    world.pass(kUpstream, reply_to(syn, "A").build());
  }
  EXPECT_EQ(world.flows(), 1u);
}

TEST(UdpTimers, a_reply_turns_a_datagram_into_a_stream) {
  World world;
  const Shape udp{.proto = IpProto::udp};
  world.listeners = {make_listener(udp, 1)};
  world.publish();
  const Seen request = world.pass(kDownstream, from_client(udp, 40000).build());
  world.advance(seconds{29});
  EXPECT_EQ(world.flows(), 1u);
  world.pass(kUpstream, reply_to(request).build());
  world.advance(seconds{119});
  EXPECT_EQ(world.flows(), 1u);
  world.advance(seconds{2});
  EXPECT_EQ(world.flows(), 0u);
  world.check();
}

TEST_F(Limits, a_device_that_takes_no_more_frames_costs_frames_and_not_buffers) {
  connect(world, {}, 40000);
  world.device->limit_transmit(kUpstream, 0);
  for (int i = 0; i < 20; ++i) world.inject(kDownstream, from_client({}, 40000, "A").build());
  EXPECT_TRUE(world.settle().empty());
  EXPECT_EQ(world.drops(DropReason::transmit_full), 20u);
}

TEST_F(Limits, frames_for_two_ports_in_turn_leave_each_once_and_in_order) {
  connect(world, {}, 40000);
  // Known segments go upstream, those of no flow are answered downstream with a reset.
  for (std::uint16_t i = 0; i < 10; ++i) {
    world.inject(kDownstream, from_client({}, 40000, "A").payload_octets(10u + i).build());
    world.inject(kDownstream, from_client({}, static_cast<std::uint16_t>(50000 + i), "A").build());
  }
  std::vector<std::uint16_t> up, down;
  for (const Seen& seen : world.settle()) {
    if (seen.port == kUpstream)
      up.push_back(seen.info.payload_octets);
    else
      down.push_back(seen.dst_port());
  }
  ASSERT_EQ(up.size(), 10u);
  ASSERT_EQ(down.size(), 10u);
  for (std::uint16_t i = 0; i < 10; ++i) {
    EXPECT_EQ(up[i], 10 + i);
    EXPECT_EQ(down[i], 50000 + i);
  }
}

TEST_F(Limits, a_packet_that_would_die_here_creates_no_flow) {
  world.refuse(kDownstream, from_client({}, 40000, "S").ttl(1).build(), DropReason::ttl_expired);
  EXPECT_EQ(world.flows(), 0u);
  client(40000, "S");
  world.refuse(kDownstream, from_client({}, 40000, "S").ttl(1).build(), DropReason::ttl_expired);
}

TEST_F(Limits, an_idle_worker_has_nothing_to_do_before_its_next_timer) {
  connect(world, {}, 40000);
  world.advance(seconds{3});
  EXPECT_FALSE(world.workers[0]->step(world.now()));
  EXPECT_GT(world.workers[0]->next_deadline() - world.now(), seconds{20});
}

TEST_F(Limits, the_heartbeat_follows_the_clock_and_stops_when_taken_away) {
  std::atomic<std::uint64_t> slot{};
  world.workers[0]->set_heartbeat(&slot);
  world.advance(milliseconds{10});
  EXPECT_EQ(slot.load(), to_nanoseconds(world.now()));
  world.workers[0]->set_heartbeat(nullptr);
  const std::uint64_t last = slot.load();
  world.advance(milliseconds{50});
  EXPECT_EQ(slot.load(), last);
}

TEST_F(Limits, a_port_that_verifies_checksums_drops_bad_ones_and_a_trusting_one_forwards_them) {
  client(40000, "S");
  const auto bad = from_client({}, 40000, "S").checksum(test::ChecksumMode::bad).build();
  world.ports[kDownstream].verify_checksums = true;
  world.publish();
  world.refuse(kDownstream, bad, DropReason::bad_checksum);
}

}  // namespace
}  // namespace penstock::sim
