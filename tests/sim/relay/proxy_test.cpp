// Listeners of mode proxy, segment by segment: what the worker answers when connections begin, fail, idle and end.
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/sim/world.h"

namespace penstock::sim {
namespace {

using control::ProxyCounters;
using std::chrono::milliseconds;
using std::chrono::seconds;
using test::PacketBuilder;

std::uint32_t seq_of(const Seen& s) { return load_be<std::uint32_t>(s.bytes, s.info.l4_offset + 4u).host(); }
std::uint32_t ack_of(const Seen& s) { return load_be<std::uint32_t>(s.bytes, s.info.l4_offset + 8u).host(); }
bool has(const Seen& s, std::uint8_t flags) { return (s.info.tcp_flags & flags) == flags; }

/// Offers 1460 octets, as an Ethernet host does.
const test::Bytes kMss1460{std::byte{2}, std::byte{4}, std::byte{0x05}, std::byte{0xb4}};

struct Proxy : testing::Test {
  explicit Proxy(const WorldOptions& options = {}) : world{options} {
    listener = make_listener(shape, 1);
    listener.mode = control::ListenerMode::proxy;
    world.listeners = {listener};
    world.publish();
  }
  ~Proxy() override { world.check(); }

  /// The client's SYN; the SYN-ACK.
  Seen syn(std::uint16_t port) {
    return world.pass(kDownstream, from_client(shape, port, "S").seq(5000).tcp_options(kMss1460).build());
  }
  /// The client's handshake; the SYN that the endpoint sees.
  Seen dial(std::uint16_t port) {
    const Seen syn_ack = syn(port);
    EXPECT_TRUE(has(syn_ack, wire::kTcpSyn | wire::kTcpAck));
    EXPECT_EQ(ack_of(syn_ack), 5001u);
    client_ack = seq_of(syn_ack) + 1;
    return world.pass(kDownstream, from_client(shape, port, "A").seq(5001).ack(client_ack).build());
  }
  /// Both handshakes; what the endpoint saw first.
  Seen open(std::uint16_t port) {
    const Seen at_endpoint = dial(port);
    EXPECT_TRUE(has(at_endpoint, wire::kTcpSyn));
    const Seen ack = world.pass(kUpstream, endpoint(at_endpoint, "SA", 9000));
    EXPECT_EQ(ack_of(ack), 9001u);
    return at_endpoint;
  }
  /// The endpoint's segment of the connection that `syn` began.
  test::Bytes endpoint(const Seen& syn, std::string_view flags, std::uint32_t seq, std::size_t octets = 0) {
    PacketBuilder b = reply_to(syn, flags);
    b.seq(seq).ack(seq_of(syn) + 1);
    if (flags == "SA") b.tcp_options(kMss1460);
    if (octets != 0) b.payload_octets(octets);
    return b.build();
  }
  test::Bytes client(std::uint16_t port, std::string_view flags, std::uint32_t seq, std::size_t octets = 0) {
    PacketBuilder b = from_client(shape, port, flags);
    b.seq(seq).ack(client_ack);
    if (octets != 0) b.payload_octets(octets);
    return b.build();
  }
  /// What is sent while time passes.
  std::vector<Seen> after(Duration time) {
    world.advance(time);
    return world.settle();
  }
  [[nodiscard]] std::uint64_t counted(control::Counter ProxyCounters::*counter) const { return world.proxied(counter); }
  [[nodiscard]] std::uint32_t pairs() const { return world.workers[0]->relay().size(); }

  Shape shape;
  SimListener listener;
  World world;
  std::uint32_t client_ack{};
};

TEST_F(Proxy, the_endpoint_is_dialled_when_the_client_has_proved_itself) {
  const Seen syn_ack = syn(40000);
  EXPECT_EQ(syn_ack.port, kDownstream) << "and nothing to the endpoint";
  client_ack = seq_of(syn_ack) + 1;
  const Seen at_endpoint = world.pass(kDownstream, client(40000, "A", 5001));
  EXPECT_EQ(at_endpoint.port, kUpstream);
  EXPECT_TRUE(has(at_endpoint, wire::kTcpSyn));
  EXPECT_EQ(at_endpoint.info.src, node_address(IpFamily::v4));
}

TEST_F(Proxy, octets_that_come_before_the_endpoint_accepts_wait_for_it) {
  const Seen at_endpoint = dial(40000);
  EXPECT_TRUE(world.feed(kDownstream, client(40000, "A", 5001, 600)).empty()) << "acknowledged a little later";
  const auto sent = world.feed(kUpstream, endpoint(at_endpoint, "SA", 9000));
  ASSERT_EQ(sent.size(), 1u);
  EXPECT_EQ(sent[0].info.payload_octets, 600);
  EXPECT_EQ(ack_of(sent[0]), 9001u) << "the acknowledgement rides on them";
}

TEST_F(Proxy, an_endpoint_that_refuses_resets_the_client) {
  const Seen at_endpoint = dial(40000);
  const Seen reset = world.pass(kUpstream, endpoint(at_endpoint, "RA", 0));
  EXPECT_EQ(reset.port, kDownstream);
  EXPECT_TRUE(has(reset, wire::kTcpRst));
  EXPECT_EQ(seq_of(reset), client_ack);
  EXPECT_EQ(counted(&ProxyCounters::connect_failed), 1u);
  EXPECT_EQ(pairs(), 0u);
  EXPECT_EQ(world.flows(), 0u);
}

TEST_F(Proxy, an_endpoint_that_is_silent_for_too_long_resets_the_client) {
  world.node.proxy_connect_ms = 2500;
  world.publish();
  dial(40000);
  const auto sent = after(milliseconds{2600});
  std::size_t syns = 0, resets = 0;
  for (const Seen& s : sent)
    (s.port == kUpstream ? syns : resets) += has(s, s.port == kUpstream ? wire::kTcpSyn : wire::kTcpRst);
  EXPECT_EQ(syns, 3u) << "repeated after 250, 500 and 1000 ms, each with up to half as much again";
  EXPECT_EQ(resets, 1u);
  EXPECT_EQ(counted(&ProxyCounters::connect_failed), 1u);
  EXPECT_EQ(world.flows(), 0u);
}

TEST_F(Proxy, a_reset_goes_through_to_the_other_side) {
  open(40000);
  const Seen to_endpoint = world.pass(kDownstream, client(40000, "R", 5001));
  EXPECT_EQ(to_endpoint.port, kUpstream);
  EXPECT_TRUE(has(to_endpoint, wire::kTcpRst));
  EXPECT_EQ(counted(&ProxyCounters::reset_by_downstream), 1u);
  const Seen second = open(40001);
  const Seen to_client = world.pass(kUpstream, endpoint(second, "RA", 9001));
  EXPECT_EQ(to_client.port, kDownstream);
  EXPECT_TRUE(has(to_client, wire::kTcpRst));
  EXPECT_EQ(counted(&ProxyCounters::reset_by_upstream), 1u);
  EXPECT_EQ(pairs(), 0u);
}

TEST_F(Proxy, a_reset_outside_the_window_is_challenged_and_goes_nowhere) {
  open(40000);
  const Seen challenge = world.pass(kDownstream, client(40000, "R", 5100));
  EXPECT_EQ(challenge.port, kDownstream);
  EXPECT_EQ(ack_of(challenge), 5001u);
  EXPECT_EQ(pairs(), 1u);
}

TEST_F(Proxy, silence_for_the_idle_time_resets_both_sides) {
  world.node.proxy_idle_ms = 10'000;
  world.node.proxy_keepalive_ms = 0;
  world.publish();
  open(40000);
  EXPECT_TRUE(after(seconds{9}).empty());
  const auto sent = after(seconds{2});
  ASSERT_EQ(sent.size(), 2u);
  for (const Seen& s : sent) EXPECT_TRUE(has(s, wire::kTcpRst));
  EXPECT_NE(sent[0].port, sent[1].port);
  EXPECT_EQ(counted(&ProxyCounters::idle_closed), 1u);
  EXPECT_EQ(world.flows(), 0u);
}

TEST_F(Proxy, a_peer_that_vanished_is_found_by_keepalive_probes) {
  world.node.proxy_keepalive_ms = 10'000;
  world.publish();
  open(40000);
  const auto sent = after(seconds{10 + 10 * 75 + 1});
  EXPECT_GE(sent.size(), 2u * 9u);
  EXPECT_EQ(counted(&ProxyCounters::timed_out), 1u);
  EXPECT_EQ(world.flows(), 0u);
}

TEST_F(Proxy, segments_of_a_connection_that_died_with_its_process_are_reset) {
  const Seen at_endpoint = open(40000);
  flow::TestArena copy{256};
  std::memcpy(copy.bytes().data(), world.arena(0).data(), copy.bytes().size());
  world.crash_and_restore();  // takes what is left in the arena: nothing, since drain() closed the connection
  world.settle();
  world.workers[0]->restore(copy.bytes(), world.now());
  world.publish();
  EXPECT_EQ(world.flows(), 1u);
  const Seen to_client = world.pass(kDownstream, client(40000, "A", 5001, 10));
  EXPECT_EQ(to_client.port, kDownstream);
  EXPECT_TRUE(has(to_client, wire::kTcpRst));
  const Seen to_endpoint = world.pass(kUpstream, endpoint(at_endpoint, "A", 9001, 10));
  EXPECT_EQ(to_endpoint.port, kUpstream);
  EXPECT_TRUE(has(to_endpoint, wire::kTcpRst));
  after(seconds{120});
  EXPECT_EQ(world.flows(), 0u);
}

TEST_F(Proxy, a_port_of_a_connection_that_died_with_its_process_may_be_used_again) {
  const Seen at_endpoint = open(40000);
  flow::TestArena copy{256};
  std::memcpy(copy.bytes().data(), world.arena(0).data(), copy.bytes().size());
  world.crash_and_restore();
  world.settle();
  world.workers[0]->restore(copy.bytes(), world.now());
  world.publish();
  ASSERT_EQ(world.flows(), 1u);
  EXPECT_TRUE(has(world.pass(kUpstream, endpoint(at_endpoint, "A", 9001)), wire::kTcpRst)) << "the old one is gone";
  EXPECT_NE(open(40000).src_port(), 0) << "the client's SYN is a new connection, not refused";
  EXPECT_EQ(world.flows(), 1u);
  EXPECT_EQ(pairs(), 1u);
}

TEST_F(Proxy, a_too_big_message_makes_segments_smaller) {
  const Seen at_endpoint = open(40000);
  const auto sent = world.feed(kDownstream, client(40000, "A", 5001, 1400));
  ASSERT_EQ(sent.size(), 1u);
  PacketBuilder quoted;
  quoted.from_to(sent[0].info.src, sent[0].info.dst)
      .tcp(sent[0].src_port(), sent[0].dst_port(), "A")
      .seq(seq_of(sent[0]));
  PacketBuilder error;
  error.eth(endpoint_mac(at_endpoint.info.dst).text(), "02:00:00:00:01:02")
      .from_to(at_endpoint.info.dst, at_endpoint.info.src)
      .icmp(3, 4, 1000)
      .payload(quoted.quote(28));
  const auto again = world.feed(kUpstream, error.build());
  ASSERT_GE(again.size(), 1u);
  for (const Seen& s : again) EXPECT_LE(s.info.ip_octets, 1000);
  EXPECT_EQ(seq_of(again[0]), seq_of(sent[0]));
  EXPECT_EQ(world.sum(&control::WorkerCounters::icmp_consumed), 1u);
}

TEST_F(Proxy, payload_leaves_in_the_buffer_it_came_in) {
  open(40000);
  ASSERT_EQ(world.feed(kDownstream, client(40000, "A", 5001, 1000)).size(), 1u);
  EXPECT_EQ(counted(&ProxyCounters::in_place_sent), 1u);
  ASSERT_GE(world.feed(kDownstream, client(40000, "A", 6001, 100)).size(), 1u);
  EXPECT_EQ(counted(&ProxyCounters::copied_sent), 1u) << "short payload is copied and its buffer given back";
}

TEST_F(Proxy, a_damaged_segment_is_never_acknowledged_on_any_port) {
  open(40000);
  test::Bytes damaged = client(40000, "A", 5001, 1000);
  damaged[600] ^= std::byte{1};
  world.refuse(kDownstream, damaged, DropReason::bad_checksum);
  EXPECT_EQ(world.feed(kDownstream, client(40000, "A", 5001, 1000)).size(), 1u);
}

TEST_F(Proxy, a_checksum_that_a_local_kernel_left_partial_is_completed) {
  open(40000);
  PacketBuilder b = from_client(shape, 40000, "A");
  b.seq(5001).ack(client_ack).payload_octets(1001).checksum(test::ChecksumMode::partial);
  const auto sent = world.feed(kDownstream, b.build());  // feed() checks what leaves
  ASSERT_EQ(sent.size(), 1u);
  EXPECT_EQ(sent[0].info.payload_octets, 1001);
}

TEST_F(Proxy, payload_that_cannot_be_in_place_is_repeated_from_a_copy) {
  world.device->hold_sent();  // the device still owns the first transmission
  open(40000);
  world.feed(kDownstream, client(40000, "A", 5001, 1000));
  const auto again = after(milliseconds{1500});
  EXPECT_TRUE(std::any_of(again.begin(), again.end(), [](const Seen& s) { return s.info.payload_octets == 1000; }));
  EXPECT_GE(counted(&ProxyCounters::copied_sent), 1u);
  world.device->release_sent();
}

TEST_F(Proxy, the_side_that_closed_first_is_remembered_until_nothing_old_can_come) {
  const Seen at_endpoint = open(40000);
  world.feed(kDownstream, client(40000, "FA", 5001));
  const auto fin = world.feed(kUpstream, endpoint(at_endpoint, "FA", 9001));
  ASSERT_GE(fin.size(), 1u);
  PacketBuilder last = reply_to(at_endpoint, "A");
  world.feed(kUpstream, last.seq(9002).ack(seq_of(at_endpoint) + 2).build());
  world.feed(kDownstream, from_client(shape, 40000, "A").seq(5002).ack(client_ack + 1).build());
  EXPECT_EQ(pairs(), 0u);
  EXPECT_EQ(world.workers[0]->relay().time_waits(), 1u);
  EXPECT_EQ(counted(&ProxyCounters::closed), 1u);
  PacketBuilder repeated = reply_to(at_endpoint, "FA");
  const Seen answer = world.pass(kUpstream, repeated.seq(9001).ack(seq_of(at_endpoint) + 2).build());
  EXPECT_EQ(ack_of(answer), 9002u);
  after(seconds{130});
  EXPECT_EQ(world.workers[0]->relay().time_waits(), 0u);
  EXPECT_EQ(world.flows(), 0u);
}

TEST_F(Proxy, what_only_waits_for_stragglers_is_not_an_active_connection) {
  const auto active = [&] { return world.slot_sum(world.listener_slot(1), &control::SlotCounters::active); };
  const Seen at_endpoint = open(40000);
  EXPECT_EQ(active(), 1u);
  world.feed(kDownstream, client(40000, "FA", 5001));
  world.feed(kUpstream, endpoint(at_endpoint, "FA", 9001));
  world.feed(kUpstream, reply_to(at_endpoint, "A").seq(9002).ack(seq_of(at_endpoint) + 2).build());
  world.feed(kDownstream, from_client(shape, 40000, "A").seq(5002).ack(client_ack + 1).build());
  EXPECT_EQ(world.flows(), 1u);
  EXPECT_EQ(active(), 0u);
  after(seconds{130});
  EXPECT_EQ(world.flows(), 0u);
  EXPECT_EQ(active(), 0u);
}

TEST_F(Proxy, connections_of_a_removed_listener_are_reset) {
  open(40000);
  world.listeners[0].draining = true;
  world.publish();
  EXPECT_TRUE(world.settle().empty()) << "a drained listener keeps what it has";
  world.listeners.clear();
  world.publish();
  const auto sent = world.settle();
  ASSERT_EQ(sent.size(), 2u);
  for (const Seen& s : sent) EXPECT_TRUE(has(s, wire::kTcpRst));
  EXPECT_EQ(counted(&ProxyCounters::listener_gone), 1u);
  EXPECT_EQ(world.flows(), 0u);
}

TEST_F(Proxy, answered_keepalive_probes_do_not_count_against_the_idle_time) {
  world.node.proxy_idle_ms = 30'000;
  world.node.proxy_keepalive_ms = 10'000;
  world.publish();
  const Seen at_endpoint = open(40000);
  for (int i = 0; i < 2; ++i) {
    after(milliseconds{10'100});
    world.feed(kDownstream, client(40000, "A", 5001));
    world.feed(kUpstream, endpoint(at_endpoint, "A", 9001));
  }
  EXPECT_EQ(pairs(), 1u);
  after(milliseconds{10'100});
  EXPECT_EQ(pairs(), 0u);
  EXPECT_EQ(counted(&ProxyCounters::idle_closed), 1u);
}

TEST_F(Proxy, as_many_connections_as_allowed_and_no_more) {
  world.node.proxy_connections_max = 2;
  world.publish();
  open(40000);
  open(40001);
  world.refuse(kDownstream, from_client(shape, 40002, "S").seq(1).build(), DropReason::proxy_full);
  EXPECT_EQ(counted(&ProxyCounters::refused_full), 1u);
  world.pass(kDownstream, client(40001, "R", 5001));
  EXPECT_EQ(syn(40002).port, kDownstream);
}

TEST_F(Proxy, a_drained_process_resets_what_it_cannot_hand_on) {
  open(40000);
  world.workers[0]->drain();
  const auto sent = world.settle();
  ASSERT_EQ(sent.size(), 2u);
  for (const Seen& s : sent) EXPECT_TRUE(has(s, wire::kTcpRst));
}

/// Frames as large receivers make them come in, and the device cuts what leaves.
struct Cutting : Proxy {
  Cutting() : Proxy{{.cuts = true}} {}
  static std::vector<std::uint16_t> payloads(const std::vector<Seen>& sent) {
    std::vector<std::uint16_t> out;
    for (const Seen& s : sent)
      if (s.info.payload_octets != 0) out.push_back(s.info.payload_octets);
    return out;
  }
};

TEST_F(Cutting, payload_above_the_mtu_leaves_as_one_and_is_cut_by_the_device) {
  const Seen at_endpoint = open(40000);
  EXPECT_EQ(payloads(world.feed(kDownstream, client(40000, "AP", 5001, 1900))),
            (std::vector<std::uint16_t>{1460, 440}));
  EXPECT_EQ(counted(&ProxyCounters::in_place_sent), 1u);
  EXPECT_EQ(payloads(world.feed(kUpstream, endpoint(at_endpoint, "A", 9001, 1900))),
            (std::vector<std::uint16_t>{1460, 440}));
  EXPECT_EQ(counted(&ProxyCounters::in_place_sent), 2u);
}

TEST_F(Cutting, payload_above_the_mtu_is_repeated_in_segments) {
  open(40000);
  world.feed(kDownstream, client(40000, "A", 5001, 1900));
  const std::vector<std::uint16_t> again = payloads(after(milliseconds{1500}));
  ASSERT_FALSE(again.empty());
  for (const std::uint16_t octets : again) EXPECT_LE(octets, 1460);
}

TEST_F(Proxy, payload_above_the_mtu_is_segments_where_no_device_cuts) {
  open(40000);
  const auto sent = world.feed(kDownstream, client(40000, "A", 5001, 1900));
  ASSERT_EQ(sent.size(), 2u);
  EXPECT_EQ(sent[0].info.payload_octets, 1460);
  EXPECT_EQ(sent[1].info.payload_octets, 440);
}

struct TwoWorkers : Proxy {
  TwoWorkers() : Proxy{{.workers = 2, .queues = 2}} {}
};

TEST_F(TwoWorkers, a_connection_lives_on_one_worker_wherever_its_frames_arrive) {
  for (std::uint16_t port = 40000; port < 40020; ++port) {
    const Seen at_endpoint = open(port);
    for (const std::size_t queue : {0u, 1u}) {
      const auto up =
          world.feed(kDownstream, client(port, "A", 5001 + static_cast<std::uint32_t>(queue) * 500, 500), queue);
      ASSERT_GE(up.size(), 1u);
      EXPECT_EQ(up[0].port, kUpstream);
      const auto down =
          world.feed(kUpstream, endpoint(at_endpoint, "A", 9001 + static_cast<std::uint32_t>(queue) * 500, 500), queue);
      ASSERT_GE(down.size(), 1u);
      EXPECT_EQ(down[0].port, kDownstream);
    }
  }
  EXPECT_GT(world.workers[0]->relay().size(), 0u);
  EXPECT_GT(world.workers[1]->relay().size(), 0u);
}

}  // namespace
}  // namespace penstock::sim
