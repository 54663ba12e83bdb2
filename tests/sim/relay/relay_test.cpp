// The relay between clients and endpoints that have TCP of their own, on lossy links, in virtual time.
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>

#include "tests/sim/relay/relay_world.h"

namespace penstock::sim {
namespace {

using tcpsim::AppPlan;
using tcpsim::Ending;
using tcpsim::Scenario;
using tcpsim::Variant;

/// One connection, no faults, a millisecond of delay.
Scenario plain(std::uint64_t octets_up, std::uint64_t octets_down) {
  Scenario out;
  out.seed = 1;
  tcpsim::ConnectionPlan plan;
  plan.app[0].total = octets_up;
  plan.app[1].total = octets_down;
  plan.client_port = 40000;
  out.connections = {plan};
  return out;
}

TEST(Relay, moves_octets_both_ways_and_closes) {
  Scenario scenario = plain(1'000'000, 1'000'000);
  RelayWorld run{scenario};
  EXPECT_EQ(run.run(), "");
  EXPECT_EQ(run.octets(), 2'000'000u);
  EXPECT_EQ(run.world().proxied(&control::ProxyCounters::closed), 1u);
  EXPECT_GT(run.world().proxied(&control::ProxyCounters::in_place_sent), 1000u);
}

TEST(Relay, readers_that_stop_for_ten_minutes_get_everything_afterwards) {
  for (const std::size_t reader : {0u, 1u}) {
    Scenario scenario = plain(2'000'000, 2'000'000);
    scenario.connections[0].app[reader].stall_after = 500'000;
    scenario.connections[0].app[reader].stall_us = 600'000'000;
    RelayWorld run{scenario};
    EXPECT_EQ(run.run(), "") << reader;
    EXPECT_EQ(run.octets(), 4'000'000u);
    EXPECT_GT(run.now() - Instant{std::chrono::seconds{2000}}, std::chrono::seconds{600});
    EXPECT_EQ(run.world().proxied(&control::ProxyCounters::closed), 1u);
  }
}

TEST(Relay, works_when_no_device_buffer_may_be_held) {
  Scenario scenario = plain(300'000, 300'000);
  RelayWorld run{scenario, {.lent = 0}};
  EXPECT_EQ(run.run(), "");
  EXPECT_EQ(run.world().proxied(&control::ProxyCounters::in_place_sent), 0u);
}

/// What the relay counted, for the message of a failing run.
std::string counted(const World& world) {
  using Counters = control::ProxyCounters;
  const std::pair<const char*, control::Counter Counters::*> rows[] = {
      {"established", &Counters::established},
      {"closed", &Counters::closed},
      {"reset_by_downstream", &Counters::reset_by_downstream},
      {"reset_by_upstream", &Counters::reset_by_upstream},
      {"timed_out", &Counters::timed_out},
      {"connect_failed", &Counters::connect_failed},
      {"memory_dropped", &Counters::memory_dropped},
      {"shed", &Counters::shed}};
  std::string out;
  for (const auto& [name, counter] : rows)
    out += std::string{name} + '=' + std::to_string(world.proxied(counter)) + ' ';
  return out;
}

/// Runs it again and writes its packets.
void keep_capture(const Scenario& scenario, RelayRunOptions options) {
  tcpsim::Pcapng capture;
  options.capture = &capture;
  static_cast<void>(RelayWorld{scenario, options}.run());
  const std::string path = testing::TempDir() + "relay_seed_" + std::to_string(scenario.seed) + ".pcapng";
  if (capture.write_file(path)) std::printf("packets: %s\n", path.c_str());
}

struct RelaySeeds : testing::TestWithParam<int> {};
INSTANTIATE_TEST_SUITE_P(All, RelaySeeds, testing::Range(0, 8));

/// PENSTOCK_RELAY_SEEDS makes a longer run of the same.
TEST_P(RelaySeeds, hold_every_invariant) {
  const char* const wanted = std::getenv("PENSTOCK_RELAY_SEEDS");
  const std::uint64_t seeds = wanted != nullptr ? std::strtoull(wanted, nullptr, 10) : 30;
  for (std::uint64_t n = 0; n < seeds; ++n) {
    const std::uint64_t seed = 1 + static_cast<std::uint64_t>(GetParam()) + 8 * n;
    Scenario scenario = tcpsim::make_scenario(seed, Variant::plain, 0);
    scenario.connections.resize(1);
    const RelayRunOptions options{.lent = seed % 3 == 0 ? 8u : 64u, .hold_sent = seed % 2 == 0};
    RelayWorld run{scenario, options};
    const std::string failure = run.run();
    if (!failure.empty()) keep_capture(scenario, options);
    ASSERT_EQ(failure, "") << "seed " << seed << ": " << counted(run.world()) << '\n' << tcpsim::describe(scenario);
  }
}

}  // namespace
}  // namespace penstock::sim
