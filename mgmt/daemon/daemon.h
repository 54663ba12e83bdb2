// daemon.h - penstockd: the parts, and the one loop that moves them.
//
// Model     everything runs on one event loop, but compiling (mgmt/publish/background.h). One coroutine, main_loop(),
//           makes every change, one at a time: apply jobs, a new dataplane, port changes, drains. Callbacks only note
//           what happened and wake it.
// Order     a dataplane comes up: old flows, ports, snapshot, heartbeats (from here on the program redirects), then
//           self-tests, then tier X (forwarding.cpp). Changes and removals: mgmt/publish/publisher.h.
// Errors    start() tells all problems; later ones are status, log and the answer to whoever asked.
// Not here  command line and signals (main.cpp), what status says (daemon_report.cpp).
#pragma once
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <deque>
#include <memory>
#include <optional>
#include <string>

#include "mgmt/api/router.h"
#include "mgmt/api/server.h"
#include "mgmt/daemon/access_pump.h"
#include "mgmt/daemon/kernel_path.h"
#include "mgmt/daemon/options.h"
#include "mgmt/daemon/port_reconciler.h"
#include "mgmt/daemon/question_pump.h"
#include "mgmt/daemon/supervisor.h"
#include "mgmt/daemon/wakeup.h"
#include "mgmt/health/checker.h"
#include "mgmt/telemetry/sampler.h"

namespace penstock::daemon {

/// A configuration as text and as values.
struct LoadedConfig {
  std::string text;
  config::Config config;
};

class Daemon : public api::Backend {
 public:
  Daemon(boost::asio::io_context& loop, Options options, LoadedConfig loaded, std::string dataplane_binary);
  ~Daemon() override;

  /// Brings everything up; problems when it could not, after undoing what was done.
  [[nodiscard]] Task<Problems> start();
  /// Runs until request_stop(), then stops in order.
  [[nodiscard]] Task<void> main_loop();
  void request_stop();
  void request_reload();
  /// The file at start was not readable; this configuration is the last good one.
  void note_config_error(const std::string& error);

  // api::Backend
  [[nodiscard]] telemetry::Report report() override;
  [[nodiscard]] telemetry::FlowList flows(const telemetry::FlowFilter& filter) override;
  telemetry::ConnectionList connections(const telemetry::FlowFilter& filter) override;
  [[nodiscard]] std::string config_text() override { return current_.text; }
  void check(const std::string& yaml, std::function<void(Problems)> done) override;
  void apply(const std::string& yaml, bool dry_run, const std::string& who,
             std::function<void(api::ApplyResult)> done) override;
  [[nodiscard]] bool ready() override;

 private:
  struct Job {
    std::string text;
    std::string file_name;  ///< for places of problems
    std::string who;
    bool dry_run{};
    bool check_only{};  ///< a dry run that compares with nothing
    std::function<void(api::ApplyResult)> done;
  };

  [[nodiscard]] Status listen();
  void start_supervisor();
  [[nodiscard]] Task<Problems> first_dataplane();
  [[nodiscard]] Task<Status> bring_up(DataplaneClient::Pointer client);
  [[nodiscard]] Task<void> restore_flows(DataplaneClient& client);
  [[nodiscard]] Task<Problems> put_in_force(DataplaneClient::Pointer client);
  void lost(const DataplaneClient::Pointer& client, const std::string& why);
  void watch_redirect_targets();
  [[nodiscard]] std::uint64_t redirect_mask() const;
  [[nodiscard]] Task<void> tell_forwards(DataplaneClient::Pointer client);
  [[nodiscard]] Task<void> pass();
  [[nodiscard]] Task<void> run_jobs();
  [[nodiscard]] Task<api::ApplyResult> run_job(const Job& job);
  [[nodiscard]] Task<api::ApplyResult> take_over(LoadedConfig next, api::ApplyResult result);
  void note_reload(const api::ApplyResult& result);
  [[nodiscard]] Task<void> periodic();
  [[nodiscard]] Task<void> ticker();
  [[nodiscard]] Task<void> stop_everything();
  void refresh_followers();
  [[nodiscard]] Task<void> follow_health();
  void refresh_access_log();
  void persist();
  void remove_files();
  void report_listeners(telemetry::Report& report) const;
  void report_endpoints(telemetry::Report& report) const;
  void report_ports(telemetry::Report& report) const;
  void report_http(telemetry::Report& report) const;
  void warn_of_panic(telemetry::Report& report) const;
  [[nodiscard]] DataplaneClient::Pointer client() const { return supervisor_ ? supervisor_->client() : nullptr; }
  [[nodiscard]] std::string runtime_file(const char* name) const;

  boost::asio::io_context& loop_;
  Options options_;
  LoadedConfig current_;
  std::string dataplane_binary_;
  Wakeup wakeup_;
  boost::asio::steady_timer tick_timer_;

  std::unique_ptr<KernelPath> kernel_;
  std::unique_ptr<publish::Publisher> publisher_;
  std::unique_ptr<PortReconciler> ports_;
  std::unique_ptr<boost::asio::posix::stream_descriptor> redirect_events_;
  std::unique_ptr<Supervisor> supervisor_;
  std::unique_ptr<QuestionPump> pump_;
  health::Checker checker_;
  telemetry::AccessNameBook access_names_;
  std::unique_ptr<AccessFile> access_file_;
  telemetry::AccessReport access_counts_;
  std::unique_ptr<AccessPump> access_pump_;
  std::unique_ptr<api::Server> api_server_;
  std::unique_ptr<api::Server> metrics_server_;
  decide::RuleBook rule_book_;
  decide::HttpBook http_book_;
  telemetry::DecisionReport decisions_;
  telemetry::Sampler sampler_;
  control::v1::State dataplane_state_;

  std::deque<Job> jobs_;
  std::vector<Fd> predecessor_arenas_;
  std::uint64_t predecessor_boot_epoch_{};
  std::vector<std::string> fallback_interfaces_;
  std::string start_failure_;
  std::vector<std::string> start_warnings_;    ///< about the machine
  std::vector<std::string> adopted_warnings_;  ///< about the dataplane that was there before
  std::string last_pass_error_;
  std::string forwards_error_;
  std::optional<std::uint64_t> forwards_told_;  ///< redirect targets as the connected dataplane knows them
  telemetry::ConfigReport config_report_;
  Instant started_{};
  std::uint64_t ticks_{};
  bool started_up_{};
  bool redirects_watched_{};
  bool fresh_client_{};  ///< connected, not brought up yet
  bool in_force_{};      ///< the connected dataplane has ports, snapshot and heartbeats
  bool restored_{};      ///< the connected dataplane has the predecessor's flows
  bool knows_flows_{};   ///< ... or is that same process
  bool ticked_{};
  bool health_changed_{};
  std::size_t unhealthy_{};  ///< endpoints, as the log says
  bool reload_{};
  bool stopping_{};
  bool stopped_{};
};

/// Names of files below runtime_dir.
inline constexpr const char* kApiSocket = "penstockd.sock";
inline constexpr const char* kDataplaneSocket = "dataplane.sock";
inline constexpr const char* kLastGood = "last-good.yaml";
inline constexpr const char* kIds = "ids";

}  // namespace penstock::daemon
