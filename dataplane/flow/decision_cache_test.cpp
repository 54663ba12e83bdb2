#include "dataplane/flow/decision_cache.h"

#include <gtest/gtest.h>

namespace penstock::flow {
namespace {

using control::Decision;
Instant at(std::int64_t s) { return Instant{std::chrono::seconds{s}}; }
IpAddress ip(const char* text) { return *IpAddress::parse(text); }
IpPrefix prefix(const char* text) { return *IpPrefix::parse(text); }

TEST(DecisionCache, an_answer_holds_for_its_prefix_and_listener_until_it_ends) {
  DecisionCache cache{64, 1};
  ASSERT_TRUE(cache.put(5, prefix("10.1.0.0/16"), Decision::allow, at(60)));
  EXPECT_EQ(cache.find(5, ip("10.1.2.3"), at(59)), Decision::allow);
  EXPECT_EQ(cache.find(5, ip("10.2.0.1"), at(59)), std::nullopt);
  EXPECT_EQ(cache.find(6, ip("10.1.2.3"), at(59)), std::nullopt);
  EXPECT_EQ(cache.find(5, ip("10.1.2.3"), at(60)), std::nullopt);
}

TEST(DecisionCache, the_longest_prefix_wins) {
  DecisionCache cache{64, 1};
  cache.put(5, prefix("10.0.0.0/8"), Decision::deny, at(60));
  cache.put(5, prefix("10.1.2.3"), Decision::allow, at(60));
  EXPECT_EQ(cache.find(5, ip("10.1.2.3"), at(0)), Decision::allow);
  EXPECT_EQ(cache.find(5, ip("10.1.2.4"), at(0)), Decision::deny);
}

TEST(DecisionCache, families_do_not_mix) {
  DecisionCache cache{64, 1};
  cache.put(5, prefix("0.0.0.0/0"), Decision::deny, at(60));
  EXPECT_EQ(cache.find(5, ip("fd00::1"), at(0)), std::nullopt);
  cache.put(5, prefix("::/0"), Decision::allow, at(60));
  EXPECT_EQ(cache.find(5, ip("fd00::1"), at(0)), Decision::allow);
  EXPECT_EQ(cache.find(5, ip("1.2.3.4"), at(0)), Decision::deny);
}

TEST(DecisionCache, refuses_prefixes_that_do_not_exist) {
  DecisionCache cache{64, 1};
  EXPECT_FALSE(cache.put(5, {ip("10.0.0.1"), 33}, Decision::deny, at(60)));
}

TEST(DecisionCache, is_bounded_and_gives_up_what_ends_first) {
  DecisionCache cache{8, 1};  // one set
  for (std::uint8_t i = 0; i < 9; ++i) cache.put(1, {IpAddress::v4(10, 0, 0, i), 32}, Decision::allow, at(100 + i));
  EXPECT_EQ(cache.find(1, ip("10.0.0.0"), at(0)), std::nullopt);
  for (std::uint8_t i = 1; i < 9; ++i)
    EXPECT_EQ(cache.find(1, IpAddress::v4(10, 0, 0, i), at(0)), Decision::allow) << int{i};
}

TEST(DecisionCache, a_newer_answer_replaces_and_clear_forgets) {
  DecisionCache cache{64, 1};
  cache.put(1, prefix("10.0.0.1"), Decision::allow, at(10));
  cache.put(1, prefix("10.0.0.1"), Decision::deny, at(20));
  EXPECT_EQ(cache.find(1, ip("10.0.0.1"), at(15)), Decision::deny);
  cache.clear();
  EXPECT_EQ(cache.find(1, ip("10.0.0.1"), at(0)), std::nullopt);
}

}  // namespace
}  // namespace penstock::flow
