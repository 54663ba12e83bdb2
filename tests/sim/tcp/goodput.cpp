// tcp_goodput - what our sender makes of a short wire that loses and reorders.
//
// Usage  tcp_goodput [--loss 0,0.1,1,5] [--reorder 2] [--delay-us 50] [--mib 16] [--seeds 3]
//        one line per loss: goodput, timeouts, probes, recoveries, repetitions, the mean window; the mean of the seeds
#include <CLI/CLI.hpp>
#include <cstdio>

#include "tests/sim/tcp/lossy_wire.h"

namespace penstock::tcpsim {
namespace {

std::uint32_t of_ten_thousand(double percent) { return static_cast<std::uint32_t>(percent * 100 + 0.5); }

bool tell(LossyWire wire, double loss, std::uint64_t first, std::uint64_t seeds) {
  wire.loss = of_ten_thousand(loss);
  HostCounts counts;
  double us = 0, cwnd = 0, octets = 0;
  for (wire.seed = first; wire.seed < first + seeds; ++wire.seed) {
    const LossyRun run = transfer(scenario_of(wire));
    if (!run.result.failure.empty()) {
      std::printf("loss %.2f %% seed %llu: %s\n", loss, static_cast<unsigned long long>(wire.seed),
                  run.result.failure.c_str());
      return false;
    }
    counts.add(run.result.counts);
    us += static_cast<double>(run.result.virtual_us), octets += static_cast<double>(run.result.octets);
    cwnd += run.mean_cwnd_segments;
  }
  const double gib = octets / (1u << 30);
  std::printf("%6.2f %8.1f %9.0f %9.0f %10.0f %10.0f %9.0f %8.1f\n", loss, octets * 8 / us,
              static_cast<double>(counts.timeouts) / gib, static_cast<double>(counts.tail_probes) / gib,
              static_cast<double>(counts.recoveries) / gib, static_cast<double>(counts.retransmitted) / gib,
              static_cast<double>(counts.needless_reductions) / gib, cwnd / static_cast<double>(seeds));
  return true;
}

int command(int argc, char** argv) {
  CLI::App options{"goodput of our TCP sender over a simulated wire that loses and reorders"};
  std::vector<double> losses{0, 0.1, 1, 5};
  double reorder = 2;
  std::uint64_t mib = 16, seeds = 3, first = 1;
  LossyWire wire;
  options.add_option("--loss", losses, "per cent, each way")->delimiter(',');
  options.add_option("--reorder", reorder, "per cent of the packets that others overtake");
  options.add_option("--reorder-extra-us", wire.reorder_extra_us, "how much later those arrive, at most");
  options.add_option("--delay-us", wire.delay_us, "each way");
  options.add_option("--ack-every", wire.ack_every, "segments per acknowledgement");
  options.add_option("--mib", mib, "to transfer");
  options.add_option("--seeds", seeds, "how many runs of each");
  options.add_option("--first-seed", first, "the first of them");
  CLI11_PARSE(options, argc, argv);
  wire.octets = mib << 20;
  wire.reorder = of_ten_thousand(reorder);
  std::printf("%6s %8s %9s %9s %10s %10s %9s %8s\n%6s %8s %50s %28s\n", "loss", "goodput", "timeouts", "probes",
              "recoveries", "repeated", "undone", "cwnd", "%", "Mbit/s", "per GiB", "mean, segments");
  bool good = true;
  for (const double loss : losses) good = tell(wire, loss, first, seeds) && good;
  return good ? 0 : 1;
}

}  // namespace
}  // namespace penstock::tcpsim

int main(int argc, char** argv) { return penstock::tcpsim::command(argc, argv); }
