#include "dataplane/relay/deadline_wheel.h"

#include <gtest/gtest.h>

#include <map>
#include <vector>

#include "tests/support/seeded.h"

namespace penstock::relay {
namespace {

constexpr std::uint32_t kAll = 1000;

std::vector<DeadlineWheel::Entry> due(DeadlineWheel& wheel, std::uint32_t ms, std::uint32_t budget = kAll) {
  std::vector<DeadlineWheel::Entry> out;
  wheel.advance(CoarseMs{ms}, budget, [&](DeadlineWheel::Entry e) { out.push_back(e); });
  return out;
}

TEST(DeadlineWheel, fires_in_the_millisecond_of_the_deadline_and_not_before) {
  DeadlineWheel wheel{4, CoarseMs{1000}};
  wheel.arm(2, CoarseMs{1040});
  EXPECT_EQ(wheel.until_next(CoarseMs{1000}), 40u);
  EXPECT_TRUE(due(wheel, 1039).empty());
  EXPECT_EQ(due(wheel, 1040), std::vector<DeadlineWheel::Entry>{2});
  EXPECT_FALSE(wheel.armed(2));
  EXPECT_EQ(wheel.until_next(CoarseMs{1041}), DeadlineWheel::kIdle);
}

TEST(DeadlineWheel, an_earlier_deadline_moves_an_entry_and_a_later_one_does_not) {
  DeadlineWheel wheel{2, CoarseMs{0}};
  wheel.arm(0, CoarseMs{500});
  wheel.arm(0, CoarseMs{900});
  wheel.arm(1, CoarseMs{500});
  wheel.arm(1, CoarseMs{20});
  EXPECT_EQ(due(wheel, 20), std::vector<DeadlineWheel::Entry>{1});
  EXPECT_EQ(due(wheel, 500), std::vector<DeadlineWheel::Entry>{0});
}

TEST(DeadlineWheel, hands_out_no_more_than_the_budget_and_goes_on_there) {
  DeadlineWheel wheel{10, CoarseMs{0}};
  for (DeadlineWheel::Entry e = 0; e < 10; ++e) wheel.arm(e, CoarseMs{7});
  EXPECT_EQ(due(wheel, 7, 4).size(), 4u);
  EXPECT_EQ(due(wheel, 7, 100).size(), 6u);
}

TEST(DeadlineWheel, a_disarmed_entry_does_not_fire) {
  DeadlineWheel wheel{3, CoarseMs{0}};
  for (DeadlineWheel::Entry e = 0; e < 3; ++e) wheel.arm(e, CoarseMs{30'000});
  wheel.disarm(1);
  EXPECT_EQ(due(wheel, 30'000).size(), 2u);
}

TEST(DeadlineWheel, goes_right_across_the_wrap_of_the_clock) {
  DeadlineWheel wheel{2, CoarseMs{0xffffff00}};
  wheel.arm(0, CoarseMs{0x00000010});
  wheel.arm(1, CoarseMs{0x00010000});
  EXPECT_TRUE(due(wheel, 0x0000000f).empty());
  EXPECT_EQ(due(wheel, 0x00000010), std::vector<DeadlineWheel::Entry>{0});
  EXPECT_EQ(due(wheel, 0x00010000), std::vector<DeadlineWheel::Entry>{1});
}

/// Against a map, from milliseconds to a day; the wheel is asked at random moments and as until_next() says.
TEST(DeadlineWheel, agrees_with_a_plain_list) {
  test::Seeded random{77};
  std::uint32_t now = 0xfff00000;
  DeadlineWheel wheel{256, CoarseMs{now}};
  std::map<DeadlineWheel::Entry, std::uint32_t> model;
  for (int step = 0; step < 60'000; ++step) {
    const auto e = static_cast<DeadlineWheel::Entry>(random.below(256));
    const std::uint32_t reach = 1u << random.below(27);
    const auto deadline = now + 1 + static_cast<std::uint32_t>(random.below(reach));
    switch (random.below(4)) {
      case 0:
        wheel.disarm(e);
        model.erase(e);
        break;
      case 1: {
        const std::uint32_t wait = wheel.until_next(CoarseMs{now});
        if (wait == DeadlineWheel::kIdle) break;
        for (const auto& [entry, at] : model) ASSERT_GE(at - now, wait) << "it would have been slept through";
        now += wait;
        break;
      }
      default: {
        wheel.arm(e, CoarseMs{deadline});
        const auto [at, fresh] = model.try_emplace(e, deadline);
        if (!fresh && static_cast<std::int32_t>(deadline - at->second) < 0) at->second = deadline;
        now += static_cast<std::uint32_t>(random.below(50));
      }
    }
    for (const DeadlineWheel::Entry fired : due(wheel, now)) {
      ASSERT_TRUE(model.contains(fired));
      const auto late = static_cast<std::int32_t>(now - model[fired]);
      // Beyond the last wheel an entry is looked at early, once in a while; the owner arms it again.
      if (late < 0) {
        ASSERT_GE(-late, 1 << 19) << "early";
        wheel.arm(fired, CoarseMs{model[fired]});
      } else {
        model.erase(fired);
      }
    }
    for (const auto& [entry, at] : model) ASSERT_GT(static_cast<std::int32_t>(at - now), 0) << "missed";
  }
}

}  // namespace
}  // namespace penstock::relay
