#include "l7/policy/rate_limiter.h"

#include <gtest/gtest.h>

#include "dataplane/control/limits.h"

namespace penstock::policy {
namespace {

using std::chrono::milliseconds;

constexpr Instant kStart{std::chrono::hours{5}};
constexpr Duration kNow{0};

/// `per_second` tokens a second.
control::RateLimitRecord limit(std::uint64_t id, std::uint64_t per_second, std::uint32_t burst) {
  return {id, 1'000'000'000 / per_second, burst, 0};
}
int taken(RateLimiter& limiter, std::uint32_t index, Instant now) {
  int count = 0;
  while (limiter.take(index, now) == kNow) ++count;
  return count;
}

TEST(RateLimiter, a_burst_then_the_rate) {
  RateLimiter limiter{1};
  const std::array limits{limit(1, 10, 5)};
  limiter.configure(limits, 1);
  EXPECT_EQ(taken(limiter, 0, kStart), 5);
  EXPECT_EQ(limiter.take(0, kStart), milliseconds{100});
  EXPECT_EQ(limiter.take(0, kStart + milliseconds{99}), milliseconds{1});
  EXPECT_EQ(taken(limiter, 0, kStart + milliseconds{100}), 1);
  EXPECT_EQ(taken(limiter, 0, kStart + milliseconds{1100}), 5) << "no more than it holds";
}

TEST(RateLimiter, workers_share_evenly) {
  RateLimiter limiter{1};
  const std::array limits{limit(1, 10, 5)};
  limiter.configure(limits, 2);
  EXPECT_EQ(taken(limiter, 0, kStart), 3) << "rounded up";
  EXPECT_EQ(limiter.take(0, kStart), milliseconds{200});
}

TEST(RateLimiter, buckets_stay_with_their_limit) {
  RateLimiter limiter{1};
  const std::array first{limit(7, 10, 5), limit(8, 10, 5)};
  limiter.configure(first, 1);
  EXPECT_EQ(taken(limiter, 1, kStart), 5);
  const std::array second{limit(8, 10, 5), limit(9, 10, 5)};
  limiter.configure(second, 1);
  EXPECT_EQ(taken(limiter, 0, kStart), 0);
  EXPECT_EQ(taken(limiter, 1, kStart), 5);
  const std::array lowered{limit(8, 10, 2)};
  limiter.configure(lowered, 1);
  EXPECT_EQ(taken(limiter, 0, kStart + milliseconds{100}), 0);
  EXPECT_EQ(taken(limiter, 0, kStart + milliseconds{200}), 1) << "a lower burst is no debt";
}

TEST(RateLimiter, clients_have_buckets_of_their_own) {
  RateLimiter limiter{1};
  const std::array limits{limit(1, 1, 2), limit(2, 1, 1)};
  limiter.configure(limits, 1);
  const auto count = [&](std::uint32_t index, const char* client) {
    int out = 0;
    while (limiter.take(index, *IpAddress::parse(client), kStart) == kNow) ++out;
    return out;
  };
  EXPECT_EQ(count(0, "10.0.0.1"), 2);
  EXPECT_EQ(count(0, "10.0.0.2"), 2);
  EXPECT_EQ(count(0, "10.0.0.1"), 0);
  EXPECT_EQ(count(1, "10.0.0.1"), 1) << "another limit";
  EXPECT_EQ(count(0, "fd00::1"), 2);
  EXPECT_EQ(count(0, "fd00::2"), 0) << "the same /64";
  EXPECT_EQ(count(0, "fd00:0:0:1::2"), 2);
  EXPECT_EQ(limiter.evicted(), 0u);
}

TEST(RateLimiter, a_full_table_forgets_and_counts) {
  RateLimiter limiter{1};
  const std::array limits{limit(1, 1, 2)};
  limiter.configure(limits, 1);
  for (std::uint32_t i = 0; i < 2 * control::kClientBucketMax; ++i) {
    const IpAddress client = IpAddress::v4(10, static_cast<std::uint8_t>(i >> 16), static_cast<std::uint8_t>(i >> 8),
                                           static_cast<std::uint8_t>(i));
    ASSERT_EQ(limiter.take(0, client, kStart), kNow) << "nobody is refused since the table is full";
  }
  EXPECT_GE(limiter.evicted(), control::kClientBucketMax);
  const std::uint64_t before = limiter.evicted();
  EXPECT_EQ(limiter.take(0, *IpAddress::parse("10.99.0.1"), kStart + std::chrono::seconds{10}), kNow);
  EXPECT_EQ(limiter.evicted(), before) << "whose bucket is full again is no loss";
}

}  // namespace
}  // namespace penstock::policy
