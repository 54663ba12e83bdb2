#include "dataplane/flow/parked.h"

#include <gtest/gtest.h>

#include "dataplane/flow/test_arena.h"

namespace penstock::flow {
namespace {

Instant at(std::int64_t ms) { return Instant{std::chrono::milliseconds{ms}}; }
Frame frame(int& handle) { return Frame{RawFrame{.handle = &handle}}; }
void take(ParkedFlow& flow) {
  for (Frame& f : flow.held()) (void)std::move(f).release();
}

TEST(ParkedFlows, an_answer_finds_its_flow_once) {
  ParkedFlows parked{4, 1};
  int handle = 0;
  Frame f = frame(handle);
  ParkedFlow* flow = parked.park(test_key(1), at(200), 4);
  ASSERT_NE(flow, nullptr);
  ASSERT_TRUE(ParkedFlows::add(*flow, f));
  const std::uint64_t id = flow->question_id;
  EXPECT_EQ(parked.find(test_key(1)), flow);
  EXPECT_EQ(parked.asked(id), flow);
  take(*flow);
  parked.release(*flow);
  EXPECT_EQ(parked.asked(id), nullptr);
  EXPECT_EQ(parked.find(test_key(1)), nullptr);
  EXPECT_EQ(parked.size(), 0u);
}

TEST(ParkedFlows, an_id_of_an_earlier_user_of_the_slot_finds_nothing) {
  ParkedFlows parked{1, 1};
  ParkedFlow* first = parked.park(test_key(1), at(200), 1);
  const std::uint64_t old_id = first->question_id;
  parked.release(*first);
  ASSERT_NE(parked.park(test_key(2), at(200), 1), nullptr);
  EXPECT_EQ(parked.asked(old_id), nullptr);
}

TEST(ParkedFlows, holds_a_few_frames_of_a_flow_and_no_more) {
  ParkedFlows parked{1, 1};
  ParkedFlow* flow = parked.park(test_key(1), at(200), 1);
  std::array<int, kParkedFramesPerFlow + 1> handles{};
  for (std::size_t i = 0; i < kParkedFramesPerFlow; ++i) {
    Frame f = frame(handles[i]);
    EXPECT_TRUE(ParkedFlows::add(*flow, f));
  }
  Frame last = frame(handles.back());
  EXPECT_FALSE(ParkedFlows::add(*flow, last));
  EXPECT_TRUE(last.live());
  (void)std::move(last).release();
  take(*flow);
  parked.release(*flow);
}

TEST(ParkedFlows, deadlines_come_due_one_by_one) {
  ParkedFlows parked{8, 1};
  ASSERT_NE(parked.park(test_key(1), at(300), 8), nullptr);
  ASSERT_NE(parked.park(test_key(2), at(100), 8), nullptr);
  EXPECT_EQ(parked.next_deadline(), at(100));
  EXPECT_EQ(parked.due(at(99)), nullptr);
  ParkedFlow* flow = parked.due(at(100));
  ASSERT_NE(flow, nullptr);
  EXPECT_EQ(flow->key, test_key(2));
  parked.release(*flow);
  EXPECT_EQ(parked.due(at(299)), nullptr);
  EXPECT_EQ(parked.next_deadline(), at(300));
  EXPECT_NE(parked.due(at(300)), nullptr);
}

TEST(ParkedFlows, refuses_beyond_the_configured_limit_and_the_capacity) {
  ParkedFlows parked{4, 1};
  ASSERT_NE(parked.park(test_key(1), at(1), 2), nullptr);
  ASSERT_NE(parked.park(test_key(2), at(1), 2), nullptr);
  EXPECT_EQ(parked.park(test_key(3), at(1), 2), nullptr);
  ASSERT_NE(parked.park(test_key(3), at(1), 9), nullptr);
  ASSERT_NE(parked.park(test_key(4), at(1), 9), nullptr);
  EXPECT_EQ(parked.park(test_key(5), at(1), 9), nullptr);
}

}  // namespace
}  // namespace penstock::flow
