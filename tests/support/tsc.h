// tsc.h - how fast the time stamp counter runs.
//
// Model     TSC cycles are reference cycles at a constant rate, not core cycles: they compare runs on one machine.
// Units     cycles per nanosecond, measured once against the monotonic clock, over 50 ms.
#pragma once
#include <x86intrin.h>

#include <chrono>
#include <cstdint>

namespace penstock::test {

[[nodiscard]] inline std::uint64_t tsc_now() {
  unsigned aux;
  return __rdtscp(&aux);
}

[[nodiscard]] inline double tsc_per_ns() {
  static const double rate = [] {
    using Clock = std::chrono::steady_clock;
    const auto t0 = Clock::now();
    const std::uint64_t c0 = tsc_now();
    while (Clock::now() - t0 < std::chrono::milliseconds{50}) {
    }
    const std::uint64_t c1 = tsc_now();
    return static_cast<double>(c1 - c0) / std::chrono::duration<double, std::nano>(Clock::now() - t0).count();
  }();
  return rate;
}

}  // namespace penstock::test
