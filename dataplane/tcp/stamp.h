// stamp.h - short wrapping time stamps for per-segment and per-option times.
//
// Model     microseconds modulo 2^32 for transmit times: differences up to 35 minutes are right, and nothing stays
//           in flight that long. Order is by difference, so there is no `<`.
// Units     Stamp is microseconds; milliseconds_of() is the clock of the timestamps option (RFC 7323 s5.4).
#pragma once
#include <cstdint>

#include "dataplane/core/clock.h"

namespace penstock::tcp {

struct Stamp {
  std::uint32_t us{};
  [[nodiscard]] static constexpr Stamp of(Instant t) { return {static_cast<std::uint32_t>(to_nanoseconds(t) / 1000)}; }
  /// Microseconds from `earlier` to this; negative when `earlier` is later.
  [[nodiscard]] constexpr std::int32_t since(Stamp earlier) const { return static_cast<std::int32_t>(us - earlier.us); }
  friend constexpr bool operator==(Stamp, Stamp) = default;
};

[[nodiscard]] constexpr std::uint32_t milliseconds_of(Instant t) {
  return static_cast<std::uint32_t>(to_nanoseconds(t) / 1'000'000);
}

/// For ages of weeks: 31 bits of seconds do not wrap.
[[nodiscard]] constexpr std::uint32_t seconds_of(Instant t) {
  return static_cast<std::uint32_t>(to_nanoseconds(t) / 1'000'000'000) & 0x7fffffff;
}

/// How long ago `then` was, in whole milliseconds; at most 49 days.
[[nodiscard]] constexpr Duration age_of(CoarseMs then, Instant now) {
  return std::chrono::milliseconds{CoarseMs::of(now).ms - then.ms};
}

/// A deadline that is not set.
inline constexpr Instant kNever = Instant::max();

}  // namespace penstock::tcp
