// impairment_test - the stage's decisions are those of its plan, the same for the same seed, and frames leave in order.
#include "tests/support/impair/impairment.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/impair/delay_line.h"

namespace penstock::impair {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;

constexpr std::size_t kFrames = 200'000;

Plan plan(std::string_view text) {
  const auto parsed = parse_plan(text);
  EXPECT_TRUE(parsed.ok()) << parsed.error();
  return *parsed;
}

Instant at(std::size_t microseconds) { return Instant{std::chrono::microseconds{microseconds}}; }

Counters after(std::string_view text, std::size_t frames = kFrames) {
  Impairment impairment{plan(text), 7};
  for (std::size_t i = 0; i < frames; ++i) static_cast<void>(impairment.pass(at(i), 1514));
  return impairment.counters();
}

TEST(ImpairPlan, ReadsEveryName) {
  const Plan all = plan(
      "loss=0.1,burst=0.05x8,reorder=2,reorder-frames=3,reorder-delay=250us,duplicate=100,corrupt=0.0001,delay=1.5ms,"
      "jitter=20us,rate=100m,queue=5ms");
  EXPECT_EQ(all, (Plan{.loss = 1000,
                       .burst = 500,
                       .burst_frames = 8,
                       .reorder = 20'000,
                       .reorder_frames = 3,
                       .reorder_delay = 250us,
                       .duplicate = kAlways,
                       .corrupt = 1,
                       .delay = 1500us,
                       .jitter = 20us,
                       .bits_per_second = 100'000'000,
                       .queue = 5ms}));
  EXPECT_EQ(plan(""), Plan{});
  EXPECT_EQ(plan("none"), Plan{});
}

TEST(ImpairPlan, RefusesWhatItDoesNotKnow) {
  for (const char* text :
       {"loss", "loss=", "loss=101", "loss=-1", "loss=1%", "loss=nan", "speed=3", "delay=5", "delay=1h", "delay=61s",
        "burst=1", "burst=1x0", "rate=5", "reorder-frames=x", "loss=1,,reorder=1"}) {
    const auto parsed = parse_plan(text);
    ASSERT_FALSE(parsed.ok()) << text;
    EXPECT_THAT(parsed.error(), testing::HasSubstr("is not understood"));
  }
}

TEST(Impairment, ForwardsUntouchedWithoutAPlan) {
  Impairment impairment{Plan{}, 1};
  for (std::size_t i = 0; i < 1000; ++i) {
    const Passage passage = impairment.pass(at(i), 100);
    EXPECT_EQ(passage.fate, Fate::forwarded);
    EXPECT_EQ(passage.copies, 1);
    EXPECT_EQ(passage.leaves[0], at(i));
    EXPECT_FALSE(passage.corrupted);
  }
  EXPECT_EQ(impairment.counters().octets, 100'000u);
}

TEST(Impairment, RatesAreThoseOfThePlan) {
  // 200,000 draws: five standard deviations of 1 % are 0.11 %.
  EXPECT_NEAR(static_cast<double>(after("loss=1").lost), 2000, 225);
  EXPECT_NEAR(static_cast<double>(after("loss=0.1").lost), 200, 75);
  EXPECT_NEAR(static_cast<double>(after("reorder=1").reordered), 2000, 225);
  EXPECT_NEAR(static_cast<double>(after("duplicate=1").duplicated), 2000, 225);
  EXPECT_NEAR(static_cast<double>(after("corrupt=1").corrupted), 2000, 225);
  EXPECT_EQ(after("loss=100").lost, kFrames);
}

TEST(Impairment, SameSeedSameFates) {
  const Plan busy = plan("loss=5,burst=1x4,reorder=5,duplicate=5,corrupt=5,jitter=1ms");
  Impairment one{busy, 3}, same{busy, 3}, other{busy, 4};
  std::size_t different = 0;
  for (std::size_t i = 0; i < 10'000; ++i) {
    const Passage a = one.pass(at(i), 700), b = same.pass(at(i), 700), c = other.pass(at(i), 700);
    ASSERT_EQ(a.fate, b.fate);
    ASSERT_EQ(a.leaves, b.leaves);
    ASSERT_EQ(a.corrupt_bit, b.corrupt_bit);
    different += a.fate != c.fate;
  }
  EXPECT_GT(different, 100u);
}

TEST(Impairment, BurstsLoseNeighbours) {
  Impairment impairment{plan("burst=0.1x6"), 11};
  std::size_t run = 0, bursts = 0;
  for (std::size_t i = 0; i < kFrames; ++i) {
    if (impairment.pass(at(i), 100).fate == Fate::lost) {
      ++run;
    } else if (run > 0) {
      EXPECT_EQ(run % 6, 0u);  // a second burst may follow at once
      ++bursts;
      run = 0;
    }
  }
  EXPECT_NEAR(static_cast<double>(bursts), 200, 75);
}

TEST(Impairment, JitterAloneKeepsTheOrderAndReorderingDoesNot) {
  for (const bool reorders : {false, true}) {
    Impairment impairment{plan(reorders ? "jitter=50us,reorder=1" : "jitter=50us"), 5};
    Instant last;
    std::size_t overtaken = 0;
    for (std::size_t i = 0; i < 10'000; ++i) {
      const Instant leaves = impairment.pass(at(i), 100).leaves[0];
      EXPECT_GE(leaves, at(i));
      overtaken += leaves < last;
      last = leaves;
    }
    EXPECT_EQ(overtaken > 0, reorders);
  }
}

TEST(Impairment, CorruptionSparesTheEthernetHeader) {
  Impairment impairment{plan("corrupt=100"), 9};
  std::uint32_t lowest = ~0u, highest = 0;
  for (std::size_t i = 0; i < 20'000; ++i) {
    const Passage passage = impairment.pass(at(i), 60);
    ASSERT_TRUE(passage.corrupted);
    lowest = std::min(lowest, passage.corrupt_bit);
    highest = std::max(highest, passage.corrupt_bit);
  }
  EXPECT_EQ(lowest, 14u * 8);
  EXPECT_EQ(highest, 60u * 8 - 1);
  EXPECT_FALSE(impairment.pass(at(0), kEthernetOctets).corrupted);
}

TEST(Impairment, RateSpacesFramesAndBoundsTheQueue) {
  Impairment impairment{plan("rate=8m,queue=3ms"), 1};  // an octet per microsecond
  std::vector<std::int64_t> leaves;
  for (int i = 0; i < 6; ++i) {
    const Passage passage = impairment.pass(at(0), 1000);
    leaves.push_back(passage.fate == Fate::forwarded ? passage.leaves[0].time_since_epoch() / 1us : -1);
  }
  EXPECT_THAT(leaves, ElementsAre(1000, 2000, 3000, 4000, -1, -1));
  EXPECT_EQ(impairment.counters().overflowed, 2u);
  EXPECT_EQ(impairment.pass(at(10'000), 1000).leaves[0], at(11'000));
}

// The delay line

std::vector<std::byte> frame(int mark) { return {std::byte(mark), std::byte{0}}; }

std::vector<int> drained(DelayLine& line, Instant now) {
  std::vector<int> marks;
  for (; line.next() <= now; line.pop()) marks.push_back(std::to_integer<int>(line.front()[0]));
  return marks;
}

TEST(DelayLine, LeavesByTimeThenByArrival) {
  DelayLine line{8};
  EXPECT_TRUE(line.empty());
  EXPECT_EQ(line.next(), Instant::max());
  for (const auto& [mark, time] : {std::pair{1, 30}, {2, 10}, {3, 10}, {4, 20}, {5, 10}})
    EXPECT_FALSE(line.push(frame(mark), at(static_cast<std::size_t>(time))).empty());
  EXPECT_THAT(drained(line, at(10)), ElementsAre(2, 3, 5));
  EXPECT_EQ(line.next(), at(20));
  EXPECT_THAT(drained(line, at(100)), ElementsAre(4, 1));
}

TEST(DelayLine, HeldFramesLeaveBehindTheFrameThatReleasesThem) {
  DelayLine line{8};
  static_cast<void>(line.push(frame(1), at(500), 2));
  static_cast<void>(line.push(frame(2), at(1)));
  EXPECT_THAT(drained(line, at(1)), ElementsAre(2));
  static_cast<void>(line.push(frame(3), at(2)));
  static_cast<void>(line.push(frame(4), at(2)));
  EXPECT_THAT(drained(line, at(2)), ElementsAre(3, 1, 4));
  static_cast<void>(line.push(frame(5), at(9), 2));  // nobody follows: time releases it
  EXPECT_THAT(drained(line, at(8)), ElementsAre());
  EXPECT_THAT(drained(line, at(9)), ElementsAre(5));
}

TEST(DelayLine, RefusesWhenFullAndReusesSlots) {
  DelayLine line{2};
  EXPECT_TRUE(line.push(std::vector<std::byte>(kFrameOctetsMax + 1), at(0)).empty());
  for (int round = 0; round < 3; ++round) {
    EXPECT_FALSE(line.push(frame(1), at(0)).empty());
    EXPECT_FALSE(line.push(frame(2), at(0)).empty());
    EXPECT_TRUE(line.push(frame(3), at(0)).empty());
    EXPECT_THAT(drained(line, at(0)), ElementsAre(1, 2));
  }
}

}  // namespace
}  // namespace penstock::impair
