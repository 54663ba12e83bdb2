#include "dataplane/core/seq_num.h"

#include <gtest/gtest.h>

namespace penstock {
namespace {

// Mistakes that must not compile.
template <typename A, typename B>
concept Ordered = requires(A a, B b) {
  a < b;
};
template <typename A, typename B>
concept Addable = requires(A a, B b) {
  a + b;
};
static_assert(!Ordered<SeqNum, SeqNum>);
static_assert(!Ordered<SeqNum, int>);
static_assert(!Addable<SeqNum, int>);
static_assert(!Addable<SeqNum, SeqNum>);
static_assert(Addable<SeqNum, SeqSpan>);
static_assert(Ordered<SeqSpan, SeqSpan>);
static_assert(sizeof(SeqNum) == 4);

TEST(SeqNum, order_holds_across_the_wrap) {
  const SeqNum before{0xfffffff0u};
  const SeqNum after = before + SeqSpan{0x20};
  EXPECT_EQ(after.value(), 0x10u);
  EXPECT_TRUE(before.precedes(after));
  EXPECT_FALSE(after.precedes(before));
  EXPECT_FALSE(before.precedes(before));
  EXPECT_TRUE(before.at_most(before));
  EXPECT_TRUE(before.at_most(after));
  EXPECT_EQ(after.since(before).octets, 0x20u);
}

TEST(SeqNum, later_and_earlier_follow_the_order_not_the_value) {
  const SeqNum before{0xffffffffu};
  const SeqNum after{0};
  EXPECT_EQ(later_of(before, after), after);
  EXPECT_EQ(earlier_of(before, after), before);
  EXPECT_EQ(after - SeqSpan{1}, before);
}

}  // namespace
}  // namespace penstock
