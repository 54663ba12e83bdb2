// lossy_wire.h - one long transfer over a short wire that loses and reorders: what a sender makes of it.
//
// Model     the client sends, the server only reads; both directions of the wire have the same faults. Goodput is
//           virtual: it counts round trips and timeouts, nothing of what a processor costs.
// Units     octets, virtual microseconds; chances in 1/10000.
// Errors    Result::failure, as of any run.
#pragma once
#include "tests/sim/tcp/scenario_support.h"

namespace penstock::tcpsim {

struct LossyWire {
  std::uint64_t octets{16u << 20};
  std::uint32_t delay_us{50};  ///< each way
  std::uint32_t loss{};
  std::uint32_t reorder{};
  std::uint32_t reorder_extra_us{400};     ///< at most; above the round trip on purpose
  std::uint32_t octets_per_ms{1'250'000};  ///< 10 Gbit/s: segments of a burst leave one after the other
  std::uint8_t ack_every{2};               ///< segments per acknowledgement; Linux after any gap: 1
  std::uint64_t seed{1};
};

struct LossyRun {
  Result result;
  double mean_cwnd_segments{};  ///< over time
  [[nodiscard]] double mbit_per_s() const {
    return static_cast<double>(result.octets) * 8 / static_cast<double>(result.virtual_us);
  }
};

[[nodiscard]] inline Scenario scenario_of(const LossyWire& wire) {
  Scenario out = quiet(0, wire.delay_us);
  out.seed = wire.seed;
  out.connections[0].app[0].total = wire.octets;
  out.limits[1].ack_every = wire.ack_every;
  for (LinkPlan& link : out.link) {
    link.loss = wire.loss;
    link.reorder = wire.reorder;
    link.reorder_extra_us = wire.reorder_extra_us;
    link.octets_per_ms = wire.octets_per_ms;
    link.queue_us = 1'000'000;
  }
  return out;
}

[[nodiscard]] inline LossyRun transfer(const Scenario& scenario) {
  struct Mean final : Watcher {
    double area{};
    std::uint64_t last_us{};
    std::uint32_t cwnd{};
    void after(std::uint64_t at_us, const Host& client) override {
      area += static_cast<double>(cwnd) * static_cast<double>(at_us - last_us);
      last_us = at_us;
      cwnd = client.cwnd_octets(0);
    }
  } mean;
  LossyRun out;
  out.result = World{scenario}.run(&mean);
  out.mean_cwnd_segments = mean.area / 1448 / static_cast<double>(std::max<std::uint64_t>(mean.last_us, 1));
  return out;
}

}  // namespace penstock::tcpsim
