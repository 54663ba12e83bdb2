#include "dataplane/flow/timer_wheel.h"

#include <algorithm>

namespace penstock::flow {

void TimerWheel::arm(FlowIndex flow, CoarseMs deadline) {
  // A slot is due once the clock has left it, so the deadline's own slot never fires early.
  const std::uint32_t ahead = ((deadline.ms / kSlotMs) - cursor_) & kTickMask;
  const std::uint32_t past_half = (kTickMask + 1) / 2;
  const std::uint32_t distance = ahead >= past_half ? 0 : std::min(ahead, kSlots - 1);
  const std::uint32_t slot = (cursor_ + distance) % kSlots;
  control::FlowCold& c = table_.cold(flow);
  c.timer_next = heads_[slot];
  c.timer_prev = kHeadFlag | slot;
  if (heads_[slot] != kNoFlow) table_.cold(heads_[slot]).timer_prev = flow;
  heads_[slot] = flow;
  occupied_[slot / 64] |= 1ull << (slot % 64);
}

void TimerWheel::disarm(FlowIndex flow) {
  const control::FlowCold& c = table_.cold(flow);
  if (c.timer_next != kNoFlow) table_.cold(c.timer_next).timer_prev = c.timer_prev;
  if ((c.timer_prev & kHeadFlag) == 0) {
    table_.cold(c.timer_prev).timer_next = c.timer_next;
    return;
  }
  const std::uint32_t slot = c.timer_prev & ~kHeadFlag;
  heads_[slot] = c.timer_next;
  if (heads_[slot] == kNoFlow) occupied_[slot / 64] &= ~(1ull << (slot % 64));
}

std::uint32_t TimerWheel::gap_after(std::uint32_t slot) const {
  const std::uint32_t first = (slot + 1) % kSlots;
  for (std::uint32_t done = 0; done < kSlots;) {
    const std::uint32_t at = (first + done) % kSlots;
    const std::uint64_t rest = occupied_[at / 64] >> (at % 64);
    if (rest != 0) return std::min(1 + done + static_cast<std::uint32_t>(std::countr_zero(rest)), kSlots);
    done += 64 - at % 64;
  }
  return kSlots;
}

std::uint32_t TimerWheel::until_next(CoarseMs now) const {
  const std::uint32_t slot = cursor_ % kSlots;
  const std::uint32_t gap = heads_[slot] != kNoFlow ? 0 : gap_after(slot);
  if (gap == kSlots) return kTurnMs;
  const std::uint32_t behind = ((now.ms / kSlotMs) - cursor_) & kTickMask;  // the clock may be ahead of the cursor
  if (behind > gap) return 0;
  return (gap - behind + 1) * kSlotMs - now.ms % kSlotMs;
}

}  // namespace penstock::flow
