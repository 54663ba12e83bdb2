// large_receiver.h - the receive side of one AF_XDP queue whose frames may span several buffers.
//
// Model     DPDK 22.11's driver knows one buffer per frame; its socket is bound for more (XDP_USE_SG), and this
//           reads the rings in its place. A frame of several buffers is cut into pieces (large.h) in buffers of their
//           own, which wait here until receive() gives them out; its chunks go back to the fill ring. Pieces are as
//           large as buffers, whatever the MTU: DpdkIo cuts anew what leaves.
// Threads   receive(): the worker that has the queue. The rest: the control thread, while no worker has it.
// Limits    kPendingMax segments wait; no more is read until they are gone.
// Errors    no buffers: nothing is read, the kernel's ring fills (rx_ring_full). Frames that cannot be cut are
//           dropped and counted.
#pragma once
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>

#include "dataplane/io/dpdk/xsk_hooks.h"
#include "dataplane/io/large.h"

struct rte_mbuf;
struct rte_mempool;

namespace penstock::io {

/// IP packet of a piece, at most; a buffer takes it behind its headroom with a link header.
inline constexpr std::size_t kPiecePacketOctets = 1960;

class LargeReceiver {
 public:
  /// `whole_sums`: the port's checksums are verified, so those of pieces must be whole.
  LargeReceiver(const QueueCapture& queue, rte_mempool* pool, bool whole_sums)
      : queue_{queue}, pool_{pool}, whole_sums_{whole_sums} {}
  ~LargeReceiver();
  LargeReceiver(const LargeReceiver&) = delete;
  LargeReceiver& operator=(const LargeReceiver&) = delete;

  /// Fills `into` from the front; returns how many.
  [[nodiscard]] std::size_t receive(std::span<rte_mbuf*> into);
  /// Frames of several buffers that could not be cut.
  [[nodiscard]] std::uint64_t dropped() const { return dropped_.load(std::memory_order_relaxed); }

 private:
  static constexpr std::size_t kPeekMax = 2 * kChunksMax;
  static constexpr std::size_t kPiecesMax = 64;  // a frame of 64 KiB is fewer
  static constexpr std::size_t kPendingMax = 4 * kPiecesMax;
  /// Buffers that the fill ring, which holds thousands, may lack before it gets them together.
  static constexpr std::size_t kRefillFrom = 64;

  void read_ring();
  void take_buffer(const xdp_desc& desc);
  void cut(std::span<const ByteView> chunks);
  void refill();
  [[nodiscard]] rte_mbuf* buffer_at(std::uint64_t base) const;

  const QueueCapture& queue_;
  rte_mempool* pool_;
  bool whole_sums_;
  std::array<rte_mbuf*, kPendingMax> pending_;
  std::size_t head_{};
  std::size_t tail_{};
  std::array<std::uint64_t, kRefillFrom + kPeekMax> free_;  ///< addresses of chunks that go back to the fill ring
  std::size_t freed_{};
  std::size_t owed_{};  ///< buffers that the fill ring lacks beside those
  std::atomic<std::uint64_t> dropped_{};
};

}  // namespace penstock::io
