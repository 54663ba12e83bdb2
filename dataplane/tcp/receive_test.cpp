// R1, R4, R6, R10, R14, R22: what arriving segments may do.
#include <gtest/gtest.h>

#include "dataplane/tcp/dialogue_test_support.h"

namespace penstock::tcp {
namespace {

using test::Dialogue;
using test::In;
using Lines = std::vector<std::string>;

TEST(Receive, overlapping_segments_are_delivered_once_and_the_tail_is_kept) {
  Dialogue d;
  d.establish({.sack = true});
  d.in({.seq = 4, .data = "defg"});
  EXPECT_EQ(d.received, "");
  EXPECT_EQ(d.all(), "A 1+0 ack 1 sack 4-8");
  d.in({.seq = 1, .data = "abcdefghij"});
  EXPECT_EQ(d.received, "abcdefghij");
  EXPECT_EQ(d.all(), "A 1+0 ack 11 sack 4-8");  // the part that came twice, below the acknowledgement
}

TEST(Receive, data_in_order_that_covers_held_ranges_reports_the_first_of_them_by_dsack) {
  Dialogue d;
  d.establish({.sack = true});
  d.in({.seq = 11, .data = "0123456789"});
  d.in({.seq = 21, .data = "0123456789"});
  d.in({.seq = 41, .data = "0123456789"});
  d.in({.seq = 71, .data = "0123456789"});
  d.all();
  d.in({.seq = 1, .data = std::string(60, 'x')});  // 1 to 61: 11-31 and 41-51 are here already
  EXPECT_EQ(d.all(), "A 1+0 ack 61 sack 11-31 71-81");
  d.in({.seq = 61, .data = std::string(15, 'y')});  // ends inside a held range
  EXPECT_EQ(d.all(), "A 1+0 ack 81 sack 71-76");
}

TEST(Receive, duplicates_owed_are_forgotten_once_nothing_is_missing) {
  Dialogue d;
  d.establish();
  for (const std::uint32_t seq : {11u, 21u, 31u}) d.in({.seq = seq, .data = "0123456789"});
  d.in({.seq = 1, .data = "0123456789"});  // the same burst: three numbers alike would say that 41 is lost
  EXPECT_EQ(d.all(), "A 1+0 ack 41");
  d.in({.seq = 51, .data = "0123456789"});
  d.in({.seq = 71, .data = "0123456789"});
  d.in({.seq = 41, .data = "0123456789"});  // 61 is still missing: the peer may count
  EXPECT_EQ(d.all(), "A 1+0 ack 61; A 1+0 ack 61");
}

TEST(Receive, what_is_owed_for_data_in_order_may_wait_for_company_and_nothing_else) {
  constexpr auto kAwhile = std::chrono::milliseconds{1};
  const std::string full(100, 'x');
  Dialogue d;
  d.establish();
  d.in({.seq = 1, .data = full});
  d.in({.seq = 101, .data = full});
  d.engine.postpone_ack(d.ep, d.now + kAwhile);
  EXPECT_EQ(d.all(), "nothing");
  EXPECT_EQ(d.wait(1), Lines{"+1: A 1+0 ack 201"});
  d.in({.seq = 301, .data = full});
  d.engine.postpone_ack(d.ep, d.now + kAwhile);
  EXPECT_EQ(d.all(), "A 1+0 ack 201") << "the duplicate that tells of a gap";
  d.in({.seq = 201, .data = full});
  d.engine.postpone_ack(d.ep, d.now + kAwhile);
  EXPECT_EQ(d.all(), "A 1+0 ack 401") << "the gap is filled (RFC 5681 s4.2)";
  d.in({.flags = "FA", .seq = 401, .data = ""});
  d.engine.postpone_ack(d.ep, d.now + kAwhile);
  EXPECT_EQ(d.all(), "A 1+0 ack 402");
}

TEST(Receive, a_part_of_a_gap_behind_which_only_a_fin_waits_is_acknowledged_at_once) {
  Dialogue d;
  d.establish();
  d.in({.flags = "FA", .seq = 21, .data = ""});
  EXPECT_EQ(d.all(), "A 1+0 ack 1");
  d.in({.seq = 1, .data = "0123456789"});
  EXPECT_EQ(d.all(), "A 1+0 ack 11");
}

TEST(Receive, what_came_first_wins_where_segments_disagree) {
  Dialogue d;
  d.establish();
  d.in({.seq = 3, .data = "CD"});
  d.in({.seq = 1, .data = "ab"});
  EXPECT_EQ(d.received, "abCD");
  d.in({.seq = 1, .data = "XXXXef"});
  EXPECT_EQ(d.received, "abCDef");
}

TEST(Receive, data_beyond_the_window_is_cut_off) {
  Limits limits;
  limits.receive_budget_octets = 2000;
  Dialogue d{limits};
  d.auto_consume = false;
  d.establish();
  d.in({.seq = 1, .data = std::string(1990, 'a')});
  d.in({.seq = 1991, .data = std::string(20, 'b')});
  EXPECT_EQ(d.received.size(), 2000u);
  d.in({.seq = 2001, .data = "c"});
  EXPECT_EQ(d.received.size(), 2000u);
  d.all();
  EXPECT_EQ(d.last.window, 0);
}

TEST(Receive, each_segment_out_of_order_gets_its_own_pure_duplicate_ack_even_with_data_to_send) {
  Dialogue d;
  d.establish({.sack = true});
  d.write("reply");
  d.in({.seq = 11, .data = "0123456789"});
  d.in({.seq = 21, .data = "0123456789"});
  EXPECT_EQ(d.all(), "A 1+0 ack 1 sack 11-31; A 1+0 ack 1 sack 11-31; PA 1+5 ack 1");
}

TEST(Receive, sack_blocks_name_the_latest_range_first) {
  Dialogue d;
  d.establish({.sack = true});
  for (const std::uint32_t seq : {11u, 31u, 51u, 71u, 91u}) d.in({.seq = seq, .data = "0123456789"});
  d.all();
  EXPECT_EQ(d.last_options.sack_count, 4);
  EXPECT_EQ(d.last_options.sack[0].start, SeqNum{Dialogue::kPeerIss + 91});
  EXPECT_EQ(d.last_options.sack[1].start, SeqNum{Dialogue::kPeerIss + 71});
  d.in({.seq = 41, .data = "0123456789"});
  EXPECT_EQ(d.all(), "A 1+0 ack 1 sack 31-61 91-101 71-81 11-21")
      << "the oldest, for which there was no room before, is told again";
}

TEST(Receive, a_repeated_segment_is_reported_by_dsack) {
  Dialogue d;
  d.establish({.sack = true});
  d.in({.seq = 1, .data = "0123456789"});
  d.wait(40);
  d.in({.seq = 1, .data = "0123456789"});
  EXPECT_EQ(d.all(), "A 1+0 ack 11 sack 1-11");
  EXPECT_EQ(d.received.size(), 10u);
}

TEST(Receive, a_fin_inside_what_was_held_before_it_came_ends_the_stream_there) {
  Dialogue d;
  d.establish();
  d.in({.seq = 11, .data = "klmnopqrst"});       // held: 11 to 21
  d.in({.flags = "FA", .seq = 16, .data = ""});  // says that the stream ends at 16
  d.in({.seq = 1, .data = "abcdefghij"});
  EXPECT_EQ(d.received, "abcdefghijklmno");
  EXPECT_TRUE(d.happened.has(Events::kPeerClosed));
  d.in({.seq = 21, .data = "nothing of this"});
  EXPECT_EQ(d.received, "abcdefghijklmno");
  EXPECT_EQ(audit(d.ep, d.pools), "");
}

TEST(Receive, no_sack_is_sent_unless_it_was_negotiated) {
  Dialogue d;
  d.establish();
  d.in({.seq = 5, .data = "x"});
  EXPECT_EQ(d.all(), "A 1+0 ack 1");
}

TEST(DelayedAck, a_single_segment_is_acknowledged_after_forty_milliseconds) {
  Dialogue d;
  d.establish();
  d.in({.seq = 1, .data = std::string(1000, 'a')});
  EXPECT_EQ(d.wait(100), (Lines{"+40: A 1+0 ack 1001"}));
}

TEST(DelayedAck, every_second_full_segment_is_acknowledged_at_once) {
  Dialogue d;
  d.establish();
  d.in({.seq = 1, .data = std::string(1460, 'a')});
  EXPECT_EQ(d.all(), "nothing");
  d.in({.seq = 1461, .data = std::string(1460, 'a')});
  EXPECT_EQ(d.all(), "A 1+0 ack 2921");
}

TEST(DelayedAck, filling_a_gap_is_acknowledged_at_once) {
  Dialogue d;
  d.establish();
  d.in({.seq = 1, .data = std::string(1460, 'a')});
  EXPECT_EQ(d.wait(40).size(), 1u);
  d.in({.seq = 1471, .data = std::string(1460, 'c')});
  EXPECT_EQ(d.all(), "A 1+0 ack 1461");
  d.in({.seq = 1461, .data = std::string(10, 'b')});
  EXPECT_EQ(d.all(), "A 1+0 ack 2931");
}

TEST(DelayedAck, data_that_leaves_carries_the_acknowledgement) {
  Dialogue d;
  d.establish();
  d.in({.seq = 1, .data = "question"});
  d.write("answer");
  EXPECT_EQ(d.all(), "PA 1+6 ack 9");
  EXPECT_EQ(d.wait(100), (Lines{}));
}

TEST(Injection, a_reset_counts_only_at_the_exact_next_number) {
  Dialogue d;
  d.establish();
  d.in({.flags = "R", .seq = 100});
  EXPECT_EQ(d.all(), "A 1+0 ack 1") << "inside the window: challenge";
  d.in({.flags = "R", .seq = 4'000'000});
  EXPECT_EQ(d.all(), "nothing") << "outside: silence";
  EXPECT_EQ(d.state(), State::established);
  d.in({.flags = "R", .seq = 1});
  EXPECT_EQ(d.state(), State::closed);
  EXPECT_TRUE(d.happened.has(Events::kReset));
}

TEST(Injection, a_syn_in_the_window_is_challenged_and_changes_nothing) {
  Dialogue d;
  d.establish();
  d.in({.flags = "S", .seq = 50});
  EXPECT_EQ(d.all(), "A 1+0 ack 1");
  EXPECT_EQ(d.state(), State::established);
}

TEST(Injection, an_acknowledgement_of_what_was_never_sent_is_challenged_and_its_data_dropped) {
  Dialogue d;
  d.establish();
  d.in({.seq = 1, .data = "evil", .ack = 500});
  EXPECT_EQ(d.received, "");
  EXPECT_EQ(d.all(), "A 1+0 ack 1");
}

TEST(Injection, a_far_too_old_acknowledgement_is_refused) {
  Dialogue d;
  d.establish({.window = 1000});
  d.in({.seq = 1, .data = "evil", .ack = 1u - 5000u, .window = 1000});
  EXPECT_EQ(d.received, "");
}

TEST(Injection, challenges_are_limited_per_second_and_connection) {
  Dialogue d;
  d.establish();
  std::size_t sent = 0;
  for (int i = 0; i < 50; ++i) {
    d.in({.flags = "S", .seq = 50});
    if (d.all() != "nothing") ++sent;
  }
  EXPECT_EQ(sent, d.limits.challenge_acks_per_second);
  d.wait(1000);
  d.in({.flags = "S", .seq = 50});
  EXPECT_EQ(d.all(), "A 1+0 ack 1");
}

TEST(Timestamps, an_old_segment_is_rejected_with_an_ack_and_a_reset_is_exempt) {
  Dialogue d;
  d.establish({.ts = 1000});
  d.in({.seq = 1, .data = "new", .ts = 1010});
  EXPECT_EQ(d.received, "new");
  d.in({.seq = 4, .data = "old", .ts = 999});
  EXPECT_EQ(d.received, "new");
  EXPECT_EQ(d.all(), "A 1+0 ack 4");
  EXPECT_EQ(d.engine.counters().paws_rejected, 1u);
  d.in({.flags = "R", .seq = 4});
  EXPECT_EQ(d.state(), State::closed);
}

TEST(Timestamps, a_segment_whose_acknowledgement_is_refused_teaches_none) {
  Dialogue d;
  d.establish({.ts = 100});
  d.in({.flags = "FA", .seq = 1, .ack = 9999, .ts = 200000});
  d.all();  // the challenge
  EXPECT_EQ(d.last_options.ts_echo, 100u);
  d.in({.seq = 1, .data = "fresh", .ts = 101});
  EXPECT_EQ(d.received, "fresh");
}

TEST(Timestamps, the_comparison_holds_across_the_wrap) {
  Dialogue d;
  d.establish({.ts = 0xfffffff0u});
  d.in({.seq = 1, .data = "a", .ts = 0x10});
  EXPECT_EQ(d.received, "a");
  d.in({.seq = 2, .data = "b", .ts = 0xfffffff8u});
  EXPECT_EQ(d.received, "a");
}

TEST(Timestamps, a_segment_without_them_is_dropped_once_negotiated) {
  Dialogue d;
  d.establish({.ts = 5});
  d.in({.seq = 1, .data = "x"});
  EXPECT_EQ(d.received, "");
  EXPECT_EQ(d.all(), "nothing");
  EXPECT_EQ(d.engine.counters().timestamp_missing, 1u);
}

TEST(Timestamps, after_24_idle_days_an_apparently_old_value_is_taken) {
  Dialogue d;
  d.establish({.ts = 3'000'000'000u});
  d.wait(std::int64_t{25} * 24 * 3600 * 1000);
  d.in({.seq = 1, .data = "x", .ts = 5});
  EXPECT_EQ(d.received, "x");
}

TEST(Timestamps, the_echo_is_of_the_oldest_unacknowledged_segment) {
  Dialogue d;
  d.establish({.ts = 100});
  d.in({.seq = 1, .data = std::string(1000, 'a'), .ts = 200});
  d.in({.seq = 1001, .data = std::string(1000, 'a'), .ts = 300});
  d.all();
  EXPECT_EQ(d.last_options.ts_echo, 200u);
}

TEST(Flags, reserved_bits_and_ecn_are_neither_read_nor_echoed_and_urgent_data_stays_in_line) {
  std::array<std::byte, 23> bytes{};
  bytes[12] = std::byte{0x5f};                       // all reserved bits
  bytes[13] = std::byte{0x20 | 0x40 | 0x80 | 0x10};  // URG, ECE, CWR, ACK
  bytes[19] = std::byte{2};                          // urgent pointer
  const Parsed<SegmentIn> segment = read_segment(bytes);
  ASSERT_TRUE(segment.ok());
  EXPECT_EQ(segment->flags, kTcpAck);
  EXPECT_EQ(segment->payload.size(), 3u);
  Dialogue d;
  d.syn();
  EXPECT_EQ(d.out(), "SA 0+0 ack 1");
  EXPECT_EQ(d.last.flags, kTcpSyn | kTcpAck);
}

TEST(Receive, the_next_payload_and_the_acknowledgement_of_what_is_in_flight_are_predicted) {
  Dialogue d;
  d.establish({.sack = true});
  d.in({.seq = 1, .data = "abc"});
  EXPECT_EQ(d.engine.counters().predicted, 1u);
  d.write("request");
  d.all();
  d.in({.seq = 4, .ack = 8});
  EXPECT_EQ(d.engine.counters().predicted, 2u);
  EXPECT_TRUE(d.happened.has(Events::kAcked));
  EXPECT_EQ(d.received, "abc");
}

TEST(Receive, what_could_mean_more_than_it_says_is_not_predicted) {
  Dialogue d;
  d.establish({.sack = true});
  d.in({.seq = 10, .data = "later"});    // ahead of a gap
  d.in({.seq = 1, .data = "filling "});  // fills a part of it while something is held
  d.in({.seq = 15, .ack = 1});           // a bare acknowledgement of nothing new
  d.write("in flight");
  d.all();
  d.in({.seq = 9, .data = "x"});                   // payload while an answer is due
  d.in({.seq = 15, .ack = 10, .sack = {{1, 4}}});  // an acknowledgement with a report
  d.in({.flags = "FA", .seq = 15, .ack = 10});
  EXPECT_EQ(d.engine.counters().predicted, 0u);
  EXPECT_EQ(d.received, "filling xlater");
}

}  // namespace
}  // namespace penstock::tcp
