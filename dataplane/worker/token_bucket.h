// token_bucket.h - bounds how often a worker answers strangers (RST, ICMP errors).
//
// Model     `per_second` tokens a second, at most `burst` saved up. Time is handed in.
// Limits    kAnswersPerSecond and kAnswersBurst per worker and kind (RFC 4443 s2.4 (f), RFC 5961 s7).
#pragma once
#include <algorithm>
#include <cstdint>

#include "dataplane/core/clock.h"

namespace penstock::worker {

inline constexpr std::uint32_t kAnswersPerSecond = 1000;
inline constexpr std::uint32_t kAnswersBurst = 200;

class TokenBucket {
 public:
  constexpr TokenBucket(std::uint32_t per_second, std::uint32_t burst)
      : step_{1'000'000'000 / per_second}, span_{Duration{step_} * burst} {}
  /// True when one more is allowed at `now`.
  [[nodiscard]] bool take(Instant now) {
    const Instant earliest = now - span_;
    if (spent_until_ < earliest) spent_until_ = earliest;
    if (spent_until_ + Duration{step_} > now) return false;
    spent_until_ += Duration{step_};
    return true;
  }

 private:
  Duration::rep step_;
  Duration span_;
  Instant spent_until_{};
};

}  // namespace penstock::worker
