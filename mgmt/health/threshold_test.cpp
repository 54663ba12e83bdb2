#include "mgmt/health/threshold.h"

#include <gtest/gtest.h>

#include <string_view>

namespace penstock::health {
namespace {

/// States after each result, '+' good and '-' bad: "?" unknown, "H" healthy, "U" unhealthy.
std::string states(std::string_view results, std::uint32_t healthy, std::uint32_t unhealthy) {
  Threshold threshold{healthy, unhealthy};
  std::string out;
  for (const char result : results) {
    const State before = threshold.state();
    const bool changed = threshold.note(result == '+');
    EXPECT_EQ(changed, threshold.state() != before);
    out += "?HU"[static_cast<int>(threshold.state())];
  }
  return out;
}

TEST(Threshold, the_first_result_decides_at_once) {
  EXPECT_EQ(states("+", 2, 3), "H");
  EXPECT_EQ(states("-", 2, 3), "U");
}

TEST(Threshold, so_many_results_in_a_row_turn_the_state) {
  EXPECT_EQ(states("+---", 2, 3), "HHHU");
  EXPECT_EQ(states("-++", 2, 3), "UUH");
  EXPECT_EQ(states("+-", 1, 1), "HU");
}

TEST(Threshold, a_result_for_the_state_begins_the_count_anew) {
  EXPECT_EQ(states("+--+---", 2, 3), "HHHHHHU");
  EXPECT_EQ(states("-+-++", 2, 3), "UUUUH");
}

}  // namespace
}  // namespace penstock::health
