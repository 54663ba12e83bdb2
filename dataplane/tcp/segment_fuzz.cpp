// Any sequence of operations against a live connection: segments near its own numbers, time, the application.
//
// Input   a stream of commands, each one octet and its arguments; checksums play no part. After each command the
//         invariants of the endpoint are recomputed, and at the end every entry and block is back in its pool.
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

#include "dataplane/tcp/engine.h"

namespace penstock::tcp {
namespace {

class Input {
 public:
  explicit Input(ByteView bytes) : bytes_{bytes} {}
  [[nodiscard]] bool empty() const { return bytes_.empty(); }
  std::uint32_t octet() {
    if (bytes_.empty()) return 0;
    const auto out = std::to_integer<std::uint32_t>(bytes_[0]);
    bytes_ = bytes_.subspan(1);
    return out;
  }
  std::uint32_t half() { return octet() << 8 | octet(); }
  /// Mostly small distances to either side, sometimes anything.
  std::uint32_t distance() {
    const std::uint32_t kind = octet();
    if (kind < 100) return kind & 7u;
    if (kind < 200) return half();
    if (kind < 240) return 0u - half();
    return half() << 16 | half();
  }

 private:
  ByteView bytes_;
};

class Sink final : public Delivery {
 public:
  void deliver(const Piece& piece) override { octets += static_cast<std::uint32_t>(piece.bytes.size()); }
  std::uint32_t octets{};
};

class Session {
 public:
  explicit Session(ByteView bytes)
      : input_{bytes}, engine_{limits_of(input_.octet()), {{1, 2}, {3, 4}, {5, 6}}, pools_} {
    key_ = {IpAddress::v4(10, 0, 0, 1), IpAddress::v4(10, 0, 0, 2), Be16::from_host(1), Be16::from_host(2)};
    const bool active = (input_.octet() & 1) != 0;
    if (active)
      require(engine_.connect(ep_, key_, 1500, now_), "pool empty at the start");
    else
      require(engine_.accept(ep_, key_, 1500, syn(), now_), "pool empty at the start");
  }
  void run() {
    drain();
    for (int steps = 0; !input_.empty() && steps < 500; ++steps) {
      step();
      drain();
      const std::string_view problem = audit(ep_, pools_);
      require(problem.empty(), problem);
    }
    if (ep_.state == State::time_wait) static_cast<void>(engine_.take_time_wait(ep_, now_));
    static_cast<void>(engine_.abort(ep_));
    drain();
    require(pools_.entries.in_use() == 0 && pools_.blocks.in_use() == 0, "pool leak");
  }

 private:
  static Limits limits_of(std::uint32_t bits) {
    Limits out;
    out.sack = (bits & 1) != 0;
    out.timestamps = (bits & 2) != 0;
    out.nagle = (bits & 4) != 0;
    out.receive_budget_octets = (bits & 8) != 0 ? 2000 : 65536;
    out.reassembly_entries_max = (bits & 16) != 0 ? 3 : 100;
    if ((bits & 32) != 0) out.keepalive_idle = std::chrono::seconds{10};
    return out;
  }
  SegmentIn syn() {
    SegmentIn out;
    out.seq = SeqNum{input_.half() << 16};
    out.flags = kTcpSyn;
    out.window = static_cast<std::uint16_t>(input_.half());
    const std::uint32_t bits = input_.octet();
    out.options.has_mss = (bits & 1) != 0;
    out.options.mss = static_cast<std::uint16_t>(input_.half());
    out.options.sack_permitted = (bits & 2) != 0;
    out.options.has_timestamps = (bits & 4) != 0;
    out.options.has_window_shift = (bits & 8) != 0;
    out.options.window_shift = static_cast<std::uint8_t>(bits >> 4 & 7);
    return out;
  }
  SegmentIn segment() {
    SegmentIn out;
    out.flags = static_cast<std::uint8_t>(input_.octet() & kFlagsUnderstood);
    out.seq = ep_.rcv_nxt + SeqSpan{input_.distance()};
    out.ack = ep_.queue.una() + SeqSpan{input_.distance()};
    out.window = static_cast<std::uint16_t>(input_.half());
    out.options.has_timestamps = ep_.timestamps.on && (input_.octet() & 7) != 0;
    out.options.ts_value = ep_.timestamps.recent + input_.distance();
    out.options.ts_echo = input_.distance();
    out.options.sack_count = static_cast<std::uint8_t>(input_.octet() & 3);
    for (std::uint8_t i = 0; i < out.options.sack_count; ++i) {
      out.options.sack[i].start = ep_.queue.una() + SeqSpan{input_.distance()};
      out.options.sack[i].end = out.options.sack[i].start + SeqSpan{input_.distance()};
    }
    out.payload = ByteView{payload_}.first(input_.octet() < 100 ? 0 : input_.half() % payload_.size());
    return out;
  }
  void step() {
    switch (input_.octet() % 10) {
      case 0: {
        const SegmentIn reply = syn();
        SegmentIn arrived = reply;
        arrived.flags = input_.octet() % 2 == 0 ? kTcpSyn : kTcpSyn | kTcpAck;
        arrived.ack = ep_.queue.nxt();
        static_cast<void>(engine_.receive(ep_, arrived, now_, sink_));
        break;
      }
      case 1:
        static_cast<void>(engine_.write(ep_, ByteView{payload_}.first(input_.half() % payload_.size())));
        break;
      case 2:
        now_ += std::chrono::milliseconds{input_.half()};
        static_cast<void>(engine_.expire(ep_, now_));
        break;
      case 3:
        if (Engine::deadline(ep_) != kNever) now_ = std::max(now_, Engine::deadline(ep_));
        static_cast<void>(engine_.expire(ep_, now_));
        break;
      case 4:
        engine_.consume(ep_, input_.half());
        break;
      case 5:
        engine_.path_too_big(ep_, static_cast<std::uint16_t>(input_.half()), ep_.queue.una());
        break;
      case 6:
        if (input_.octet() < 40) engine_.shutdown(ep_);
        break;
      case 7:
        if (input_.octet() < 10) static_cast<void>(engine_.close(ep_, now_));
        break;
      default:
        static_cast<void>(engine_.receive(ep_, segment(), now_, sink_));
    }
  }
  void drain() {
    SegmentOut out;
    for (int i = 0; engine_.transmit(ep_, now_, out); ++i) {
      require(i < 5000, "endless transmission");
      require(out.payload.size() + out.options.octets <= 1460, "segment above the MTU");
    }
  }

  Input input_;
  Pools pools_{300, 200};
  Engine engine_;
  Sink sink_;
  ConnectionKey key_;
  Endpoint ep_;
  Instant now_{std::chrono::seconds{1000}};
  std::vector<std::byte> payload_ = std::vector<std::byte>(5000);
};

}  // namespace
}  // namespace penstock::tcp

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  penstock::tcp::Session{std::as_bytes(std::span{data, size})}.run();
  return 0;
}
