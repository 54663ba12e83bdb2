// Two TCPs of their own through a pair that becomes a spliced flow: at its first rest or a later one, on lossy links,
// with every mix of options, and every ending.
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>

#include "tests/sim/relay/relay_world.h"

namespace penstock::sim {
namespace {

using control::ProxyCounters;
using tcpsim::Ending;
using tcpsim::Scenario;
using tcpsim::Variant;

/// Requests and responses in turn, then the endings.
Scenario dialogue(std::uint32_t rounds, Ending client, Ending endpoint) {
  Scenario out;
  out.seed = 1;
  tcpsim::ConnectionPlan plan;
  plan.app[0].rpc_octets = 700;
  plan.app[1].rpc_octets = 5000;
  plan.app[0].total = std::uint64_t{700} * rounds;
  plan.app[1].total = std::uint64_t{5000} * rounds;
  plan.app[0].ending = client;
  plan.app[1].ending = endpoint;
  plan.client_port = 40000;
  out.connections = {plan};
  return out;
}

std::string counted(const World& world) {
  const std::pair<const char*, control::Counter ProxyCounters::*> rows[] = {
      {"begun", &ProxyCounters::splices_begun},
      {"ended", &ProxyCounters::splices_ended},
      {"options", &ProxyCounters::splice_refused_options},
      {"mss", &ProxyCounters::splice_refused_mss},
      {"window", &ProxyCounters::splice_refused_window},
      {"established", &ProxyCounters::established},
      {"closed", &ProxyCounters::closed},
      {"timed_out", &ProxyCounters::timed_out}};
  std::string out;
  for (const auto& [name, counter] : rows)
    out += std::string{name} + '=' + std::to_string(world.proxied(counter)) + ' ';
  return out + world.drops_text();
}

/// Runs it; the number of splices. What fails is written as packets.
std::uint64_t run(const Scenario& scenario, RelayRunOptions options) {
  options.splice = true;
  RelayWorld world{scenario, options};
  const std::string failure = world.run();
  EXPECT_EQ(failure, "") << counted(world.world()) << "\nrests passed " << options.rests_before_splice << '\n'
                         << tcpsim::describe(scenario);
  EXPECT_EQ(world.world().proxied(&ProxyCounters::splices_begun), world.world().proxied(&ProxyCounters::splices_ended));
  if (!failure.empty()) {
    tcpsim::Pcapng capture;
    options.capture = &capture;
    static_cast<void>(RelayWorld{scenario, options}.run());
    const std::string path = testing::TempDir() + "splice_seed_" + std::to_string(scenario.seed) + ".pcapng";
    if (capture.write_file(path)) std::printf("packets: %s\n", path.c_str());
  }
  return world.world().proxied(&ProxyCounters::splices_begun);
}

TEST(SpliceSim, a_dialogue_is_spliced_at_any_of_its_rests_and_ends_in_any_way) {
  constexpr std::array kEndings{Ending::shutdown_when_written, Ending::after_peer, Ending::close_when_done,
                                Ending::abort_midway, Ending::close_early};
  std::uint64_t spliced = 0;
  for (const Ending client : kEndings) {
    for (const Ending endpoint : kEndings) {
      if (client == Ending::after_peer && endpoint == Ending::after_peer) continue;  // would wait for ever
      for (std::uint32_t rests = 0; rests < 40; ++rests) {
        Scenario scenario = dialogue(8, client, endpoint);
        for (tcpsim::AppPlan& app : scenario.connections[0].app) app.ending_at = app.rpc_octets * 5;
        const std::uint64_t begun = run(scenario, {.rests_before_splice = rests});
        if (testing::Test::HasFailure()) return;
        if (begun == 0) break;
        spliced += begun;
      }
    }
  }
  EXPECT_GT(spliced, 100u);
}

struct SpliceSeeds : testing::TestWithParam<int> {};
INSTANTIATE_TEST_SUITE_P(All, SpliceSeeds, testing::Range(0, 4));

/// PENSTOCK_SPLICE_SEEDS makes a longer run of the same.
TEST_P(SpliceSeeds, hold_every_invariant) {
  const char* const wanted = std::getenv("PENSTOCK_SPLICE_SEEDS");
  const std::uint64_t seeds = wanted != nullptr ? std::strtoull(wanted, nullptr, 10) : 40;
  std::uint64_t spliced = 0;
  for (std::uint64_t n = 0; n < seeds; ++n) {
    const std::uint64_t seed = 1 + static_cast<std::uint64_t>(GetParam()) + 4 * n;
    Scenario scenario = tcpsim::make_scenario(seed, Variant::plain, 0);
    scenario.connections.resize(1);
    // Mostly timestamps are on both legs or on none, and most talk in turns: otherwise few come to rest.
    if (n % 8 != 0) scenario.limits[1].timestamps = scenario.limits[0].timestamps;
    tcpsim::AppPlan& client = scenario.connections[0].app[0];
    tcpsim::AppPlan& endpoint = scenario.connections[0].app[1];
    if (n % 4 != 0 && client.rpc_octets == 0 && client.total != 0 && endpoint.total != 0) {
      client.rpc_octets = static_cast<std::uint32_t>(1 + client.total / (1 + seed % 13));
      endpoint.rpc_octets = static_cast<std::uint32_t>(1 + endpoint.total / (1 + seed % 13));
      client.total = client.rpc_octets * (1 + seed % 13);
      endpoint.total = endpoint.rpc_octets * (1 + seed % 13);
      client.write_every_us = endpoint.write_every_us = 0;
      if (endpoint.ending == Ending::after_peer) client.ending = Ending::shutdown_when_written;
    }
    spliced += run(scenario, {.lent = seed % 3 == 0 ? 8u : 64u,
                              .hold_sent = seed % 2 == 0,
                              .rests_before_splice = static_cast<std::uint32_t>(n % 4)});
    if (testing::Test::HasFailure()) return;
  }
  std::printf("%llu of %llu spliced\n", static_cast<unsigned long long>(spliced),
              static_cast<unsigned long long>(seeds));
  EXPECT_GT(spliced, seeds / 8);
}

}  // namespace
}  // namespace penstock::sim
