// segment.h - the shared segment: counters and rings of one dataplane process.
//
// Model     the dataplane creates it as a memfd and passes it over the control socket; the daemon maps it
//           read-write (rings), the CLI read-only (counters). It stays readable while the daemon is down.
//           Every counter has one writer, its worker; readers sum over workers and may see one burst less.
// Shape     SegmentHeader, then `worker_count` WorkerBlocks at `worker_stride`. Offsets, no pointers.
// Units     counts, octets, nanoseconds; gauges are named so.
#pragma once
#include <array>
#include <atomic>
#include <cstdint>
#include <span>

#include "dataplane/control/limits.h"
#include "dataplane/control/question.h"
#include "dataplane/core/drop_reason.h"
#include "dataplane/core/result.h"
#include "dataplane/core/spsc_ring.h"

namespace penstock::control {

inline constexpr std::uint64_t kSegmentMagic = 0x31676573'736e6570;  // "pensseg1"
inline constexpr std::uint32_t kSegmentLayout = 1;

/// One writer, any reader: plain add without a locked instruction.
class Counter {
 public:
  void add(std::uint64_t n = 1) { value_.store(value_.load(std::memory_order_relaxed) + n, std::memory_order_relaxed); }
  void sub(std::uint64_t n = 1) { value_.store(value_.load(std::memory_order_relaxed) - n, std::memory_order_relaxed); }
  void set(std::uint64_t n) { value_.store(n, std::memory_order_relaxed); }
  [[nodiscard]] std::uint64_t read() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> value_{};
};

struct PortCounters {
  Counter rx_frames, rx_octets, tx_frames, tx_octets, dropped, handed_off, probes, zero;
};

/// Counters of one stat slot: a listener or an endpoint.
struct SlotCounters {
  Counter active;      ///< gauge: flows alive
  Counter flows;       ///< flows ever
  Counter rx_packets;  ///< from downstream
  Counter rx_octets;
  Counter tx_packets;  ///< to downstream
  Counter tx_octets;
};

struct alignas(64) WorkerCounters {
  Counter adopted_epoch;  ///< gauge: snapshot in use
  Counter beat_ns;        ///< gauge: last heartbeat
  Counter polls, empty_polls, bursts, frames;
  Counter busy_ns;  ///< time spent on bursts that carried frames, device kicks included
  Counter sleeps, sleep_ns;
  Counter flows_active;    ///< gauge
  Counter flows_capacity;  ///< gauge
  Counter flows_created, flows_expired, flows_closed, flows_restored;
  Counter parked;  ///< gauge
  Counter questions, answers, answers_late, decisions_cached, decisions_hit;
  Counter icmp_translated, echo_replies, neighbor_replies, resets_sent, too_big_sent;
  Counter handoff_in, handoff_out;
  Counter checksum_completed;  ///< partial checksums that were completed
  std::array<Counter, kDropReasonMax> drops;
  std::array<PortCounters, kPortMax> ports;
  std::array<SlotCounters, kStatSlotMax> slots;
};

struct alignas(64) WorkerBlock {
  WorkerCounters counters;
  RingControl question_control;
  RingControl answer_control;
  std::array<Question, kQuestionRingSlots> questions;
  std::array<Answer, kAnswerRingSlots> answers;
};

struct alignas(64) SegmentHeader {
  std::uint64_t magic;
  std::uint32_t layout;
  std::uint32_t worker_count;
  std::uint64_t worker_offset;
  std::uint64_t worker_stride;
  std::uint64_t boot_epoch;  ///< CLOCK_REALTIME nanoseconds at which the process started
};

/// Octets of a segment for this many workers.
[[nodiscard]] std::size_t segment_octets(std::size_t worker_count);
/// Writes the header into zeroed memory of segment_octets().
void format_segment(ByteSpan memory, std::size_t worker_count, std::uint64_t boot_epoch);

/// A checked look into a mapped segment. Borrows the memory.
class SegmentView {
 public:
  SegmentView() = default;
  [[nodiscard]] static Result<SegmentView> open(std::span<std::byte> memory);
  [[nodiscard]] std::size_t worker_count() const { return worker_count_; }
  [[nodiscard]] std::uint64_t boot_epoch() const;
  [[nodiscard]] const WorkerCounters& counters(std::size_t worker) const { return block(worker).counters; }
  [[nodiscard]] WorkerBlock& block(std::size_t worker) const;

 private:
  std::byte* memory_{};
  std::size_t worker_count_{};
};

}  // namespace penstock::control
