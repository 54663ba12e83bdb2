#include "dataplane/flow/flow_table.h"

#include <gtest/gtest.h>

#include <random>
#include <unordered_map>
#include <vector>

#include "dataplane/flow/restore.h"
#include "dataplane/flow/test_arena.h"

namespace penstock::flow {
namespace {

constexpr FlowTableConfig kConfig{.seed = {1, 2}};

FlowIndex add(FlowTable& table, std::uint32_t i, bool v6 = false) {
  const FlowIndex flow = table.begin(test_key(i, v6), test_reverse(i, v6));
  if (flow != kNoFlow) {
    table.forward(flow).state = control::FlowState::udp_stream;
    table.commit(flow);
  }
  return flow;
}

TEST(FlowTable, finds_both_directions_of_an_inserted_connection) {
  TestArena arena{16};
  FlowTable table{arena.bytes(), kConfig};
  const FlowIndex flow = add(table, 7);
  EXPECT_EQ(table.find(test_key(7)), 2 * flow);
  EXPECT_EQ(table.find(test_reverse(7)), 2 * flow + 1);
  EXPECT_EQ(table.find(test_key(8)), kNoDirection);
  EXPECT_EQ(key_of(table.partner(2 * flow)), test_reverse(7));
}

TEST(FlowTable, a_key_that_differs_only_in_protocol_or_port_is_another) {
  TestArena arena{16};
  FlowTable table{arena.bytes(), kConfig};
  add(table, 7);
  FlowKey k = test_key(7);
  k.proto = IpProto::tcp;
  EXPECT_EQ(table.find(k), kNoDirection);
  k = test_key(7);
  k.dst_port = Be16::from_host(81);
  EXPECT_EQ(table.find(k), kNoDirection);
}

TEST(FlowTable, takes_exactly_its_capacity_and_then_refuses) {
  constexpr std::uint32_t kCapacity = 5000;
  TestArena arena{kCapacity};
  FlowTable table{arena.bytes(), kConfig};
  ASSERT_EQ(table.capacity(), kCapacity);
  for (std::uint32_t i = 0; i < kCapacity; ++i) ASSERT_NE(add(table, i, i % 2 == 0), kNoFlow) << i;
  EXPECT_EQ(add(table, kCapacity), kNoFlow);
  EXPECT_TRUE(table.full());
  for (std::uint32_t i = 0; i < kCapacity; ++i) ASSERT_NE(table.find(test_key(i, i % 2 == 0)), kNoDirection) << i;
  table.erase(table.find(test_key(3)) / 2);
  EXPECT_NE(add(table, kCapacity), kNoFlow);
}

TEST(FlowTable, a_capacity_that_is_no_power_of_two_still_fits_at_full_load) {
  for (const std::uint32_t capacity : {1u, 2u, 3u, 31u, 1000u, 4095u, 4096u}) {
    TestArena arena{capacity};
    FlowTable table{arena.bytes(), kConfig};
    for (std::uint32_t i = 0; i < capacity; ++i) ASSERT_NE(add(table, i), kNoFlow) << capacity << ' ' << i;
  }
}

TEST(FlowTable, batched_lookup_agrees_with_single_lookup) {
  TestArena arena{4096};
  FlowTable table{arena.bytes(), kConfig};
  for (std::uint32_t i = 0; i < 4096; i += 2) ASSERT_NE(add(table, i), kNoFlow);
  std::array<FlowKey, kLookupBatch> keys;
  std::array<DirectionIndex, kLookupBatch> out;
  for (std::uint32_t base = 0; base < 4096; base += kLookupBatch) {
    for (std::uint32_t i = 0; i < kLookupBatch; ++i) keys[i] = i % 3 == 0 ? test_reverse(base + i) : test_key(base + i);
    table.lookup(keys, out);
    for (std::uint32_t i = 0; i < kLookupBatch; ++i) {
      EXPECT_EQ(out[i], table.find(keys[i]));
      EXPECT_EQ(out[i] == kNoDirection, (base + i) % 2 == 1);
    }
  }
}

TEST(FlowTable, a_lookup_under_way_sees_what_is_inserted_meanwhile_even_in_overflowed_buckets) {
  TestArena arena{4096};
  FlowTable table{arena.bytes(), kConfig};
  std::vector<FlowTable::Probe> probes;
  for (std::uint32_t i = 0; i < 4096; ++i) probes.push_back(table.start(test_key(i)));
  for (std::uint32_t i = 0; i < 2048; ++i) ASSERT_NE(add(table, i), kNoFlow);
  for (auto& probe : probes) table.aim(probe);
  for (std::uint32_t i = 2048; i < 4096; ++i) ASSERT_NE(add(table, i), kNoFlow);
  for (std::uint32_t i = 0; i < 4096; ++i) EXPECT_EQ(table.finish(probes[i], test_key(i)), table.find(test_key(i)));
  EXPECT_EQ(table.finish(table.start(test_key(5000)), test_key(5000)), kNoDirection);
}

TEST(FlowTable, a_record_that_stores_its_translation_keeps_its_key_and_leaves_the_arena_plain) {
  for (const bool v6 : {false, true}) {
    TestArena arena{16};
    FlowTable table{arena.bytes(), kConfig};
    const FlowIndex flow = add(table, 7, v6);
    control::FlowDirection& forward = table.forward(flow);
    control::FlowDirection& reverse = table.reverse(flow);
    control::store_translation(forward, reverse);
    control::store_translation(reverse, forward);
    EXPECT_EQ(table.find(test_key(7, v6)), 2 * flow);
    EXPECT_EQ(table.find(test_reverse(7, v6)), 2 * flow + 1);
    EXPECT_EQ(key_of(forward), test_key(7, v6));
    EXPECT_EQ(key_of(reverse), test_reverse(7, v6));
    FlowRecord record;
    ASSERT_EQ(ArenaView::open(arena.bytes())->read(flow, record), ArenaView::Read::valid);
    EXPECT_EQ(record.forward.src, test_key(7, v6).src);
    EXPECT_EQ(record.reverse.dst, test_reverse(7, v6).dst);
    if (v6) continue;
    const control::StoredTranslation to = control::stored_translation(forward);
    EXPECT_EQ(to.src, record.reverse.dst.as_v4());
    EXPECT_EQ(to.dst, record.reverse.src.as_v4());
    EXPECT_EQ(to.src_port, record.reverse.dst_port);
    EXPECT_EQ(to.dst_port, record.reverse.src_port);
    table.erase(flow);
    EXPECT_EQ(table.find(test_key(7)), kNoDirection);
  }
}

TEST(FlowTable, an_ipv6_key_that_ends_like_an_ipv4_key_is_another) {
  TestArena arena{16};
  FlowTable table{arena.bytes(), kConfig};
  const FlowIndex flow = add(table, 7);
  FlowKey near = test_key(7);
  near.src.octets[0] = near.dst.octets[0] = 0xfd;  // the last 8 octets of both are those of the IPv4 key
  EXPECT_FALSE(same_key(table.forward(flow), near));
  control::store_translation(table.forward(flow), table.reverse(flow));
  EXPECT_FALSE(same_key(table.forward(flow), near));
  control::FlowDirection wide = table.forward(flow);
  wide.flags |= control::kFlowV6;
  EXPECT_FALSE(same_key(wide, test_key(7)));
}

TEST(FlowTable, agrees_with_a_plain_map_under_random_operations) {
  constexpr std::uint32_t kCapacity = 300;
  TestArena arena{kCapacity};
  FlowTable table{arena.bytes(), kConfig};
  std::unordered_map<std::uint32_t, FlowIndex> model;
  std::mt19937 random{42};
  for (int step = 0; step < 200'000; ++step) {
    const auto i = static_cast<std::uint32_t>(random() % 600);
    const auto known = model.find(i);
    if (known == model.end()) {
      const FlowIndex flow = add(table, i);
      ASSERT_EQ(flow == kNoFlow, model.size() == kCapacity);
      if (flow != kNoFlow) model[i] = flow;
    } else if (random() % 2 == 0) {
      ASSERT_EQ(table.find(test_key(i)), 2 * known->second);
      ASSERT_EQ(table.find(test_reverse(i)), 2 * known->second + 1);
    } else {
      table.erase(known->second);
      model.erase(known);
      ASSERT_EQ(table.find(test_key(i)), kNoDirection);
    }
    ASSERT_EQ(table.size(), model.size());
  }
}

TEST(FlowTable, a_foreign_reader_sees_committed_records_only) {
  TestArena arena{4};
  FlowTable table{arena.bytes(), kConfig};
  const ArenaView view = *ArenaView::open(arena.bytes());
  FlowRecord record;
  EXPECT_EQ(view.read(0, record), ArenaView::Read::unused);
  const FlowIndex flow = table.begin(test_key(1), test_reverse(1));
  table.forward(flow).state = control::FlowState::udp_stream;
  EXPECT_EQ(view.read(flow, record), ArenaView::Read::torn);
  table.commit(flow);
  EXPECT_EQ(view.read(flow, record), ArenaView::Read::valid);
  EXPECT_EQ(key_of(record.forward), test_key(1));
  EXPECT_EQ(view.high_water(), 1u);
  table.erase(flow);
  EXPECT_EQ(view.read(flow, record), ArenaView::Read::unused);
}

TEST(FlowTable, indexes_are_reused_so_that_the_arena_stays_dense) {
  TestArena arena{64};
  FlowTable table{arena.bytes(), kConfig};
  for (std::uint32_t i = 0; i < 1000; ++i) {
    const FlowIndex flow = add(table, i);
    ASSERT_EQ(flow, 0u);
    table.erase(flow);
  }
  EXPECT_EQ(table.high_water(), 1u);
  EXPECT_EQ(table.erasures(), 1000u);
}

TEST(FlowHash, spreads_near_keys_over_all_bits) {
  const FlowHasher hasher{{3, 4}};
  std::array<int, 64> ones{};
  constexpr int kKeys = 4096;
  for (std::uint32_t i = 0; i < kKeys; ++i) {
    const std::uint64_t h = hasher(test_key(i, i % 2 == 1));
    for (std::size_t bit = 0; bit < 64; ++bit) ones[bit] += static_cast<int>(h >> bit & 1);
  }
  for (const int n : ones) EXPECT_NEAR(n, kKeys / 2, 200);
}

}  // namespace
}  // namespace penstock::flow
