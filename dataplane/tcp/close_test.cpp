// R5 and R20: every way to end, and what is left afterwards (R18).
#include "dataplane/tcp/close.h"

#include <gtest/gtest.h>

#include "dataplane/tcp/dialogue_test_support.h"

namespace penstock::tcp {
namespace {

using test::Dialogue;
using test::In;
using Lines = std::vector<std::string>;

TEST(CloseRules, every_pair_is_as_reviewed) {
  constexpr std::array<const char*, kStateCount> kNames{"closed",     "syn_sent",   "syn_received", "established",
                                                        "fin_wait_1", "fin_wait_2", "closing",      "time_wait",
                                                        "close_wait", "last_ack"};
  std::string table;
  for (std::size_t state = 0; state < kStateCount; ++state) {
    table += std::string{kNames[state]} + ":";
    for (const CloseEvent event : {CloseEvent::fin_queued, CloseEvent::fin_received, CloseEvent::fin_acked}) {
      const CloseRule* rule = rule_for(static_cast<State>(state), event);
      table += rule == nullptr ? " -" : std::string{" "} + kNames[static_cast<std::size_t>(rule->to)];
    }
    table += "\n";
  }
  EXPECT_EQ(table,
            "closed: - - -\n"
            "syn_sent: - - -\n"
            "syn_received: - - -\n"
            "established: fin_wait_1 close_wait -\n"
            "fin_wait_1: - closing fin_wait_2\n"
            "fin_wait_2: - time_wait -\n"
            "closing: - - time_wait\n"
            "time_wait: - - -\n"
            "close_wait: last_ack - -\n"
            "last_ack: - - closed\n");
}

TEST(Close, ours_first_goes_through_fin_wait_to_time_wait) {
  Dialogue d;
  d.establish();
  d.engine.shutdown(d.ep);
  EXPECT_EQ(d.all(), "FA 1+0 ack 1");
  EXPECT_EQ(d.state(), State::fin_wait_1);
  d.in({.ack = 2});
  EXPECT_EQ(d.state(), State::fin_wait_2);
  d.in({.flags = "FA", .seq = 1, .ack = 2});
  EXPECT_EQ(d.state(), State::time_wait);
  EXPECT_TRUE(d.happened.has(Events::kTimeWait));
  EXPECT_EQ(d.all(), "A 2+0 ack 2");
}

TEST(Close, theirs_first_goes_through_close_wait_to_closed) {
  Dialogue d;
  d.establish();
  d.in({.flags = "FA", .seq = 1});
  EXPECT_EQ(d.state(), State::close_wait);
  EXPECT_TRUE(d.happened.has(Events::kPeerClosed));
  EXPECT_EQ(d.all(), "A 1+0 ack 2");
  d.write("still here");
  EXPECT_EQ(d.all(), "PA 1+10 ack 2") << "half-closed is still open this way";
  d.engine.shutdown(d.ep);
  EXPECT_EQ(d.all(), "FA 11+0 ack 2");
  d.in({.seq = 2, .ack = 12});
  EXPECT_EQ(d.state(), State::closed);
}

TEST(Close, both_at_once_goes_through_closing) {
  Dialogue d;
  d.establish();
  d.engine.shutdown(d.ep);
  EXPECT_EQ(d.all(), "FA 1+0 ack 1");
  d.in({.flags = "FA", .seq = 1, .ack = 1});
  EXPECT_EQ(d.state(), State::closing);
  EXPECT_EQ(d.all(), "A 2+0 ack 2");
  d.in({.seq = 2, .ack = 2});
  EXPECT_EQ(d.state(), State::time_wait);
}

TEST(Close, an_acknowledgement_and_a_fin_in_one_segment_are_two_events) {
  Dialogue d;
  d.establish();
  d.engine.shutdown(d.ep);
  d.all();
  d.in({.flags = "FA", .seq = 1, .ack = 2});
  EXPECT_EQ(d.state(), State::time_wait);
}

TEST(Close, the_fin_waits_for_the_data_and_rides_on_its_last_segment) {
  Dialogue d;
  d.establish({.mss = 1000, .window = 1500});
  d.write(2000);
  d.engine.shutdown(d.ep);
  EXPECT_EQ(d.all(), "A 1+1000 ack 1");
  d.in({.ack = 1001, .window = 1500});
  EXPECT_EQ(d.all(), "FPA 1001+1000 ack 1");
}

TEST(Close, fin_is_repeated_in_every_state_that_waits_for_its_acknowledgement) {
  for (const bool peer_first : {false, true}) {
    for (const bool crossing : {false, true}) {
      Dialogue d;
      d.establish();
      if (peer_first) d.in({.flags = "FA", .seq = 1});
      d.engine.shutdown(d.ep);
      d.all();
      if (!peer_first && crossing) d.in({.flags = "FA", .seq = 1, .ack = 1});
      d.all();
      const Lines repeated = d.wait(700);
      ASSERT_EQ(repeated.size(), 2u);
      EXPECT_EQ(repeated[0].substr(0, 10), "+200: FA 1");
    }
  }
}

TEST(Close, a_fin_ahead_of_a_gap_is_remembered_and_not_delivered_early) {
  Dialogue d;
  d.establish({.sack = true});
  d.in({.flags = "FA", .seq = 6, .data = "fghij"});
  EXPECT_EQ(d.state(), State::established);
  EXPECT_EQ(d.all(), "A 1+0 ack 1 sack 6-12");
  d.in({.seq = 1, .data = "abcde"});
  EXPECT_EQ(d.received, "abcdefghij");
  EXPECT_EQ(d.state(), State::close_wait);
  EXPECT_EQ(d.all(), "A 1+0 ack 12");
}

TEST(Close, data_behind_the_fin_is_ignored) {
  Dialogue d;
  d.establish();
  d.in({.flags = "FA", .seq = 1, .data = "end"});
  d.in({.seq = 5, .data = "more"});
  EXPECT_EQ(d.received, "end");
}

TEST(Close, data_held_beyond_a_fin_that_comes_later_is_given_up) {
  Dialogue d;
  d.establish();
  d.in({.seq = 5, .data = "beyond"});
  d.in({.flags = "FA", .seq = 1, .data = "end"});
  EXPECT_EQ(d.received, "end");
  EXPECT_EQ(d.state(), State::close_wait);
  EXPECT_EQ(d.pools.blocks.in_use(), 0u);
}

TEST(Close, with_unread_data_it_is_a_reset) {
  Dialogue d;
  d.auto_consume = false;
  d.establish();
  d.in({.seq = 1, .data = "unread"});
  EXPECT_TRUE(d.engine.close(d.ep, d.now).has(Events::kAborted));
  EXPECT_EQ(d.all(), "RA 1+0 ack 7");
  EXPECT_EQ(d.state(), State::closed);
}

TEST(Close, data_for_a_reader_that_has_closed_is_a_reset) {
  Dialogue d;
  d.establish();
  EXPECT_FALSE(d.engine.close(d.ep, d.now).has(Events::kAborted));
  EXPECT_EQ(d.all(), "FA 1+0 ack 1");
  d.in({.seq = 1, .data = "late"});
  EXPECT_EQ(d.all(), "RA 2+0 ack 1");
  EXPECT_EQ(d.received, "");
}

TEST(Close, before_the_handshake_is_complete_the_fin_follows_it) {
  Dialogue d;
  d.syn();
  d.engine.shutdown(d.ep);
  EXPECT_EQ(d.all(), "SA 0+0 ack 1");
  d.in({});
  EXPECT_EQ(d.state(), State::fin_wait_1);
  EXPECT_EQ(d.all(), "FA 1+0 ack 1");
}

TEST(FinWait2, ends_after_its_time_only_when_nobody_reads) {
  for (const bool reads : {true, false}) {
    Dialogue d;
    d.establish();
    if (reads)
      d.engine.shutdown(d.ep);
    else
      d.engine.close(d.ep, d.now);
    d.all();
    d.in({.ack = 2});
    d.wait(29'999);
    EXPECT_EQ(d.state(), State::fin_wait_2);
    d.wait(1);
    EXPECT_EQ(d.state(), reads ? State::fin_wait_2 : State::closed);
  }
}

TEST(Keepalive, probes_a_silent_peer_and_gives_up) {
  Limits limits;
  limits.keepalive_idle = std::chrono::hours{2};
  Dialogue d{limits};
  d.establish();
  EXPECT_EQ(d.wait(7'199'999), (Lines{}));
  EXPECT_EQ(d.wait(1), (Lines{"+1: A 0+0 ack 1"})) << "one before the next number";
  d.in({});
  EXPECT_EQ(d.wait(7'199'999), (Lines{})) << "an answer starts the time again";
  const Lines probes = d.wait(9 * 75'000 + 1);
  EXPECT_EQ(probes.size(), 10u) << "nine probes and a reset";
  EXPECT_EQ(d.state(), State::closed);
  EXPECT_TRUE(d.happened.has(Events::kTimedOut));
}

TEST(UserTimeout, ends_the_connection_at_the_given_age_of_unacknowledged_data) {
  Limits limits;
  limits.user_timeout = std::chrono::seconds{5};
  Dialogue d{limits};
  d.establish();
  d.wait(60'000);
  d.write("x");
  d.all();
  d.wait(4'999);
  EXPECT_EQ(d.state(), State::established);
  d.wait(1);
  EXPECT_EQ(d.state(), State::closed);
}

class TimeWaitRecord : public ::testing::Test {
 protected:
  void SetUp() override {
    d.establish({.ts = 100});
    d.engine.shutdown(d.ep);
    d.all();
    d.in({.flags = "FA", .seq = 1, .ack = 2, .ts = 200});
    record = d.engine.take_time_wait(d.ep, d.now);
    base = SeqNum{Dialogue::kPeerIss};
  }
  SegmentIn segment(std::uint8_t flags, std::uint32_t seq, std::uint32_t ts) const {
    SegmentIn out;
    out.seq = base + SeqSpan{seq};
    out.flags = flags;
    out.options.has_timestamps = true;
    out.options.ts_value = ts;
    return out;
  }
  Dialogue d;
  TimeWait record;
  SeqNum base;
};

TEST_F(TimeWaitRecord, answers_a_repeated_fin_and_starts_its_time_again) {
  const Instant later = d.now + std::chrono::seconds{59};
  EXPECT_EQ(receive(record, segment(kTcpFin | kTcpAck, 1, 200), later), TimeWaitVerdict::reply);
  EXPECT_EQ(time_wait_ack(record, later).ack, base + SeqSpan{2});
  EXPECT_FALSE(record.expired(later + std::chrono::milliseconds{59'999}));
  EXPECT_TRUE(record.expired(later + std::chrono::seconds{60}));
}

TEST_F(TimeWaitRecord, ignores_resets) {
  EXPECT_EQ(receive(record, segment(kTcpRst, 2, 200), d.now), TimeWaitVerdict::ignore);
}

TEST_F(TimeWaitRecord, gives_way_to_a_syn_with_a_later_timestamp_only) {
  EXPECT_EQ(receive(record, segment(kTcpSyn, 500000, 199), d.now), TimeWaitVerdict::reply);
  EXPECT_EQ(receive(record, segment(kTcpSyn, 0, 201), d.now), TimeWaitVerdict::reuse);
}

TEST_F(TimeWaitRecord, without_timestamps_gives_way_to_a_later_sequence_number_only) {
  record.timestamps = 0;
  EXPECT_EQ(receive(record, segment(kTcpSyn, 1, 0), d.now), TimeWaitVerdict::reply);
  EXPECT_EQ(receive(record, segment(kTcpSyn, 3, 0), d.now), TimeWaitVerdict::reuse);
}

TEST_F(TimeWaitRecord, drains_across_the_wrap_of_its_clock) {
  const Instant before_wrap = from_nanoseconds(((std::uint64_t{1} << 32) - 10'000) * 1'000'000);
  record.until = CoarseMs{CoarseMs::of(before_wrap).ms + record.lifetime_ms};
  EXPECT_FALSE(record.expired(before_wrap + std::chrono::seconds{59}));
  EXPECT_TRUE(record.expired(before_wrap + std::chrono::seconds{60}));
}

}  // namespace
}  // namespace penstock::tcp
