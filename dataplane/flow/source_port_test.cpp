#include "dataplane/flow/source_port.h"

#include <gtest/gtest.h>

#include <set>

#include "dataplane/flow/test_arena.h"

namespace penstock::flow {
namespace {

const IpAddress kEndpoint = IpAddress::v4(10, 10, 2, 11);
const Be16 kPort = Be16::from_host(8080);

FlowIndex take(FlowTable& table, const SourcePorts::Choice& choice, std::uint32_t i) {
  if (choice.take_over != kNoFlow) table.erase(choice.take_over);
  const FlowIndex flow = table.begin(test_key(i, false, IpProto::tcp), choice.reverse);
  table.forward(flow).state = control::FlowState::established;
  table.commit(flow);
  return flow;
}

TEST(SourcePorts, every_port_of_every_address_is_used_once_before_exhaustion) {
  TestArena arena{256};
  FlowTable table{arena.bytes(), {}};
  SourcePorts ports{1};
  const std::array addresses{IpAddress::v4(10, 10, 2, 1), IpAddress::v4(10, 10, 2, 2)};
  const SourceSpace space{addresses, 20000, 20015, 0, 1};
  std::set<std::pair<IpAddress, std::uint16_t>> seen;
  for (std::uint32_t i = 0; i < 32; ++i) {
    const auto choice = ports.choose(table, space, kEndpoint, kPort, IpProto::tcp);
    ASSERT_TRUE(choice.found) << i;
    EXPECT_TRUE(seen.insert({choice.reverse.dst, choice.reverse.dst_port.host()}).second);
    take(table, choice, i);
  }
  EXPECT_FALSE(ports.choose(table, space, kEndpoint, kPort, IpProto::tcp).found);
  EXPECT_TRUE(ports.choose(table, space, kEndpoint, kPort, IpProto::udp).found) << "UDP is another space";
  EXPECT_TRUE(ports.choose(table, space, IpAddress::v4(10, 10, 2, 12), kPort, IpProto::tcp).found);
}

TEST(SourcePorts, a_released_port_is_used_again_as_late_as_possible) {
  TestArena arena{64};
  FlowTable table{arena.bytes(), {}};
  SourcePorts ports{1};
  const std::array addresses{IpAddress::v4(10, 10, 2, 1)};
  const SourceSpace space{addresses, 20000, 20009, 0, 1};
  const auto first = ports.choose(table, space, kEndpoint, kPort, IpProto::tcp);
  table.erase(take(table, first, 0));
  for (std::uint32_t i = 1; i < 10; ++i) {
    const auto next = ports.choose(table, space, kEndpoint, kPort, IpProto::tcp);
    EXPECT_NE(next.reverse.dst_port, first.reverse.dst_port);
    table.erase(take(table, next, i));
  }
  EXPECT_EQ(ports.choose(table, space, kEndpoint, kPort, IpProto::tcp).reverse.dst_port, first.reverse.dst_port);
}

TEST(SourcePorts, a_closing_flow_gives_its_port_up_when_all_are_taken) {
  TestArena arena{64};
  FlowTable table{arena.bytes(), {}};
  SourcePorts ports{1};
  const std::array addresses{IpAddress::v4(10, 10, 2, 1)};
  const SourceSpace space{addresses, 20000, 20003, 0, 1};
  std::array<FlowIndex, 4> flows{};
  for (std::uint32_t i = 0; i < 4; ++i)
    flows[i] = take(table, ports.choose(table, space, kEndpoint, kPort, IpProto::tcp), i);
  table.forward(flows[2]).state = control::FlowState::closing;
  const FlowKey held = key_of(table.reverse(flows[2]));
  const auto choice = ports.choose(table, space, kEndpoint, kPort, IpProto::tcp);
  ASSERT_TRUE(choice.found);
  EXPECT_EQ(choice.take_over, flows[2]);
  EXPECT_EQ(choice.reverse, held);
}

TEST(SourcePorts, a_walk_that_begins_in_a_crowd_finds_a_free_port_elsewhere) {
  TestArena arena{4096};
  FlowTable table{arena.bytes(), {}};
  SourcePorts before{1};
  const std::array addresses{IpAddress::v4(10, 10, 2, 1)};
  const SourceSpace space{addresses, 20000, 23999, 0, 1};
  for (std::uint32_t i = 0; i < 2000; ++i) take(table, before.choose(table, space, kEndpoint, kPort, IpProto::tcp), i);
  SourcePorts after{1};  // the same place to begin, as it may happen after a restart
  for (std::uint32_t i = 2000; i < 3000; ++i) {
    const auto choice = after.choose(table, space, kEndpoint, kPort, IpProto::tcp);
    ASSERT_TRUE(choice.found) << i;
    take(table, choice, i);
  }
}

TEST(SourceSpace, shares_of_the_workers_are_disjoint_and_cover_the_range) {
  std::set<std::uint16_t> all;
  for (std::uint16_t w = 0; w < 3; ++w) {
    const SourceSpace space{{}, 20001, 20010, w, 3};
    for (std::uint32_t n = 0; n < space.ports(); ++n) {
      EXPECT_EQ(space.port(n) % 3, w);
      EXPECT_TRUE(all.insert(space.port(n)).second);
    }
  }
  EXPECT_EQ(all.size(), 10u);
  EXPECT_EQ(*all.begin(), 20001);
  EXPECT_EQ(*all.rbegin(), 20010);
}

TEST(SourceSpace, a_range_smaller_than_the_workers_leaves_some_without_ports) {
  const SourceSpace space{{}, 20001, 20001, 0, 4};
  EXPECT_EQ(space.ports(), 0u);
}

}  // namespace
}  // namespace penstock::flow
