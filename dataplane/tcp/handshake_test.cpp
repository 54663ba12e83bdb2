// R5 (opening), R9, R10, R12 and R16 as far as the SYN decides them.
#include <gtest/gtest.h>

#include "dataplane/tcp/dialogue_test_support.h"
#include "dataplane/tcp/stateless.h"

namespace penstock::tcp {
namespace {

using test::Dialogue;
using test::In;
using test::Offer;
using Lines = std::vector<std::string>;

TEST(Handshake, passive_open_answers_with_the_options_that_the_peer_offered) {
  Dialogue d;
  d.syn({.mss = 1400, .shift = 3, .sack = true, .ts = 77});
  EXPECT_EQ(d.out(), "SA 0+0 ack 1");
  EXPECT_EQ(d.last_options.mss, 1460);
  EXPECT_TRUE(d.last_options.sack_permitted);
  EXPECT_TRUE(d.last_options.has_window_shift);
  EXPECT_EQ(d.last_options.window_shift, 7);
  EXPECT_EQ(d.last_options.ts_echo, 77u);
  EXPECT_EQ(d.last.window, 65535) << "the window of a SYN is never scaled";
}

TEST(Handshake, passive_open_offers_nothing_that_the_peer_did_not) {
  Dialogue d;
  d.syn({.mss = 0});
  EXPECT_EQ(d.out(), "SA 0+0 ack 1");
  EXPECT_FALSE(d.last_options.sack_permitted || d.last_options.has_window_shift || d.last_options.has_timestamps);
  d.in({});
  d.write(2000);
  EXPECT_EQ(d.out(), "A 1+536 ack 1") << "without an MSS option it is 536";
}

TEST(Handshake, ipv6_uses_its_own_sizes) {
  Dialogue d{{}, false};
  d.syn({.mss = 0});
  EXPECT_EQ(d.out(), "SA 0+0 ack 1");
  EXPECT_EQ(d.last_options.mss, 1440);
  d.in({});
  d.write(2000);
  EXPECT_EQ(d.out(), "A 1+1220 ack 1");
}

TEST(Handshake, data_written_before_the_acknowledgement_waits_for_it) {
  Dialogue d;
  d.syn();
  d.write("hello");
  EXPECT_EQ(d.all(), "SA 0+0 ack 1");
  d.in({});
  EXPECT_EQ(d.all(), "PA 1+5 ack 1");
}

TEST(Handshake, active_open_completes_and_acknowledges_at_once) {
  Dialogue d;
  d.connect();
  EXPECT_EQ(d.out(), "S 0+0");
  d.in({.flags = "SA", .seq = 0, .ack = 1});
  EXPECT_TRUE(d.happened.has(Events::kConnected));
  EXPECT_EQ(d.all(), "A 1+0 ack 1");
}

TEST(Handshake, text_and_fin_that_come_with_the_syn_ack_count) {
  Dialogue d;
  d.connect();
  EXPECT_EQ(d.out(), "S 0+0");
  d.in({.flags = "SFA", .seq = 0, .data = "hello", .ack = 1});
  EXPECT_EQ(d.received, "hello");
  EXPECT_TRUE(d.happened.has(Events::kConnected | Events::kPeerClosed));
  EXPECT_EQ(d.state(), State::close_wait);
  EXPECT_EQ(d.all(), "A 1+0 ack 7");
}

TEST(Handshake, a_wrong_acknowledgement_of_our_syn_is_reset_and_changes_nothing) {
  Dialogue d;
  d.connect();
  EXPECT_EQ(d.out(), "S 0+0");
  EXPECT_TRUE(d.in({.flags = "SA", .seq = 0, .ack = 99}).has(Events::kResetReply));
  EXPECT_EQ(d.state(), State::syn_sent);
  d.in({.flags = "R", .seq = 0, .ack = 0});
  EXPECT_EQ(d.state(), State::syn_sent) << "a reset without a right acknowledgement is not believed";
  d.in({.flags = "RA", .seq = 0, .ack = 1});
  EXPECT_EQ(d.state(), State::closed);
}

TEST(Handshake, simultaneous_open_ends_established) {
  Dialogue d;
  d.connect();
  EXPECT_EQ(d.out(), "S 0+0");
  d.in({.flags = "S", .seq = 0});
  EXPECT_EQ(d.state(), State::syn_received);
  EXPECT_EQ(d.all(), "SA 0+0 ack 1");
  d.in({.flags = "SA", .seq = 0, .ack = 1});
  EXPECT_EQ(d.state(), State::established);
  EXPECT_EQ(d.all(), "A 1+0 ack 1");
}

TEST(Handshake, the_window_of_a_crossing_syn_ack_is_not_scaled_either) {
  Dialogue d;
  d.connect();
  d.out();
  SegmentIn syn;
  syn.seq = SeqNum{Dialogue::kPeerIss};
  syn.flags = kTcpSyn;
  syn.window = 7680;
  syn.options.has_window_shift = true;
  syn.options.window_shift = 7;
  static_cast<void>(d.engine.receive(d.ep, syn, d.now, d));
  d.all();
  d.in({.flags = "SA", .seq = 0, .ack = 1, .window = 7680});
  EXPECT_EQ(d.ep.send_window.octets(), 7680u);
}

TEST(Handshake, a_repeated_syn_is_answered_by_repeating_the_syn_ack) {
  Dialogue d;
  d.syn();
  EXPECT_EQ(d.all(), "SA 0+0 ack 1");
  d.in({.flags = "S", .seq = 0});
  EXPECT_EQ(d.all(), "SA 0+0 ack 1");
}

TEST(Handshake, syn_times_out_after_doubling_six_times) {
  Dialogue d;
  d.connect();
  EXPECT_EQ(d.out(), "S 0+0");
  const Lines expected{"+1000: S 0+0",  "+3000: S 0+0",  "+7000: S 0+0",
                       "+15000: S 0+0", "+31000: S 0+0", "+63000: S 0+0"};
  EXPECT_EQ(d.wait(122'999), expected);
  EXPECT_EQ(d.state(), State::syn_sent);
  d.wait(1);
  EXPECT_EQ(d.state(), State::closed) << "the wait is capped at 60 s";
  EXPECT_TRUE(d.happened.has(Events::kTimedOut));
}

TEST(Handshake, repetitions_of_many_that_began_together_are_spread) {
  Limits limits;
  limits.handshake_spread_percent = 50;
  Dialogue d{limits};
  d.connect();
  EXPECT_EQ(d.out(), "S 0+0");
  const Instant began = d.now;
  const auto draw = [&](unsigned retry) {
    return std::chrono::nanoseconds{500'000'000} * ((d.iss >> 8 * retry) & 0xff) / 256;
  };
  ASSERT_NE(draw(0), draw(1)) << "the test needs a sequence number that shows the difference";
  EXPECT_EQ(Engine::deadline(d.ep) - began, std::chrono::seconds{1} + draw(0));
  EXPECT_EQ(d.wait(1500).size(), 1u);
  EXPECT_EQ(Engine::deadline(d.ep) - began - std::chrono::seconds{3} - draw(0) - 2 * draw(1), Duration::zero());
  d.in({.flags = "SA", .seq = 0, .ack = 1});
  EXPECT_EQ(d.out(), "A 1+0 ack 1");
  d.write("x");
  EXPECT_EQ(d.out(), "PA 1+1 ack 1");
  EXPECT_EQ((Engine::deadline(d.ep) - d.now) % std::chrono::milliseconds{200}, Duration::zero())
      << "of handshakes only";
}

TEST(Handshake, our_syn_is_repeated_soon_and_as_long_as_the_application_waits) {
  Limits limits;
  limits.connect_rto_initial = std::chrono::milliseconds{250};
  limits.connect_rto_max = std::chrono::seconds{1};
  limits.connect_retries_max = 0;
  Dialogue d{limits};
  d.connect();
  EXPECT_EQ(d.out(), "S 0+0");
  const Lines soon{"+250: S 0+0", "+750: S 0+0", "+1750: S 0+0", "+2750: S 0+0"};
  EXPECT_EQ(d.wait(3000), soon);
  EXPECT_EQ(d.wait(600'000).size(), 600u) << "more often than a small count can hold";
  EXPECT_EQ(d.state(), State::syn_sent);
  d.in({.flags = "SA", .seq = 0, .ack = 1});
  EXPECT_EQ(d.state(), State::established);
}

TEST(Handshake, a_syn_ack_is_repeated_as_ever_whatever_our_syns_do) {
  Limits limits;
  limits.connect_rto_initial = std::chrono::milliseconds{250};
  limits.connect_retries_max = 0;
  Dialogue d{limits};
  d.syn();
  EXPECT_EQ(d.all(), "SA 0+0 ack 1");
  EXPECT_EQ(d.wait(7000).size(), 3u);
  d.wait(120'000);
  EXPECT_EQ(d.state(), State::closed);
}

TEST(Handshake, limits_that_change_before_the_answer_do_not_change_what_was_offered) {
  Dialogue d;
  d.connect();
  EXPECT_EQ(d.out(), "S 0+0");
  EXPECT_EQ(d.last_options.window_shift, 7);
  Limits other = d.limits;
  other.window_shift = 3;
  other.timestamps = false;
  other.sack = false;
  d.engine.configure(other);
  EXPECT_EQ(d.wait(1000), (std::vector<std::string>{"+1000: S 0+0"}));
  EXPECT_EQ(d.last_options.window_shift, 7);
  EXPECT_TRUE(d.last_options.has_timestamps);
  SegmentIn answer;
  answer.seq = SeqNum{Dialogue::kPeerIss};
  answer.ack = d.ep.queue.nxt();
  answer.flags = kTcpSyn | kTcpAck;
  answer.window = 65535;
  answer.options.has_timestamps = answer.options.sack_permitted = answer.options.has_window_shift = true;
  answer.options.ts_value = 1;
  static_cast<void>(d.engine.receive(d.ep, answer, d.now, d));
  EXPECT_EQ(d.out(), "A 1+0 ack 1");
  EXPECT_TRUE(d.last_options.has_timestamps);
  EXPECT_TRUE(d.ep.sack);
  EXPECT_EQ(d.ep.receive_window.shift(), 7);
}

TEST(Handshake, initial_window_is_ten_segments) {
  Dialogue d;
  d.establish();
  d.write(30000);
  std::size_t segments = 0;
  while (d.out() != "nothing") ++segments;
  EXPECT_EQ(segments, 10u);
}

TEST(Handshake, one_lost_syn_keeps_the_initial_window_and_two_shrink_it_to_one_segment) {
  for (const int losses : {1, 2}) {
    Dialogue d;
    d.connect();
    EXPECT_EQ(d.out(), "S 0+0");
    d.wait(losses == 1 ? 1000 : 3000);
    d.in({.flags = "SA", .seq = 0, .ack = 1});
    d.write(10000);
    std::size_t data = 0;
    for (std::string one = d.out(); one != "nothing"; one = d.out()) data += d.last.payload.size() > 0 ? 1 : 0;
    // The SYN-ACK carried no MSS option: 536 octets a segment.
    EXPECT_EQ(data, losses == 1 ? 10u : 1u);
  }
}

TEST(Handshake, first_data_timeout_is_three_seconds_when_the_syn_was_repeated) {
  Dialogue d;
  d.connect();
  EXPECT_EQ(d.out(), "S 0+0");
  d.wait(1000);
  d.in({.flags = "SA", .seq = 0, .ack = 1});
  d.write("x");
  EXPECT_EQ(d.all(), "PA 1+1 ack 1");
  EXPECT_EQ(d.wait(3000), (Lines{"+3000: PA 1+1 ack 1"}));
}

TEST(Stateless, a_stray_segment_gets_a_reset_that_its_sender_accepts) {
  SegmentIn segment;
  segment.seq = SeqNum{100};
  segment.flags = kTcpSyn;
  EXPECT_EQ(reset_for(segment)->ack, SeqNum{101});
  EXPECT_EQ(reset_for(segment)->flags, kTcpRst | kTcpAck);
  segment.flags = kTcpAck;
  segment.ack = SeqNum{777};
  EXPECT_EQ(reset_for(segment)->seq, SeqNum{777});
  EXPECT_EQ(reset_for(segment)->flags, kTcpRst);
  segment.flags = kTcpRst;
  EXPECT_FALSE(reset_for(segment).has_value());
}

TEST(Stateless, a_listener_drops_data_that_is_ahead_of_its_syn) {
  SegmentIn segment;
  segment.seq = SeqNum{100};
  segment.flags = kTcpPsh;
  EXPECT_FALSE(listener_reset_for(segment).has_value());
  segment.flags = kTcpAck;
  segment.ack = SeqNum{777};
  EXPECT_EQ(listener_reset_for(segment)->seq, SeqNum{777});
  segment.flags = kTcpAck | kTcpRst;
  EXPECT_FALSE(listener_reset_for(segment).has_value());
}

}  // namespace
}  // namespace penstock::tcp
