#include "mgmt/telemetry/connection_reader.h"

#include <gtest/gtest.h>

#include <array>
#include <cstring>

namespace penstock::telemetry {
namespace {

using control::ConnectionArenaHeader;
using control::ConnectionRecord;
using control::LegState;

constexpr std::uint32_t kNow = 100'000;
IpAddress ip(const char* text) { return *IpAddress::parse(text); }

// An arena as a worker would leave it.
class ArenaBuilder {
 public:
  explicit ArenaBuilder(std::uint32_t capacity) : lines_(control::connection_arena_octets(capacity) / 64) {
    control::format_connection_arena(memory(), 2, 4, 77);
    control::connection_header(memory()).high_water = capacity;
    for (ConnectionRecord& record : control::connection_records(memory())) record.generation = 1;
  }
  ConnectionRecord& record(std::uint32_t i) { return control::connection_records(memory())[i]; }
  void put(std::uint32_t i, const char* client, std::uint16_t client_port) {
    ConnectionRecord& r = record(i);
    r = {};
    r.generation = 2;
    r.created_ms = kNow - 5000;
    r.updated_ms = kNow - 300;
    r.listener_id = 9;
    r.client = ip(client);
    r.client_port = Be16::from_host(client_port);
    r.service = ip("10.96.0.10");
    r.service_port = Be16::from_host(80);
    r.node = ip("10.10.2.1");
    r.node_port = Be16::from_host(16384);
    r.endpoint = ip("10.10.2.11");
    r.endpoint_port = Be16::from_host(8080);
    r.downstream.state = LegState::established;
    r.downstream.srtt_us = 250;
    r.upstream.state = LegState::fin_wait_2;
    r.upstream.octets_sent = 700;
  }
  [[nodiscard]] ByteSpan memory() { return {reinterpret_cast<std::byte*>(lines_.data()), lines_.size() * 64}; }

 private:
  struct alignas(64) Line {
    std::array<std::byte, 64> octets{};
  };
  std::vector<Line> lines_;
};

ConnectionList read(ArenaBuilder& arena, const FlowFilter& filter = {}) {
  const std::array<ByteView, 1> arenas{arena.memory()};
  return read_connections(arenas, filter, kNow);
}

TEST(ConnectionReader, a_record_is_told_with_both_legs) {
  ArenaBuilder arena{4};
  arena.put(1, "10.0.0.5", 4242);
  const ConnectionList list = read(arena);
  ASSERT_EQ(list.rows.size(), 1u);
  const ConnectionRow& row = list.rows[0];
  EXPECT_EQ(row.worker, 2u);
  EXPECT_EQ(host_port_text(row.client, row.client_port), "10.0.0.5:4242");
  EXPECT_EQ(host_port_text(row.service, row.service_port), "10.96.0.10:80");
  EXPECT_EQ(host_port_text(row.source, row.source_port), "10.10.2.1:16384");
  EXPECT_EQ(host_port_text(row.endpoint, row.endpoint_port), "10.10.2.11:8080");
  EXPECT_EQ(row.age_ms, 5000u);
  EXPECT_EQ(row.updated_ms, 300u);
  EXPECT_EQ(row.downstream.state, LegState::established);
  EXPECT_EQ(row.downstream.srtt_us, 250u);
  EXPECT_EQ(row.upstream.state, LegState::fin_wait_2);
  EXPECT_EQ(row.upstream.octets_sent, 700u);
}

TEST(ConnectionReader, free_and_torn_records_and_those_never_used_are_left_out) {
  ArenaBuilder arena{4};
  arena.put(0, "10.0.0.1", 1);
  arena.put(1, "10.0.0.2", 2);
  arena.put(3, "10.0.0.3", 3);
  arena.record(1).generation = 7;
  control::connection_header(arena.memory()).high_water = 3;
  EXPECT_EQ(read(arena).active, 1u);
}

TEST(ConnectionReader, an_arena_that_claims_more_than_it_has_or_is_none_is_skipped) {
  ArenaBuilder arena{2};
  arena.put(0, "10.0.0.1", 1);
  std::array<ByteView, 2> arenas{arena.memory(), ByteView{arena.memory()}.first(8)};
  EXPECT_EQ(connection_room(arenas, 100), 2u);
  for (const auto damage :
       {+[](ConnectionArenaHeader& h) { h.capacity = 1u << 30; }, +[](ConnectionArenaHeader& h) { h.magic ^= 1; },
        +[](ConnectionArenaHeader& h) { ++h.layout; }}) {
    ConnectionArenaHeader& header = control::connection_header(arena.memory());
    const ConnectionArenaHeader good = header;
    damage(header);
    EXPECT_EQ(read_connections(arenas, {}, kNow).active, 0u);
    EXPECT_EQ(connection_room(arenas, 100), 0u);
    header = good;
  }
  control::connection_header(arena.memory()).high_water = 1u << 30;
  EXPECT_EQ(read(arena).active, 1u) << "high water beyond capacity is bounded";
}

TEST(ConnectionReader, the_limit_is_the_configured_number_or_what_is_reserved) {
  ArenaBuilder large{8};
  ArenaBuilder small{2};
  const std::array<ByteView, 2> arenas{large.memory(), small.memory()};
  control::NodeRecord node{};
  node.proxy_connections_max = 5;
  node.proxy_half_open_max = 3;
  node.proxy_buffer_octets = 65536;
  const ProxyReport report = proxy_report(node, arenas);
  EXPECT_EQ(report.connections_reserved, 10u);
  EXPECT_EQ(report.connections_configured, 10u);
  EXPECT_EQ(report.connections_limit, 7u);
  EXPECT_EQ(report.half_open_max, 3u);
  EXPECT_EQ(report.buffer_octets, 65536u);
}

TEST(ConnectionReader, filters_choose_and_the_limit_bounds_rows_only) {
  ArenaBuilder arena{8};
  for (std::uint32_t i = 0; i < 8; ++i)
    arena.put(i, i < 6 ? "10.0.0.1" : "10.0.1.1", static_cast<std::uint16_t>(1000 + i));
  FlowFilter filter;
  filter.limit = 3;
  EXPECT_EQ(read(arena, filter).rows.size(), 3u);
  EXPECT_EQ(read(arena, filter).matched, 8u);
  filter.client = IpPrefix::parse("10.0.1.0/24");
  EXPECT_EQ(read(arena, filter).matched, 2u);
  filter = {};
  filter.endpoint = ip("10.10.2.11");
  filter.endpoint_port = 8081;
  EXPECT_EQ(read(arena, filter).matched, 0u);
  filter = {};
  filter.service = ip("10.96.0.10");
  filter.listener_id = 9;
  EXPECT_EQ(read(arena, filter).matched, 8u);
}

}  // namespace
}  // namespace penstock::telemetry
