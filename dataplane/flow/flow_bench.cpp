// flow_bench: what finding a flow costs, ours against rte_hash, at growing table sizes; and what goes with a flow: its
// timer, its source port, a cached decision, the way to another worker.
//
// Both look up the directions of N connections (2N keys, order shuffled) in bursts of 32. Ours also touches the
// record and its partner, which rte_hash leaves to its user; RteHash_record adds that for a fair comparison.
#include <benchmark/benchmark.h>
#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <memory>
#include <numeric>
#include <random>
#include <thread>
#include <vector>

#include "dataplane/core/spsc_ring.h"
#include "dataplane/flow/decision_cache.h"
#include "dataplane/flow/flow_table.h"
#include "dataplane/flow/rte_hash_baseline.h"
#include "dataplane/flow/source_port.h"
#include "dataplane/flow/test_arena.h"
#include "dataplane/flow/timer_wheel.h"

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

/// A timer that fires and is armed again: what every flow costs once per idle time.
void TimerWheel_fire_and_arm(benchmark::State& state) {
  const auto flows = static_cast<std::uint32_t>(state.range(0));
  TestArena arena{flows};
  FlowTable table{arena.bytes(), {.seed = {11, 12}}};
  CoarseMs now{0};
  TimerWheel wheel{table, now};
  for (std::uint32_t i = 0; i < flows; ++i) {
    const FlowIndex flow = table.begin(test_key(i), test_reverse(i));
    table.commit(flow);
    wheel.arm(flow, CoarseMs{TimerWheel::kSlotMs * (i % 1024)});
  }
  std::uint64_t fired = 0;
  for (auto _ : state) {
    now.ms += TimerWheel::kSlotMs;
    fired +=
        wheel.advance(now, 32, [&](FlowIndex flow) { wheel.arm(flow, CoarseMs{now.ms + 1024 * TimerWheel::kSlotMs}); });
  }
  state.counters["per_timer"] =
      benchmark::Counter(static_cast<double>(fired), benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}

/// The first free port of a range of which half is taken.
void SourcePorts_choose(benchmark::State& state) {
  const auto flows = static_cast<std::uint32_t>(state.range(0));
  TestArena arena{flows};
  FlowTable table{arena.bytes(), {.seed = {11, 12}}};
  SourcePorts ports{1};
  const std::array addresses{IpAddress::v4(10, 10, 2, 1)};
  const SourceSpace space{addresses, 20000, static_cast<std::uint16_t>(20000 + 2 * flows), 0, 1};
  const IpAddress endpoint = IpAddress::v4(10, 10, 2, 11);
  const Be16 port = Be16::from_host(8080);
  for (std::uint32_t i = 0; i < flows; ++i) {
    const auto choice = ports.choose(table, space, endpoint, port, IpProto::tcp);
    table.commit(table.begin(test_key(i, false, IpProto::tcp), choice.reverse));
  }
  for (auto _ : state) {
    const auto choice = ports.choose(table, space, endpoint, port, IpProto::tcp);
    if (!choice.found) state.SkipWithError("no port is free");
    benchmark::DoNotOptimize(choice.reverse);
  }
}

void DecisionCache_find(benchmark::State& state) {
  const auto clients = static_cast<std::uint32_t>(state.range(0));
  DecisionCache cache{4096, 1};
  for (std::uint32_t i = 0; i < clients; ++i)
    cache.put(7, IpPrefix{IpAddress::v4(10, static_cast<std::uint8_t>(i >> 8), static_cast<std::uint8_t>(i), 0), 24},
              {}, Instant{std::chrono::hours{1}});
  std::uint32_t i = 0, found = 0;
  for (auto _ : state) {
    const IpAddress source = IpAddress::v4(10, static_cast<std::uint8_t>(i >> 8), static_cast<std::uint8_t>(i), 9);
    found += cache.find(7, source, Instant{}).has_value();
    i = i + 1 == clients ? 0 : i + 1;
  }
  if (found == 0) state.SkipWithError("nothing was found");
}

/// A burst of 32 handed to the other end of a ring, by one thread: no line travels between cores.
void SpscRing_burst(benchmark::State& state) {
  RingControl control;
  std::vector<std::uint32_t> slots(static_cast<std::size_t>(state.range(0)) + 24);
  SpscRing<std::uint32_t> producer{control, slots}, consumer{control, slots};
  std::uint64_t sum = 0;
  for (auto _ : state) {
    for (std::uint32_t i = 0; i < kLookupBatch; ++i) benchmark::DoNotOptimize(producer.push(i));
    producer.publish();
    for (std::uint32_t item = 0; consumer.pop(item);) sum += item;
  }
  benchmark::DoNotOptimize(sum);
  state.counters["per_item"] = benchmark::Counter(static_cast<double>(state.iterations()) * kLookupBatch,
                                                  benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}

/// The calling thread stays on the first or the last core; where there is only one, nothing happens.
void stay_on(bool last) {
  const int count = static_cast<int>(std::thread::hardware_concurrency());
  cpu_set_t cores;
  CPU_ZERO(&cores);
  CPU_SET(static_cast<std::size_t>(last ? count - 1 : 0), &cores);
  pthread_setaffinity_np(pthread_self(), sizeof cores, &cores);
}

/// What a frame costs its owner more when it came in on another worker's queue: the ring's slot and the two lines of
/// headers that the other core has just written. Only the owner's time counts; it never waits for the other side.
void SpscRing_across_cores(benchmark::State& state) {
  struct alignas(64) Headers {
    std::array<std::uint64_t, 16> words;
  };
  constexpr std::uint32_t kSlots = 1024, kTaken = 256;
  RingControl control;
  std::vector<std::uint32_t> slots(kSlots);
  std::vector<Headers> frames(std::size_t{4} * kSlots);  // more than the ring holds: none is written while it is read
  std::atomic<bool> ended = false;
  stay_on(false);
  std::thread other{[&] {
    stay_on(true);
    SpscRing<std::uint32_t> producer{control, slots};
    for (std::uint32_t n = 0; !ended.load(std::memory_order_relaxed); ++n) {
      Headers& frame = frames[n % frames.size()];
      frame.words[0] = frame.words[8] = n;
      while (!producer.push(n) && !ended.load(std::memory_order_relaxed)) std::this_thread::yield();
      if (n % kLookupBatch == 0) producer.publish();
    }
  }};
  SpscRing<std::uint32_t> consumer{control, slots};
  std::uint64_t sum = 0;
  std::uint32_t taken = 0;
  for (auto _ : state) {
    while (control.head.load(std::memory_order_acquire) - taken < kTaken) std::this_thread::yield();
    const auto start = std::chrono::steady_clock::now();
    std::uint32_t item = 0;
    for (std::uint32_t i = 0; i < kTaken && consumer.pop(item); ++i, ++taken) {
      const Headers& frame = frames[item % frames.size()];
      sum += frame.words[0] + frame.words[8];
    }
    state.SetIterationTime(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  ended = true;
  other.join();
  benchmark::DoNotOptimize(sum);
  state.counters["per_item"] = benchmark::Counter(static_cast<double>(state.iterations()) * kTaken,
                                                  benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}

void sizes(benchmark::internal::Benchmark* b) {
  for (const int flows : {1, 1000, 65536, 1'000'000}) b->Arg(flows);
}
BENCHMARK(FlowTable_lookup<false>)->Apply(sizes);
BENCHMARK(FlowTable_lookup<true>)->Apply(sizes);
BENCHMARK(RteHash_lookup<false>)->Apply(sizes);
BENCHMARK(RteHash_lookup<true>)->Apply(sizes);
BENCHMARK(FlowTable_insert_erase)->Apply(sizes);
BENCHMARK(TimerWheel_fire_and_arm)->Arg(1000)->Arg(65536)->Arg(1000000);
BENCHMARK(SourcePorts_choose)->Arg(1000)->Arg(6000);
BENCHMARK(DecisionCache_find)->Arg(1000);
BENCHMARK(SpscRing_burst)->Arg(1000);
BENCHMARK(SpscRing_across_cores)->UseManualTime();

}  // namespace
}  // namespace penstock::flow
