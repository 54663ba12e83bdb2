// What status, metrics and listings say about the running daemon.
#include <unistd.h>

#include <algorithm>
#include <map>

#include "mgmt/daemon/clock.h"
#include "mgmt/daemon/daemon.h"
#include "mgmt/telemetry/thread_times.h"

namespace penstock::daemon {
namespace {

namespace v1 = control::v1;

const v1::NextHopState* next_hop_of(const v1::State& state, const IpAddress& address) {
  for (const v1::NextHopState& hop : state.next_hops())
    if (hop.address().size() == address.octets.size() &&
        std::equal(address.octets.begin(), address.octets.end(), hop.address().begin(),
                   [](std::uint8_t a, char b) { return a == static_cast<std::uint8_t>(b); }))
      return &hop;
  return nullptr;
}

std::string mac_text(const std::string& octets) {
  MacAddress mac;
  if (octets.size() != mac.octets.size()) return "";
  std::copy(octets.begin(), octets.end(), mac.octets.begin());
  return mac.text();
}

const char* text_of(health::State state) {
  switch (state) {
    case health::State::unknown:
      return "unknown";
    case health::State::healthy:
      return "healthy";
    case health::State::unhealthy:
      return "unhealthy";
  }
  return "unknown";
}

std::uint64_t seconds_since(Instant then) {
  return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::seconds>(now() - then).count());
}

}  // namespace

void Daemon::report_ports(telemetry::Report& report) const {
  const DataplaneClient::Pointer dataplane = client();
  std::map<std::uint32_t, kernel::PortStatus> attached;
  for (kernel::PortStatus& status : kernel_->steering().ports()) attached.emplace(status.port_index, std::move(status));
  for (const PortState& state : ports_->ports()) {
    telemetry::PortReport port;
    port.name = state.config.name;
    port.netns = state.config.netns.value_or("");
    port.index = state.index;
    port.ifindex = state.link ? state.link->ifindex : 0;
    port.queues = state.queues;
    port.present = state.link.has_value();
    port.attached = state.attached;
    port.served = state.served;
    port.steering = state.attached && state.enabled && state.served;
    if (const auto known = attached.find(state.index); state.attached && known != attached.end()) {
      port.redirect_target = known->second.redirect_target;
      port.redirect_obstacle = known->second.redirect_obstacle;
    }
    port.optional = state.config.optional;
    port.mode = !state.attached ? "" : state.generic ? "generic" : "native";
    port.self_test = state.self_test;
    port.error = state.error;
    if (dataplane) port.values = telemetry::port_values(dataplane->segment(), state.index);
    if (state.attached)
      if (const auto counters = kernel_->steering().counters(state.index)) port.steer = *counters;
    report.ports.push_back(std::move(port));
  }
}

void Daemon::report_listeners(telemetry::Report& report) const {
  const DataplaneClient::Pointer dataplane = client();
  const config::Config& config = publisher_->config();
  for (const compile::ListenerInfo& info : publisher_->compiled().listeners) {
    telemetry::ListenerReport listener;
    listener.id = info.id;
    listener.name = info.name;
    listener.address = info.address;
    listener.port = info.port;
    listener.proto = info.protocol;
    listener.cluster = info.cluster;
    listener.draining = info.draining;
    listener.steered = kernel_->steers(info.address, info.port, info.protocol);
    const config::Listener* described = info.draining ? nullptr : config::find_listener(config, info.name);
    for (const compile::DrainingListener& draining : publisher_->draining().listeners)
      if (info.draining && draining.listener.name == info.name) described = &draining.listener;
    if (described != nullptr) {
      listener.http = described->application == config::Application::http;
      for (const std::string_view name : config::clusters_of(*described)) listener.clusters.emplace_back(name);
      listener.mode = described->mode;
      listener.forwarding = described->forwarding;
      listener.policy = described->policy;
    }
    if (dataplane) listener.values = telemetry::slot_values(dataplane->segment(), info.stat_slot);
    report.listeners.push_back(std::move(listener));
  }
}

void Daemon::report_endpoints(telemetry::Report& report) const {
  const DataplaneClient::Pointer dataplane = client();
  const auto with_requests = telemetry::http_clusters(report);
  for (const compile::EndpointInfo& info : publisher_->compiled().endpoints) {
    telemetry::EndpointReport endpoint;
    endpoint.cluster = info.cluster;
    endpoint.address = info.address;
    endpoint.port = info.port;
    endpoint.weight = info.weight;
    const health::EndpointState health = checker_.state_of(info.cluster, info.address, info.port);
    if (health.checked) endpoint.health = text_of(health.state);
    endpoint.health_reason = health.reason;
    endpoint.checks_good = health.good;
    endpoint.checks_bad = health.bad;
    endpoint.health_changes = health.changes;
    if (const v1::NextHopState* hop = next_hop_of(dataplane_state_, info.address)) {
      endpoint.resolved = hop->resolved();
      endpoint.mac = mac_text(hop->mac());
    }
    if (dataplane) endpoint.values = telemetry::slot_values(dataplane->segment(), info.stat_slot);
    if (dataplane && with_requests.contains(endpoint.cluster))
      endpoint.http = telemetry::http_endpoint_report(dataplane->segment(), info.stat_slot);
    report.endpoints.push_back(std::move(endpoint));
  }
}

void Daemon::report_http(telemetry::Report& report) const {
  using Kind = compile::HttpSlotInfo::Kind;
  for (const compile::HttpSlotInfo& info : publisher_->compiled().http_slots) {
    telemetry::HttpSlotReport slot;
    slot.kind = info.kind == Kind::listener  ? "listener"
                : info.kind == Kind::cluster ? "cluster"
                : info.kind == Kind::route   ? "route"
                                             : "other";
    slot.listener = info.listener;
    slot.host = info.host;
    slot.route = info.route;
    slot.cluster = info.cluster;
    slot.slot = info.slot;
    report.http.slots.push_back(std::move(slot));
  }
  if (const DataplaneClient::Pointer dataplane = client()) telemetry::read_http(dataplane->segment(), report.http);
  report.access = access_counts_;
  if (!access_file_)
    report.warnings.push_back("the access log cannot be written: " + publisher_->config().node.access_log.file);
}

/// Clusters that use unhealthy endpoints since too few are healthy.
void Daemon::warn_of_panic(telemetry::Report& report) const {
  const auto& clusters = publisher_->config().clusters;
  const auto& records = publisher_->compiled().content.clusters;
  for (std::size_t i = 0; i < clusters.size() && i < records.size(); ++i)
    if ((records[i].flags & control::kClusterPanic) != 0)
      report.warnings.push_back("cluster " + clusters[i].name + ": less than " +
                                std::to_string(clusters[i].panic_threshold) +
                                " % of its weight is healthy, so all endpoints are used");
}

telemetry::Report Daemon::report() {
  telemetry::Report report;
  report.daemon_pid = static_cast<std::uint32_t>(::getpid());
  report.daemon_uptime_seconds = seconds_since(started_);
  report.config = config_report_;
  report.decisions = decisions_;
  report.warnings = start_warnings_;
  report.warnings.insert(report.warnings.end(), adopted_warnings_.begin(), adopted_warnings_.end());
  report.dataplane.state = supervisor_ ? supervisor_->state() : "stopped";
  if (supervisor_) {
    report.dataplane.pid = static_cast<std::uint32_t>(supervisor_->pid());
    report.dataplane.restarts = supervisor_->restarts();
    report.dataplane.last_exit = supervisor_->last_exit();
    report.dataplane.adopted = supervisor_->adopted();
  }
  if (const DataplaneClient::Pointer dataplane = client()) {
    const v1::Hello& hello = dataplane->hello().message;
    report.dataplane.connected = dataplane->connected();
    report.dataplane.uptime_seconds = telemetry::process_age_seconds(dataplane->pid());
    report.dataplane.hugepages = hello.hugepages();
    report.warnings.insert(report.warnings.end(), hello.warnings().begin(), hello.warnings().end());
    report.dataplane.boot_epoch = hello.boot_epoch();
    report.dataplane.build = hello.build();
    report.workers = sampler_.workers(dataplane->segment(), now());
    report.drops = telemetry::drop_values(dataplane->segment());
    report.config.epoch_active = telemetry::active_epoch(dataplane->segment());
  }
  if (publisher_) {
    if (const DataplaneClient::Pointer dataplane = client())
      report.proxy =
          telemetry::proxy_report(publisher_->compiled().content.node,
                                  telemetry::ArenaMappings::open(dataplane->hello().connection_arenas).views);
    report.config.epoch_compiled = publisher_->epoch_compiled();
    report.config.epoch_acknowledged = publisher_->epoch_acknowledged();
    report.fallback_wanted = publisher_->config().node.fallback;
    report.fallback_installed = publisher_->fallback_installed();
    report.fallback_error = publisher_->fallback_error();
    report_listeners(report);
    report_endpoints(report);
    report_http(report);
    warn_of_panic(report);
  }
  if (ports_) report_ports(report);
  telemetry::judge(report);
  return report;
}

telemetry::FlowList Daemon::flows(const telemetry::FlowFilter& filter) {
  const DataplaneClient::Pointer dataplane = client();
  if (!dataplane) return {};
  const auto arenas = telemetry::ArenaMappings::open(dataplane->hello().arenas);
  return telemetry::read_flows(arenas.views, filter, CoarseMs::of(now()).ms);
}

telemetry::ConnectionList Daemon::connections(const telemetry::FlowFilter& filter) {
  const DataplaneClient::Pointer dataplane = client();
  if (!dataplane) return {};
  const auto arenas = telemetry::ArenaMappings::open(dataplane->hello().connection_arenas);
  return telemetry::read_connections(arenas.views, filter, CoarseMs::of(now()).ms);
}

bool Daemon::ready() {
  return started_up_ && in_force_ && client() && client()->connected() && ports_->all_required_steer() &&
         telemetry::active_epoch(client()->segment()) == publisher_->epoch_compiled();
}

}  // namespace penstock::daemon
