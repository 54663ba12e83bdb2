#include "mgmt/telemetry/metrics.h"

#include <functional>

#include "bpf/abi/steer_reasons.h"
#include "mgmt/telemetry/families.h"
#include "mgmt/telemetry/flow_reader.h"
#include "mgmt/telemetry/version.h"

namespace penstock::telemetry {
namespace {

constexpr auto kValues = [](const auto& item) -> const auto& { return item.values; };

/// One family per row; one metric per item.
template <typename Table, typename Items, typename LabelsOf, typename ValuesOf = decltype(kValues)>
void add_table(std::vector<MetricFamily>& out, std::string_view prefix, const Table& table, const Items& items,
               LabelsOf labels_of, ValuesOf values_of = kValues) {
  for (std::size_t row = 0; row < table.size(); ++row) {
    MetricFamily family =
        family_of(std::string{prefix} + std::string{table[row].name}, table[row].type, table[row].meaning);
    for (const auto& item : items) add_value(family, table[row].scaled(values_of(item)[row]), labels_of(item));
    out.push_back(std::move(family));
  }
}

Labels port_labels(const PortReport& port) {
  Labels labels{{"port", port.name}};
  if (!port.netns.empty()) labels.push_back({"netns", port.netns});
  return labels;
}

void endpoint_health(const Report& r, MetricFamily& f) {
  for (const EndpointReport& e : r.endpoints)
    if (e.health == "healthy" || e.health == "unhealthy") add_value(f, e.health == "healthy" ? 1 : 0, labels_of(e));
}
void endpoint_checks(const Report& r, MetricFamily& f) {
  for (const EndpointReport& e : r.endpoints) {
    if (e.health.empty()) continue;
    for (const auto& [result, value] : {std::pair{"good", e.checks_good}, std::pair{"bad", e.checks_bad}}) {
      Labels labels = labels_of(e);
      labels.push_back({"result", result});
      add_value(f, static_cast<double>(value), std::move(labels));
    }
  }
}
void endpoint_health_changes(const Report& r, MetricFamily& f) {
  for (const EndpointReport& e : r.endpoints)
    if (!e.health.empty()) add_value(f, static_cast<double>(e.health_changes), labels_of(e));
}

using Filler = std::function<void(const Report&, MetricFamily&)>;
/// How each row of kDaemonMetrics gets its values, in order.
const std::array<Filler, kDaemonMetrics.size()>& fillers() {
  static const std::array<Filler, kDaemonMetrics.size()> kFillers{
      [](const Report& r, MetricFamily& f) {
        add_value(f, 1, {{"version", kVersion}, {"build", kBuild}, {"dataplane_build", r.dataplane.build}});
      },
      [](const Report& r, MetricFamily& f) { add_value(f, r.verdict == "ok" ? 1 : 0, {}); },
      [](const Report& r, MetricFamily& f) { add_value(f, r.dataplane.connected ? 1 : 0, {}); },
      [](const Report& r, MetricFamily& f) { add_value(f, static_cast<double>(r.dataplane.restarts), {}); },
      [](const Report& r, MetricFamily& f) { add_value(f, static_cast<double>(r.config.generation), {}); },
      [](const Report& r, MetricFamily& f) { add_value(f, r.config.last_reload_ok ? 1 : 0, {}); },
      [](const Report& r, MetricFamily& f) { add_value(f, static_cast<double>(r.config.last_reload_seconds), {}); },
      [](const Report& r, MetricFamily& f) {
        add_value(f, static_cast<double>(r.config.epoch_compiled), {{"state", "compiled"}});
        add_value(f, static_cast<double>(r.config.epoch_acknowledged), {{"state", "acknowledged"}});
        add_value(f, static_cast<double>(r.config.epoch_active), {{"state", "active"}});
      },
      [](const Report& r, MetricFamily& f) {
        add_value(f, static_cast<double>(r.decisions.allowed), {{"decision", "allow"}});
        add_value(f, static_cast<double>(r.decisions.denied), {{"decision", "deny"}});
      },
      [](const Report& r, MetricFamily& f) { add_value(f, static_cast<double>(r.decisions.answers_lost), {}); },
      [](const Report& r, MetricFamily& f) {
        for (const PortReport& port : r.ports) add_value(f, port.steering.value_or(false) ? 1 : 0, port_labels(port));
      },
      [](const Report& r, MetricFamily& f) {
        for (const PortReport& port : r.ports)
          for (std::size_t i = 0; i < port.steer.size(); ++i) {
            Labels labels = port_labels(port);
            labels.push_back({"reason", std::string{kSteerReasons[i].name}});
            add_value(f, static_cast<double>(port.steer[i]), std::move(labels));
          }
      },
      [](const Report& r, MetricFamily& f) {
        for (std::size_t i = 1; i < r.drops.size(); ++i)  // 0 is "not dropped"
          add_value(f, static_cast<double>(r.drops[i]), {{"reason", std::string{kDropReasons[i].name}}});
      },
      [](const Report& r, MetricFamily& f) { add_value(f, static_cast<double>(r.proxy.connections_limit), {}); },
      [](const Report& r, MetricFamily& f) { add_value(f, static_cast<double>(r.access.lines), {}); },
      [](const Report& r, MetricFamily& f) { add_value(f, static_cast<double>(r.access.lines_lost), {}); },
      endpoint_health,
      endpoint_checks,
      endpoint_health_changes,
      [](const Report& r, MetricFamily& f) {
        for (const WorkerReport& worker : r.workers)
          add_value(f, static_cast<double>(worker.beat_age_ns) / 1e9, {{"worker", std::to_string(worker.index)}});
      },
  };
  return kFillers;
}

}  // namespace

std::string metrics_text(const Report& report) {
  std::vector<MetricFamily> families;
  for (std::size_t i = 0; i < kDaemonMetrics.size(); ++i) {
    MetricFamily family =
        family_of(std::string{kDaemonMetrics[i].name}, kDaemonMetrics[i].type, kDaemonMetrics[i].meaning);
    fillers()[i](report, family);
    families.push_back(std::move(family));
  }
  const auto worker_labels = [](const WorkerReport& w) { return Labels{{"worker", std::to_string(w.index)}}; };
  add_table(families, kWorkerPrefix, kWorkerMetrics, report.workers, worker_labels);
  add_table(families, kProxyPrefix, kProxyMetrics, report.workers, worker_labels,
            [](const WorkerReport& w) -> const ProxyValues& { return w.proxy; });
  add_table(families, kPortPrefix, kPortMetrics, report.ports, port_labels);
  add_table(families, kListenerPrefix, kSlotMetrics, report.listeners, [](const ListenerReport& l) {
    return Labels{{"listener", l.name}};
  });
  add_table(families, kEndpointPrefix, kSlotMetrics, report.endpoints,
            [](const EndpointReport& e) { return labels_of(e); });
  add_endpoint_families(report, families);
  add_http_families(report.http, families);
  return exposition_text(families);
}

}  // namespace penstock::telemetry
