// R12, R23: CUBIC against its formula, HyStart++ against round trips, proportional rate reduction against its promise.
#include "dataplane/tcp/congestion.h"

#include <gtest/gtest.h>

#include <cmath>

namespace penstock::tcp {
namespace {

constexpr std::uint32_t kMss = 1000;

double curve(double w_max_segments, double t_seconds, double k_seconds) {
  const double t = t_seconds - k_seconds;
  return 0.4 * t * t * t + w_max_segments;
}

/// A sender whose window is always full: every round trip acknowledges the whole window, two segments at a time.
struct Sender {
  Congestion congestion;
  Limits limits;
  std::uint32_t now_ms{1000};
  std::uint32_t rtt_ms{100};
  std::uint32_t rtt_us{};
  SeqNum una{1};
  bool limited{true};
  std::uint32_t flight{};

  explicit Sender(CongestionControl control = CongestionControl::cubic, bool hystart = false) {
    limits.congestion_control = control;
    limits.hystart = hystart;
    congestion.start(kMss, limits, false);
  }
  void acknowledge(std::uint32_t octets) {
    una += SeqSpan{octets};
    congestion.acked({.octets = octets,
                      .mss = kMss,
                      .flight = flight,
                      .was_limited = limited,
                      .growth_segments = 2,
                      .now_ms = now_ms,
                      .srtt_us = rtt_ms * 1000,
                      .rtt_us = rtt_us,
                      .una = una,
                      .nxt = una + SeqSpan{congestion.cwnd()}});
  }
  void round() {
    const std::uint32_t window = congestion.cwnd();
    for (std::uint32_t done = 0; done < window; done += 2 * kMss) acknowledge(std::min(2 * kMss, window - done));
    now_ms += rtt_ms;
  }
  /// In congestion avoidance with `w_max` segments as the last window.
  void lose_at(std::uint32_t segments) {
    while (congestion.cwnd() < segments * kMss) acknowledge(2 * kMss);
    congestion.lost(congestion.cwnd(), kMss);
    congestion.recovered();
  }
};

TEST(CubeRoot, is_exact_for_every_small_number_and_at_the_edges) {
  std::uint64_t root = 0;
  for (std::uint64_t value = 0; value < 200'000; ++value) {
    while ((root + 1) * (root + 1) * (root + 1) <= value) ++root;
    ASSERT_EQ(cube_root(value), root) << value;
  }
  EXPECT_EQ(cube_root(~std::uint64_t{0}), 2'642'245u);
  const std::uint64_t edge = 2'642'245ull * 2'642'245 * 2'642'245;
  EXPECT_EQ(cube_root(edge), 2'642'245u);
  EXPECT_EQ(cube_root(edge - 1), 2'642'244u);
}

TEST(CubicCurve, agrees_with_the_formula_to_a_tenth_of_a_segment) {
  for (const std::uint32_t mss : {88u, 536u, 1448u, 8948u})
    for (const std::uint32_t segments : {10u, 300u, 20'000u})
      for (std::int64_t t = -20'000; t <= 40'000; t += 37) {
        const double wanted = std::max(0.0, curve(segments, static_cast<double>(t) / 1000, 0)) * mss;
        ASSERT_NEAR(cubic_window(segments * mss, t, mss), wanted, mss / 10.0) << t;
      }
}

TEST(CubicCurve, far_away_it_is_clamped_and_never_wraps) {
  EXPECT_EQ(cubic_window(1'000'000, 1'000'000'000'000, 1448), 0x7fffffffu);
  EXPECT_EQ(cubic_window(1'000'000, -1'000'000'000'000, 1448), 0u);
  EXPECT_EQ(cubic_window(0x7fffffff, 300'000, 65'000), 0x7fffffffu);
}

TEST(CubicCurve, rises_from_the_reduced_window_to_the_plateau_in_k) {
  for (const std::uint32_t segments : {10u, 100u, 5000u}) {
    const std::uint32_t w_max = segments * kMss, cwnd = cubic_reduced(w_max);
    const double k = std::cbrt((w_max - cwnd) / 1000.0 / 0.4);
    EXPECT_NEAR(cubic_rise_ms(w_max - cwnd, kMss), k * 1000, 1.0);
    EXPECT_NEAR(cubic_window(w_max, -std::int64_t{cubic_rise_ms(w_max - cwnd, kMss)}, kMss), cwnd, kMss);
  }
}

TEST(Cubic, the_window_follows_the_curve_round_by_round) {
  Sender sender;
  sender.lose_at(400);
  const double start = sender.congestion.cwnd() / 1000.0;
  EXPECT_NEAR(start, 280.0, 2.0);
  const double k = std::cbrt((400.0 - start) / 0.4);
  const std::uint32_t begun_ms = sender.now_ms;
  for (int i = 0; i < 120; ++i) {
    sender.round();
    // The target is one round trip ahead, and is reached by the end of the round.
    const double t = (sender.now_ms - begun_ms) / 1000.0;
    ASSERT_NEAR(sender.congestion.cwnd() / 1000.0, curve(400, t, k), 6.0) << "round " << i;
  }
}

TEST(Cubic, a_window_never_grows_by_more_than_a_half_in_a_round_trip) {
  Sender sender;
  sender.lose_at(20);
  sender.now_ms += 1;
  sender.round();
  sender.now_ms += 60'000;  // the curve is far above
  for (int i = 0; i < 20; ++i) {
    const std::uint32_t before = sender.congestion.cwnd();
    sender.round();
    EXPECT_LE(sender.congestion.cwnd(), before + before / 2 + 2 * kMss);
  }
}

TEST(Cubic, over_short_round_trips_it_is_as_fast_as_reno_would_be) {
  Sender sender;
  sender.rtt_ms = 1;
  sender.lose_at(20);
  const std::uint32_t before = sender.congestion.cwnd();
  for (int i = 0; i < 10; ++i) sender.round();
  const double gained = (sender.congestion.cwnd() - before) / 1000.0;
  EXPECT_NEAR(gained, 10 * 9.0 / 17, 1.0) << "alpha segments per round trip until the old window is regained";
  for (int i = 0; i < 60; ++i) sender.round();
  const std::uint32_t later = sender.congestion.cwnd();
  for (int i = 0; i < 10; ++i) sender.round();
  EXPECT_NEAR((sender.congestion.cwnd() - later) / 1000.0, 10.0, 1.5) << "one segment per round trip afterwards";
}

TEST(Cubic, a_loss_keeps_seven_tenths_and_a_second_one_below_makes_room) {
  Sender sender;
  sender.rtt_ms = 250;  // long enough for the curve to be above Reno's estimate
  sender.lose_at(100);
  EXPECT_EQ(sender.congestion.cwnd(), 70'000u);
  sender.congestion.lost(sender.congestion.cwnd(), kMss);  // below the plateau of 100: fast convergence
  sender.congestion.recovered();
  EXPECT_EQ(sender.congestion.cwnd(), 49'000u);
  sender.round();
  const double k = std::cbrt((59.5 - 49) / 0.4);  // 70 * 0.85
  const std::uint32_t begun_ms = sender.now_ms - sender.rtt_ms;
  while (sender.now_ms - begun_ms < k * 1000) sender.round();
  EXPECT_NEAR(sender.congestion.cwnd() / 1000.0, 59.5, 1.5);
}

TEST(Cubic, time_in_which_the_window_was_not_used_does_not_count) {
  Sender used, paused;
  used.lose_at(300);
  paused.lose_at(300);
  for (int i = 0; i < 10; ++i) used.round(), paused.round();
  paused.limited = false;
  for (int i = 0; i < 100; ++i) paused.round();
  paused.limited = true;
  for (int i = 0; i < 10; ++i) used.round(), paused.round();
  EXPECT_NEAR(paused.congestion.cwnd() / 1000.0, used.congestion.cwnd() / 1000.0, 1.0);
}

TEST(Cubic, after_a_timeout_the_curve_begins_on_its_plateau) {
  Sender sender;
  sender.lose_at(200);
  sender.congestion.timed_out(140'000, kMss, true);
  EXPECT_EQ(sender.congestion.cwnd(), kMss);
  EXPECT_EQ(sender.congestion.ssthresh(), 98'000u);
  while (sender.congestion.in_slow_start()) sender.round();
  const double start = sender.congestion.cwnd() / 1000.0;
  const std::uint32_t begun_ms = sender.now_ms;
  for (int i = 0; i < 60; ++i) sender.round();
  const double t = (sender.now_ms - begun_ms) / 1000.0;
  EXPECT_NEAR(sender.congestion.cwnd() / 1000.0, curve(start, t, 0), 8.0);
}

TEST(Reno, a_loss_halves_and_a_round_trip_adds_one_segment) {
  Sender sender{CongestionControl::reno};
  sender.lose_at(100);
  EXPECT_EQ(sender.congestion.cwnd(), 50'000u);
  for (int i = 0; i < 10; ++i) sender.round();
  EXPECT_EQ(sender.congestion.cwnd(), 60'000u);
}

TEST(Idle, the_window_restarts_and_slow_start_leads_back_to_three_quarters_of_it) {
  Sender sender;
  sender.lose_at(400);
  for (int i = 0; i < 80; ++i) sender.round();
  const std::uint32_t before = sender.congestion.cwnd();
  ASSERT_GT(before, 390u * kMss);
  sender.congestion.idled(kMss, sender.limits);
  EXPECT_EQ(sender.congestion.cwnd(), 10 * kMss);
  EXPECT_EQ(sender.congestion.ssthresh(), before - before / 4);
}

/// Nine segments of ten in flight, acknowledged by two and two: twice nine is as far as they prove the window.
TEST(SlowStart, a_window_more_than_half_in_use_grows_to_twice_what_was_in_flight) {
  for (const bool hystart : {false, true}) {
    Sender sender{CongestionControl::cubic, hystart};
    sender.limited = false;
    for (const std::uint32_t left : {9u, 7u, 5u, 3u, 1u}) {
      sender.flight = left * kMss;
      sender.acknowledge(std::min(left, 2u) * kMss);
    }
    EXPECT_EQ(sender.congestion.cwnd(), 18 * kMss);
  }
}

TEST(SlowStart, what_was_in_flight_a_round_trip_ago_proves_nothing) {
  Sender sender;
  sender.limited = false;
  sender.flight = 10 * kMss;
  sender.acknowledge(2 * kMss);
  EXPECT_EQ(sender.congestion.cwnd(), 12 * kMss);
  sender.una += SeqSpan{20 * kMss};
  sender.flight = 2 * kMss;
  sender.acknowledge(2 * kMss);  // the round trip ends with this one
  const std::uint32_t before = sender.congestion.cwnd();
  for (int i = 0; i < 20; ++i) {
    sender.una += SeqSpan{2 * before};
    sender.acknowledge(2 * kMss);
  }
  EXPECT_LE(sender.congestion.cwnd(), before + 2 * kMss);
}

TEST(HyStart, slow_start_ends_after_five_slower_rounds_once_a_queue_builds) {
  Sender sender{CongestionControl::cubic, true};
  sender.rtt_us = 40'000;
  for (int i = 0; i < 4; ++i) sender.round();
  const std::uint32_t clear = sender.congestion.cwnd();
  EXPECT_GE(clear, 100u * kMss) << "doubled each round";
  sender.rtt_us = 46'000;  // more than an eighth above
  int rounds = 0;
  for (; sender.congestion.in_slow_start() && rounds < 20; ++rounds) sender.round();
  EXPECT_GE(rounds, 5);
  EXPECT_LE(rounds, 8);
  EXPECT_LT(sender.congestion.ssthresh(), 0x7fffffffu);
  EXPECT_LT(sender.congestion.cwnd(), clear * 8) << "grew by a quarter per round";
}

TEST(HyStart, a_round_trip_that_falls_again_was_a_false_alarm) {
  Sender sender{CongestionControl::cubic, true};
  sender.rtt_us = 40'000;
  for (int i = 0; i < 3; ++i) sender.round();
  sender.rtt_us = 46'000;
  sender.round();
  sender.round();
  sender.rtt_us = 40'000;
  sender.round();
  const std::uint32_t before = sender.congestion.cwnd();
  sender.round();
  EXPECT_GE(sender.congestion.cwnd(), before * 19 / 10);
  EXPECT_TRUE(sender.congestion.in_slow_start());
}

TEST(HyStart, small_variations_do_not_end_slow_start) {
  Sender sender{CongestionControl::cubic, true};
  for (int i = 0; i < 9; ++i) {
    sender.rtt_us = 20'000 + static_cast<std::uint32_t>(i % 3) * 1500;  // the least threshold is 4 ms
    sender.round();
  }
  EXPECT_TRUE(sender.congestion.in_slow_start());
}

/// One round trip of repair: the head is lost, everything else is reported, each report lets out what is allowed.
TEST(Prr, a_round_trip_of_reports_lets_out_the_reduced_share_evenly) {
  Sender sender;
  while (sender.congestion.cwnd() < 100 * kMss) sender.acknowledge(2 * kMss);
  Congestion congestion = sender.congestion;
  const std::uint32_t flight = 100 * kMss;
  congestion.lost(flight, kMss);
  std::uint32_t pipe = flight - 4 * kMss, sent = 0;  // three reported and one lost
  congestion.repair(3 * kMss, pipe, kMss, false);
  const auto send = [&] {
    while (pipe + kMss <= congestion.cwnd()) {
      congestion.sent(kMss);
      pipe += kMss;
      sent += kMss;
    }
  };
  send();
  for (int report = 0; report < 96; ++report) {
    pipe -= kMss;
    congestion.repair(kMss, pipe, kMss, true);
    const std::uint32_t before = sent;
    send();
    EXPECT_LE(sent - before, 2 * kMss) << "no burst";
    EXPECT_LE(sent, (report + 4) * kMss * 7 / 10 + kMss) << "never ahead of its share";
  }
  EXPECT_NEAR(sent, 70 * kMss, 2 * kMss);
  EXPECT_NEAR(pipe, congestion.ssthresh(), 2 * kMss);
}

TEST(Prr, when_more_was_lost_than_the_reduction_wanted_it_rebuilds_without_a_burst) {
  Sender sender;
  while (sender.congestion.cwnd() < 100 * kMss) sender.acknowledge(2 * kMss);
  Congestion congestion = sender.congestion;
  congestion.lost(100 * kMss, kMss);
  std::uint32_t pipe = 10 * kMss;  // 87 lost
  congestion.repair(3 * kMss, pipe, kMss, false);
  EXPECT_EQ(congestion.cwnd(), pipe + 3 * kMss) << "conservation of packets until repairs succeed";
  congestion.sent(3 * kMss);
  pipe += 3 * kMss;
  for (int i = 0; i < 40; ++i) {
    pipe -= kMss;
    congestion.repair(kMss, pipe, kMss, true);
    const std::uint32_t allowed = congestion.cwnd() - pipe;
    EXPECT_LE(allowed, 2 * kMss);
    congestion.sent(allowed);
    pipe += allowed;
    EXPECT_LE(pipe, congestion.ssthresh());
  }
  EXPECT_GT(pipe, 50 * kMss);
}

}  // namespace
}  // namespace penstock::tcp
