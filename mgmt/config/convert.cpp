#include "mgmt/config/convert.h"

#include <algorithm>
#include <array>

#include "l7/route/compile/validate_route.h"
#include "mgmt/config/fields_cluster.h"
#include "mgmt/config/fields_http.h"

namespace penstock::config {
namespace {

struct Given {
  std::string_view key;
  bool given;
};
/// The one key that is given; "" with a finding when there are several, or none and `needed`.
std::string_view one_of(Reader& reader, const YamlNode& node, std::string_view what, std::span<const Given> keys,
                        bool needed) {
  std::vector<std::string_view> all;
  std::vector<std::string_view> found;
  for (const Given& key : keys) {
    all.push_back(key.key);
    if (key.given) found.push_back(key.key);
  }
  if (found.size() == 1) return found.front();
  if (found.size() > 1)
    reader.problem(node.place, std::string{what} + " has several of " + join(found, " and "), "keep one");
  else if (needed)
    reader.problem(node.place, std::string{what} + " has none of " + join(all), "give one");
  return "";
}

std::uint32_t count_ms(milliseconds value) { return static_cast<std::uint32_t>(value.count()); }

/// Keys that stand for the fields that validate_route() names, to put its problems where they belong.
struct FieldKeys {
  std::string_view field;  ///< beginning of the field's name
  std::array<std::string_view, 2> keys;
};
constexpr std::array kFieldKeys{
    FieldKeys{"name", {"name", ""}},
    FieldKeys{"match", {"match", ""}},
    FieldKeys{"clusters", {"weighted_clusters", "cluster"}},
    FieldKeys{"rewrite.prefix", {"prefix_rewrite", "redirect"}},
    FieldKeys{"rewrite", {"regex_rewrite", "redirect"}},
    FieldKeys{"host_rewrite", {"host_rewrite", ""}},
    FieldKeys{"timeouts", {"timeout", "idle_timeout"}},
    FieldKeys{"retry", {"retry_policy", ""}},
    FieldKeys{"redirect", {"redirect", ""}},
    FieldKeys{"direct_response", {"direct_response", ""}},
    FieldKeys{"request headers", {"request_headers", ""}},
    FieldKeys{"response headers", {"response_headers", ""}},
};
Place place_of(const YamlNode& route, std::string_view field) {
  for (const FieldKeys& row : kFieldKeys) {
    if (!field.starts_with(row.field)) continue;
    for (const std::string_view key : row.keys)
      if (const YamlNode* at = key.empty() ? nullptr : route.find(key)) return at->place;
  }
  return route.place;
}

/// What the router itself says about the route.
void check_route(Reader& reader, const YamlNode& node, const route::Route& route) {
  Problems problems;
  route::validate_route(route, "", problems);
  for (const Problem& problem : problems) {
    const std::string_view field = std::string_view{problem.place}.substr(2);  // behind ": "
    reader.problem(place_of(node, field), std::string{field} + ": " + problem.what, problem.remedy);
  }
}

}  // namespace

void convert(Reader& reader, const YamlNode& node, const HashPolicyText& text, HashPolicy& out) {
  const std::array keys{Given{"header", text.header.has_value()}, Given{"cookie", text.cookie.has_value()},
                        Given{"source_ip", text.source_ip}};
  const std::string_view key = one_of(reader, node, "hash policy", keys, true);
  out.terminal = text.terminal;
  if (key == "header") {
    out.source = control::HashSource::header;
    out.name = *text.header;
    std::transform(out.name.begin(), out.name.end(), out.name.begin(),
                   [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  } else if (key == "cookie") {
    out.source = control::HashSource::cookie;
    out.name = *text.cookie;
  }
  if ((key == "header" || key == "cookie") && !route::is_token(out.name))
    reader.problem(node.place, "`" + out.name + "` is not the name of a " + std::string{key}, "letters, digits and -");
}

void convert(Reader& reader, const YamlNode& node, const ValueMatchText& text, route::ValueMatch& out) {
  const std::array keys{Given{"exact", text.exact.has_value()}, Given{"prefix", text.prefix.has_value()},
                        Given{"regex", text.regex.has_value()}, Given{"range", text.range.has_value()},
                        Given{"present", text.present}};
  const std::string_view key = one_of(reader, node, "condition", keys, false);
  out.name = text.name;
  out.ignore_case = text.ignore_case;
  out.invert = text.invert;
  out.missing_as_empty = text.missing_as_empty;
  if (key == "exact") out.kind = route::ValueKind::exact, out.value = *text.exact;
  if (key == "prefix") out.kind = route::ValueKind::prefix, out.value = *text.prefix;
  if (key == "regex") out.kind = route::ValueKind::regex, out.value = *text.regex;
  if (key == "range") out.kind = route::ValueKind::range, out.low = text.range->start, out.high = text.range->end;
}

void convert(Reader& reader, const YamlNode& node, const MatchText& text, route::RouteMatch& out) {
  const std::array keys{Given{"path", text.path.has_value()}, Given{"prefix", text.prefix.has_value()},
                        Given{"path_separated_prefix", text.path_separated_prefix.has_value()},
                        Given{"regex", text.regex.has_value()}};
  const std::string_view key = one_of(reader, node, "match", keys, false);
  out.path.ignore_case = text.ignore_case;
  if (key == "path") out.path.kind = route::PathKind::exact, out.path.value = *text.path;
  if (key == "prefix") out.path.kind = route::PathKind::prefix, out.path.value = *text.prefix;
  if (key == "path_separated_prefix")
    out.path.kind = route::PathKind::segment_prefix, out.path.value = *text.path_separated_prefix;
  if (key == "regex") out.path.kind = route::PathKind::regex, out.path.value = *text.regex;
  out.methods = text.methods;
  out.headers = text.headers;
  out.query_params = text.query_parameters;
}

void convert(Reader&, const YamlNode&, const RedirectText& text, route::Redirect& out) {
  out.status = text.code;
  out.scheme = text.scheme;
  out.host = text.host;
  out.port = text.port.value_or(0);
  out.path = text.path;
  out.rewrite = {text.prefix_rewrite, text.regex_rewrite};
  out.strip_query = text.strip_query;
}

void convert(Reader&, const YamlNode&, const RetryText& text, route::RetryPolicy& out) {
  for (const route::RetryOn on : text.on) out.on |= static_cast<std::uint32_t>(on);
  out.retries = text.num_retries;
  out.per_try_timeout_ms = count_ms(text.per_try_timeout);
  out.statuses = text.status_codes;
}

void convert(Reader&, const YamlNode&, const HeaderEditsText& text, route::HeaderEdits& out) {
  out.remove = text.remove;
  for (const auto* edits : {&text.set, &text.add, &text.add_if_absent, &text.set_if_present})
    out.edits.insert(out.edits.end(), edits->begin(), edits->end());
}

void convert(Reader& reader, const YamlNode& node, RouteText& text, route::Route& out) {
  const std::array keys{
      Given{"cluster", text.cluster.has_value()}, Given{"weighted_clusters", node.find("weighted_clusters") != nullptr},
      Given{"redirect", text.redirect.has_value()}, Given{"direct_response", text.direct_response.has_value()}};
  const std::string_view key = one_of(reader, node, "route", keys, true);
  if (key.empty()) return;
  out.name = std::move(text.name);
  out.match = std::move(text.match);
  out.request = std::move(text.request_headers);
  out.response = std::move(text.response_headers);
  out.policy = std::move(text.policy);
  if (key == "cluster" || key == "weighted_clusters") {
    route::Forward forward;
    if (text.cluster) forward.clusters = {{*text.cluster, 1}};
    if (!text.cluster) forward.clusters = std::move(text.weighted_clusters);
    forward.rewrite = {text.prefix_rewrite, text.regex_rewrite};
    forward.host_rewrite = text.host_rewrite;
    if (text.timeout) forward.timeout_ms = count_ms(*text.timeout);
    if (text.idle_timeout) forward.idle_timeout_ms = count_ms(*text.idle_timeout);
    if (text.retry_policy) forward.retry = *text.retry_policy;
    out.action = std::move(forward);
  } else {
    for (const char* only : {"prefix_rewrite", "regex_rewrite", "host_rewrite", "timeout", "idle_timeout",
                             "retry_policy", "mirror", "max_request_body"})
      if (const YamlNode* at = node.find(only))
        reader.problem(at->place, "`" + std::string{only} + "` does not go with `" + std::string{key} + "`",
                       "it is for routes with a cluster");
    if (text.redirect) out.action = std::move(*text.redirect);
    if (text.direct_response) out.action = std::move(*text.direct_response);
  }
  check_route(reader, node, out);
}

}  // namespace penstock::config
