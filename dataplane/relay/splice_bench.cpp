// Cost of a segment of a spliced flow, beyond what a balanced flow's costs (l4_bench, worker_bench): its record and the
// TCP header. Headers are in L1; what the flows cost is their records. A burst of 32 is fetched ahead, as in the
// worker.
#include <benchmark/benchmark.h>

#include <memory>
#include <vector>

#include "dataplane/relay/splices.h"
#include "tests/support/seeded.h"

namespace {

using namespace penstock;
constexpr std::size_t kBurst = 32;

enum Options : int { none, timestamps, timestamps_and_sack };

std::vector<std::byte> header(int options) {
  std::vector<std::byte> out(options == none ? 20u : options == timestamps ? 32u : 44u);
  wire::write_tcp(out, {Be16::from_host(1), Be16::from_host(2), 500, 9000, wire::kTcpAck, 500});
  const auto word = [&](std::size_t at, std::uint32_t value) { store_be(ByteSpan{out}, at, Be32::from_host(value)); };
  out[12] = static_cast<std::byte>(out.size() / 4 << 4);
  if (options != none) word(20, 0x0101080a), word(24, 256), word(28, 512);
  if (options == timestamps_and_sack) word(32, 0x0101050a), word(36, 10000), word(40, 10100);
  return out;
}

void translate(benchmark::State& state) {
  const auto flows = static_cast<std::uint32_t>(state.range(1));
  relay::Splices splices{flows};
  test::Seeded random{3};
  for (std::uint32_t i = 0; i < flows; ++i) {
    const auto slot = splices.acquire(i, false);
    for (const bool reverse : {false, true}) {
      relay::SpliceDirection& d = splices.direction(slot, reverse);
      d = {};
      d.seq_end = SeqNum{9000};  // both fit the header
      d.ack = SeqNum{500};
      d.edge = SeqNum{9500};
      d.window_shift = -4;
      d.flags = relay::kSpliceTimestamps | relay::kSpliceSack;
    }
  }
  std::vector<std::vector<std::byte>> headers(kBurst, header(static_cast<int>(state.range(0))));
  std::vector<std::uint32_t> order(1u << 16);
  for (std::uint32_t& at : order) at = static_cast<std::uint32_t>(random.below(2ull * flows));
  std::size_t next = 0;
  std::uint32_t sum = 0;
  while (state.KeepRunningBatch(kBurst)) {
    const std::uint32_t* const which = &order[next];
    next = (next + kBurst) % order.size();
    for (std::size_t i = 0; i < kBurst; ++i)
      for (const bool reverse : {false, true}) __builtin_prefetch(&splices.direction(which[i] / 2, reverse), 1);
    for (std::size_t i = 0; i < kBurst; ++i) {
      relay::SpliceDirection& d = splices.direction(which[i] / 2, (which[i] & 1) != 0);
      const relay::SpliceDirection& other = splices.direction(which[i] / 2, (which[i] & 1) == 0);
      sum += relay::note(d, other, headers[i], 100) ? 1 : 0;
      sum += relay::translate(headers[i], d);
    }
  }
  benchmark::DoNotOptimize(sum);
}
BENCHMARK(translate)
    ->ArgNames({"options", "flows"})
    ->ArgsProduct({{none, timestamps, timestamps_and_sack}, {16, 1000, 1'000'000}});

}  // namespace
