#include "dataplane/lb/maglev.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>

#include "tests/support/seeded.h"

namespace penstock::lb {
namespace {

using Table = std::vector<std::uint16_t>;

MaglevMember member(std::uint32_t i, std::uint32_t weight = 1) {
  const IpAddress address = IpAddress::v4(10, static_cast<std::uint8_t>(i >> 16), static_cast<std::uint8_t>(i >> 8),
                                          static_cast<std::uint8_t>(i));
  return {member_identity(address, Be16::from_host(8080)), weight};
}
std::vector<MaglevMember> members(std::uint32_t count, std::uint32_t weight = 1) {
  std::vector<MaglevMember> out;
  for (std::uint32_t i = 0; i < count; ++i) out.push_back(member(i, weight));
  return out;
}
std::vector<std::uint32_t> spread(const Table& table, std::size_t count) {
  std::vector<std::uint32_t> out(count);
  for (const std::uint16_t index : table) ++out.at(index);
  return out;
}
/// The table with identities for indices, so that tables of different member lists compare.
std::vector<std::uint64_t> identities(const Table& table, const std::vector<MaglevMember>& from) {
  std::vector<std::uint64_t> out;
  out.reserve(table.size());
  for (const std::uint16_t index : table) out.push_back(from[index].identity);
  return out;
}
/// Entries that changed although the member they pointed to is still there, as a share of the table.
double collateral(const std::vector<MaglevMember>& before, const std::vector<MaglevMember>& after, std::uint32_t size) {
  const auto a = identities(build_maglev(before, size), before), b = identities(build_maglev(after, size), after);
  std::set<std::uint64_t> alive;
  for (const MaglevMember& m : after)
    if (m.weight > 0) alive.insert(m.identity);
  std::size_t moved = 0;
  for (std::size_t i = 0; i < a.size(); ++i) moved += a[i] != b[i] && alive.contains(a[i]) ? 1 : 0;
  return static_cast<double>(moved) / static_cast<double>(size);
}

TEST(Maglev, gives_every_member_its_exact_share) {
  for (const std::uint32_t count : {1u, 2u, 3u, 10u, 100u, 1000u})
    for (const std::uint32_t size : {1021u, 65537u}) {
      const auto counts = spread(build_maglev(members(count), size), count);
      for (const std::uint32_t entries : counts) {
        EXPECT_GE(entries, size / count);
        EXPECT_LE(entries, size / count + 1);
      }
    }
}

TEST(Maglev, gives_shares_by_weight_within_one_entry) {
  test::Seeded random{65537};
  for (int round = 0; round < 60; ++round) {
    std::vector<MaglevMember> list;
    std::uint64_t total = 0;
    for (std::uint32_t i = 0; i < 1 + random.below(150); ++i) {
      list.push_back(member(i, static_cast<std::uint32_t>(random.below(round % 2 == 0 ? 5 : 1001))));
      total += list.back().weight;
    }
    const std::uint32_t size = std::array{1021u, 4093u, 16381u}[random.below(3)];
    const Table table = build_maglev(list, size);
    if (total == 0) {
      EXPECT_TRUE(table.empty());
      continue;
    }
    ASSERT_EQ(table.size(), size);
    const auto counts = spread(table, list.size());
    for (std::size_t i = 0; i < list.size(); ++i) {
      const double share = static_cast<double>(size) * list[i].weight / static_cast<double>(total);
      ASSERT_GE(counts[i], std::floor(share)) << "round " << round << " member " << i;
      ASSERT_LE(counts[i], std::ceil(share)) << "round " << round << " member " << i;
    }
  }
}

TEST(Maglev, does_not_depend_on_the_order_of_members) {
  test::Seeded random{5};
  for (const bool weighted : {false, true}) {
    std::vector<MaglevMember> list = members(50);
    if (weighted)
      for (MaglevMember& m : list) m.weight = static_cast<std::uint32_t>(1 + random.below(9));
    const auto before = identities(build_maglev(list, 4093), list);
    for (int round = 0; round < 10; ++round) {
      for (std::size_t i = list.size() - 1; i > 0; --i) std::swap(list[i], list[random.below(i + 1)]);
      ASSERT_EQ(identities(build_maglev(list, 4093), list), before) << "round " << round;
    }
  }
}

TEST(Maglev, members_without_weight_are_as_good_as_absent) {
  std::vector<MaglevMember> list = members(20);
  std::vector<MaglevMember> shorter = list;
  list[7].weight = 0;
  shorter.erase(shorter.begin() + 7);
  EXPECT_EQ(identities(build_maglev(list, 1021), list), identities(build_maglev(shorter, 1021), shorter));
  EXPECT_TRUE(build_maglev(members(3, 0), 1021).empty());
  EXPECT_TRUE(build_maglev({}, 1021).empty());
}

TEST(Maglev, the_scale_of_weights_does_not_matter) {
  EXPECT_EQ(build_maglev(members(30, 1), 4093), build_maglev(members(30, 1000), 4093));
}

TEST(Maglev, removing_one_of_a_hundred_moves_about_one_percent_of_the_rest) {
  const auto before = members(100);
  double sum = 0, worst = 0;
  for (std::size_t gone = 0; gone < 100; gone += 9) {
    auto after = before;
    after.erase(after.begin() + static_cast<long>(gone));
    const double moved = collateral(before, after, 65537);
    sum += moved / 12;
    worst = std::max(worst, moved);
  }
  RecordProperty("mean_percent", std::to_string(sum * 100));
  RecordProperty("worst_percent", std::to_string(worst * 100));
  std::printf("collateral of a removal: mean %.3f %%, worst %.3f %%\n", sum * 100, worst * 100);
  EXPECT_LT(worst, 0.013);
}

TEST(Maglev, adding_one_to_a_hundred_moves_about_one_percent_of_the_rest) {
  // Of the entries that changed, those that did not go to the new member were moved for nothing.
  const auto before = members(100);
  auto after = before;
  after.push_back(member(100));
  const auto a = identities(build_maglev(before, 65537), before), b = identities(build_maglev(after, 65537), after);
  std::size_t moved = 0;
  for (std::size_t i = 0; i < a.size(); ++i) moved += a[i] != b[i] && b[i] != after.back().identity ? 1 : 0;
  std::printf("collateral of an addition: %.3f %%\n", 100.0 * static_cast<double>(moved) / 65537);
  EXPECT_LT(static_cast<double>(moved) / 65537, 0.013);
}

TEST(Maglev, draining_one_of_a_weighted_hundred_moves_little_of_the_rest) {
  test::Seeded random{77};
  auto before = members(100);
  for (MaglevMember& m : before) m.weight = static_cast<std::uint32_t>(1 + random.below(10));
  auto after = before;
  after[50].weight = 0;
  const double moved = collateral(before, after, 65537);
  std::printf("collateral of a weighted removal: %.3f %%\n", moved * 100);
  EXPECT_LT(moved, 0.03);
}

TEST(Maglev, members_with_close_identities_still_spread) {
  std::vector<MaglevMember> list;
  for (std::uint32_t i = 0; i < 64; ++i) list.push_back({i, 1});
  const auto counts = spread(build_maglev(list, 1021), 64);
  EXPECT_GE(*std::min_element(counts.begin(), counts.end()), 15u);
}

TEST(Maglev, picks_follow_the_weights) {
  const std::vector<MaglevMember> list{member(1, 1), member(2, 2), member(3, 7)};
  const Table table = build_maglev(list, 65537);
  std::vector<double> counts(3);
  const IpAddress vip = IpAddress::v4(10, 96, 0, 10);
  constexpr int kFlows = 200000;
  for (int i = 0; i < kFlows; ++i) {
    const IpAddress client = IpAddress::v4(10, 1, static_cast<std::uint8_t>(i >> 8), static_cast<std::uint8_t>(i));
    const auto port = Be16::from_host(static_cast<std::uint16_t>(32768 + i % 28232));
    counts[pick(table, flow_hash(client, port, vip, Be16::from_host(80), IpProto::tcp))] += 1.0 / kFlows;
  }
  EXPECT_NEAR(counts[0], 0.1, 0.005);
  EXPECT_NEAR(counts[1], 0.2, 0.005);
  EXPECT_NEAR(counts[2], 0.7, 0.005);
}

TEST(Maglev, default_size_has_a_hundred_entries_per_endpoint) {
  EXPECT_EQ(default_table_size(0), 1021u);
  EXPECT_EQ(default_table_size(10), 1021u);
  EXPECT_EQ(default_table_size(11), 4093u);
  EXPECT_EQ(default_table_size(40), 4093u);
  EXPECT_EQ(default_table_size(41), 16381u);
  EXPECT_EQ(default_table_size(163), 16381u);
  EXPECT_EQ(default_table_size(164), 65537u);
  EXPECT_EQ(default_table_size(1024), 65537u);
  for (const std::size_t count : {0u, 11u, 41u, 1000u}) EXPECT_TRUE(is_prime(default_table_size(count)));
}

TEST(Maglev, knows_primes) {
  for (const std::uint32_t n : {2u, 3u, 5u, 1021u, 4093u, 16381u, 65537u, 4294967291u}) EXPECT_TRUE(is_prime(n)) << n;
  for (const std::uint32_t n : {0u, 1u, 4u, 9u, 1023u, 65535u, 65536u, 4294836225u}) EXPECT_FALSE(is_prime(n)) << n;
}

// The hash decides which endpoint a flow goes to, on every node and after every restart: it must never change.
TEST(FlowHash, is_what_it_always_was) {
  const IpAddress client = IpAddress::v4(10, 1, 0, 2), vip = IpAddress::v4(10, 96, 0, 10);
  const auto at = [](std::uint16_t port) { return Be16::from_host(port); };
  EXPECT_EQ(flow_hash(client, at(40000), vip, at(80), IpProto::tcp), 12245071539866367953u);
  EXPECT_EQ(endpoint_hash(client, at(40000), IpProto::tcp), 3106067453830281339u);
}

TEST(FlowHash, every_input_bit_moves_about_half_of_the_output_bits) {
  test::Seeded random{9};
  std::array<double, 37 * 8> flips{};
  constexpr int kRounds = 2000;
  for (int round = 0; round < kRounds; ++round) {
    std::array<std::uint8_t, 37> key{};
    for (std::uint8_t& octet : key) octet = static_cast<std::uint8_t>(random.next());
    if (round % 2 == 0) {
      const IpAddress mapped = IpAddress::v4(10, key[0], key[1], key[2]);
      std::copy(mapped.octets.begin(), mapped.octets.end(), key.begin());
      std::copy(mapped.octets.begin(), mapped.octets.end(), key.begin() + 16);
    }
    const auto hash = [](const std::array<std::uint8_t, 37>& k) {
      IpAddress src, dst;
      std::copy_n(k.begin(), 16, src.octets.begin());
      std::copy_n(k.begin() + 16, 16, dst.octets.begin());
      return flow_hash(src, Be16::from_wire(static_cast<std::uint16_t>(k[32] << 8 | k[33])), dst,
                       Be16::from_wire(static_cast<std::uint16_t>(k[34] << 8 | k[35])), IpProto{k[36]});
    };
    const std::uint64_t base = hash(key);
    for (std::size_t bit = 0; bit < flips.size(); ++bit) {
      key[bit / 8] ^= static_cast<std::uint8_t>(1u << (bit % 8));
      flips[bit] += std::popcount(base ^ hash(key)) / 64.0 / kRounds;
      key[bit / 8] ^= static_cast<std::uint8_t>(1u << (bit % 8));
    }
  }
  for (std::size_t bit = 0; bit < flips.size(); ++bit) EXPECT_NEAR(flips[bit], 0.5, 0.03) << "bit " << bit;
}

TEST(FlowHash, spreads_neighbouring_clients_evenly_over_workers) {
  for (const std::uint32_t workers : {2u, 3u, 16u}) {
    std::vector<double> counts(workers);
    constexpr int kFlows = 64000;
    for (int i = 0; i < kFlows; ++i) {
      const IpAddress client = IpAddress::v4(10, 1, 0, static_cast<std::uint8_t>(i / 1000));
      const auto port = Be16::from_host(static_cast<std::uint16_t>(32768 + i % 1000));
      counts[share_of(endpoint_hash(client, port, IpProto::tcp), workers)] += 1.0 / kFlows;
    }
    for (const double share : counts) EXPECT_NEAR(share * workers, 1.0, 0.06) << workers;
  }
}

TEST(FlowHash, exchanged_sides_are_another_flow) {
  const IpAddress a = IpAddress::v4(10, 0, 0, 1), b = IpAddress::v4(10, 0, 0, 2);
  const Be16 port = Be16::from_host(80);
  EXPECT_NE(flow_hash(a, port, b, port, IpProto::tcp), flow_hash(b, port, a, port, IpProto::tcp));
  EXPECT_NE(flow_hash(a, port, b, port, IpProto::tcp), flow_hash(a, port, b, port, IpProto::udp));
  EXPECT_NE(flow_hash(a, port, a, port, IpProto::tcp), flow_hash(b, port, b, port, IpProto::tcp));
}

}  // namespace
}  // namespace penstock::lb
