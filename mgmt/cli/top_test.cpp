#include "mgmt/cli/top.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "mgmt/telemetry/report_json.h"

namespace penstock::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

/// A node on which `n` of everything has happened.
TopSample sample(std::uint64_t n) {
  telemetry::Report report;
  report.verdict = "ok";
  telemetry::WorkerReport worker;
  worker.values[telemetry::kWorkerFrames] = 100 * n;
  report.workers.push_back(worker);
  telemetry::ListenerReport listener;
  listener.name = "shop";
  listener.address = IpAddress::v4(10, 96, 0, 20);
  listener.port = 80;
  listener.http = true;
  listener.values[telemetry::kSlotFlows] = n;
  report.listeners.push_back(listener);
  telemetry::EndpointReport endpoint;
  endpoint.cluster = "web";
  endpoint.address = IpAddress::v4(10, 0, 0, 1);
  endpoint.port = 8080;
  endpoint.health = "healthy";
  endpoint.values[telemetry::kSlotFlows] = n;
  endpoint.http.values = {10 * n, n, n, 9000 * n};  // requests, 5xx, failures, microseconds
  endpoint.http.latency[11] = 9 * n;
  report.endpoints.push_back(endpoint);
  telemetry::HttpSlotReport slot{.kind = "route", .listener = "shop", .host = "all", .route = "api"};
  slot.values[telemetry::kHttpRequests] = 10 * n;
  slot.by_class[4] = n;
  slot.latency[10] = 10 * n;
  report.http.slots = {slot, {.kind = "other"}};
  return {telemetry::status_json(report), telemetry::http_json(report.http)};
}

TEST(Top, rates_are_differences_per_second) {
  const Json rates = top_rates(sample(10), sample(30), 2);
  EXPECT_EQ(rates["workers"][0]["frames_per_second"], 1000.0);
  EXPECT_EQ(rates["listeners"][0]["flows_per_second"], 10.0);
  EXPECT_EQ(rates["listeners"][0]["tier"], "http");
  EXPECT_EQ(rates["endpoints"][0]["flows_per_second"], 10.0);
  EXPECT_EQ(rates["endpoints"][0]["http_requests_per_second"], 100.0);
  EXPECT_EQ(rates["endpoints"][0]["http_failures_per_second"], 10.0);
  EXPECT_NEAR(rates["endpoints"][0]["http_latency_microseconds"].get<double>(), 1000, 1);
  for (const char* key : {"http_latency_p50_microseconds", "http_latency_p99_microseconds"}) {
    EXPECT_GE(rates["endpoints"][0][key], 1024.0) << key;
    EXPECT_LE(rates["endpoints"][0][key], 2048.0) << key;
  }
  EXPECT_EQ(rates["http"][0]["requests_per_second"], 100.0);
  EXPECT_EQ(rates["http"][0]["responses_5xx_per_second"], 10.0);
  EXPECT_GE(rates["http"][0]["latency_p99_microseconds"], 512.0);
  EXPECT_LE(rates["http"][0]["latency_p99_microseconds"], 1024.0);
}

TEST(Top, counters_that_began_anew_count_from_0) {
  EXPECT_EQ(top_rates(sample(10), sample(2), 1)["http"][0]["requests_per_second"], 20.0);
}

TEST(Top, what_is_new_counts_whole_and_without_a_daemon_there_is_no_http) {
  TopSample before = sample(1);
  before.status["listeners"] = Json::array();
  before.http = nullptr;
  TopSample after = sample(3);
  EXPECT_EQ(top_rates(before, after, 1)["listeners"][0]["flows_per_second"], 3.0);
  EXPECT_EQ(top_rates(before, after, 1)["http"][0]["requests_per_second"], 30.0);
  after.http = nullptr;
  EXPECT_TRUE(top_rates(before, after, 1)["http"].empty());
}

TEST(Top, the_view_shows_services_routes_and_endpoints) {
  const std::string text = render_top(top_rates(sample(10), sample(30), 2), {});
  EXPECT_THAT(text, HasSubstr("ok, flows 0, worker 0: 1000 frames/s"));
  EXPECT_THAT(text, HasSubstr("shop all/api"));
  EXPECT_THAT(text, HasSubstr("10.0.0.1 8080"));
  EXPECT_THAT(text, HasSubstr("1.54ms  2.04ms"));
  EXPECT_THAT(text, Not(HasSubstr("other"))) << "nothing counts there";
}

}  // namespace
}  // namespace penstock::cli
