// splices.h - the records of spliced flows, in memory reserved at the start.
//
// Model     a slot per flow: two directions, which packets touch, and a control, which they do not. Slots are named by
//           index and given out from a free list.
// Shape     128 octets and 12 of control per slot; pages that were never used cost nothing.
// Errors    kNoSlot when all are taken: the pair stays proxied.
// Limits    RelayConfig::splices_max.
#pragma once
#include <cstddef>
#include <cstdint>

#include "dataplane/flow/flow_table.h"
#include "dataplane/relay/splice.h"
#include "dataplane/relay/zeroed_array.h"

namespace penstock::relay {

class Splices {
 public:
  using Slot = std::uint32_t;
  static constexpr Slot kNoSlot = 0xffffffff;

  explicit Splices(std::uint32_t count)
      : count_{count}, memory_{2 * std::size_t{count} * sizeof(SpliceDirection) + kLine}, controls_{count} {
    const auto at = reinterpret_cast<std::uintptr_t>(&memory_[0]);
    directions_ = reinterpret_cast<SpliceDirection*>((at + kLine - 1) / kLine * kLine);
  }

  [[nodiscard]] Slot acquire(flow::FlowIndex flow, bool by_cookie) {
    Slot slot = free_;
    if (slot != kNoSlot)
      free_ = controls_[slot].next_free;
    else if (high_water_ < count_)
      slot = high_water_++;
    else
      return kNoSlot;
    controls_[slot] = {flow, kNoSlot, by_cookie};
    ++size_;
    return slot;
  }
  void release(Slot slot) {
    controls_[slot] = {flow::kNoFlow, free_, false};
    free_ = slot;
    --size_;
  }
  /// `reverse`: packets of the endpoint.
  [[nodiscard]] SpliceDirection& direction(Slot slot, bool reverse) {
    return directions_[2 * std::size_t{slot} + (reverse ? 1 : 0)];
  }
  [[nodiscard]] const SpliceDirection& direction(Slot slot, bool reverse) const {
    return directions_[2 * std::size_t{slot} + (reverse ? 1 : 0)];
  }
  /// Began with a cookie: for a while a copy of its first data could open it again.
  [[nodiscard]] bool by_cookie(Slot slot) const { return controls_[slot].by_cookie; }
  /// kNoFlow for a free slot.
  [[nodiscard]] flow::FlowIndex flow(Slot slot) const { return controls_[slot].flow; }
  /// Slots from here on were never used.
  [[nodiscard]] Slot high_water() const { return high_water_; }
  [[nodiscard]] std::uint32_t size() const { return size_; }
  [[nodiscard]] bool full() const { return size_ == count_; }

 private:
  struct Control {
    flow::FlowIndex flow;
    Slot next_free;
    bool by_cookie;
  };
  static constexpr std::size_t kLine = 64;
  std::uint32_t count_;
  ZeroedArray<std::byte> memory_;
  SpliceDirection* directions_;  ///< in `memory_`, a cache line each
  ZeroedArray<Control> controls_;
  Slot free_{kNoSlot};
  std::uint32_t high_water_{};
  std::uint32_t size_{};
};

}  // namespace penstock::relay
