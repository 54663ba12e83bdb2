// Spliced flows, segment by segment: when a pair sinks, what leaves afterwards, how it ends.
#include <gtest/gtest.h>

#include <algorithm>

#include "dataplane/tcp/options.h"
#include "tests/sim/world.h"

namespace penstock::sim {
namespace {

using control::ProxyCounters;
using std::chrono::seconds;
using test::PacketBuilder;

std::uint32_t seq_of(const Seen& s) { return load_be<std::uint32_t>(s.bytes, s.info.l4_offset + 4u).host(); }
std::uint32_t ack_of(const Seen& s) { return load_be<std::uint32_t>(s.bytes, s.info.l4_offset + 8u).host(); }
std::uint16_t window_of(const Seen& s) { return load_be<std::uint16_t>(s.bytes, s.info.l4_offset + 14u).host(); }
bool has(const Seen& s, std::uint8_t flags) { return (s.info.tcp_flags & flags) == flags; }
tcp::Options options_of(const Seen& s) {
  return tcp::parse_options(
      ByteView{s.bytes}.subspan(s.info.l4_offset + 20u, s.info.payload_offset - s.info.l4_offset - 20u));
}

test::Bytes bytes(std::initializer_list<int> values) {
  test::Bytes out;
  for (const int v : values) out.push_back(static_cast<std::byte>(v));
  return out;
}

struct Ends {
  int mss[2]{1460, 1460};  ///< client, endpoint
  bool timestamps[2]{};    ///< TSval 100 and 7000 at the beginning
  bool sack[2]{};
  int shift[2]{-1, -1};
  std::uint16_t window[2]{60000, 60000};
};

/// A client and an endpoint whose segments are written here. Each has its own numbers: 5000 and 9000 at first.
struct Splice : testing::Test {
  explicit Splice(const WorldOptions& options = {}) : world{options} { listen(); }
  ~Splice() override { world.check(); }

  void listen() {
    listener = make_listener(shape, 1);
    listener.mode = control::ListenerMode::proxy;
    listener.splice = true;
    world.listeners = {listener};
    world.publish();
  }
  [[nodiscard]] test::Bytes syn_options(std::size_t end) const {
    test::Bytes out = bytes({2, 4, ends.mss[end] >> 8, ends.mss[end] & 255});
    const auto add = [&](const test::Bytes& more) { out.insert(out.end(), more.begin(), more.end()); };
    if (ends.sack[end]) add(bytes({1, 1, 4, 2}));
    if (ends.timestamps[end]) add(stamp(end));
    if (ends.shift[end] >= 0) add(bytes({1, 3, 3, ends.shift[end]}));
    return out;
  }
  /// The end's clock now, and what it heard last.
  [[nodiscard]] test::Bytes stamp(std::size_t end) const {
    const auto word = [](std::uint32_t v) {
      return bytes({int(v >> 24), int(v >> 16 & 255), int(v >> 8 & 255), int(v & 255)});
    };
    test::Bytes out = bytes({1, 1, 8, 10});
    for (const std::uint32_t v : {clock[end], heard[end]}) {
      const test::Bytes w = word(v);
      out.insert(out.end(), w.begin(), w.end());
    }
    return out;
  }
  /// A segment of an end; `octets` of payload.
  PacketBuilder segment(std::size_t end, std::string_view flags, std::size_t octets = 0) {
    PacketBuilder b = end == 0 ? from_client(shape, port, flags) : reply_to(at_endpoint, flags);
    b.seq(next[end]).ack(peer_next[end]).window(ends.window[end]);
    if (ends.timestamps[end]) b.tcp_options(stamp(end));
    if (octets != 0) b.payload_octets(octets);
    return b;
  }
  /// Sends it and moves the end's numbers.
  std::vector<Seen> say(std::size_t end, std::string_view flags, std::size_t octets = 0) {
    const auto sent = world.feed(end == 0 ? kDownstream : kUpstream, segment(end, flags, octets).build());
    next[end] += static_cast<std::uint32_t>(octets) + (flags.find('F') != std::string_view::npos ? 1 : 0);
    for (const Seen& s : sent) hear(s);
    return sent;
  }
  void hear(const Seen& s) {
    const std::size_t end = s.port == kDownstream ? 0 : 1;
    if (has(s, wire::kTcpRst)) return;
    const std::uint32_t fin = has(s, wire::kTcpFin) ? 1 : 0;
    peer_next[end] = seq_of(s) + s.info.payload_octets + fin;
    if (const tcp::Options o = options_of(s); o.has_timestamps) heard[end] = o.ts_value;
  }
  /// Handshakes, one request and its response, in P. The next segment of the client is a rest.
  void open() {
    const Seen syn_ack = world.pass(
        kDownstream,
        from_client(shape, port, "S").seq(next[0]).window(ends.window[0]).tcp_options(syn_options(0)).build());
    ++next[0];
    peer_next[0] = seq_of(syn_ack) + 1;
    if (const tcp::Options o = options_of(syn_ack); o.has_timestamps) heard[0] = o.ts_value;
    at_endpoint = world.pass(kDownstream, segment(0, "A").build());
    ASSERT_TRUE(has(at_endpoint, wire::kTcpSyn));
    peer_next[1] = seq_of(at_endpoint) + 1;
    if (const tcp::Options o = options_of(at_endpoint); o.has_timestamps) heard[1] = o.ts_value;
    const Seen ack = world.pass(kUpstream, reply_to(at_endpoint, "SA")
                                               .seq(next[1])
                                               .ack(peer_next[1])
                                               .window(ends.window[1])
                                               .tcp_options(syn_options(1))
                                               .build());
    ++next[1];
    ASSERT_EQ(ack.port, kUpstream);
    ASSERT_EQ(say(0, "AP", 100).size(), 1u);
    ASSERT_EQ(say(1, "AP", 300).size(), 1u);
    ASSERT_EQ(world.workers[0]->relay().size(), 1u);
  }
  /// open(), and the request that sinks the pair, as the endpoint sees it.
  Seen sink() {
    open();
    const auto sent = say(0, "AP", 50);
    EXPECT_EQ(sent.size(), 1u);
    EXPECT_EQ(count(&ProxyCounters::splices_begun), 1u);
    EXPECT_EQ(world.workers[0]->relay().size(), 0u) << "the pair is gone";
    return sent.at(0);
  }
  [[nodiscard]] std::uint64_t count(control::Counter ProxyCounters::*counter) const { return world.proxied(counter); }

  Shape shape;
  SimListener listener;
  World world;
  Ends ends;
  Seen at_endpoint;
  std::uint16_t port{40000};
  std::uint32_t next[2]{5000, 9000}, peer_next[2]{}, clock[2]{100, 7000}, heard[2]{};
};

TEST_F(Splice, the_request_that_follows_a_response_is_translated_and_so_is_all_after_it) {
  const Seen request = sink();
  EXPECT_EQ(request.port, kUpstream);
  EXPECT_EQ(request.info.payload_octets, 50);
  EXPECT_EQ(request.info.ttl, 63) << "forwarded, not made anew";
  EXPECT_EQ(ack_of(request), 9001u + 300u);
  EXPECT_EQ(seq_of(request), seq_of(at_endpoint) + 1 + 100);
  const auto response = say(1, "AP", 700);
  ASSERT_EQ(response.size(), 1u);
  EXPECT_EQ(response[0].port, kDownstream);
  EXPECT_EQ(ack_of(response[0]), 5001u + 150u);
  EXPECT_EQ(response[0].info.payload_octets, 700);
  EXPECT_EQ(response[0].info.src, service_address(IpFamily::v4));
  EXPECT_TRUE(world.feed(kDownstream, segment(0, "A").build()).size() == 1) << "acknowledgements go through";
}

struct CutSplice : Splice {
  CutSplice() : Splice{{.cuts = true}} {}
};

TEST_F(CutSplice, what_is_above_the_mtu_passes_for_the_device_to_cut) {
  sink();
  const auto response = say(1, "AP", 1900);
  ASSERT_EQ(response.size(), 2u);
  EXPECT_EQ(response[0].info.payload_octets, 1460);
  EXPECT_EQ(response[1].info.payload_octets, 440);
  EXPECT_EQ(seq_of(response[1]), seq_of(response[0]) + 1460);
}

TEST_F(Splice, a_segment_that_was_lost_on_its_way_back_is_answered_by_the_far_end) {
  sink();
  next[0] -= 50;
  const auto repeated = say(0, "AP", 50);
  ASSERT_EQ(repeated.size(), 1u);
  EXPECT_EQ(repeated[0].port, kUpstream);
}

TEST_F(Splice, without_the_flag_nothing_sinks) {
  world.listeners[0].splice = false;
  world.publish();
  open();
  say(0, "AP", 50);
  EXPECT_EQ(count(&ProxyCounters::splices_begun), 0u);
  EXPECT_EQ(world.workers[0]->relay().size(), 1u);
}

TEST_F(Splice, no_pair_sinks_before_the_endpoint_has_shown_that_it_is_connected) {
  const Seen syn_ack =
      world.pass(kDownstream, from_client(shape, port, "S").seq(next[0]).tcp_options(syn_options(0)).build());
  ++next[0];
  peer_next[0] = seq_of(syn_ack) + 1;
  at_endpoint = world.pass(kDownstream, segment(0, "A").build());
  peer_next[1] = seq_of(at_endpoint) + 1;
  world.pass(kUpstream, reply_to(at_endpoint, "SA").seq(next[1]).ack(peer_next[1]).tcp_options(syn_options(1)).build());
  ++next[1];
  say(0, "AP", 50);
  EXPECT_EQ(count(&ProxyCounters::splices_begun), 0u);
}

TEST_F(Splice, data_under_way_to_either_side_is_no_rest) {
  open();
  const std::uint32_t all = peer_next[0];
  peer_next[0] -= 1;
  world.feed(kDownstream, segment(0, "A").build());  // one octet of the response is not acknowledged
  EXPECT_EQ(count(&ProxyCounters::splices_begun), 0u);
  peer_next[0] = all;
  next[0] += 10;  // a hole in front of it
  world.feed(kDownstream, segment(0, "AP", 20).build());
  EXPECT_EQ(count(&ProxyCounters::splices_begun), 0u);
  next[0] -= 10;
  world.feed(kDownstream, segment(0, "AP", 10).build());
  EXPECT_EQ(count(&ProxyCounters::splices_begun), 0u) << "the request waits for its acknowledgement";
}

TEST_F(Splice, timestamps_on_one_leg_alone_keep_a_pair_proxied_and_are_counted_once) {
  ends.timestamps[0] = true;
  open();
  say(0, "AP", 50);
  say(1, "AP", 50);
  say(0, "AP", 50);
  EXPECT_EQ(count(&ProxyCounters::splice_refused_options), 1u);
  EXPECT_EQ(count(&ProxyCounters::splices_begun), 0u);
}

TEST_F(Splice, a_peer_that_may_send_too_large_segments_keeps_a_pair_proxied) {
  ends.mss[1] = 1400;
  open();
  say(0, "AP", 50);
  EXPECT_EQ(count(&ProxyCounters::splice_refused_mss), 1u);
  EXPECT_EQ(count(&ProxyCounters::splices_begun), 0u);
}

TEST_F(Splice, a_window_that_does_not_reach_what_was_promised_waits_for_a_later_rest) {
  ends.window[1] = 6000;  // less than our first window
  open();
  say(0, "AP", 50);
  EXPECT_EQ(count(&ProxyCounters::splice_refused_window), 1u);
  ends.window[1] = 60000;
  say(1, "AP", 50);
  EXPECT_EQ(say(0, "AP", 50).size(), 1u);
  EXPECT_EQ(count(&ProxyCounters::splices_begun), 1u);
}

TEST_F(Splice, timestamps_go_on_from_ours_and_old_echoes_become_what_was_sent) {
  ends.timestamps[0] = ends.timestamps[1] = true;
  open();
  const std::uint32_t ours = heard[1];  // the last TSval that the endpoint saw
  clock[0] = 400;
  clock[1] = 7100;
  const auto request = say(0, "A");
  ASSERT_EQ(request.size(), 1u) << "an acknowledgement alone is a rest, too";
  tcp::Options o = options_of(request[0]);
  EXPECT_GE(static_cast<std::int32_t>(o.ts_value - ours), 0);
  EXPECT_EQ(o.ts_echo, 7000u) << "what the endpoint really sent last";
  clock[0] = 450;
  say(0, "AP", 20);
  clock[1] = 7300;
  const auto response = say(1, "AP", 50);
  o = options_of(response.at(0));
  EXPECT_EQ(o.ts_echo, 450u) << "the client's own value comes back";
  clock[0] = 600;
  o = options_of(say(0, "A").at(0));
  EXPECT_EQ(o.ts_echo, 7300u);
}

TEST_F(Splice, sack_blocks_are_translated_or_taken_out) {
  for (const bool both : {true, false}) {
    port = both ? 40000 : 40001;
    next[0] = 5000, next[1] = 9000;
    ends.sack[0] = true;
    ends.sack[1] = both;
    open();
    say(0, "AP", 50);
    ASSERT_EQ(count(&ProxyCounters::splices_begun), both ? 1u : 2u);
    const std::uint32_t at = peer_next[0] + 100;
    PacketBuilder b = segment(0, "A");
    test::Bytes sack = bytes({1, 1, 5, 10, int(at >> 24), int(at >> 16 & 255), int(at >> 8 & 255), int(at & 255)});
    const std::uint32_t end = at + 40;
    for (const unsigned shift : {24u, 16u, 8u, 0u}) sack.push_back(static_cast<std::byte>(end >> shift & 255));
    const auto sent = world.feed(kDownstream, b.tcp_options(sack).build());
    ASSERT_EQ(sent.size(), 1u);
    const tcp::Options o = options_of(sent[0]);
    ASSERT_EQ(o.sack_count, both ? 1 : 0);
    if (both) {
      EXPECT_EQ(o.sack[0].start.value(), next[1] + 100);
      EXPECT_EQ(o.sack[0].end.value(), next[1] + 140);
    }
  }
}

TEST_F(Splice, windows_are_told_in_the_scale_of_the_other_leg) {
  ends.shift[0] = 7;
  ends.shift[1] = 2;
  ends.window[0] = 60000;
  open();
  ends.window[0] = 500;  // 64,000 octets
  const auto request = say(0, "AP", 50);
  ASSERT_EQ(count(&ProxyCounters::splices_begun), 1u);
  EXPECT_EQ(window_of(request.at(0)) << 3, 64000) << "our own SYN offered a scale of 3";
  ends.window[1] = 10000;  // 40,000
  EXPECT_EQ(window_of(say(1, "AP", 50).at(0)) << 3, 40000);
}

TEST_F(Splice, fins_of_both_sides_close_it_and_late_segments_are_still_translated) {
  sink();
  say(1, "AP", 10);
  EXPECT_TRUE(has(say(0, "FA").at(0), wire::kTcpFin));
  EXPECT_TRUE(has(say(1, "FA").at(0), wire::kTcpFin));
  EXPECT_EQ(say(0, "A").size(), 1u);
  world.advance(seconds{30});
  next[1] -= 1;
  EXPECT_EQ(say(1, "FA").at(0).port, kDownstream) << "repeated, and answered by the client";
  EXPECT_EQ(world.flows(), 1u);
  world.advance(seconds{90});
  EXPECT_TRUE(world.settle().empty());
  EXPECT_EQ(world.flows(), 0u);
  EXPECT_EQ(count(&ProxyCounters::splices_ended), 1u);
  EXPECT_EQ(count(&ProxyCounters::splices_active), 0u);
  world.advance(seconds{60});
}

TEST_F(Splice, one_that_began_with_a_cookie_is_remembered_while_that_is_good) {
  world.node.proxy_half_open_max = 0;
  world.publish();
  ends.window[1] = 65535;  // a cookie's SYN-ACK promised that much
  sink();
  EXPECT_EQ(count(&ProxyCounters::cookies_accepted), 1u);
  say(1, "AP", 10);
  say(0, "FA");
  say(1, "FA");
  say(0, "A");
  world.advance(seconds{100});
  EXPECT_TRUE(world.settle().empty());
  EXPECT_EQ(world.flows(), 1u) << "longer than TIME-WAIT";
  world.advance(seconds{60});
  EXPECT_TRUE(world.settle().empty());
  EXPECT_EQ(world.flows(), 0u);
}

TEST_F(Splice, a_half_closed_one_lives_for_the_idle_time) {
  sink();
  say(0, "FA");
  world.advance(seconds{1800});
  EXPECT_TRUE(world.settle().empty());
  EXPECT_EQ(say(1, "AP", 500).at(0).port, kDownstream);
  world.advance(seconds{3700});
  EXPECT_TRUE(world.settle().empty());
  EXPECT_EQ(world.flows(), 0u);
}

TEST_F(Splice, a_reset_goes_through_and_one_outside_the_window_goes_nowhere) {
  sink();
  say(1, "AP", 10);
  const std::uint32_t right = next[0];
  next[0] -= 1000;
  world.refuse(kDownstream, segment(0, "R").build(), DropReason::splice_reset);
  next[0] = right + 70000;
  world.refuse(kDownstream, segment(0, "R").build(), DropReason::splice_reset);
  next[0] = right;
  const auto reset = say(0, "R");
  ASSERT_EQ(reset.size(), 1u);
  EXPECT_TRUE(has(reset[0], wire::kTcpRst));
  EXPECT_EQ(seq_of(reset[0]), peer_next[1]);
  world.advance(seconds{70});
  EXPECT_TRUE(world.settle().empty());
  EXPECT_EQ(world.flows(), 0u);
}

TEST_F(Splice, forged_numbers_pass_and_change_nothing_that_genuine_segments_are_judged_by) {
  const Seen request = sink();
  say(1, "AP", 300);
  for (const std::uint32_t far : {100'000u, 1u << 30, 0x7ffffff0u, 0x80000000u, 0xc0000000u}) {
    for (std::size_t end = 0; end < 2; ++end) {
      const PortIndex at = end == 0 ? kDownstream : kUpstream;
      ASSERT_EQ(world.feed(at, segment(end, "A").ack(peer_next[end] + far).build()).size(), 1u) << far;
      ASSERT_EQ(world.feed(at, segment(end, "AP", 10).seq(next[end] + far).build()).size(), 1u) << far;
      ASSERT_EQ(world.feed(at, segment(end, "FA").seq(next[end] + far).build()).size(), 1u) << far;
    }
  }
  const Seen more = say(1, "AP", 500).at(0);  // not acknowledged yet
  PacketBuilder b;
  b.from_to(client_address(IpFamily::v4), service_address(IpFamily::v4))
      .icmp(3, 4, 1300)
      .payload(test::Bytes{more.bytes.begin() + 14, more.bytes.begin() + 14 + 48});
  EXPECT_EQ(world.pass(kDownstream, b.build()).port, kUpstream) << "too big: goes to the endpoint";
  world.advance(seconds{130});
  EXPECT_TRUE(world.settle().empty());
  EXPECT_EQ(world.flows(), 1u) << "nobody has closed";
  const auto reset = say(1, "R");
  ASSERT_EQ(reset.size(), 1u);
  EXPECT_EQ(seq_of(reset[0]), peer_next[0]);
}

TEST_F(Splice, both_ends_are_reset_when_the_worker_ends_in_order) {
  sink();
  say(1, "AP", 10);
  say(0, "A");
  static_cast<void>(world.settle());
  world.workers[0]->drain();
  auto sent = world.settle();
  ASSERT_EQ(sent.size(), 2u);
  for (const Seen& s : sent) {
    const std::size_t end = s.port == kDownstream ? 0 : 1;
    EXPECT_TRUE(has(s, wire::kTcpRst));
    EXPECT_EQ(seq_of(s), peer_next[end]);
    EXPECT_EQ(ack_of(s), next[end]);
  }
  EXPECT_NE(sent[0].port, sent[1].port);
  EXPECT_EQ(world.flows(), 0u);
  EXPECT_EQ(count(&ProxyCounters::splices_active), 0u);
}

TEST_F(Splice, an_end_that_may_have_lost_data_is_reset_by_both_numbers_it_may_expect) {
  sink();
  say(1, "AP", 10);
  world.workers[0]->drain();
  std::vector<std::uint32_t> at_client;
  for (const Seen& s : world.settle())
    if (s.port == kDownstream) at_client.push_back(seq_of(s));
  EXPECT_EQ(at_client, (std::vector<std::uint32_t>{peer_next[0], peer_next[0] - 10}));
}

TEST_F(Splice, one_that_is_over_ends_with_its_worker_without_a_word) {
  sink();
  say(0, "FA");
  say(1, "FA");
  say(0, "A");
  world.workers[0]->drain();
  EXPECT_TRUE(world.settle().empty());
  EXPECT_EQ(world.flows(), 0u);
}

TEST_F(Splice, a_syn_on_an_open_one_is_the_endpoints_to_challenge_and_on_a_closed_one_begins_anew) {
  sink();
  say(1, "AP", 10);
  const Seen passed =
      world.pass(kDownstream, from_client(shape, port, "S").seq(777).tcp_options(syn_options(0)).build());
  EXPECT_EQ(passed.port, kUpstream);
  EXPECT_EQ(options_of(passed).has_mss, false) << "options of a SYN mean nothing here";
  say(0, "FA");
  say(1, "FA");
  say(0, "A");
  const Seen syn_ack =
      world.pass(kDownstream, from_client(shape, port, "S").seq(999'000).tcp_options(syn_options(0)).build());
  EXPECT_EQ(syn_ack.port, kDownstream);
  EXPECT_EQ(ack_of(syn_ack), 999'001u);
  EXPECT_EQ(count(&ProxyCounters::splices_ended), 1u);
  EXPECT_EQ(world.workers[0]->relay().size(), 1u) << "a pair again";
}

TEST_F(Splice, idle_ones_end_without_a_word) {
  world.node.proxy_idle_ms = 100'000;
  world.publish();
  sink();
  world.advance(seconds{99});
  EXPECT_TRUE(world.settle().empty());
  EXPECT_EQ(world.flows(), 1u);
  world.advance(seconds{70});
  EXPECT_TRUE(world.settle().empty());
  EXPECT_EQ(world.flows(), 0u);
}

TEST_F(Splice, an_error_about_a_translated_segment_names_what_its_sender_sent) {
  const Seen request = sink();
  const test::Bytes quote{request.bytes.begin() + 14, request.bytes.begin() + 14 + 48};
  PacketBuilder b;
  b.from_to(endpoint_address(IpFamily::v4, 1), node_address(IpFamily::v4)).icmp(3, 4, 1300).payload(quote);
  const Seen error = world.pass(kUpstream, b.build());
  EXPECT_EQ(error.port, kDownstream);
  EXPECT_EQ(error.info.dst, client_address(IpFamily::v4));
  EXPECT_EQ(load_be<std::uint32_t>(error.bytes, error.info.l4_offset + 8u + 20u + 4u).host(), next[0] - 50);
  test::Bytes forged = quote;
  store_be(ByteSpan{forged}, 24, Be32::from_host(seq_of(request) + 5000));
  PacketBuilder f;
  f.from_to(endpoint_address(IpFamily::v4, 1), node_address(IpFamily::v4)).icmp(3, 4, 1300).payload(forged);
  world.refuse(kUpstream, f.build(), DropReason::icmp_unrelated);
}

TEST_F(Splice, it_ends_with_its_process_as_a_proxied_one_does) {
  sink();
  say(1, "AP", 10);
  world.crash_and_restore();
  EXPECT_EQ(world.settle().size(), 3u) << "what its worker said when it ended, and the client did not hear";
  const Seen reset = world.pass(kDownstream, segment(0, "AP", 20).build());
  EXPECT_EQ(reset.port, kDownstream);
  EXPECT_TRUE(has(reset, wire::kTcpRst));
}

TEST_F(Splice, it_outlives_its_listener_until_it_is_idle) {
  sink();
  world.listeners.clear();
  world.publish();
  EXPECT_EQ(say(1, "AP", 10).at(0).port, kDownstream);
  EXPECT_EQ(say(0, "AP", 10).at(0).port, kUpstream);
}

struct FullSplice : Splice {
  FullSplice() : Splice{WorldOptions{.splices = 1}} {}
};
TEST_F(FullSplice, with_all_records_in_use_a_pair_stays_proxied) {
  sink();
  port = 40001;
  next[0] = 5000, next[1] = 19000;
  open();
  say(0, "AP", 50);
  EXPECT_EQ(count(&ProxyCounters::splice_refused_full), 1u);
  EXPECT_EQ(count(&ProxyCounters::splices_begun), 1u);
  EXPECT_EQ(world.workers[0]->relay().size(), 1u);
}

}  // namespace
}  // namespace penstock::sim
