// runtime.h - DPDK's environment layer and the one buffer pool of the process.
//
// Model     started once per process, before any port. All ports share one pool, which is the umem of all their
//           AF_XDP sockets: a frame received on one port leaves by another without a copy in user space.
// Shape     kBufferOctets per buffer, densely packed; a queue holds at least kQueueBuffers of them while it exists.
// Errors    start() returns every reason why it cannot.
// Limits    kBuffersMin; memory_mib bounds what the pool may take.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "dataplane/core/result.h"

struct rte_mempool;

namespace penstock::io {

/// Buffers that one receive queue keeps in its fill and receive rings at least (fixed by the driver).
inline constexpr std::size_t kQueueBuffers = 2048;
/// What limits.receive_ring may ask for; the kernel's rings take powers of two.
inline constexpr std::size_t kReceiveRingMax = 32768;
/// Kept for frames under way (transmit rings, bursts, hand-off, parked) beside what queues hold.
inline constexpr std::size_t kReserveBuffers = 1024;
inline constexpr std::size_t kBuffersMin = 2 * kQueueBuffers + kReserveBuffers;
/// Longest frame that fits a buffer behind the headroom that XDP wants.
inline constexpr std::size_t kFrameOctetsMax = 1792;
/// Largest interface MTU that such a frame allows, VLAN tag included.
inline constexpr std::size_t kPortMtuMax = kFrameOctetsMax - 18;

enum class Hugepages : std::uint8_t { off, automatic, required };

struct RuntimeOptions {
  Hugepages hugepages{Hugepages::automatic};
  std::size_t memory_mib{256};
  std::size_t buffers{16384};
  std::size_t receive_ring{kQueueBuffers};  ///< frames that a queue holds, while half of the buffers stay free
  int main_cpu{-1};                         ///< -1: the first allowed
};

class DpdkRuntime {
 public:
  /// What would keep start() from working, without starting anything.
  [[nodiscard]] static Problems check(const RuntimeOptions& options);
  [[nodiscard]] static Result<std::unique_ptr<DpdkRuntime>> start(const RuntimeOptions& options);
  ~DpdkRuntime();
  DpdkRuntime(const DpdkRuntime&) = delete;
  DpdkRuntime& operator=(const DpdkRuntime&) = delete;

  [[nodiscard]] rte_mempool* pool() const { return pool_; }
  [[nodiscard]] bool hugepages() const { return hugepages_; }
  /// What was done otherwise than wished, for the log; empty when nothing.
  [[nodiscard]] const std::string& warning() const { return warning_; }
  /// Frames that the rings of one more port's queues may hold: what was asked for, or less when the pool is small.
  [[nodiscard]] std::size_t ring_for(std::size_t queues) const;
  /// Buffers that nobody holds; approximate while workers run.
  [[nodiscard]] std::size_t free_buffers() const;

 private:
  DpdkRuntime() = default;
  rte_mempool* pool_{};
  std::size_t receive_ring_{};
  bool hugepages_{};
  std::string warning_;
};

/// Every thread that polls must have one: it makes the thread known to DPDK (per-thread buffer cache).
class DpdkThread {
 public:
  DpdkThread();
  ~DpdkThread();
  DpdkThread(const DpdkThread&) = delete;
  DpdkThread& operator=(const DpdkThread&) = delete;
};

/// True when `octets` of 2 MiB pages are free right now.
[[nodiscard]] bool hugepages_available(std::size_t octets);

}  // namespace penstock::io
