// dataplane.h - the control thread's side of the dataplane: what the daemon's commands do.
//
// Model     owns everything of the process and changes it one command at a time. Whatever changes what workers know
//           (snapshot, ports, next hops) ends in a new view that all workers adopt.
// Errors    a command that fails changes nothing; its Problem goes back in the Ack.
// Limits    kResolveWait for next hops, kAdoptionWait for workers, per command.
// Threads   control thread.
// Not here  the socket (control_server.h), packets (worker).
#pragma once
#include <memory>
#include <vector>

#include "dataplane/app/forward_maps.h"
#include "dataplane/app/heartbeat_map.h"
#include "dataplane/app/next_hop_watch.h"
#include "dataplane/app/options.h"
#include "dataplane/app/worker_pool.h"
#include "dataplane/control/channel.h"
#include "dataplane/io/dpdk/port_table.h"
#include "dataplane/worker/worker_view.h"

namespace penstock::app {

inline constexpr std::chrono::milliseconds kResolveWait{500};
inline constexpr std::chrono::seconds kAdoptionWait{2};
/// Orders of tier X carried out in a row, some milliseconds; then commands and events have their turn.
inline constexpr std::size_t kForwardOrdersPerTurn = 1024;

/// A port that went without being told to.
struct LostPort {
  PortIndex index{};
  std::string reason;
};

class Dataplane {
 public:
  [[nodiscard]] static Result<std::unique_ptr<Dataplane>> start(const Options& options);
  ~Dataplane();
  Dataplane(const Dataplane&) = delete;
  Dataplane& operator=(const Dataplane&) = delete;

  [[nodiscard]] Status add_port(const control::v1::AddPort& message, Fd netns);
  [[nodiscard]] Status remove_port(PortIndex index);
  [[nodiscard]] Status publish_snapshot(const control::v1::PublishSnapshot& message, Fd memory);
  [[nodiscard]] Status set_heartbeats(Fd map);
  /// `maps`: steer_forwards and steer_forward_slots.
  [[nodiscard]] Status set_forwards(const control::v1::Forwards& message, std::vector<Fd> maps);
  [[nodiscard]] Status restore_flows(std::vector<Fd> arenas);
  [[nodiscard]] control::v1::State state() const;
  [[nodiscard]] control::v1::Hello hello() const;
  /// What travels with a Hello, in the order of control.proto. A reader's are read-only, and fewer.
  [[nodiscard]] Result<std::vector<Fd>> hello_fds(bool reader) const;

  /// Readable: call on_events().
  [[nodiscard]] std::vector<int> event_fds() const;
  void on_events();
  /// Housekeeping; returns when it wants to be called again at the latest.
  Duration on_time(Instant now);
  /// Ports lost since the last call.
  [[nodiscard]] std::vector<LostPort> take_lost_ports() { return std::exchange(lost_, {}); }
  [[nodiscard]] const std::string& warning() const { return runtime_->warning(); }

 private:
  Dataplane() = default;
  [[nodiscard]] Status publish_view();
  void tell_time();
  [[nodiscard]] bool redirect_target(PortIndex index) const { return ((forward_ports_ >> index) & 1) != 0; }
  void serve_forwards();
  [[nodiscard]] bool sleep_on_forwards();
  void wait_for_next_hops();
  void lose_port(PortIndex index, const std::string& reason);
  [[nodiscard]] control::v1::PortState port_state(const io::DpdkPort& port) const;

  // In the order of construction; destroyed the other way round.
  std::unique_ptr<io::DpdkRuntime> runtime_;
  SharedMemory segment_memory_;
  control::SegmentView segment_;
  worker::ViewExchange exchange_;
  std::unique_ptr<worker::ViewPublisher> publisher_;
  std::vector<HeartbeatMap> heartbeats_;
  std::vector<ForwardMaps> forward_maps_;
  std::unique_ptr<WorkerPool> workers_;
  std::unique_ptr<io::PortTable> table_;
  NextHopWatch watch_;

  control::SnapshotView snapshot_;
  std::shared_ptr<const void> storage_;           // of snapshot_
  std::shared_ptr<const worker::HttpView> http_;  // of snapshot_
  std::vector<control::NextHopIndex> endpoint_next_hops_;
  std::array<worker::WorkerPort, control::kPortMax> ports_{};
  std::uint64_t forward_ports_{};  // as the daemon said, also of ports that are not there yet
  std::vector<LostPort> lost_;
  bool had_port_{};
  Instant resolve_not_before_{};
  Instant last_refresh_{};
};

/// CLOCK_MONOTONIC.
[[nodiscard]] Instant monotonic_now();

}  // namespace penstock::app
