#include "dataplane/flow/restore.h"

#include <gtest/gtest.h>

#include "dataplane/control/limits.h"
#include "dataplane/flow/flow_table.h"
#include "dataplane/flow/test_arena.h"

namespace penstock::flow {
namespace {

struct Restore : testing::Test {
  Restore() {
    flow = table.begin(test_key(1, false, IpProto::tcp), test_reverse(1, false, IpProto::tcp));
    table.forward(flow).state = control::FlowState::established;
    table.commit(flow);
  }
  FlowRecord read() {
    FlowRecord record;
    EXPECT_EQ(ArenaView::open(arena.bytes())->read(flow, record), ArenaView::Read::valid);
    return record;
  }
  TestArena arena{8};
  FlowTable table{arena.bytes(), {}};
  FlowIndex flow;
};

TEST_F(Restore, a_committed_record_is_plausible) { EXPECT_TRUE(plausible(read())); }

TEST_F(Restore, a_record_whose_parts_do_not_fit_is_refused) {
  const FlowRecord good = read();
  const auto refused = [&](auto change) {
    FlowRecord r = good;
    change(r);
    return !plausible(r);
  };
  EXPECT_TRUE(refused([](FlowRecord& r) { r.forward.state = control::FlowState::udp_stream; }));
  EXPECT_TRUE(refused([](FlowRecord& r) { r.forward.state = static_cast<control::FlowState>(77); }));
  EXPECT_TRUE(refused([](FlowRecord& r) { r.forward.proto = IpProto::icmp; }));
  EXPECT_TRUE(refused([](FlowRecord& r) { r.reverse.proto = IpProto::udp; }));
  EXPECT_TRUE(refused([](FlowRecord& r) { r.forward.src = {}; }));
  EXPECT_TRUE(refused([](FlowRecord& r) { r.reverse.dst.octets[0] = 0xfd; }));
  EXPECT_TRUE(refused([](FlowRecord& r) { r.forward.flags |= control::kFlowReverse; }));
  EXPECT_TRUE(refused([](FlowRecord& r) { r.reverse.flags = 0; }));
  EXPECT_TRUE(refused([](FlowRecord& r) { r.forward.flags |= control::kFlowV6; }));
  EXPECT_TRUE(refused([](FlowRecord& r) {
    r.forward.flags |= control::kFlowDnat;
    r.reverse.dst = IpAddress::v4(9, 9, 9, 9);
  }));
  EXPECT_TRUE(refused([](FlowRecord& r) { r.reverse.out_port = 200; }));
  EXPECT_TRUE(refused([](FlowRecord& r) { r.cold.endpoint_slot = control::kStatSlotMax; }));
}

TEST_F(Restore, a_writer_that_died_half_way_leaves_a_torn_record) {
  const FlowIndex half = table.begin(test_key(2, false, IpProto::tcp), test_reverse(2, false, IpProto::tcp));
  table.forward(half).state = control::FlowState::syn_sent;
  FlowRecord record;
  EXPECT_EQ(ArenaView::open(arena.bytes())->read(half, record), ArenaView::Read::torn);
}

TEST_F(Restore, a_wrong_header_is_a_problem_and_not_an_arena) {
  EXPECT_FALSE(ArenaView::open(ByteView{}).ok());
  EXPECT_FALSE(ArenaView::open(arena.bytes().first(200)).ok());
  auto& header = *reinterpret_cast<control::FlowArenaHeader*>(arena.bytes().data());
  const auto good = header;
  header.layout = 99;
  EXPECT_FALSE(ArenaView::open(arena.bytes()).ok());
  header = good;
  header.magic = 1;
  EXPECT_FALSE(ArenaView::open(arena.bytes()).ok());
  header = good;
  header.capacity = 1u << 30;
  EXPECT_FALSE(ArenaView::open(arena.bytes()).ok());
  header = good;
  header.high_water = 1u << 30;
  EXPECT_EQ(ArenaView::open(arena.bytes())->high_water(), 8u);
}

}  // namespace
}  // namespace penstock::flow
