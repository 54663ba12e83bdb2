// config.h - the node's configuration as plain values.
//
// Model     what the YAML text says after every check passed: load_text() and load_file() (loader.h) are the only
//           producers outside tests. Names are unique, references resolve, families agree. Defaults stand here and
//           nowhere else; docs/guide/config.md is generated from them and from fields.cpp.
// Units     durations are std::chrono::milliseconds; ports are host order.
// Shape     copyable; compares by value, so "nothing changed" is one ==.
// Limits    control/limits.h and the bounds of fields.cpp (docs/guide/config.md, docs/guide/limits.md).
// Not here  text and positions (loader.h), ids and tables (mgmt/compile).
#pragma once
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "dataplane/control/snapshot_layout.h"
#include "dataplane/core/addresses.h"
#include "l7/route/route_config.h"
#include "mgmt/config/cluster.h"
#include "mgmt/config/durations.h"
#include "mgmt/config/http.h"

namespace penstock::config {

inline constexpr std::string_view kApiVersion = "penstock/v1";

/// An inclusive range of transport ports, host order.
struct PortRange {
  std::uint16_t low{};
  std::uint16_t high{};
  [[nodiscard]] bool contains(std::uint16_t port) const { return low <= port && port <= high; }
  friend bool operator==(const PortRange&, const PortRange&) = default;
};

enum class Hugepages : std::uint8_t { automatic, off, required };

struct Metrics {
  IpAddress address{IpAddress::v4(127, 0, 0, 1)};
  std::uint16_t port{9464};
  friend bool operator==(const Metrics&, const Metrics&) = default;
};

// What the dataplane's devices take (dataplane/io/dpdk/runtime.h).
inline constexpr std::uint32_t kReceiveRingMin = 2048;
inline constexpr std::uint32_t kReceiveRingMax = 32768;

struct Limits {
  std::uint32_t flows_per_worker{262144};
  std::uint32_t parked_flows{1024};
  std::uint32_t buffers_per_worker{16384};
  std::uint32_t receive_ring{4096};
  friend bool operator==(const Limits&, const Limits&) = default;
};

/// Idle times after which a flow is forgotten, by state.
struct Timeouts {
  milliseconds tcp_syn{seconds{30}};
  milliseconds tcp_established{std::chrono::hours{1}};
  milliseconds tcp_fin{seconds{60}};
  milliseconds tcp_closed{seconds{10}};
  milliseconds udp_unreplied{seconds{30}};
  milliseconds udp_stream{seconds{120}};
  friend bool operator==(const Timeouts&, const Timeouts&) = default;
};

/// Connections of listeners with mode proxy. Numbers are per worker.
struct Proxy {
  std::uint32_t connections_per_worker{16384};       ///< flows_per_worker when only that is given and lower
  std::uint32_t half_open_max{1024};                 ///< connections_per_worker when that is lower
  milliseconds idle_timeout{std::chrono::hours{1}};  ///< without a segment from either side
  milliseconds connect_timeout{seconds{5}};
  milliseconds keepalive{minutes{10}};  ///< 0 = no probes
  std::uint32_t buffer_octets{256 * 1024};
  milliseconds time_wait{seconds{60}};
  control::Congestion congestion{control::Congestion::cubic};
  friend bool operator==(const Proxy&, const Proxy&) = default;
};

struct Node {
  std::string runtime_dir{"/run/penstock"};
  std::vector<IpAddress> addresses;  ///< FullNAT sources, in order of preference per family
  PortRange source_ports{16384, 29999};
  std::uint16_t workers{1};         ///< number of cpus when only those are given
  std::vector<std::uint16_t> cpus;  ///< empty, or one per worker
  Hugepages hugepages{Hugepages::automatic};
  std::uint32_t memory_mib{256};
  milliseconds heartbeat_limit{100};
  milliseconds watchdog{seconds{10}};
  milliseconds drain_timeout{seconds{30}};
  milliseconds kernel_flow_idle{std::chrono::hours{1}};
  Metrics metrics;
  bool fallback{true};
  Limits limits;
  Timeouts timeouts;
  Proxy proxy;
  AccessLog access_log;
  friend bool operator==(const Node&, const Node&) = default;
};

enum class VerifyChecksums : std::uint8_t { automatic, yes, no };

struct Port {
  std::string name;                     ///< interface name
  std::optional<std::string> netns;     ///< name or path of its network namespace; absent = the daemon's own
  std::optional<std::uint16_t> queues;  ///< absent = automatic
  VerifyChecksums verify_checksums{VerifyChecksums::automatic};
  bool optional{false};      ///< may be absent at start
  bool large_frames{false};  ///< large segments arrive whole
  friend bool operator==(const Port&, const Port&) = default;
};

/// Answers a worker's question when the source lies in `source`. First match in the listed order decides.
struct AskRule {
  IpPrefix source;
  control::Decision decision{control::Decision::deny};
  milliseconds lifetime{seconds{60}};  ///< how long workers may reuse the answer; 0 = for the one flow only
  friend bool operator==(const AskRule&, const AskRule&) = default;
};

struct Ask {
  control::Decision default_decision{control::Decision::deny};  ///< no rule matches, or no answer in time
  milliseconds deadline{200};
  std::vector<AskRule> rules;
  friend bool operator==(const Ask&, const Ask&) = default;
};

struct Listener {
  std::string name;
  IpAddress address;
  std::uint16_t port{};
  IpProto protocol{IpProto::tcp};
  std::string cluster;  ///< name of one of Config::clusters; may be empty with application http
  control::ListenerMode mode{control::ListenerMode::l4};
  control::Forwarding forwarding{control::Forwarding::fullnat};
  control::Policy policy{control::Policy::allow};
  bool proxy_protocol{false};  ///< connections begin with a PROXY header
  bool xdp_forwarding{true};   ///< mode l4: hot flows may move to the XDP program (tier X)
  bool splice{false};          ///< mode proxy: connections at rest may become spliced flows (tier S)
  Ask ask;                     ///< read only with policy ask
  Application application{Application::none};
  std::vector<route::VirtualHost> virtual_hosts{};  ///< with application http
  Http http{};
  friend bool operator==(const Listener&, const Listener&) = default;
};

struct Config {
  std::string api_version{kApiVersion};  ///< format of the text
  Node node;
  std::vector<Port> ports;
  std::vector<Cluster> clusters;
  std::vector<Listener> listeners;
  friend bool operator==(const Config&, const Config&) = default;
};

/// The cluster of this name, or nullptr.
[[nodiscard]] const Cluster* find_cluster(const Config& config, std::string_view name);
/// The listener of this name, or nullptr.
[[nodiscard]] const Listener* find_listener(const Config& config, std::string_view name);
/// Names of the clusters that a listener can send something to: its own first, then those of its routes and
/// their mirrors, each once.
[[nodiscard]] std::vector<std::string_view> clusters_of(const Listener& listener);

}  // namespace penstock::config
