// render.h - the daemon's JSON as text for people.
//
// Model     pure: JSON in, text out. Tables are for eyes and may change; scripts use --json.
#pragma once
#include <nlohmann/json.hpp>
#include <string>

namespace penstock::cli {

using Json = nlohmann::ordered_json;

struct Style {
  bool color{};  ///< ANSI colours for verdicts
};

[[nodiscard]] std::string render_status(const Json& status, Style style);
[[nodiscard]] std::string render_ports(const Json& status);
[[nodiscard]] std::string render_services(const Json& services);
[[nodiscard]] std::string render_flows(const Json& flows);
/// Two lines per connection: its legs.
[[nodiscard]] std::string render_connections(const Json& connections);
[[nodiscard]] std::string render_counters(const Json& counters, bool nonzero_only);
/// One line per problem, with its remedy; begun with `kind`.
[[nodiscard]] std::string render_problems(const Json& problems, const std::string& kind = "");
[[nodiscard]] std::string render_preflight(const Json& checks, Style style);

}  // namespace penstock::cli
