// flow_bench: what finding a flow costs, ours against rte_hash, at growing table sizes.
//
// Both look up the directions of N connections (2N keys, order shuffled) in bursts of 32. Ours also touches the
// record and its partner, which rte_hash leaves to its user; RteHash_record adds that for a fair comparison.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <memory>
#include <numeric>
#include <random>
#include <vector>

#include "dataplane/flow/flow_table.h"
#include "dataplane/flow/rte_hash_baseline.h"
#include "dataplane/flow/test_arena.h"

namespace penstock::flow {
namespace {

std::vector<FlowKey> shuffled_keys(std::uint32_t flows, bool v6) {
  std::vector<FlowKey> keys;
  for (std::uint32_t i = 0; i < flows; ++i) {
    keys.push_back(test_key(i, v6));
    keys.push_back(test_reverse(i, v6));
  }
  std::shuffle(keys.begin(), keys.end(), std::mt19937{1});
  keys.resize(keys.size() / kLookupBatch * kLookupBatch + (keys.size() < kLookupBatch ? kLookupBatch : 0), keys[0]);
  return keys;
}

template <bool kV6>
void FlowTable_lookup(benchmark::State& state) {
  const auto flows = static_cast<std::uint32_t>(state.range(0));
  TestArena arena{flows};
  FlowTable table{arena.bytes(), {.seed = {11, 12}}};
  for (std::uint32_t i = 0; i < flows; ++i) table.commit(table.begin(test_key(i, kV6), test_reverse(i, kV6)));
  const std::vector<FlowKey> keys = shuffled_keys(flows, kV6);
  std::array<DirectionIndex, kLookupBatch> out;
  std::size_t at = 0;
  std::uint64_t sum = 0;
  for (auto _ : state) {
    table.lookup({&keys[at], kLookupBatch}, out);
    for (const DirectionIndex d : out) sum += table.partner(d).dst_port.wire();
    at = at + kLookupBatch >= keys.size() ? 0 : at + kLookupBatch;
  }
  benchmark::DoNotOptimize(sum);
  state.counters["per_key"] = benchmark::Counter(static_cast<double>(state.iterations()) * kLookupBatch,
                                                 benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}

template <bool kRecord>
void RteHash_lookup(benchmark::State& state) {
  const auto flows = static_cast<std::uint32_t>(state.range(0));
  RteHashBaseline table{std::max(64u, 2 * flows)};
  for (std::uint32_t i = 0; i < flows; ++i) {
    const FlowKey forward = test_key(i);
    const FlowKey reverse = test_reverse(i);
    if (!table.add(&forward) || !table.add(&reverse)) state.SkipWithError("rte_hash is full");
  }
  std::vector<control::FlowDirection> records(kRecord ? 4 * flows + 128 : 0);
  const std::vector<FlowKey> keys = shuffled_keys(flows, false);
  std::array<std::int32_t, kLookupBatch> out;
  std::array<const void*, kLookupBatch> pointers;
  std::size_t at = 0;
  std::uint64_t sum = 0;
  for (auto _ : state) {
    for (std::size_t i = 0; i < kLookupBatch; ++i) pointers[i] = &keys[at + i];
    table.lookup(pointers.data(), kLookupBatch, out.data());
    if constexpr (kRecord) {
      for (const std::int32_t d : out) {
        __builtin_prefetch(&records[static_cast<std::size_t>(d)]);
        __builtin_prefetch(&records[static_cast<std::size_t>(d ^ 1)]);
      }
      for (const std::int32_t d : out) {
        sum += records[static_cast<std::size_t>(d)].packets;
        sum += records[static_cast<std::size_t>(d ^ 1)].dst_port.wire();
      }
    } else {
      sum += static_cast<std::uint64_t>(out[0]);
    }
    at = at + kLookupBatch >= keys.size() ? 0 : at + kLookupBatch;
  }
  benchmark::DoNotOptimize(sum);
  state.counters["per_key"] = benchmark::Counter(static_cast<double>(state.iterations()) * kLookupBatch,
                                                 benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}

void FlowTable_insert_erase(benchmark::State& state) {
  const auto flows = static_cast<std::uint32_t>(state.range(0));
  TestArena arena{flows + 1};
  FlowTable table{arena.bytes(), {.seed = {11, 12}}};
  for (std::uint32_t i = 0; i < flows; ++i) table.commit(table.begin(test_key(i), test_reverse(i)));
  std::uint32_t i = flows;
  for (auto _ : state) {
    const FlowIndex flow = table.begin(test_key(i), test_reverse(i));
    table.commit(flow);
    table.erase(flow);
    ++i;
  }
}

void sizes(benchmark::internal::Benchmark* b) {
  for (const int flows : {1, 1000, 65536, 1'000'000}) b->Arg(flows);
}
BENCHMARK(FlowTable_lookup<false>)->Apply(sizes);
BENCHMARK(FlowTable_lookup<true>)->Apply(sizes);
BENCHMARK(RteHash_lookup<false>)->Apply(sizes);
BENCHMARK(RteHash_lookup<true>)->Apply(sizes);
BENCHMARK(FlowTable_insert_erase)->Apply(sizes);

}  // namespace
}  // namespace penstock::flow
