// Several workers: every flow has one owner, whatever queue its frames come in on.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>

#include "tests/sim/world.h"

namespace penstock::sim {
namespace {

using control::WorkerCounters;

std::vector<Shape> shapes() {
  return {{.forwarding = control::Forwarding::fullnat},
          {.forwarding = control::Forwarding::dnat},
          {.proto = IpProto::udp, .family = IpFamily::v6, .forwarding = control::Forwarding::fullnat},
          {.proto = IpProto::udp, .family = IpFamily::v6, .forwarding = control::Forwarding::dnat}};
}
struct Handoff : testing::TestWithParam<Shape> {};
INSTANTIATE_TEST_SUITE_P(Shapes, Handoff, testing::ValuesIn(shapes()));

TEST_P(Handoff, two_workers_share_ports_with_one_queue) {
  World world{{.workers = 2, .queues = 1}};
  world.listeners = {make_listener(GetParam(), 2)};
  world.publish();
  for (std::uint16_t p = 40000; p < 40064; ++p) {
    const Seen syn = connect(world, GetParam(), p);
    EXPECT_EQ(syn.worker, 0u) << "only worker 0 has a queue to transmit by";
    world.pass(kUpstream, reply_to(syn, "A").build());
  }
  EXPECT_EQ(world.flows(), 64u);
  EXPECT_GE(world.workers[0]->flow_count(), 16u);
  EXPECT_GE(world.workers[1]->flow_count(), 16u);
  EXPECT_GT(world.sum(&WorkerCounters::handoff_out), 0u);
  world.check();
}

TEST_P(Handoff, frames_find_their_flow_from_any_queue) {
  World world{{.workers = 3, .queues = 3}};
  world.listeners = {make_listener(GetParam(), 2)};
  world.publish();
  for (std::uint16_t p = 40000; p < 40032; ++p) {
    const Seen syn = world.pass(kDownstream, from_client(GetParam(), p, "S").build(), p % 3);
    for (std::size_t queue = 0; queue < 3; ++queue) {
      const Seen reply = world.pass(kUpstream, reply_to(syn, "SA").build(), queue);
      EXPECT_EQ(reply.dst_port(), p);
      const Seen more = world.pass(kDownstream, from_client(GetParam(), p, "A").build(), queue);
      EXPECT_EQ(more.info.src_port, syn.info.src_port);
    }
  }
  EXPECT_EQ(world.flows(), 32u);
  world.check();
}

TEST_P(Handoff, flows_survive_a_crash_of_all_workers) {
  World world{{.workers = 2, .queues = 1}};
  world.listeners = {make_listener(GetParam(), 2)};
  world.publish();
  std::vector<Seen> before;
  for (std::uint16_t p = 40000; p < 40032; ++p) before.push_back(connect(world, GetParam(), p));
  std::uint32_t restored = 0;
  for (const auto& report : world.crash_and_restore()) restored += report.restored;
  EXPECT_EQ(restored, 32u);
  world.publish();
  for (std::uint16_t p = 40000; p < 40032; ++p) {
    const Seen& syn = before[p - 40000u];
    EXPECT_EQ(world.pass(kDownstream, from_client(GetParam(), p, "A").build()).info.dst, syn.info.dst);
    EXPECT_EQ(world.pass(kUpstream, reply_to(syn, "A").build()).dst_port(), p);
  }
  world.check();
}

/// What docs/architecture/scaling.md says of many workers: prints the figures, and holds them to its formula.
TEST(ManyWorkers, flows_spread_as_chance_has_it_and_a_card_that_hashes_otherwise_costs_hand_offs) {
  constexpr std::uint32_t kFlows = 4096;
  const Shape shape{.proto = IpProto::udp, .forwarding = control::Forwarding::dnat};
  for (const std::uint16_t workers :
       {std::uint16_t{2}, std::uint16_t{4}, std::uint16_t{8}, std::uint16_t{control::kWorkerMax}}) {
    World world{{.workers = workers, .queues = workers, .flows = 2 * kFlows / workers}};
    world.listeners = {make_listener(shape, 8)};
    world.publish();
    for (std::uint32_t i = 0; i < kFlows; ++i)  // queues in turn: nothing that the owner depends on
      world.inject(kDownstream, from_client(shape, static_cast<std::uint16_t>(10000 + i)).build(), i % workers);
    world.settle();
    EXPECT_EQ(world.flows(), kFlows);
    std::uint32_t fullest = 0;
    for (const auto& worker : world.workers) fullest = std::max(fullest, worker->flow_count());
    const double imbalance = static_cast<double>(fullest) * workers / kFlows;
    const double expected = 1 + std::sqrt(2 * std::log(workers) * workers / kFlows);
    const double handed = static_cast<double>(world.sum(&WorkerCounters::handoff_out)) / kFlows;
    std::printf("%u workers: fullest %.2f of the mean (formula %.2f), %.1f %% of frames handed over\n",
                unsigned{workers}, imbalance, expected, 100 * handed);
    EXPECT_LT(imbalance, 1 + 1.5 * (expected - 1));
    EXPECT_NEAR(handed, 1 - 1.0 / workers, 0.03);
    world.check();
  }
}

TEST(HandoffLimits, a_full_ring_drops_the_newest_and_counts_it) {
  World world{{.workers = 2, .queues = 1}};
  world.listeners = {make_listener({}, 2)};
  world.publish();
  for (std::uint16_t p = 0; p < 400; ++p) world.inject(kDownstream, from_client({}, 40000 + p, "S").build());
  while (world.device->waiting() != 0) world.workers[0]->step(world.now());  // worker 1 is stuck
  EXPECT_GT(world.drops(DropReason::handoff_full), 50u);
  world.settle();
  world.check();
}

TEST(HandoffLimits, a_sleeping_owner_is_woken) {
  World world{{.workers = 2, .queues = 1}};
  world.listeners = {make_listener({}, 2)};
  world.publish();
  for (std::uint16_t p = 0; p < 16; ++p) world.feed(kDownstream, from_client({}, 40000 + p, "S").build());
  EXPECT_EQ(world.device->io(1).wakes(), 0u) << "nobody announced sleep";
  world.mesh().ring(0, 1).announce_sleep();
  for (std::uint16_t p = 0; p < 16; ++p) world.feed(kDownstream, from_client({}, 41000 + p, "S").build());
  EXPECT_GT(world.device->io(1).wakes(), 0u);
}

}  // namespace
}  // namespace penstock::sim
