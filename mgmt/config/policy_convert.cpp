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
  if (list->kind != YamlNode::Kind::list) return list->place;
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
    else if (const std::string meant = route::meant_method(rule.methods[i]); !meant.empty())
      reader.problem(place_of(node, "methods", i), "`" + rule.methods[i] + "` is never asked for",
                     "did you mean " + meant + "? case matters");
  check_paths(reader, node, "paths", rule.paths);
  check_paths(reader, node, "prefixes", rule.prefixes);
}

/// A rule that asks needs whom to ask, and nobody stands there unasked.
void check_asking(Reader& reader, const YamlNode& node, const route::Authorization& authorization) {
  const auto check = [&](control::PolicyAction action, const char* key, bool given) {
    for (std::size_t i = 0; i < authorization.rules.size(); ++i) {
      if (authorization.rules[i].action != action) continue;
      if (!given)
        reader.problem(place_of(node, "rules", i), "rule asks, but there is no `" + std::string{key} + "`",
                       "add `" + std::string{key} + ": {...}` beside the rules");
      return;
    }
    if (given)
      reader.problem(place_of(node, key, 0), "`" + std::string{key} + "` is given, but no rule asks it",
                     "add a rule with `action: " + std::string{key} + "`, or remove it");
  };
  check(control::PolicyAction::ask, "ask", authorization.ask.has_value());
  check(control::PolicyAction::external, "external", authorization.external.has_value());
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

void convert(Reader& reader, const YamlNode& node, const AskRuleText& text, route::AskRule& out) {
  out.match = {text.action, text.sources, text.methods, text.paths, text.prefixes, text.headers};
  out.lifetime_ms = count_ms(text.lifetime);
  check_rule(reader, node, out.match);
}

void convert(Reader&, const YamlNode&, const AskPolicyText& text, route::AskPolicy& out) {
  out = {text.rules, text.otherwise, count_ms(text.deadline)};
}

void convert(Reader& reader, const YamlNode& node, const ExternalText& text, route::ExternalAuthorizer& out) {
  out = {text.address, text.port,        text.path_prefix, count_ms(text.timeout), count_ms(text.lifetime),
         text.headers, text.failure_mode};
  for (std::size_t i = 0; i < out.headers.size(); ++i) {
    std::string& name = out.headers[i];
    std::transform(name.begin(), name.end(), name.begin(),
                   [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
    if (!route::is_token(name))
      reader.problem(place_of(node, "headers", i), "`" + name + "` is not the name of a header",
                     "letters, digits and -");
    // These are the call's own.
    for (const std::string_view own : {"host", "connection", "content-length", "transfer-encoding", "x-forwarded-for",
                                       "expect", "upgrade", "te", "trailer"})
      if (name == own) reader.problem(place_of(node, "headers", i), "`" + name + "` cannot be passed on", "remove it");
  }
  const bool sound = out.path_prefix.empty() || out.path_prefix.starts_with('/');
  const bool plain = std::all_of(out.path_prefix.begin(), out.path_prefix.end(),
                                 [](char c) { return c > 0x20 && c < 0x7f && c != '?' && c != '#'; });
  if (!sound || !plain)
    reader.problem(place_of(node, "path_prefix", 0), "path_prefix `" + out.path_prefix + "` is no path",
                   "begins with '/', percent-encoded, without a query");
}

void convert(Reader& reader, const YamlNode& node, const AuthorizationText& text, route::Authorization& out) {
  const YamlNode* const rules = node.find("rules");
  for (std::size_t i = 0; rules != nullptr && i < text.rules.size() && i < rules->items.size(); ++i)
    check_rule(reader, rules->items[i], text.rules[i]);
  out.rules = text.rules;
  out.otherwise = text.otherwise;
  out.ask = text.ask;
  out.external = text.external;
  check_asking(reader, node, out);
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
