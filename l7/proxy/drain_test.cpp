// What a new configuration does to connections that are there: clients' and those to endpoints.
#include <gtest/gtest.h>

#include "l7/proxy/setting_test_support.h"

namespace penstock::proxy {
namespace {

const std::string kGet = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const std::string kKept = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
const std::string kLast = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

struct DrainSetting : test::Setting {
  DrainSetting() {
    http.idle_timeout_ms = 60'000;
    proxy.begin_round(now);
    reload();
  }
  void reload() {
    configure();
    keep_house();
  }
  void keep_house() {
    for (int rounds = 0; proxy.housekeeping(); ++rounds) require(rounds < 10'000, "housekeeping never ends");
  }
  /// Time passes; deadlines are told.
  void pass(std::uint32_t ms) {
    wait(ms);
    for (Leg leg = 0; leg < legs.legs.size(); ++leg) {
      test::FakeLegs::State& state = legs.legs[leg];
      if (!state.alive || !state.timed || CoarseMs::of(now).since(state.deadline) < 0) continue;
      state.timed = false;
      tell(leg, {.expired = true});
    }
  }
  /// The newest connection to an endpoint.
  Leg upstream() {
    for (Leg leg = static_cast<Leg>(legs.legs.size()); leg-- > 0;)
      if (legs.legs[leg].upstream) return leg;
    return kNoLeg;
  }
  void respond(Leg leg, const std::string& octets = kKept) {
    legs.at(leg).in += octets;
    tell(leg, {.connected = true, .received = true});
  }
  /// A client that got an answer, and its connection, and the endpoint's.
  std::pair<Leg, Leg> served() {
    const Leg client = send(kGet), up = upstream();
    respond(up);
    require(legs.at(client).out == kKept, "an answer");
    legs.at(client).out.clear();
    return {client, up};
  }
  void ask_again(Leg client) {
    legs.at(client).in += kGet;
    tell(client, {.received = true});
  }
  [[nodiscard]] std::uint64_t counted(control::ResponseDetail detail) const {
    return counters->http.by_detail[static_cast<std::size_t>(detail)].read();
  }
};

TEST(Drain, an_answer_that_is_awaited_says_that_it_is_the_last) {
  DrainSetting s;
  const Leg client = s.send(kGet), up = s.upstream();
  s.config.listeners[0].draining = true;
  s.reload();
  EXPECT_TRUE(s.legs.at(client).alive);
  s.respond(up);
  EXPECT_EQ(s.legs.legs[client].out, kLast);
  EXPECT_TRUE(s.legs.legs[client].shut && !s.legs.legs[client].reset);
  EXPECT_TRUE(s.legs.at(up).alive) << "the endpoint's connection is kept for others";
}

TEST(Drain, an_idle_connection_is_closed_when_it_stays_idle_and_its_next_request_is_the_last) {
  DrainSetting s;
  const Leg idle = s.served().first;
  s.pass(10'000);
  const Leg fresh = s.served().first, busy = s.served().first;
  s.config.listeners[0].draining = true;
  s.reload();
  s.pass(1);
  EXPECT_FALSE(s.legs.legs[idle].alive) << "it has been idle for long";
  EXPECT_TRUE(s.legs.legs[idle].shut && !s.legs.legs[idle].reset) << "by a FIN";
  s.pass(kDrainIdleMs / 2);
  ASSERT_TRUE(s.legs.legs[fresh].alive && s.legs.legs[busy].alive) << "a request may be under way";
  s.ask_again(busy);
  s.pass(kDrainIdleMs);
  EXPECT_TRUE(s.legs.legs[fresh].shut && !s.legs.legs[fresh].reset);
  s.respond(s.upstream());
  EXPECT_EQ(s.legs.legs[busy].out, kLast);
  EXPECT_TRUE(s.legs.legs[busy].shut && !s.legs.legs[busy].reset);
  EXPECT_EQ(s.proxy.connections(), 0u);
}

TEST(Drain, a_body_under_way_is_finished_and_the_connection_closed_behind_it) {
  DrainSetting s;
  const Leg client = s.send(kGet), up = s.upstream();
  s.respond(up, "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabc");
  s.config.listeners[0].draining = true;
  s.reload();
  s.pass(5'000);
  ASSERT_TRUE(s.legs.legs[client].alive);
  s.respond(up, "def");
  EXPECT_EQ(s.legs.at(client).out.substr(s.legs.at(client).out.size() - 6), "abcdef");
  s.pass(kDrainIdleMs - 1);
  EXPECT_TRUE(s.legs.legs[client].alive) << "its head had gone out: the client may go on with another request";
  s.pass(1);
  EXPECT_TRUE(s.legs.legs[client].shut && !s.legs.legs[client].reset);
}

TEST(Drain, a_listener_that_comes_back_keeps_its_connections) {
  DrainSetting s;
  const Leg client = s.served().first;
  s.config.listeners[0].draining = true;
  s.reload();
  s.config.listeners[0].draining = false;
  s.reload();
  s.pass(30'000);
  ASSERT_TRUE(s.legs.legs[client].alive);
  s.ask_again(client);
  s.respond(s.upstream());
  EXPECT_EQ(s.legs.at(client).out, kKept);
}

TEST(Drain, what_is_cut_off_at_its_end_is_counted_as_such) {
  DrainSetting s;
  const Leg client = s.send(kGet), other = s.send(kGet);
  s.tell(other, {.lost = true});
  s.legs.legs[other].alive = false;
  EXPECT_EQ(s.counted(control::ResponseDetail::downstream_reset), 1u);
  s.config.listeners.clear();
  s.reload();
  EXPECT_TRUE(s.legs.legs[client].alive) << "the relay is who ends it";
  s.tell(client, {.lost = true});
  s.legs.legs[client].alive = false;
  EXPECT_EQ(s.counted(control::ResponseDetail::shutdown), 1u);
  EXPECT_EQ(s.counted(control::ResponseDetail::downstream_reset), 1u);
}

TEST(Drain, a_request_that_nobody_serves_any_more_is_refused) {
  DrainSetting s;
  const Leg client = s.served().first;
  s.config.listeners.clear();
  s.reload();
  s.ask_again(client);
  EXPECT_EQ(s.legs.legs[client].out,
            "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
  EXPECT_TRUE(s.legs.legs[client].shut && !s.legs.legs[client].reset);
  EXPECT_EQ(s.counted(control::ResponseDetail::shutdown), 1u);
}

/// Endpoints 1 to 4 in turn: the first connection is endpoint 1's.
TEST(Drain, kept_connections_to_an_endpoint_that_is_removed_or_drained_are_closed_at_once) {
  for (const bool removed : {false, true}) {
    DrainSetting s;
    std::vector<Leg> ups;
    for (int n = 0; n < 4; ++n) ups.push_back(s.served().second);
    ASSERT_EQ(s.legs.dialled, (std::vector<std::uint32_t>{1, 2, 3, 4}));
    s.reload();
    for (const Leg up : ups) {
      EXPECT_TRUE(s.legs.legs[up].alive) << "a reload alone closes nothing";
      EXPECT_TRUE(s.legs.legs[up].resting) << "its answer was whole, and it is kept";
    }
    if (removed)
      s.config.clusters[0].endpoints = std::span{s.endpoints}.subspan(1);
    else
      s.endpoints[0].weight = 0;
    s.reload();
    EXPECT_TRUE(s.legs.legs[ups[0]].shut && !s.legs.legs[ups[0]].reset);
    for (int n = 1; n < 4; ++n) EXPECT_TRUE(s.legs.legs[ups[n]].alive);
    s.proxy.configure(nullptr, nullptr);
    s.keep_house();
    for (const Leg up : ups) EXPECT_TRUE(s.legs.legs[up].shut) << "nobody serves anything";
    EXPECT_EQ(s.proxy.upstreams(), 0u);
  }
}

TEST(Drain, a_busy_connection_to_a_drained_endpoint_is_closed_behind_its_answer) {
  for (const bool removed : {false, true}) {
    DrainSetting s;
    const Leg client = s.send(kGet), up = s.upstream();
    if (removed)
      s.config.clusters[0].endpoints = std::span{s.endpoints}.subspan(1);
    else
      s.endpoints[0].weight = 0;
    s.reload();
    ASSERT_TRUE(s.legs.legs[up].alive);
    s.respond(up);
    EXPECT_FALSE(s.legs.legs[up].resting) << "nothing of ours will follow";
    EXPECT_EQ(s.legs.at(client).out, kKept) << "the client's connection goes on";
    EXPECT_TRUE(s.legs.legs[up].shut && !s.legs.legs[up].reset);
    EXPECT_EQ(s.proxy.upstreams(), 0u);
  }
}

TEST(Drain, many_kept_connections_are_closed_over_several_rounds) {
  DrainSetting s;
  s.config.clusters[0].endpoints = std::span{s.endpoints}.first(1);
  s.configure();
  std::vector<Leg> clients;
  for (int n = 0; n < 16; ++n) clients.push_back(s.send(kGet));
  for (Leg leg = 0; leg < s.legs.legs.size(); ++leg)
    if (s.legs.legs[leg].upstream) s.respond(leg);
  EXPECT_EQ(s.counters->http.upstream_idle.read(), 16u);
  s.endpoints[0].weight = 0;
  s.reload();
  EXPECT_EQ(s.counters->http.upstream_idle.read(), 0u);
  EXPECT_EQ(s.proxy.upstreams(), 0u);
}

TEST(Clusters, ids_that_come_and_go_never_use_up_the_states) {
  DrainSetting s;
  const Leg client = s.send(kGet), up = s.upstream();  // its request is under way while its cluster's id goes
  for (std::uint32_t id = 2; id < 2 * kClusterStateMax; ++id) {
    s.config.clusters[0].id = id;
    s.configure();
    if (id % 1000 != 0) continue;
    ASSERT_NE(s.ask(), 0u) << id;
  }
  EXPECT_NE(s.ask(), 0u);
  s.respond(up);
  EXPECT_EQ(s.legs.at(client).out, kKept) << "what was under way is answered";
  EXPECT_EQ(s.counters->http.by_detail[static_cast<std::size_t>(control::ResponseDetail::overflow)].read(), 0u);
}

}  // namespace
}  // namespace penstock::proxy
