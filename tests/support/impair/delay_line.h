// delay_line.h - the frames that are on their way through the stage, in the order in which they will leave.
//
// Model     a frame is copied in with the time at which it leaves, and perhaps a number of later frames after which
//           it leaves sooner. front() is the next one that is due. Equal times keep the order of arrival.
// Limits    `capacity` frames of at most kFrameOctetsMax; push() says no when full.
// Not here  the decision (impairment.h), sending (packet_port.h).
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

#include "dataplane/core/clock.h"

namespace penstock::impair {

inline constexpr std::size_t kFrameOctetsMax = 1600;  // 1,500 behind an Ethernet header and tags

class DelayLine {
 public:
  explicit DelayLine(std::size_t capacity) : octets_(capacity * kFrameOctetsMax), lengths_(capacity), free_(capacity) {
    for (std::size_t i = 0; i < capacity; ++i) free_[i] = static_cast<std::uint32_t>(capacity - 1 - i);
    heap_.reserve(capacity);
  }

  /// `after`: leaves early once so many frames were pushed behind it; 0: by time alone.
  /// The copy that may still be changed; empty when the line is full.
  std::span<std::byte> push(std::span<const std::byte> frame, Instant leaves, std::uint32_t after = 0) {
    if (free_.empty() || frame.size() > kFrameOctetsMax) return {};
    const std::uint32_t slot = free_.back();
    free_.pop_back();
    std::byte* at = octets_.data() + slot * kFrameOctetsMax;
    std::memcpy(at, frame.data(), frame.size());
    lengths_[slot] = static_cast<std::uint16_t>(frame.size());
    pushed_ += 2;  // odd numbers are for held frames: right behind the frame that let them go
    if (after != 0) held_.push_back({pushed_ + 2ull * after, pushed_});
    insert({leaves, pushed_, slot});
    overtake(leaves);
    return {at, frame.size()};
  }

  [[nodiscard]] bool empty() const { return heap_.empty(); }
  /// When the next frame leaves; the far future when there is none.
  [[nodiscard]] Instant next() const { return heap_.empty() ? Instant::max() : heap_.front().leaves; }
  [[nodiscard]] std::span<const std::byte> front() const {
    const std::uint32_t slot = heap_.front().slot;
    return {octets_.data() + slot * kFrameOctetsMax, lengths_[slot]};
  }
  void pop() {
    std::pop_heap(heap_.begin(), heap_.end(), later);
    free_.push_back(heap_.back().slot);
    heap_.pop_back();
  }

 private:
  struct Entry {
    Instant leaves;
    std::uint64_t number;
    std::uint32_t slot;
  };
  struct Held {
    std::uint64_t until, number;
  };
  static bool later(const Entry& a, const Entry& b) {
    return a.leaves != b.leaves ? a.leaves > b.leaves : a.number > b.number;
  }
  void insert(Entry entry) {
    heap_.push_back(entry);
    std::push_heap(heap_.begin(), heap_.end(), later);
  }
  /// Held frames that enough others have passed leave right behind the newest frame. Few are held at a time.
  void overtake(Instant newest) {
    std::erase_if(held_, [&](const Held& held) {
      if (held.until > pushed_) return false;
      const auto found =
          std::find_if(heap_.begin(), heap_.end(), [&](const Entry& e) { return e.number == held.number; });
      if (found != heap_.end() && found->leaves > newest) {
        found->leaves = newest;
        found->number = pushed_ + 1;
        std::make_heap(heap_.begin(), heap_.end(), later);
      }
      return true;
    });
  }

  std::vector<std::byte> octets_;
  std::vector<std::uint16_t> lengths_;
  std::vector<std::uint32_t> free_;
  std::vector<Entry> heap_;
  std::vector<Held> held_;
  std::uint64_t pushed_{};
};

}  // namespace penstock::impair
