// A long transfer over a short wire that loses and reorders: hardly ever a timeout, and needless reductions undone.
#include "tests/sim/tcp/lossy_wire.h"

#include <gtest/gtest.h>

namespace penstock::tcpsim {
namespace {

struct Sum {
  HostCounts counts;
  double octets{}, us{};
  [[nodiscard]] double mbit_per_s() const { return octets * 8 / us; }
  [[nodiscard]] double per_gib(std::uint64_t count) const { return static_cast<double>(count) * (1u << 30) / octets; }
};

/// The peer acknowledges each segment, as a kernel does where something is missing every now and then.
Sum transfers(std::uint32_t loss, std::uint32_t reorder, int seeds = 8) {
  Sum sum;
  LossyWire wire{.octets = 8u << 20, .loss = loss, .reorder = reorder, .ack_every = 1};
  for (int i = 0; i < seeds; ++i, ++wire.seed) {
    const LossyRun run = transfer(scenario_of(wire));
    EXPECT_EQ(run.result.failure, "") << wire.seed;
    sum.counts.add(run.result.counts);
    sum.octets += static_cast<double>(run.result.octets);
    sum.us += static_cast<double>(run.result.virtual_us);
  }
  return sum;
}

// With lost repetitions left to the timeout it is several thousand timeouts for each GiB, and 2 Mbit/s.
TEST(TcpLossyWire, at_five_percent_with_reordering_the_timeout_is_the_exception) {
  const Sum sum = transfers(500, 200);
  EXPECT_LT(sum.per_gib(sum.counts.timeouts), 250);
  EXPECT_GT(sum.mbit_per_s(), 100);
}

TEST(TcpLossyWire, at_one_percent_there_are_next_to_no_timeouts) {
  const Sum sum = transfers(100, 0);
  EXPECT_LT(sum.per_gib(sum.counts.timeouts), 20);
  EXPECT_GT(sum.mbit_per_s(), 700);
}

TEST(TcpLossyWire, without_loss_reordering_costs_reductions_that_are_taken_back) {
  const Sum sum = transfers(0, 200);
  EXPECT_EQ(sum.counts.timeouts, 0u);
  EXPECT_GT(sum.counts.recoveries, 0u);
  EXPECT_GT(sum.counts.needless_reductions, sum.counts.recoveries * 3 / 4);
}

}  // namespace
}  // namespace penstock::tcpsim
