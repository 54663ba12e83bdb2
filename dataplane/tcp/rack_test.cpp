// R13: loss by time, tail probes, and round trips of a few microseconds.
#include "dataplane/tcp/rack.h"

#include <gtest/gtest.h>

#include "dataplane/tcp/dialogue_test_support.h"

namespace penstock::tcp {
namespace {

using test::Dialogue;
using test::In;
using Lines = std::vector<std::string>;

constexpr std::uint32_t kMss = 1000;
const test::Offer kSack{.mss = kMss, .sack = true};

/// A connection that has measured two round trips of `ms` and has 1,000 octets behind it.
void measure(Dialogue& d, std::int64_t ms) {
  d.syn(kSack);
  d.all();
  d.wait(ms);
  d.in({});
  d.write(kMss);
  d.all();
  d.wait(ms);
  d.in({.ack = 1001});
}

TEST(TailProbe, a_lost_tail_is_probed_after_two_round_trips_instead_of_a_timeout) {
  Dialogue d;
  measure(d, 30);
  d.write(3 * kMss);
  EXPECT_EQ(d.all(), "A 1001+1000 ack 1; A 2001+1000 ack 1; PA 3001+1000 ack 1");
  EXPECT_EQ(d.wait(62), (Lines{"+62: PA 3001+1000 ack 1"}));
  EXPECT_EQ(d.engine.counters().tail_probes, 1u);
  EXPECT_EQ(d.wait(199), (Lines{})) << "the timeout starts again at the probe, and there is only one probe";
  EXPECT_EQ(d.engine.counters().timeouts, 0u);
}

TEST(TailProbe, repeats_the_last_segment_of_what_a_device_cut) {
  Dialogue d;
  measure(d, 30);
  d.ep.device_cuts = true;
  ASSERT_FALSE(d.ep.pmtu.full()) << "the peer of these tests takes 1000 octets";
  d.ep.pmtu.peer_offered(1460);
  std::array<std::byte, 4096> memory{};
  const Index block = d.pools.lend({.data = memory.data(), .handle = memory.data(), .octets = 4000});
  ASSERT_TRUE(d.engine.write_block(d.ep, block, 0, 1900));
  d.pools.release_block(block);
  EXPECT_EQ(d.all(), "PA 1001+1900 ack 1");
  const Lines sent = d.wait(62);
  ASSERT_EQ(sent.size(), 1u);
  EXPECT_EQ(sent[0].substr(sent[0].find("PA")), "PA 1441+1460 ack 1");
  d.in({.ack = 2901});
  EXPECT_EQ(audit(d.ep, d.pools), "");
}

TEST(TailProbe, sends_new_data_when_there_is_some) {
  Dialogue d;
  measure(d, 30);
  d.write(15 * kMss);
  d.all();
  const Lines sent = d.wait(62);
  ASSERT_EQ(sent.size(), 1u);
  EXPECT_EQ(sent[0], "+62: A 11001+1000 ack 1");
}

TEST(TailProbe, takes_no_fin_beyond_the_peers_window) {
  for (const std::uint32_t more : {0u, 1u}) {
    Dialogue d;
    measure(d, 30);
    d.in({.ack = 1001, .window = static_cast<std::uint16_t>(11 * kMss + more)});
    d.write(11 * kMss);
    d.engine.shutdown(d.ep);
    d.all();
    const Lines sent = d.wait(62);
    ASSERT_EQ(sent.size(), 1u);
    EXPECT_EQ(sent[0], more == 1 ? "+62: FPA 11001+1000 ack 1" : "+62: A 10001+1000 ack 1");
  }
}

TEST(TailProbe, the_answer_brings_recovery_of_what_was_lost_before_it) {
  Dialogue d;
  measure(d, 30);
  d.write(3 * kMss);
  d.all();
  d.wait(62);
  d.wait(30);
  d.in({.ack = 1001, .sack = {{3001, 4001}}});
  EXPECT_EQ(d.ep.queue.lost(), 2 * kMss) << "both were sent long before the probe";
  EXPECT_EQ(d.all(), "A 1001+1000 ack 1") << "one segment was delivered";
  d.in({.ack = 2001, .sack = {{3001, 4001}}});
  EXPECT_EQ(d.all(), "A 2001+1000 ack 1");
  EXPECT_EQ(d.ep.recovery.phase(), Phase::recovery);
  EXPECT_EQ(d.engine.counters().timeouts, 0u);
}

TEST(TailProbe, a_duplicate_report_says_that_nothing_was_lost) {
  Dialogue d;
  measure(d, 30);
  d.write(2 * kMss);
  d.all();
  d.wait(62);
  const std::uint32_t cwnd = d.ep.congestion.cwnd();
  d.in({.ack = 3001, .sack = {{2001, 3001}}});
  EXPECT_EQ(d.ep.congestion.cwnd(), cwnd);
}

TEST(TailProbe, goes_out_during_recovery_when_a_repetition_was_lost_with_all_that_followed) {
  Dialogue d;
  measure(d, 30);
  d.write(6 * kMss);
  d.all();
  d.wait(30);
  d.in({.ack = 1001, .sack = {{2001, 7001}}});
  EXPECT_EQ(d.all(), "A 1001+1000 ack 1");
  EXPECT_EQ(d.wait(62), (Lines{"+62: A 1001+1000 ack 1"}));
  const std::uint32_t threshold = d.ep.congestion.ssthresh();
  d.in({.ack = 7001});
  EXPECT_EQ(d.engine.counters().timeouts, 0u);
  EXPECT_EQ(d.ep.congestion.cwnd(), threshold) << "one reduction for one loss";
}

TEST(TailProbe, in_recovery_carries_what_is_known_to_be_lost) {
  Dialogue d;
  measure(d, 30);
  d.write(4 * kMss);
  d.all();
  d.wait(30);
  d.in({.ack = 1001, .sack = {{4001, 5001}}});
  d.wait(10);  // the reordering window: three are lost, one is sent again
  EXPECT_EQ(d.ep.queue.unrepaired(), 2 * kMss);
  EXPECT_EQ(d.wait(62), (Lines{"+59: A 2001+1000 ack 1"}));
}

TEST(TailProbe, no_second_one_before_a_round_trip_was_measured) {
  Dialogue d;
  measure(d, 30);
  d.write(3 * kMss);
  d.all();
  d.wait(62);
  EXPECT_EQ(d.engine.counters().tail_probes, 1u);
  d.wait(30);
  d.in({.ack = 4001});  // of what was sent twice, without timestamps: says nothing about the round trip
  d.write(3 * kMss);
  d.all();
  EXPECT_FALSE(d.ep.rack.may_probe());
  d.wait(30);
  d.in({.ack = 5001});
  EXPECT_TRUE(d.ep.rack.may_probe());
}

TEST(Rack, a_segment_overtaken_by_three_others_is_lost_at_once_while_no_reordering_was_seen) {
  Dialogue d;
  measure(d, 30);
  d.write(6 * kMss);
  d.all();
  d.wait(30);
  d.in({.ack = 1001, .sack = {{2001, 5001}}});
  EXPECT_EQ(d.out(), "A 1001+1000 ack 1");
  EXPECT_EQ(d.ep.recovery.phase(), Phase::recovery);
}

TEST(Rack, after_reordering_was_seen_it_waits_a_quarter_of_the_round_trip) {
  Dialogue d;
  measure(d, 40);
  d.write(8 * kMss);
  d.all();
  d.wait(40);
  d.in({.ack = 1001, .sack = {{2001, 3001}}});
  d.in({.ack = 3001});  // the first arrived late: reordering
  EXPECT_EQ(d.all(), "nothing");
  d.in({.ack = 3001, .sack = {{4001, 8001}}});
  EXPECT_EQ(d.all(), "nothing");
  EXPECT_EQ(d.ep.recovery.phase(), Phase::open);
  d.in({.ack = 8001});
  EXPECT_EQ(d.engine.counters().retransmitted, 0u);
}

TEST(Rack, duplicates_widen_the_window_for_sixteen_recoveries) {
  Dialogue d;
  measure(d, 40);
  d.write(3 * kMss);
  d.all();
  d.wait(40);
  d.in({.ack = 1001, .sack = {{2001, 3001}}});
  d.in({.ack = 4001});  // reordering
  std::uint32_t una = 4001;
  const auto window_ms = [&] {
    d.write(3 * kMss);
    d.all();
    d.wait(40);
    d.in({.ack = una, .sack = {{una + kMss, una + 2 * kMss}}});
    const auto wait = d.ep.loss_timer - d.now;
    d.in({.ack = una += 3 * kMss});
    return wait / std::chrono::milliseconds{1};
  };
  EXPECT_EQ(window_ms(), 10);
  d.ep.rack.duplicate_reported(d.ep.queue.una(), d.ep.queue.nxt());
  EXPECT_EQ(window_ms(), 20);
  for (int i = 0; i < 15; ++i) d.ep.rack.recovered();
  EXPECT_EQ(window_ms(), 20);
  d.ep.rack.recovered();
  EXPECT_EQ(window_ms(), 10);
}

TEST(Rack, a_lost_repetition_is_found_without_a_timeout) {
  Dialogue d;
  measure(d, 30);
  d.write(12 * kMss);
  d.all();
  d.wait(30);
  d.in({.ack = 1001, .sack = {{2001, 6001}}});
  EXPECT_EQ(d.out(), "A 1001+1000 ack 1");
  d.wait(1);
  d.in({.ack = 1001, .sack = {{2001, 11001}}});
  const std::string more = d.all();
  EXPECT_EQ(more, "A 11001+1000 ack 1; PA 12001+1000 ack 1") << "sent after the repetition";
  d.wait(30);
  d.in({.ack = 1001, .sack = {{2001, 13001}}});
  EXPECT_EQ(d.out(), "A 1001+1000 ack 1") << "it was sent before what has just arrived";
  EXPECT_EQ(d.engine.counters().timeouts, 0u);
}

TEST(Rack, what_the_timer_finds_lost_while_another_loss_is_repaired_is_sent_at_once) {
  Dialogue d;
  measure(d, 40);
  d.write(3 * kMss);
  d.all();
  d.wait(40);
  d.in({.ack = 1001, .sack = {{2001, 3001}}});
  d.in({.ack = 4001});  // reordering: from now on losses wait for the timer
  d.write(5 * kMss);
  d.all();
  d.wait(40);
  d.in({.ack = 4001, .sack = {{5001, 6001}}});
  EXPECT_EQ(d.wait(10), (Lines{"+10: A 4001+1000 ack 1"}));
  d.in({.ack = 4001, .sack = {{5001, 6001}, {7001, 8001}}});
  EXPECT_EQ(d.all(), "nothing") << "6001 was overtaken just now";
  EXPECT_EQ(d.wait(10), (Lines{"+10: A 6001+1000 ack 1"})) << "it has left the network: its place is free";
  EXPECT_EQ(d.ep.recovery.phase(), Phase::recovery);
}

TEST(Rack, tiny_round_trips_arm_timers_in_the_future_and_recover) {
  Dialogue d;
  d.establish(kSack);
  d.write(kMss);
  d.all();
  d.now += std::chrono::microseconds{5};
  d.in({.ack = 1001});
  d.write(5 * kMss);
  d.all();
  d.now += std::chrono::microseconds{5};
  d.in({.ack = 1001, .sack = {{2001, 3001}}});
  d.all();
  ASSERT_NE(d.ep.loss_timer, kNever);
  EXPECT_GT(d.ep.loss_timer, d.now);
  const Lines sent = d.wait(1);
  ASSERT_FALSE(sent.empty());
  EXPECT_EQ(sent[0], "+0: A 1001+1000 ack 1");
}

}  // namespace
}  // namespace penstock::tcp
