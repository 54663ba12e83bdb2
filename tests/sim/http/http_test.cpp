// Listeners of HTTP with real clients and servers over the simulated wire.
#include <gtest/gtest.h>

#include <cstdlib>

#include "dataplane/control/limits.h"
#include "l7/http1/reject.h"
#include "tests/sim/http/http_world.h"

namespace penstock::sim {
namespace {

TEST(Http, a_get_is_answered) {
  HttpWorld run{{}, {{{.answer_body = 5}}}};
  EXPECT_EQ(run.run(), "");
  EXPECT_EQ(run.answered(), 1u);
  EXPECT_EQ(run.last_request().field("x-forwarded-for"), "10.1.0.2");
  EXPECT_EQ(run.last_request().field("x-request-id").size(), 32u);
}

/// As it is to take over the flows of a process that died, before it has any of its own.
TEST(Http, a_worker_that_was_stopped_and_goes_on_serves) {
  HttpWorld run{{}, {{{.answer_body = 5}}}};
  run.world().workers[0]->drain();
  EXPECT_EQ(run.run(), "");
  EXPECT_EQ(run.answered(), 1u);
}

/// Everything to the one cluster, with this policy.
route::RouteTable forward(const route::Forward& how) {
  route::Forward to = how;
  to.clusters = {{"c"}};
  return {{{.name = "all", .domains = {"*"}, .routes = {{.action = to}}}}};
}

std::uint64_t counted(HttpWorld& run, control::ResponseDetail detail) {
  return run.world().counters(0).http.by_detail[static_cast<std::size_t>(detail)].read();
}
const control::HttpSlotCounters& slot(HttpWorld& run, std::size_t number) {
  return run.world().counters(0).http_slots[number];
}

TEST(Http, requests_are_counted_where_they_belong) {
  HttpWorld run{{}, {{{.answer_body = 50}, {.method = "POST", .body = 30, .answer_body = 7}}}};
  EXPECT_EQ(run.run(), "");
  for (const std::size_t number : {1u, 2u, 10u}) {
    EXPECT_EQ(slot(run, number).requests.read(), 2u);
    EXPECT_EQ(slot(run, number).by_class[1].read(), 2u);
    EXPECT_EQ(slot(run, number).active.read(), 0u);
    EXPECT_EQ(slot(run, number).request_octets.read(), 30u);
    EXPECT_EQ(slot(run, number).response_octets.read(), 57u);
  }
  EXPECT_EQ(counted(run, control::ResponseDetail::none), 2u);
  EXPECT_EQ(run.server_connections(), 2u) << "two endpoints in turn, each once";
}

TEST(Http, sampled_requests_leave_a_record_each) {
  HttpRunOptions options;
  options.listener.access_log_samples = control::kPerMillion;
  HttpWorld run{options, {{{.answer_body = 50}, {.method = "POST", .body = 30, .answer_body = 7}}}};
  EXPECT_EQ(run.run(), "");
  control::WorkerBlock& block = run.world().block(0);
  SpscRing<control::AccessRecord> ring{block.access_control, block.access};
  control::AccessRecord get, post, none;
  ASSERT_TRUE(ring.pop(get));
  ASSERT_TRUE(ring.pop(post));
  EXPECT_FALSE(ring.pop(none));
  EXPECT_EQ((std::string_view{post.text.data(), post.method_octets}), "POST");
  EXPECT_GT(post.path_octets, 0u);
  EXPECT_EQ(get.response_octets, 50u);
  EXPECT_EQ(post.request_octets, 30u);
  for (const control::AccessRecord& record : {get, post}) {
    EXPECT_EQ(record.status, 200);
    EXPECT_EQ(record.route, 0u);
    EXPECT_NE(record.cluster_id, 0u);
    EXPECT_NE(record.endpoint_id, 0u);
    EXPECT_EQ(record.client, *IpAddress::parse("10.1.0.2"));
    EXPECT_GT(record.upstream_us, 0u);
    EXPECT_GE(record.duration_us, record.upstream_us);
  }
  EXPECT_EQ(block.counters.http.access_records.read(), 2u);
}

/// What the endpoint of a request with these header lines sees, and the access record of it.
struct Seen {
  HttpMessage request;
  control::AccessRecord access{};
};
Seen seen(HttpRunOptions options, const std::string& headers) {
  options.listener.access_log_samples = control::kPerMillion;
  HttpWorld run{options, {{{.headers = headers, .answer_body = 1}}}};
  EXPECT_EQ(run.run(), "");
  Seen out{run.last_request(), {}};
  control::WorkerBlock& block = run.world().block(0);
  EXPECT_TRUE((SpscRing<control::AccessRecord>{block.access_control, block.access}.pop(out.access)));
  return out;
}

TEST(Http, endpoints_learn_who_sent_the_request) {
  const std::string list = "X-Forwarded-For: 192.0.2.7, 192.0.2.8\r\nX-Forwarded-For: 192.0.2.9\r\n";
  HttpRunOptions options;
  Seen got = seen(options, list);
  EXPECT_EQ(got.request.field("x-forwarded-for"), "192.0.2.7, 192.0.2.8, 192.0.2.9, 10.1.0.2");
  EXPECT_EQ(got.request.field("forwarded") + got.request.field("via"), "");
  EXPECT_EQ(got.access.client, *IpAddress::parse("10.1.0.2"));
  options.listener.trusted_hops = 2;
  options.listener.forwarded = control::SenderList::append;
  options.via = "edge";
  got = seen(options, list + "Forwarded: for=_a\r\n");
  EXPECT_EQ(got.access.client, *IpAddress::parse("192.0.2.8"));
  EXPECT_EQ(got.request.field("forwarded"), "for=_a, for=10.1.0.2;host=\"svc.test\";proto=http");
  EXPECT_EQ(got.request.field("via"), "1.1 edge");
  options.listener.trusted_hops = 4;
  EXPECT_EQ(seen(options, list).access.client, *IpAddress::parse("10.1.0.2")) << "there are not so many";
  options.listener.x_forwarded_for = options.listener.forwarded = control::SenderList::replace;
  got = seen(options, list + "X-Forwarded-Proto: https\r\nForwarded: for=_a\r\n");
  EXPECT_EQ(got.request.field("x-forwarded-for"), "10.1.0.2");
  EXPECT_EQ(got.request.field("x-forwarded-proto"), "http");
  EXPECT_EQ(got.request.field("forwarded").substr(0, 4), "for=");
  got = seen({}, "X-Forwarded-For: " + std::string(6000, '1') + "\r\n");
  EXPECT_EQ(got.request.field("x-forwarded-for"), "10.1.0.2") << "too long a list is not passed on unsigned";
}

TEST(Http, a_trace_goes_on_or_begins) {
  const std::string parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
  HttpRunOptions options;
  options.listener.flags = control::kHttpTrace;
  HttpMessage got = seen(options, "Traceparent: " + parent + "\r\nTracestate: a=1\r\n").request;
  EXPECT_EQ(got.field("traceparent"), parent);
  EXPECT_EQ(got.field("tracestate"), "a=1");
  got = seen(options, "Traceparent: " + parent + "x\r\nTracestate: a=1\r\n").request;
  EXPECT_EQ(got.field("traceparent").size(), 55u);
  EXPECT_EQ(got.field("traceparent").substr(52), "-00");
  EXPECT_NE(got.field("traceparent").substr(0, 35), parent.substr(0, 35));
  EXPECT_EQ(got.field("tracestate"), "") << "it belongs to a trace that nobody knows";
  options.listener.trace_samples = control::kPerMillion;
  EXPECT_EQ(seen(options, "").request.field("traceparent").substr(52), "-01");
  got = seen(options, "Traceparent: " + parent + "\r\nTracestate: A=1\r\n").request;
  EXPECT_EQ(got.field("traceparent") + got.field("tracestate"), parent);
  options.listener.flags = 0;
  EXPECT_EQ(seen(options, "").request.field("traceparent"), "");
}

TEST(Http, a_retry_goes_to_another_endpoint) {
  for (const auto policy : {control::LbPolicy::round_robin, control::LbPolicy::random, control::LbPolicy::least_request,
                            control::LbPolicy::maglev}) {
    HttpRunOptions options;
    options.policy.lb_policy = policy;
    options.table = forward({.timeout_ms = 0, .retry = {.on = route::kRetry5xx, .retries = 1}});
    for (options.seed = 1; options.seed <= 5; ++options.seed) {
      HttpWorld run{options, {{{.answer_body = 9, .fault = ServerFault::answer_503}}}};
      EXPECT_EQ(run.run(), "");
      EXPECT_EQ(run.served(0), 1u);
      EXPECT_EQ(run.served(1), 1u);
    }
    options.endpoints = 1;
    HttpWorld alone{options, {{{.answer_body = 9, .fault = ServerFault::answer_503}}}};
    EXPECT_EQ(alone.run(), "") << "the only one is asked again";
    EXPECT_EQ(alone.served(0), 2u);
  }
}

TEST(Http, a_body_beyond_the_limit_is_refused) {
  for (const bool chunked : {false, true}) {
    HttpRunOptions options;
    options.listener.max_body_octets = 1000;
    const auto post = [&](std::size_t octets, int status) {
      return RequestPlan{.method = "POST", .body = octets, .chunked = chunked, .answer_body = 1, .expected = status};
    };
    HttpWorld run{options, {{post(1000, 200), post(1001, 413)}, {post(50'000, 413)}}};
    EXPECT_EQ(run.run(), "");
    EXPECT_EQ(counted(run, control::ResponseDetail::body_too_large), 2u);
  }
}

TEST(Http, a_routes_limit_of_bodies_holds_instead_of_the_listeners) {
  for (const std::uint32_t of_route : {500u, 5000u}) {
    HttpRunOptions options;
    options.listener.max_body_octets = 1000;
    options.more = [&](control::SnapshotContent& content) {
      content.http_policies = {{.max_body_octets = of_route}};
      content.route_policies = {0};
    };
    const auto post = [&](std::size_t octets, int status) {
      return RequestPlan{.method = "POST", .body = octets, .chunked = true, .answer_body = 1, .expected = status};
    };
    HttpWorld run{options, {{post(of_route, 200), post(of_route + 1, 413)}}};
    EXPECT_EQ(run.run(), "");
    EXPECT_EQ(counted(run, control::ResponseDetail::body_too_large), 1u);
  }
}

TEST(Http, endpoints_and_reasons_have_counters_of_their_own) {
  HttpRunOptions options;
  options.endpoints = 1;
  options.table = forward({.timeout_ms = 0, .retry = {.on = route::kRetryReset, .retries = 1}});
  std::vector<RequestPlan> plans(4, {.answer_body = 10});
  plans[1].fault = ServerFault::answer_503;
  plans[1].expected = 503;
  plans[2].fault = ServerFault::reset_unanswered;
  HttpWorld run{options, {plans, {{.headers = "Bad_Name: 1\r\n", .expected = 400}}}};
  EXPECT_EQ(run.run(), "");
  control::HttpEndpointCounters sums;
  for (const auto& one : run.world().counters(0).http_endpoints) {
    sums.requests.add(one.requests.read());
    sums.errors_5xx.add(one.errors_5xx.read());
    sums.failures.add(one.failures.read());
    sums.latency_us_sum.add(one.latency_us_sum.read());
    for (const auto& bucket : one.latency) sums.latency[0].add(bucket.read());
    for (std::size_t i = 0; i < sums.by_class.size(); ++i) sums.by_class[i].add(one.by_class[i].read());
  }
  EXPECT_EQ(sums.requests.read(), 5u);
  EXPECT_EQ(sums.errors_5xx.read(), 1u);
  EXPECT_LE(sums.failures.read(), 1u) << "one on a kept connection says nothing";
  EXPECT_GT(sums.latency_us_sum.read(), 0u);
  EXPECT_EQ(sums.by_class[1].read(), 3u);
  EXPECT_EQ(sums.by_class[4].read(), 1u);
  EXPECT_EQ(sums.latency[0].read(), 4u) << "every answered try, whatever its status";
  const auto& rejected = run.world().counters(0).http.rejected;
  EXPECT_EQ(rejected[static_cast<std::size_t>(http1::RejectReason::name_underscore)].read(), 1u);
}

TEST(Http, connections_to_endpoints_are_kept_and_used_again) {
  HttpRunOptions options;
  options.endpoints = 1;
  HttpWorld run{options, {std::vector<RequestPlan>(20, {.answer_body = 10})}};
  EXPECT_EQ(run.run(), "");
  EXPECT_EQ(run.server_connections(), 1u);
  options.policy.max_requests_per_connection = 4;
  HttpWorld limited{options, {std::vector<RequestPlan>(20, {.answer_body = 10})}};
  EXPECT_EQ(limited.run(), "");
  EXPECT_EQ(limited.server_connections(), 5u);
}

TEST(Http, a_large_body_crosses_both_ways) {
  HttpWorld run{{}, {{{.method = "POST", .body = 3'000'000, .answer_body = 3'000'000}}}};
  EXPECT_EQ(run.run(), "");
  EXPECT_GT(run.world().proxied(&control::ProxyCounters::in_place_sent), 500u);
}

TEST(Http, what_a_kept_connection_loses_to_its_closing_is_sent_again) {
  HttpRunOptions options;
  options.endpoints = 1;
  options.server_idle_us = 60;  // about as long as the next request is under way
  std::uint64_t repeated = 0;
  for (options.seed = 1; options.seed <= 30; ++options.seed) {
    HttpWorld run{options, {std::vector<RequestPlan>(20, {.answer_body = 10})}};
    ASSERT_EQ(run.run(), "") << "seed " << options.seed;
    repeated += slot(run, 2).retries.read();
  }
  EXPECT_GT(repeated, 10u);
}

TEST(Http, retries_follow_the_policy) {
  using route::RetryOn;
  const std::pair<ServerFault, std::uint32_t> rows[] = {{ServerFault::close_unanswered, route::kRetryReset},
                                                        {ServerFault::reset_unanswered, route::kRetryReset},
                                                        {ServerFault::answer_503, route::kRetry5xx},
                                                        {ServerFault::answer_503, route::kRetryGatewayError}};
  for (const auto& [fault, on] : rows) {
    for (const bool wanted : {true, false}) {
      HttpRunOptions options;
      options.table = forward({.timeout_ms = 0, .retry = {.on = wanted ? on : 0u, .retries = 1}});
      const int otherwise = fault == ServerFault::answer_503 ? 503 : 502;
      const int expected = wanted ? 200 : otherwise;
      HttpWorld run{options,
                    {{{.method = "POST", .body = 500, .answer_body = 9, .fault = fault, .expected = expected}}}};
      EXPECT_EQ(run.run(), "") << static_cast<int>(fault);
      EXPECT_EQ(slot(run, 2).retries.read(), wanted ? 1u : 0u);
    }
  }
}

TEST(Http, a_body_that_is_cut_is_no_whole_answer) {
  HttpWorld run{{}, {{{.answer_body = 4000, .fault = ServerFault::cut_body}}}};
  EXPECT_EQ(run.run(), "") << "the client asks again, and the second answer is whole";
  EXPECT_EQ(counted(run, control::ResponseDetail::upstream_reset), 1u);
}

TEST(Http, times_are_kept) {
  HttpRunOptions options;
  options.table = forward({.timeout_ms = 700});
  HttpWorld slow{options, {{{.fault = ServerFault::silent, .expected = 504}}}};
  EXPECT_EQ(slow.run(), "");
  EXPECT_EQ(counted(slow, control::ResponseDetail::response_timeout), 1u);

  options.table = forward({.timeout_ms = 0, .idle_timeout_ms = 300});
  HttpWorld idle{options, {{{.fault = ServerFault::silent, .expected = 504}}}};
  EXPECT_EQ(idle.run(), "");
  EXPECT_EQ(counted(idle, control::ResponseDetail::idle_timeout), 1u);

  options.table =
      forward({.timeout_ms = 0, .retry = {.on = route::kRetry5xx, .retries = 1, .per_try_timeout_ms = 200}});
  HttpWorld tried{options, {{{.answer_body = 3, .fault = ServerFault::silent}}}};
  EXPECT_EQ(tried.run(), "");

  options = HttpRunOptions{};
  options.head_cut = 20;
  options.listener.header_timeout_ms = 500;
  HttpWorld cut{options, {{{.expected = 408}}}};
  EXPECT_EQ(cut.run(), "");
  EXPECT_EQ(counted(cut, control::ResponseDetail::request_timeout), 1u);
}

TEST(Http, an_upload_may_take_longer_than_the_answer_may) {
  HttpRunOptions options;
  options.table = forward({.timeout_ms = 50});
  options.last_octet_us = 200'000;
  HttpWorld whole{options, {{{.method = "POST", .body = 3000, .answer_body = 9}}}};
  EXPECT_EQ(whole.run(), "");
  EXPECT_GE(whole.answered_after_us(), options.last_octet_us);

  HttpWorld silent{options, {{{.method = "POST", .body = 3000, .fault = ServerFault::silent, .expected = 504}}}};
  EXPECT_EQ(silent.run(), "");
  EXPECT_GE(silent.answered_after_us(), options.last_octet_us + 50'000) << "it begins with the request's last octet";
  EXPECT_EQ(counted(silent, control::ResponseDetail::response_timeout), 1u);
}

TEST(Http, limits_of_a_cluster_make_requests_wait_or_fail) {
  HttpRunOptions options;
  options.policy.max_connections = 1;
  const std::vector<RequestPlan> plans(6, {.answer_body = 3000});
  HttpWorld waits{options, {plans, plans, plans, plans}};
  EXPECT_EQ(waits.run(), "");
  EXPECT_LE(waits.server_connections(), 24u);
  EXPECT_LT(waits.answered_after_us(), 5'000'000u)
      << "an idle connection to one endpoint kept requests to the other waiting";
  EXPECT_EQ(counted(waits, control::ResponseDetail::overflow), 0u);

  options.policy.max_pending_requests = 0;
  std::vector<std::vector<RequestPlan>> clients{{{.fault = ServerFault::silent, .expected = 504}}, {{.expected = 503}}};
  options.table = forward({.timeout_ms = 20'000});
  HttpWorld refused{options, clients};
  // Whoever comes first holds the connection; the other is refused.
  const std::string end = refused.run();
  EXPECT_EQ(counted(refused, control::ResponseDetail::overflow), 1u) << end;
}

TEST(Http, an_endpoint_that_fails_is_left_out_for_a_while) {
  HttpRunOptions options;
  options.policy.outlier = {.consecutive_5xx = 1,
                            .consecutive_gateway_failure = 0,
                            .base_ejection_ms = 600'000,
                            .max_ejection_ms = 600'000,
                            .max_ejection_percent = 50};
  std::vector<RequestPlan> plans(20, {.answer_body = 3});
  plans[0].fault = ServerFault::answer_503;
  plans[0].expected = 503;
  HttpWorld run{options, {plans}};
  EXPECT_EQ(run.run(), "");
  EXPECT_EQ(std::min(run.served(0), run.served(1)), 1u);
  EXPECT_EQ(run.world().counters(0).http.ejections.read(), 1u);
}

TEST(Http, answers_of_its_own_keep_the_connection) {
  HttpRunOptions options;
  route::Route redirect{.match = {.path = {route::PathKind::prefix, "/0"}},
                        .action = route::Redirect{.status = 302, .host = "other.test"}};
  route::Route direct{.match = {.path = {route::PathKind::prefix, "/1"}},
                      .action = route::DirectResponse{.status = 418, .body = "teapot"}};
  options.table = {{{.name = "all", .domains = {"svc.test"}, .routes = {redirect, direct}}}};
  HttpWorld run{options,
                {{{.expected = 302}}, {{.expected = 418}, {.expected = 418}}, {{.expected = 404}, {.expected = 404}}}};
  EXPECT_EQ(run.run(), "");
  EXPECT_EQ(run.server_connections(), 0u);
  EXPECT_EQ(counted(run, control::ResponseDetail::redirect), 1u);
  EXPECT_EQ(counted(run, control::ResponseDetail::direct_response), 2u);
  EXPECT_EQ(counted(run, control::ResponseDetail::no_route), 2u);
}

RequestPlan random_plan(test::Seeded& random, bool large) {
  static constexpr const char* kMethods[] = {"GET", "GET", "GET", "HEAD", "POST", "PUT", "POST", "DELETE", "OPTIONS"};
  const auto size = [&] {
    const std::size_t reach[] = {1, 40, 2000, 20'000, large ? 600'000u : 60'000u};
    return random.below(reach[random.below(5)]);
  };
  RequestPlan plan;
  plan.method = kMethods[random.below(9)];
  if (random.below(4) == 0) plan.path = "/deep/er?x=" + std::to_string(random.below(100));
  if (plan.method == "POST" || plan.method == "PUT") {
    plan.body = size();
    plan.chunked = random.coin();
    plan.expect = plan.body != 0 && random.below(4) == 0;
  }
  plan.answer = static_cast<Answer>(random.below(4));
  plan.answer_body = size();
  plan.interim = random.below(8) == 0;
  plan.close_after = random.below(10) == 0;
  return plan;
}

std::vector<std::vector<RequestPlan>> random_clients(test::Seeded& random) {
  std::vector<std::vector<RequestPlan>> clients(1 + random.below(5));
  for (auto& plans : clients)
    for (std::size_t n = 1 + random.below(8); n-- > 0;) plans.push_back(random_plan(random, clients.size() < 3));
  return clients;
}

struct HttpSeeds : testing::TestWithParam<int> {};
INSTANTIATE_TEST_SUITE_P(All, HttpSeeds, testing::Range(0, 8));

/// PENSTOCK_HTTP_SEEDS makes a longer run of the same.
TEST_P(HttpSeeds, hold_every_invariant) {
  const char* const wanted = std::getenv("PENSTOCK_HTTP_SEEDS");
  const std::uint64_t seeds = wanted != nullptr ? std::strtoull(wanted, nullptr, 10) : 20;
  for (std::uint64_t n = 0; n < seeds; ++n) {
    const std::uint64_t seed = 1 + static_cast<std::uint64_t>(GetParam()) + 8 * n;
    test::Seeded random{seed};
    HttpRunOptions options;
    options.seed = seed;
    options.loss_permille = random.coin() ? 0 : static_cast<std::uint32_t>(random.below(30));
    static constexpr std::uint32_t kPieces[] = {3, 100, 1500, 10'000};
    options.piece_max = kPieces[random.below(4)];
    options.pipeline = 1 + static_cast<std::uint32_t>(random.below(2) * random.below(6));
    options.endpoints = 1 + random.below(3);
    options.policy.lb_policy = static_cast<control::LbPolicy>(random.below(3));
    if (random.coin()) {
      const auto share = static_cast<std::uint32_t>(random.below(3)) * 300'000;
      const auto ms = 1 + static_cast<std::uint32_t>(random.below(50));
      options.more = [=](control::SnapshotContent& content) {
        content.http_policies = {{.delay_millionths = share, .delay_ms = ms}};
        content.http_policies[0].mirror_cluster = 0;
        content.http_policies[0].mirror_millionths = share;
        content.route_policies = {0};
      };
    }
    auto clients = random_clients(random);
    if (options.piece_max == 3)  // every octet its own segment: small bodies only
      for (auto& plans : clients)
        for (RequestPlan& plan : plans) {
          plan.body %= 300;
          plan.answer_body %= 300;
          if (plan.body == 0) plan.expect = false;
        }
    HttpWorld run{options, clients};
    ASSERT_EQ(run.run(), "") << "seed " << seed;
  }
}

}  // namespace
}  // namespace penstock::sim
