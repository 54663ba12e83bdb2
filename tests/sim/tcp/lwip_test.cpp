// lwIP at one end, in scenarios that are made, not drawn.
#include <gtest/gtest.h>

#include "tests/sim/tcp/scenario_support.h"

namespace penstock::tcpsim {
namespace {

Scenario with_lwip(std::size_t side, std::uint64_t octets_each_way, std::uint32_t delay_us = 1000) {
  Scenario out = quiet(octets_each_way, delay_us);
  out.lwip_side = side;
  return out;
}

constexpr std::array<std::size_t, 2> kSides{0, 1};

TEST(LwipPeer, a_seed_is_the_same_run_whatever_ran_before) {
  const Scenario scenario = make_scenario(77, Variant::sequence_wrap_server, 0, {.lwip = true});
  const Result before = run(scenario);
  for (std::uint64_t seed = 1; seed < 20; ++seed)
    static_cast<void>(run(make_scenario(seed, Variant::plain, 0, {.lwip = true})));
  const Result after = run(scenario);
  EXPECT_EQ(before.failure, "");
  EXPECT_EQ(before.events, after.events);
  EXPECT_EQ(before.packets, after.packets);
  EXPECT_EQ(before.virtual_us, after.virtual_us);
}

TEST(LwipPeer, octets_pass_both_ways_over_both_families) {
  for (const std::size_t side : kSides) {
    for (const bool v4 : {true, false}) {
      Scenario scenario = with_lwip(side, 300'000);
      scenario.v4 = v4;
      const Result result = run(scenario);
      EXPECT_EQ(result.failure, "");
      EXPECT_EQ(result.octets, 600'000u);
      EXPECT_EQ(result.given_up + result.excused, 0u);
    }
  }
}

TEST(LwipPeer, every_ending_survives_the_loss_of_any_one_packet) {
  constexpr std::array kEndings{Ending::shutdown_when_written, Ending::after_peer, Ending::close_when_done};
  for (const Ending client : kEndings) {
    for (const Ending server : kEndings) {
      if (client == Ending::after_peer && server == Ending::after_peer) continue;
      for (std::uint32_t lost = 1; lost <= 14; ++lost) {
        for (const std::size_t lwip : kSides) {
          for (const std::size_t side : kSides) {
            Scenario scenario = with_lwip(lwip, 3000);
            scenario.connections[0].app[0].ending = client;
            scenario.connections[0].app[1].ending = server;
            scenario.link[side].lose_packet = lost;
            const Result result = run(scenario);
            EXPECT_EQ(result.failure, "") << describe(scenario) << " lost " << lost;
            EXPECT_EQ(result.given_up + result.excused, 0u);
          }
        }
      }
    }
  }
}

TEST(LwipPeer, requests_are_answered_in_spite_of_loss) {
  for (const std::size_t side : kSides) {
    Scenario scenario = with_lwip(side, 0);
    scenario.connections[0].app[0].rpc_octets = 700, scenario.connections[0].app[0].total = 700 * 50;
    scenario.connections[0].app[1].rpc_octets = 9000, scenario.connections[0].app[1].total = 9000 * 50;
    scenario.link[0].loss = scenario.link[1].loss = 100;
    const Result result = run(scenario);
    EXPECT_EQ(result.failure, "");
    EXPECT_EQ(result.octets, 50u * 9700);
  }
}

// A reader that stops for eight seconds, while each side's window updates are lost in turn.
TEST(LwipPeer, closed_windows_are_probed_and_the_probes_are_answered) {
  for (const std::size_t side : kSides) {
    for (std::uint32_t nth = 0; nth <= 3; ++nth) {
      Scenario scenario = with_lwip(side, 0);
      scenario.connections[0].app[1 - side].total = 200'000;  // ours writes
      scenario.connections[0].app[side].stall_after = 1000;
      scenario.connections[0].app[side].stall_us = 8'000'000;
      scenario.link[side].lose_nth = nth == 1 ? 0 : nth;
      const Result result = run(scenario);
      EXPECT_EQ(result.failure, "") << side << " " << nth;
      EXPECT_GT(result.counts.window_probes, 0u);

      std::swap(scenario.connections[0].app[0], scenario.connections[0].app[1]);  // lwIP writes
      std::swap(scenario.link[0], scenario.link[1]);
      scenario.limits[1 - side].receive_budget_octets = 8192;
      scenario.limits[1 - side].window_shift = 0;
      EXPECT_EQ(run(scenario).failure, "") << side << " " << nth;
    }
  }
}

TEST(LwipPeer, aborts_end_both_sides) {
  for (const std::size_t lwip : kSides) {
    for (const std::size_t who : kSides) {
      for (const Ending ending : {Ending::abort_midway, Ending::close_early}) {
        for (std::uint32_t lost = 1; lost <= 14; ++lost) {
          Scenario scenario = with_lwip(lwip, 20'000);
          scenario.connections[0].app[who].ending = ending;
          scenario.connections[0].app[who].ending_at = 8000;
          scenario.link[who].lose_packet = lost;
          EXPECT_EQ(run(scenario).failure, "") << describe(scenario) << " lost " << lost;
        }
      }
    }
  }
}

// Seeds that found a fault, ours or lwIP's, are kept for good.
TEST(LwipPeer, seeds_that_once_failed_hold) {
  for (const std::uint64_t seed : {108u, 259u, 849u, 1368u, 1989u, 2871u, 3047u, 4139u, 6626u, 9414u, 18916u, 19336u,
                                   22135u, 23463u, 25648u, 28969u, 56083u, 56607u, 58510u})
    for (const Variant variant : kVariants)
      EXPECT_EQ(run(make_scenario(seed, variant, 0, {.lwip = true})).failure, "") << seed << " " << name_of(variant);
}

}  // namespace
}  // namespace penstock::tcpsim
