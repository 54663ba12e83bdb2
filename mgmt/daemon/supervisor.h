// supervisor.h - keeps one dataplane process running and connected.
//
// Model     adopt what answers on the control socket, or start one; then wait until it ends, its connection breaks
//           or the watchdog ends it; then again after a back-off. Everything is a coroutine on the daemon's loop.
// Errors    told by on_lost and last_exit(); a first start that fails is told by on_lost too.
// Limits    kStartTimeout until the control socket answers; kStopTimeout for an orderly end, then SIGKILL.
// Not here  what is sent to the dataplane (mgmt/publish, daemon.cpp).
#pragma once
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include "dataplane/core/clock.h"
#include "mgmt/daemon/backoff.h"
#include "mgmt/daemon/process.h"
#include "mgmt/publish/dataplane_client.h"

namespace penstock::daemon {

using publish::DataplaneClient;
using publish::Task;

inline constexpr std::chrono::seconds kStartTimeout{30};
inline constexpr std::chrono::seconds kStopTimeout{5};

struct SupervisorOptions {
  std::string binary;
  std::string socket_path;
  std::vector<std::string> arguments;
  std::chrono::milliseconds watchdog{10'000};
};

class Supervisor {
 public:
  Supervisor(boost::asio::io_context& loop, SupervisorOptions options);

  std::function<void(DataplaneClient::Pointer)> on_connected;
  /// The process is gone or being ended; `client` is the one of on_connected, or null when it never got so far.
  std::function<void(DataplaneClient::Pointer client, const std::string& why)> on_lost;

  /// Runs until stop() or leave().
  [[nodiscard]] Task<void> run();
  /// Ends the process: Shutdown, SIGTERM after a while, SIGKILL at last.
  [[nodiscard]] Task<void> stop();
  /// Ends supervision alone; the process goes on.
  void leave();

  [[nodiscard]] const DataplaneClient::Pointer& client() const { return client_; }
  [[nodiscard]] const char* state() const { return state_; }
  [[nodiscard]] std::uint64_t restarts() const { return restarts_; }
  [[nodiscard]] const std::string& last_exit() const { return last_exit_; }
  [[nodiscard]] bool adopted() const { return adopted_; }
  [[nodiscard]] pid_t pid() const { return process_.running() ? process_.pid : 0; }

 private:
  [[nodiscard]] Task<bool> adopt();
  [[nodiscard]] Task<Status> start();
  [[nodiscard]] Task<Status> connect_until(std::chrono::steady_clock::time_point deadline);
  [[nodiscard]] Task<std::string> watch();
  [[nodiscard]] Task<bool> ended_within(std::chrono::milliseconds at_most);
  [[nodiscard]] Task<void> pause(std::chrono::milliseconds time);
  [[nodiscard]] bool watchdog_expired() const;
  [[nodiscard]] bool process_ended() const;

  boost::asio::io_context& loop_;
  SupervisorOptions options_;
  boost::asio::steady_timer pause_;
  Process process_;
  DataplaneClient::Pointer client_;
  Backoff backoff_;
  const char* state_{"stopped"};
  std::string last_exit_;
  std::string closed_why_;
  std::uint64_t restarts_{};
  Instant started_{};
  bool adopted_{};
  bool stopping_{};
};

}  // namespace penstock::daemon
