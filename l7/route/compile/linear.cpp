#include "l7/route/compile/linear.h"

#include <re2/re2.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>

#include "l7/route/limits.h"

namespace penstock::route {
namespace {

std::string lower_case(std::string_view text) {
  std::string out;
  for (const char c : text) out += c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
  return out;
}
bool is_ascii(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

std::optional<std::string> header_value(const RequestView& request, const std::string& name) {
  std::optional<std::string> value;
  for (const HeaderField& field : request.headers) {
    if (lower_case(field.name) != lower_case(name)) continue;
    if (value)
      *value += "," + std::string{field.value};
    else
      value = field.value;
  }
  return value;
}

std::optional<std::string> query_value(const RequestView& request, const std::string& name) {
  std::string query{request.query.empty() ? request.query : request.query.substr(1)};
  query += '&';
  for (std::size_t begin = 0, end; (end = query.find('&', begin)) != std::string::npos; begin = end + 1) {
    const std::string pair = query.substr(begin, end - begin);
    const std::size_t equals = pair.find('=');
    if (pair.empty() || pair.substr(0, equals) != name) continue;
    return equals == std::string::npos ? "" : pair.substr(equals + 1);
  }
  return std::nullopt;
}

bool in_range(const std::string& text, std::int64_t low, std::int64_t high) {
  static const RE2 kNumber{"-?[0-9]+"};
  if (!RE2::FullMatch(text, kNumber)) return false;
  errno = 0;
  const long long number = std::strtoll(text.c_str(), nullptr, 10);
  return errno == 0 && number >= low && number < high;
}

}  // namespace

LinearTable::LinearTable(const RouteTable& table) : table_{table} {
  for (const VirtualHost& host : table.virtual_hosts)
    for (const Route& route : host.routes) {
      if (route.match.path.kind == PathKind::regex) prepare(route.match.path.value);
      for (const auto* list : {&route.match.headers, &route.match.query_params})
        for (const ValueMatch& match : *list)
          if (match.kind == ValueKind::regex) prepare(match.value);
    }
}
LinearTable::~LinearTable() = default;

void LinearTable::prepare(const std::string& pattern) {
  if (patterns_.contains(pattern)) return;
  RE2::Options options{RE2::Latin1};
  options.set_log_errors(false);
  patterns_.emplace(pattern, std::make_unique<RE2>(pattern, options));
}

bool LinearTable::full_match(const std::string& pattern, std::string_view text) const {
  return RE2::FullMatch(re2::StringPiece{text.data(), text.size()}, *patterns_.find(pattern)->second);
}

std::optional<std::size_t> LinearTable::find_host(std::string_view host) const {
  const std::string name = lower_case(host);
  std::optional<std::size_t> best, any;
  // Exact beats any suffix, a suffix any prefix; within a kind the longer wins.
  std::pair<int, std::size_t> best_rank{0, 0};
  for (std::size_t i = 0; i < table_.virtual_hosts.size(); ++i)
    for (const std::string& configured : table_.virtual_hosts[i].domains) {
      const std::string domain = lower_case(configured);
      std::pair<int, std::size_t> rank{0, domain.size()};
      if (domain == "*")
        any = i;
      else if (domain == name)
        rank.first = 3;
      else if (name.size() < domain.size())
        continue;  // '*' stands for at least one octet
      else if (domain.starts_with('*') && name.ends_with(domain.substr(1)))
        rank.first = 2;
      else if (domain.ends_with('*') && name.starts_with(domain.substr(0, domain.size() - 1)))
        rank.first = 1;
      if (rank.first != 0 && rank > best_rank) {
        best_rank = rank;
        best = i;
      }
    }
  const bool possible = !name.empty() && name.size() <= kDomainOctetsMax && is_ascii(name);
  return possible && best ? best : any;
}

bool LinearTable::path_matches(const PathMatch& match, std::string_view path) const {
  if (match.kind == PathKind::regex) return full_match(match.value, path);
  const std::string value = match.ignore_case ? lower_case(match.value) : match.value;
  const std::string text = match.ignore_case ? lower_case(path) : std::string{path};
  switch (match.kind) {
    case PathKind::exact:
      return text == value;
    case PathKind::prefix:
      return text.starts_with(value);
    case PathKind::segment_prefix:
      return text == value || text.starts_with(value + "/");
    case PathKind::regex:
      break;
  }
  return false;
}

bool LinearTable::value_matches(const ValueMatch& match, const std::optional<std::string>& found) const {
  std::optional<std::string> value = found;
  if (!value && match.missing_as_empty) value = "";
  if (match.kind == ValueKind::present) return value.has_value() != match.invert;
  if (!value) return false;
  const std::string text = match.ignore_case ? lower_case(*value) : *value;
  const std::string expected = match.ignore_case ? lower_case(match.value) : match.value;
  bool holds = false;
  switch (match.kind) {
    case ValueKind::exact:
      holds = text == expected;
      break;
    case ValueKind::prefix:
      holds = text.starts_with(expected);
      break;
    case ValueKind::regex:
      holds = full_match(match.value, *value);
      break;
    case ValueKind::range:
      holds = in_range(*value, match.low, match.high);
      break;
    case ValueKind::present:
      break;
  }
  return holds != match.invert;
}

bool LinearTable::route_matches(const Route& route, const RequestView& request) const {
  const RouteMatch& match = route.match;
  if (!path_matches(match.path, request.path)) return false;
  if (!match.methods.empty() &&
      std::find(match.methods.begin(), match.methods.end(), request.method) == match.methods.end())
    return false;
  for (const ValueMatch& header : match.headers)
    if (!value_matches(header, header_value(request, header.name))) return false;
  for (const ValueMatch& param : match.query_params)
    if (!value_matches(param, query_value(request, param.name))) return false;
  return true;
}

std::optional<LinearMatch> LinearTable::match(const RequestView& request) const {
  if (request.path.size() > kPathOctetsMax || !is_ascii(request.path)) return std::nullopt;
  const auto host = find_host(request.host);
  if (!host) return std::nullopt;
  const auto& routes = table_.virtual_hosts[*host].routes;
  for (std::size_t i = 0; i < routes.size(); ++i)
    if (route_matches(routes[i], request)) return LinearMatch{*host, i};
  return std::nullopt;
}

}  // namespace penstock::route
