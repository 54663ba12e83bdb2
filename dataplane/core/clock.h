// clock.h - monotonic time below the worker loop.
//
// Model     time is handed in; there is no now() here. CLOCK_MONOTONIC nanoseconds, as bpf_ktime_get_ns().
// Units     Duration and Instant are nanoseconds; CoarseMs is a wrapping millisecond stamp for flow records.
#pragma once
#include <chrono>
#include <cstdint>

namespace penstock {

struct MonoClock {
  using duration = std::chrono::nanoseconds;
  using rep = duration::rep;
  using period = duration::period;
  using time_point = std::chrono::time_point<MonoClock>;
  static constexpr bool is_steady = true;
};
using Instant = MonoClock::time_point;
using Duration = MonoClock::duration;

/// Nanoseconds since the clock's start, for wire and shared-memory fields.
[[nodiscard]] constexpr std::uint64_t to_nanoseconds(Instant t) {
  return static_cast<std::uint64_t>(t.time_since_epoch().count());
}
[[nodiscard]] constexpr Instant from_nanoseconds(std::uint64_t ns) {
  return Instant{Duration{static_cast<Duration::rep>(ns)}};
}

/// Wrapping millisecond stamp: differences up to 24 days are right.
struct CoarseMs {
  std::uint32_t ms{};
  [[nodiscard]] static constexpr CoarseMs of(Instant t) {
    return {static_cast<std::uint32_t>(to_nanoseconds(t) / 1'000'000)};
  }
  /// Milliseconds from `earlier` to this; negative when `earlier` is later.
  [[nodiscard]] constexpr std::int32_t since(CoarseMs earlier) const {
    return static_cast<std::int32_t>(ms - earlier.ms);
  }
  friend constexpr bool operator==(CoarseMs, CoarseMs) = default;
};

}  // namespace penstock
