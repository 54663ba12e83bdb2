// arrivals.h - whether frames come so fast that a worker does better to let some gather than to look for each.
//
// Model     counts frames over periods of a millisecond, of four while fast. Fast begins behind eight periods in a row
//           with at least kFastFrames each, found less than kFull at a time: a worker that finds more has no idle time
//           to rest in, and nothing to gather. A fast worker that finds its queues empty rests (PacketIo::rest) instead
//           of polling: polls cost as much as work, and larger bursts share system calls, wake-ups of the peers and
//           cache lines. Fast ends when that does not pay: bursts hold fewer than kGathered frames on average, or less
//           arrives than before the rests, since peers that wait for each answer now wait for the rest as well: much
//           less (kKeptPercent) in one period, or a little (kKeptLongPercent) over kLong of them. The first rests
//           (kTrial) only show whether frames gather at all, so that a lone connection is held up a few times at most.
//           After a vain try none is made for a pause, which doubles with each up to kPauseMax. What arrives without
//           rests is looked at anew every kRenew periods, since the load may have changed. A slow worker polls for
//           WorkerConfig::spin and then sleeps until a frame wakes it, which answers a lone request soonest.
// Limits    a rest delays a frame by kRest and what the kernel's timer adds, 10 to 30 us on a virtual machine.
#pragma once
#include <algorithm>
#include <cstddef>

#include "dataplane/core/clock.h"

namespace penstock::worker {

inline constexpr Duration::rep kFastFrames = 64;
inline constexpr Duration::rep kGathered = 5;
inline constexpr Duration::rep kFull = 24;
inline constexpr Duration::rep kKeptPercent = 80;
inline constexpr Duration::rep kKeptLongPercent = 94;
inline constexpr Duration kRest{std::chrono::microseconds{50}};

class Arrivals {
 public:
  /// After each round, with the frames of its burst.
  void count(std::size_t frames, Instant now) {
    frames_ += static_cast<Duration::rep>(frames);
    ++rounds_;
    const Duration passed = now - since_;
    if (passed < (!fast_ ? kPeriod : trial_ ? kTrial : kFastPeriod)) return;
    const Duration::rep rate = frames_ * kPeriod.count() / passed.count();  // frames per millisecond
    if (fast_) {
      judge(rate, now);
    } else {
      watch(rate, now);
    }
    since_ = now;
    frames_ = rounds_ = 0;
  }
  [[nodiscard]] bool fast() const { return fast_; }

  static constexpr Duration kPauseMin{std::chrono::milliseconds{16}};
  static constexpr Duration kPauseMax{std::chrono::milliseconds{512}};

 private:
  /// Enough in each of kWatched periods: what arrived then is what rests must not lessen.
  void watch(Duration::rep rate, Instant now) {
    if (rate < kFastFrames || frames_ >= kFull * rounds_) {
      watched_ = before_ = 0;
      return;
    }
    watched_ = std::min(watched_ + 1, kWatched);
    before_ += (rate - before_) / watched_;
    fast_ = trial_ = watched_ == kWatched && now >= not_before_;
  }
  void judge(Duration::rep rate, Instant now) {
    if (trial_) {
      trial_ = false;
      if (frames_ < kGathered * rounds_) end(now);
      return;
    }
    long_rate_ += rate;
    const bool all = ++judged_ == kLong;
    const bool pays = frames_ >= kGathered * rounds_ && rate * 100 >= before_ * kKeptPercent &&
                      (!all || long_rate_ * 100 >= before_ * kKeptLongPercent * kLong);
    if (!pays || all) long_rate_ = judged_ = 0;
    if (!pays) return end(now);
    pause_ = std::max(pause_ / 2, kPauseMin);
    if (++paid_ == kRenew) watch_anew();
  }
  void end(Instant now) {
    not_before_ = now + pause_;
    pause_ = std::min(pause_ * 2, kPauseMax);
    watch_anew();
  }
  void watch_anew() {
    fast_ = false;
    watched_ = before_ = paid_ = 0;
  }
  static constexpr Duration kPeriod{std::chrono::milliseconds{1}};
  static constexpr Duration kTrial{std::chrono::microseconds{500}};
  static constexpr Duration kFastPeriod{std::chrono::milliseconds{4}};
  static constexpr Duration::rep kWatched = 8;
  static constexpr Duration::rep kLong = 4;
  static constexpr Duration::rep kRenew = 128;
  Duration::rep frames_{}, rounds_{};
  Duration::rep before_{}, watched_{};    ///< frames per millisecond before the rests, and in how many periods in a row
  Duration::rep paid_{};                  ///< periods in a row that paid
  Duration::rep long_rate_{}, judged_{};  ///< sum of the rates of that many periods while fast
  Duration pause_{kPauseMin};
  Instant since_{}, not_before_{};
  bool fast_{}, trial_{};
};

}  // namespace penstock::worker
