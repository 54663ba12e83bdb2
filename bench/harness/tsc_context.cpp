// Every bench's report says how fast the time stamp counter runs ("tsc_mhz"), so that scripts/bench can tell cycles of
// all cases; what the library finds in the machine's files is another clock on machines that change theirs.
#include <benchmark/benchmark.h>
#include <x86intrin.h>

#include <chrono>
#include <string>

namespace {

double tsc_mhz() {
  using Clock = std::chrono::steady_clock;
  unsigned aux;
  const auto t0 = Clock::now();
  const auto c0 = __rdtscp(&aux);
  while (Clock::now() - t0 < std::chrono::milliseconds{20}) {
  }
  const auto c1 = __rdtscp(&aux);
  return static_cast<double>(c1 - c0) / std::chrono::duration<double, std::micro>(Clock::now() - t0).count();
}

[[maybe_unused]] const bool told = [] {
  benchmark::AddCustomContext("tsc_mhz", std::to_string(tsc_mhz()));
  return true;
}();

}  // namespace
