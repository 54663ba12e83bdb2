// Which endpoint gets how many requests: slow starts, sessions that stay, on legs that are not TCP's.
#include <gtest/gtest.h>

#include "l7/proxy/setting_test_support.h"
#include "l7/proxy/slow_start.h"

namespace penstock::proxy {
namespace {

TEST(SlowStart, the_share_grows_as_the_formula_says) {
  const control::SlowStartRecord even{10'000, 100, 10};
  EXPECT_EQ(slow_start_share(even, 0), kShareOne / 10) << "never below the lowest";
  EXPECT_EQ(slow_start_share(even, 5'000), kShareOne / 2);
  EXPECT_EQ(slow_start_share(even, 10'000), kShareOne);
  EXPECT_EQ(slow_start_share(even, 0x7fffffff), kShareOne);
  const control::SlowStartRecord eager{10'000, 200, 0}, shy{10'000, 50, 0};
  EXPECT_EQ(slow_start_share(eager, 2'500), kShareOne / 2) << "(1/4)^(1/2)";
  EXPECT_EQ(slow_start_share(shy, 5'000), kShareOne / 4) << "(1/2)^2";
  EXPECT_EQ(slow_start_share(shy, 1), 1u) << "above 0";
  for (std::uint32_t ms = 0; ms < 10'000; ms += 100) {
    EXPECT_LE(slow_start_share(shy, ms), slow_start_share(even, ms));
    EXPECT_LE(slow_start_share(eager, ms), slow_start_share(eager, ms + 100));
  }
}

using test::Setting;

TEST(SlowStart, an_endpoint_that_becomes_healthy_is_warmed_up) {
  for (const auto lb : {control::LbPolicy::round_robin, control::LbPolicy::least_request}) {
    Setting s;
    s.policy.lb_policy = lb;
    s.policy.slow_start = {10'000, 100, 10};
    s.endpoints[3].health = control::EndpointHealth::unhealthy;
    s.proxy.begin_round(s.now);
    s.configure();
    s.wait(20'000);
    auto got = s.spread(300);
    EXPECT_EQ(got[4], 0u);
    s.endpoints[3].health = control::EndpointHealth::healthy;
    s.configure();
    got = s.spread(1000);
    EXPECT_NEAR(got[4], 1000 * 0.1 / 3.1, 20) << "a tenth of its weight";
    s.wait(5'000);
    got = s.spread(1000);
    EXPECT_NEAR(got[4], 1000 * 0.5 / 3.5, 40) << "half of it";
    s.configure();
    s.wait(5'000);
    got = s.spread(1000);
    EXPECT_NEAR(got[4], 250, 50) << "its share; a reload changes nothing";
    EXPECT_NEAR(got[1], 250, 50);
  }
}

TEST(SlowStart, an_endpoint_that_is_added_or_comes_back_from_an_ejection_is_warmed_up) {
  Setting s;
  s.policy.slow_start = {10'000, 100, 10};
  s.policy.outlier = {1, 0, 1'000, 1'000, 50};
  s.config.clusters[0].endpoints = std::span{s.endpoints}.first(3);
  s.proxy.begin_round(s.now);
  s.configure();
  s.wait(20'000);
  s.config.clusters[0].endpoints = s.endpoints;
  s.configure();
  EXPECT_NEAR(s.spread(1000)[4], 1000 * 0.1 / 3.1, 20) << "it is new";
  s.wait(20'000);
  EXPECT_NEAR(s.spread(1000)[4], 250, 5);
  const std::uint32_t ejected = s.ask("503 Service Unavailable");
  EXPECT_EQ(s.spread(100)[ejected], 0u);
  s.wait(1'000);
  EXPECT_NEAR(s.spread(1000)[ejected], 1000 * 0.1 / 3.1, 20) << "it is back";
}

TEST(SlowStart, an_endpoint_that_comes_back_from_weight_0_or_from_nowhere_is_warmed_up_again) {
  for (const auto lb : {control::LbPolicy::round_robin, control::LbPolicy::least_request})
    for (const bool removed : {false, true}) {
      Setting s;
      s.policy.lb_policy = lb;
      s.policy.slow_start = {10'000, 100, 10};
      s.proxy.begin_round(s.now);
      s.configure();
      s.wait(20'000);
      if (removed)
        s.config.clusters[0].endpoints = std::span{s.endpoints}.first(3);
      else
        s.endpoints[3].weight = 0;
      s.configure();
      EXPECT_EQ(s.spread(300)[4], 0u);
      s.wait(20'000);
      s.config.clusters[0].endpoints = s.endpoints;
      s.endpoints[3].weight = 1;
      s.configure();
      EXPECT_NEAR(s.spread(1000)[4], 1000 * 0.1 / 3.1, 20) << "as if it were new";
      s.wait(5'000);
      s.configure();
      EXPECT_NEAR(s.spread(1000)[4], 1000 * 0.5 / 3.5, 40) << "a reload does not begin it anew";
      s.wait(5'000);
      EXPECT_NEAR(s.spread(1000)[4], 250, 50);
    }
}

TEST(SlowStart, an_endpoint_is_usable_when_it_is_healthy_and_has_a_weight) {
  Setting s;
  s.policy.slow_start = {10'000, 100, 10};
  s.proxy.begin_round(s.now);
  s.configure();
  s.wait(20'000);
  s.endpoints[3].weight = 0;
  s.endpoints[3].health = control::EndpointHealth::unhealthy;
  s.configure();
  s.endpoints[3].weight = 1;
  s.configure();
  s.wait(20'000);
  EXPECT_EQ(s.spread(100)[4], 0u) << "still unhealthy";
  s.endpoints[3].health = control::EndpointHealth::healthy;
  s.configure();
  EXPECT_NEAR(s.spread(1000)[4], 1000 * 0.1 / 3.1, 20);
}

TEST(SlowStart, one_that_is_switched_on_later_warms_nobody_up_who_was_there) {
  Setting s;
  s.proxy.begin_round(s.now);
  s.configure();
  s.policy.slow_start = {10'000, 100, 10};
  s.endpoints[3].weight = 0;
  s.configure();
  s.endpoints[3].weight = 1;
  s.configure();
  const auto got = s.spread(1000);
  EXPECT_NEAR(got[4], 1000 * 0.1 / 3.1, 20);
  EXPECT_NEAR(got[1], 1000 / 3.1, 20);
}

TEST(SlowStart, endpoints_that_begin_together_share_evenly) {
  Setting s;
  s.policy.slow_start = {10'000, 100, 10};
  s.proxy.begin_round(s.now);
  s.configure();
  s.wait(100);
  for (const std::uint32_t got : {s.spread(400)[1], s.spread(400)[4]}) EXPECT_NEAR(got, 100, 2);
}

TEST(Outlier, one_that_is_removed_while_it_is_left_out_does_not_use_up_the_share_of_others) {
  Setting s;
  s.policy.outlier = {1, 0, 60'000, 60'000, 25};  // one of four
  s.proxy.begin_round(s.now);
  s.configure();
  const std::uint32_t first = s.ask("503 Service Unavailable");
  ASSERT_EQ(first, 1u);
  EXPECT_EQ(s.spread(30)[first], 0u);
  s.ask("503 Service Unavailable");
  EXPECT_EQ(s.counters->http.ejected.read(), 1u) << "no more than one at a time";
  s.configure();
  EXPECT_EQ(s.counters->http.ejected.read(), 1u) << "a reload does not end it";
  EXPECT_EQ(s.spread(30)[first], 0u);
  s.endpoints[0].weight = 0;
  s.configure();
  s.config.clusters[0].endpoints = std::span{s.endpoints}.subspan(1);
  s.configure();
  EXPECT_EQ(s.counters->http.ejected.read(), 0u);
  const std::uint32_t second = s.ask("503 Service Unavailable");
  EXPECT_EQ(s.counters->http.ejected.read(), 1u);
  EXPECT_EQ(s.spread(30)[second], 0u) << "now it is its turn";
  s.config.clusters[0].endpoints = s.endpoints;
  s.endpoints[0].weight = 1;
  s.configure();
  EXPECT_GT(s.spread(30)[first], 0u) << "it begins anew";
  EXPECT_EQ(s.spread(30)[second], 0u);
}

TEST(Outlier, whose_time_is_over_does_not_wait_for_a_request_to_make_room) {
  Setting s;
  s.policy.outlier = {1, 0, 1'000, 1'000, 25};
  s.policy.lb_policy =
      control::LbPolicy::ring_hash;  // one point: everything goes to one endpoint, others are not asked
  std::array<control::RingPoint, 1> ring{{{1, 0}}};
  s.config.clusters[0].ring = ring;
  s.proxy.begin_round(s.now);
  s.configure();
  ASSERT_EQ(s.ask("503 Service Unavailable"), 1u);
  ring[0].endpoint = 1;
  s.wait(2'000);
  ASSERT_EQ(s.ask("503 Service Unavailable"), 2u);
  EXPECT_EQ(s.counters->http.ejected.read(), 1u);
  EXPECT_EQ(s.ask(), 3u) << "the second is out";
}

TEST(Outlier, who_fails_after_being_removed_uses_up_no_share) {
  Setting s;
  s.policy.outlier = {1, 0, 60'000, 60'000, 25};  // one of four
  s.proxy.begin_round(s.now);
  s.configure();
  s.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  const auto upstream = static_cast<Leg>(s.legs.legs.size() - 1);
  ASSERT_EQ(s.legs.dialled.back(), 1u);
  s.tell(upstream, {.connected = true});
  s.config.clusters[0].endpoints = std::span{s.endpoints}.subspan(1);
  s.configure();
  s.tell(upstream, {.lost = true});
  EXPECT_EQ(s.counters->http.ejected.read(), 0u);
  const std::uint32_t second = s.ask("503 Service Unavailable");
  EXPECT_EQ(s.counters->http.ejected.read(), 1u);
  EXPECT_EQ(s.spread(30)[second], 0u);
}

TEST(Outlier, tunnels_say_nothing_when_they_end) {
  Setting s;
  s.policy.outlier = {1, 0, 60'000, 60'000, 100};
  s.proxy.begin_round(s.now);
  s.configure();
  for (int n = 0; n < 4; ++n) {
    const Leg client = s.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n");
    const auto upstream = static_cast<Leg>(s.legs.legs.size() - 1);
    s.legs.at(upstream).in = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
    s.tell(upstream, {.connected = true, .received = true});
    ASSERT_TRUE(s.legs.at(client).out.starts_with("HTTP/1.1 101 ")) << s.legs.at(client).out;
    s.tell(upstream, {.lost = true});
  }
  EXPECT_EQ(s.counters->http.ejected.read(), 0u);
  std::uint64_t answers = 0, failures = 0;
  for (const control::HttpEndpointCounters& one : s.counters->http_endpoints)
    answers += one.by_class[0].read(), failures += one.failures.read();
  EXPECT_EQ(answers, 4u);
  EXPECT_EQ(failures, 0u);
}

TEST(Affinity, a_kept_connection_does_not_hide_that_sessions_are_to_stay_now) {
  Setting s;
  const std::string request = "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
                    answer = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
  s.proxy.begin_round(s.now);
  s.configure();
  std::vector<Leg> upstreams;
  for (std::size_t n = 0; n < s.endpoints.size(); ++n) {
    s.send(request);
    upstreams.push_back(static_cast<Leg>(s.legs.legs.size() - 1));
    s.legs.at(upstreams.back()).in = answer;
    s.tell(upstreams.back(), {.connected = true, .received = true});
  }
  s.policy.affinity = {s.text("at"), s.text("/"), 0};
  for (std::size_t i = 0; i < s.endpoints.size(); ++i) s.endpoints[i].affinity = 0xa1 + i;
  s.configure();
  const Leg client = s.send("GET / HTTP/1.1\r\nHost: a\r\nCookie: at=00000000000000a3\r\n\r\n");
  ASSERT_EQ(s.legs.dialled.size(), 4u) << "all connections are kept";
  s.legs.at(upstreams[2]).in = answer;
  s.tell(upstreams[2], {.received = true});
  EXPECT_EQ(s.legs.at(client).out, answer) << "endpoint 3 it is, and the client knows";
  const Leg other = s.send(request);
  for (const Leg upstream : upstreams) s.legs.at(upstream).in = answer;
  for (const Leg upstream : upstreams) s.tell(upstream, {.received = true});
  EXPECT_NE(s.legs.at(other).out.find("\r\nset-cookie: at=00000000000000a"), std::string::npos) << s.legs.at(other).out;
}

}  // namespace
}  // namespace penstock::proxy
