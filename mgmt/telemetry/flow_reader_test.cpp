#include "mgmt/telemetry/flow_reader.h"

#include <gtest/gtest.h>

#include <cstring>

namespace penstock::telemetry {
namespace {

using control::FlowArenaHeader;
using control::FlowCold;
using control::FlowDirection;
using control::FlowState;

constexpr std::uint32_t kNow = 100'000;
IpAddress ip(const char* text) { return *IpAddress::parse(text); }

// An arena as a worker would leave it.
class ArenaBuilder {
 public:
  explicit ArenaBuilder(std::uint32_t capacity) : bytes_(control::flow_arena_octets(capacity)), capacity_{capacity} {
    FlowArenaHeader header{};
    header.magic = control::kFlowArenaMagic;
    header.layout = control::kFlowArenaLayout;
    header.capacity = capacity;
    header.high_water = capacity;
    header.worker = 2;
    header.worker_count = 4;
    std::memcpy(bytes_.data(), &header, sizeof header);
    for (std::uint32_t i = 0; i < capacity; ++i) cold(i).generation = 1;
  }
  FlowDirection& direction(std::uint32_t i, std::size_t way) {
    return *reinterpret_cast<FlowDirection*>(bytes_.data() + sizeof(FlowArenaHeader) +
                                             (2 * i + way) * sizeof(FlowDirection));
  }
  FlowCold& cold(std::uint32_t i) {
    return *reinterpret_cast<FlowCold*>(bytes_.data() + sizeof(FlowArenaHeader) +
                                        std::size_t{capacity_} * 2 * sizeof(FlowDirection) + i * sizeof(FlowCold));
  }
  void put(std::uint32_t i, const char* client, std::uint16_t client_port) {
    FlowDirection& forward = direction(i, 0);
    FlowDirection& reverse = direction(i, 1);
    forward = {};
    reverse = {};
    forward.src = ip(client);
    forward.src_port = Be16::from_host(client_port);
    forward.dst = ip("10.96.0.10");
    forward.dst_port = Be16::from_host(80);
    forward.proto = IpProto::tcp;
    forward.state = FlowState::established;
    forward.last_seen_ms = kNow - 50;
    forward.packets = 3;
    reverse.src = ip("10.10.2.11");
    reverse.src_port = Be16::from_host(8080);
    reverse.dst = ip("10.10.2.1");
    reverse.dst_port = Be16::from_host(16384);
    reverse.last_seen_ms = kNow - 20;
    reverse.octets = 700;
    control::store_translation(forward, reverse);  // as it stands in a live table
    control::store_translation(reverse, forward);
    cold(i) = {};
    cold(i).generation = 2;
    cold(i).created_ms = kNow - 5000;
    cold(i).listener_id = 9;
    cold(i).packets[0] = 1000;
  }
  [[nodiscard]] ByteView bytes() const { return bytes_; }

 private:
  std::vector<std::byte> bytes_;
  std::uint32_t capacity_;
};

FlowList read(const ArenaBuilder& arena, const FlowFilter& filter = {}) {
  const std::array<ByteView, 1> arenas{arena.bytes()};
  return read_flows(arenas, filter, kNow);
}

TEST(FlowReader, flows_that_xdp_forwards_are_told_apart) {
  ArenaBuilder arena{4};
  arena.put(0, "10.0.0.5", 1);
  arena.put(1, "10.0.0.5", 2);
  arena.direction(1, 0).flags = control::kFlowForwarded;
  const FlowList list = read(arena);
  ASSERT_EQ(list.rows.size(), 2u);
  EXPECT_FALSE(list.rows[0].forwarded);
  EXPECT_TRUE(list.rows[1].forwarded);
  EXPECT_FALSE(list.rows[1].proxied);
}

TEST(FlowReader, a_record_is_told_with_its_translation_and_sums) {
  ArenaBuilder arena{4};
  arena.put(1, "10.0.0.5", 4242);
  const FlowList list = read(arena);
  ASSERT_EQ(list.rows.size(), 1u);
  const FlowRow& row = list.rows[0];
  EXPECT_EQ(row.worker, 2u);
  EXPECT_EQ(host_port_text(row.client, row.client_port), "10.0.0.5:4242");
  EXPECT_EQ(host_port_text(row.service, row.service_port), "10.96.0.10:80");
  EXPECT_EQ(host_port_text(row.source, row.source_port), "10.10.2.1:16384");
  EXPECT_EQ(host_port_text(row.endpoint, row.endpoint_port), "10.10.2.11:8080");
  EXPECT_EQ(row.packets_forward, 1003u);
  EXPECT_EQ(row.octets_reverse, 700u);
  EXPECT_EQ(row.age_ms, 5000u);
  EXPECT_EQ(row.idle_ms, 20u);
}

TEST(FlowReader, a_connection_that_ends_here_is_told_from_one_that_is_forwarded) {
  ArenaBuilder arena{2};
  arena.put(0, "10.0.0.5", 1);
  arena.put(1, "10.0.0.6", 2);
  arena.direction(1, 0).flags = arena.direction(1, 1).flags = control::kFlowProxy;
  const FlowList list = read(arena);
  EXPECT_FALSE(list.rows[0].proxied);
  EXPECT_TRUE(list.rows[1].proxied);
  EXPECT_FALSE(list.rows[1].spliced);
  arena.direction(1, 1).state = control::FlowState::established;
  EXPECT_TRUE(read(arena).rows[1].spliced);
  EXPECT_FALSE(read(arena).rows[1].proxied);
}

TEST(FlowReader, free_and_torn_records_are_left_out) {
  ArenaBuilder arena{3};
  arena.put(0, "10.0.0.1", 1);
  arena.put(1, "10.0.0.2", 2);
  arena.cold(1).generation = 7;
  EXPECT_EQ(read(arena).active, 1u);
}

TEST(FlowReader, an_arena_that_claims_more_than_it_has_is_skipped) {
  ArenaBuilder arena{2};
  arena.put(0, "10.0.0.1", 1);
  std::vector<std::byte> copy(arena.bytes().begin(), arena.bytes().end());
  const std::uint32_t capacity = 1u << 30;
  std::memcpy(copy.data() + offsetof(FlowArenaHeader, capacity), &capacity, sizeof capacity);
  const std::array<ByteView, 2> arenas{ByteView{copy}, ByteView{copy}.first(8)};
  EXPECT_EQ(read_flows(arenas, {}, kNow).active, 0u);
}

TEST(FlowReader, limit_bounds_the_rows_and_not_the_count) {
  ArenaBuilder arena{8};
  for (std::uint32_t i = 0; i < 8; ++i) arena.put(i, "10.0.0.1", static_cast<std::uint16_t>(1000 + i));
  FlowFilter filter;
  filter.limit = 3;
  const FlowList list = read(arena, filter);
  EXPECT_EQ(list.rows.size(), 3u);
  EXPECT_EQ(list.matched, 8u);
}

TEST(FlowReader, filters_choose_by_client_service_and_endpoint) {
  ArenaBuilder arena{4};
  arena.put(0, "10.0.0.1", 1);
  arena.put(1, "10.0.1.1", 1);
  FlowFilter filter;
  filter.client = IpPrefix::parse("10.0.1.0/24");
  EXPECT_EQ(read(arena, filter).matched, 1u);
  filter = {};
  filter.endpoint = ip("10.10.2.11");
  filter.endpoint_port = 8080;
  EXPECT_EQ(read(arena, filter).matched, 2u);
  filter.endpoint_port = 8081;
  EXPECT_EQ(read(arena, filter).matched, 0u);
  filter = {};
  filter.listener_id = 9;
  EXPECT_EQ(read(arena, filter).matched, 2u);
}

TEST(FlowReader, host_and_port_parse_in_both_families_and_nothing_else) {
  EXPECT_EQ(parse_host_port("10.0.0.1")->port, std::nullopt);
  EXPECT_EQ(parse_host_port("10.0.0.1:80")->port, 80);
  EXPECT_EQ(parse_host_port("fd00::1")->address, ip("fd00::1"));
  EXPECT_EQ(parse_host_port("[fd00::1]:80")->port, 80);
  for (const char* wrong : {"", ":", ":80", "web", "10.0.0.1:", "10.0.0.1:65536", "10.0.0.1:8x", "[10.0.0.1]:80"})
    EXPECT_FALSE(parse_host_port(wrong)) << wrong;
}

}  // namespace
}  // namespace penstock::telemetry
