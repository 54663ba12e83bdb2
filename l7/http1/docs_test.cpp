// docs/architecture/http1.md has the table of reject.h. PENSTOCK_UPDATE_DOCS=1 writes it anew.
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "l7/http1/reject.h"

namespace penstock::http1 {
namespace {

TEST(Docs, the_page_lists_every_reason) {
  const std::string path = "docs/architecture/http1.md", begin = "<!-- reasons -->\n", end = "<!-- end of reasons -->";
  std::stringstream text;
  text << std::ifstream{path}.rdbuf();
  std::string page = text.str();
  const std::size_t from = page.find(begin), to = page.find(end);
  ASSERT_TRUE(from != std::string::npos && to != std::string::npos);
  std::string table = "| reason | status | RFC | meaning |\n|---|---|---|---|\n";
  for (std::size_t i = 1; i < kRejectReasonCount; ++i) {
    const RejectInfo& info = kRejectReasons[i];
    table += "| `" + std::string{info.name} + "` | " + std::to_string(info.status) + " | " + std::string{info.section} +
             " | " + std::string{info.meaning} + " |\n";
  }
  const std::string old = page.substr(from + begin.size(), to - from - begin.size());
  if (std::getenv("PENSTOCK_UPDATE_DOCS") != nullptr)
    std::ofstream{path} << page.replace(from + begin.size(), old.size(), table);
  else
    EXPECT_EQ(old, table) << "out of date";
}

}  // namespace
}  // namespace penstock::http1
