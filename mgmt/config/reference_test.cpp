#include "mgmt/config/reference.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <regex>
#include <set>
#include <sstream>
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

bool has_section(const std::string& text, const std::string& name) {
  return text.starts_with(name + ":") || text.find("\n" + name + ":") != std::string::npos;
}

/// A virtual host with these keys, when they are no sections.
std::string inside_virtual_host(const std::string& fragment) {
  for (const char* section : {"node", "ports", "clusters", "listeners"})
    if (has_section(fragment, section)) return fragment;
  std::string out =
      "listeners:\n  - name: l\n    address: 198.51.100.10\n    port: 80\n    protocol: http\n    virtual_hosts:\n"
      "      - name: v\n        domains: [\"*\"]\n        routes: [{match: {prefix: /}, direct_response: {status: "
      "204}}]\n";
  std::istringstream lines{fragment};
  for (std::string line; std::getline(lines, line);) out += "        " + line + "\n";
  return out;
}

/// A fragment as a whole document: sections that it does not show are added, among them the clusters that it names.
std::string completed(const std::string& fragment) {
  std::string out = inside_virtual_host(fragment);
  if (!has_section(out, "apiVersion")) out = "apiVersion: penstock/v1\n" + out;
  if (!has_section(out, "node")) out += "node: {addresses: [192.0.2.1]}\n";
  if (has_section(out, "clusters")) return out;
  std::set<std::string> named;
  const std::regex naming{R"(\bcluster: *([\w-]+))"};
  for (std::sregex_iterator at{fragment.begin(), fragment.end(), naming}, end; at != end; ++at) named.insert((*at)[1]);
  if (!named.empty()) out += "clusters:\n";
  for (const std::string& name : named)
    out += "  - {name: " + name + ", endpoints: [{address: 192.0.2.11, port: 8080}]}\n";
  return out;
}

TEST(Reference, every_configuration_inside_the_guides_pages_loads) {
  std::size_t count = 0;
  for (const auto& page : std::filesystem::directory_iterator{"docs/guide"}) {
    if (page.path().extension() != ".md") continue;
    for (const std::string& fragment : yaml_blocks(page.path().c_str())) {
      ++count;
      const auto loaded = load_text(completed(fragment), page.path().string(), Machine{{0, 1}});
      EXPECT_TRUE(loaded.ok()) << (loaded.ok() ? "" : loaded.error().front().text()) << "\n" << completed(fragment);
    }
  }
  EXPECT_GE(count, 7u);
}

}  // namespace
}  // namespace penstock::config
