// R17: a flood of SYNs costs nothing, and a cookie's ACK opens a connection.
#include "dataplane/tcp/cookies.h"

#include <gtest/gtest.h>

#include "dataplane/tcp/dialogue_test_support.h"

namespace penstock::tcp {
namespace {

using test::Dialogue;

class Cookies : public ::testing::Test {
 protected:
  SegmentIn syn(bool timestamps) const {
    SegmentIn out;
    out.seq = SeqNum{Dialogue::kPeerIss};
    out.flags = kTcpSyn;
    out.window = 500;
    out.options.has_mss = true;
    out.options.mss = 1410;
    out.options.sack_permitted = out.options.has_window_shift = true;
    out.options.window_shift = 9;
    out.options.has_timestamps = timestamps;
    out.options.ts_value = 1234;
    return out;
  }
  SegmentIn answer_to(const SegmentOut& syn_ack) const {
    SegmentIn out;
    const Options options = parse_options(syn_ack.options.view());
    out.seq = syn_ack.ack;
    out.ack = syn_ack.seq + SeqSpan{1};
    out.flags = kTcpAck;
    out.window = 500;
    out.options.has_timestamps = options.has_timestamps;
    out.options.ts_value = 1240;
    out.options.ts_echo = options.ts_value;
    return out;
  }
  SegmentOut ask(bool timestamps) { return cookie_syn_ack(d.secrets, d.limits, d.key, syn(timestamps), 1500, d.now); }
  std::optional<CookieGrant> check(const SegmentIn& ack, std::int64_t seconds_later) {
    return check_cookie(d.secrets, d.limits, d.key, ack, d.now + std::chrono::seconds{seconds_later});
  }
  Dialogue d;
};

TEST_F(Cookies, the_answer_tells_what_the_syn_offered) {
  const auto grant = check(answer_to(ask(true)), 1);
  ASSERT_TRUE(grant.has_value());
  EXPECT_EQ(grant->mss, 1400) << "the class below 1410";
  EXPECT_TRUE(grant->timestamps && grant->sack && grant->window_scaling);
  EXPECT_EQ(grant->peer_shift, 9);
}

TEST_F(Cookies, without_timestamps_only_the_mss_is_kept_and_nothing_else_is_offered) {
  const SegmentOut syn_ack = ask(false);
  const Options offered = parse_options(syn_ack.options.view());
  EXPECT_FALSE(offered.sack_permitted || offered.has_window_shift || offered.has_timestamps);
  const auto grant = check(answer_to(syn_ack), 1);
  ASSERT_TRUE(grant.has_value());
  EXPECT_FALSE(grant->sack || grant->window_scaling || grant->timestamps);
}

TEST_F(Cookies, the_timestamp_never_runs_ahead_of_the_clock) {
  for (int i = 0; i < 100; ++i) {
    const std::uint32_t clock = milliseconds_of(d.now) + timestamp_offset(d.secrets, d.key);
    const std::uint32_t value = parse_options(ask(true).options.view()).ts_value;
    EXPECT_LE(static_cast<std::int32_t>(value - clock), 0);
    EXPECT_GT(static_cast<std::int32_t>(value - clock), -64);
    d.now += std::chrono::milliseconds{1};
  }
}

TEST_F(Cookies, old_altered_and_foreign_cookies_are_worth_nothing) {
  const SegmentIn good = answer_to(ask(true));
  EXPECT_TRUE(check(good, 63).has_value());
  EXPECT_FALSE(check(good, 129).has_value()) << "two ticks later";
  EXPECT_FALSE(check(good, 32 * 64 + 200).has_value()) << "when the tick's five bits come round";
  for (std::uint32_t bit = 0; bit < 32; ++bit) {
    SegmentIn altered = good;
    altered.ack = SeqNum{((good.ack.value() - 1) ^ (1u << bit)) + 1};
    EXPECT_FALSE(check(altered, 1).has_value()) << bit;
  }
  SegmentIn foreign = good;
  foreign.seq += SeqSpan{1};
  EXPECT_FALSE(check(foreign, 1).has_value());
  d.key.remote_port = Be16::from_host(1);
  EXPECT_FALSE(check(good, 1).has_value());
}

TEST_F(Cookies, an_accepted_one_carries_data_both_ways) {
  SegmentIn ack = answer_to(ask(true));
  const std::string text = "GET";
  ack.payload = std::as_bytes(std::span{text});
  const auto grant = check(ack, 0);
  ASSERT_TRUE(grant && d.engine.accept_cookie(d.ep, d.key, 1500, *grant, ack, d.now));
  const Events events = d.engine.receive(d.ep, ack, d.now, d);
  EXPECT_TRUE(events.has(Events::kConnected));
  EXPECT_EQ(d.state(), State::established);
  EXPECT_EQ(d.received, "GET");
  EXPECT_EQ(d.ep.send_window.octets(), 500u << 9);
  d.iss = d.ep.queue.una().value() - 1;
  d.write("200");
  EXPECT_EQ(d.out(), "PA 1+3 ack 4");
}

TEST_F(Cookies, a_million_syns_leave_no_memory_behind) {
  SegmentIn one = syn(true);
  for (std::uint32_t i = 0; i < 1'000'000; ++i) {
    one.seq = SeqNum{i * 2654435761u};
    d.key.remote_port = Be16::from_host(static_cast<std::uint16_t>(i));
    const SegmentOut answer = cookie_syn_ack(d.secrets, d.limits, d.key, one, 1500, d.now);
    ASSERT_EQ(answer.ack, one.seq + SeqSpan{1});
  }
  EXPECT_EQ(d.pools.entries.in_use() + d.pools.blocks.in_use(), 0u);
}

}  // namespace
}  // namespace penstock::tcp
