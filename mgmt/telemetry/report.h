// report.h - everything that status, metrics and listings tell, as one plain value.
//
// Model     the daemon (or the CLI, reading the dataplane's segment itself) fills a Report; report_json.h and
//           metrics.h only render it. Counter values come from the tables in metric_table.h, in their order.
// Units     in the names; gauges and counters as in control/segment.h.
// Not here  where the numbers come from: segment_reader.h, mgmt/daemon/status.h.
#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "bpf/abi/steer.h"
#include "dataplane/control/snapshot_layout.h"
#include "dataplane/core/addresses.h"
#include "mgmt/telemetry/http_report.h"
#include "mgmt/telemetry/metric_table.h"

namespace penstock::telemetry {

using WorkerValues = std::array<std::uint64_t, kWorkerMetrics.size()>;
using ProxyValues = std::array<std::uint64_t, kProxyMetrics.size()>;
using PortValues = std::array<std::uint64_t, kPortMetrics.size()>;
using SlotValues = std::array<std::uint64_t, kSlotMetrics.size()>;
using DropValues = std::array<std::uint64_t, kDropReasonCount>;
using SteerValues = std::array<std::uint64_t, PENSTOCK_STEER_REASON_COUNT>;

struct WorkerReport {
  std::uint32_t index{};
  WorkerValues values{};
  ProxyValues proxy{};
  std::uint64_t beat_age_ns{};                  ///< since the last heartbeat
  std::optional<double> busy_percent;           ///< awake, of one core, by the worker's own sleep counter
  std::optional<double> thread_cpu_percent;     ///< of one core, as the kernel accounts the thread
  std::optional<double> nanoseconds_per_frame;  ///< busy time per received frame, last interval with traffic
};

struct PortReport {
  std::string name;
  std::string netns;  ///< empty = the daemon's own
  std::uint32_t index{};
  std::uint32_t ifindex{};
  std::uint32_t queues{};
  bool present{};                              ///< the interface exists
  bool attached{};                             ///< our program is on it
  bool served{};                               ///< the dataplane has it
  std::optional<bool> steering{false};         ///< the program redirects; empty when it cannot be told
  std::optional<bool> redirect_target{false};  ///< the program can send frames to it by itself (tier X); as above
  std::string redirect_obstacle;               ///< why it cannot, with the remedy
  bool optional{};
  std::string mode;       ///< native or generic
  std::string self_test;  ///< passed, failed, pending
  std::string error;      ///< why something of the above is missing
  PortValues values{};
  SteerValues steer{};
};

struct ListenerReport {
  std::uint32_t id{};
  std::string name;
  IpAddress address;
  std::uint16_t port{};
  IpProto proto{IpProto::tcp};
  control::ListenerMode mode{control::ListenerMode::l4};
  control::Forwarding forwarding{control::Forwarding::fullnat};
  control::Policy policy{control::Policy::allow};
  std::string cluster;                 ///< empty with HTTP, unless the kernel path has one
  bool http{};                         ///< its payload is routed request by request
  std::vector<std::string> clusters;   ///< all that it can send something to
  std::optional<bool> steered{false};  ///< in the steering map; empty when it cannot be told
  bool draining{};                     ///< removed from the configuration, finishing its flows
  SlotValues values{};
};

struct EndpointReport {
  std::string cluster{};
  IpAddress address{};
  std::uint16_t port{};
  std::uint32_t weight{};
  std::optional<bool> resolved{};  ///< its next hop is known; empty when the dataplane was not asked yet
  std::string mac{};
  std::string health{};         ///< healthy, unhealthy, unknown; empty = not checked
  std::string health_reason{};  ///< of the last check
  std::uint64_t checks_good{}, checks_bad{}, health_changes{};
  SlotValues values{};
  HttpEndpointReport http{};
};

/// Bounds of proxied connections; what they hold is in WorkerReport::proxy.
struct ProxyReport {
  std::uint64_t connections_reserved{};    ///< of all workers: what their memory holds
  std::uint64_t connections_configured{};  ///< of all workers
  std::uint64_t connections_limit{};       ///< of all workers: the lower of both, worker by worker
  std::uint64_t half_open_max{};           ///< per worker
  std::uint64_t buffer_octets{};           ///< per direction of a connection
};

struct DataplaneReport {
  std::string state{"stopped"};  ///< running, starting, waiting, stopped
  std::uint32_t pid{};
  std::uint64_t uptime_seconds{};
  std::uint64_t restarts{};
  std::string last_exit;  ///< why the previous process ended
  bool connected{};
  bool adopted{};  ///< it was running before this daemon
  bool hugepages{};
  std::uint64_t boot_epoch{};
  std::string build;
};

struct ConfigReport {
  std::string file;
  std::uint64_t generation{};  ///< configurations accepted by this daemon
  std::uint64_t epoch_compiled{};
  std::uint64_t epoch_acknowledged{};
  std::uint64_t epoch_active{};         ///< lowest that a worker uses
  std::uint64_t last_reload_seconds{};  ///< Unix time
  bool last_reload_ok{true};
  std::string last_error;
};

struct DecisionReport {
  std::uint64_t asked{}, allowed{}, denied{}, answers_lost{};
};

struct AccessReport {
  std::uint64_t lines{}, lines_lost{};  ///< lost: the file or pipe did not take them
};

struct Report {
  std::string verdict{"down"};  ///< ok, degraded, down
  std::vector<std::string> reasons;
  std::vector<std::string> warnings;  ///< what the operator should know though the verdict does not depend on it
  std::uint32_t daemon_pid{};         ///< 0 = read without the daemon
  std::uint64_t daemon_uptime_seconds{};
  bool fallback_installed{};
  bool fallback_wanted{};
  std::string fallback_error;
  ConfigReport config;
  DataplaneReport dataplane;
  DecisionReport decisions;
  AccessReport access;
  HttpReport http;
  ProxyReport proxy;
  std::vector<WorkerReport> workers;
  std::vector<PortReport> ports;
  std::vector<ListenerReport> listeners;
  std::vector<EndpointReport> endpoints;
  DropValues drops{};
};

/// True when the listener sends something to the endpoint's cluster.
[[nodiscard]] bool serves(const ListenerReport& listener, const EndpointReport& endpoint);
/// Clusters that a listener of HTTP uses; the names are those of `report`. Counters of HTTP are read for their
/// endpoints alone: reading those of others would take memory for them.
[[nodiscard]] std::unordered_set<std::string_view> http_clusters(const Report& report);

/// Sets verdict and reasons from everything else.
void judge(Report& report);

}  // namespace penstock::telemetry
