#include "mgmt/daemon/daemon.h"

#include <spdlog/spdlog.h>
#include <unistd.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <filesystem>
#include <random>

#include "mgmt/daemon/clock.h"
#include "mgmt/daemon/files.h"
#include "mgmt/daemon/saved_ids.h"
#include "mgmt/daemon/sd_notify.h"
#include "mgmt/daemon/start_check.h"

namespace penstock::daemon {
namespace {

namespace asio = boost::asio;
namespace v1 = control::v1;

constexpr std::chrono::milliseconds kTick{500};
/// How often workers are asked to beat; far below any sensible heartbeat_limit.
constexpr std::uint32_t kHeartbeatDivisor = 4;

const char* text_of(config::Hugepages hugepages) {
  switch (hugepages) {
    case config::Hugepages::automatic:
      return "auto";
    case config::Hugepages::off:
      return "off";
    case config::Hugepages::required:
      return "required";
  }
  return "auto";
}

std::vector<std::string> dataplane_arguments(const config::Node& node) {
  std::vector<std::string> out{"--control-socket",
                               node.runtime_dir + "/" + kDataplaneSocket,
                               "--workers",
                               std::to_string(node.workers),
                               "--memory-mib",
                               std::to_string(node.memory_mib),
                               "--hugepages",
                               text_of(node.hugepages),
                               "--buffers",
                               std::to_string(node.limits.buffers_per_worker),
                               "--receive-ring",
                               std::to_string(node.limits.receive_ring),
                               "--flows",
                               std::to_string(node.limits.flows_per_worker),
                               "--proxy-connections",
                               std::to_string(node.proxy.connections_per_worker)};
  std::string cpus;
  for (const std::uint16_t cpu : node.cpus) cpus += (cpus.empty() ? "" : ",") + std::to_string(cpu);
  if (!cpus.empty()) out.insert(out.end(), {"--cpus", cpus});
  return out;
}

}  // namespace

Daemon::Daemon(asio::io_context& loop, Options options, LoadedConfig loaded, std::string dataplane_binary)
    : loop_{loop},
      options_{std::move(options)},
      current_{std::move(loaded)},
      dataplane_binary_{std::move(dataplane_binary)},
      wakeup_{loop},
      tick_timer_{loop},
      checker_{loop, std::random_device{}()},
      started_{now()} {
  config_report_.file = options_.config_file;
  checker_.on_change = [this] {
    health_changed_ = true;
    wakeup_.notify();
  };
}
Daemon::~Daemon() = default;

std::string Daemon::runtime_file(const char* name) const { return current_.config.node.runtime_dir + "/" + name; }

void Daemon::request_stop() {
  stopping_ = true;
  wakeup_.notify();
}
void Daemon::request_reload() {
  reload_ = true;
  wakeup_.notify();
}
void Daemon::note_config_error(const std::string& error) {
  config_report_.last_reload_ok = false;
  config_report_.last_error = error;
}

Status Daemon::listen() {
  api_server_ = std::make_unique<api::Server>(loop_);
  metrics_server_ = std::make_unique<api::Server>(loop_);
  const config::Metrics& metrics = current_.config.node.metrics;
  Status listening = api_server_->listen_unix(runtime_file(kApiSocket), 0660,
                                              [this](api::Request request, const api::Respond& respond) {
                                                api::handle_admin(*this, std::move(request), respond);
                                              });
  if (!listening) return listening;
  return metrics_server_->listen_tcp(metrics.address, metrics.port,
                                     [this](api::Request request, const api::Respond& respond) {
                                       api::handle_metrics(*this, std::move(request), respond);
                                     });
}

void Daemon::start_supervisor() {
  const config::Node& node = current_.config.node;
  supervisor_ = std::make_unique<Supervisor>(loop_, SupervisorOptions{dataplane_binary_, runtime_file(kDataplaneSocket),
                                                                      dataplane_arguments(node), node.watchdog});
  supervisor_->on_connected = [this](const DataplaneClient::Pointer& client) {
    fresh_client_ = true;
    client->on_port_event = [this](const v1::PortEvent& event) {
      if (event.gone()) ports_->dataplane_lost_port(event.index(), event.reason());
      wakeup_.notify();
    };
    wakeup_.notify();
  };
  supervisor_->on_lost = [this](const DataplaneClient::Pointer& client, const std::string& why) { lost(client, why); };
  asio::co_spawn(loop_, supervisor_->run(), asio::detached);
}

void Daemon::lost(const DataplaneClient::Pointer& client, const std::string& why) {
  if (!started_up_ && !client) start_failure_ = why;
  // Flows that were to be restored are kept for the next process when this one never took them.
  if (client && (predecessor_arenas_.empty() || restored_)) {
    predecessor_arenas_ = std::move(client->hello().arenas);
    predecessor_boot_epoch_ = client->hello().message.boot_epoch();
  }
  pump_.reset();
  if (access_pump_) access_pump_->drain();  // what it logged last is in memory that we still have
  access_pump_.reset();
  sampler_.reset();
  dataplane_state_.Clear();
  adopted_warnings_.clear();
  forwards_told_.reset();
  fresh_client_ = in_force_ = restored_ = knows_flows_ = false;
  if (ports_) ports_->dataplane_changed(nullptr);
  wakeup_.notify();
}

/// Into the log and into status.
void warn(std::vector<std::string>& warnings, const Problem& problem) {
  spdlog::warn("{}", problem.text());
  warnings.push_back(problem.text());
}

/// What the running dataplane reserved, against what is configured now.
Problems reserved_problems_of(const DataplaneClient& client, const config::Node& node) {
  Reserved reserved;
  reserved.workers = client.segment().worker_count();
  for (std::size_t w = 0; w < reserved.workers; ++w)
    reserved.flows += client.segment().counters(w).flows_capacity.read();
  const auto arenas = telemetry::ArenaMappings::open(client.hello().connection_arenas);
  reserved.proxy_connections = telemetry::connection_room(arenas.views, ~std::uint32_t{0});
  return reserved_problems(node, reserved);
}

Task<Problems> Daemon::start() {
  for (const Problem& problem : start_warnings(current_.config)) warn(start_warnings_, problem);
  auto kernel = KernelPath::open(current_.config.node, options_.generic_xdp);
  if (!kernel) co_return Problems{kernel.error()};
  kernel_ = std::move(*kernel);
  publisher_ = std::make_unique<publish::Publisher>(*kernel_);
  ports_ = std::make_unique<PortReconciler>(loop_, kernel_->steering());
  ports_->on_change = [this] { wakeup_.notify(); };
  kernel_->local_interfaces = [this] { return ports_->local_interfaces(); };
  Problems problems;
  if (const Status listening = listen(); !listening) problems.push_back(listening.error());
  if (problems.empty()) {
    start_supervisor();
    problems = co_await first_dataplane();
  }
  if (problems.empty()) {
    started_up_ = true;
    config_report_.generation = 1;
    if (config_report_.last_reload_seconds == 0) config_report_.last_reload_seconds = unix_seconds();
    persist();
    asio::co_spawn(loop_, ticker(), asio::detached);
    sd_notify("READY=1\nSTATUS=running");
    spdlog::info("ready: {} listeners on {} ports", current_.config.listeners.size(), current_.config.ports.size());
    co_return problems;
  }
  // A dataplane that ran before this daemon goes on with what it had.
  options_.leave_running = supervisor_ && supervisor_->adopted();
  co_await stop_everything();
  co_return problems;
}

Task<Problems> Daemon::first_dataplane() {
  while (!fresh_client_ && start_failure_.empty() && !stopping_) co_await wakeup_.wait();
  if (!start_failure_.empty()) co_return Problems{{"penstock-dataplane", "did not start: " + start_failure_, ""}};
  if (stopping_) co_return Problems{{"penstockd", "stopped while starting", ""}};
  fresh_client_ = false;
  const DataplaneClient::Pointer dataplane = client();
  if (supervisor_->adopted())
    for (const Problem& problem : reserved_problems_of(*dataplane, current_.config.node))
      warn(adopted_warnings_, problem);
  if (supervisor_->adopted())
    for (const Problem& problem : restore_ids(runtime_file(kIds), publisher_->compiler()))
      warn(adopted_warnings_, problem);
  ports_->configure(current_.config.ports, dataplane.get());
  co_await ports_->reconcile(dataplane, false);
  co_await ports_->remove_strangers(dataplane);
  (void)co_await publisher_->resync(dataplane);  // notes what an adopted dataplane has
  Problems problems = co_await put_in_force(dataplane);
  if (!problems.empty()) co_return problems;
  for (const PortState& port : ports_->ports())
    if (!port.error.empty() && !port.config.optional) problems.push_back({"port " + port.config.name, port.error, ""});
  co_return problems;
}

/// The first configuration of this daemon, then heartbeats, steering, self-tests.
Task<Problems> Daemon::put_in_force(DataplaneClient::Pointer client) {
  const auto outcome = co_await publisher_->apply(current_.config, client, now());
  if (!outcome.problems.empty()) co_return outcome.problems;
  refresh_followers();
  const Status up = co_await bring_up(client);
  if (!up) co_return Problems{up.error()};
  co_return Problems{};
}

Task<void> Daemon::restore_flows(DataplaneClient& client) {
  restored_ = true;
  knows_flows_ = client.hello().message.boot_epoch() == predecessor_boot_epoch_;
  if (predecessor_arenas_.empty() || knows_flows_) co_return;
  v1::Envelope envelope;
  envelope.mutable_restore_flows()->set_arenas(static_cast<std::uint32_t>(predecessor_arenas_.size()));
  std::vector<int> fds;
  for (const Fd& arena : predecessor_arenas_) fds.push_back(arena.get());
  const Status restored = co_await client.request(std::move(envelope), std::move(fds));
  knows_flows_ = restored.ok();
  if (!restored) spdlog::error("flows of the previous dataplane are lost: {}", restored.error().text());
  predecessor_arenas_.clear();
}

/// Everything a connected dataplane needs, in the order that keeps the kernel from steering to it too early.
Task<Status> Daemon::bring_up(DataplaneClient::Pointer client) {
  if (!restored_) co_await restore_flows(*client);
  co_await ports_->reconcile(client, false);
  Status done = co_await publisher_->resync(client);
  if (!done) co_return done;
  // Flows in tier X whose records are lost would take packets of new flows with their keys.
  if (!knows_flows_) co_await tell_forwards(client);
  v1::Envelope envelope;
  const auto limit = static_cast<std::uint32_t>(current_.config.node.heartbeat_limit.count());
  envelope.mutable_heartbeats()->set_interval_ms(std::max(1u, limit / kHeartbeatDivisor));
  const std::vector<int> fds{kernel_->steering().heartbeat_fd()};
  done = co_await client->request(std::move(envelope), fds);
  if (!done) co_return done;
  pump_ = std::make_unique<QuestionPump>(loop_, client, rule_book_, http_book_, decisions_);
  access_pump_ = std::make_unique<AccessPump>(loop_, client, access_names_, access_file_, access_counts_);
  in_force_ = true;
  done = publisher_->apply_kernel();
  co_await ports_->reconcile(client, true);
  // Last, when packets already come to the new process: flows that a predecessor had in tier X, and whose records it
  // has restored, are its own from then on.
  co_await tell_forwards(client);
  co_return done;
}

Task<void> Daemon::pass() {
  if (reload_) {
    reload_ = false;
    sd_notify_reloading();
    const auto text = read_file(options_.config_file);
    Job job{text.value_or(""), options_.config_file, "SIGHUP", false, false, [](const api::ApplyResult&) {}};
    if (text) {
      jobs_.push_back(std::move(job));
    } else {
      note_config_error(options_.config_file + " cannot be read");
      sd_notify("READY=1");
    }
  }
  co_await run_jobs();
  const DataplaneClient::Pointer dataplane = client();
  if (dataplane && fresh_client_) {
    const Status up = co_await bring_up(dataplane);
    fresh_client_ = !up && client() == dataplane;  // again at the next tick
    if (!up && last_pass_error_ != up.error().text()) spdlog::error("{}", up.error().text());
    last_pass_error_ = up ? "" : up.error().text();
    if (up) spdlog::info("dataplane is in force, epoch {}", publisher_->epoch_acknowledged());
  }
  const DataplaneClient::Pointer present = client();
  co_await ports_->reconcile(present, in_force_);
  const DataplaneClient::Pointer in_force = in_force_ ? present : DataplaneClient::Pointer{};
  co_await tell_forwards(in_force);
  if (ports_->local_interfaces() != fallback_interfaces_) {
    fallback_interfaces_ = ports_->local_interfaces();
    (void)publisher_->apply_kernel();
  }
  if (health_changed_) co_await follow_health();
  if (ticked_) co_await periodic();
}

Task<void> Daemon::follow_health() {
  health_changed_ = false;
  compile::Health health = checker_.health();
  const std::size_t unhealthy = health.unhealthy.size();
  const DataplaneClient::Pointer in_force = in_force_ ? client() : DataplaneClient::Pointer{};
  const Status done = co_await publisher_->set_health(std::move(health), in_force, now());
  if (!done) {
    spdlog::error("{}", done.error().text());
    co_return;
  }
  const bool news = unhealthy != 0 || unhealthy_ != 0;
  unhealthy_ = unhealthy;
  if (!news) co_return;  // the first checks went well
  if (unhealthy == 0)
    spdlog::info("no endpoint is unhealthy any more, epoch {}", publisher_->epoch_compiled());
  else
    spdlog::info("{} {} unhealthy, epoch {}", unhealthy, unhealthy == 1 ? "endpoint is" : "endpoints are",
                 publisher_->epoch_compiled());
}

Task<void> Daemon::periodic() {
  ticked_ = false;
  const DataplaneClient::Pointer dataplane = client();
  // Named on purpose: g++ 12 destroys conditional temporaries of a co_await expression twice.
  const DataplaneClient::Pointer in_force = in_force_ ? dataplane : DataplaneClient::Pointer{};
  const Status drained = co_await publisher_->drain_step(in_force, now());
  if (!drained) spdlog::error("{}", drained.error().text());
  if (ticks_ % 2 != 0 || !dataplane || !in_force_) co_return;
  sampler_.sample(dataplane->segment(), dataplane->pid(), now());
  auto state = co_await dataplane->get_state();
  if (state) dataplane_state_ = std::move(*state);
}

Task<void> Daemon::ticker() {
  while (!stopping_) {
    tick_timer_.expires_after(kTick);
    co_await tick_timer_.async_wait(asio::as_tuple(asio::use_awaitable));
    ++ticks_;
    ticked_ = true;
    wakeup_.notify();
  }
}

Task<void> Daemon::main_loop() {
  while (!stopping_) {
    co_await pass();
    if (!stopping_) co_await wakeup_.wait();
  }
  sd_notify("STOPPING=1");
  co_await stop_everything();
}

Task<void> Daemon::stop_everything() {
  tick_timer_.cancel();
  pump_.reset();
  access_pump_.reset();
  redirect_events_.reset();
  in_force_ = false;
  if (options_.leave_running) {
    if (supervisor_) supervisor_->leave();
    spdlog::info("stopped; dataplane and steering go on");
  } else {
    for (const PortState& port : ports_->ports())
      if (port.enabled) (void)kernel_->steering().set_enabled(port.index, false);
    if (supervisor_) co_await supervisor_->stop();
    ports_.reset();
    for (const Problem& problem : kernel_->remove_everything()) spdlog::warn("{}", problem.text());
    remove_files();
    spdlog::info("stopped; everything is taken away");
  }
  if (api_server_) api_server_->close();
  if (metrics_server_) metrics_server_->close();
  stopped_ = true;
  loop_.stop();
}

/// Those that follow the configuration in force: health checks and the rules of questions.
void Daemon::refresh_followers() {
  checker_.configure(publisher_->config().clusters);
  health_changed_ = true;  // who left no longer counts
  refresh_access_log();
  http_book_ = decide::http_book(publisher_->config());
  rule_book_.clear();
  for (const compile::ListenerInfo& info : publisher_->compiled().listeners) {
    const config::Listener* listener = config::find_listener(publisher_->config(), info.name);
    if (info.draining || listener == nullptr || listener->policy != control::Policy::ask) continue;
    decide::RuleSet rules;
    rules.fallback = listener->ask.default_decision;
    for (const config::AskRule& rule : listener->ask.rules)
      rules.rules.push_back({rule.source, rule.decision, static_cast<std::uint32_t>(rule.lifetime.count())});
    rule_book_.emplace(info.id, std::move(rules));
  }
}

/// The log's file, opened anew, and the names of this configuration.
void Daemon::refresh_access_log() {
  auto file = AccessFile::open(publisher_->config().node.access_log);
  if (!file) spdlog::error("{}", file.error().text());
  access_file_ = file ? std::make_unique<AccessFile>(std::move(*file)) : nullptr;
  const compile::Compiled& compiled = publisher_->compiled();
  telemetry::AccessNames names;
  names.first_epoch = publisher_->epoch_compiled();
  for (const compile::ClusterInfo& info : compiled.clusters) names.clusters.emplace(info.id, info.name);
  for (const compile::EndpointInfo& info : compiled.endpoints)
    names.endpoints.emplace(info.id, telemetry::host_port_text(info.address, info.port));
  for (const compile::ListenerInfo& info : compiled.listeners) {
    names.listeners.emplace(info.id, info.name);
    const config::Listener* listener = config::find_listener(publisher_->config(), info.name);
    if (info.draining || listener == nullptr || listener->application != config::Application::http) continue;
    for (const route::VirtualHost& host : listener->virtual_hosts)
      for (std::size_t i = 0; i < host.routes.size(); ++i)
        names.routes[info.id].push_back(host.name + "/" + compile::route_name(host, i));
  }
  access_names_.add(std::move(names));
}

void Daemon::persist() {
  for (const auto& [name, text] : {std::pair<const char*, std::string>{kLastGood, current_.text},
                                   std::pair<const char*, std::string>{kIds, publisher_->compiler().save_ids()}})
    if (const Status written = replace_file(runtime_file(name), text, kSavedMode); !written)
      spdlog::warn("{}", written.error().text());
}

void Daemon::remove_files() {
  std::error_code ignored;
  for (const char* name : {kLastGood, kIds, kDataplaneSocket, "fallback.state"})
    std::filesystem::remove(runtime_file(name), ignored);
}

}  // namespace penstock::daemon
