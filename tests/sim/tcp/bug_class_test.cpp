// Faults that other stacks shipped, one test for each class; the invariants of the simulator hold in all of them.
#include <gtest/gtest.h>

#include "tests/sim/tcp/scenario_support.h"

namespace penstock::tcpsim {
namespace {

using std::chrono::seconds;

TEST(TcpBugClass, the_congestion_window_bounds_the_flight_and_not_each_write) {
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    Scenario scenario = quiet(300'000, 20'000);
    scenario.seed = seed;
    scenario.link[0].loss = scenario.link[1].loss = 100;
    for (AppPlan& app : scenario.connections[0].app) app.write_chunk = 60'000, app.write_every_us = 50'000;
    const Result result = run(scenario);
    EXPECT_EQ(result.failure, "");
    EXPECT_GT(result.counts.recoveries, 0u);
  }
}

// The server writes while it accepts; "data before the handshake has ended" would fail the run.
TEST(TcpBugClass, what_is_written_while_accepting_waits_for_the_end_of_the_handshake) {
  for (std::uint32_t lost = 0; lost <= 4; ++lost) {
    Scenario scenario = quiet(0);
    scenario.connections[0].app[1].total = 20'000;
    scenario.link[0].lose_packet = lost;
    const Result result = run(scenario);
    EXPECT_EQ(result.failure, "");
    EXPECT_EQ(result.octets, 20'000u);
  }
}

TEST(TcpBugClass, time_wait_ends_although_its_clock_wraps_meanwhile) {
  for (std::uint64_t seed = 1; seed <= 30; ++seed) {
    Scenario scenario = quiet(5000);
    scenario.seed = seed;
    scenario.variant = Variant::coarse_wrap;  // up to 3 s before the wrap, and TIME-WAIT lasts 60 s
    scenario.connections[0].app[seed % 2].ending = Ending::close_when_done;
    EXPECT_EQ(run(scenario).failure, "") << seed;
  }
}

TEST(TcpBugClass, pipe_is_right_when_what_was_sacked_is_acknowledged) {
  for (std::uint32_t lost = 3; lost <= 40; ++lost) {
    Scenario scenario = quiet(0, 5000);
    scenario.connections[0].app[0].total = 80'000;
    scenario.link[0].lose_packet = lost;
    scenario.link[0].duplicate = 500;
    const Result result = run(scenario);
    EXPECT_EQ(result.failure, "") << lost;
    EXPECT_GT(result.counts.retransmitted, 0u) << lost;
    EXPECT_LT(result.virtual_us, 2'000'000u) << lost;
  }
}

TEST(TcpBugClass, each_window_update_may_be_lost_in_turn) {
  for (std::uint32_t lost = 1; lost <= 60; ++lost) {
    Scenario scenario = quiet(0);
    scenario.connections[0].app[0].total = 40'000;
    scenario.connections[0].app[1].read_chunk = 1000;
    scenario.connections[0].app[1].read_every_us = 30'000;
    scenario.limits[1].receive_budget_octets = 6000;
    scenario.limits[1].window_shift = 0;
    scenario.link[1].lose_packet = lost;
    EXPECT_EQ(run(scenario).failure, "") << lost;
  }
}

// The next window probe would come 1.2 s later.
TEST(TcpBugClass, a_reader_that_drains_a_closed_window_tells_at_once) {
  Scenario scenario = quiet(0);
  scenario.connections[0].app[0].total = 40'000;
  scenario.connections[0].app[1].stall_us = 5'000'000;
  scenario.limits[1].receive_budget_octets = 8192;
  scenario.limits[1].window_shift = 0;
  const Result result = run(scenario);
  EXPECT_EQ(result.failure, "");
  EXPECT_GE(result.counts.window_probes, 3u);
  EXPECT_GT(result.virtual_us, 5'000'000u);
  EXPECT_LT(result.virtual_us, 5'200'000u);
}

// Nothing but the count of duplicates, the timer, and a storm of acknowledgements that must not restart it.
TEST(TcpBugClass, a_storm_of_duplicate_acknowledgements_does_not_hold_back_the_timer) {
  for (std::uint32_t lost = 3; lost <= 24; ++lost) {
    Scenario scenario = quiet(0, 10'000);
    scenario.connections[0].app[0].total = 30'000;
    for (tcp::Limits& limits : scenario.limits) limits.sack = limits.rack = false;
    scenario.link[0].lose_packet = lost;
    scenario.link[1].duplicate = 10'000;
    scenario.link[1].jitter_us = 5000;
    const Result result = run(scenario);
    EXPECT_EQ(result.failure, "") << lost;
    EXPECT_LT(result.virtual_us, 2'000'000u) << lost;
  }
}

// Repetitions are cut differently from what was sent first, and meet it in any order.
TEST(TcpBugClass, segments_that_overlap_out_of_order_are_merged) {
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    Scenario scenario = quiet(150'000, 2000);
    scenario.seed = seed;
    scenario.v4 = seed % 2 == 0;
    for (LinkPlan& link : scenario.link) {
      link.mtu_change_at_us = 9000 + 700 * seed;
      link.mtu_after = 1280;
      link.mtu_restored_at_us = link.mtu_change_at_us + 30'000;
      link.icmp_silent = seed % 5 == 0;
      link.loss = 200, link.reorder = 2000, link.reorder_extra_us = 6000, link.duplicate = 500;
    }
    EXPECT_EQ(run(scenario).failure, "") << seed;
  }
}

// In CLOSE-WAIT the rest is still sent, and repeated, and the FIN after it.
TEST(TcpBugClass, a_half_closed_connection_ends_whichever_packet_is_lost) {
  for (const std::uint32_t every_us : {0u, 4000u}) {
    for (const std::size_t side : {0u, 1u}) {
      for (std::uint32_t lost = 1; lost <= 40; ++lost) {
        Scenario scenario = quiet(0);
        AppPlan& writer = scenario.connections[0].app[1];
        writer.total = 30'000, writer.write_chunk = 2000, writer.write_every_us = every_us;
        writer.ending = Ending::after_peer;
        scenario.link[side].lose_packet = lost;
        EXPECT_EQ(run(scenario).failure, "") << every_us << " " << side << " " << lost;
      }
    }
  }
}

TEST(TcpBugClass, every_connection_reaches_closed_whichever_packet_of_an_abort_is_lost) {
  for (const Ending ending : {Ending::abort_midway, Ending::close_early}) {
    for (const std::size_t who : {0u, 1u}) {
      for (const std::size_t side : {0u, 1u}) {
        for (std::uint32_t lost = 1; lost <= 16; ++lost) {
          Scenario scenario = quiet(20'000);
          scenario.connections[0].app[who].ending = ending;
          scenario.connections[0].app[who].ending_at = 8000;
          scenario.link[side].lose_packet = lost;
          EXPECT_EQ(run(scenario).failure, "") << who << " " << side << " " << lost;
        }
      }
    }
  }
}

// Lent buffers are overwritten as soon as they come back; whoever gives one back too early sends the wrong octets.
TEST(TcpBugClass, repetition_never_needs_what_was_given_back) {
  for (std::uint32_t lost = 3; lost <= 40; ++lost) {
    Scenario scenario = quiet(60'000);
    scenario.lends = scenario.holds = {true, true};
    scenario.link[0].lose_packet = scenario.link[1].lose_packet = lost;
    scenario.link[0].loss = 100;
    EXPECT_EQ(run(scenario).failure, "") << lost;
  }
}

TEST(TcpBugClass, windows_are_used_beyond_64_kib_and_up_to_2_30) {
  Scenario scenario = quiet(0, 40'000);
  scenario.connections[0].app[0].total = 3'000'000;
  for (tcp::Limits& limits : scenario.limits) {
    limits.receive_budget_octets = 1u << 30;
    limits.window_shift = 14;
    limits.send_budget_octets = 4'000'000;
    limits.send_entries_max = 4000;
  }
  scenario.pool_entries = {8192, 8192};
  scenario.pool_blocks = {8192, 8192};
  for (const Variant variant : kVariants) {
    scenario.variant = variant;
    const Result result = run(scenario);
    EXPECT_EQ(result.failure, "") << name_of(variant);
    EXPECT_LT(result.virtual_us, 2'500'000u) << "46 windows of 64 KiB would take 3.7 s";
  }
}

TEST(TcpBugClass, loss_is_repaired_across_every_wrap) {
  for (const Variant variant : kVariants) {
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
      Scenario scenario = quiet(200'000, 3000);
      scenario.seed = seed;
      scenario.variant = variant;
      scenario.link[0].loss = scenario.link[1].loss = 200;
      scenario.link[0].reorder = 500, scenario.link[0].reorder_extra_us = 4000;
      EXPECT_EQ(run(scenario).failure, "") << name_of(variant) << " " << seed;
    }
  }
}

// Round trips of 10 us with loss: neither timer of RFC 8985 may round to nothing and stop, or spin.
TEST(TcpBugClass, tiny_round_trips_neither_stall_nor_spin) {
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    Scenario scenario = quiet(100'000, 5);
    scenario.seed = seed;
    scenario.link[0].loss = scenario.link[1].loss = 200;
    scenario.link[0].reorder = scenario.link[1].reorder = 300;
    scenario.link[0].reorder_extra_us = scenario.link[1].reorder_extra_us = 15;
    const Result result = run(scenario);
    EXPECT_EQ(result.failure, "") << seed;
    EXPECT_LT(result.events, 3000u) << seed;
  }
}

}  // namespace
}  // namespace penstock::tcpsim
