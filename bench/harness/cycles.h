// cycles.h - reports of cycles per packet.
//
// Model     TSC cycles (tests/support/tsc.h).
// Cost      one rdtscp pair per burst, about 2 cycles a packet at bursts of 32.
#pragma once
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstdint>
#include <vector>

#include "tests/support/tsc.h"

namespace penstock::bench {

using test::tsc_now;

/// Measures one burst at a time and reports the median burst: on a shared machine the mean tells more about the
/// neighbours than about the code. p5 comes near to what an undisturbed core does.
class PerPacket {
 public:
  PerPacket() { bursts_.reserve(kBurstsMax); }
  void start() { began_ = tsc_now(); }
  void stop(std::uint64_t packets) {
    const std::uint64_t cycles = tsc_now() - began_;
    packets_ += packets;
    if (bursts_.size() < kBurstsMax && packets != 0)
      bursts_.push_back(static_cast<float>(cycles) / static_cast<float>(packets));
  }
  /// The same for the bench's own share of a burst, measured apart but in the same run, between the other bursts.
  void stop_source(std::uint64_t packets) {
    const std::uint64_t cycles = tsc_now() - began_;
    if (source_.size() < kBurstsMax) source_.push_back(static_cast<float>(cycles) / static_cast<float>(packets));
  }
  void report(benchmark::State& state) {
    state.counters["cycles"] = cycles_per_packet();
    if (!source_.empty()) {
      const double source = quantile_of(source_, 0.5);
      state.counters["source_ns"] = source / test::tsc_per_ns();
      state.counters["net_ns"] = (cycles_per_packet() - source) / test::tsc_per_ns();
    }
    state.counters["p5_cycles"] = quantile(0.05);
    state.counters["p99_cycles"] = quantile(0.99);
    state.counters["ns"] = cycles_per_packet() / test::tsc_per_ns();
    state.SetItemsProcessed(static_cast<std::int64_t>(packets_));
  }
  [[nodiscard]] double cycles_per_packet() { return quantile(0.5); }

 private:
  static constexpr std::size_t kBurstsMax = 1u << 18;
  [[nodiscard]] double quantile(double q) { return quantile_of(bursts_, q); }
  [[nodiscard]] static double quantile_of(std::vector<float>& values, double q) {
    if (values.empty()) return 0;
    const auto at = values.begin() + static_cast<std::ptrdiff_t>(q * static_cast<double>(values.size() - 1));
    std::nth_element(values.begin(), at, values.end());
    return static_cast<double>(*at);
  }
  std::uint64_t began_{}, packets_{};
  std::vector<float> bursts_;  // cycles per packet
  std::vector<float> source_;
};

}  // namespace penstock::bench
