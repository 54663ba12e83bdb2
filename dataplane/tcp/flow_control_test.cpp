// R8, R9, R15, R16: windows, probes, scaling, silly windows, segment sizes.
#include <gtest/gtest.h>

#include "dataplane/tcp/dialogue_test_support.h"

namespace penstock::tcp {
namespace {

using test::Dialogue;
using test::In;
using Lines = std::vector<std::string>;

TEST(Persist, a_closed_window_is_probed_with_back_off_for_as_long_as_the_peer_answers) {
  Dialogue d;
  d.establish({.mss = 1000, .window = 1000});
  d.write(2000);
  EXPECT_EQ(d.all(), "A 1+1000 ack 1");
  d.in({.ack = 1001, .window = 0});
  EXPECT_EQ(d.all(), "nothing");
  EXPECT_EQ(d.wait(1400), (Lines{"+200: A 1000+0 ack 1", "+600: A 1000+0 ack 1", "+1400: A 1000+0 ack 1"}));
  for (int i = 0; i < 100; ++i) {
    d.in({.ack = 1001, .window = 0});
    d.wait(60'000);
  }
  EXPECT_EQ(d.state(), State::established);
  d.in({.ack = 1001, .window = 5000});
  EXPECT_EQ(d.all(), "PA 1001+1000 ack 1");
}

TEST(Persist, a_peer_that_answers_no_probe_is_given_up) {
  Dialogue d;
  d.establish({.mss = 1000, .window = 1000});
  d.write(2000);
  d.all();
  d.in({.ack = 1001, .window = 0});
  d.all();
  EXPECT_EQ(d.wait(3'600'000).size(), 15u);
  EXPECT_TRUE(d.happened.has(Events::kTimedOut));
}

TEST(Persist, a_window_taken_back_below_what_is_in_flight_does_not_end_the_connection) {
  Dialogue d;
  d.establish({.mss = 1000, .window = 5000});
  d.write(4000);
  d.all();
  d.in({.ack = 1001, .window = 0});
  for (int i = 0; i < 60; ++i) {
    d.wait(60'000);
    d.in({.ack = 1001, .window = 0});
    d.all();
  }
  EXPECT_EQ(d.state(), State::established);
  EXPECT_EQ(d.ep.queue.una().value() - d.iss, 1001u);
}

TEST(SillyWindow, a_small_window_is_not_filled_with_small_segments_until_the_timer_overrides) {
  Dialogue d;
  d.establish({.mss = 1000, .window = 4000});
  d.write(8000);
  d.all();
  d.in({.ack = 4001, .window = 100});
  EXPECT_EQ(d.all(), "nothing");
  EXPECT_EQ(d.wait(200), (Lines{"+200: A 4001+100 ack 1"}));
}

TEST(SillyWindow, the_window_is_offered_again_only_in_steps_worth_a_segment) {
  Limits limits;
  limits.receive_budget_octets = 10000;
  Dialogue d{limits};
  d.auto_consume = false;
  d.establish();
  for (std::uint32_t seq = 1; seq < 10000; seq += 1000) d.in({.seq = seq, .data = std::string(1000, 'a')});
  d.all();
  EXPECT_EQ(d.last.window, 0);
  for (int i = 0; i < 2919; ++i) {
    d.engine.consume(d.ep, 1);
    ASSERT_EQ(d.all(), "nothing") << i;
  }
  d.engine.consume(d.ep, 1);
  EXPECT_EQ(d.all(), "A 1+0 ack 10001");
  EXPECT_EQ(d.last.window, 2920);
}

TEST(SillyWindow, a_lost_window_update_is_repaired_by_the_answer_to_a_probe) {
  Limits limits;
  limits.receive_budget_octets = 2000;
  Dialogue d{limits};
  d.auto_consume = false;
  d.establish();
  d.in({.seq = 1, .data = std::string(2000, 'a')});
  d.all();
  d.engine.consume(d.ep, 2000);
  EXPECT_EQ(d.all(), "A 1+0 ack 2001") << "this one is lost";
  d.in({.seq = 2000});  // the peer's probe: one before the next number
  EXPECT_EQ(d.all(), "A 1+0 ack 2001");
  EXPECT_EQ(d.last.window, 2000);
  d.in({.seq = 2001, .data = "a"});  // or one octet of data
  EXPECT_EQ(d.received.size(), 2001u);
}

TEST(Nagle, off_by_default_and_holds_a_small_segment_when_on) {
  Limits limits;
  limits.nagle = true;
  Dialogue on{limits}, off;
  for (Dialogue* d : {&on, &off}) {
    d->establish();
    d->write("a");
    EXPECT_EQ(d->all(), "PA 1+1 ack 1");
    d->write("b");
  }
  EXPECT_EQ(off.all(), "PA 2+1 ack 1");
  EXPECT_EQ(on.all(), "nothing");
  on.write("c");
  on.in({.ack = 2});
  EXPECT_EQ(on.all(), "PA 2+2 ack 1");
}

TEST(Scaling, applies_to_every_segment_but_the_syn) {
  Dialogue d;
  d.syn({.shift = 14, .window = 65535});
  d.out();
  EXPECT_EQ(d.ep.send_window.octets(), 65535u);
  d.in({.window = 65535});
  EXPECT_EQ(d.ep.send_window.octets(), 65535u << 14);
  d.in({.seq = 1, .data = std::string(3000, 'x')});
  d.all();
  EXPECT_EQ(d.last.window, (256 * 1024) >> 7);
}

TEST(Scaling, is_off_when_the_peer_does_not_offer_it) {
  Dialogue d;
  d.establish({.window = 1000});
  EXPECT_EQ(d.ep.send_window.octets(), 1000u);
  d.in({.seq = 1, .data = std::string(3000, 'x')});
  d.all();
  EXPECT_EQ(d.last.window, 65535);
}

TEST(Scaling, rounding_never_takes_back_what_was_promised) {
  ReceiveWindow window;
  window.open(SeqNum{0}, 10);
  EXPECT_EQ(window.offer(SeqNum{0}, 10000, 1000), 9);
  EXPECT_EQ(window.edge(), SeqNum{9216});
  window.delivered(1);
  EXPECT_EQ(window.offer(SeqNum{1}, 10000, 1000), 8);
  EXPECT_EQ(window.edge(), SeqNum{9216}) << "less is told, but all of it is still taken";
}

TEST(WindowLimit, bounds_what_is_under_way_not_what_is_held) {
  ReceiveWindow window;
  window.open(SeqNum{0}, 0);
  window.set_limit(2000);
  EXPECT_EQ(window.offer(SeqNum{0}, 5000, 1000), 2000);
  window.delivered(2000);
  EXPECT_EQ(window.offer(SeqNum{2000}, 5000, 1000), 2000) << "nothing was consumed, but nothing is under way";
  window.delivered(2000);
  EXPECT_EQ(window.offer(SeqNum{4000}, 5000, 1000), 1000) << "now the budget is what binds";
  window.consumed(4000);
  EXPECT_TRUE(window.update_due(SeqNum{4000}, 5000, 1000));
  window.set_limit(1000);
  EXPECT_EQ(window.offer(SeqNum{4000}, 5000, 1000), 1000);
}

TEST(WindowLimit, what_was_promised_stays_promised) {
  ReceiveWindow window;
  window.open(SeqNum{0}, 0);
  EXPECT_EQ(window.offer(SeqNum{0}, 8000, 1000), 8000);
  window.set_limit(2000);
  window.delivered(1000);
  EXPECT_EQ(window.offer(SeqNum{1000}, 8000, 1000), 7000);
  EXPECT_EQ(window.edge(), SeqNum{8000});
  EXPECT_EQ(window.most(8000), 2000u);
}

TEST(WindowLimit, a_syn_offers_no_more) {
  Dialogue d;
  ASSERT_TRUE(d.engine.connect(d.ep, d.key, 1500, d.now, 14480));
  SegmentOut syn;
  ASSERT_TRUE(d.engine.transmit(d.ep, d.now, syn));
  EXPECT_EQ(syn.window, 14480);
}

TEST(SendWindow, an_older_segment_does_not_change_it) {
  SendWindow window;
  window.open(1000, 0, SeqNum{10}, SeqNum{100});
  window.update(2000, SeqNum{20}, SeqNum{100}, false);
  EXPECT_EQ(window.octets(), 2000u);
  window.update(500, SeqNum{15}, SeqNum{100}, false);
  EXPECT_EQ(window.octets(), 2000u);
  window.update(700, SeqNum{15}, SeqNum{110}, true);
  EXPECT_EQ(window.octets(), 700u) << "a new acknowledgement always counts";
}

TEST(PathMtu, a_too_big_message_about_data_in_flight_shrinks_segments_and_resends) {
  Dialogue d;
  d.establish({.mss = 1460});
  d.write(2920);
  EXPECT_EQ(d.all(), "A 1+1460 ack 1; PA 1461+1460 ack 1");
  EXPECT_TRUE(d.engine.path_too_big(d.ep, 1240, SeqNum{d.iss + 1461}));
  EXPECT_EQ(d.all(), "A 1+1200 ack 1; A 1201+260 ack 1; A 1461+1200 ack 1; PA 2661+260 ack 1");
}

TEST(PathMtu, a_too_big_message_about_anything_else_is_ignored) {
  Dialogue d;
  d.establish();
  d.write(100);
  d.all();
  EXPECT_FALSE(d.engine.path_too_big(d.ep, 600, SeqNum{d.iss + 101}));
  EXPECT_FALSE(d.engine.path_too_big(d.ep, 600, SeqNum{d.iss - 5}));
  EXPECT_FALSE(d.engine.path_too_big(d.ep, 9000, SeqNum{d.iss + 1})) << "larger is no news";
}

TEST(PathMtu, absurd_sizes_are_clamped) {
  Dialogue d;
  d.establish({.mss = 1});
  d.write(1000);
  EXPECT_EQ(d.out(), "A 1+88 ack 1");
  EXPECT_TRUE(Dialogue{}.ep.pmtu.mss() == 0);
  Dialogue e;
  e.establish();
  e.write(5000);
  e.all();
  EXPECT_TRUE(e.engine.path_too_big(e.ep, 68, SeqNum{e.iss + 1}));
  EXPECT_EQ(e.ep.pmtu.mss(), kMtuMinV4 - 40);
}

TEST(PathMtu, repeated_timeouts_of_large_segments_try_a_small_size) {
  Dialogue d;
  d.establish({.mss = 1460});
  d.write(1460);
  EXPECT_EQ(d.all(), "PA 1+1460 ack 1");
  const Lines sent = d.wait(1400);
  EXPECT_EQ(sent, (Lines{"+200: PA 1+1460 ack 1", "+600: PA 1+1460 ack 1", "+1400: A 1+536 ack 1"}));
  EXPECT_EQ(d.engine.counters().black_holes, 1u);
}

TEST(PathMtu, full_segments_are_tried_again_when_small_ones_have_worked_for_a_while) {
  Dialogue d;
  d.establish({.mss = 1460});
  d.write(40 * 1460);
  d.all();
  d.wait(1400);
  ASSERT_EQ(d.ep.pmtu.mss(), 536);
  std::uint32_t acked = 1;
  for (int i = 0; i < Pmtu::kTrialAcks; ++i) {
    EXPECT_EQ(d.ep.pmtu.mss(), 536);
    acked += 536;
    d.in({.ack = acked});
    d.all();
  }
  EXPECT_EQ(d.ep.pmtu.mss(), 1460);
  EXPECT_TRUE(d.ep.pmtu.searching());
  d.in({.ack = d.ep.queue.nxt().value() - d.iss});
  EXPECT_FALSE(d.ep.pmtu.searching()) << "a full segment has arrived: it was plain loss";
}

TEST(PathMtu, a_black_hole_is_believed_after_two_more_timeouts) {
  Pmtu pmtu;
  pmtu.open(true, 1500);
  pmtu.peer_offered(1460);
  EXPECT_FALSE(pmtu.timed_out(2, 536));
  EXPECT_TRUE(pmtu.timed_out(3, 536));
  for (int trial = 0; trial < Pmtu::kTrials; ++trial) {
    for (int i = 0; i < Pmtu::kTrialAcks; ++i) pmtu.acknowledged(536, 536);
    EXPECT_EQ(pmtu.mss(), 1460);
    EXPECT_TRUE(pmtu.timed_out(1, 536));
    EXPECT_EQ(pmtu.mss(), 536);
  }
  for (int i = 0; i < 1000; ++i) pmtu.acknowledged(536, 536);
  EXPECT_EQ(pmtu.mss(), 536);
}

TEST(Pools, an_empty_pool_takes_less_and_recovers) {
  Dialogue d;
  d.establish({.mss = 1000, .window = 65535});
  Endpoint other;
  std::vector<Index> held;
  for (Index i = d.pools.entries.acquire(); i != kNoIndex; i = d.pools.entries.acquire()) held.push_back(i);
  EXPECT_EQ(d.engine.write(d.ep, ByteView{}), 0u);
  const std::string text(100, 'x');
  EXPECT_EQ(d.engine.write(d.ep, std::as_bytes(std::span{text})), 0u);
  EXPECT_FALSE(d.engine.connect(other, d.key, 1500, d.now));
  d.in({.seq = 50, .data = "ahead"});
  EXPECT_EQ(d.engine.counters().not_stored, 1u);
  d.in({.seq = 1, .data = "in order is not held"});
  EXPECT_EQ(d.received, "in order is not held");
  d.engine.shutdown(d.ep);
  EXPECT_EQ(d.all(), "FA 1+0 ack 21") << "a FIN always fits";
  for (const Index i : held) d.pools.entries.release(i);
}

}  // namespace
}  // namespace penstock::tcp
