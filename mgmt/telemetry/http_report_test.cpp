#include "mgmt/telemetry/http_report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <nlohmann/json.hpp>

#include "dataplane/control/segment.h"
#include "mgmt/telemetry/access_log.h"
#include "mgmt/telemetry/families.h"
#include "mgmt/telemetry/metrics.h"
#include "mgmt/telemetry/report.h"

namespace penstock::telemetry {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;
using ::testing::UnorderedElementsAre;

TEST(HttpReport, blocks_are_summed_over_workers) {
  std::vector<std::byte> memory(control::segment_octets(2) + 64);
  void* at = memory.data();
  std::size_t room = memory.size();
  std::align(64, control::segment_octets(2), at, room);
  const std::span<std::byte> segment{static_cast<std::byte*>(at), control::segment_octets(2)};
  control::format_segment(segment, 2, 1);
  const auto view = control::SegmentView::open(segment);
  ASSERT_TRUE(view.ok());
  for (std::size_t w = 0; w < 2; ++w) {
    control::WorkerCounters& counters = view->block(w).counters;
    counters.http_slots[5].requests.add(10);
    counters.http_slots[5].by_class[1].add(9);
    counters.http_slots[5].latency[control::latency_bucket(1000)].add(10);
    counters.http_slots[5].latency_us_sum.add(10'000);
    counters.http.upstream_idle.set(3);
    counters.http.rejected[static_cast<std::size_t>(http1::RejectReason::bare_cr)].add(2);
    counters.http_endpoints[9].requests.add(4);
    counters.http_endpoints[9].latency_us_sum.add(1'500'000);
    counters.http_endpoints[9].latency[control::latency_bucket(500'000)].add(3);
    counters.http_endpoints[9].by_class[2].add(2);
    counters.http.by_detail[static_cast<std::size_t>(control::ResponseDetail::no_route)].add(1);
  }
  HttpReport http;
  http.slots = {{.kind = "route", .listener = "shop", .host = "all", .route = "api", .slot = 5},
                {.kind = "cluster", .cluster = "web", .slot = 6}};
  read_http(*view, http);
  EXPECT_EQ(http.slots[0].values[kHttpRequests], 20u);
  EXPECT_EQ(http.slots[0].by_class[1], 18u);
  EXPECT_EQ(http.slots[0].latency[10], 20u);
  EXPECT_EQ(http.slots[1].values[kHttpRequests], 0u);
  EXPECT_EQ(http.by_detail[static_cast<std::size_t>(control::ResponseDetail::no_route)], 2u);

  Report report;
  report.http = http;
  EndpointReport endpoint;
  endpoint.cluster = "web";
  endpoint.address = IpAddress::v4(10, 0, 0, 1);
  endpoint.port = 80;
  endpoint.http = http_endpoint_report(*view, 9);
  EndpointReport passed_on = endpoint;  // of a listener that has no requests
  passed_on.cluster = "dns";
  report.endpoints = {endpoint, passed_on};
  ListenerReport shop;
  shop.http = true;
  shop.clusters = {"web"};
  report.listeners = {shop};
  EXPECT_THAT(http_clusters(report), UnorderedElementsAre("web"));
  const std::string text = metrics_text(report);
  const std::string labels = "listener=\"shop\",host=\"all\",route=\"api\"";
  EXPECT_THAT(text, HasSubstr("penstock_http_route_requests_total{" + labels + "} 20"));
  EXPECT_THAT(text, HasSubstr("penstock_http_route_responses_total{" + labels + ",class=\"2xx\"} 18"));
  EXPECT_THAT(text, HasSubstr("penstock_http_route_latency_seconds_count{" + labels + "} 20"));
  EXPECT_THAT(text, HasSubstr("penstock_http_route_latency_seconds_bucket{" + labels + ",le=\"0.000511\"} 0"));
  EXPECT_THAT(text, HasSubstr("penstock_http_route_latency_seconds_bucket{" + labels + ",le=\"0.001023\"} 20"));
  EXPECT_THAT(text, HasSubstr("penstock_http_upstream_idle 6"));
  EXPECT_THAT(text, HasSubstr("penstock_http_rejected_total{reason=\"bare_cr\"} 4"));
  const std::string of = "{cluster=\"web\",endpoint=\"10.0.0.1:80\"}";
  EXPECT_THAT(text, HasSubstr("penstock_endpoint_http_requests_total" + of + " 8"));
  EXPECT_THAT(text, HasSubstr("penstock_endpoint_http_latency_seconds_total" + of + " 3"));
  EXPECT_THAT(
      text, HasSubstr("penstock_endpoint_http_responses_total" + of.substr(0, of.size() - 1) + ",class=\"3xx\"} 4\n"));
  EXPECT_THAT(text, HasSubstr("# TYPE penstock_endpoint_http_latency_seconds histogram\n"));
  EXPECT_THAT(text, HasSubstr("penstock_endpoint_http_latency_seconds_sum" + of + " 3\n"));
  EXPECT_THAT(text, HasSubstr("penstock_endpoint_http_latency_seconds_count" + of + " 6\n"));
  const std::string bucket = "penstock_endpoint_http_latency_seconds_bucket" + of.substr(0, of.size() - 1) + ",le=\"";
  EXPECT_THAT(text, HasSubstr(bucket + "0.262143\"} 0\n"));
  EXPECT_THAT(text, HasSubstr(bucket + "0.524287\"} 6\n"));
  EXPECT_THAT(text, HasSubstr(bucket + "+Inf\"} 6\n"));
  for (const char* name : {"latency_seconds_sum", "requests_total", "failures_total", "responses_total"})
    EXPECT_THAT(text, Not(HasSubstr("penstock_endpoint_http_" + std::string{name} + "{cluster=\"dns\""))) << name;
  EXPECT_THAT(text, HasSubstr("penstock_http_responses_by_detail_total{detail=\"no_route\"} 2"));
  const auto json = http_json(http);
  EXPECT_EQ(json["slots"][0]["responses_2xx"], 18);
  EXPECT_EQ(json["details"]["no_route"], 2);
}

TEST(Exposition, numbers_are_exact_decimals_and_labels_are_escaped) {
  MetricFamily family = family_of("x", MetricType::gauge, "a \\ b\nc \"d\"");
  add_value(family, 0.1 + 0.2, {});
  add_value(family, 1e21, {{"a", "q\"\\\n"}, {"b", ""}});
  add_value(family, -std::numeric_limits<double>::infinity(), {});
  add_value(family, std::numeric_limits<double>::quiet_NaN(), {});
  MetricFamily buckets = family_of("h", MetricType::gauge, "");
  buckets.type = prometheus::MetricType::Histogram;
  buckets.metric.resize(1);
  for (std::size_t b = 0; b + 1 < control::kLatencyBuckets; ++b)
    buckets.metric[0].histogram.bucket.push_back({b, static_cast<double>(bucket_end_us(b)) / 1e6});
  std::string expected =
      "# HELP x a \\\\ b\\nc \"d\"\n# TYPE x gauge\nx 0.30000000000000004\n"
      "x{a=\"q\\\"\\\\\\n\",b=\"\"} 1000000000000000000000\nx -Inf\nx NaN\n"
      "# HELP h \n# TYPE h histogram\nh_count 0\nh_sum 0\n";
  for (std::size_t b = 0; b + 1 < control::kLatencyBuckets; ++b) {
    std::string micros = std::to_string(1'000'000 + bucket_end_us(b) % 1'000'000).substr(1);
    while (!micros.empty() && micros.back() == '0') micros.pop_back();
    expected += "h_bucket{le=\"" + std::to_string(bucket_end_us(b) / 1'000'000) + (micros.empty() ? "" : ".") + micros +
                "\"} " + std::to_string(b) + "\n";
  }
  EXPECT_EQ(exposition_text({family, buckets}), expected);
}

TEST(HttpReport, quantiles_lie_within_their_bucket) {
  LatencyValues latency{};
  EXPECT_EQ(latency_quantile_us(latency, 0.5), 0);
  latency[control::latency_bucket(100)] = 99;    // 64 to 127
  latency[control::latency_bucket(10'000)] = 1;  // 8192 to 16383
  const double p50 = latency_quantile_us(latency, 0.5);
  EXPECT_GE(p50, 64);
  EXPECT_LT(p50, 128);
  EXPECT_NEAR(latency_quantile_us(latency, 0.99), 128, 0.001);
  EXPECT_GE(latency_quantile_us(latency, 1), 8192);
  latency.back() = 1'000'000;
  EXPECT_EQ(latency_quantile_us(latency, 0.99),
            static_cast<double>(std::uint64_t{1} << (control::kLatencyBuckets - 2)));
}

control::AccessRecord record() {
  control::AccessRecord out{};
  out.listener_id = 7;
  out.cluster_id = 8;
  out.endpoint_id = 9;
  out.route = 1;
  out.epoch = 5;
  out.request_octets = 10;
  out.response_octets = 20;
  out.duration_us = 1500;
  out.upstream_us = 1200;
  out.client = IpAddress::v4(10, 1, 2, 3);
  out.client_port = 4444;
  out.status = 200;
  out.http_minor = 1;
  out.retries = 2;
  const std::string text = "GETshop.example/a\x01\"b";
  out.method_octets = 3;
  out.host_octets = 12;
  out.path_octets = static_cast<std::uint16_t>(text.size() - 15);
  std::copy(text.begin(), text.end(), out.text.begin());
  return out;
}
AccessNames names() {
  AccessNames out;
  out.listeners = {{7, "shop"}};
  out.clusters = {{8, "web"}};
  out.endpoints = {{9, "10.0.0.1:80"}};
  out.routes = {{7, {"all/first", "all/second"}}};
  return out;
}

TEST(AccessLog, a_line_names_what_the_record_numbers_and_escapes_what_peers_sent) {
  EXPECT_EQ(access_line(record(), names(), 1'700'000'000'123'000'000, AccessFormat::text),
            "2023-11-14T22:13:20.123Z shop 10.1.2.3:4444 \"GET shop.example/a\\x01\\x22b HTTP/1.1\" 200 via_upstream "
            "route=all/second cluster=web endpoint=10.0.0.1:80 duration_us=1500 upstream_us=1200 in=10 out=20 "
            "retries=2\n");
  const auto json = nlohmann::json::parse(access_line(record(), names(), 0, AccessFormat::json));
  EXPECT_EQ(json["path"], "/a\\x01\\x22b");
  EXPECT_EQ(json["route"], "all/second");
  EXPECT_EQ(json["time"], "1970-01-01T00:00:00.000Z");
}

TEST(AccessLog, a_refused_request_is_the_line_that_came) {
  control::AccessRecord refused = record();
  const std::string_view line = "GET /a b HTTP/1.1";
  std::copy(line.begin(), line.end(), refused.text.begin());
  refused.method_octets = 0;
  refused.host_octets = 0;
  refused.path_octets = static_cast<std::uint16_t>(line.size());
  refused.status = 400;
  refused.detail = control::ResponseDetail::bad_request;
  EXPECT_THAT(access_line(refused, names(), 0, AccessFormat::text),
              HasSubstr(" \"GET /a b HTTP/1.1\" 400 bad_request "));
  const auto json = nlohmann::json::parse(access_line(refused, names(), 0, AccessFormat::json));
  EXPECT_EQ(json["path"], line);
  EXPECT_EQ(json["method"], "");
  EXPECT_EQ(json["version"], "-");
}

TEST(AccessLog, what_has_no_name_stands_as_its_number) {
  control::AccessRecord unknown = record();
  unknown.route = control::kNoIndex;
  unknown.cluster_id = 0;
  unknown.detail = control::ResponseDetail{200};
  const std::string line = access_line(unknown, {}, 0, AccessFormat::text);
  EXPECT_THAT(line, HasSubstr(" 7 10.1.2.3:4444 "));
  EXPECT_THAT(line, HasSubstr(" unknown route=- cluster=- endpoint=9 "));
}

TEST(AccessLog, lengths_that_go_beyond_the_text_are_cut) {
  control::AccessRecord broken = record();
  broken.path_octets = 65535;
  broken.host_octets = 65535;
  EXPECT_LT(access_line(broken, names(), 0, AccessFormat::text).size(), 2500u);
}

TEST(AccessLog, a_record_gets_the_names_of_its_own_epoch) {
  AccessNameBook book;
  EXPECT_TRUE(book.at(1).listeners.empty());
  for (const std::uint64_t epoch : {10u, 20u}) {
    AccessNames names;
    names.first_epoch = epoch;
    names.listeners = {{1, "since " + std::to_string(epoch)}};
    book.add(std::move(names));
  }
  EXPECT_EQ(book.at(15).listeners.at(1), "since 10");
  EXPECT_EQ(book.at(20).listeners.at(1), "since 20");
  for (std::uint64_t epoch = 30; epoch < 30 + AccessNameBook::kKept; ++epoch) book.add({epoch, {}, {}, {}, {}});
  EXPECT_EQ(book.at(1).first_epoch, 30u) << "the oldest that is kept";
}

}  // namespace
}  // namespace penstock::telemetry
