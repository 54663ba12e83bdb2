#include "dataplane/tcp/cubic.h"

#include <algorithm>

namespace penstock::tcp {
namespace {

constexpr std::uint32_t kWindowMax = 0x7fffffff;
// A curve that has risen for so long is above kWindowMax for any segment size; the limit keeps the cube in 64 bits.
constexpr std::int64_t kCurveMs = 300'000;

}  // namespace

std::uint32_t cube_root(std::uint64_t value) {
  std::uint64_t root = 0;
  for (int bit = 21; bit >= 0; --bit) {  // 2^22 cubed is above 2^64
    const std::uint64_t next = root | std::uint64_t{1} << bit;
    if (next <= 2'642'245 && next * next * next <= value) root = next;
  }
  return static_cast<std::uint32_t>(root);
}

std::uint32_t cubic_rise_ms(std::uint32_t octets, std::uint32_t mss) {
  // K^3 = octets / mss / 0.4 s^3, and one s^3 is 10^9 ms^3.
  return cube_root(std::uint64_t{octets} * 2'500'000'000 / mss);
}

std::uint32_t cubic_window(std::uint32_t w_max, std::int64_t since_plateau_ms, std::uint32_t mss) {
  const std::int64_t t = std::clamp(since_plateau_ms, -kCurveMs, kCurveMs);
  const std::int64_t segments_e4 = t * t * t * 4 / 1'000'000;  // in ten-thousandths of a segment
  const std::int64_t window = w_max + segments_e4 * mss / 10'000;
  return static_cast<std::uint32_t>(std::clamp<std::int64_t>(window, 0, kWindowMax));
}

CubicEpoch CubicEpoch::begin(std::uint32_t cwnd, std::uint32_t w_max, std::uint32_t now_ms, std::uint32_t mss) {
  return {.start_ms = now_ms,
          .rise_ms = w_max > cwnd ? cubic_rise_ms(w_max - cwnd, mss) : 0,
          .last_ms = now_ms,
          .estimate = cwnd,
          .credit = 0};
}

void CubicEpoch::estimate_acked(std::uint32_t octets, std::uint32_t cwnd, std::uint32_t cwnd_prior, std::uint32_t mss) {
  credit += octets;
  if (credit < cwnd) return;
  credit -= cwnd;
  // alpha = 3 (1 - beta) / (1 + beta) = 9/17
  estimate = std::min(estimate + (estimate < cwnd_prior ? mss * 9 / 17 : mss), kWindowMax);
}

}  // namespace penstock::tcp
