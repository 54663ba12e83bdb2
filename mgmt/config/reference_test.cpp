#include "mgmt/config/reference.h"

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>

#include "mgmt/config/loader.h"

namespace penstock::config {
namespace {

std::string content_of(const char* path) {
  std::ifstream file{path, std::ios::binary};
  return {std::istreambuf_iterator<char>{file}, {}};
}

constexpr const char* kRemedy = "run config_reference docs/guide";

TEST(Reference, the_committed_configuration_page_is_what_the_field_table_says) {
  EXPECT_EQ(content_of("docs/guide/config.md"), config_page()) << kRemedy;
}

TEST(Reference, the_committed_limits_page_is_what_the_constants_say) {
  EXPECT_EQ(content_of("docs/guide/limits.md"), limits_page()) << kRemedy;
}

TEST(Reference, the_examples_of_the_guide_load) {
  for (const char* path : {"docs/guide/example.yaml", "docs/guide/config_example.yaml"}) {
    const auto loaded = load_file(path, Machine{{0, 1}});
    EXPECT_TRUE(loaded.ok()) << (loaded.ok() ? "" : loaded.error().front().text());
  }
}

}  // namespace
}  // namespace penstock::config
