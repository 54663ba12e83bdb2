// deadline_wheel.h - when to look at a pair again, to the millisecond.
//
// Model     a hierarchy of three wheels: 256 slots of 1 ms, 64 of 256 ms, 64 of 16.4 s. Lazy: the owner computes the
//           real deadline when an entry fires and arms again if it lies later; only an earlier deadline moves an
//           entry. A deadline beyond the last wheel is shortened to it, which costs one extra look.
// Units     CoarseMs; an entry fires up to 1 ms late and never early.
// Shape     16 octets per entry, reserved at once and touched when used; 384 list heads.
// Limits    advance() hands out at most `budget` entries a call and goes on there next time.
// Errors    none.
#pragma once
#include <array>
#include <bit>
#include <cstdint>

#include "dataplane/core/clock.h"
#include "dataplane/relay/zeroed_array.h"

namespace penstock::relay {

class DeadlineWheel {
 public:
  using Entry = std::uint32_t;
  static constexpr Entry kNoEntry = 0xffffffff;

  DeadlineWheel(std::uint32_t capacity, CoarseMs now);

  /// Fires at `deadline` or, when it is armed for an earlier moment, then.
  void arm(Entry entry, CoarseMs deadline);
  void disarm(Entry entry);
  [[nodiscard]] bool armed(Entry entry) const { return links_[entry].slot != kUnarmed; }

  /// Calls `fire(entry)` for up to `budget` due entries, each disarmed. Returns how many; less than `budget` means
  /// that nothing more is due.
  template <typename Fire>
  std::uint32_t advance(CoarseMs now, std::uint32_t budget, Fire&& fire) {
    std::uint32_t fired = 0;
    while (static_cast<std::int32_t>(now.ms - cursor_) >= 0) {
      for (std::uint32_t& head = heads_[cursor_ % kFine]; head != kUnarmed;) {
        if (fired == budget) return fired;
        const Entry entry = head - 1;
        disarm(entry);
        fire(entry);
        ++fired;
      }
      step(now.ms);
    }
    return fired;
  }
  /// Milliseconds from `now` until advance() may have something to do; kIdle when nothing is armed.
  [[nodiscard]] std::uint32_t until_next(CoarseMs now) const;
  static constexpr std::uint32_t kIdle = 0xffffffff;

 private:
  static constexpr std::uint32_t kFine = 256, kMiddle = 64, kCoarse = 64;
  static constexpr std::uint32_t kMiddleAt = kFine, kCoarseAt = kFine + kMiddle, kSlots = kCoarseAt + kCoarse;
  static constexpr std::uint32_t kUnarmed = 0;  // links hold index + 1, so that fresh memory is unarmed
  struct Link {
    std::uint32_t next, prev;  // entry + 1; prev of the first is 0
    std::uint32_t slot;        // slot + 1; kUnarmed = not on a list
    std::uint32_t deadline;
  };
  [[nodiscard]] std::uint32_t slot_for(std::uint32_t deadline) const;
  void link(Entry entry, std::uint32_t slot);
  void step(std::uint32_t now);
  void cascade(std::uint32_t slot);

  ZeroedArray<Link> links_;
  std::array<std::uint32_t, kSlots> heads_{};
  std::array<std::uint64_t, kFine / 64> occupied_{};  // of the fine wheel
  std::uint32_t cursor_;                              // the next millisecond to look at
  std::uint32_t armed_{};
  std::uint32_t coarser_{};  // of those, in the middle and coarse wheels
};

}  // namespace penstock::relay
