#include "dataplane/core/spsc_ring.h"

#include <gtest/gtest.h>

#include <array>
#include <thread>

namespace penstock {
namespace {

TEST(SpscRing, nothing_is_visible_before_publish) {
  RingControl control;
  std::array<int, 4> slots{};
  SpscRing<int> producer{control, slots};
  SpscRing<int> consumer{control, slots};
  int got = 0;
  EXPECT_TRUE(producer.push(1));
  EXPECT_FALSE(consumer.pop(got));
  EXPECT_TRUE(producer.publish());
  EXPECT_FALSE(producer.publish());
  EXPECT_TRUE(consumer.pop(got));
  EXPECT_EQ(got, 1);
}

TEST(SpscRing, a_full_ring_refuses_and_takes_again_after_a_pop) {
  RingControl control;
  std::array<int, 4> slots{};
  SpscRing<int> producer{control, slots};
  SpscRing<int> consumer{control, slots};
  for (int i = 0; i < 4; ++i) EXPECT_TRUE(producer.push(i));
  EXPECT_FALSE(producer.push(4));
  producer.publish();
  int got = -1;
  EXPECT_TRUE(consumer.pop(got));
  EXPECT_EQ(got, 0);
  EXPECT_TRUE(producer.push(4));
}

TEST(SpscRing, indices_may_wrap) {
  RingControl control;
  control.head = 0xfffffffe;
  control.tail = 0xfffffffe;
  std::array<int, 4> slots{};
  SpscRing<int> producer{control, slots};
  SpscRing<int> consumer{control, slots};
  for (int i = 0; i < 4; ++i) EXPECT_TRUE(producer.push(i));
  EXPECT_FALSE(producer.push(9));
  producer.publish();
  for (int i = 0, got = -1; i < 4; ++i) {
    EXPECT_TRUE(consumer.pop(got));
    EXPECT_EQ(got, i);
  }
}

TEST(SpscRing, a_producer_that_breaks_the_protocol_cannot_make_the_consumer_leave_the_ring) {
  RingControl control;
  std::array<int, 4> slots{1, 2, 3, 4};
  SpscRing<int> consumer{control, slots};
  control.head = 1000;
  int got = 0;
  int count = 0;
  while (consumer.pop(got)) ++count;
  EXPECT_EQ(count, 4);
}

TEST(SpscRing, a_successor_attaches_to_what_was_left) {
  RingControl control;
  std::array<int, 4> slots{};
  SpscRing<int> producer{control, slots};
  EXPECT_TRUE(producer.push(7));
  producer.publish();
  SpscRing<int> successor{control, slots};
  int got = 0;
  EXPECT_TRUE(successor.pop(got));
  EXPECT_EQ(got, 7);
}

TEST(SpscRing, order_and_count_hold_between_two_threads) {
  constexpr int kItems = 200'000;
  RingControl control;
  std::array<int, 64> slots{};
  std::thread writer([&] {
    SpscRing<int> producer{control, slots};
    for (int i = 0; i < kItems;) {
      if (producer.push(i)) ++i;
      producer.publish();
    }
  });
  SpscRing<int> consumer{control, slots};
  for (int expected = 0, got = -1; expected < kItems;) {
    if (!consumer.pop(got)) continue;
    ASSERT_EQ(got, expected);
    ++expected;
  }
  writer.join();
}

}  // namespace
}  // namespace penstock
