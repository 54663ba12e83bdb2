// What the engine costs: one full segment each way through two connections of one thread, no I/O, no checksums.
// Pools and endpoints fit into the cache unless the number of connections says otherwise.
#include <benchmark/benchmark.h>

#include <vector>

#include "dataplane/tcp/engine.h"

namespace penstock::tcp {
namespace {

class Consumer final : public Delivery {
 public:
  void deliver(const Piece& piece) override { octets += static_cast<std::uint32_t>(piece.bytes.size()); }
  std::uint32_t octets{};
};

/// The wire between two engines: options are encoded and decoded, headers are not.
SegmentIn carried(const SegmentOut& out) {
  return {.seq = out.seq,
          .ack = out.ack,
          .flags = out.flags,
          .window = out.window,
          .options = parse_options(out.options.view()),
          .payload = out.payload};
}

struct Pair {
  Endpoint client, server;
};

class Bed {
 public:
  explicit Bed(std::size_t connections)
      : pools_(static_cast<std::uint32_t>(connections * 8 + 64), static_cast<std::uint32_t>(connections * 4 + 64)),
        pairs_(connections) {
    for (std::size_t i = 0; i < connections; ++i) {
      ConnectionKey key{IpAddress::v4(10, 0, 0, 1), IpAddress::v4(10, 0, 0, 2),
                        Be16::from_host(static_cast<std::uint16_t>(i)), Be16::from_host(80)};
      require(engine_.connect(pairs_[i].client, key, 1500, now_), "pool empty");
      SegmentOut out;
      require(engine_.transmit(pairs_[i].client, now_, out), "no SYN");
      require(engine_.accept(pairs_[i].server, key, 1500, carried(out), now_), "pool empty");
      for (int round = 0; round < 3; ++round) exchange(pairs_[i]);
    }
  }
  /// Everything that either side has to send; returns the segments.
  std::size_t exchange(Pair& pair) {
    std::size_t segments = 0;
    Endpoint* from = &pair.client;
    Endpoint* to = &pair.server;
    for (int side = 0; side < 2; ++side, std::swap(from, to))
      for (SegmentOut out; engine_.transmit(*from, now_, out); ++segments) {
        Consumer consumer;
        static_cast<void>(engine_.receive(*to, carried(out), now_, consumer));
        if (consumer.octets > 0) engine_.consume(*to, consumer.octets);
      }
    return segments;
  }
  /// Two full segments from client to server and the acknowledgement that they bring.
  std::size_t send_two(std::size_t index) {
    now_ += std::chrono::microseconds{10};
    Pair& pair = pairs_[index % pairs_.size()];
    benchmark::DoNotOptimize(engine_.write(pair.client, ByteView{payload_}));
    return exchange(pair);
  }

 private:
  Pools pools_;
  Engine engine_{Limits{}, Secrets{{1, 2}, {3, 4}, {5, 6}}, pools_};
  std::vector<Pair> pairs_;
  std::vector<std::byte> payload_ = std::vector<std::byte>(2 * 1448);
  Instant now_{std::chrono::seconds{1000}};
};

/// Time per iteration is of three segments, each both sent and received: two of 1,448 octets and one pure ACK.
void two_full_segments_and_their_ack(benchmark::State& state) {
  Bed bed{static_cast<std::size_t>(state.range(0))};
  std::size_t segments = 0, i = 0;
  for (auto _ : state) segments += bed.send_two(i++);
  state.counters["segments"] =
      benchmark::Counter(static_cast<double>(segments) / static_cast<double>(state.iterations()));
  state.counters["ns_per_segment"] = benchmark::Counter(static_cast<double>(segments) * 1e-9,
                                                        benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}
BENCHMARK(two_full_segments_and_their_ack)->Arg(1)->Arg(100)->Arg(1000)->Arg(10000);

}  // namespace
}  // namespace penstock::tcp
