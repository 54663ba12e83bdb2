#include "mgmt/telemetry/counters_doc.h"

#include "bpf/abi/steer_reasons.h"
#include "mgmt/telemetry/http_table.h"
#include "mgmt/telemetry/metric_table.h"

namespace penstock::telemetry {
namespace {

std::string row(std::string_view name, std::string_view type, std::string_view meaning) {
  std::string out = "| `";
  out.append(name).append("` | ");
  if (!type.empty()) out.append(type).append(" | ");
  return out.append(meaning).append(" |\n");
}
std::string_view text_of(MetricType type) { return type == MetricType::counter ? "counter" : "gauge"; }

template <typename Table>
std::string metric_rows(std::string_view prefix, const Table& table) {
  std::string out = "| metric | type | meaning |\n|---|---|---|\n";
  for (const auto& metric : table)
    out += row(std::string{prefix} + std::string{metric.name}, text_of(metric.type), metric.meaning);
  return out + "\n";
}

template <typename Table>
std::string reason_rows(const Table& table, std::size_t first) {
  std::string out = "| reason | meaning |\n|---|---|\n";
  for (std::size_t i = first; i < table.size(); ++i) out += row(table[i].name, "", table[i].meaning);
  return out + "\n";
}

}  // namespace

std::string counters_doc() {
  std::string out =
      "# Counters\n\n"
      "This page is generated from the tables in the source; a test fails when it is out of date\n"
      "(`PENSTOCK_UPDATE_DOCS=1 ctest -R telemetry_test` writes it anew).\n"
      "`penstock counters` shows the same names without prefix; `/metrics` has them all.\n\n"
      "Every frame that the steering program sees has exactly one steering reason, and every frame that the\n"
      "dataplane drops has exactly one drop reason.\n\n";
  out += "## Steering reasons\n\n`penstock_steer_frames_total{port,reason}`, per port.\n\n" +
         reason_rows(kSteerReasons, 0);
  out += "## Drop reasons\n\n`penstock_drops_total{reason}`, over all workers.\n\n" + reason_rows(kDropReasons, 1);
  out += "## Daemon\n\n" + metric_rows("", kDaemonMetrics);
  out += "## Workers\n\nLabel `worker`.\n\n" + metric_rows(kWorkerPrefix, kWorkerMetrics);
  out += "## Proxied connections\n\nOf listeners with `mode: proxy`. Label `worker`.\n\n" +
         metric_rows(kProxyPrefix, kProxyMetrics);
  out += "## Ports\n\nLabels `port` and, for ports of other namespaces, `netns`.\n\n" +
         metric_rows(kPortPrefix, kPortMetrics);
  out += "## Listeners\n\nLabel `listener`.\n\n" + metric_rows(kListenerPrefix, kSlotMetrics);
  out += "## Endpoints\n\nLabels `cluster` and `endpoint`.\n\n" + metric_rows(kEndpointPrefix, kSlotMetrics) +
         metric_rows(kEndpointPrefix, kHttpEndpointMetrics) +
         "Only endpoints of clusters that a listener of HTTP uses have these. They also have `" +
         std::string{kEndpointPrefix} + std::string{kHttpEndpointResponses} +
         "` with label `class`\n(1xx to 5xx) and the histogram `" + std::string{kEndpointPrefix} +
         std::string{kHttpEndpointHistogram} +
         "`, of the same time, with a bucket per power of two of microseconds.\n\n";
  out +=
      "## HTTP\n\nOver all workers. `penstock_http_responses_by_detail_total{detail}` counts every request by what "
      "ended it:\n\n";
  out += "| detail |\n|---|\n";
  for (const auto& [detail, name] : control::kResponseDetails) out += "| `" + std::string{name} + "` |\n";
  out +=
      "\n`penstock_http_rejected_total{reason}` counts the messages that the parsers refused; the reasons stand in\n"
      "[http1.md](../architecture/http1.md).\n\n" +
      metric_rows(kHttpPrefix, kHttpMetrics);
  out +=
      "## HTTP listeners, routes and clusters\n\nThree sets with the same rows: `penstock_http_listener_` (label "
      "`listener`), "
      "`penstock_http_route_`\n(`listener`, `host`, `route`) and `penstock_http_cluster_` (`cluster`); what found no "
      "counter "
      "block of its own\nstands under `penstock_http_other_`. Beside these rows each has `responses_total` with label "
      "`class` "
      "(1xx to 5xx)\nand the histogram `latency_seconds`, with a bucket per power of two of microseconds.\n\n" +
      metric_rows("penstock_http_route_", kHttpSlotMetrics);
  out.pop_back();
  return out;
}

}  // namespace penstock::telemetry
