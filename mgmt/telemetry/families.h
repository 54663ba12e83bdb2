// families.h - families of Prometheus metrics from values and labels. Only for the renderers of this folder.
#pragma once
#include <prometheus/metric_family.h>

#include <string>
#include <vector>

#include "mgmt/telemetry/metric_table.h"

namespace penstock::telemetry {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using Labels = std::vector<ClientMetric::Label>;

inline void add_value(MetricFamily& family, double value, Labels labels) {
  ClientMetric metric;
  metric.label = std::move(labels);
  if (family.type == prometheus::MetricType::Counter)
    metric.counter.value = value;
  else
    metric.gauge.value = value;
  family.metric.push_back(std::move(metric));
}

inline MetricFamily family_of(std::string name, MetricType type, std::string_view meaning) {
  MetricFamily family;
  family.name = std::move(name);
  family.help = meaning;
  family.type = type == MetricType::counter ? prometheus::MetricType::Counter : prometheus::MetricType::Gauge;
  return family;
}

/// All of them as text (exposition.cpp).
[[nodiscard]] std::string exposition_text(const std::vector<MetricFamily>& families);

struct EndpointReport;
struct HttpReport;
struct Report;
[[nodiscard]] Labels labels_of(const EndpointReport& endpoint);
// The families of HTTP (http_metrics.cpp).
void add_endpoint_families(const Report& report, std::vector<MetricFamily>& out);
void add_http_families(const HttpReport& http, std::vector<MetricFamily>& out);

}  // namespace penstock::telemetry
