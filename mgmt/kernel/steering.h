// steering.h - the steering program and its maps: load, pin, attach, adopt, configure.
//
// Model     maps shared by all ports are pinned at <dir>/v1/<map>; each port has an instance of the program with
//           its own maps, pinned at <dir>/v1/ports/<port>/{link,xsks_map,steer_counters,port_config}. Pins outlive
//           the process: open() adopts shared maps, attach_port() adopts a pinned link and replaces the program in
//           place when the build differs. `dir` must be a bpf file system (bpffs.h).
// Errors    Problem naming the interface or map and a remedy. A failed call leaves what worked before in place.
// Limits    PENSTOCK_*_MAX of bpf/abi/steer.h.
// Threads   one thread at a time. attach_port, self_test and refresh_redirect_targets visit other namespaces on the
//           calling thread.
// Not here  what is to be steered (mgmt/compile, mgmt/publish), the program itself (bpf/xdp).
#pragma once
#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "bpf/abi/steer.h"
#include "dataplane/core/addresses.h"
#include "dataplane/core/be.h"
#include "dataplane/core/clock.h"
#include "dataplane/core/result.h"

namespace penstock::kernel {

struct SteeringOptions {
  /// Attach in generic (skb) mode where the driver has no native XDP. Slow, AF_XDP copies twice.
  bool allow_generic_mode{false};
};

/// A service address to steer: matched on destination address, port and protocol.
struct SteerService {
  IpAddress address;
  Be16 port;
  IpProto proto;
  std::uint32_t listener_id;
  bool dnat{false};  ///< its flows may be DNAT: their clients are recorded in steer_dnat_flows
};
/// An endpoint behind a DNAT listener: its replies are matched on source address, port and protocol, and are ours when
/// the client's side is recorded.
struct SteerSource {
  IpAddress address;
  Be16 port;
  IpProto proto;
};
/// What is steered for an address beside its services.
struct SteerAddress {
  IpAddress address;
  bool neighbor{true};  ///< ARP requests, neighbour solicitations
  bool echo{true};      ///< echo requests
};
/// Destination ports that our upstream legs own on a node address; host order, inclusive.
struct SteerNode {
  IpAddress address;
  std::uint16_t low;
  std::uint16_t high;
};
struct SteerSettings {
  std::uint32_t worker_count{0};  ///< 0 passes everything to the kernel
  Duration heartbeat_limit{std::chrono::milliseconds{100}};
  Duration kernel_flow_idle{std::chrono::hours{1}};
};

/// All that the shared maps hold. Duplicates of one key are refused.
struct SteerState {
  SteerSettings settings;
  std::vector<SteerService> services;
  std::vector<SteerSource> sources;
  std::vector<SteerAddress> addresses;
  std::vector<SteerNode> nodes;
};

/// What apply() changed, in map entries.
struct SteerChange {
  std::uint32_t added{0};
  std::uint32_t updated{0};
  std::uint32_t removed{0};
};

struct PortSpec {
  std::string name;
  std::uint32_t ifindex{0};
  std::uint32_t port_index{0};  ///< the dataplane's PortIndex
  int netns_fd{-1};             ///< the interface's namespace; -1 = the caller's. Borrowed; kept as a duplicate.
  bool large_frames{};          ///< generic mode, so that the other end of a veth keeps its segmentation offload
};

struct PortStatus {
  std::string name;
  std::uint32_t ifindex{0};
  std::uint32_t port_index{0};
  std::uint64_t netns_inode{0};
  bool enabled{false};
  bool generic{false};   ///< attached in generic (skb) mode
  bool adopted{false};   ///< the link was there already
  bool replaced{false};  ///< adopted, and the program was replaced in place
  bool alive{true};      ///< false: the interface is gone, detach_port() cleans up
  /// The program can send frames to it by itself (it is in steer_devices); if not, why, with the remedy.
  bool redirect_target{false};
  std::string redirect_obstacle{};
};

using SteerCounters = std::array<std::uint64_t, PENSTOCK_STEER_REASON_COUNT>;

class Steering {
 public:
  /// Loads or adopts the shared maps under `dir`. Pins of ports whose interface is gone are removed.
  [[nodiscard]] static Result<Steering> open(const std::string& dir, const SteeringOptions& options = {});
  /// Removes every pin under `dir` (ports first), so that nothing stays attached. For an orderly stop.
  [[nodiscard]] static Status remove_all(const std::string& dir);
  Steering(Steering&&) noexcept;
  Steering& operator=(Steering&&) noexcept;
  ~Steering();  ///< closes fds only: pins, links and maps stay

  /// Ports with pins on disk that attach_port() has not claimed, e.g. those of a predecessor. port_index tells which
  /// dataplane port they were, so that a restarting daemon can keep the numbers.
  [[nodiscard]] std::vector<PortStatus> unclaimed_ports() const;
  /// Detaches and unpins all of unclaimed_ports(); returns how many.
  [[nodiscard]] std::size_t detach_unclaimed();

  /// Attaches to an interface or adopts the pinned link. A new port starts disabled (everything passes, reason
  /// PORT_DISABLED); an adopted one keeps its setting. Refused when a foreign XDP program is attached, or the
  /// driver has no native XDP and generic mode is not allowed.
  [[nodiscard]] Result<PortStatus> attach_port(const PortSpec& spec);
  /// Detaches and unpins. Done when the interface is already gone.
  [[nodiscard]] Status detach_port(std::uint32_t port_index);
  [[nodiscard]] std::vector<PortStatus> ports() const;  ///< attached by attach_port(), by port_index
  [[nodiscard]] Status set_enabled(std::uint32_t port_index, bool enabled);

  /// Makes the shared maps equal to `wanted`: additions and changes first, settings next, removals last. The
  /// difference is taken against the maps themselves, so an adopting daemon repairs what a predecessor left.
  [[nodiscard]] Result<SteerChange> apply(const SteerState& wanted);
  /// Settings alone, e.g. worker_count 0 to pass everything while the dataplane restarts.
  [[nodiscard]] Status set_settings(const SteerSettings& settings);
  /// Forgets flows that the kernel path served.
  [[nodiscard]] Status clear_kernel_flows();

  /// The mmapable map steer_heartbeat: for the dataplane (message Heartbeats). Owned by this object.
  [[nodiscard]] int heartbeat_fd() const;
  /// The maps of tier X for the dataplane (message Forwards). Owned by this object.
  struct ForwardFds {
    int forwards;  ///< steer_forwards
    int slots;     ///< steer_forward_slots, mmapable
  };
  [[nodiscard]] ForwardFds forward_fds() const;
  /// Which ports are redirect targets is found out in attach_port(). It may change while they run, e.g. with the GRO
  /// setting at the other end of a veth: then this fd (the same for life) is readable ...
  [[nodiscard]] int redirect_events_fd() const;
  /// ... and this brings steer_devices and ports() up to date. True when redirect_target of some port changed. Cheap
  /// when nothing happened; never blocks.
  bool refresh_redirect_targets();

  /// A port's xsks_map; -1 when there is no such port. Owned by this object.
  [[nodiscard]] int xsks_map_fd(std::uint32_t port_index) const;

  [[nodiscard]] Result<SteerCounters> counters(std::uint32_t port_index) const;  ///< summed over CPUs
  [[nodiscard]] Result<std::uint64_t> last_kernel_flow_ns() const;               ///< 0 = never

  /// Sends a probe frame through the attached program, as if received on queue 0 of the interface, and waits until
  /// `probes_seen()` (the dataplane's probe counter of that port) rises. Needs the port enabled and its socket bound.
  [[nodiscard]] Status self_test(std::uint32_t port_index, const std::function<std::uint64_t()>& probes_seen,
                                 Duration at_most = std::chrono::seconds{1});

 private:
  struct Impl;
  explicit Steering(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace penstock::kernel
