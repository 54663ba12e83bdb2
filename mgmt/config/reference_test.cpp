#include "mgmt/config/reference.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <string_view>
#include <vector>

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
  for (const char* path : {"docs/guide/example.yaml", "docs/guide/config_example.yaml", "docs/guide/http_example.yaml",
                           "docs/guide/policies_example.yaml"}) {
    const auto loaded = load_file(path, Machine{{0, 1}});
    EXPECT_TRUE(loaded.ok()) << (loaded.ok() ? "" : loaded.error().front().text());
  }
}

/// What stands between "```yaml" and "```" in a page, one text per block. Blocks inside lists are indented.
std::vector<std::string> yaml_blocks(const char* path) {
  std::vector<std::string> out;
  std::ifstream file{path};
  bool inside = false;
  std::size_t indent = 0;
  for (std::string line; std::getline(file, line);) {
    const std::size_t first = std::min(line.find_first_not_of(' '), line.size());
    const std::string_view content = std::string_view{line}.substr(first);
    if (!inside && content == "```yaml") {
      inside = true;
      indent = first;
      out.emplace_back();
    } else if (inside && content == "```") {
      inside = false;
    } else if (inside) {
      out.back() += line.substr(std::min(indent, line.size())) + "\n";
    }
  }
  return out;
}

TEST(Reference, the_configurations_inside_the_guides_pages_load) {
  for (const char* path :
       {"docs/guide/health.md", "docs/guide/http.md", "docs/guide/load_balancing.md", "docs/guide/migration.md",
        "docs/guide/observability.md", "docs/guide/proxy.md", "docs/guide/quickstart.md"}) {
    const auto blocks = yaml_blocks(path);
    EXPECT_FALSE(blocks.empty()) << path;
    for (const std::string& text : blocks) {
      const auto loaded = load_text(text, path, Machine{{0, 1}});
      EXPECT_TRUE(loaded.ok()) << (loaded.ok() ? "" : loaded.error().front().text());
    }
  }
}

}  // namespace
}  // namespace penstock::config
