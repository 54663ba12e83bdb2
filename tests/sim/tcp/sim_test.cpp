// Scenarios that are made, not drawn; and the simulator itself.
#include <gtest/gtest.h>

#include <bit>

#include "tests/sim/tcp/scenario_support.h"

namespace penstock::tcpsim {
namespace {

TEST(TcpSim, the_same_seed_is_the_same_run) {
  for (const std::uint64_t seed : {3u, 17u, 99u}) {
    const Scenario scenario = make_scenario(seed, Variant::plain, 0);
    const Result a = run(scenario), b = run(scenario);
    EXPECT_EQ(a.failure, "");
    EXPECT_EQ(a.events, b.events);
    EXPECT_EQ(a.packets, b.packets);
    EXPECT_EQ(a.virtual_us, b.virtual_us);
  }
}

TEST(TcpSim, an_application_notices_wrong_repeated_and_surplus_octets) {
  AppPlan peer;
  peer.total = 100;
  App right{AppPlan{}, peer, 0, 1}, shifted{AppPlan{}, peer, 0, 1}, surplus{AppPlan{}, peer, 0, 1};
  right.deliver(kPayload.view(1, 0, 50));
  right.deliver(kPayload.view(1, 50, 50));
  EXPECT_EQ(right.failure(), "");
  shifted.deliver(kPayload.view(1, 0, 50));
  shifted.deliver(kPayload.view(1, 0, 50));
  EXPECT_NE(shifted.failure(), "");
  surplus.deliver(kPayload.view(1, 0, 101));
  EXPECT_NE(surplus.failure(), "");
}

TEST(TcpSim, a_checker_that_finds_nothing_to_do_would_be_noticed) {
  const Result result = run(quiet(50'000));
  EXPECT_EQ(result.failure, "");
  EXPECT_EQ(result.octets, 100'000u);
  EXPECT_EQ(result.counts.retransmitted, 0u);
}

TEST(TcpSim, a_connection_that_never_ends_is_a_failure) {
  Scenario scenario = quiet(1000);
  for (AppPlan& app : scenario.connections[0].app) app.ending = Ending::after_peer;  // each waits for the other
  EXPECT_NE(run(scenario).failure, "");
}

TEST(TcpSim, the_capture_has_every_packet_and_marks_the_lost) {
  Scenario scenario = quiet(2000);
  scenario.link[0].lose_packet = 2;
  Pcapng capture;
  const Result result = run(scenario, &capture);
  const std::string bytes{std::bit_cast<const char*>(capture.bytes().data()), capture.bytes().size()};
  EXPECT_EQ(result.lost, 1u);
  EXPECT_NE(bytes.find("lost"), std::string::npos);
  EXPECT_GT(bytes.size(), result.packets * 60) << "a packet is at least 40 octets in a block of 32";
}

// R5: closing in every order, with each packet of either direction lost in turn.
TEST(TcpSim, every_ending_survives_the_loss_of_any_one_packet) {
  constexpr std::array kEndings{Ending::shutdown_when_written, Ending::after_peer, Ending::close_when_done};
  for (const Ending client : kEndings) {
    for (const Ending server : kEndings) {
      if (client == Ending::after_peer && server == Ending::after_peer) continue;
      for (const bool simultaneous : {false, true}) {
        for (std::uint32_t lost = 1; lost <= 14; ++lost) {
          for (const std::size_t side : {0u, 1u}) {
            Scenario scenario = quiet(3000);
            scenario.connections[0].app[0].ending = client;
            scenario.connections[0].app[1].ending = server;
            scenario.connections[0].simultaneous = simultaneous;
            scenario.link[side].lose_packet = lost;
            EXPECT_EQ(run(scenario).failure, "") << describe(scenario) << " lost " << lost;
          }
        }
      }
    }
  }
}

// R8: a slow reader whose window updates are lost in turn.
TEST(TcpSim, a_slow_reader_is_never_forgotten_although_every_second_update_is_lost) {
  for (const std::uint32_t nth : {2u, 3u, 4u}) {
    Scenario scenario = quiet(0);
    scenario.connections[0].app[0].total = 100'000;
    scenario.connections[0].app[1].read_chunk = 1000;
    scenario.connections[0].app[1].read_every_us = 5000;
    scenario.limits[1].receive_budget_octets = 8000;
    scenario.limits[1].window_shift = 0;
    scenario.link[1].lose_nth = nth;
    EXPECT_EQ(run(scenario).failure, "");
  }
}

// R13: round trips inside a node. Two lost SYNs take 3 s; no stall after them may last longer than a few timeouts.
TEST(TcpSim, tiny_round_trips_with_loss_finish_quickly) {
  std::uint64_t timeouts = 0;
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    Scenario scenario = quiet(200'000, seed % 2 == 0 ? 5 : 25);
    scenario.seed = seed;
    scenario.link[0].loss = scenario.link[1].loss = 150;
    const Result result = run(scenario);
    EXPECT_EQ(result.failure, "");
    timeouts += result.counts.timeouts;
    EXPECT_LT(result.virtual_us, 4'000'000u) << "seed " << seed;
  }
  EXPECT_LT(timeouts, 60u) << "recovery by time and tail probes leave little to the timeout";
}

// Seeds that found a fault are kept for good.
TEST(TcpSim, seeds_that_once_failed_hold) {
  constexpr std::array<std::uint64_t, 14> kSeeds{5,   7,   188,  330,  385,    651,    718,
                                                 866, 998, 2154, 3127, 249929, 103413, 5091305};
  for (const std::uint64_t seed : kSeeds)
    for (const Variant variant : kVariants) EXPECT_EQ(run(make_scenario(seed, variant, 0)).failure, "") << seed;
}

}  // namespace
}  // namespace penstock::tcpsim
