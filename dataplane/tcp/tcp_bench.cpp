// What the engine costs in a relay: client -> leg A -> leg B -> server, no I/O, no IP headers, no checksums.
//
// Model    both legs are ours, the client and the server are played by counters of sequence numbers. Options are real:
//          encoded by us, decoded by us. Payload stays in the buffer it "arrived" in, as in the relay.
// Reading  ns_per_segment is per relayed data segment and covers all four: data in on A, data out on B, and its share
//          of the acknowledgement in on B and out on A (one for two segments). Connections take turns in groups of
//          sixteen, and acknowledgements come only after every connection had its turn, so what does not fit into the
//          cache is cold. hardware: ratios within one run count, not absolute figures.
#include <benchmark/benchmark.h>

#include <vector>

#include "dataplane/tcp/cookies.h"
#include "dataplane/tcp/engine.h"

namespace penstock::tcp {
namespace {

constexpr std::uint16_t kPayloadOctets = 1448;
constexpr std::size_t kGroup = 16;

/// The far end of a leg: just enough of a TCP to keep ours going.
struct Far {
  SeqNum nxt;
  SeqNum rcv;
  std::uint32_t ts_value{1};
  std::uint32_t ts_echo{};
};

struct Pair {
  Endpoint a, b;
};
struct Ends {
  Far client, server;
  ConnectionKey key_a, key_b;
};

class Relay final : public Delivery {
 public:
  Relay(Engine& engine, Pools& pools) : engine_{engine}, pools_{pools} {}
  void begin(Endpoint& to, const RawFrame& raw) {
    to_ = &to;
    raw_ = raw;
  }
  void deliver(const Piece& piece) override {
    const Index block = pools_.lend(raw_);
    require(block != kNoIndex, "lent table is full");
    const auto offset = static_cast<std::uint16_t>(piece.bytes.data() - raw_.data);
    const bool taken = engine_.write_block(*to_, block, offset, static_cast<std::uint16_t>(piece.bytes.size()));
    require(taken, "send queue is full");
    pools_.release_block(block);
  }

 private:
  Engine& engine_;
  Pools& pools_;
  Endpoint* to_{};
  RawFrame raw_{};
};

/// A segment of the far end with the options that a Linux peer sends.
SegmentIn from_far(Far& far, std::uint8_t flags, ByteView payload = {}) {
  SegmentIn out;
  if ((flags & kTcpSyn) != 0) {
    Options options;
    options.has_timestamps = true;
    options.ts_value = far.ts_value;
    options.ts_echo = far.ts_echo;
    options.has_mss = options.sack_permitted = options.has_window_shift = true;
    options.mss = 1460;
    options.window_shift = 7;
    out.options = parse_options(write_syn_options(options).view());
  } else {
    OptionBytes bytes;
    write_timestamps(far.ts_value, far.ts_echo, bytes);
    out.options = parse_options(bytes.view());
  }
  out.seq = far.nxt;
  out.ack = far.rcv;
  out.flags = flags;
  out.window = 0xffff;
  out.payload = payload;
  far.nxt = out.end();
  return out;
}

class Bed {
 public:
  explicit Bed(std::size_t connections)
      : pools_{static_cast<std::uint32_t>(connections * 16 + 64), 1024, 2048,
               static_cast<std::uint32_t>(connections * 4 + 64)},
        pairs_(connections),
        ends_(connections) {
    for (std::size_t i = 0; i < connections; ++i) prepare(i);
  }
  void open_all() {
    for (std::size_t i = 0; i < pairs_.size(); ++i) open(i);
  }
  /// Two full segments from each client of the group, forwarded; acknowledged on A.
  std::size_t data(std::size_t first) {
    const std::size_t end = std::min(first + kGroup, pairs_.size());
    prefetch(first, end);
    for (std::size_t i = first; i < end; ++i) {
      Pair& pair = pairs_[i];
      for (int n = 0; n < 2; ++n) {
        relay_.begin(pair.b, frame());
        const ByteView payload{raw_.data + 66, kPayloadOctets};
        const Events events = engine_.receive(pair.a, from_far(ends_[i].client, kTcpAck, payload), now_, relay_);
        benchmark::DoNotOptimize(events.bits);
      }
    }
    std::size_t sent = 0;
    for (std::size_t i = first; i < end; ++i) {
      sent += transmit(pairs_[i].b, ends_[i].server);
      transmit(pairs_[i].a, ends_[i].client);
    }
    return sent;
  }
  /// The servers of the group acknowledge everything; the buffers come back and the clients' windows open.
  void acknowledgements(std::size_t first) {
    const std::size_t end = std::min(first + kGroup, pairs_.size());
    prefetch(first, end);
    for (std::size_t i = first; i < end; ++i) {
      Pair& pair = pairs_[i];
      const std::uint32_t before = engine_.outstanding(pair.b);
      relay_.begin(pair.a, frame());
      const Events events = engine_.receive(pair.b, from_far(ends_[i].server, kTcpAck), now_, relay_);
      benchmark::DoNotOptimize(events.bits);
      engine_.consume(pair.a, before - engine_.outstanding(pair.b));
      if (Engine::wants_transmit(pair.a)) transmit(pair.a, ends_[i].client);
    }
    for (RawFrame raw; pools_.take_returned(raw);) benchmark::DoNotOptimize(raw.data);
  }
  std::size_t round() {
    now_ += std::chrono::microseconds{100};
    for (std::size_t first = 0; first < pairs_.size(); first += kGroup) segments_ += data(first);
    now_ += std::chrono::microseconds{100};
    for (std::size_t first = 0; first < pairs_.size(); first += kGroup) acknowledgements(first);
    return pairs_.size() * 2;
  }
  /// A whole proxied exchange: both handshakes, request, response, orderly close of both legs.
  void visit(std::size_t index) {
    now_ += std::chrono::microseconds{3};
    prepare(index);
    open(index);
    Pair& pair = pairs_[index];
    Ends& ends = ends_[index];
    forward(pair.a, pair.b, ends.client, ends.server, 200);
    forward(pair.b, pair.a, ends.server, ends.client, 1000);
    receive(pair.a, pair.b, from_far(ends.client, kTcpFin | kTcpAck));
    engine_.shutdown(pair.b);
    transmit(pair.b, ends.server);
    receive(pair.b, pair.a, from_far(ends.server, kTcpFin | kTcpAck));
    engine_.shutdown(pair.a);
    transmit(pair.b, ends.server);
    transmit(pair.a, ends.client);
    receive(pair.a, pair.b, from_far(ends.client, kTcpAck));
    require(pair.a.state == State::closed && pair.b.state == State::time_wait, "not closed");
    benchmark::DoNotOptimize(engine_.take_time_wait(pair.b, now_));
    for (RawFrame raw; pools_.take_returned(raw);) benchmark::DoNotOptimize(raw.data);
  }
  [[nodiscard]] std::uint64_t segments() const { return segments_; }
  [[nodiscard]] const Counters& counters() const { return engine_.counters(); }

 private:
  void prefetch(std::size_t first, std::size_t end) const {
    for (std::size_t i = first; i < end; ++i) Engine::prefetch(pairs_[i].a), Engine::prefetch(pairs_[i].b);
  }
  RawFrame frame() {
    raw_.data = memory_.data() + 128;
    raw_.handle = memory_.data();
    return raw_;
  }
  void prepare(std::size_t i) {
    const auto port = static_cast<std::uint16_t>(i);
    const auto high = static_cast<std::uint8_t>(i >> 16);
    ends_[i].key_a = {IpAddress::v4(10, 0, 0, 1), IpAddress::v4(10, 1, high, 2), Be16::from_host(80),
                      Be16::from_host(port)};
    ends_[i].key_b = {IpAddress::v4(10, 0, 0, 1), IpAddress::v4(10, 2, high, 2), Be16::from_host(port),
                      Be16::from_host(80)};
    ends_[i].client = ends_[i].server = Far{SeqNum{static_cast<std::uint32_t>(i) * 7919u}, {}, 1, 0};
  }
  void open(std::size_t i) {
    Pair& pair = pairs_[i];
    Ends& ends = ends_[i];
    require(engine_.accept(pair.a, ends.key_a, 1500, from_far(ends.client, kTcpSyn), now_), "pool empty");
    transmit(pair.a, ends.client);
    receive(pair.a, pair.b, from_far(ends.client, kTcpAck));
    require(engine_.connect(pair.b, ends.key_b, 1500, now_), "pool empty");
    transmit(pair.b, ends.server);
    receive(pair.b, pair.a, from_far(ends.server, kTcpSyn | kTcpAck));
    transmit(pair.b, ends.server);
    require(pair.a.state == State::established && pair.b.state == State::established, "no connection");
  }
  void receive(Endpoint& at, Endpoint& to, const SegmentIn& segment) {
    relay_.begin(to, frame());
    benchmark::DoNotOptimize(engine_.receive(at, segment, now_, relay_).bits);
  }
  void forward(Endpoint& from, Endpoint& to, Far& source, Far& sink, std::size_t octets) {
    frame();
    receive(from, to, from_far(source, kTcpAck | kTcpPsh, ByteView{raw_.data + 66, octets}));
    transmit(to, sink);
    receive(to, from, from_far(sink, kTcpAck));
    engine_.consume(from, static_cast<std::uint32_t>(octets));
    transmit(from, source);
  }
  std::size_t transmit(Endpoint& ep, Far& far) {
    std::size_t data = 0;
    for (SegmentOut out; engine_.transmit(ep, now_, out);) {
      if (out.options.octets == 12) far.ts_echo = load_be<std::uint32_t>(out.options.view(), 4).host();
      const std::uint32_t span = static_cast<std::uint32_t>(out.payload.size()) +
                                 ((out.flags & kTcpSyn) != 0 ? 1u : 0u) + ((out.flags & kTcpFin) != 0 ? 1u : 0u);
      if (span > 0) far.rcv = out.seq + SeqSpan{span};
      if (!out.payload.empty()) ++data;
    }
    return data;
  }

  Pools pools_;
  Engine engine_{Limits{}, Secrets{{1, 2}, {3, 4}, {5, 6}}, pools_};
  Relay relay_{engine_, pools_};
  std::vector<Pair> pairs_;
  std::vector<Ends> ends_;
  std::vector<std::byte> memory_ = std::vector<std::byte>(4096);
  RawFrame raw_{.data = nullptr, .handle = nullptr, .octets = 1514, .headroom = 128};
  Instant now_{std::chrono::seconds{1000}};
  std::uint64_t segments_{};
};

void relayed_segments(benchmark::State& state) {
  Bed bed{static_cast<std::size_t>(state.range(0))};
  bed.open_all();
  for (int warm = 0; warm < 8; ++warm) bed.round();
  std::size_t segments = 0;
  for (auto _ : state) segments += bed.round();
  require(bed.counters().retransmitted == 0 && bed.counters().timeouts == 0, "the bench measures recovery");
  state.counters["ns_per_segment"] =
      benchmark::Counter(static_cast<double>(segments), benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}
BENCHMARK(relayed_segments)->Arg(1)->Arg(1000)->Arg(100'000);

/// Both handshakes, a request of 200 octets, a response of 1,000, and the close of both legs.
void proxied_connections(benchmark::State& state) {
  Bed bed{static_cast<std::size_t>(state.range(0))};
  std::size_t visits = 0;
  for (auto _ : state) {
    bed.visit(visits % static_cast<std::size_t>(state.range(0)));
    ++visits;
  }
  state.counters["pairs_per_s"] = benchmark::Counter(static_cast<double>(visits), benchmark::Counter::kIsRate);
}
BENCHMARK(proxied_connections)->Arg(1)->Arg(10'000);

/// A SYN answered without keeping anything, and the ACK that comes back checked: what a flood costs, and an honest
/// client in it.
void cookies(benchmark::State& state) {
  const Secrets secrets{};
  const Limits limits{};
  ConnectionKey key{};
  const Instant now{std::chrono::seconds{1000}};
  SegmentIn syn;
  syn.flags = kTcpSyn;
  syn.options.has_mss = syn.options.sack_permitted = syn.options.has_window_shift = true;
  syn.options.mss = 1460;
  syn.options.window_shift = 7;
  syn.options.has_timestamps = true;
  std::uint32_t n = 0;
  for (auto _ : state) {
    key.remote_port = Be16::from_host(static_cast<std::uint16_t>(1024 + n % 60000));
    syn.seq = SeqNum{++n};
    const SegmentOut answer = cookie_syn_ack(secrets, limits, key, syn, 1500, now);
    if (state.range(0) == 0) {
      benchmark::DoNotOptimize(answer);
      continue;
    }
    const Options options = parse_options(answer.options.view());
    SegmentIn ack;
    ack.seq = answer.ack;
    ack.ack = answer.seq + SeqSpan{1};
    ack.flags = kTcpAck;
    ack.options.has_timestamps = true;
    ack.options.ts_echo = options.ts_value;
    if (!check_cookie(secrets, limits, key, ack, now)) return state.SkipWithError("a cookie of ours was refused");
  }
}
BENCHMARK(cookies)->Arg(0)->Arg(1)->ArgName("answered");

}  // namespace
}  // namespace penstock::tcp
