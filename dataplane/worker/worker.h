// worker.h - one poll-mode worker: bursts in, each frame one disposition, bursts out.
//
// Model     shared nothing. step() is one poll round and is pure of clocks, so the simulator drives the same
//           object; run() adds clock reads, idle back-off and heartbeat. After the constructor (and restore())
//           nothing allocates, locks, throws or logs.
// Threads   one thread calls step()/run(); set_heartbeat(), stop flags and ViewPublisher may be used by others.
// Shape     stages, each a loop over the burst in its own file: stage_parse, stage_flow, stage_l4,
//           stage_transmit; then housekeeping.
// Errors    every drop has a DropReason and is counted in WorkerCounters::drops.
// Not here  devices (io), netlink and control messages (app).
#pragma once
#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <span>

#include "dataplane/control/flow_layout.h"
#include "dataplane/control/limits.h"
#include "dataplane/control/segment.h"
#include "dataplane/core/clock.h"
#include "dataplane/io/packet_io.h"
#include "dataplane/relay/relay.h"
#include "dataplane/worker/forwards.h"
#include "dataplane/worker/handoff.h"
#include "dataplane/worker/worker_view.h"
#include "l7/proxy/proxy.h"

namespace penstock::worker {

/// Wakes whom a ring was filled for: the daemon, or the control thread (an eventfd write in production).
class Doorbell {
 public:
  virtual ~Doorbell() = default;
  virtual void ring() = 0;
};

struct WorkerConfig {
  std::uint16_t index{};
  std::uint16_t worker_count{1};
  std::uint64_t boot_epoch{};
  std::array<std::uint64_t, 2> seed{0x9e3779b97f4a7c15ull, 0xd1b54a32d192ed03ull};  ///< random per process
  std::uint32_t parked_max{1024};                        ///< room for parked flows; NodeRecord::parked_max lowers it
  std::uint32_t decision_cache_slots{4096};              ///< cached answers
  std::uint32_t proxy_connections_max{16384};            ///< room for proxied connections; NodeRecord lowers it
  std::uint32_t splices_max{control::kSpliceMax};        ///< spliced flows; with all of them pairs stay proxied
  std::uint32_t rests_before_splice{};                   ///< RelayConfig's; for tests
  std::uint32_t receive_ring{2048};                      ///< frames that a receive queue holds
  std::uint32_t lent_max{4096};                          ///< device buffers that proxied payload may wait in
  Duration spin{std::chrono::microseconds{50}};          ///< empty polls for this long before sleeping
  Duration sleep_max{std::chrono::milliseconds{25}};     ///< longest sleep: the heartbeat interval
  Duration beat_interval{std::chrono::milliseconds{5}};  ///< a busy worker beats at most this often
};

/// Everything a worker uses that somebody else owns; all of it outlives the worker.
struct WorkerWiring {
  io::PacketIo* io{};
  control::WorkerBlock* block{};
  ByteSpan flow_arena;          ///< zeroed, control::flow_arena_octets(capacity) octets, 64-aligned
  ByteSpan connection_arena{};  ///< formatted (control/connection_layout.h); empty: nothing is published
  ViewExchange* views{};
  HandoffMesh* handoff{};         ///< nullptr with one worker
  Doorbell* question_doorbell{};  ///< nullptr: nobody is woken
  ForwardExchange* forwards{};    ///< nullptr: no flow sinks into the XDP program
  Doorbell* forward_doorbell{};   ///< the control thread's
};

struct RestoreReport {
  std::uint32_t restored{}, torn{}, implausible{}, not_mine{}, expired{};
};

class Worker {
 public:
  /// Formats the flow arena and reserves everything.
  Worker(const WorkerConfig& config, const WorkerWiring& wiring);
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  /// Takes over the flows of one arena of a predecessor. Before the first step(); once per old arena
  /// (every worker reads every old arena and keeps what it owns now).
  RestoreReport restore(ByteView old_arena, Instant now);

  /// One poll round. True when there was any work.
  bool step(Instant now);

  /// Polls until `stop` is set, then gives every held frame back.
  void run(const std::atomic<bool>& stop);

  /// Returns parked frames and frames in hand-off rings to the device (reason stopping), and resets proxied
  /// connections, which nobody could go on with.
  void drain();

  /// Where to write CLOCK_MONOTONIC nanoseconds (the mmaped steer_heartbeat slot); nullptr stops beating.
  /// Any thread. The slot must stay mapped until the worker has stopped.
  void set_heartbeat(std::atomic<std::uint64_t>* slot);

  /// CLOCK_REALTIME less CLOCK_MONOTONIC in nanoseconds, to be told again about once a second: what responses are dated
  /// by. Until then nobody knows the time. Any thread.
  void set_wall_offset(std::int64_t ns);

  /// Earliest instant at which step() has something to do without a frame arriving; Instant::max() if never.
  [[nodiscard]] Instant next_deadline() const;
  [[nodiscard]] std::uint32_t flow_count() const;
  /// Proxied connections, for tests and benches.
  [[nodiscard]] const relay::Relay& relay() const;

  /// HTTP connections, for tests.
  [[nodiscard]] const proxy::HttpProxy& http() const;

  /// Private to dataplane/worker.
  struct State;

 private:
  std::unique_ptr<State> state_;
};

}  // namespace penstock::worker
