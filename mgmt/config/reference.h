// reference.h - pages of docs/guide that are made from the code.
//
// Model     config.md from the field table and the defaults, limits.md from the constants. A test compares the
//           committed files; `config_reference docs/guide` rewrites them.
#pragma once
#include <string>

namespace penstock::config {

[[nodiscard]] std::string config_page();
[[nodiscard]] std::string limits_page();

}  // namespace penstock::config
