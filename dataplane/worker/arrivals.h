// arrivals.h - whether frames come so fast that a worker does better to let some gather than to look for each.
//
// Model     counts frames over periods of at least a millisecond. Fast begins at kFastFrames per millisecond and lasts
//           while the bursts hold kGathered frames on average. A fast worker that finds its queues empty rests
//           (PacketIo::rest) instead of polling: polls cost as much as work, and larger bursts share system calls,
//           wake-ups of the peers and cache lines. Few peers that wait for each answer gather no such bursts: a rest
//           would only delay them, so after a vain try none is made for kPause.
//           A slow worker polls for WorkerConfig::spin and then sleeps until a frame wakes it, which answers a lone
//           request soonest.
// Limits    a rest delays a frame by kRest and what the kernel's timer adds, some 30 us on a virtual machine.
#pragma once
#include <cstddef>

#include "dataplane/core/clock.h"

namespace penstock::worker {

inline constexpr Duration::rep kFastFrames = 64;
inline constexpr Duration::rep kGathered = 7;
inline constexpr Duration kRest{std::chrono::microseconds{20}};

class Arrivals {
 public:
  /// After each round, with the frames of its burst.
  void count(std::size_t frames, Instant now) {
    frames_ += static_cast<Duration::rep>(frames);
    ++rounds_;
    const Duration passed = now - since_;
    if (passed < kPeriod) return;
    if (fast_) {
      fast_ = frames_ >= kGathered * rounds_;
      if (!fast_) not_before_ = now + kPause;
    } else {
      fast_ = frames_ * kPeriod >= kFastFrames * passed && now >= not_before_;
    }
    since_ = now;
    frames_ = rounds_ = 0;
  }
  [[nodiscard]] bool fast() const { return fast_; }

 private:
  static constexpr Duration kPeriod{std::chrono::milliseconds{1}};
  static constexpr Duration kPause{std::chrono::milliseconds{16}};
  Duration::rep frames_{}, rounds_{};
  Instant since_{}, not_before_{};
  bool fast_{};
};

}  // namespace penstock::worker
