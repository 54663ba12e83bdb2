// publisher.h - brings a configuration into force, in the order that never lets the kernel steer what workers
// do not know.
//
// Model     adding: compile, workers adopt the snapshot (Ack), kernel fallback, then the steering maps. Removing: the
//           listener drains in the snapshot, its steering entry goes when its flows have ended or the time is up,
//           then it leaves the snapshot. A refusal at any step puts back what was in force.
// Threads   a new configuration is compiled beside the loop: regular expressions take seconds.
// Units     instants are Instant of the caller's clock.
// Errors    Problems; `refused` tells a configuration that the running system did not take from a wrong one.
// Limits    one call at a time (the daemon's main loop); each publication closes its memfd.
// Not here  ports (mgmt/daemon/port_reconciler.h), files.
#pragma once
#include <functional>
#include <map>
#include <optional>
#include <string>

#include "mgmt/compile/compiler.h"
#include "mgmt/publish/background.h"
#include "mgmt/publish/dataplane_client.h"
#include "mgmt/publish/kernel_state.h"

namespace penstock::publish {

/// Where steering and fallback go; a fake in tests.
class KernelSide {
 public:
  virtual ~KernelSide() = default;
  [[nodiscard]] virtual Status apply_steering(const compile::SteeringState& wanted, const config::Node& node) = 0;
  [[nodiscard]] virtual Status apply_fallback(const compile::FallbackState& wanted) = 0;
};

struct ApplyOutcome {
  Problems problems;  ///< empty: in force (or, without a dataplane, waiting for it)
  bool refused{};     ///< valid, but not taken over
};

class Publisher {
 public:
  explicit Publisher(KernelSide& kernel) : kernel_{kernel} {}

  /// The problems of a configuration that is not to be applied; changes nothing.
  [[nodiscard]] Task<Problems> check(config::Config config);
  /// Puts `config` into force. `client` null: kept for the next resync().
  [[nodiscard]] Task<ApplyOutcome> apply(config::Config config, DataplaneClient::Pointer client, Instant now);
  /// Brings a new or returned dataplane to the present configuration; nothing is sent when it has it already.
  [[nodiscard]] Task<Status> resync(DataplaneClient::Pointer client);
  /// Moves removals on: drained listeners lose their steering, then their place; unused slots are given back.
  [[nodiscard]] Task<Status> drain_step(DataplaneClient::Pointer client, Instant now);
  /// Endpoints became healthy or unhealthy: workers and the kernel path follow. Nothing when it is as before.
  [[nodiscard]] Task<Status> set_health(compile::Health health, DataplaneClient::Pointer client, Instant now);
  /// Writes steering and fallback again, after something else (a port) changed.
  [[nodiscard]] Status apply_kernel();

  [[nodiscard]] const config::Config& config() const { return config_; }
  [[nodiscard]] const compile::Compiled& compiled() const { return compiled_; }
  [[nodiscard]] const compile::Draining& draining() const { return draining_; }
  [[nodiscard]] std::uint64_t epoch_compiled() const { return epoch_; }
  [[nodiscard]] std::uint64_t epoch_acknowledged() const { return acknowledged_; }
  [[nodiscard]] bool has_config() const { return has_config_; }
  [[nodiscard]] compile::Compiler& compiler() { return compiler_; }
  [[nodiscard]] const std::string& fallback_error() const { return fallback_error_; }
  [[nodiscard]] bool fallback_installed() const { return fallback_installed_; }

 private:
  [[nodiscard]] Problems compile_for(const config::Config& config, const compile::Draining& draining);
  [[nodiscard]] Problems take(Result<compile::Compiled, Problems> compiled);
  [[nodiscard]] Task<Status> publish(DataplaneClient::Pointer client);
  [[nodiscard]] Task<Status> recompile(compile::Draining draining, DataplaneClient::Pointer client, Instant now);
  [[nodiscard]] Task<void> put_back(const config::Config& config, const compile::Draining& draining,
                                    DataplaneClient::Pointer client);
  void set_deadlines(Instant now);
  [[nodiscard]] bool advance_draining(const DataplaneClient* client, Instant now, compile::Draining& next) const;
  void release_slots(const DataplaneClient* client);

  KernelSide& kernel_;
  Background background_;
  compile::Compiler compiler_;
  config::Config config_;
  bool has_config_{};
  compile::Draining draining_;
  compile::Health health_;
  std::map<std::string, Instant> deadlines_;  ///< by what drains
  compile::Compiled compiled_;
  std::vector<std::byte> snapshot_;  ///< of compiled_, as published under epoch_
  std::uint64_t content_hash_{};
  std::uint64_t epoch_{};              ///< of snapshot_
  std::uint64_t highest_{};            ///< ever used
  std::uint64_t acknowledged_{};       ///< last that the dataplane took
  std::uint64_t acknowledged_hash_{};  ///< of that; 0 = not known
  bool fallback_installed_{};
  std::string fallback_error_;
};

}  // namespace penstock::publish
