// parked.h - flows that wait for an answer to their policy question.
//
// Model     the first frames of a flow wait under one question id with a deadline. answer() or due() hands them
//           back; the caller forwards or drops them. Question ids carry the slot, so an answer finds it directly,
//           and a sequence, so a late answer finds nothing.
// Limits    `capacity` flows, kParkedFramesPerFlow frames each.
// Errors    Full means: apply the listener's default action and count.
#pragma once
#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "dataplane/core/clock.h"
#include "dataplane/core/frame.h"
#include "dataplane/flow/flow_key.h"

namespace penstock::flow {

inline constexpr std::size_t kParkedFramesPerFlow = 4;

struct ParkedFlow {
  FlowKey key;
  std::uint64_t question_id{};
  std::uint32_t listener_id{};
  bool deny_by_default{};
  std::uint8_t frame_count{};
  Instant deadline{};
  std::array<Frame, kParkedFramesPerFlow> frames;
  [[nodiscard]] std::span<Frame> held() { return {frames.data(), frame_count}; }
};

class ParkedFlows {
 public:
  ParkedFlows(std::uint32_t capacity, std::uint64_t seed);
  [[nodiscard]] std::uint32_t size() const { return size_; }
  /// The flow of this key that already waits, or nullptr.
  [[nodiscard]] ParkedFlow* find(const FlowKey& key);
  /// Adds a frame to a waiting flow; false (the frame stays the caller's) when it holds enough already.
  [[nodiscard]] static bool add(ParkedFlow& flow, Frame& frame);
  /// A fresh entry with a question id of its own, without frames; nullptr when `limit` or the capacity is reached.
  [[nodiscard]] ParkedFlow* park(const FlowKey& key, Instant deadline, std::uint32_t limit);
  /// The flow that asked, or nullptr when it was answered or timed out before.
  [[nodiscard]] ParkedFlow* asked(std::uint64_t question_id);
  /// Some flow whose deadline has passed, or nullptr.
  [[nodiscard]] ParkedFlow* due(Instant now);
  /// Any flow, or nullptr; for draining.
  [[nodiscard]] ParkedFlow* any();
  /// Forgets the flow. Its frames must have been taken.
  void release(ParkedFlow& flow);
  /// Earliest deadline (perhaps of a flow already released), Instant::max() when nothing waits.
  [[nodiscard]] Instant next_deadline() const { return size_ == 0 ? Instant::max() : earliest_; }

 private:
  static constexpr std::uint32_t kNone = 0xffffffff;
  static constexpr std::uint64_t kSlotBits = 20;
  struct Link {
    std::uint32_t next{kNone};  // chain of the hash bucket, or the free list
    bool used{};
  };
  [[nodiscard]] std::uint32_t& head_of(const FlowKey& key);

  std::vector<ParkedFlow> flows_;
  std::vector<Link> links_;
  std::vector<std::uint32_t> heads_;
  FlowHasher hasher_;
  std::uint64_t sequence_{};
  std::uint32_t free_head_{kNone};
  std::uint32_t size_{};
  Instant earliest_{Instant::max()};
};

}  // namespace penstock::flow
