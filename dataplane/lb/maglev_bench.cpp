// Building a table, against the algorithm as the paper prints it (NSDI 2016, pseudocode 1), and picking from it.
#include <benchmark/benchmark.h>

#include "dataplane/lb/maglev.h"

namespace {

using namespace penstock;

std::vector<lb::MaglevMember> members(std::size_t count, bool weighted) {
  std::vector<lb::MaglevMember> out;
  for (std::size_t i = 0; i < count; ++i) {
    const auto address = IpAddress::v4(10, 0, static_cast<std::uint8_t>(i >> 8), static_cast<std::uint8_t>(i));
    out.push_back(
        {lb::member_identity(address, Be16::from_host(80)), weighted ? static_cast<std::uint32_t>(1 + i % 10) : 1});
  }
  return out;
}
double hash_of(const std::vector<std::uint16_t>& table) {
  std::uint64_t hash = 0;
  for (const std::uint16_t index : table) hash = hash * 31 + index;
  return static_cast<double>(hash & 0xffffff);
}

/// Pseudocode 1: permutation by modulo, equal weights.
std::vector<std::uint16_t> textbook(const std::vector<lb::MaglevMember>& list, std::uint32_t size) {
  std::vector<std::uint64_t> next(list.size());
  std::vector<std::int32_t> entry(size, -1);
  for (std::uint32_t n = 0; true;)
    for (std::size_t i = 0; i < list.size(); ++i) {
      const std::uint64_t offset = list[i].identity % size, skip = (list[i].identity >> 32) % (size - 1) + 1;
      std::uint64_t c = (offset + next[i] * skip) % size;
      while (entry[c] >= 0) c = (offset + ++next[i] * skip) % size;
      entry[c] = static_cast<std::int32_t>(i);
      ++next[i];
      if (++n == size) return {entry.begin(), entry.end()};
    }
}

void build(benchmark::State& state, bool weighted) {
  const auto list = members(static_cast<std::size_t>(state.range(1)), weighted);
  std::vector<std::uint16_t> table;
  for (auto _ : state) {
    table = lb::build_maglev(list, static_cast<std::uint32_t>(state.range(0)));
    benchmark::DoNotOptimize(table.data());
  }
  state.counters["result_hash"] = hash_of(table);
}
BENCHMARK_CAPTURE(build, equal, false)
    ->Args({1021, 10})
    ->Args({65537, 100})
    ->Args({65537, 1000})
    ->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(build, weighted, true)->Args({65537, 100})->Unit(benchmark::kMicrosecond);

void build_textbook(benchmark::State& state) {
  const auto list = members(static_cast<std::size_t>(state.range(1)), false);
  std::vector<std::uint16_t> table;
  for (auto _ : state) {
    table = textbook(list, static_cast<std::uint32_t>(state.range(0)));
    benchmark::DoNotOptimize(table.data());
  }
  state.counters["result_hash"] = hash_of(table);
}
BENCHMARK(build_textbook)->Args({65537, 100})->Args({65537, 1000})->Unit(benchmark::kMicrosecond);

void hash_and_pick(benchmark::State& state) {
  const auto table = lb::build_maglev(members(100, false), 65537);
  const IpAddress client = IpAddress::v4(10, 1, 0, 2), vip = IpAddress::v4(10, 96, 0, 10);
  std::uint16_t port = 0;
  for (auto _ : state) {
    const auto hash = lb::flow_hash(client, Be16::from_wire(++port), vip, Be16::from_host(80), IpProto::tcp);
    benchmark::DoNotOptimize(lb::pick(table, hash));
  }
}
BENCHMARK(hash_and_pick);

}  // namespace
