#include "mgmt/publish/publisher.h"

#include <algorithm>
#include <cstring>

#include "dataplane/control/snapshot_writer.h"
#include "mgmt/publish/sealed_memfd.h"
#include "mgmt/telemetry/flow_reader.h"

namespace penstock::publish {
namespace {

std::string key_of(const compile::DrainingListener& draining) {
  const config::Listener& l = draining.listener;
  return l.name + " " + telemetry::host_port_text(l.address, l.port) + "/" +
         std::to_string(static_cast<int>(l.protocol));
}
std::string key_of(const compile::DrainingEndpoint& draining) {
  return draining.cluster + " -> " + telemetry::host_port_text(draining.endpoint.address, draining.endpoint.port);
}
std::string key_of(const compile::DrainingSource& draining) {
  return key_of(compile::DrainingEndpoint{draining.cluster, draining.endpoint}) + " source/" +
         std::to_string(static_cast<int>(draining.protocol));
}

std::uint64_t active_flows(const DataplaneClient* client, std::uint32_t slot) {
  return telemetry::slot_values(client->segment(), slot)[telemetry::kSlotActive];
}

/// The gauge of something that drains; nullopt when it cannot be read.
std::optional<std::uint64_t> active_of(const compile::Compiled& compiled, const DataplaneClient* client,
                                       const compile::DrainingListener& draining) {
  if (client == nullptr) return std::nullopt;
  for (const compile::ListenerInfo& info : compiled.listeners)
    if (info.draining && info.name == draining.listener.name && info.address == draining.listener.address &&
        info.port == draining.listener.port && info.protocol == draining.listener.protocol)
      return active_flows(client, info.stat_slot);
  return 0;
}
std::optional<std::uint64_t> active_of(const compile::Compiled& compiled, const DataplaneClient* client,
                                       const compile::DrainingEndpoint& draining) {
  if (client == nullptr) return std::nullopt;
  for (const compile::EndpointInfo& info : compiled.endpoints)
    if (info.draining && info.cluster == draining.cluster && info.address == draining.endpoint.address &&
        info.port == draining.endpoint.port)
      return active_flows(client, info.stat_slot);
  return 0;
}
std::optional<std::uint64_t> active_of(const compile::Compiled& compiled, const DataplaneClient* client,
                                       const compile::DrainingSource& draining) {
  if (client == nullptr) return std::nullopt;
  for (const compile::EndpointInfo& info : compiled.endpoints)
    if (info.cluster == draining.cluster && info.address == draining.endpoint.address &&
        info.port == draining.endpoint.port)
      return active_flows(client, info.stat_slot);
  return 0;
}

}  // namespace

Problems Publisher::compile_for(const config::Config& config, const compile::Draining& draining) {
  return take(compiler_.compile(config, draining, health_));
}

Problems Publisher::take(Result<compile::Compiled, Problems> compiled) {
  if (!compiled) return compiled.error();
  compiled_ = std::move(*compiled);
  snapshot_ = control::write_snapshot(compiled_.content, 0);
  control::SnapshotHeader header{};
  std::memcpy(&header, snapshot_.data(), sizeof header);
  if (header.content_hash != content_hash_) {
    content_hash_ = header.content_hash;
    epoch_ = ++highest_;
  }
  return {};
}

Task<Status> Publisher::publish(DataplaneClient::Pointer client) {
  if (!client) co_return Done{};
  if (content_hash_ == acknowledged_hash_) {
    epoch_ = acknowledged_;
    co_return Done{};
  }
  if (epoch_ <= acknowledged_) epoch_ = ++highest_;
  std::memcpy(snapshot_.data() + offsetof(control::SnapshotHeader, epoch), &epoch_, sizeof epoch_);
  const auto memory = sealed_memfd("penstock-snapshot", snapshot_);
  if (!memory) co_return memory.error();
  v1::Envelope envelope;
  envelope.mutable_publish_snapshot()->set_epoch(epoch_);
  envelope.mutable_publish_snapshot()->set_octets(snapshot_.size());
  const std::vector<int> fds{memory->get()};
  const Status sent = co_await client->request(std::move(envelope), fds);
  acknowledged_hash_ = sent ? content_hash_ : 0;  // after a failure nobody knows what is in force
  if (sent) acknowledged_ = epoch_;
  co_return sent;
}

Status Publisher::apply_kernel() {
  if (!has_config_) return Done{};
  const Status fallback = kernel_.apply_fallback(compiled_.fallback);
  fallback_installed_ = fallback.ok() && config_.node.fallback;
  fallback_error_ = fallback ? "" : fallback.error().text();
  return kernel_.apply_steering(compiled_.steering, config_.node);
}

Task<void> Publisher::put_back(const config::Config& config, const compile::Draining& draining,
                               DataplaneClient::Pointer client) {
  config_ = config;
  draining_ = draining;
  (void)compile_for(config_, draining_);  // was in force a moment ago
  (void)co_await publish(client);         // a dataplane that fails here too gets it on resync()
  (void)apply_kernel();
}

Task<Problems> Publisher::check(config::Config config) {
  Problems problems;
  const std::function<void()> work = [&] {
    // A compiler of its own, so that nothing of the running one changes.
    const auto compiled = compile::Compiler{}.compile(config);
    if (!compiled) problems = compiled.error();
  };
  co_await background_.run(work);
  co_return problems;
}

Task<ApplyOutcome> Publisher::apply(config::Config config, DataplaneClient::Pointer client, Instant now) {
  const config::Config before = config_;
  const compile::Draining draining_before = draining_;
  compile::Draining draining = draining_;
  if (has_config_) compile::merge(draining, compile::removed_between(before, config, draining));
  compile::drop_returned(draining, config);
  std::optional<Result<compile::Compiled, Problems>> compiled;
  const std::function<void()> work = [&] { compiled.emplace(compiler_.compile(config, draining, health_)); };
  co_await background_.run(work);
  Problems problems = take(std::move(*compiled));
  if (!problems.empty()) co_return ApplyOutcome{std::move(problems), false};
  const bool first = !has_config_;
  config_ = std::move(config);
  draining_ = std::move(draining);
  has_config_ = true;
  Status done = co_await publish(client);
  if (done) done = apply_kernel();
  if (done) {
    set_deadlines(now);
    release_slots(client.get());
    co_return ApplyOutcome{};
  }
  const Problem why = done.error();
  if (!first) co_await put_back(before, draining_before, client);
  co_return ApplyOutcome{{why}, true};
}

Task<Status> Publisher::resync(DataplaneClient::Pointer client) {
  const v1::Hello& hello = client->hello().message;
  highest_ = std::max<std::uint64_t>(highest_, hello.epoch());
  acknowledged_ = hello.epoch();
  acknowledged_hash_ = hello.content_hash();
  if (!has_config_) co_return Done{};
  const Status published = co_await publish(client);
  co_return published;
}

void Publisher::set_deadlines(Instant now) {
  std::map<std::string, Instant> next;
  const auto keep = [&](const auto& draining) {
    const std::string key = key_of(draining);
    const auto known = deadlines_.find(key);
    next.emplace(key, known != deadlines_.end() ? known->second : now + Duration{config_.node.drain_timeout});
  };
  for (const auto& listener : draining_.listeners) keep(listener);
  for (const auto& endpoint : draining_.endpoints) keep(endpoint);
  for (const auto& source : draining_.sources) keep(source);
  deadlines_ = std::move(next);
}

bool Publisher::advance_draining(const DataplaneClient* client, Instant now, compile::Draining& next) const {
  bool changed = false;
  const auto ended = [&](const auto& draining) {
    const auto deadline = deadlines_.find(key_of(draining));
    if (deadline == deadlines_.end() || now >= deadline->second) return true;
    return active_of(compiled_, client, draining) == std::uint64_t{0};
  };
  for (compile::DrainingListener listener : draining_.listeners) {
    if (ended(listener)) {
      changed = true;
      if (!listener.steered) continue;
      listener.steered = false;
    }
    next.listeners.push_back(std::move(listener));
  }
  next.clusters = draining_.clusters;
  compile::drop_unused_clusters(next);
  for (const compile::DrainingEndpoint& endpoint : draining_.endpoints) {
    if (ended(endpoint))
      changed = true;
    else
      next.endpoints.push_back(endpoint);
  }
  for (const compile::DrainingSource& source : draining_.sources) {
    if (ended(source))
      changed = true;
    else
      next.sources.push_back(source);
  }
  return changed;
}

void Publisher::release_slots(const DataplaneClient* client) {
  if (client == nullptr) return;
  for (const auto& entry : compiler_.retired())
    if (entry.stat_slot != compile::IdRegistry::kNoSlot && active_flows(client, entry.stat_slot) == 0)
      compiler_.release(entry.stat_slot);
}

Task<Status> Publisher::recompile(compile::Draining draining, DataplaneClient::Pointer client, Instant now) {
  Problems problems = compile_for(config_, draining);
  if (!problems.empty()) co_return problems.front();
  draining_ = std::move(draining);
  set_deadlines(now);
  // The steering entry goes before the listener leaves the snapshot: advance_draining() takes one step at a time.
  const Status kernel = apply_kernel();
  const Status sent = co_await publish(client);
  co_return sent ? kernel : sent;
}

Task<Status> Publisher::set_health(compile::Health health, DataplaneClient::Pointer client, Instant now) {
  if (health == health_) co_return Done{};
  health_ = std::move(health);
  if (!has_config_) co_return Done{};
  Status done = co_await recompile(draining_, client, now);
  co_return done;
}

Task<Status> Publisher::drain_step(DataplaneClient::Pointer client, Instant now) {
  if (!has_config_) co_return Done{};
  compile::Draining next;
  Status done = Done{};
  if (advance_draining(client.get(), now, next)) done = co_await recompile(std::move(next), client, now);
  release_slots(client.get());
  co_return done;
}

}  // namespace penstock::publish
