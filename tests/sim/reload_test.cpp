// What a change of configuration does to flows, old and new.
#include <gtest/gtest.h>

#include "tests/sim/world.h"

namespace penstock::sim {
namespace {

struct Reload : testing::Test {
  Reload() {
    world.listeners = {make_listener({}, 2)};
    world.publish();
  }
  ~Reload() override { world.check(); }
  Seen segment(std::uint16_t port) { return world.pass(kDownstream, from_client({}, port, "A").build()); }
  World world{{.flows = 4096}};
};

TEST_F(Reload, established_flows_keep_their_endpoint_when_endpoints_come_go_and_change_weight) {
  std::map<std::uint16_t, Seen> before;
  for (std::uint16_t p = 40000; p < 40100; ++p) before[p] = connect(world, {}, p);
  world.listeners[0].endpoints.push_back({.address = endpoint_address(IpFamily::v4, 9)});
  world.publish();
  world.listeners[0].endpoints[0].weight = 0;
  world.publish();
  for (const auto& [port, syn] : before) {
    const Seen now = segment(port);
    EXPECT_EQ(now.info.dst, syn.info.dst);
    EXPECT_EQ(now.info.src_port, syn.info.src_port);
  }
  for (std::uint16_t p = 41000; p < 41100; ++p)
    EXPECT_NE(connect(world, {}, p).info.dst, endpoint_address(IpFamily::v4, 1)) << "weight 0 takes no new flows";
}

TEST_F(Reload, flows_of_a_removed_endpoint_live_on_and_its_gauge_goes_down_when_they_end) {
  const Seen syn = connect(world, {}, 40000);
  const std::uint32_t slot = world.endpoint_slot({.address = syn.info.dst, .port = 8080});
  std::erase_if(world.listeners[0].endpoints, [&](const SimEndpoint& e) { return e.address == syn.info.dst; });
  world.publish();
  EXPECT_EQ(segment(40000).info.dst, syn.info.dst);
  EXPECT_EQ(world.slot_sum(slot, &control::SlotCounters::active), 1u);
  world.advance(std::chrono::hours{1} + std::chrono::seconds{1});
  EXPECT_EQ(world.slot_sum(slot, &control::SlotCounters::active), 0u);
  EXPECT_EQ(world.flows(), 0u);
}

TEST_F(Reload, a_draining_listener_takes_no_new_flows_and_keeps_the_old_ones) {
  connect(world, {}, 40000);
  world.listeners[0].draining = true;
  world.publish();
  segment(40000);
  world.refuse(kDownstream, from_client({}, 40001, "S").build(), DropReason::listener_draining);
}

TEST_F(Reload, flows_of_a_removed_listener_live_on) {
  const Seen syn = connect(world, {}, 40000);
  world.listeners.clear();
  world.publish();
  EXPECT_EQ(segment(40000).info.dst, syn.info.dst);
  world.pass(kUpstream, reply_to(syn, "A").build());
  world.refuse(kDownstream, from_client({}, 40001, "S").build(), DropReason::no_listener);
}

TEST_F(Reload, a_changed_source_port_range_holds_for_new_flows_only) {
  const Seen old = connect(world, {}, 40000);
  world.node.source_port_low = 50000;
  world.node.source_port_high = 50999;
  world.publish();
  EXPECT_EQ(segment(40000).src_port(), old.src_port());
  world.pass(kUpstream, reply_to(old, "A").build());
  EXPECT_GE(connect(world, {}, 40001).src_port(), 50000);
}

TEST_F(Reload, a_next_hop_that_goes_and_comes_back_only_interrupts) {
  const Seen syn = connect(world, {}, 40000);
  for (SimEndpoint& e : world.listeners[0].endpoints) e.resolved = false;
  world.publish();
  world.refuse(kDownstream, from_client({}, 40000, "A").build(), DropReason::no_next_hop);
  world.refuse(kDownstream, from_client({}, 40001, "S").build(), DropReason::no_next_hop);
  EXPECT_EQ(world.flows(), 1u) << "a flow that cannot be forwarded is not created";
  for (SimEndpoint& e : world.listeners[0].endpoints) e.resolved = true;
  world.publish();
  EXPECT_EQ(segment(40000).info.dst, syn.info.dst);
}

TEST_F(Reload, frames_for_a_port_that_is_gone_are_dropped) {
  const Seen syn = connect(world, {}, 40000);
  world.ports[kUpstream].present = false;
  world.publish();
  world.refuse(kDownstream, from_client({}, 40000, "A").build(), DropReason::port_gone);
  world.refuse(kUpstream, reply_to(syn, "A").build(), DropReason::port_gone);
}

TEST_F(Reload, a_cluster_without_endpoints_drops_new_flows) {
  world.listeners[0].endpoints.clear();
  world.publish();
  world.refuse(kDownstream, from_client({}, 40000, "S").build(), DropReason::no_endpoint);
}

TEST(Views, an_old_view_is_freed_only_after_every_worker_has_adopted_a_newer_one) {
  worker::ViewExchange exchange;
  worker::ViewPublisher publisher{exchange, 2};
  publisher.publish(std::make_unique<worker::WorkerView>());
  const std::uint64_t second = publisher.publish(std::make_unique<worker::WorkerView>());
  EXPECT_EQ(publisher.collect(), 2u);
  exchange.adopted[0].generation = second;
  EXPECT_FALSE(publisher.adopted_by_all(second));
  EXPECT_EQ(publisher.collect(), 2u);
  exchange.adopted[1].generation = second;
  EXPECT_TRUE(publisher.adopted_by_all(second));
  EXPECT_EQ(publisher.collect(), 1u);
}

}  // namespace
}  // namespace penstock::sim
