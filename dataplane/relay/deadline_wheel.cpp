#include "dataplane/relay/deadline_wheel.h"

#include <algorithm>
#include <utility>

namespace penstock::relay {
namespace {

constexpr std::uint32_t kMiddleShift = 8, kCoarseShift = 14;  // milliseconds per slot, as powers of two

}  // namespace

DeadlineWheel::DeadlineWheel(std::uint32_t capacity, CoarseMs now) : links_{capacity}, cursor_{now.ms} {}

/// A slot is looked at when the cursor reaches its first millisecond, so an entry is never behind the cursor.
std::uint32_t DeadlineWheel::slot_for(std::uint32_t deadline) const {
  const std::uint32_t wait = static_cast<std::int32_t>(deadline - cursor_) > 0 ? deadline - cursor_ : 0;
  if (wait < kFine) return (cursor_ + wait) % kFine;
  // Slots ahead; the clock may wrap between.
  const std::uint32_t middle = ((deadline >> kMiddleShift) - (cursor_ >> kMiddleShift)) & (~0u >> kMiddleShift);
  if (middle < kMiddle) return kMiddleAt + (deadline >> kMiddleShift) % kMiddle;
  const std::uint32_t coarse = ((deadline >> kCoarseShift) - (cursor_ >> kCoarseShift)) & (~0u >> kCoarseShift);
  return kCoarseAt + ((cursor_ >> kCoarseShift) + std::min(coarse, kCoarse - 1)) % kCoarse;
}

void DeadlineWheel::link(Entry entry, std::uint32_t slot) {
  Link& at = links_[entry];
  at.slot = slot + 1;
  at.prev = 0;
  at.next = heads_[slot];
  if (at.next != 0) links_[at.next - 1].prev = entry + 1;
  heads_[slot] = entry + 1;
  if (slot < kFine)
    occupied_[slot / 64] |= std::uint64_t{1} << (slot % 64);
  else
    ++coarser_;
  ++armed_;
}

void DeadlineWheel::disarm(Entry entry) {
  Link& at = links_[entry];
  if (at.slot == kUnarmed) return;
  const std::uint32_t slot = at.slot - 1;
  if (at.prev != 0)
    links_[at.prev - 1].next = at.next;
  else
    heads_[slot] = at.next;
  if (at.next != 0) links_[at.next - 1].prev = at.prev;
  if (slot < kFine && heads_[slot] == 0) occupied_[slot / 64] &= ~(std::uint64_t{1} << (slot % 64));
  if (slot >= kFine) --coarser_;
  at.slot = kUnarmed;
  --armed_;
}

void DeadlineWheel::arm(Entry entry, CoarseMs deadline) {
  Link& at = links_[entry];
  if (at.slot != kUnarmed) {
    if (static_cast<std::int32_t>(deadline.ms - at.deadline) >= 0) return;
    disarm(entry);
  }
  at.deadline = deadline.ms;
  link(entry, slot_for(deadline.ms));
}

void DeadlineWheel::cascade(std::uint32_t slot) {
  for (std::uint32_t next = std::exchange(heads_[slot], 0); next != 0;) {
    const Entry entry = next - 1;
    next = links_[entry].next;
    --armed_;
    --coarser_;
    link(entry, slot_for(links_[entry].deadline));
  }
}

/// One millisecond on, or straight to where something may be.
void DeadlineWheel::step(std::uint32_t now) {
  const std::uint32_t boundary = (cursor_ | (kFine - 1)) + 1;  // where the next middle slot opens
  const std::uint32_t ahead = until_next(CoarseMs{cursor_ + 1});
  const std::uint32_t target = ahead == kIdle ? now + 1 : cursor_ + 1 + ahead;
  const std::uint32_t limit = static_cast<std::int32_t>(boundary - (now + 1)) < 0 ? boundary : now + 1;
  cursor_ = static_cast<std::int32_t>(target - limit) < 0 ? target : limit;
  if (cursor_ % kFine != 0) return;
  if ((cursor_ >> kMiddleShift) % kMiddle == 0) cascade(kCoarseAt + (cursor_ >> kCoarseShift) % kCoarse);
  cascade(kMiddleAt + (cursor_ >> kMiddleShift) % kMiddle);
}

std::uint32_t DeadlineWheel::until_next(CoarseMs now) const {
  if (armed_ == 0) return kIdle;
  const std::uint32_t boundary = (cursor_ | (kFine - 1)) + 1;
  const auto left = [now](std::uint32_t at) { return static_cast<std::int32_t>(at - now.ms) > 0 ? at - now.ms : 0u; };
  for (std::uint32_t i = 0; i <= kFine / 64; ++i) {
    const std::uint32_t word = (cursor_ / 64 + i) % (kFine / 64);
    std::uint64_t bits = occupied_[word];
    if (i == 0) bits &= ~std::uint64_t{0} << (cursor_ % 64);
    if (i == kFine / 64) bits &= (std::uint64_t{1} << (cursor_ % 64)) - 1;
    if (bits == 0) continue;
    const std::uint32_t slot = word * 64 + static_cast<std::uint32_t>(std::countr_zero(bits));
    const std::uint32_t due = cursor_ + (slot - cursor_) % kFine;
    return coarser_ == 0 ? left(due) : std::min(left(due), left(boundary));
  }
  return left(boundary);
}

}  // namespace penstock::relay
