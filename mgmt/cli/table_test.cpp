#include "mgmt/cli/table.h"

#include <gtest/gtest.h>

namespace penstock::cli {
namespace {

TEST(Table, columns_are_as_wide_as_their_content_without_trailing_blanks) {
  Table table{{"NAME", ">COUNT", "NOTE"}};
  table.add({"a", "1", ""});
  table.add({"longer", "1234", "x"});
  EXPECT_EQ(table.text(),
            "NAME    COUNT  NOTE\n"
            "a           1\n"
            "longer   1234  x\n");
}

TEST(Table, counts_are_exact_while_small_and_short_when_large) {
  EXPECT_EQ(short_count(0), "0");
  EXPECT_EQ(short_count(9999), "9999");
  EXPECT_EQ(short_count(12345), "12.3k");
  EXPECT_EQ(short_count(1'234'567), "1.23M");
  EXPECT_EQ(short_count(999'999), "1.00M");
  EXPECT_EQ(short_count(18'000'000'000'000'000'000u), "18.0E");
}

TEST(Table, durations_have_two_units_at_most) {
  EXPECT_EQ(duration_text(350), "350ms");
  EXPECT_EQ(duration_text(12'999), "12s");
  EXPECT_EQ(duration_text(190'000), "3m10s");
  EXPECT_EQ(duration_text(7'500'000), "2h5m");
  EXPECT_EQ(duration_text(273'600'000), "3d4h");
}

}  // namespace
}  // namespace penstock::cli
