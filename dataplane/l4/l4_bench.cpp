// Cost per packet of translating in place: headers only, so payload size matters in the partial-checksum rows alone.
// 64 distinct frames in a loop, all in L1. Each frame is rewritten forth and back, one direction per iteration.
#include <benchmark/benchmark.h>

#include <memory>
#include <vector>

#include "dataplane/l4/conntrack.h"
#include "dataplane/l4/icmp.h"
#include "dataplane/l4/rewrite.h"
#include "dataplane/l4/verify.h"
#include "tests/support/flow_pair.h"
#include "tests/support/seeded.h"

namespace {

using namespace penstock;

struct Item {
  std::unique_ptr<test::TestFrame> frame;
  test::FlowPair flow;
  wire::PacketInfo there, back;
};

/// The packet that rewriting gave, read as what the partner direction would receive, with time to live as at first.
wire::PacketInfo mirror(const wire::PacketInfo& info, const test::FlowPair& flow) {
  wire::PacketInfo out = info;
  out.src = flow.reverse.dst;
  out.dst = flow.reverse.src;
  out.src_port = flow.reverse.dst_port;
  out.dst_port = flow.reverse.src_port;
  return out;
}

std::vector<Item> items(bool v4, bool tcp, std::size_t payload, bool partial) {
  test::Seeded random{4};
  std::vector<Item> out(64);
  for (Item& item : out) {
    const auto any = [&] { return test::Side{random.address(v4), Be16::from_wire(random.u16())}; };
    item.flow = test::flow_pair(any(), any(), any(), any(), tcp ? IpProto::tcp : IpProto::udp);
    test::PacketBuilder builder;
    builder.from_to(item.flow.forward.src, item.flow.forward.dst);
    if (tcp)
      builder.tcp(item.flow.forward.src_port.host(), item.flow.forward.dst_port.host());
    else
      builder.udp(item.flow.forward.src_port.host(), item.flow.forward.dst_port.host());
    builder.payload_octets(payload).checksum(partial ? test::ChecksumMode::partial : test::ChecksumMode::full);
    item.frame = std::make_unique<test::TestFrame>(builder.build());
    item.there = *wire::parse_packet(item.frame->frame().bytes());
    item.back = mirror(item.there, item.flow);
  }
  return out;
}

/// Undoing direction: keys exchanged, so that the frame returns to what it was and the loop can go on for ever.
control::FlowDirection exchanged(const control::FlowDirection& direction) {
  control::FlowDirection out = direction;
  std::swap(out.src, out.dst);
  std::swap(out.src_port, out.dst_port);
  return out;
}

void rewrite(benchmark::State& state, bool v4, bool tcp) {
  auto all = items(v4, tcp, 18, false);
  std::vector<test::FlowPair> undo;
  for (const Item& item : all) {
    test::FlowPair pair{exchanged(item.flow.reverse), exchanged(item.flow.forward)};
    pair.forward.l4_delta = l4::compute_delta(pair.forward, pair.reverse);
    undo.push_back(pair);
  }
  const l4::Link link{};
  std::size_t at = 0;
  bool there = true;
  for (auto _ : state) {
    Item& item = all[at];
    const auto result = there ? l4::rewrite(item.frame->frame(), item.there,
                                            l4::translation_of(item.flow.forward, item.flow.reverse), link)
                              : l4::rewrite(item.frame->frame(), item.back,
                                            l4::translation_of(undo[at].forward, undo[at].reverse), link);
    benchmark::DoNotOptimize(result);
    at = (at + 1) & 63;
    there = at == 0 ? !there : there;
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK_CAPTURE(rewrite, ipv4_tcp, true, true);
BENCHMARK_CAPTURE(rewrite, ipv4_udp, true, false);
BENCHMARK_CAPTURE(rewrite, ipv6_tcp, false, true);

/// Completing a partial checksum: the whole payload is summed.
void complete(benchmark::State& state) {
  auto all = items(true, true, static_cast<std::size_t>(state.range(0)), true);
  const Be16 partial = load_be<std::uint16_t>(all[0].frame->frame().bytes(), 14 + 20 + 16);
  Item& item = all[0];
  for (auto _ : state) {
    store_be(item.frame->frame().bytes(), 14 + 20 + 16, partial);
    benchmark::DoNotOptimize(
        l4::rewrite(item.frame->frame(), item.there, l4::translation_of(item.flow.forward, item.flow.reverse), {}));
  }
}
BENCHMARK(complete)->Arg(0)->Arg(100)->Arg(1460);

void verify(benchmark::State& state) {
  auto all = items(true, true, static_cast<std::size_t>(state.range(0)), false);
  for (auto _ : state) benchmark::DoNotOptimize(l4::checksums_valid(all[0].frame->frame().bytes(), all[0].there));
}
BENCHMARK(verify)->Arg(18)->Arg(1460);

void track(benchmark::State& state) {
  auto all = items(true, true, 18, false);
  control::FlowState flow = control::FlowState::established;
  std::size_t at = 0;
  for (auto _ : state) {
    flow = l4::transition(flow, l4::event_of(all[at].there, (at & 1) != 0)).to;
    benchmark::DoNotOptimize(flow);
    at = (at + 1) & 63;
  }
}
BENCHMARK(track);

}  // namespace
