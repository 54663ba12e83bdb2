// large_receiver.h - the receive side of one AF_XDP queue whose frames may span several buffers.
//
// Model     DPDK 22.11's driver knows one buffer per frame; its socket is bound for more (XDP_USE_SG), and this
//           reads the rings in its place. A frame of several buffers is cut into segments (large.h) in buffers of
//           their own, which wait here until receive() gives them out; its chunks go back to the fill ring, which is
//           kept as deep as the load needs (fill_depth.h).
// Threads   receive(): the worker that has the queue. The rest: the control thread, while no worker has it.
// Limits    kPendingMax segments wait; no more is read until they are gone.
// Errors    no buffers: nothing is read, the kernel's ring fills (rx_ring_full). Frames that cannot be cut are
//           dropped and counted.
#pragma once
#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>

#include "dataplane/io/dpdk/xsk_hooks.h"
#include "dataplane/io/fill_depth.h"
#include "dataplane/io/large.h"

struct rte_mbuf;
struct rte_mempool;

namespace penstock::io {

/// IP packet of a piece that fits a buffer, where the sizes of pieces matter to nobody.
inline constexpr std::size_t kCutPacketOctets = 1960;

class LargeReceiver {
 public:
  /// `mtu`: of pieces. `given`: buffers that stand in the fill ring, which is never given more. `whole_sums`: the
  /// port's checksums are verified, so those of cut segments must be whole.
  LargeReceiver(const QueueCapture& queue, rte_mempool* pool, std::uint32_t given, std::size_t mtu, bool whole_sums)
      : queue_{queue}, pool_{pool}, mtu_{mtu}, whole_sums_{whole_sums}, depth_{given}, given_{given} {}
  ~LargeReceiver();
  LargeReceiver(const LargeReceiver&) = delete;
  LargeReceiver& operator=(const LargeReceiver&) = delete;

  /// Fills `into` from the front; returns how many.
  [[nodiscard]] std::size_t receive(std::span<rte_mbuf*> into);
  /// Nothing came for long: the fill ring becomes as deep as it may.
  void idle();
  /// Frames of several buffers that could not be cut.
  [[nodiscard]] std::uint64_t dropped() const { return dropped_.load(std::memory_order_relaxed); }

 private:
  static constexpr std::uint32_t kPeekMax = 2 * kChunksMax;
  static constexpr std::size_t kPiecesMax = 64;  // of 64 KiB at 1,500 octets; with a smaller MTU a frame is dropped
  static constexpr std::size_t kPendingMax = 4 * kPiecesMax;
  /// Buffers that the fill ring, which holds hundreds, may lack before it gets them together.
  static constexpr std::uint32_t kRefillFrom = 64;

  void read_ring();
  void take_buffer(const xdp_desc& desc);
  void cut(std::span<const ByteView> chunks);
  /// Buffers that the fill ring lacks when `freed_` have gone back.
  [[nodiscard]] std::uint32_t lacking() const { return depth_.depth() - std::min(depth_.depth(), given_ + freed_); }
  void refill();
  [[nodiscard]] rte_mbuf* buffer_at(std::uint64_t base) const;

  const QueueCapture& queue_;
  rte_mempool* pool_;
  std::size_t mtu_;
  bool whole_sums_;
  std::array<rte_mbuf*, kPendingMax> pending_;
  std::size_t head_{};
  std::size_t tail_{};
  std::array<std::uint64_t, kRefillFrom + kPeekMax> free_;  ///< addresses of chunks that go back to the fill ring
  std::uint32_t freed_{};
  FillDepth depth_;
  std::uint32_t given_;  ///< buffers in the fill and the receive ring
  bool starved_{};       ///< the pool had none when the fill ring lacked some
  std::atomic<std::uint64_t> dropped_{};
};

}  // namespace penstock::io
