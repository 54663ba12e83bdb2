#include "mgmt/telemetry/report_json.h"

#include <algorithm>

#include "bpf/abi/steer_reasons.h"

namespace penstock::telemetry {
namespace {

using Json = nlohmann::ordered_json;

template <typename Table, typename Values>
void put_rows(Json& into, const Table& table, const Values& values) {
  for (std::size_t i = 0; i < table.size(); ++i)
    into[std::string{table[i].name}] = table[i].divisor == 1 ? Json(values[i]) : Json(table[i].scaled(values[i]));
}

Json number_or_null(const std::optional<double>& value) { return value ? Json(*value) : Json(nullptr); }

const char* text_of(control::Forwarding forwarding) {
  return forwarding == control::Forwarding::dnat ? "dnat" : "fullnat";
}
const char* tier_of(bool proxied) { return proxied ? "proxy" : "l4"; }
const char* tier_of(const FlowRow& row) {
  if (row.spliced) return "splice";
  return row.forwarded ? "xdp" : tier_of(row.proxied);
}
const char* text_of(control::Policy policy) {
  switch (policy) {
    case control::Policy::allow:
      return "allow";
    case control::Policy::deny:
      return "deny";
    case control::Policy::ask:
      return "ask";
  }
  return "unknown";
}
const char* text_of(IpProto proto) { return proto == IpProto::tcp ? "tcp" : proto == IpProto::udp ? "udp" : "other"; }

Json worker_json(const WorkerReport& worker) {
  Json out;
  out["index"] = worker.index;
  out["beat_age_milliseconds"] = worker.beat_age_ns / 1'000'000;
  out["busy_percent"] = number_or_null(worker.busy_percent);
  out["thread_cpu_percent"] = number_or_null(worker.thread_cpu_percent);
  out["nanoseconds_per_frame"] = number_or_null(worker.nanoseconds_per_frame);
  put_rows(out, kWorkerMetrics, worker.values);
  return out;
}

Json steer_json(const SteerValues& values) {
  Json out = Json::object();
  for (std::size_t i = 0; i < values.size(); ++i) out[std::string{kSteerReasons[i].name}] = values[i];
  return out;
}

Json port_json(const PortReport& port) {
  std::uint64_t steered = 0;
  std::uint64_t passed = 0;
  for (std::size_t i = 0; i < port.steer.size(); ++i)
    (kSteerReasons[i].to == SteeredTo::kernel ? passed : steered) += port.steer[i];
  Json out{{"name", port.name},
           {"netns", port.netns},
           {"index", port.index},
           {"ifindex", port.ifindex},
           {"queues", port.queues},
           {"present", port.present},
           {"attached", port.attached},
           {"served", port.served},
           {"steering", port.steering ? Json(*port.steering) : Json(nullptr)},
           {"redirect_target", port.redirect_target ? Json(*port.redirect_target) : Json(nullptr)},
           {"redirect_obstacle", port.redirect_obstacle},
           {"optional", port.optional},
           {"mode", port.mode},
           {"self_test", port.self_test},
           {"error", port.error},
           {"steered_frames", steered},
           {"passed_frames", passed}};
  put_rows(out, kPortMetrics, port.values);
  out["reasons"] = steer_json(port.steer);
  return out;
}

Json listener_json(const ListenerReport& listener) {
  Json out{{"name", listener.name},
           {"address", listener.address.text()},
           {"port", listener.port},
           {"protocol", text_of(listener.proto)},
           {"cluster", listener.cluster},
           {"forwarding", text_of(listener.forwarding)},
           {"policy", text_of(listener.policy)},
           {"tier", tier_of(listener.mode == control::ListenerMode::proxy)},
           {"http", listener.http},
           {"clusters", listener.clusters},
           {"steered", listener.steered ? Json(*listener.steered) : Json(nullptr)},
           {"draining", listener.draining}};
  put_rows(out, kSlotMetrics, listener.values);
  return out;
}

Json endpoint_json(const EndpointReport& endpoint) {
  Json out{{"cluster", endpoint.cluster},
           {"address", endpoint.address.text()},
           {"port", endpoint.port},
           {"weight", endpoint.weight},
           {"resolved", endpoint.resolved ? Json(*endpoint.resolved) : Json(nullptr)},
           {"mac", endpoint.mac},
           {"health", endpoint.health},
           {"health_reason", endpoint.health_reason},
           {"checks_good_total", endpoint.checks_good},
           {"checks_bad_total", endpoint.checks_bad},
           {"health_changes_total", endpoint.health_changes}};
  put_rows(out, kSlotMetrics, endpoint.values);
  put_rows(out, kHttpEndpointMetrics, endpoint.http.values);
  for (std::size_t i = 0; i + 1 < kStatusClasses.size(); ++i)  // 5xx is one of the rows
    out["http_responses_" + std::string{kStatusClasses[i]} + "_total"] = endpoint.http.by_class[i];
  const LatencyValues& latency = endpoint.http.latency;
  out["http_latency_p50_microseconds"] = latency_quantile_us(latency, 0.5);
  out["http_latency_p99_microseconds"] = latency_quantile_us(latency, 0.99);
  std::size_t used = latency.size();  // most endpoints use few of them, and some none
  while (used > 0 && latency[used - 1] == 0) --used;
  out["http_latency_buckets"] = std::vector<std::uint64_t>(latency.data(), latency.data() + used);
  return out;
}

template <typename Items, typename Render>
Json list_of(const Items& items, Render render) {
  Json out = Json::array();
  for (const auto& item : items) out.push_back(render(item));
  return out;
}

std::uint64_t proxy_sum(const Report& report, std::size_t row) {
  std::uint64_t out = 0;
  for (const WorkerReport& worker : report.workers) out += worker.proxy[row];
  return out;
}

Json proxy_json(const Report& report) {
  const auto sum = [&](std::size_t row) { return proxy_sum(report, row); };
  return {{"active", sum(kProxyActive)},
          {"limit", report.proxy.connections_limit},
          {"configured", report.proxy.connections_configured},
          {"reserved", report.proxy.connections_reserved},
          {"half_open", sum(kProxyHalfOpen)},
          {"half_open_max", report.proxy.half_open_max},
          {"time_wait", sum(kProxyTimeWait)},
          {"refused_full", sum(kProxyRefusedFull)},
          {"buffer_octets", report.proxy.buffer_octets},
          {"lent_buffers", sum(kProxyLent)},
          {"entries_in_use", sum(kProxyEntries)},
          {"blocks_in_use", sum(kProxyBlocks)},
          {"memory_dropped", sum(kProxyMemoryDropped)},
          {"window_clamped", sum(kProxyWindowClamped)},
          {"shed", sum(kProxyShed)}};
}

std::string listener_name(const Report& report, std::uint32_t id) {
  for (const ListenerReport& listener : report.listeners)
    if (listener.id == id) return listener.name;
  return std::to_string(id);
}

Json leg_json(const control::LegRecord& leg) {
  const auto flag = [&](control::LegFlags bit) { return (leg.flags & bit) != 0; };
  return {{"state", control::name_of(leg.state)},
          {"sack", flag(control::kLegSack)},
          {"timestamps", flag(control::kLegTimestamps)},
          {"window_scaling", flag(control::kLegScaling)},
          {"recovering", flag(control::kLegRecovery)},
          {"mss_octets", leg.mss},
          {"srtt_microseconds", leg.srtt_us},
          {"rttvar_microseconds", leg.rttvar_us},
          {"min_rtt_microseconds", leg.min_rtt_us},
          {"rto_milliseconds", leg.rto_ms},
          {"cwnd_octets", leg.cwnd_octets},
          {"ssthresh_octets", leg.ssthresh_octets},
          {"flight_octets", leg.flight_octets},
          {"queued_octets", leg.queued_octets},
          {"send_window_octets", leg.send_window_octets},
          {"receive_window_octets", leg.receive_window_octets},
          {"retransmitted_segments", leg.retransmitted_segments},
          {"octets_received", leg.octets_received},
          {"octets_sent", leg.octets_sent}};
}

Json drops_json(const DropValues& drops) {
  Json out = Json::object();
  for (std::size_t i = 1; i < drops.size(); ++i) out[std::string{kDropReasons[i].name}] = drops[i];
  return out;
}

}  // namespace

Json status_json(const Report& report) {
  std::uint64_t active = 0;
  std::uint64_t capacity = 0;
  for (const WorkerReport& worker : report.workers) {
    active += worker.values[kWorkerFlowsActive];
    capacity += worker.values[kWorkerFlowsCapacity];
  }
  const ConfigReport& config = report.config;
  const DataplaneReport& dataplane = report.dataplane;
  Json out;
  out["verdict"] = report.verdict;
  out["reasons"] = report.reasons;
  out["warnings"] = report.warnings;
  out["daemon"] = {{"running", report.daemon_pid != 0},
                   {"pid", report.daemon_pid},
                   {"uptime_seconds", report.daemon_uptime_seconds}};
  out["config"] = {{"file", config.file},
                   {"generation", config.generation},
                   {"last_reload_seconds", config.last_reload_seconds},
                   {"last_reload_ok", config.last_reload_ok},
                   {"last_error", config.last_error}};
  out["epochs"] = {{"compiled", config.epoch_compiled},
                   {"acknowledged", config.epoch_acknowledged},
                   {"active", config.epoch_active}};
  out["dataplane"] = {{"state", dataplane.state},
                      {"pid", dataplane.pid},
                      {"uptime_seconds", dataplane.uptime_seconds},
                      {"restarts", dataplane.restarts},
                      {"last_exit", dataplane.last_exit},
                      {"connected", dataplane.connected},
                      {"adopted", dataplane.adopted},
                      {"hugepages", dataplane.hugepages},
                      {"boot_epoch", dataplane.boot_epoch},
                      {"build", dataplane.build}};
  out["fallback"] = {
      {"wanted", report.fallback_wanted}, {"installed", report.fallback_installed}, {"error", report.fallback_error}};
  out["flows"] = {{"active", active}, {"capacity", capacity}};
  out["proxy"] = proxy_json(report);
  out["decisions"] = {{"asked", report.decisions.asked},
                      {"allowed", report.decisions.allowed},
                      {"denied", report.decisions.denied},
                      {"answers_lost", report.decisions.answers_lost}};
  out["workers"] = list_of(report.workers, worker_json);
  out["ports"] = list_of(report.ports, port_json);
  out["listeners"] = list_of(report.listeners, listener_json);
  out["endpoints"] = list_of(report.endpoints, endpoint_json);
  out["drops"] = drops_json(report.drops);
  return out;
}

Json services_json(const Report& report) {
  Json services = Json::array();
  for (const ListenerReport& listener : report.listeners) {
    Json service = listener_json(listener);
    service["endpoints"] = Json::array();
    for (const EndpointReport& endpoint : report.endpoints)
      if (serves(listener, endpoint)) service["endpoints"].push_back(endpoint_json(endpoint));
    services.push_back(std::move(service));
  }
  return {{"services", std::move(services)}};
}

Json counters_json(const Report& report) {
  Json out;
  out["drops"] = drops_json(report.drops);
  out["workers"] = Json::array();
  for (const WorkerReport& worker : report.workers) {
    Json row{{"index", worker.index}};
    put_rows(row, kWorkerMetrics, worker.values);
    row["proxy"] = Json::object();
    put_rows(row["proxy"], kProxyMetrics, worker.proxy);
    out["workers"].push_back(std::move(row));
  }
  out["ports"] = Json::array();
  for (const PortReport& port : report.ports) {
    Json row{{"name", port.name}};
    put_rows(row, kPortMetrics, port.values);
    row["reasons"] = steer_json(port.steer);
    out["ports"].push_back(std::move(row));
  }
  return out;
}

Json flows_json(const FlowList& flows, const Report& report) {
  const auto port_name = [&](std::uint32_t index) {
    for (const PortReport& port : report.ports)
      if (port.index == index) return port.name;
    return std::to_string(index);
  };
  Json out{{"active", flows.active}, {"matched", flows.matched}, {"flows", Json::array()}};
  for (const FlowRow& row : flows.rows)
    out["flows"].push_back({{"service_name", listener_name(report, row.listener_id)},
                            {"tier", tier_of(row)},
                            {"protocol", text_of(row.proto)},
                            {"client", host_port_text(row.client, row.client_port)},
                            {"service", host_port_text(row.service, row.service_port)},
                            {"source", host_port_text(row.source, row.source_port)},
                            {"endpoint", host_port_text(row.endpoint, row.endpoint_port)},
                            {"state", control::name_of(row.state)},
                            {"worker", row.worker},
                            {"port", port_name(row.out_port)},
                            {"age_milliseconds", row.age_ms},
                            {"idle_milliseconds", row.idle_ms},
                            {"packets_forward", row.packets_forward},
                            {"packets_reverse", row.packets_reverse},
                            {"octets_forward", row.octets_forward},
                            {"octets_reverse", row.octets_reverse}});
  return out;
}

Json connections_json(const ConnectionList& connections, const Report& report) {
  Json out{{"active", connections.active}, {"matched", connections.matched}, {"connections", Json::array()}};
  for (const ConnectionRow& row : connections.rows)
    out["connections"].push_back({{"service_name", listener_name(report, row.listener_id)},
                                  {"client", host_port_text(row.client, row.client_port)},
                                  {"service", host_port_text(row.service, row.service_port)},
                                  {"source", host_port_text(row.source, row.source_port)},
                                  {"endpoint", host_port_text(row.endpoint, row.endpoint_port)},
                                  {"worker", row.worker},
                                  {"age_milliseconds", row.age_ms},
                                  {"updated_milliseconds_ago", row.updated_ms},
                                  {"downstream", leg_json(row.downstream)},
                                  {"upstream", leg_json(row.upstream)}});
  return out;
}

Json problem_list(const Problems& problems) {
  return list_of(problems, [](const Problem& problem) {
    return Json{{"place", problem.place}, {"what", problem.what}, {"remedy", problem.remedy}};
  });
}

Json problems_json(const Problems& problems) { return {{"problems", problem_list(problems)}}; }

}  // namespace penstock::telemetry
