// time_waits.h - what is left of pairs whose legs closed first, until nothing old can arrive any more.
//
// Model     one slot for both legs of a pair; slots are in order of making, which is the order of their end, since
//           all live equally long. A leg that is not in TIME-WAIT has no record in its slot.
// Shape     80 octets a slot; touched when used.
// Limits    `capacity` slots; the owner evicts the oldest when none is free, and counts it.
// Errors    none.
// Not here  the rules (tcp/timewait.h).
#pragma once
#include <cstdint>

#include "dataplane/flow/flow_table.h"
#include "dataplane/relay/pair.h"
#include "dataplane/relay/zeroed_array.h"
#include "dataplane/tcp/timewait.h"

namespace penstock::relay {

struct TimeWaitSlot {
  tcp::TimeWait records[2];
  flow::FlowIndex flow;
  std::uint32_t next, prev;  ///< slot + 1
  std::uint8_t valid;        ///< bit per leg
  std::uint8_t zero[3];

  [[nodiscard]] tcp::TimeWait* record(Side side) {
    const auto bit = static_cast<std::size_t>(side);
    return (valid >> bit & 1) != 0 ? &records[bit] : nullptr;
  }
  [[nodiscard]] bool expired(Instant now) const {
    return ((valid & 1) == 0 || records[0].expired(now)) && ((valid & 2) == 0 || records[1].expired(now));
  }
};
static_assert(sizeof(TimeWaitSlot) == 80);

class TimeWaits {
 public:
  using Slot = std::uint32_t;
  static constexpr Slot kNoSlot = 0xffffffff;

  explicit TimeWaits(std::uint32_t capacity) : slots_{capacity}, capacity_{capacity} {}
  [[nodiscard]] Slot acquire(flow::FlowIndex flow) {
    Slot slot = kNoSlot;
    if (free_ != 0) {
      slot = free_ - 1;
      free_ = slots_[slot].next;
    } else if (high_water_ < capacity_) {
      slot = high_water_++;
    } else {
      return kNoSlot;
    }
    slots_[slot] = TimeWaitSlot{};
    slots_[slot].flow = flow;
    append(slot);
    ++size_;
    return slot;
  }
  void release(Slot slot) {
    unlink(slot);
    slots_[slot].next = free_;
    free_ = slot + 1;
    --size_;
  }
  /// A reply has renewed its life.
  void renew(Slot slot) {
    unlink(slot);
    append(slot);
  }
  [[nodiscard]] Slot oldest() const { return first_ - 1; }
  [[nodiscard]] TimeWaitSlot& operator[](Slot slot) { return slots_[slot]; }
  [[nodiscard]] std::uint32_t size() const { return size_; }

 private:
  void append(Slot slot) {
    slots_[slot].next = 0;
    slots_[slot].prev = last_;
    (last_ != 0 ? slots_[last_ - 1].next : first_) = slot + 1;
    last_ = slot + 1;
  }
  void unlink(Slot slot) {
    const TimeWaitSlot& s = slots_[slot];
    (s.prev != 0 ? slots_[s.prev - 1].next : first_) = s.next;
    (s.next != 0 ? slots_[s.next - 1].prev : last_) = s.prev;
  }
  ZeroedArray<TimeWaitSlot> slots_;
  std::uint32_t capacity_;
  std::uint32_t size_{}, high_water_{};
  std::uint32_t first_{}, last_{}, free_{};  // slot + 1
};

}  // namespace penstock::relay
