// The translator of spliced segments, header by header: every checksum is also recomputed in full.
#include "dataplane/relay/splice.h"

#include <gtest/gtest.h>

#include <vector>

#include "dataplane/relay/splices.h"
#include "dataplane/tcp/options.h"
#include "tests/support/seeded.h"

namespace penstock::relay {
namespace {

using Bytes = std::vector<std::byte>;

constexpr SpliceDirection kBoth{.seq_delta = 1000,
                                .ack_delta = 0u - 7000u,
                                .tsval_delta = 50,
                                .tsecr_delta = 0u - 90u,
                                .echo_from = 0,
                                .echo_last = 0,
                                .window_shift = 0,
                                .sender_shift = 2,
                                .flags = kSpliceTimestamps | kSpliceSack,
                                .zero = 0,
                                .seq_end = SeqNum{500},
                                .ack = SeqNum{9000},
                                .edge = SeqNum{9100}};

/// The other direction: its sender has sent 500 octets that kBoth's has not acknowledged, and takes 1000 more.
SpliceDirection peer_of(const SpliceDirection& d) {
  SpliceDirection out = d;
  out.seq_delta = 0u - d.ack_delta;
  out.ack_delta = 0u - d.seq_delta;
  out.seq_end = SeqNum{9500} + SeqSpan{d.ack_delta};
  out.ack = SeqNum{400} + SeqSpan{d.seq_delta};
  out.edge = SeqNum{1500} + SeqSpan{d.seq_delta};
  return out;
}

/// A header with these options and a right checksum of its own octets.
Bytes header(std::uint8_t flags, std::initializer_list<int> options = {}, std::uint16_t window = 500) {
  Bytes out(20 + options.size());
  wire::write_tcp(out, {Be16::from_host(1), Be16::from_host(2), 500, 9000, flags, window});
  out[12] = static_cast<std::byte>(out.size() / 4 << 4);
  std::transform(options.begin(), options.end(), out.begin() + 20, [](int o) { return static_cast<std::byte>(o); });
  store_be(ByteSpan{out}, 16, wire::checksum_from(wire::sum_of(out)));
  return out;
}

Bytes translated(Bytes bytes, const SpliceDirection& d) {
  const std::uint16_t delta = translate(bytes, d);
  const Be16 sum = load_be<std::uint16_t>(bytes, 16);
  store_be(ByteSpan{bytes}, 16, wire::updated_checksum(sum, delta));
  EXPECT_TRUE(wire::sum_is_valid(wire::sum_of(bytes))) << "checksum";
  return bytes;
}
std::uint32_t word(const Bytes& bytes, std::size_t at) { return load_be<std::uint32_t>(bytes, at).host(); }
std::uint16_t window(const Bytes& bytes) { return load_be<std::uint16_t>(bytes, 14).host(); }
tcp::Options options_of(const Bytes& bytes) { return tcp::parse_options(ByteView{bytes}.subspan(20)); }

TEST(Splice, numbers_move_by_constants) {
  const Bytes out = translated(header(wire::kTcpAck), kBoth);
  EXPECT_EQ(word(out, 4), 1500u);
  EXPECT_EQ(word(out, 8), 2000u);
  EXPECT_EQ(window(out), 500);
}

TEST(Splice, a_segment_without_ack_keeps_what_stands_in_that_field) {
  const Bytes out = translated(header(wire::kTcpRst), kBoth);
  EXPECT_EQ(word(out, 4), 1500u);
  EXPECT_EQ(word(out, 8), 9000u);
}

TEST(Splice, windows_are_shifted_rounded_down_and_never_above_the_largest) {
  SpliceDirection d = kBoth;
  d.window_shift = 4;
  EXPECT_EQ(window(translated(header(wire::kTcpAck, {}, 500), d)), 8000);
  EXPECT_EQ(window(translated(header(wire::kTcpAck, {}, 5000), d)), 65535);
  d.window_shift = -3;
  EXPECT_EQ(window(translated(header(wire::kTcpAck, {}, 47), d)), 5);
  EXPECT_EQ(window(translated(header(wire::kTcpAck, {}, 7), d)), 0);
  EXPECT_EQ(window(translated(header(wire::kTcpSyn | wire::kTcpAck, {}, 47), d)), 47) << "a SYN's is not scaled";
}

TEST(Splice, timestamps_alone_take_the_short_way_and_others_the_long_one_to_the_same_end) {
  for (const bool aligned : {true, false}) {
    const Bytes in = aligned ? header(wire::kTcpAck, {1, 1, 8, 10, 0, 0, 1, 0, 0, 0, 2, 0})
                             : header(wire::kTcpAck, {1, 8, 10, 0, 0, 1, 0, 0, 0, 2, 0, 1});
    const tcp::Options out = options_of(translated(in, kBoth));
    ASSERT_TRUE(out.has_timestamps);
    EXPECT_EQ(out.ts_value, 256u + 50u);
    EXPECT_EQ(out.ts_echo, 512u - 90u);
  }
}

TEST(Splice, an_echo_of_nothing_stays_nothing) {
  const tcp::Options out = options_of(translated(header(wire::kTcpAck, {1, 1, 8, 10, 0, 0, 1, 0, 0, 0, 0, 0}), kBoth));
  EXPECT_EQ(out.ts_echo, 0u);
}

TEST(Splice, an_echo_of_our_own_clock_becomes_the_last_value_that_was_really_sent) {
  SpliceDirection d = kBoth;
  d.flags = static_cast<std::uint8_t>(d.flags | kSpliceOldEcho);
  d.echo_from = 512;
  d.echo_last = 77;
  const Bytes old = header(wire::kTcpAck, {1, 1, 8, 10, 0, 0, 1, 0, 0, 0, 1, 255});
  const Bytes now = header(wire::kTcpAck, {1, 1, 8, 10, 0, 0, 1, 0, 0, 0, 2, 0});
  EXPECT_EQ(options_of(translated(old, d)).ts_echo, 77u);
  EXPECT_EQ(options_of(translated(now, d)).ts_echo, 512u - 90u);
  EXPECT_TRUE(note(d, peer_of(d), old, 0));
  EXPECT_TRUE(d.flags & kSpliceOldEcho);
  EXPECT_TRUE(note(d, peer_of(d), now, 0));
  EXPECT_FALSE(d.flags & kSpliceOldEcho) << "and old ones are not looked for any more";
}

TEST(Splice, all_sack_blocks_move_with_both_edges_wherever_they_lie) {
  for (const bool aligned : {true, false}) {
    const Bytes in = aligned
                         ? header(wire::kTcpAck, {1, 1, 5, 18, 0, 0, 39, 16, 0, 0, 39, 26, 0, 0, 50, 0, 0, 0, 51, 0})
                         : header(wire::kTcpAck, {5, 18, 0, 0, 39, 16, 0, 0, 39, 26, 0, 0, 50, 0, 0, 0, 51, 0, 1, 1});
    const tcp::Options out = options_of(translated(in, kBoth));
    ASSERT_EQ(out.sack_count, 2);
    EXPECT_EQ(out.sack[0], (tcp::SackBlock{SeqNum{3000}, SeqNum{3010}}));
    EXPECT_EQ(out.sack[1], (tcp::SackBlock{SeqNum{5800}, SeqNum{6056}}));
  }
}

TEST(Splice, options_that_the_other_leg_did_not_negotiate_become_nops) {
  SpliceDirection d = kBoth;
  d.flags = 0;
  const Bytes out =
      translated(header(wire::kTcpAck, {5, 10, 0, 0, 39, 16, 0, 0, 39, 26, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2}), d);
  for (std::size_t i = 20; i < out.size(); ++i) EXPECT_EQ(out[i], std::byte{1}) << i;
  const Bytes unknown = translated(header(wire::kTcpAck, {30, 4, 9, 9}), kBoth);
  EXPECT_EQ(word(unknown, 20), 0x01010101u);
}

TEST(Splice, damage_ends_the_list) {
  const Bytes out = translated(header(wire::kTcpAck, {5, 10, 0, 0, 39, 16, 0, 0, 39, 26, 8, 200, 7, 7, 7, 7}), kBoth);
  EXPECT_EQ(options_of(out).sack_count, 1);
  EXPECT_FALSE(options_of(out).malformed);
  const Bytes end = translated(header(wire::kTcpAck, {0, 8, 10, 1}), kBoth);
  EXPECT_EQ(word(end, 20), 0x00080a01u) << "behind the end of the list nobody reads";
}

TEST(Splice, a_reset_must_lie_in_the_window_of_its_receiver) {
  SpliceDirection from = kBoth, to = kBoth;
  from.seq_delta = 100;
  to.ack = SeqNum{0u - 10u};
  to.edge = SeqNum{1000};
  EXPECT_TRUE(reset_in_window(SeqNum{0u - 110u}, from, to));
  EXPECT_FALSE(reset_in_window(SeqNum{0u - 111u}, from, to));
  EXPECT_TRUE(reset_in_window(SeqNum{900}, from, to));
  EXPECT_FALSE(reset_in_window(SeqNum{901}, from, to));
}

TEST(Splice, the_sender_is_followed_forward_only) {
  SpliceDirection d = kBoth;
  EXPECT_TRUE(note(d, peer_of(d), header(wire::kTcpAck | wire::kTcpFin, {}, 100), 40));
  EXPECT_EQ(d.seq_end, SeqNum{541});
  EXPECT_EQ(d.ack, SeqNum{9000});
  EXPECT_EQ(d.edge, SeqNum{9400});
  EXPECT_TRUE(note(d, peer_of(d), header(wire::kTcpAck, {}, 1), 0));
  EXPECT_EQ(d.seq_end, SeqNum{541});
  EXPECT_EQ(d.edge, SeqNum{9400});
}

/// What note() says of a segment with these numbers from kBoth's sender, whose peer has sent up to 9500 and takes up to
/// 1500 in the sender's numbers. Nothing is remembered of what is not believed.
bool believed(std::uint32_t seq, std::uint32_t ack, std::uint32_t payload = 0, std::uint8_t flags = wire::kTcpAck) {
  SpliceDirection d = kBoth;
  Bytes bytes = header(flags, {}, 65535);
  store_be(ByteSpan{bytes}, 4, Be32::from_host(seq));
  store_be(ByteSpan{bytes}, 8, Be32::from_host(ack));
  const bool out = note(d, peer_of(d), bytes, payload);
  const bool same = d.seq_end == kBoth.seq_end && d.ack == kBoth.ack && d.edge == kBoth.edge;
  EXPECT_TRUE(out || same) << seq << ' ' << ack;
  return out;
}

TEST(Splice, an_acknowledgement_of_what_was_never_sent_or_of_old_is_not_believed) {
  constexpr std::uint32_t kWindow = 65536u << 2;
  EXPECT_TRUE(believed(500, 9500)) << "all that the peer sent";
  for (const std::uint32_t ahead : {1u, 1000u, 1u << 20, 1u << 30, 0x7fffffffu, 0x80000000u})
    EXPECT_FALSE(believed(500, 9500 + ahead)) << ahead;
  EXPECT_TRUE(believed(500, 9000 - kWindow)) << "overtaken on its way";
  for (const std::uint32_t behind : {kWindow + 1, 1u << 30, 0x7fffffffu}) EXPECT_FALSE(believed(500, 9000 - behind));
  EXPECT_FALSE(believed(500, 9000, 0, wire::kTcpPsh)) << "no connection has segments without ACK";
}

TEST(Splice, a_segment_outside_of_what_its_receiver_allows_is_not_believed) {
  constexpr std::uint32_t kWindow = 65536u << 2;
  EXPECT_TRUE(believed(1400, 9000, 100));
  EXPECT_TRUE(believed(1500, 9000, 1)) << "probe of a closed window";
  EXPECT_TRUE(believed(1500, 9000, 1, wire::kTcpAck | wire::kTcpFin));
  EXPECT_FALSE(believed(1500, 9000, 2));
  EXPECT_FALSE(believed(1400, 9000, 102, wire::kTcpAck | wire::kTcpFin));
  for (const std::uint32_t ahead : {1u << 20, 1u << 30, 0x7fffffffu, 0x80000000u})
    EXPECT_FALSE(believed(500 + ahead, 9000));
  EXPECT_TRUE(believed(499, 9000)) << "keepalive";
  EXPECT_TRUE(believed(400 - kWindow, 9000, 1460)) << "repeated, since acknowledgements were lost";
  EXPECT_FALSE(believed(399 - kWindow, 9000));
  EXPECT_FALSE(believed(500 - (1u << 30), 9000));
}

TEST(Splice, resets_and_errors_are_still_judged_right_after_forged_segments) {
  SpliceDirection a = kBoth, b = peer_of(a);
  test::Seeded random{11};
  std::uint32_t taken = 0;
  for (int round = 0; round < 100'000; ++round) {
    Bytes bytes = header(wire::kTcpAck | (round % 3 == 0 ? wire::kTcpFin : 0), {}, 65535);
    if (round % 2 == 0) store_be(ByteSpan{bytes}, 4, Be32::from_host(static_cast<std::uint32_t>(random.next())));
    store_be(ByteSpan{bytes}, 8, Be32::from_host(static_cast<std::uint32_t>(random.next())));
    taken += note(a, b, bytes, 1000) ? 1 : 0;
  }
  EXPECT_LT(taken, 20u) << "one of 16,000 with the right sequence number hits a window's worth";
  // The peer resets with its next number, a router complains of its oldest octet not acknowledged.
  EXPECT_TRUE(reset_in_window(b.seq_end, b, a));
  EXPECT_TRUE(was_under_way(b.seq_end + SeqSpan{b.seq_delta - 1}, b, a));
}

TEST(Splice, a_quoted_header_gets_its_senders_numbers_back) {
  for (const std::size_t octets : {8u, 12u, 20u}) {
    SpliceDirection there = kBoth, back = kBoth;
    back.seq_delta = 0u - there.ack_delta;
    back.ack_delta = 0u - there.seq_delta;
    const Bytes sent = header(wire::kTcpAck);
    Bytes quoted = translated(sent, there);
    quoted.resize(octets);
    const std::uint16_t around = wire::fold(wire::sum_of(quoted));
    const std::uint16_t delta = translate_quote(quoted, back);
    EXPECT_TRUE(std::equal(
        quoted.begin(), quoted.begin() + static_cast<std::ptrdiff_t>(std::min<std::size_t>(octets, 16)), sent.begin()))
        << octets;
    const auto same = [](std::uint64_t sum) { return static_cast<std::uint16_t>(wire::fold(sum) % 0xffff); };
    EXPECT_EQ(same(std::uint64_t{around} + delta), same(wire::sum_of(quoted))) << octets;
  }
}

TEST(Splice, any_header_keeps_a_right_checksum_and_comes_back_by_the_opposite_direction) {
  test::Seeded random{7};
  for (int round = 0; round < 20000; ++round) {
    SpliceDirection there = kBoth;
    there.seq_delta = static_cast<std::uint32_t>(random.next());
    there.ack_delta = static_cast<std::uint32_t>(random.next());
    there.tsval_delta = static_cast<std::uint32_t>(random.next());
    there.tsecr_delta = 0;
    SpliceDirection back = there;
    back.seq_delta = 0u - there.seq_delta;
    back.ack_delta = 0u - there.ack_delta;
    back.tsval_delta = 0u - there.tsval_delta;
    Bytes bytes = header(wire::kTcpAck, {5, 10, 0, 0, 39, 16, 0, 0, 39, 26, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2});
    for (std::size_t at : {4u, 8u, 22u, 26u, 32u})
      store_be(ByteSpan{bytes}, at, Be32::from_host(static_cast<std::uint32_t>(random.next())));
    store_be(ByteSpan{bytes}, 16, Be16{});
    store_be(ByteSpan{bytes}, 16, wire::checksum_from(wire::sum_of(bytes)));
    const Bytes again = translated(translated(bytes, there), back);
    ASSERT_TRUE(std::equal(bytes.begin(), bytes.begin() + 16, again.begin()));
    ASSERT_TRUE(std::equal(bytes.begin() + 18, bytes.end(), again.begin() + 18));
  }
}

TEST(Splices, slots_are_used_again_and_counted) {
  Splices splices{2};
  const Splices::Slot a = splices.acquire(5, false), b = splices.acquire(6, true);
  EXPECT_TRUE(splices.full());
  EXPECT_EQ(splices.acquire(7, false), Splices::kNoSlot);
  EXPECT_TRUE(splices.by_cookie(b));
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(&splices.direction(b, true)) % 64, 0u);
  splices.release(a);
  EXPECT_EQ(splices.size(), 1u);
  EXPECT_EQ(splices.acquire(8, false), a);
  EXPECT_EQ(splices.flow(a), 8u);
}

}  // namespace
}  // namespace penstock::relay
