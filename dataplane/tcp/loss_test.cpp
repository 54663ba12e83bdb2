// R7, R11, R12: retransmission and congestion control; the bugs of others that have names.
#include <gtest/gtest.h>

#include "dataplane/tcp/dialogue_test_support.h"

namespace penstock::tcp {
namespace {

using test::Dialogue;
using test::In;
using Lines = std::vector<std::string>;

constexpr std::uint32_t kMss = 1000;
/// Loss by counting (RFC 6675), without RACK.
Limits by_count() {
  Limits limits;
  limits.rack = false;
  limits.congestion_control = CongestionControl::reno;
  return limits;
}
const test::Offer kSack{.mss = kMss, .sack = true};
const test::Offer kPlain{.mss = kMss};

TEST(Rto, first_timeout_is_one_second_and_doubles) {
  Limits limits;
  limits.rto_min = std::chrono::seconds{1};
  Dialogue d{limits};
  d.establish(kPlain);
  d.write(100);
  EXPECT_EQ(d.all(), "PA 1+100 ack 1");
  EXPECT_EQ(d.wait(16000), (Lines{"+1000: PA 1+100 ack 1", "+3000: PA 1+100 ack 1", "+7000: PA 1+100 ack 1",
                                  "+15000: PA 1+100 ack 1"}));
}

TEST(Rto, floor_is_200_ms) {
  Dialogue d;
  d.establish(kPlain);
  d.write(100);
  d.all();
  EXPECT_EQ(d.wait(300), (Lines{"+200: PA 1+100 ack 1"}));
}

TEST(Rto, slop_is_added_to_each_timeout_but_not_to_the_first_of_a_handshake) {
  Limits limits;
  limits.rto_slop = std::chrono::milliseconds{200};
  Dialogue d{limits};
  d.connect();
  EXPECT_EQ(d.out(), "S 0+0");
  EXPECT_EQ(d.wait(8000), (Lines{"+1000: S 0+0", "+3200: S 0+0", "+7400: S 0+0"}));
}

TEST(Rto, karn_back_off_stays_until_a_segment_that_was_sent_once_is_acknowledged) {
  Dialogue d;
  d.establish(kPlain);
  d.write(100);
  d.all();
  EXPECT_EQ(d.wait(250).size(), 1u);
  d.in({.ack = 101});
  d.write(100);
  EXPECT_EQ(d.all(), "PA 101+100 ack 1");
  EXPECT_EQ(d.wait(399), (Lines{}));
  EXPECT_EQ(d.wait(1), (Lines{"+1: PA 101+100 ack 1"}));
  d.in({.ack = 201});
  d.write(100);
  d.all();
  d.in({.ack = 301});
  d.write(100);
  d.all();
  EXPECT_EQ(d.wait(200), (Lines{"+200: PA 301+100 ack 1"}));
}

TEST(Rto, karn_also_holds_for_what_waited_behind_a_repeated_segment) {
  Dialogue d;
  d.establish(kPlain);
  d.write(2 * kMss);
  d.all();
  EXPECT_EQ(d.wait(250), (Lines{"+200: A 1+1000 ack 1"}));
  d.in({.ack = 2001});  // the second was sent once, but acknowledged late because of the first
  d.write(100);
  d.all();
  EXPECT_EQ(d.wait(399), (Lines{}));
  EXPECT_EQ(d.wait(1).size(), 1u);
}

TEST(Rto, what_is_selectively_acknowledged_and_was_sent_once_is_a_sample) {
  Dialogue d{by_count()};
  d.establish(kSack);
  d.write(10 * kMss);
  d.all();
  d.wait(20);
  d.in({.sack = {{1001, 4001}}});
  EXPECT_NEAR(d.ep.rto.srtt_us(), 2500, 10) << "an eighth of 20 ms; the handshake took no time";
  EXPECT_EQ(d.out(), "A 1+1000 ack 1");
  const std::uint32_t before = d.ep.rto.srtt_us();
  d.wait(100);
  d.in({.ack = 4001});
  EXPECT_EQ(d.ep.rto.srtt_us(), before) << "sent twice (Karn)";
}

TEST(Rto, a_new_acknowledgement_starts_the_timer_again) {
  Dialogue d;
  d.establish(kPlain);
  d.write(2 * kMss);
  d.all();
  EXPECT_EQ(d.wait(150), (Lines{}));
  d.in({.ack = 1001});
  EXPECT_EQ(d.wait(199), (Lines{}));
  EXPECT_EQ(d.wait(1), (Lines{"+1: PA 1001+1000 ack 1"}));
}

TEST(Rto, pure_duplicate_acks_do_not_put_the_timer_off) {
  Limits limits;
  Dialogue d{limits};
  d.establish(kPlain);
  d.write(kMss);
  d.all();
  std::size_t fast_retransmits = 0;
  for (int i = 0; i < 19; ++i) {
    EXPECT_EQ(d.wait(10), (Lines{}));
    d.in({});
    fast_retransmits += d.all() == "nothing" ? 0 : 1;
  }
  EXPECT_EQ(fast_retransmits, 1u);
  EXPECT_EQ(d.wait(10), (Lines{"+10: PA 1+1000 ack 1"})) << "200 ms after sending, storm or not";
}

TEST(Rto, fifteen_timeouts_end_the_connection) {
  Dialogue d;
  d.establish(kPlain);
  d.write(1);
  d.all();
  EXPECT_EQ(d.wait(3'600'000).size(), 15u);
  EXPECT_TRUE(d.happened.has(Events::kTimedOut));
  EXPECT_EQ(d.state(), State::closed);
}

TEST(FastRetransmit, three_duplicates_without_sack_resend_the_head_once) {
  Dialogue d;
  d.establish(kPlain);
  d.write(10 * kMss);
  d.all();
  d.in({});
  d.in({});
  EXPECT_EQ(d.all(), "nothing") << "nothing new to send, no third duplicate yet";
  d.in({});
  EXPECT_EQ(d.all(), "A 1+1000 ack 1");
  d.in({});
  EXPECT_EQ(d.all(), "nothing");
}

TEST(FastRetransmit, newreno_partial_acknowledgement_resends_the_next_hole) {
  Dialogue d;
  d.establish(kPlain);
  d.write(10 * kMss);
  d.all();
  for (int i = 0; i < 3; ++i) d.in({});
  EXPECT_EQ(d.all(), "A 1+1000 ack 1");
  d.in({.ack = 4001});
  EXPECT_EQ(d.all(), "A 4001+1000 ack 1");
  d.in({.ack = 10001});
  EXPECT_EQ(d.ep.recovery.phase(), Phase::open);
  EXPECT_EQ(d.ep.congestion.cwnd(), d.ep.congestion.ssthresh());
}

TEST(LimitedTransmit, each_of_the_first_two_duplicates_lets_one_new_segment_out) {
  Dialogue d;
  d.establish(kPlain);
  d.write(30 * kMss);
  d.all();
  d.in({});
  EXPECT_EQ(d.all(), "A 10001+1000 ack 1");
  d.in({});
  EXPECT_EQ(d.all(), "A 11001+1000 ack 1");
}

TEST(Sack, holes_are_resent_in_order_and_pipe_holds_the_rest_back) {
  Dialogue d{by_count()};
  d.establish(kSack);
  d.write(10 * kMss);
  d.all();
  d.in({.sack = {{2001, 5001}}});
  EXPECT_EQ(d.ep.recovery.phase(), Phase::recovery);
  EXPECT_EQ(d.ep.congestion.cwnd(), 5000u);
  EXPECT_EQ(d.all(), "A 1+1000 ack 1") << "pipe is 5 segments and a forced one";
  EXPECT_EQ(d.ep.recovery.pipe(d.ep.queue), 6000u);
  d.in({.sack = {{2001, 7001}}});
  EXPECT_EQ(d.all(), "A 1001+1000 ack 1");
}

TEST(Sack, then_cumulatively_acknowledged_data_leaves_no_trace_in_pipe) {
  Dialogue d;
  d.establish(kSack);
  d.write(5 * kMss);
  d.all();
  d.in({.sack = {{1001, 3001}}});
  d.in({.ack = 3001});
  EXPECT_EQ(d.ep.recovery.pipe(d.ep.queue), 2000u);
  d.in({.ack = 5001});
  EXPECT_EQ(d.ep.recovery.pipe(d.ep.queue), 0u);
}

TEST(Sack, malformed_blocks_are_counted_and_ignored) {
  Dialogue d;
  d.establish(kSack);
  d.write(5 * kMss);
  d.all();
  d.in({.sack = {{1001, 900001}, {3001, 2001}, {7, 7}}});
  EXPECT_EQ(d.engine.counters().sack_invalid, 3u);
  EXPECT_EQ(d.ep.queue.sacked(), 0u);
  d.in({.sack = {{1501, 1800}}});
  EXPECT_EQ(d.ep.queue.sacked(), 0u) << "part of a segment is not a segment";
}

TEST(Sack, reneging_is_noticed_at_the_timeout_and_everything_is_sent_again) {
  Dialogue d;
  d.establish(kSack);
  d.write(3 * kMss);
  d.all();
  d.in({.sack = {{1001, 3001}}});
  d.in({.ack = 1001});
  EXPECT_EQ(d.ep.queue.sacked(), 2000u) << "head reported, yet not acknowledged";
  d.wait(300);
  EXPECT_EQ(d.ep.queue.sacked(), 0u);
  d.in({.ack = 2001});
  EXPECT_EQ(d.all(), "PA 2001+1000 ack 1");
}

TEST(Timeout, collapses_the_window_and_resends_only_what_was_not_reported) {
  Dialogue d{by_count()};
  d.establish(kSack);
  d.write(6 * kMss);
  d.all();
  d.in({.sack = {{5001, 6001}}});
  EXPECT_EQ(d.wait(200), (Lines{"+200: A 1+1000 ack 1"}));
  EXPECT_EQ(d.ep.congestion.cwnd(), kMss);
  EXPECT_EQ(d.ep.congestion.ssthresh(), 3000u);
  d.in({.ack = 1001, .sack = {{5001, 6001}}});
  EXPECT_EQ(d.all(), "A 1001+1000 ack 1; A 2001+1000 ack 1");
  d.in({.ack = 3001, .sack = {{5001, 6001}}});
  EXPECT_EQ(d.all(), "A 3001+1000 ack 1; A 4001+1000 ack 1") << "5001 was reported";
}

TEST(Timeout, a_needless_repetition_does_not_teach_the_timeout_as_round_trip) {
  Dialogue d;
  d.establish({.mss = kMss, .sack = true, .ts = 1});
  d.write(100);
  d.all();
  const std::uint32_t first_sent = d.last_options.ts_value;
  d.wait(200);
  d.in({.ack = 101, .sack = {{1, 101}}, .ts = 1, .ts_echo = first_sent});
  d.write(100);
  d.all();
  EXPECT_EQ(d.wait(200).size(), 1u) << "still the floor, neither 400 ms nor more";
}

TEST(Congestion, slow_start_grows_by_one_segment_per_acknowledgement_only_while_limited) {
  Dialogue d{by_count()};
  d.establish(kPlain);
  d.write(5 * kMss);
  d.all();
  d.in({.ack = 1001});
  EXPECT_EQ(d.ep.congestion.cwnd(), 10 * kMss) << "half of it was not used: no growth";
  d.write(20 * kMss);
  d.all();
  d.in({.ack = 3001});
  EXPECT_EQ(d.ep.congestion.cwnd(), 11 * kMss);
}

TEST(Congestion, slow_start_may_grow_by_more_segments_per_acknowledgement) {
  Limits limits = by_count();
  limits.slow_start_growth_segments = 2;
  Dialogue d{limits};
  d.establish(kPlain);
  d.write(30 * kMss);
  d.all();
  d.in({.ack = 3001});
  EXPECT_EQ(d.ep.congestion.cwnd(), 12 * kMss);
}

TEST(Congestion, what_sack_had_reported_does_not_let_slow_start_grow_again) {
  Limits limits;
  limits.slow_start_growth_segments = 255;
  Dialogue d{limits};
  d.establish(kSack);
  d.write(30 * kMss);
  d.all();
  d.in({.ack = 1, .sack = {{1001, 3001}}});
  d.all();
  d.in({.ack = 3001});
  EXPECT_EQ(d.ep.congestion.cwnd(), 11 * kMss) << "of three segments two had arrived before";
}

TEST(Congestion, the_restart_after_idle_can_be_turned_off) {
  Limits limits;
  limits.restart_after_idle = false;
  Dialogue d{limits};
  d.establish(kPlain);
  d.write(30 * kMss);
  while (d.all() != "nothing") d.in({.ack = d.ep.queue.nxt().value() - d.iss});
  const std::uint32_t grown = d.ep.congestion.cwnd();
  EXPECT_GT(grown, 10 * kMss);
  d.wait(5000);
  d.write(100);
  d.all();
  EXPECT_EQ(d.ep.congestion.cwnd(), grown);
}

TEST(Congestion, an_idle_connection_restarts_from_the_initial_window) {
  Dialogue d;
  d.establish(kPlain);
  d.write(200 * kMss);
  std::uint32_t acked = 1;
  for (int round = 0; round < 30; ++round) {
    d.all();
    acked += 2 * kMss;
    d.in({.ack = acked});
  }
  d.all();
  d.in({.ack = d.ep.queue.nxt().value() - d.iss});
  while (d.all() != "nothing") d.in({.ack = d.ep.queue.nxt().value() - d.iss});
  EXPECT_GT(d.ep.congestion.cwnd(), 10 * kMss);
  d.wait(5000);
  d.write(100);
  d.all();
  EXPECT_EQ(d.ep.congestion.cwnd(), 10 * kMss);
}

TEST(Congestion, what_is_in_the_network_never_exceeds_the_window_while_acknowledgements_trickle) {
  Dialogue d;
  d.establish(kSack);
  d.write(100 * kMss);
  for (int round = 0; round < 60; ++round) {
    while (d.out() != "nothing") EXPECT_LE(d.ep.recovery.pipe(d.ep.queue), d.ep.congestion.cwnd());
    d.in({.ack = d.ep.queue.una().value() - d.iss + kMss});
  }
}

}  // namespace
}  // namespace penstock::tcp
