#include "mgmt/cli/direct.h"

#include <time.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

#include "mgmt/compile/compiler.h"
#include "mgmt/config/loader.h"
#include "mgmt/telemetry/sampler.h"
#include "mgmt/telemetry/thread_times.h"

namespace penstock::cli {
namespace {

Instant now() {
  timespec t{};
  ::clock_gettime(CLOCK_MONOTONIC, &t);
  return Instant{std::chrono::seconds{t.tv_sec} + std::chrono::nanoseconds{t.tv_nsec}};
}

std::string slurp(const std::filesystem::path& path) {
  std::ifstream file{path};
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

/// Listeners, endpoints and bounds of the last good configuration, under the ids and slots that the daemon gave them.
void name_things(const std::filesystem::path& directory, const publish::ReaderView& reader, telemetry::Report& report) {
  const control::SegmentView& segment = reader.segment.view;
  const auto config = config::load_text(slurp(directory / "last-good.yaml"), "last-good.yaml", config::this_machine());
  if (!config) return;
  compile::Compiler compiler;
  if (!compiler.restore_ids(slurp(directory / "ids"))) return;
  const auto compiled = compiler.compile(*config);
  if (!compiled) return;
  report.proxy =
      telemetry::proxy_report(compiled->content.node, telemetry::ArenaMappings::open(reader.connection_arenas).views);
  for (const auto& info : compiled->listeners) {
    const config::Listener* described = config::find_listener(*config, info.name);
    telemetry::ListenerReport listener;
    listener.id = info.id;
    listener.name = info.name;
    listener.address = info.address;
    listener.port = info.port;
    listener.proto = info.protocol;
    listener.cluster = info.cluster;
    listener.steered = std::nullopt;
    listener.values = telemetry::slot_values(segment, info.stat_slot);
    if (described != nullptr) {
      listener.mode = described->mode;
      listener.forwarding = described->forwarding;
      listener.policy = described->policy;
      listener.http = described->application == config::Application::http;
      for (const std::string_view name : config::clusters_of(*described)) listener.clusters.emplace_back(name);
    }
    report.listeners.push_back(std::move(listener));
  }
  const auto with_requests = telemetry::http_clusters(report);
  for (const auto& info : compiled->endpoints) {
    report.endpoints.push_back({.cluster = info.cluster,
                                .address = info.address,
                                .port = info.port,
                                .weight = info.weight,
                                .resolved = std::nullopt,
                                .values = telemetry::slot_values(segment, info.stat_slot)});
    if (with_requests.contains(info.cluster))
      report.endpoints.back().http = telemetry::http_endpoint_report(segment, info.stat_slot);
  }
}

}  // namespace

telemetry::FlowList DirectView::flows(const telemetry::FlowFilter& filter) const {
  const auto arenas = telemetry::ArenaMappings::open(reader.arenas);
  return telemetry::read_flows(arenas.views, filter, CoarseMs::of(now()).ms);
}

telemetry::ConnectionList DirectView::connections(const telemetry::FlowFilter& filter) const {
  const auto arenas = telemetry::ArenaMappings::open(reader.connection_arenas);
  return telemetry::read_connections(arenas.views, filter, CoarseMs::of(now()).ms);
}

Result<DirectView> open_direct(const std::string& api_socket) {
  const std::filesystem::path directory = std::filesystem::path{api_socket}.parent_path();
  auto reader = publish::open_reader(directory / "dataplane.sock", std::chrono::seconds{2});
  if (!reader) return reader.error();
  DirectView view{std::move(*reader), {}};
  const control::v1::Hello& hello = view.reader.message;
  const control::SegmentView& segment = view.reader.segment.view;
  const auto pid = static_cast<pid_t>(hello.pid());
  telemetry::Sampler sampler;
  sampler.sample(segment, pid, now());
  std::this_thread::sleep_for(kSampleGap);
  sampler.sample(segment, pid, now());
  telemetry::Report& report = view.report;
  report.dataplane.state = "running";
  report.dataplane.connected = true;
  report.dataplane.pid = hello.pid();
  report.dataplane.uptime_seconds = telemetry::process_age_seconds(pid);
  report.dataplane.hugepages = hello.hugepages();
  report.warnings.assign(hello.warnings().begin(), hello.warnings().end());
  report.dataplane.boot_epoch = hello.boot_epoch();
  report.dataplane.build = hello.build();
  report.config.epoch_active = telemetry::active_epoch(segment);
  report.config.epoch_compiled = report.config.epoch_acknowledged = hello.epoch();
  report.workers = sampler.workers(segment, now());
  report.drops = telemetry::drop_values(segment);
  for (const control::v1::PortState& told : hello.ports()) {
    telemetry::PortReport port;
    port.name = told.name();
    port.index = told.index();
    port.ifindex = told.ifindex();
    port.queues = told.queues();
    port.present = port.attached = port.served = told.up();
    port.steering = port.redirect_target = std::nullopt;
    port.values = telemetry::port_values(segment, told.index());
    report.ports.push_back(std::move(port));
  }
  name_things(directory, view.reader, report);
  telemetry::judge(report);
  return view;
}

}  // namespace penstock::cli
