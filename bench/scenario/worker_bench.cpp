// worker_bench: the whole worker over memory: parse, batched lookup, state, rewrite, transmit. Bursts of 32.
//
// Established  N flows, half requests and half replies, 64-octet class. Flows come in random order, and each burst
//              holds first what came from clients, then what came from endpoints: devices deliver queue by queue.
//              ns is everything; source_ns is the bench's own packet source alone, measured between the bursts of
//              the same run; net_ns is the difference: what the pipeline costs.
// Interleaved  the same with the two ports of a burst in random order, which no device delivers: what branches that
//              cannot be foreseen cost.
// NewFlow      every packet opens a flow (listener, Maglev, source port, record, timer).
// PlainMap     the same packets through the same parser and rewriter, with std::unordered_map and no batching: what
//              the flow table and its prefetching are worth. x_plain is PlainMap's cycles divided by ours.
// MemoryIo     the packet source by itself, with the caches to itself.
#include <benchmark/benchmark.h>

#include <map>
#include <unordered_map>

#include "bench/harness/cycles.h"
#include "bench/scenario/l4_scenario.h"
#include "dataplane/flow/flow_key.h"
#include "dataplane/l4/rewrite.h"
#include "dataplane/wire/packet_info.h"

namespace penstock::bench {
namespace {

constexpr std::uint64_t kSourceEvery = 8;  ///< bursts; seldom enough to leave the worker's working set alone

std::map<std::string, double>& plain_cycles() {
  static std::map<std::string, double> values;
  return values;
}
std::string label_of(const L4Shape& s) {
  return std::string{s.proto == IpProto::tcp ? "tcp" : "udp"} + (s.family == IpFamily::v4 ? "4" : "6") + "/" +
         std::to_string(s.flows);
}

/// Scenarios are costly to build: the last one stays until another is asked for.
L4Scenario& scenario(const L4Shape& shape) {
  static std::unique_ptr<L4Scenario> current;
  static L4Shape current_shape;
  if (!current || !(current_shape == shape)) {
    current.reset();
    current = std::make_unique<L4Scenario>(shape);
    current_shape = shape;
  }
  return *current;
}

void forward_all(benchmark::State& state, const L4Shape& shape, PortOrder order) {
  L4Scenario& s = scenario(shape);
  s.play_established(order);
  std::uint64_t sent = s.transmitted(), bursts = 0;
  const std::uint64_t received = s.received();
  std::array<Frame, io::kBurstMax> frames;
  PerPacket meter;
  for (auto _ : state) {
    meter.start();
    s.step();
    meter.stop(io::kBurstMax);
    if (++bursts % kSourceEvery != 0) continue;
    // In between, so that the source meets the caches as the worker leaves them.
    meter.start();
    const std::size_t n = s.io().receive(frames);
    sent += s.io().transmit(0, {frames.data(), n});
    meter.stop_source(n);
  }
  if (s.transmitted() - sent != s.received() - received) state.SkipWithError("packets were dropped");
  meter.report(state);
  const auto plain = plain_cycles().find(label_of(shape));
  if (plain != plain_cycles().end()) state.counters["x_plain"] = plain->second / meter.cycles_per_packet();
}

void Established(benchmark::State& state, L4Shape shape) { forward_all(state, shape, PortOrder::by_queue); }
void Interleaved(benchmark::State& state, L4Shape shape) { forward_all(state, shape, PortOrder::interleaved); }

struct KeyHash {
  std::size_t operator()(const flow::FlowKey& k) const { return hasher(k); }
  flow::FlowHasher hasher{{1, 2}};
};

void PlainMap(benchmark::State& state, L4Shape shape) {
  L4Scenario& s = scenario(shape);
  s.play_established();
  struct Connection {
    control::FlowDirection in{}, partner{};
  };
  std::unordered_map<flow::FlowKey, Connection, KeyHash> map;
  std::array<Frame, io::kBurstMax> frames;
  for (std::size_t done = 0; done < s.mix().size(); done += io::kBurstMax) {
    const std::size_t n = s.io().receive(frames);
    for (std::size_t i = 0; i < n; ++i) {
      wire::PacketInfo p{};
      static_cast<void>(wire::parse_packet_into(frames[i].bytes(), p));
      const flow::FlowKey key{p.src, p.dst, p.src_port, p.dst_port, p.proto, {}};
      Connection& c = map[key];
      c.in.src = c.partner.dst = p.src;
      c.in.dst = c.partner.src = p.dst;
      c.in.src_port = c.partner.dst_port = p.src_port;
      c.in.dst_port = c.partner.src_port = p.dst_port;
      c.in.l4_delta = l4::compute_delta(c.in, c.partner);
    }
    s.io().drop({frames.data(), n});
  }
  PerPacket meter;
  for (auto _ : state) {
    meter.start();
    const std::size_t n = s.io().receive(frames);
    for (std::size_t i = 0; i < n; ++i) {
      wire::PacketInfo p;
      if (wire::parse_packet_into(frames[i].bytes(), p) != DropReason::none) continue;
      const auto found = map.find({p.src, p.dst, p.src_port, p.dst_port, p.proto, {}});
      if (found == map.end()) continue;
      Connection& c = found->second;
      ++c.in.packets;
      c.in.octets += p.ip_octets;
      benchmark::DoNotOptimize(l4::rewrite(frames[i], p, l4::translation_of(c.in, c.partner), {}));
    }
    benchmark::DoNotOptimize(s.io().transmit(0, {frames.data(), n}));
    meter.stop(n);
  }
  meter.report(state);
  plain_cycles()[label_of(shape)] = meter.cycles_per_packet();
}

void NewFlow(benchmark::State& state, L4Shape shape) {
  constexpr std::uint32_t kRound = 32 * 32;
  shape.flows = 65536;
  L4Scenario s{shape};
  PerPacket meter;
  for (auto _ : state) {
    state.PauseTiming();
    if (s.flows() + kRound > shape.flows) s.expire_all();
    s.play_new(kRound);
    const std::uint32_t before = s.flows();
    state.ResumeTiming();
    for (std::uint32_t i = 0; i < kRound / io::kBurstMax; ++i) {
      meter.start();
      s.step();
      meter.stop(io::kBurstMax);
    }
    if (s.flows() != before + kRound) state.SkipWithError("flows were refused");
  }
  meter.report(state);
}

void MemoryIo_alone(benchmark::State& state, L4Shape shape) {
  L4Scenario& s = scenario(shape);
  s.play_established();
  std::array<Frame, io::kBurstMax> frames;
  PerPacket meter;
  for (auto _ : state) {
    meter.start();
    const std::size_t n = s.io().receive(frames);
    benchmark::DoNotOptimize(s.io().transmit(0, {frames.data(), n}));
    meter.stop(n);
  }
  meter.report(state);
}

void EmptyPoll(benchmark::State& state) {
  L4Scenario& s = scenario({});
  s.io().play({});
  for (auto _ : state) s.step();
}

int register_all() {
  for (const std::uint32_t flows : {1u, 1000u, 65536u, 1'000'000u})
    for (const IpProto proto : {IpProto::udp, IpProto::tcp})
      for (const IpFamily family : {IpFamily::v4, IpFamily::v6}) {
        const L4Shape shape{proto, family, flows};
        const std::string label = label_of(shape);
        const auto add = [&](const std::string& name, void (*run)(benchmark::State&, L4Shape)) {
          benchmark::RegisterBenchmark((name + "/" + label).c_str(), run, shape);
        };
        if (proto == IpProto::udp && family == IpFamily::v4) add("MemoryIo", MemoryIo_alone);
        add("PlainMap", PlainMap);
        add("Established", Established);
        if (proto == IpProto::udp && family == IpFamily::v4) add("Interleaved", Interleaved);
        if (flows == 1) add("NewFlow", NewFlow);
      }
  benchmark::RegisterBenchmark("EmptyPoll", EmptyPoll);
  return 0;
}
[[maybe_unused]] const int registered = register_all();

}  // namespace
}  // namespace penstock::bench
