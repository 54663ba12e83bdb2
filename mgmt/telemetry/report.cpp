#include "mgmt/telemetry/report.h"

#include <algorithm>

namespace penstock::telemetry {
namespace {

constexpr std::uint64_t kBeatAgeMaxNs = 1'000'000'000;

void judge_dataplane(const Report& report, std::vector<std::string>& down, std::vector<std::string>& degraded) {
  if (!report.dataplane.connected) {
    down.push_back("dataplane is " + report.dataplane.state +
                   (report.dataplane.last_exit.empty() ? "" : " (" + report.dataplane.last_exit + ")") +
                   (report.fallback_installed ? "; the kernel path serves the services" : ""));
    return;
  }
  for (const WorkerReport& worker : report.workers)
    if (worker.beat_age_ns > kBeatAgeMaxNs)
      degraded.push_back("worker " + std::to_string(worker.index) + " has not been seen for " +
                         std::to_string(worker.beat_age_ns / 1'000'000) + " ms");
  if (report.config.epoch_active != report.config.epoch_compiled)
    degraded.push_back("configuration epoch " + std::to_string(report.config.epoch_compiled) +
                       " is not active yet (workers use " + std::to_string(report.config.epoch_active) + ")");
}

void judge_ports(const Report& report, std::vector<std::string>& down, std::vector<std::string>& degraded) {
  std::size_t steering = 0;
  for (const PortReport& port : report.ports) {
    const bool steers = port.steering.value_or(port.served);
    steering += steers ? 1 : 0;
    if (steers || (port.optional && !port.present)) continue;
    const std::string why = !port.error.empty() ? port.error
                            : !port.present     ? "the interface is absent"
                            : !port.attached    ? "the program is not attached"
                            : !port.served      ? "the dataplane does not serve it"
                                                : "steering is off";
    degraded.push_back("port " + port.name + ": " + why);
  }
  if (steering == 0 && !report.ports.empty()) down.push_back("no port steers");
}

}  // namespace

bool serves(const ListenerReport& listener, const EndpointReport& endpoint) {
  const auto& routed = listener.clusters;
  return endpoint.cluster == listener.cluster ||
         std::find(routed.begin(), routed.end(), endpoint.cluster) != routed.end();
}

std::unordered_set<std::string_view> http_clusters(const Report& report) {
  std::unordered_set<std::string_view> out;
  for (const ListenerReport& listener : report.listeners)
    if (listener.http) out.insert(listener.clusters.begin(), listener.clusters.end());
  return out;
}

void judge(Report& report) {
  std::vector<std::string> down;
  std::vector<std::string> degraded;
  judge_dataplane(report, down, degraded);
  judge_ports(report, down, degraded);
  if (report.daemon_pid == 0) degraded.emplace_back("penstockd is not running");
  if (!report.config.last_reload_ok) degraded.push_back("last reload was refused: " + report.config.last_error);
  if (report.fallback_wanted && !report.fallback_installed)
    degraded.push_back("the kernel fallback is not installed" +
                       (report.fallback_error.empty() ? std::string{} : ": " + report.fallback_error));
  report.verdict = !down.empty() ? "down" : !degraded.empty() ? "degraded" : "ok";
  report.reasons = std::move(down);
  report.reasons.insert(report.reasons.end(), degraded.begin(), degraded.end());
}

}  // namespace penstock::telemetry
