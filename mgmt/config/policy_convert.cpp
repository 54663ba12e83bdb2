// Policies of requests as they are written, and what they must fulfil.
#include <algorithm>

#include "l7/route/compile/validate_route.h"
#include "mgmt/config/convert.h"
#include "mgmt/config/fields_policy.h"

namespace penstock::config {
namespace {

std::uint32_t count_ms(milliseconds value) { return static_cast<std::uint32_t>(value.count()); }

Place place_of(const YamlNode& node, std::string_view key, std::size_t index) {
  const YamlNode* const list = node.find(key);
  if (list == nullptr) return node.place;
  return index < list->items.size() ? list->items[index].place : list->place;
}

/// Paths are compared decoded, so an escape could never match.
void check_paths(Reader& reader, const YamlNode& rule, std::string_view key, const std::vector<std::string>& paths) {
  for (std::size_t i = 0; i < paths.size(); ++i) {
    if (!paths[i].starts_with('/'))
      reader.problem(place_of(rule, key, i), "`" + paths[i] + "` is no path", "begins with '/'");
    if (paths[i].find_first_of("%?#") != std::string::npos)
      reader.problem(place_of(rule, key, i), "`" + paths[i] + "` has one of % ? #",
                     "write the path decoded and without a query");
  }
}

void check_rule(Reader& reader, const YamlNode& node, const route::AuthorizationRule& rule) {
  for (std::size_t i = 0; i < rule.methods.size(); ++i)
    if (!route::is_token(rule.methods[i]))
      reader.problem(place_of(node, "methods", i), "`" + rule.methods[i] + "` is no method", "such as GET");
  check_paths(reader, node, "paths", rule.paths);
  check_paths(reader, node, "prefixes", rule.prefixes);
}

}  // namespace

void convert(Reader& reader, const YamlNode& node, const HeaderTermText& text, route::HeaderTerm& out) {
  if (int{text.exact.has_value()} + int{text.prefix.has_value()} + int{text.present} > 1)
    reader.problem(node.place, "header has several of exact, prefix and present", "keep one");
  out.name = text.name;
  std::transform(out.name.begin(), out.name.end(), out.name.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  if (!route::is_token(out.name))
    reader.problem(node.place, "`" + out.name + "` is not the name of a header", "letters, digits and -");
  out.invert = text.invert;
  if (text.exact) out.kind = control::TermKind::header_exact, out.value = *text.exact;
  if (text.prefix) out.kind = control::TermKind::header_prefix, out.value = *text.prefix;
}

void convert(Reader& reader, const YamlNode& node, const AuthorizationText& text, route::Authorization& out) {
  const YamlNode* const rules = node.find("rules");
  for (std::size_t i = 0; rules != nullptr && i < text.rules.size() && i < rules->items.size(); ++i)
    check_rule(reader, rules->items[i], text.rules[i]);
  out.rules = text.rules;
  out.otherwise = text.otherwise;
}

void convert(Reader& reader, const YamlNode& node, const RateLimitText& text, route::RateLimit& out) {
  out = {text.requests, count_ms(text.per), text.burst.value_or(0)};
  const std::uint64_t burst = text.burst.value_or(text.requests);
  const std::uint64_t token_ns = std::uint64_t{out.per_ms} * 1'000'000 / out.requests;
  if (token_ns == 0) reader.problem(node.place, "more than a request per nanosecond", "lower `requests`");
  if (token_ns * burst > control::kBucketNsMax)
    reader.problem(node.place, "a burst of " + std::to_string(burst) + " takes more than a week to come back",
                   "lower `burst`");
}

void convert(Reader& reader, const YamlNode& node, const FaultText& text, route::Fault& out) {
  if (!text.delay && !text.abort)
    reader.problem(node.place, "fault has none of delay, abort", "give one, or remove it");
  if (text.delay) out.delay_ms = count_ms(text.delay->fixed), out.delay_percent = text.delay->percent;
  if (text.abort) out.abort_status = text.abort->status, out.abort_percent = text.abort->percent;
  out.headers = text.headers;
}

}  // namespace penstock::config
