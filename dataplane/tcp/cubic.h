// cubic.h - the curve of CUBIC and the estimate of what Reno would do (RFC 9438 s4.2, s4.3).
//
// Model     W_cubic(t) = C (t - K)^3 + W_max, C = 0.4 segments/s^3: flat around the window that was too large last
//           time (W_max), steeper the longer ago that was. CubicEpoch is one stage of congestion avoidance: where its
//           curve begins, and the Reno estimate that grows beside it.
// Units     octets and milliseconds, integers throughout; `mss` is the payload of a full segment.
// Shape     20 octets.
// Errors    none: results are clamped to what 31 bits hold.
// Not here  when a stage begins, what a loss does (congestion.h).
#pragma once
#include <cstdint>

namespace penstock::tcp {

/// The largest integer whose cube is not above `value`.
[[nodiscard]] std::uint32_t cube_root(std::uint64_t value);
/// K: how long the curve needs for `octets` (W_max minus the window at the stage's start).
[[nodiscard]] std::uint32_t cubic_rise_ms(std::uint32_t octets, std::uint32_t mss);
/// W_cubic(t) with `since_plateau_ms` = t - K.
[[nodiscard]] std::uint32_t cubic_window(std::uint32_t w_max, std::int64_t since_plateau_ms, std::uint32_t mss);

/// beta_cubic = 0.7.
[[nodiscard]] constexpr std::uint32_t cubic_reduced(std::uint32_t octets) {
  return static_cast<std::uint32_t>(std::uint64_t{octets} * 7 / 10);
}

struct CubicEpoch {
  std::uint32_t start_ms{};  ///< wrapping; moved on while the application did not use the window (s5.8)
  std::uint32_t rise_ms{};   ///< K
  std::uint32_t last_ms{};   ///< the acknowledgement before
  std::uint32_t estimate{};  ///< W_est
  std::uint32_t credit{};    ///< acknowledged octets that have not grown W_est yet

  /// Begins a stage at `cwnd`; a `w_max` not above it means that the curve starts on its plateau.
  [[nodiscard]] static CubicEpoch begin(std::uint32_t cwnd, std::uint32_t w_max, std::uint32_t now_ms,
                                        std::uint32_t mss);
  /// Time passed in which the window was not used.
  void unused_until(std::uint32_t now_ms) {
    start_ms += now_ms - last_ms;
    last_ms = now_ms;
  }
  /// W_est grows by alpha segments per window, by one once it has regained `cwnd_prior` (s4.3).
  void estimate_acked(std::uint32_t octets, std::uint32_t cwnd, std::uint32_t cwnd_prior, std::uint32_t mss);
};

}  // namespace penstock::tcp
