// Served legs: an application whose write was refused is told when to try again, whatever it was refused for.
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <vector>

#include "dataplane/flow/test_arena.h"
#include "dataplane/relay/relay.h"
#include "dataplane/wire/tcp.h"
#include "tests/support/packet_builder.h"

namespace penstock::relay {
namespace {

using std::chrono::milliseconds;
using test::Bytes;
using test::PacketBuilder;

constexpr std::uint16_t kMtu = 1500;
constexpr std::uint32_t kPeerIss = 1000;

/// A device without a wire: what was sent is looked at.
class FakeHost final : public Host {
 public:
  std::size_t allocate(std::span<Frame> into) override {
    for (Frame& frame : into) frame = make(0);
    return into.size();
  }
  Frame share(const RawFrame&) override { return Frame{}; }
  bool is_sole_owner(const RawFrame&) const override { return false; }
  bool cuts(PortIndex) const override { return false; }
  void send(Frame& frame, PortIndex) override {
    sent.emplace_back(frame.bytes().begin(), frame.bytes().end());
    give_back(frame);
  }
  void give_back(Frame& frame) override { delete static_cast<Buffer*>(std::move(frame).release().handle); }
  bool path(flow::FlowIndex, Side, control::NextHop& into) override {
    into = control::NextHop{};
    return true;
  }
  bool still_listens(flow::FlowIndex) override { return true; }
  void lingers(flow::FlowIndex) override {}
  void ended(flow::FlowIndex) override {}

  static Frame frame_of(const Bytes& bytes) {
    Frame frame = make(static_cast<std::uint16_t>(bytes.size()));
    std::copy(bytes.begin(), bytes.end(), frame.bytes().begin());
    return frame;
  }
  std::vector<Bytes> sent;

 private:
  struct Buffer {
    std::byte octets[2048];
  };
  static Frame make(std::uint16_t octets) {
    constexpr std::uint16_t kHeadroom = 128;
    auto* const buffer = new Buffer;
    return Frame{RawFrame{buffer->octets + kHeadroom, buffer, octets, kHeadroom,
                          static_cast<std::uint16_t>(sizeof buffer->octets - kHeadroom - octets), kNoPort}};
  }
};

class FakeApplication final : public Application {
 public:
  void on_leg(LegId leg, std::uint32_t token, LegEvents events) override {
    if (events.has(LegEvents::kReceived) && received) received(leg);
    if (events.has(LegEvents::kConnected)) connected[token] = true;
    if (events.has(LegEvents::kWritable)) ++writable[token];
  }
  std::array<bool, 2> connected{};
  std::array<int, 2> writable{};
  std::function<void(LegId)> received;
};

class Served : public ::testing::Test {
 protected:
  Served() { relay_.set_application(&application_); }
  ~Served() override { relay_.close_all(); }

  void round(Duration later = {}) {
    now_ += later;
    relay_.begin_round(now_);
    relay_.housekeeping();
    while (relay_.flush()) {
    }
  }
  /// An upstream leg to an endpoint that accepts; its number is its token.
  LegId connect(std::uint16_t number) {
    const flow::FlowKey forward = key(number),
                        reverse{forward.dst, forward.src, forward.dst_port, forward.src_port, IpProto::tcp, {}};
    const flow::FlowIndex flow = table_.begin(forward, reverse);
    table_.forward(flow).flags = table_.reverse(flow).flags = control::kFlowProxy | control::kFlowUpstreamLeg;
    table_.commit(flow);
    flows_.push_back(flow);
    const LegId leg = relay_.dial_served(flow, kMtu, number);
    EXPECT_NE(leg, kNoLeg);
    round();
    EXPECT_FALSE(host_.sent.empty());
    iss_.push_back(load_be<std::uint32_t>(host_.sent.back(), 14 + 20 + 4).host());
    peer(number, "SA", kPeerIss, iss_[number] + 1);
    EXPECT_TRUE(application_.connected[number]);
    return leg;
  }
  /// A segment of the endpoint's.
  void peer(std::uint16_t number, std::string_view flags, std::uint32_t seq, std::uint32_t ack,
            const Bytes& payload = {}) {
    const Bytes bytes = PacketBuilder{}
                            .from_to(key(number).dst, key(number).src)
                            .tcp(80, key(number).src_port.host(), flags)
                            .seq(seq)
                            .ack(ack)
                            .window(60'000)
                            .payload(payload)
                            .build();
    Frame frame = FakeHost::frame_of(bytes);
    wire::PacketInfo info;
    ASSERT_EQ(wire::parse_packet_into(frame.bytes(), info), DropReason::none);
    ASSERT_TRUE(relay_.verify(frame, info, false));
    ASSERT_EQ(relay_.receive(2 * flows_[number] + 1, frame, info), Taken::taken);
    round();
  }
  static flow::FlowKey key(std::uint16_t number) {
    return {test::ip("10.1.0.1"), test::ip("10.1.0.2"), test::port(static_cast<std::uint16_t>(2000 + number)),
            test::port(80),       IpProto::tcp,         {}};
  }

  /// All blocks go to the leg, no other write fits any more; the sequence number behind what it sends.
  std::uint32_t fill_blocks(LegId leg) {
    while (relay_.write(leg, message_)) {
    }
    round();
    wire::PacketInfo info;
    EXPECT_EQ(wire::parse_packet_into(host_.sent.back(), info), DropReason::none);
    return load_be<std::uint32_t>(host_.sent.back(), info.l4_offset + 4).host() + info.payload_octets;
  }
  void until_tried_again() {
    round();
    round(milliseconds{kBlockedMs + 1});
  }

  flow::TestArena arena_{8};
  flow::FlowTable table_{arena_.bytes(), {.seed = {1, 2}}};
  FakeHost host_;
  FakeApplication application_;
  std::unique_ptr<control::ProxyCounters> counters_ = std::make_unique<control::ProxyCounters>();
  Instant now_{std::chrono::seconds{1000}};
  Relay relay_{{.pairs_max = 4, .time_waits_max = 4, .lent_max = 4, .entries = 64, .blocks = 8},
               derive_secrets({1, 2}),
               table_,
               host_,
               *counters_,
               {},
               now_};
  const Bytes message_ = Bytes(1000, std::byte{'x'});
  std::vector<flow::FlowIndex> flows_;
  std::vector<std::uint32_t> iss_;
};

TEST_F(Served, a_leg_that_was_refused_for_want_of_memory_with_nothing_under_way_is_told_to_try_again) {
  const LegId holder = connect(0), waits = connect(1);
  const std::uint32_t sent = fill_blocks(holder);
  ASSERT_FALSE(relay_.write(waits, message_));
  ASSERT_EQ(relay_.queued(waits), 0u) << "no acknowledgement will come for it";
  until_tried_again();
  EXPECT_EQ(application_.writable[1], 1);
  ASSERT_FALSE(relay_.write(waits, message_)) << "still no memory";
  peer(0, "A", kPeerIss + 1, sent);
  until_tried_again();
  EXPECT_EQ(application_.writable[1], 2);
  EXPECT_TRUE(relay_.write(waits, message_));
  round();
  EXPECT_EQ(relay_.queued(waits), message_.size());
}

TEST_F(Served, waiting_for_room_with_nothing_under_way_ends) {
  static_cast<void>(connect(0));
  const LegId leg = connect(1);
  relay_.await_room(leg);
  until_tried_again();
  EXPECT_EQ(application_.writable[1], 1);
  until_tried_again();
  EXPECT_EQ(application_.writable[1], 1) << "once";
}

TEST_F(Served, a_body_that_fits_behind_its_head_leaves_in_the_same_segment) {
  const LegId from = connect(0), to = connect(1);
  const std::uint16_t room = relay_.pair_of(flows_[1])->leg(Side::upstream).piece_max();
  std::uint32_t seq = kPeerIss + 1;
  for (const std::size_t body : {room - 200u, room - 199u}) {
    Bytes head(200, std::byte{'h'});
    application_.received = [&](LegId leg) {
      ASSERT_EQ(leg, from);
      ASSERT_TRUE(relay_.write(to, head));
      ASSERT_EQ(relay_.pass(from, to, relay_.inbox_octets(from)), body);
    };
    const Bytes octets(body, std::byte{'b'});
    host_.sent.clear();
    peer(0, "PA", seq, iss_[0] + 1, octets);
    seq += static_cast<std::uint32_t>(body);
    Bytes stream;
    std::size_t segments = 0;
    for (const Bytes& frame : host_.sent) {
      wire::PacketInfo info;
      ASSERT_EQ(wire::parse_packet_into(frame, info), DropReason::none);
      if (info.payload_octets == 0 || info.src_port != key(1).src_port) continue;
      ++segments;
      stream.insert(stream.end(), frame.begin() + info.payload_offset, frame.end());
    }
    head.insert(head.end(), octets.begin(), octets.end());
    EXPECT_EQ(stream, head);
    EXPECT_EQ(segments, body + 200 <= room ? 1u : 2u);
  }
}

TEST_F(Served, what_is_owed_behind_a_message_rides_on_the_next_one_or_leaves_soon) {
  const LegId leg = connect(0);
  std::uint32_t seq = kPeerIss + 1, acked = iss_[0] + 1;
  bool whole = false;
  application_.received = [&](LegId of) {
    relay_.skip(of, relay_.inbox_octets(of));
    if (whole) relay_.rest(of);
  };
  const auto answers = [&](Bytes octets) {
    host_.sent.clear();
    peer(0, "PA", seq, acked, octets);
    seq += static_cast<std::uint32_t>(octets.size());
    return host_.sent.size();
  };
  const auto last_ack = [&] { return load_be<std::uint32_t>(host_.sent.back(), 14 + 20 + 8).host(); };
  EXPECT_EQ(answers(message_) + answers(message_), 1u) << "every second full segment at once";
  whole = true;
  EXPECT_EQ(answers(message_) + answers(message_), 0u);
  round(kRestAck);
  ASSERT_EQ(host_.sent.size(), 1u);
  EXPECT_EQ(last_ack(), seq);

  EXPECT_EQ(answers(message_) + answers(message_), 0u);
  const Bytes request(500, std::byte{'r'});
  ASSERT_TRUE(relay_.write(leg, request));
  round();
  ASSERT_EQ(host_.sent.size(), 1u);
  EXPECT_EQ(last_ack(), seq);
  acked += static_cast<std::uint32_t>(request.size());
  peer(0, "A", seq, acked);
  round(kRestAck);
  EXPECT_EQ(host_.sent.size(), 1u) << "nothing is owed any more";

  EXPECT_EQ(answers(message_) + answers(message_), 0u);
  whole = false;
  EXPECT_EQ(answers(message_), 1u) << "more than the message: at once";
}

}  // namespace
}  // namespace penstock::relay
