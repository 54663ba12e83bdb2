// Cost of reading one frame and of summing payload. Frames are 64 distinct ones in a loop, all in L1.
#include <benchmark/benchmark.h>

#include <vector>

#include "dataplane/wire/checksum.h"
#include "dataplane/wire/packet_info.h"
#include "tests/support/seeded.h"

namespace {

using namespace penstock;

std::vector<test::Bytes> frames(bool v4, bool tcp, bool vlan) {
  test::Seeded random{1};
  std::vector<test::Bytes> out;
  for (int i = 0; i < 64; ++i) {
    test::PacketBuilder builder;
    if (vlan) builder.vlan(7);
    builder.from_to(random.address(v4), random.address(v4));
    if (tcp)
      builder.tcp(random.u16(), 80);
    else
      builder.udp(random.u16(), 80);
    out.push_back(builder.payload_octets(18).build());
  }
  return out;
}

void parse(benchmark::State& state, bool v4, bool tcp, bool vlan) {
  const auto input = frames(v4, tcp, vlan);
  std::size_t at = 0;
  std::uint64_t hash = 0;
  for (auto _ : state) {
    wire::PacketInfo info;
    benchmark::DoNotOptimize(wire::parse_packet_into(input[at], info));
    benchmark::DoNotOptimize(info);
    at = (at + 1) & 63;
  }
  for (const auto& frame : input) hash = hash * 31 + wire::parse_packet(frame)->src_port.wire();
  state.counters["result_hash"] = static_cast<double>(hash & 0xffffff);
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK_CAPTURE(parse, ipv4_tcp, true, true, false);
BENCHMARK_CAPTURE(parse, ipv4_udp, true, false, false);
BENCHMARK_CAPTURE(parse, ipv4_tcp_vlan, true, true, true);
BENCHMARK_CAPTURE(parse, ipv6_tcp, false, true, false);
BENCHMARK_CAPTURE(parse, ipv6_udp, false, false, false);

void parse_value(benchmark::State& state) {
  const auto input = frames(true, true, false);
  std::size_t at = 0;
  for (auto _ : state) {
    auto info = wire::parse_packet(input[at]);
    benchmark::DoNotOptimize(info);
    at = (at + 1) & 63;
  }
}
BENCHMARK(parse_value);

void sum(benchmark::State& state) {
  const test::Bytes bytes = test::Seeded{2}.bytes(static_cast<std::size_t>(state.range(0)));
  for (auto _ : state) benchmark::DoNotOptimize(wire::sum_of(bytes));
  state.SetBytesProcessed(state.iterations() * state.range(0));
}
BENCHMARK(sum)->Arg(20)->Arg(64)->Arg(512)->Arg(1460)->Arg(9000);

void plain_sum(benchmark::State& state) {
  const test::Bytes bytes = test::Seeded{2}.bytes(static_cast<std::size_t>(state.range(0)));
  for (auto _ : state) benchmark::DoNotOptimize(test::plain_sum(bytes));
  state.SetBytesProcessed(state.iterations() * state.range(0));
}
BENCHMARK(plain_sum)->Arg(1460);

}  // namespace
