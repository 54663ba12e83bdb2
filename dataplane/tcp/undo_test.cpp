// Reductions of the congestion window that turn out needless are taken back.
#include "dataplane/tcp/undo.h"

#include <gtest/gtest.h>

#include "dataplane/tcp/dialogue_test_support.h"

namespace penstock::tcp {
namespace {

using test::Dialogue;

constexpr std::uint32_t kMss = 1000;
const test::Offer kSack{.mss = kMss, .sack = true};

/// Loss by counting, so that no time has to pass.
Limits by_count() {
  Limits limits;
  limits.rack = false;
  return limits;
}

SackBlock range(std::uint32_t from, std::uint32_t to) { return {SeqNum{from}, SeqNum{to}}; }

TEST(Undo, is_due_when_every_repetition_was_reported_as_duplicate) {
  Undo undo;
  undo.begin(SeqNum{1000});
  EXPECT_FALSE(undo.duplicate(range(1000, 2000), kMss)) << "nothing was sent again";
  for (int i = 0; i < 3; ++i) undo.repeated();
  EXPECT_FALSE(undo.duplicate(range(0, 1000), kMss)) << "before the reduction";
  EXPECT_FALSE(undo.duplicate(range(1000, 2000), kMss));
  EXPECT_TRUE(undo.duplicate(range(2000, 4000), kMss)) << "two segments in one report";
  EXPECT_FALSE(undo.duplicate(range(2000, 4000), kMss)) << "once";
}

TEST(Undo, is_over_with_a_loss_that_is_certain) {
  Undo undo;
  undo.begin(SeqNum{1000});
  undo.repeated();
  undo.forget();
  EXPECT_FALSE(undo.duplicate(range(1000, 2000), kMss));
}

/// Ten segments, the first of which is overtaken, sent again and then reported as duplicate.
struct Overtaken {
  Dialogue d{by_count()};
  Overtaken() {
    d.establish(kSack);
    d.write(30 * kMss);
    d.all();
    d.in({.ack = 1, .sack = {{1001, 5001}}});
    EXPECT_EQ(d.out(), "A 1+1000 ack 1");
    d.all();
    EXPECT_EQ(d.ep.recovery.phase(), Phase::recovery);
    d.in({.ack = 10001});
    d.all();
    EXPECT_EQ(d.ep.congestion.cwnd(), 7 * kMss);
  }
};

TEST(Undo, gives_back_window_and_threshold_after_mere_reordering) {
  Overtaken after;
  Dialogue& d = after.d;
  d.in({.ack = 10001, .sack = {{1, 1001}}});
  EXPECT_EQ(d.engine.counters().needless_reductions, 1u);
  EXPECT_GE(d.ep.congestion.cwnd(), 10 * kMss);
  EXPECT_EQ(d.ep.congestion.ssthresh(), 0x7fffffffu) << "slow start had not ended";
  EXPECT_EQ(d.ep.recovery.phase(), Phase::open);
}

TEST(Undo, does_not_happen_for_a_duplicate_from_before) {
  Overtaken after;
  Dialogue& d = after.d;
  d.in({.ack = 12001, .sack = {{13001, 17001}}});  // another loss, and its reduction
  EXPECT_EQ(d.ep.recovery.phase(), Phase::recovery);
  d.all();
  d.in({.ack = 12001, .sack = {{1, 1001}, {13001, 17001}}});
  EXPECT_EQ(d.engine.counters().needless_reductions, 0u);
}

TEST(Undo, ends_recovery_when_the_report_comes_while_the_rest_is_in_flight) {
  Dialogue d{by_count()};
  d.establish(kSack);
  d.write(30 * kMss);
  d.all();
  d.in({.ack = 1, .sack = {{1001, 5001}}});
  d.all();
  d.in({.ack = 5001});
  EXPECT_EQ(d.ep.recovery.phase(), Phase::recovery);
  d.in({.ack = 5001, .sack = {{1, 1001}}});
  EXPECT_EQ(d.ep.recovery.phase(), Phase::open);
  EXPECT_EQ(d.ep.congestion.cwnd(), 10 * kMss);
}

TEST(Undo, of_a_timeout_whose_repetition_had_arrived_before) {
  Dialogue d{by_count()};
  d.establish(kSack);
  d.write(kMss);
  d.all();
  d.wait(200);
  EXPECT_EQ(d.ep.congestion.cwnd(), kMss);
  d.in({.ack = 1001, .sack = {{1, 1001}}});
  EXPECT_EQ(d.engine.counters().needless_reductions, 1u);
  EXPECT_EQ(d.ep.congestion.cwnd(), 10 * kMss);
}

TEST(Undo, also_by_a_duplicate_inside_what_is_held_out_of_order) {
  Dialogue d{by_count()};
  d.establish(kSack);
  d.write(30 * kMss);
  d.all();
  d.in({.ack = 1, .sack = {{2001, 6001}}});
  EXPECT_EQ(d.all(), "A 1+1000 ack 1; A 1001+1000 ack 1; A 10001+1000 ack 1");
  d.in({.ack = 1, .sack = {{1001, 6001}}});
  d.in({.ack = 1, .sack = {{1001, 2001}, {1001, 6001}}});
  EXPECT_EQ(d.engine.counters().needless_reductions, 0u) << "one of two";
  d.in({.ack = 6001});
  d.in({.ack = 6001, .sack = {{1, 1001}}});
  EXPECT_EQ(d.engine.counters().needless_reductions, 1u);
  EXPECT_EQ(d.ep.congestion.cwnd(), 10 * kMss);
}

TEST(Undo, opens_the_window_by_no_more_than_an_initial_window_at_once) {
  Congestion congestion;
  Limits limits;
  congestion.start(kMss, limits, false);
  for (int i = 0; i < 90; ++i)
    congestion.acked({.octets = kMss, .mss = kMss, .was_limited = true, .una = SeqNum{}, .nxt = SeqNum{}});
  ASSERT_EQ(congestion.cwnd(), 100 * kMss);
  congestion.timed_out(100 * kMss, kMss, true);
  congestion.undo(3 * kMss, kMss);
  EXPECT_EQ(congestion.cwnd(), 13 * kMss);
  EXPECT_TRUE(congestion.in_slow_start()) << "and regains the rest quickly";
}

}  // namespace
}  // namespace penstock::tcp
