#include "mgmt/telemetry/counters_doc.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

namespace penstock::telemetry {
namespace {

constexpr const char* kPage = "docs/guide/counters.md";  // ctest runs in the source directory

TEST(CountersDoc, committed_page_is_what_the_tables_say) {
  if (std::getenv("PENSTOCK_UPDATE_DOCS") != nullptr) std::ofstream{kPage} << counters_doc();
  std::ifstream file{kPage};
  ASSERT_TRUE(file) << kPage << " is missing; PENSTOCK_UPDATE_DOCS=1 writes it";
  std::stringstream text;
  text << file.rdbuf();
  EXPECT_EQ(text.str(), counters_doc()) << "run with PENSTOCK_UPDATE_DOCS=1 to bring the page up to date";
}

}  // namespace
}  // namespace penstock::telemetry
