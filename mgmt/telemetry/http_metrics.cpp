// The counters of HTTP as Prometheus families: one set per kind, so that labels of a family are always the same.
#include <limits>

#include "mgmt/telemetry/families.h"
#include "mgmt/telemetry/flow_reader.h"
#include "mgmt/telemetry/report.h"

namespace penstock::telemetry {
namespace {

Labels labels_of(const HttpSlotReport& slot) {
  if (slot.kind == "listener") return {{"listener", slot.listener}};
  if (slot.kind == "cluster") return {{"cluster", slot.cluster}};
  if (slot.kind == "route") return {{"listener", slot.listener}, {"host", slot.host}, {"route", slot.route}};
  return {};
}

MetricFamily histogram_family(std::string name, std::string_view meaning) {
  MetricFamily family = family_of(std::move(name), MetricType::gauge, meaning);
  family.type = prometheus::MetricType::Histogram;
  return family;
}

void add_histogram(MetricFamily& family, const LatencyValues& latency, std::uint64_t us_sum, Labels labels) {
  ClientMetric metric;
  metric.label = std::move(labels);
  std::uint64_t cumulative = 0;
  for (std::size_t b = 0; b < latency.size(); ++b) {
    cumulative += latency[b];
    const bool last = b + 1 == latency.size();
    const double end = last ? std::numeric_limits<double>::infinity() : static_cast<double>(bucket_end_us(b)) / 1e6;
    metric.histogram.bucket.push_back({cumulative, end});
  }
  metric.histogram.sample_count = cumulative;
  metric.histogram.sample_sum = static_cast<double>(us_sum) / 1e6;
  family.metric.push_back(std::move(metric));
}

/// Everything about the blocks of one kind.
void add_kind(const HttpReport& http, const std::string& kind, std::vector<MetricFamily>& out) {
  const std::string prefix = std::string{kHttpPrefix} + kind + "_";
  const std::size_t first = out.size();
  for (const auto& row : kHttpSlotMetrics)
    out.push_back(family_of(prefix + std::string{row.name}, row.type, row.meaning));
  MetricFamily responses = family_of(prefix + "responses_total", MetricType::counter, "responses, by class of status");
  MetricFamily latency =
      histogram_family(prefix + "latency_seconds", "from the first octet of a request to the last of its response");
  for (const HttpSlotReport& slot : http.slots) {
    if (slot.kind != kind) continue;
    for (std::size_t i = 0; i < kHttpSlotMetrics.size(); ++i)
      add_value(out[first + i], static_cast<double>(slot.values[i]), labels_of(slot));
    for (std::size_t i = 0; i < slot.by_class.size(); ++i) {
      Labels labels = labels_of(slot);
      labels.push_back({"class", std::string{kStatusClasses[i]}});
      add_value(responses, static_cast<double>(slot.by_class[i]), std::move(labels));
    }
    add_histogram(latency, slot.latency, slot.latency_us_sum, labels_of(slot));
  }
  out.push_back(std::move(responses));
  out.push_back(std::move(latency));
}

}  // namespace

Labels labels_of(const EndpointReport& endpoint) {
  return {{"cluster", endpoint.cluster}, {"endpoint", host_port_text(endpoint.address, endpoint.port)}};
}

void add_endpoint_families(const Report& report, std::vector<MetricFamily>& out) {
  const std::string prefix{kEndpointPrefix};
  const std::size_t first = out.size();
  for (const auto& row : kHttpEndpointMetrics)
    out.push_back(family_of(prefix + std::string{row.name}, row.type, row.meaning));
  MetricFamily responses = family_of(prefix + std::string{kHttpEndpointResponses}, MetricType::counter,
                                     "responses of the endpoint, by class of status");
  MetricFamily latency = histogram_family(prefix + std::string{kHttpEndpointHistogram},
                                          kHttpEndpointMetrics[kHttpEndpointLatency].meaning);
  // Packets passed on have no requests: their endpoints get no rows. Who is served by HTTP has them from the start.
  const auto clusters = http_clusters(report);
  for (const EndpointReport& endpoint : report.endpoints) {
    if (!clusters.contains(endpoint.cluster)) continue;
    const Labels labels = labels_of(endpoint);
    for (std::size_t i = 0; i < kHttpEndpointMetrics.size(); ++i)
      add_value(out[first + i], kHttpEndpointMetrics[i].scaled(endpoint.http.values[i]), labels);
    for (std::size_t i = 0; i < kStatusClasses.size(); ++i) {
      Labels with_class = labels;
      with_class.push_back({"class", std::string{kStatusClasses[i]}});
      add_value(responses, static_cast<double>(endpoint.http.by_class[i]), std::move(with_class));
    }
    add_histogram(latency, endpoint.http.latency, endpoint.http.values[kHttpEndpointLatency], labels);
  }
  out.push_back(std::move(responses));
  out.push_back(std::move(latency));
}

void add_http_families(const HttpReport& http, std::vector<MetricFamily>& out) {
  for (std::size_t i = 0; i < kHttpMetrics.size(); ++i) {
    out.push_back(family_of(std::string{kHttpPrefix} + std::string{kHttpMetrics[i].name}, kHttpMetrics[i].type,
                            kHttpMetrics[i].meaning));
    add_value(out.back(), static_cast<double>(http.totals[i]), {});
  }
  out.push_back(family_of(std::string{kHttpPrefix} + "responses_by_detail_total", MetricType::counter,
                          "requests that have ended, by what ended them"));
  for (const auto& [detail, name] : control::kResponseDetails)
    add_value(out.back(), static_cast<double>(http.by_detail[static_cast<std::size_t>(detail)]),
              {{"detail", std::string{name}}});
  out.push_back(family_of(std::string{kHttpPrefix} + "rejected_total", MetricType::counter,
                          "messages that the parsers refused, by reason"));
  for (const http1::RejectInfo& reason : http1::kRejectReasons)
    if (reason.reason != http1::RejectReason::none)
      add_value(out.back(), static_cast<double>(http.rejected[static_cast<std::size_t>(reason.reason)]),
                {{"reason", std::string{reason.name}}});
  for (const char* kind : {"listener", "cluster", "route", "other"}) add_kind(http, kind, out);
}

}  // namespace penstock::telemetry
