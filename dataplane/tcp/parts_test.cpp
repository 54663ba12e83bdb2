// R4, R11, R18, R19: the small machines alone.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "dataplane/tcp/acceptability.h"
#include "dataplane/tcp/isn.h"
#include "dataplane/tcp/options.h"
#include "dataplane/tcp/reassembly.h"
#include "dataplane/tcp/rto.h"
#include "dataplane/tcp/segment.h"
#include "tests/support/packet_builder.h"
#include "tests/support/seeded.h"

namespace penstock::tcp {
namespace {

using penstock::test::Seeded;

Options parsed(std::initializer_list<int> octets) {
  std::vector<std::byte> bytes;
  for (const int octet : octets) bytes.push_back(static_cast<std::byte>(octet));
  return parse_options(bytes);
}

TEST(ParseOptions, reads_what_linux_sends) {
  const Options o = parsed({2, 4, 5, 180, 4, 2, 8, 10, 0, 0, 0, 7, 0, 0, 0, 9, 1, 3, 3, 7});
  EXPECT_TRUE(o.has_mss && o.sack_permitted && o.has_timestamps && o.has_window_shift && !o.malformed);
  EXPECT_EQ(o.mss, 1460);
  EXPECT_EQ(o.ts_value, 7u);
  EXPECT_EQ(o.ts_echo, 9u);
  EXPECT_EQ(o.window_shift, 7);
}

TEST(ParseOptions, damage_ends_the_list_and_is_reported) {
  EXPECT_TRUE(parsed({2}).malformed);
  EXPECT_TRUE(parsed({2, 0}).malformed);
  EXPECT_TRUE(parsed({2, 1}).malformed);
  EXPECT_TRUE(parsed({2, 5, 1, 1}).malformed);
  EXPECT_TRUE(parsed({3, 4, 1, 1}).malformed) << "a known option of another length";
  EXPECT_TRUE(parsed({5, 9, 0, 0, 0, 0, 0, 0, 0}).malformed);
  EXPECT_FALSE(parsed({0, 2}).malformed) << "nothing is read behind the end";
  EXPECT_FALSE(parsed({254, 4, 1, 2, 1}).malformed) << "unknown: skipped";
}

TEST(ParseOptions, a_shift_above_14_is_read_as_14) { EXPECT_EQ(parsed({3, 3, 200}).window_shift, 14); }

TEST(ParseOptions, is_total_and_writing_round_trips) {
  Seeded random{42};
  for (int i = 0; i < 20000; ++i) static_cast<void>(parse_options(random.bytes(random.below(41))));
  Options o;
  o.has_timestamps = true;
  o.ts_value = 0x01020304;
  o.sack_count = 4;
  for (std::uint32_t i = 0; i < 4; ++i) o.sack[i] = {SeqNum{i * 10}, SeqNum{i * 10 + 5}};
  const Options back = parse_options(write_options(o).view());
  EXPECT_EQ(back.sack_count, 3) << "three beside timestamps";
  EXPECT_EQ(back.sack[2], o.sack[2]);
  EXPECT_EQ(parse_options(write_options(o, 23).view()).sack_count, 0) << "no room";
}

TEST(Packets, both_families_round_trip_and_satisfy_an_independent_checker) {
  for (const bool v4 : {true, false}) {
    const ConnectionKey key{penstock::test::ip(v4 ? "10.0.0.1" : "fd00::1"),
                            penstock::test::ip(v4 ? "10.0.0.2" : "fd00::2"), Be16::from_host(80),
                            Be16::from_host(4000)};
    SegmentOut out;
    out.seq = SeqNum{0xfffffff0};
    out.ack = SeqNum{77};
    out.flags = kTcpAck | kTcpPsh;
    out.window = 500;
    Options options;
    options.has_timestamps = true;
    out.options = write_options(options);
    const std::string text = "odd";
    out.payload = std::as_bytes(std::span{text});
    std::vector<std::byte> frame(14 + packet_room(3));
    frame[0] = std::byte{2}, frame[6] = std::byte{2};
    store_be(ByteSpan{frame}, 12, Be16::from_host(v4 ? 0x0800 : 0x86dd));
    const std::size_t octets = write_packet(ByteSpan{frame}.subspan(14), key, out);
    frame.resize(14 + octets);
    EXPECT_TRUE(penstock::test::problems_of(frame).empty()) << penstock::test::dump(frame);
    const Parsed<PacketIn> in = read_packet(ByteView{frame}.subspan(14));
    ASSERT_TRUE(in.ok());
    EXPECT_EQ(in->key.remote, key.local);
    EXPECT_EQ(in->segment.seq, out.seq);
    EXPECT_EQ(in->segment.payload.size(), 3u);
    for (std::size_t bit = 0; bit < octets * 8; ++bit) {
      std::vector<std::byte> damaged{frame.begin() + 14, frame.end()};
      damaged[bit / 8] ^= static_cast<std::byte>(1u << (bit % 8));
      const bool covered = v4 || bit / 8 >= 8 || (bit / 8 >= 4 && bit / 8 < 7);
      if (covered) {
        EXPECT_FALSE(read_packet(damaged).ok()) << "bit " << bit;
      }
    }
  }
}

TEST(ReadSegment, refuses_bad_data_offsets) {
  std::array<std::byte, 24> bytes{};
  bytes[12] = std::byte{0x40};
  EXPECT_EQ(read_segment(bytes).reason(), DropReason::bad_tcp_offset);
  bytes[12] = std::byte{0x70};
  EXPECT_EQ(read_segment(bytes).reason(), DropReason::bad_tcp_offset);
  EXPECT_EQ(read_segment(ByteView{bytes}.first(19)).reason(), DropReason::truncated);
}

TEST(Acceptability, follows_the_table) {
  const SeqNum nxt{100}, edge{200};
  const auto ok = [&](std::uint32_t seq, std::uint32_t span) { return is_acceptable(SeqNum{seq}, {span}, nxt, edge); };
  EXPECT_TRUE(ok(100, 0) && ok(199, 0) && ok(100, 1) && ok(199, 500) && ok(50, 51) && ok(50, 500));
  EXPECT_FALSE(ok(99, 0) || ok(50, 50) || ok(201, 0) || ok(201, 10));
  EXPECT_TRUE(ok(200, 0)) << "an acknowledgement from a peer that has filled the window";
  EXPECT_TRUE(is_acceptable(nxt, {5}, nxt, nxt)) << "data ahead of a closed window brings its acknowledgement";
}

TEST(Acceptability, trimming_cuts_both_ends_and_the_fin_with_them) {
  const Trimmed both = trim(SeqNum{90}, 200, true, SeqNum{100}, SeqNum{150});
  EXPECT_EQ(both.seq, SeqNum{100});
  EXPECT_EQ(both.front, 10u);
  EXPECT_EQ(both.octets, 50u);
  EXPECT_FALSE(both.fin);
  EXPECT_TRUE(trim(SeqNum{90}, 10, true, SeqNum{100}, SeqNum{150}).fin) << "only the FIN is new";
  EXPECT_FALSE(trim(SeqNum{90}, 9, true, SeqNum{100}, SeqNum{150}).fin);
}

// Random overlapping segments against a plain map from position to octet: first come, first kept.
TEST(Reassembly, agrees_with_a_plain_model_under_random_overlaps) {
  for (std::uint64_t seed = 1; seed <= 300; ++seed) {
    Seeded random{seed};
    Pools pools{256, 128, 64};
    Reassembly queue;
    std::map<std::uint32_t, std::byte> model;
    const SeqNum base{0xffffff00u};  // crosses the wrap
    for (int i = 0; i < 40; ++i) {
      const auto at = static_cast<std::uint32_t>(1 + random.below(500));
      const auto bytes = random.bytes(1 + random.below(100));
      const Stored stored = queue.insert(pools, base + SeqSpan{at}, bytes, 200);
      ASSERT_TRUE(stored.complete);
      std::uint32_t first = at + static_cast<std::uint32_t>(bytes.size()), last = first;
      for (std::uint32_t j = at; j < at + bytes.size(); ++j) {
        if (model.try_emplace(j, bytes[j - at]).second) continue;
        if (j < first) first = last = j;
        if (j == last) ++last;
      }
      ASSERT_EQ(stored.duplicate, first != last) << "seed " << seed;
      if (stored.duplicate) {  // the first range that came twice, whole
        ASSERT_EQ(stored.duplicate_of, (SackBlock{base + SeqSpan{first}, base + SeqSpan{last}})) << "seed " << seed;
      }
      ASSERT_EQ(queue.audit(pools, base), "") << "seed " << seed;
      // The first range is the run around the segment.
      std::uint32_t low = at, high = at;
      while (model.contains(low - 1)) --low;
      while (model.contains(high)) ++high;
      ASSERT_EQ(queue.range(0), (SackBlock{base + SeqSpan{low}, base + SeqSpan{high}})) << "seed " << seed;
      // As many as there is room for, each a whole run, none twice (RFC 2018 s4).
      std::map<std::uint32_t, std::uint32_t> runs;
      for (auto [position, octet] : model)
        if (!model.contains(position - 1)) runs[position] = position;
      for (auto& [begin, end] : runs)
        while (model.contains(end)) ++end;
      ASSERT_EQ(queue.range_count(), std::min<std::size_t>(runs.size(), kSackBlocksMax)) << "seed " << seed;
      for (std::uint8_t r = 0; r < queue.range_count(); ++r) {
        const auto run = runs.extract(queue.range(r).start.since(base).octets);
        ASSERT_FALSE(run.empty()) << "seed " << seed;
        ASSERT_EQ(queue.range(r).end, base + SeqSpan{run.mapped()}) << "seed " << seed;
      }
    }
    std::uint32_t next = model.begin()->first;
    SeqNum rcv_nxt = base + SeqSpan{next};
    for (Piece piece; queue.front(pools, rcv_nxt, piece); queue.pop(pools)) {
      for (const std::byte octet : piece.bytes) ASSERT_EQ(octet, model.at(next++));
      rcv_nxt = base + SeqSpan{next};
    }
    EXPECT_FALSE(model.contains(next));
    queue.release_all(pools);
    ASSERT_EQ(pools.entries.in_use() + pools.blocks.in_use(), 0u);
  }
}

TEST(Rto, follows_the_formula) {
  const Limits limits;
  Rto rto;
  rto.sample(400'000);
  EXPECT_EQ(rto.timeout(limits), std::chrono::microseconds{400'000 + 4 * 200'000});
  rto.sample(400'000);
  EXPECT_EQ(rto.timeout(limits), std::chrono::microseconds{400'000 + 4 * 150'000});
  for (int i = 0; i < 30; ++i) rto.back_off();
  EXPECT_EQ(rto.timeout(limits), limits.rto_max);
}

TEST(SipHash, gives_the_vectors_of_its_authors) {
  const SipKey key{0x0706050403020100, 0x0f0e0d0c0b0a0908};
  std::array<std::byte, 15> input{};
  for (std::size_t i = 0; i < input.size(); ++i) input[i] = static_cast<std::byte>(i);
  EXPECT_EQ(siphash(key, ByteView{}), 0x726fdb47dd0e0e31u);
  EXPECT_EQ(siphash(key, ByteView{input}.first(8)), 0x93f5f5799a932462u);
  EXPECT_EQ(siphash(key, input), 0xa129ca6149be45e5u);
}

TEST(InitialSequence, moves_with_the_clock_and_differs_between_connections_and_secrets) {
  const Secrets secrets{{1, 2}, {3, 4}, {}}, others{{9, 9}, {3, 4}, {}};
  ConnectionKey key{penstock::test::ip("10.0.0.1"), penstock::test::ip("10.0.0.2"), Be16::from_host(1),
                    Be16::from_host(2)};
  const Instant now{std::chrono::seconds{5}};
  const SeqNum first = initial_sequence(secrets, key, now);
  EXPECT_EQ(initial_sequence(secrets, key, now + std::chrono::milliseconds{4}).since(first).octets, 1000u);
  EXPECT_NE(initial_sequence(others, key, now), first);
  key.remote_port = Be16::from_host(3);
  EXPECT_NE(initial_sequence(secrets, key, now), first);
}

}  // namespace
}  // namespace penstock::tcp
