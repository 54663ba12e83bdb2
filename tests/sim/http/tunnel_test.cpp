// PROXY headers before and behind the worker, and TCP that passes through it without being read.
#include <gtest/gtest.h>

#include "dataplane/control/limits.h"
#include "tests/sim/http/http_world.h"

namespace penstock::sim {
namespace {

const std::string kV1 = "PROXY TCP4 203.0.113.9 198.51.100.1 4711 8443\r\n";
const std::string kV2{"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c\xcb\x00\x71\x09\xc6\x33\x64\x01\x12\x67\x20\xfb", 28};
const std::string kLocal{"\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00", 16};

const control::HttpCounters& http(HttpWorld& run) { return run.world().counters(0).http; }

HttpRunOptions accepting(const std::string& preface) {
  HttpRunOptions options;
  options.accept_preface = true;
  options.preface = preface;
  return options;
}

TEST(ProxyHeaders, name_the_client_of_a_requests_connection) {
  for (const std::string& preface : {kV1, kV2, kLocal}) {
    for (const std::uint32_t piece : {1u, 7u, 2000u}) {
      HttpRunOptions options = accepting(preface);
      options.piece_max = piece;
      options.listener.access_log_samples = control::kPerMillion;
      HttpWorld run{options, {{{.answer_body = 5}, {.method = "POST", .body = 20, .answer_body = 5}}}};
      EXPECT_EQ(run.run(), "");
      const std::string client = preface == kLocal ? "10.1.0.2" : "203.0.113.9";
      EXPECT_EQ(run.last_request().field("x-forwarded-for"), client);
      control::WorkerBlock& block = run.world().block(0);
      control::AccessRecord record;
      ASSERT_TRUE((SpscRing<control::AccessRecord>{block.access_control, block.access}.pop(record)));
      EXPECT_EQ(record.client, *IpAddress::parse(client));
      EXPECT_EQ(record.client_port == 4711, preface != kLocal);
      EXPECT_EQ(http(run).proxy_headers.read(), 1u);
    }
  }
}

TEST(ProxyHeaders, a_connection_without_one_is_reset) {
  HttpRunOptions options = accepting("");
  HttpWorld run{options, {{{.answer_body = 5}}}};
  EXPECT_NE(run.run(), "") << "the client gets nowhere";
  EXPECT_GT(http(run).proxy_headers_refused.read(), 10u);
  EXPECT_EQ(run.server_connections(), 0u);

  options = accepting("PROXY TCP4 203.0.113.9 198.51");
  options.head_cut = 1;
  HttpWorld slow{options, {{{.answer_body = 5}}}};
  EXPECT_NE(slow.run(), "");
  EXPECT_GT(http(slow).proxy_headers_refused.read(), 0u) << "it never becomes whole";
  EXPECT_EQ(slow.world().workers[0]->http().connections(), 0u);
}

TEST(ProxyHeaders, tell_endpoints_of_the_client_once_per_connection) {
  for (const auto version : {control::ProxyProtocol::v1, control::ProxyProtocol::v2}) {
    HttpRunOptions options = accepting(kV1);
    options.policy.proxy_protocol = version;
    const std::vector<RequestPlan> plans(5, {.answer_body = 300});
    HttpWorld run{options, {plans, plans}};
    EXPECT_EQ(run.run(), "");
    ASSERT_EQ(run.prefaces().size(), 2u) << "each client keeps a connection of its own";
    EXPECT_EQ(run.server_connections(), 2u);
    for (const std::string& got : run.prefaces()) EXPECT_EQ(got, version == control::ProxyProtocol::v1 ? kV1 : kV2);
  }
}

TEST(ProxyHeaders, connections_of_clients_make_room_for_each_other) {
  HttpRunOptions options;
  options.policy.proxy_protocol = control::ProxyProtocol::v2;
  options.policy.max_connections = 1;
  options.endpoints = 1;
  const std::vector<RequestPlan> plans(6, {.answer_body = 3000});
  HttpWorld run{options, {plans, plans, plans}};
  EXPECT_EQ(run.run(), "");
  EXPECT_EQ(run.prefaces().size(), run.server_connections());
  EXPECT_EQ(http(run).by_detail[static_cast<std::size_t>(control::ResponseDetail::overflow)].read(), 0u);
}

TEST(ProxyHeaders, retries_and_endpoints_that_close_are_as_without) {
  HttpRunOptions options = accepting(kV2);
  options.policy.proxy_protocol = control::ProxyProtocol::v1;
  options.table = {
      {{.name = "all",
        .domains = {"*"},
        .routes = {{.action = route::Forward{.clusters = {{"c"}},
                                             .timeout_ms = 0,
                                             .retry = {.on = route::kRetryReset | route::kRetry5xx, .retries = 2}}}}}}};
  for (options.seed = 1; options.seed <= 10; ++options.seed) {
    options.loss_permille = options.seed % 2 == 0 ? 20 : 0;
    std::vector<RequestPlan> plans(8, {.answer_body = 100});
    plans[1].fault = ServerFault::reset_unanswered;
    plans[3].fault = ServerFault::answer_503;
    plans[5].close_after = true;
    HttpWorld run{options, {plans, plans}};
    ASSERT_EQ(run.run(), "") << options.seed;
    EXPECT_EQ(run.prefaces().size(), run.server_connections());
  }
}

TEST(Tunnels, pass_octets_both_ways_behind_the_headers) {
  for (const auto version : {control::ProxyProtocol::off, control::ProxyProtocol::v1, control::ProxyProtocol::v2}) {
    for (const bool accept : {true, false}) {
      HttpRunOptions options = accept ? accepting(kV2) : HttpRunOptions{};
      options.tunnel = true;
      options.policy.proxy_protocol = version;
      options.loss_permille = 10;
      options.piece_max = 900;
      std::vector<RequestPlan> plans(4, {.method = "POST", .body = 50'000, .answer_body = 70'000});
      plans.back().close_after = true;
      HttpWorld run{options, {plans, plans}};
      ASSERT_EQ(run.run(), "");
      EXPECT_EQ(run.server_connections(), 2u);
      const bool v1 = version == control::ProxyProtocol::v1;
      for (const std::string& got : run.prefaces()) {
        if (accept) {
          EXPECT_EQ(got, v1 ? kV1 : kV2) << "as it came";
        } else if (v1) {
          EXPECT_EQ(got.substr(0, 20), "PROXY TCP4 10.1.0.2 ");
        }
      }
      EXPECT_EQ(run.last_request().field("x-forwarded-for"), "") << "nobody reads it";
    }
  }
}

TEST(Tunnels, end_as_their_endpoints_end) {
  HttpRunOptions options;
  options.tunnel = true;
  options.policy.proxy_protocol = control::ProxyProtocol::v2;
  std::vector<RequestPlan> plans(6, {.answer_body = 100});
  plans[1].fault = ServerFault::reset_unanswered;
  plans[3].fault = ServerFault::close_unanswered;
  HttpWorld run{options, {plans}};
  EXPECT_EQ(run.run(), "") << "the client sees each end, and asks again on a new connection";
  EXPECT_EQ(run.server_connections(), 3u);
  EXPECT_EQ(http(run).ejections.read(), 0u);
}

}  // namespace
}  // namespace penstock::sim
