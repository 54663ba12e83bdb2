// CONNECT: which targets are allowed, and what becomes of the tunnel.
#include "l7/proxy/connect_targets.h"

#include <gtest/gtest.h>

#include "l7/proxy/setting_test_support.h"

namespace penstock::proxy {
namespace {

TEST(ConnectTargets, are_allowed_by_host_and_port) {
  const std::string list = "db.example:5432\n*.inner.example:443\n[::1]:80\n*:8080\nany.example:*\n";
  for (const char* good : {"db.example:5432", "DB.example:5432", "a.inner.example:443", "a.b.inner.example:443",
                           "[::1]:80", "whoever:8080", "any.example:1"})
    EXPECT_TRUE(connect_allowed(list, good)) << good;
  for (const char* bad : {"db.example:5433", "db.example", "xdb.example:5432", "inner.example:443",
                          ".inner.example:443", "a.inner.example:80", "db.example:", ":5432", "", "any.example:"})
    EXPECT_FALSE(connect_allowed(list, bad)) << bad;
  EXPECT_FALSE(connect_allowed("", "a:1"));
  EXPECT_FALSE(connect_allowed("\n\nnonsense\n", "nonsense:1"));
}

struct ConnectSetting : test::Setting {
  ConnectSetting() {
    http.connect_allow = text("db.example:5432\n");
    proxy.begin_round(now);
    configure();
  }
  std::uint64_t counted(control::ResponseDetail detail) {
    return counters->http.by_detail[static_cast<std::size_t>(detail)].read();
  }
};
const std::string kConnect = "CONNECT db.example:5432 HTTP/1.1\r\nHost: db.example:5432\r\n\r\n";

TEST(Connect, is_answered_when_the_endpoint_has_accepted_then_octets_pass) {
  ConnectSetting s;
  const Leg client = s.send(kConnect + "early");
  EXPECT_EQ(s.legs.at(client).out, "") << "nobody has accepted yet";
  const Leg upstream = static_cast<Leg>(s.legs.legs.size() - 1);
  ASSERT_TRUE(s.legs.at(upstream).upstream);
  EXPECT_EQ(s.legs.at(upstream).out, "");
  s.tell(upstream, {.connected = true});
  EXPECT_EQ(s.legs.at(client).out, "HTTP/1.1 200 OK\r\n\r\n");
  EXPECT_EQ(s.legs.at(upstream).out, "early") << "no head, only octets";
  s.legs.at(upstream).in = "HTTP/1.1 is not read\r\n";
  s.tell(upstream, {.received = true});
  EXPECT_EQ(s.legs.at(client).out, "HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 is not read\r\n");
  s.tell(client, {.peer_closed = true});
  EXPECT_TRUE(s.legs.at(upstream).shut) << "one direction at a time";
  s.tell(upstream, {.peer_closed = true});
  EXPECT_FALSE(s.legs.legs[client].alive);
  EXPECT_FALSE(s.legs.legs[upstream].alive);
  EXPECT_EQ(s.proxy.connections() + s.proxy.upstreams() + s.proxy.buffers(), 0u);
  EXPECT_EQ(s.counters->http_slots[0].by_class[1].read(), 2u) << "of listener and cluster";
}

TEST(Connect, to_what_is_not_listed_is_forbidden_and_the_connection_lives_on) {
  ConnectSetting s;
  const Leg client = s.send("CONNECT db.example:22 HTTP/1.1\r\nHost: db.example:22\r\n\r\n" + kConnect);
  EXPECT_EQ(s.legs.at(client).out.substr(0, 22), "HTTP/1.1 403 Forbidden");
  EXPECT_EQ(s.counted(control::ResponseDetail::connect_refused), 1u);
  EXPECT_EQ(s.legs.dialled.size(), 1u) << "the second is listed";
  s.http.connect_allow = {};
  const Leg other = s.send(kConnect);
  EXPECT_EQ(s.legs.legs[other].out.substr(0, 12), "HTTP/1.1 403");
  EXPECT_FALSE(s.legs.legs[other].alive) << "a listener without a list does not parse it";
}

TEST(Connect, without_an_endpoint_gets_503) {
  ConnectSetting s;
  s.legs.refuse = true;
  EXPECT_EQ(s.legs.legs[s.send(kConnect)].out.substr(0, 12), "HTTP/1.1 503");
  s.legs.refuse = false;
  const Leg client = s.send(kConnect);
  const Leg upstream = static_cast<Leg>(s.legs.legs.size() - 1);
  s.tell(upstream, {.lost = true});
  EXPECT_EQ(s.legs.legs[client].out.substr(0, 12), "HTTP/1.1 503");
  EXPECT_EQ(s.counted(control::ResponseDetail::connect_failure), 2u);
  s.policy.max_connections = 0;
  EXPECT_EQ(s.legs.legs[s.send(kConnect)].out.substr(0, 12), "HTTP/1.1 503");
  EXPECT_EQ(s.counted(control::ResponseDetail::overflow), 1u);
}

TEST(Connect, a_client_that_leaves_early_leaves_nothing_behind) {
  for (const LegEvents& how : {LegEvents{.lost = true}, LegEvents{.peer_closed = true}}) {
    ConnectSetting s;
    const Leg client = s.send(kConnect);
    const Leg upstream = static_cast<Leg>(s.legs.legs.size() - 1);
    s.tell(client, how);
    for (const Leg leg : {upstream, client})
      if (s.legs.legs[leg].alive) s.tell(leg, {.connected = leg == upstream, .peer_closed = leg == upstream});
    EXPECT_EQ(s.proxy.connections() + s.proxy.upstreams() + s.proxy.buffers(), 0u);
    EXPECT_EQ(s.proxy.audit(), "");
  }
}

}  // namespace
}  // namespace penstock::proxy
