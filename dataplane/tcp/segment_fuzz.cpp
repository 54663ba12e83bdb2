// Any sequence of operations against a live connection: segments near its own numbers, time, the application.
//
// Input   a stream of commands, each one octet and its arguments; checksums play no part. What is delivered is passed
//         on to a second connection, by reference as a relay does. After each command the invariants of both endpoints
//         are recomputed, and at the end every entry, block and lent buffer is back where it came from.
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

/// Device buffers, lent to the engine's pools and taken back.
class Buffers {
 public:
  static constexpr std::uint32_t kCount = 40, kOctets = 4096;
  Buffers() {
    for (std::size_t i = 0; i < kCount; ++i) free_.push_back(memory_.data() + i * std::size_t{kOctets});
  }
  /// kNoIndex when all are lent.
  Index lend(Pools& pools) {
    if (free_.empty()) return kNoIndex;
    const RawFrame raw{.data = free_.back(), .handle = free_.back(), .octets = kOctets};
    const Index block = pools.lend(raw);
    if (block != kNoIndex) free_.pop_back();
    return block;
  }
  void take_back(Pools& pools) {
    for (RawFrame raw; pools.take_returned(raw);) {
      std::memset(raw.data, 0xdd, 64);
      free_.push_back(raw.data);
    }
  }
  [[nodiscard]] bool all_here() const { return free_.size() == kCount; }

 private:
  std::vector<std::byte> memory_ = std::vector<std::byte>(std::size_t{kCount} * kOctets);
  std::vector<std::byte*> free_;
};

/// Passes on: what lies in a block is shared, the rest goes into a lent buffer.
class Relay final : public Delivery {
 public:
  Relay(Engine& engine, Pools& pools, Buffers& buffers, Endpoint& to)
      : engine_{engine}, pools_{pools}, buffers_{buffers}, to_{to} {}
  void deliver(const Piece& piece) override {
    const auto octets = static_cast<std::uint16_t>(std::min<std::size_t>(piece.bytes.size(), 4000));
    if (piece.block != kNoIndex) {
      static_cast<void>(engine_.write_block(to_, piece.block, piece.offset, octets));
      return;
    }
    const Index block = buffers_.lend(pools_);
    if (block == kNoIndex) return;
    std::memcpy(pools_.lent_frame(block).data + 66, piece.bytes.data(), octets);
    static_cast<void>(engine_.write_block(to_, block, 66, octets));
    pools_.release_block(block);
  }

 private:
  Engine& engine_;
  Pools& pools_;
  Buffers& buffers_;
  Endpoint& to_;
};

class Session {
 public:
  explicit Session(ByteView bytes)
      : input_{bytes}, engine_{limits_of(input_.octet()), {{1, 2}, {3, 4}, {5, 6}}, pools_} {
    key_ = {IpAddress::v4(10, 0, 0, 1), IpAddress::v4(10, 0, 0, 2), Be16::from_host(1), Be16::from_host(2)};
    const std::uint32_t how = input_.octet();
    const bool active = (how & 1) != 0;
    cuts_ = (how & 2) != 0;
    if (active)
      require(engine_.connect(ep_, key_, 1500, now_), "pool empty at the start");
    else
      require(engine_.accept(ep_, key_, 1500, syn(), now_), "pool empty at the start");
    open_other();
  }
  void run() {
    drain();
    for (int steps = 0; !input_.empty() && steps < 500; ++steps) {
      step();
      drain();
      for (const Endpoint* each : {&ep_, &other_}) {
        const std::string_view problem = audit(*each, pools_);
        require(problem.empty(), problem);
      }
    }
    if (ep_.state == State::time_wait) static_cast<void>(engine_.take_time_wait(ep_, now_));
    static_cast<void>(engine_.abort(ep_));
    static_cast<void>(engine_.abort(other_));
    drain();
    require(pools_.entries.in_use() == 0 && pools_.blocks.in_use() == 0, "pool leak");
    require(pools_.lent_in_use() == 0 && buffers_.all_here(), "buffer leak");
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
    if ((bits & 64) != 0) out.congestion_control = CongestionControl::reno;
    if ((bits & 128) != 0) out.rack = false;
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
  void open_other() {
    ConnectionKey key = key_;
    key.remote_port = Be16::from_host(3);
    require(engine_.connect(other_, key, 1000, now_), "pool empty at the start");
    SegmentOut out;
    require(engine_.transmit(other_, now_, out), "no SYN");
    SegmentIn answer = syn();
    answer.flags = kTcpSyn | kTcpAck;
    answer.ack = other_.queue.nxt();
    static_cast<void>(engine_.receive(other_, answer, now_, relay_));
  }
  /// The far end of the second connection acknowledges up to some of what was sent.
  void acknowledge_other() {
    if (other_.state != State::established) return;
    SegmentIn ack;
    ack.flags = kTcpAck;
    ack.seq = other_.rcv_nxt;
    ack.ack = other_.queue.una() + SeqSpan{std::min(other_.queue.flight(), input_.half())};
    ack.window = static_cast<std::uint16_t>(input_.half());
    ack.options.has_timestamps = other_.timestamps.on;
    ack.options.ts_value = other_.timestamps.recent;
    static_cast<void>(engine_.receive(other_, ack, now_, relay_));
  }
  void write_lent() {
    const Index block = buffers_.lend(pools_);
    if (block == kNoIndex) return;
    const std::uint32_t offset = input_.half() % Buffers::kOctets;
    const std::uint32_t octets = input_.half() % (Buffers::kOctets - offset);
    const std::uint32_t second = octets > 0 ? input_.half() % octets : 0;
    const auto half = [](std::uint32_t n) { return static_cast<std::uint16_t>(n); };
    static_cast<void>(engine_.write_block(ep_, block, half(offset), half(octets - second)));
    static_cast<void>(engine_.write_block(ep_, block, half(offset + octets - second), half(second)));
    pools_.release_block(block);
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
    switch (input_.octet() % 14) {
      case 0: {
        const SegmentIn reply = syn();
        SegmentIn arrived = reply;
        arrived.flags = input_.octet() % 2 == 0 ? kTcpSyn : kTcpSyn | kTcpAck;
        arrived.ack = ep_.queue.nxt();
        static_cast<void>(engine_.receive(ep_, arrived, now_, relay_));
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
      case 8:
        write_lent();
        break;
      case 9:
        if (input_.octet() % 2 == 0)
          static_cast<void>(engine_.unlend(ep_, input_.half()));
        else
          engine_.set_receive_budget(ep_, input_.half() << (input_.octet() % 3));
        break;
      case 10:
        acknowledge_other();
        break;
      default:
        static_cast<void>(engine_.receive(ep_, segment(), now_, relay_));
    }
  }
  void drain() {
    for (Endpoint* each : {&ep_, &other_}) {
      SegmentOut out;
      each->device_cuts = cuts_;
      if (!Engine::wants_transmit(*each)) {
        const Instant before = Engine::deadline(*each);
        require(!engine_.transmit(*each, now_, out), "something left that was not wanted");
        require(Engine::deadline(*each) == before, "something was armed that was not wanted");
      }
      for (int i = 0; engine_.transmit(*each, now_, out); ++i) {
        require(i < 5000, "endless transmission");
        const std::size_t most = cuts_ && !out.retransmission ? std::size_t{kLargePayloadMax} + 40 : 1460u;
        require(out.payload.size() + out.options.octets <= most, "segment above the MTU");
        check_place(out);
      }
    }
    buffers_.take_back(pools_);
  }
  void check_place(const SegmentOut& out) const {
    if (out.payload.empty()) return;
    const ByteView place = pools_.bytes_of(out.block, out.block_offset, static_cast<std::uint16_t>(out.payload.size()));
    require(place.data() == out.payload.data(), "the payload is not where the segment says");
    require(pools_.references(out.block) > 0, "payload in a block that nobody holds");
  }

  Input input_;
  Pools pools_{300, 100, 2048, 32};
  Buffers buffers_;
  Engine engine_;
  ConnectionKey key_;
  Endpoint ep_, other_;
  bool cuts_{};  ///< the device cuts large segments
  Relay relay_{engine_, pools_, buffers_, other_};
  Instant now_{std::chrono::seconds{1000}};
  std::vector<std::byte> payload_ = std::vector<std::byte>(5000);
};

}  // namespace
}  // namespace penstock::tcp

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  penstock::tcp::Session{std::as_bytes(std::span{data, size})}.run();
  return 0;
}
