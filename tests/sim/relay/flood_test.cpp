// A flood of SYNs that nobody finishes: memory stays flat, and who is honest still gets through (RFC 4987).
#include <gtest/gtest.h>

#include "tests/sim/relay/relay_world.h"

namespace penstock::sim {
namespace {

#if defined(__SANITIZE_ADDRESS__)
constexpr std::uint32_t kSyns = 50'000;
#else
constexpr std::uint32_t kSyns = 1'000'000;
#endif

TEST(SynFlood, a_million_half_open_attempts_cost_nothing_and_stop_nobody) {
  tcpsim::Scenario scenario;
  scenario.seed = 3;
  tcpsim::ConnectionPlan plan;
  plan.app[0].total = plan.app[1].total = 200'000;
  plan.client_port = 40000;
  scenario.connections = {plan};
  RelayWorld run{scenario, {.half_open_max = 32}};
  World& world = run.world();
  test::Seeded random{9};
  std::size_t answers = 0;
  for (std::uint32_t i = 0; i < kSyns; ++i) {
    test::PacketBuilder syn;
    const auto octet = [&] { return static_cast<std::uint8_t>(1 + random.below(250)); };
    syn.from_to(IpAddress::v4(11, octet(), octet(), octet()), service_address(IpFamily::v4))
        .tcp(static_cast<std::uint16_t>(1024 + random.below(60000)), 80, "S")
        .seq(static_cast<std::uint32_t>(random.next()));
    world.inject(kDownstream, syn.build());
    if (i % 16 != 15) continue;
    world.workers[0]->step(run.now());
    answers += world.device->take_sent().size();
    ASSERT_LE(world.workers[0]->relay().size(), 32u);
    ASSERT_LE(world.flows(), 32u);
    ASSERT_LE(world.device->outstanding(), relay::kSpareFrames);
  }
  EXPECT_EQ(answers, kSyns);
  EXPECT_EQ(world.proxied(&control::ProxyCounters::cookies_sent), kSyns - 32);
  EXPECT_EQ(run.run(), "");
  EXPECT_EQ(run.octets(), 400'000u);
  EXPECT_EQ(world.proxied(&control::ProxyCounters::cookies_accepted), 1u);
}

TEST(SynFlood, an_acknowledgement_that_no_cookie_earned_is_reset) {
  World world;
  SimListener listener = make_listener({}, 1);
  listener.mode = control::ListenerMode::proxy;
  world.listeners = {listener};
  world.node.proxy_half_open_max = 0;
  world.publish();
  const Seen cookie = world.pass(kDownstream, from_client({}, 40000, "S").seq(5000).build());
  const std::uint32_t value = load_be<std::uint32_t>(cookie.bytes, cookie.info.l4_offset + 4u).host();
  const auto ack = [&](std::uint32_t acknowledged, std::uint32_t seq) {
    return world.feed(kDownstream, from_client({}, 40000, "A").seq(seq).ack(acknowledged).build());
  };
  for (const auto& [acknowledged, seq] : {std::pair{value, 5001u}, {value + 2, 5001u}, {value + 1, 5002u}}) {
    const auto answer = ack(acknowledged, seq);
    ASSERT_EQ(answer.size(), 1u);
    EXPECT_EQ(answer[0].info.tcp_flags, wire::kTcpRst);
  }
  EXPECT_EQ(world.proxied(&control::ProxyCounters::cookies_rejected), 3u);
  // Data may have overtaken the acknowledgement: it is dropped, and its sender repeats it.
  world.refuse(kDownstream, from_client({}, 40000, "A").seq(5001).ack(value + 2).payload("late").build(),
               DropReason::no_flow);
  EXPECT_EQ(world.flows(), 0u);
  const auto dialled = ack(value + 1, 5001);
  ASSERT_EQ(dialled.size(), 1u);
  EXPECT_EQ(dialled[0].port, kUpstream);
  world.check();
}

TEST(SynFlood, a_late_copy_of_the_first_data_does_not_open_the_connection_again) {
  World world;
  SimListener listener = make_listener({}, 1);
  listener.mode = control::ListenerMode::proxy;
  world.listeners = {listener};
  world.node.proxy_half_open_max = 0;
  world.publish();
  const Seen cookie = world.pass(kDownstream, from_client({}, 40000, "S").seq(5000).build());
  const std::uint32_t value = load_be<std::uint32_t>(cookie.bytes, cookie.info.l4_offset + 4u).host();
  const test::Bytes first = from_client({}, 40000, "PA").seq(5001).ack(value + 1).payload("once").build();
  ASSERT_GE(world.feed(kDownstream, first).size(), 1u);
  EXPECT_EQ(world.proxied(&control::ProxyCounters::opened), 1u);
  world.feed(kDownstream, from_client({}, 40000, "R").seq(5005).build());
  EXPECT_EQ(world.workers[0]->relay().size(), 0u);
  for (const Seen& answer : world.feed(kDownstream, first)) EXPECT_EQ(answer.port, kDownstream);
  EXPECT_EQ(world.proxied(&control::ProxyCounters::opened), 1u);
  world.advance(std::chrono::seconds{200});
  EXPECT_EQ(world.flows(), 0u);
  world.check();
}

}  // namespace
}  // namespace penstock::sim
