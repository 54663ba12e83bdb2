#include "dataplane/flow/timer_wheel.h"

#include <gtest/gtest.h>

#include <map>
#include <random>

#include "dataplane/flow/test_arena.h"

namespace penstock::flow {
namespace {

struct Wheel {
  explicit Wheel(std::uint32_t start_ms, std::uint32_t flows = 64) : arena{flows}, wheel{table, {start_ms}} {
    for (std::uint32_t i = 0; i < flows; ++i) table.commit(table.begin(test_key(i), test_reverse(i)));
  }
  std::vector<FlowIndex> at(std::uint32_t ms, std::uint32_t budget = 1000) {
    std::vector<FlowIndex> fired;
    wheel.advance({ms}, budget, [&](FlowIndex f) { fired.push_back(f); });
    return fired;
  }
  TestArena arena;
  FlowTable table{arena.bytes(), {}};
  TimerWheel wheel;
};

TEST(TimerWheel, never_fires_early_and_at_most_one_slot_late) {
  Wheel w{1000};
  w.wheel.arm(3, {31'000});
  EXPECT_TRUE(w.at(30'999).empty());
  EXPECT_EQ(w.at(31'000 + TimerWheel::kSlotMs), std::vector<FlowIndex>{3});
  EXPECT_TRUE(w.at(100'000).empty());
}

TEST(TimerWheel, a_disarmed_timer_does_not_fire_and_its_neighbours_do) {
  Wheel w{0};
  for (const FlowIndex f : {1u, 2u, 3u}) w.wheel.arm(f, {5000});
  w.wheel.disarm(2);
  EXPECT_EQ(w.at(6000), (std::vector<FlowIndex>{3, 1}));
}

TEST(TimerWheel, a_budget_splits_a_full_slot_over_calls) {
  Wheel w{0};
  for (FlowIndex f = 0; f < 10; ++f) w.wheel.arm(f, {5000});
  EXPECT_EQ(w.at(6000, 4).size(), 4u);
  EXPECT_EQ(w.at(6000, 4).size(), 4u);
  EXPECT_EQ(w.at(6000, 4).size(), 2u);
}

TEST(TimerWheel, a_deadline_beyond_one_turn_is_looked_at_within_one_turn) {
  Wheel w{0};
  w.wheel.arm(1, {3'600'000});
  EXPECT_EQ(w.at(TimerWheel::kTurnMs).size(), 1u);
}

TEST(TimerWheel, works_across_the_wrap_of_the_millisecond_stamp) {
  const std::uint32_t start = 0xffffffff - 2000;
  Wheel w{start};
  w.wheel.arm(1, {start + 10'000});
  EXPECT_TRUE(w.at(start + 9'999).empty());
  EXPECT_EQ(w.at(start + 10'000 + TimerWheel::kSlotMs).size(), 1u);
}

TEST(TimerWheel, until_next_bounds_the_sleep) {
  Wheel w{0};
  EXPECT_EQ(w.wheel.until_next({0}), TimerWheel::kTurnMs);
  w.wheel.arm(1, {5000});
  const std::uint32_t sleep = w.wheel.until_next({100});
  EXPECT_GE(sleep + 100, 5000u);
  EXPECT_LE(sleep + 100, 5000u + TimerWheel::kSlotMs);
  EXPECT_EQ(w.at(100 + sleep).size(), 1u);
}

TEST(TimerWheel, agrees_with_a_sorted_list_under_random_operations) {
  Wheel w{0};
  std::map<FlowIndex, std::uint32_t> armed;
  std::mt19937 generator{7};
  const auto random = [&](std::uint32_t below) { return static_cast<std::uint32_t>(generator() % below); };
  std::uint32_t now = 0;
  for (int step = 0; step < 100'000; ++step) {
    const FlowIndex f = random(64);
    if (armed.contains(f)) {
      w.wheel.disarm(f);
      armed.erase(f);
    } else {
      armed[f] = now + 1 + random(200'000);
      w.wheel.arm(f, {armed[f]});
    }
    now += random(500);
    for (const FlowIndex fired : w.at(now)) {
      ASSERT_TRUE(armed.contains(fired));
      ASSERT_LE(armed[fired], now);
      armed.erase(fired);
    }
    for (const auto& [flow, deadline] : armed) ASSERT_GT(deadline + TimerWheel::kSlotMs, now) << flow;
  }
}

}  // namespace
}  // namespace penstock::flow
