// timer_wheel.h - when to look at a connection again.
//
// Model     one wheel of lists threaded through FlowCold::timer_next/prev. Lazy: packets only write last_seen_ms;
//           when a timer fires its owner computes the real deadline and either re-arms or expires the flow. A
//           deadline beyond one turn is shortened to one turn, which costs one extra look.
// Units     CoarseMs; one slot is kSlotMs, so a timer fires up to kSlotMs late and never early.
// Shape     kSlots list heads and a bitmap of the occupied ones: 33 KiB.
// Limits    advance() hands out at most `budget` timers a call and continues there next time.
// Errors    none.
#pragma once
#include <array>
#include <bit>
#include <cstdint>

#include "dataplane/core/clock.h"
#include "dataplane/flow/flow_table.h"

namespace penstock::flow {

class TimerWheel {
 public:
  static constexpr std::uint32_t kSlots = 8192;
  static constexpr std::uint32_t kSlotMs = 64;  // one turn: 8.7 minutes
  static constexpr std::uint32_t kTurnMs = kSlots * kSlotMs;

  TimerWheel(FlowTable& table, CoarseMs now) : table_{table}, cursor_{now.ms / kSlotMs} { heads_.fill(kNoFlow); }

  /// Fires at `deadline` or up to kSlotMs later. The flow must not be armed.
  void arm(FlowIndex flow, CoarseMs deadline);
  /// Takes an armed flow off the wheel.
  void disarm(FlowIndex flow);
  void rearm(FlowIndex flow, CoarseMs deadline) {
    disarm(flow);
    arm(flow, deadline);
  }

  /// Calls `fire(flow)` for up to `budget` due flows, each already off the wheel. Returns how many; less than
  /// `budget` means that nothing more is due.
  template <typename Fire>
  std::uint32_t advance(CoarseMs now, std::uint32_t budget, Fire&& fire) {
    const std::uint32_t target = now.ms / kSlotMs;
    std::uint32_t fired = 0;
    while (static_cast<std::int32_t>((target - cursor_) << kTickShift) > 0) {
      const std::uint32_t slot = cursor_ % kSlots;
      while (heads_[slot] != kNoFlow) {
        if (fired == budget) return fired;
        const FlowIndex flow = heads_[slot];
        disarm(flow);
        fire(flow);
        ++fired;
      }
      const std::uint32_t left = target - cursor_;
      cursor_ = (cursor_ + std::min(left & kTickMask, std::max(1u, gap_after(slot)))) & kTickMask;
    }
    return fired;
  }

  /// Milliseconds from `now` to the next occupied slot's end; kTurnMs when nothing is armed.
  [[nodiscard]] std::uint32_t until_next(CoarseMs now) const;

 private:
  // Ticks are CoarseMs / 64, so they wrap at 26 bits.
  static constexpr std::uint32_t kTickShift = 6;
  static constexpr std::uint32_t kTickMask = (1u << 26) - 1;
  static constexpr std::uint32_t kHeadFlag = 1u << 31;  // in timer_prev: the slot whose first entry this is

  /// Slots from `slot` to the next occupied one behind it, at most a turn.
  [[nodiscard]] std::uint32_t gap_after(std::uint32_t slot) const;

  FlowTable& table_;
  std::uint32_t cursor_;  // tick of the oldest slot that may still hold due timers
  std::array<FlowIndex, kSlots> heads_{};
  std::array<std::uint64_t, kSlots / 64> occupied_{};
};

}  // namespace penstock::flow
