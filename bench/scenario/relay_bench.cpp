// What a proxied TCP connection costs a worker, over memory.
//
// Relayed   one full segment from client to endpoint: data in and out, and its share of the acknowledgements in and out
//           (one for two segments on each side). net_ns is without the bench's own peers, which are measured between
//           the rounds of the same run (source_ns). 1: one connection with 32 segments in a burst; otherwise 16 with
//           two each, of so many. Checksums are partial, as on a veth, so every payload is summed once.
// Live      a whole connection: two handshakes, request and response of 100 octets, two orderly ends; 16 together.
// Idle      octets of memory that an idle pair takes: its record, its TCP entries, its flow, its places in tables; and
//           what the process really grew by per connection. Nothing is published here: a record comes on top.
#include <benchmark/benchmark.h>
#include <unistd.h>

#include <cstdio>
#include <map>

#include "bench/harness/cycles.h"
#include "bench/scenario/relay_scenario.h"

namespace penstock::bench {
namespace {

constexpr std::uint32_t kTogether = 16;

RelayScenario& opened(std::uint32_t connections) {
  static std::map<std::uint32_t, std::unique_ptr<RelayScenario>> all;
  auto& scenario = all[connections];
  if (!scenario) {
    all.clear();
    auto& fresh = all[connections];
    fresh = std::make_unique<RelayScenario>(connections);
    fresh->open_all();
    require(fresh->worker().relay().size() == connections, "not every connection was opened");
    // The peers ask no window. A new connection's is small, so the first segments come in small groups.
    for (int n = 0; n < 64 && connections == 1; ++n) fresh->move(0, 1, 4);
    return *fresh;
  }
  return *scenario;
}

void Relayed(benchmark::State& state) {
  const auto connections = static_cast<std::uint32_t>(state.range(0));
  RelayScenario& s = opened(connections);
  const std::uint32_t group = std::min(connections, kTogether);
  const std::uint32_t segments = 2 * kTogether / group;
  const std::uint64_t before = s.io().sent_payload_segments();
  PerPacket meter;
  std::uint32_t at = 0;
  std::uint64_t rounds = 0;
  for (auto _ : state) {
    meter.start();
    s.move(at, group, segments);
    meter.stop(std::uint64_t{group} * segments);
    at = at + 2 * group <= connections ? at + group : 0;
    if (++rounds % 64 != 0) continue;
    meter.start();
    s.peers_alone(at, group, segments);
    meter.stop_source(std::uint64_t{group} * segments);
  }
  // A few wait for an acknowledgement that the peer delays.
  if (s.io().sent_payload_segments() - before + 64 < rounds * group * segments)
    state.SkipWithError("segments were not relayed");
  meter.report(state);
}

void Live(benchmark::State& state) {
  RelayScenario s{65536};
  s.io().response_octets = 100;
  PerPacket meter;
  std::uint32_t at = 0;
  std::uint64_t connections = 0;
  for (auto _ : state) {
    meter.start();
    s.live(at, kTogether);
    meter.stop(kTogether);
    connections += kTogether;
    at = (at + kTogether) % 65536;
  }
  if (s.counters().closed.read() < connections) state.SkipWithError("connections did not end in order");
  meter.report(state);
  state.counters["per_second"] = benchmark::Counter(static_cast<double>(connections), benchmark::Counter::kIsRate);
}

std::size_t resident_octets() {
  std::FILE* const file = std::fopen("/proc/self/statm", "r");
  unsigned long total = 0, resident = 0;
  if (file == nullptr || std::fscanf(file, "%lu %lu", &total, &resident) != 2) return 0;
  std::fclose(file);
  return resident * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

void Idle(benchmark::State& state) {
  constexpr std::uint32_t kConnections = 100'000;
  double grown = 0;
  for (auto _ : state) {
    RelayScenario s{kConnections};
    const std::size_t before = resident_octets();
    s.open_all();
    grown = static_cast<double>(resident_octets() - before) / kConnections;
    if (s.worker().relay().size() != kConnections) state.SkipWithError("not every connection was opened");
  }
  state.counters["pair_octets"] = relay::Relay::kOctetsPerPair;
  state.counters["resident_octets"] = grown;
}

BENCHMARK(Relayed)->Arg(1)->Arg(16)->Arg(1000)->Arg(100'000);
BENCHMARK(Live);
BENCHMARK(Idle)->Iterations(1);

}  // namespace
}  // namespace penstock::bench
