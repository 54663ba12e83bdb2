// backoff.h - how long to wait before the dataplane is started again.
//
// Model     0, 0.5, 1, 2, 4 .. 30 s after failures in a row; a run of kHealthyRun starts over.
#pragma once
#include <algorithm>
#include <chrono>

namespace penstock::daemon {

class Backoff {
 public:
  using milliseconds = std::chrono::milliseconds;
  static constexpr milliseconds kFirst{500};
  static constexpr milliseconds kMax{30'000};
  static constexpr std::chrono::seconds kHealthyRun{60};

  /// The wait after a process that ran for `run`.
  [[nodiscard]] milliseconds after(std::chrono::nanoseconds run) {
    if (run >= kHealthyRun) next_ = milliseconds{0};
    const milliseconds wait = next_;
    next_ = next_ == milliseconds{0} ? kFirst : std::min(next_ * 2, kMax);
    return wait;
  }

 private:
  milliseconds next_{0};
};

}  // namespace penstock::daemon
