#include "dataplane/core/be.h"

#include <gtest/gtest.h>

#include <array>

#include "dataplane/core/addresses.h"
#include "dataplane/core/clock.h"
#include "dataplane/core/result.h"

namespace penstock {
namespace {

// Mistakes that must not compile.
template <typename A, typename B>
concept EqualityComparable = requires(A a, B b) {
  a == b;
};
static_assert(EqualityComparable<Be16, Be16>);
static_assert(!EqualityComparable<Be16, int>);
static_assert(!EqualityComparable<Be16, Be32>);
static_assert(!EqualityComparable<EtherType, IpProto>);
template <typename T>
concept Ordered = requires(T a, T b) {
  a < b;
};
static_assert(!Ordered<Be32>);

TEST(Be, stores_the_most_significant_octet_first) {
  std::array<std::byte, 6> bytes{};
  store_be(ByteSpan{bytes}, 0, Be16::from_host(0x0800));
  store_be(ByteSpan{bytes}, 2, Be32::from_host(0x0a000001));
  EXPECT_EQ(std::to_integer<int>(bytes[0]), 0x08);
  EXPECT_EQ(std::to_integer<int>(bytes[2]), 0x0a);
  EXPECT_EQ(std::to_integer<int>(bytes[5]), 0x01);
  EXPECT_EQ(load_be<std::uint32_t>(bytes, 2).host(), 0x0a000001u);
}

TEST(CoarseMs, differences_are_right_across_the_wrap) {
  EXPECT_EQ((CoarseMs{5}).since(CoarseMs{0xfffffff6}), 15);
  EXPECT_EQ((CoarseMs{0xfffffff6}).since(CoarseMs{5}), -15);
}

TEST(Parsed, holds_a_value_or_the_reason) {
  const Parsed<int> good{7};
  const Parsed<int> bad{DropReason::truncated};
  ASSERT_TRUE(good.ok());
  EXPECT_EQ(*good, 7);
  EXPECT_FALSE(bad.ok());
  EXPECT_EQ(bad.reason(), DropReason::truncated);
}

TEST(ResultDeathTest, reading_the_wrong_side_ends_the_process) {
  const Result<int> bad{Problem{"here", "broken", ""}};
  EXPECT_DEATH(static_cast<void>(bad.value()), "Result holds an error");
}

}  // namespace
}  // namespace penstock
