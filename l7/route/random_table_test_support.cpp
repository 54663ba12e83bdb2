#include "l7/route/random_table_test_support.h"

#include <algorithm>

namespace penstock::route::test {
namespace {

template <std::size_t kCount>
std::string pick(Seeded& seeded, const char* const (&words)[kCount]) {
  return words[seeded.below(kCount)];
}
bool percent(Seeded& seeded, unsigned of_100) { return seeded.below(100) < of_100; }

constexpr const char* kSegments[] = {
    "a",  "ab", "abc",   "b", "A",  "Ab",  "api", "v1",
    "v2", "x",  "users", "1", "42", "a.b", "a-b", "a_very_long_segment_that_needs_more_than_one_node"};
constexpr const char* kHeaderNames[] = {"x-a", "X-B", "x-canary", "cookie", "x-a-rather-long-header-name"};
constexpr const char* kParamNames[] = {"a", "b", "version", "A"};
constexpr const char* kValues[] = {
    "", "1", "5", "10", "-3", "abc", "ABC", "abcd", "a,b", "1,5", "9223372036854775807", "9223372036854775808", "x y"};
constexpr const char* kMethods[] = {"GET", "POST", "PUT", "DELETE", "PURGE", "get"};
constexpr const char* kDomains[] = {"a.example",      "b.example",     "A.b.example", "*.example", "*.b.example",
                                    "*-c.example",    "a.*",           "a.b.*",       "api.*",     "*",
                                    "a.example:8080", "api.b.example", "*example",    "ap*"};
constexpr const char* kHosts[] = {
    "a.example", "A.EXAMPLE",     "b.example",      "a.b.example", "c.b.example", "-c.example", "x-c.example", "a.net",
    "a.b.net",   "api.b.example", "a.example:8080", "example",     ".example",    "ap",         "apx",         "",
    "z"};

ValueMatch random_condition(Seeded& seeded, std::string name) {
  ValueMatch match;
  match.name = std::move(name);
  match.kind = static_cast<ValueKind>(seeded.below(5));
  match.invert = percent(seeded, 20);
  match.missing_as_empty = percent(seeded, 20);
  if (match.kind == ValueKind::exact || match.kind == ValueKind::prefix) {
    match.value = pick(seeded, kValues);
    match.ignore_case = percent(seeded, 30);
  } else if (match.kind == ValueKind::regex) {
    match.value = percent(seeded, 50) ? "[a-z]*" : random_regex(seeded, 2);
  } else if (match.kind == ValueKind::range) {
    match.low = static_cast<std::int64_t>(seeded.below(12)) - 4;
    match.high = match.low + 1 + static_cast<std::int64_t>(seeded.below(10));
  }
  return match;
}

PathMatch random_match(Seeded& seeded, unsigned regex_percent) {
  PathMatch match;
  if (percent(seeded, regex_percent)) {
    match.kind = PathKind::regex;
    match.value = percent(seeded, 70) ? "/" + random_regex(seeded, 3) : random_regex(seeded, 4);
    return match;
  }
  match.kind = static_cast<PathKind>(seeded.below(3));
  match.ignore_case = percent(seeded, 20);
  match.value = random_path(seeded);
  if (match.kind == PathKind::segment_prefix)
    while (match.value.ends_with('/')) match.value = "/" + pick(seeded, kSegments);
  return match;
}

Route random_route(Seeded& seeded, const TableShape& shape, std::size_t number) {
  Route route;
  route.match.path = random_match(seeded, shape.regex_percent);
  while (percent(seeded, shape.condition_percent))
    route.match.headers.push_back(random_condition(seeded, pick(seeded, kHeaderNames)));
  while (percent(seeded, shape.condition_percent / 2))
    route.match.query_params.push_back(random_condition(seeded, pick(seeded, kParamNames)));
  while (percent(seeded, shape.condition_percent / 2)) route.match.methods.push_back(pick(seeded, kMethods));
  if (route.match.methods.size() > 8) route.match.methods.resize(8);
  route.action = DirectResponse{200, std::to_string(number)};
  return route;
}

/// Something that an expression might match: its text with the syntax left out or guessed.
std::string likely_match(Seeded& seeded, const std::string& pattern) {
  std::string out;
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    const char c = pattern[i];
    if (c == '\\' && i + 1 < pattern.size()) {
      ++i;
      if (pattern[i] == 'd') out += static_cast<char>('0' + seeded.below(10));
      if (pattern[i] == 'w') out += "ab1_"[seeded.below(4)];
      if (pattern[i] == '.') out += '.';
    } else if (c == '[') {
      out += "ab/1"[seeded.below(4)];
      i = std::min(pattern.find(']', i), pattern.size());
    } else if (c == '.') {
      for (std::size_t n = seeded.below(3); n > 0; --n) out += "ab/1"[seeded.below(4)];
    } else if (c == '{') {
      i = std::min(pattern.find('}', i), pattern.size());
    } else if (std::string_view{"()*+?|^$:"}.find(c) == std::string_view::npos) {
      out += c;
      if (percent(seeded, 5)) out += c;
    }
  }
  return out;
}

void distort(Seeded& seeded, std::string& path) {
  const std::size_t at = seeded.below(path.size() + 1);
  switch (seeded.below(6)) {
    case 0:
      path.insert(at, 1, "ab/1.Z~"[seeded.below(7)]);
      break;
    case 1:
      if (at < path.size()) path.erase(at, 1);
      break;
    case 2:
      path += "/" + pick(seeded, kSegments);
      break;
    case 3:
      if (at < path.size()) path[at] = static_cast<char>(seeded.below(128));
      break;
    case 4:
      path.resize(at);
      break;
    default:
      for (char& c : path)
        if (percent(seeded, 20)) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c;
  }
}

std::string describe(const ValueMatch& match) {
  static constexpr const char* kKinds[] = {"present", "exact", "prefix", "regex", "range"};
  std::string out = match.name + " " + kKinds[static_cast<std::size_t>(match.kind)] + " \"" + match.value + "\"";
  if (match.kind == ValueKind::range) out += " [" + std::to_string(match.low) + "," + std::to_string(match.high) + ")";
  if (match.invert) out += " inverted";
  if (match.missing_as_empty) out += " missing_as_empty";
  if (match.ignore_case) out += " ignore_case";
  return out;
}

/// Everything that smallest_failing() may leave out of a table, one thing per number.
bool without(RouteTable& table, std::size_t number) {
  const auto erase = [&](auto& list) {
    if (number < list.size()) {
      list.erase(list.begin() + static_cast<std::ptrdiff_t>(number));
      return true;
    }
    number -= list.size();
    return false;
  };
  if (erase(table.virtual_hosts)) return true;
  for (VirtualHost& host : table.virtual_hosts) {
    if (erase(host.routes) || (host.domains.size() > 1 && erase(host.domains))) return true;
    for (Route& route : host.routes)
      if (erase(route.match.headers) || erase(route.match.query_params) || erase(route.match.methods)) return true;
  }
  return false;
}

}  // namespace

std::string random_regex(Seeded& seeded, int depth) {
  static constexpr const char* kAtoms[] = {"a",           "b",     "c",        "1",         "/",   "/",   "ab",  "api",
                                           ".",           "[a-c]", "[^/]",     "[^a]",      "\\d", "\\w", "\\.", "\\S",
                                           "[[:alpha:]]", "\\x61", "[0-9a-f]", "\\Qa.b\\E", "-",   "\\s", "\\W"};
  static constexpr const char* kRare[] = {"^",   "$",   "\\b", "\\B",       "(?i)", "(?s).",
                                          "\\A", "\\z", "()",  "[^\\d\\w]", "\\n",  "(?i:aB)"};
  static constexpr const char* kRepeats[] = {"*", "+", "?", "{2}", "{1,3}", "{0,2}", "{2,}", "*?", "+?", "??"};
  std::string out;
  for (std::size_t items = 1 + seeded.below(4); items > 0; --items) {
    std::string atom;
    if (depth > 0 && percent(seeded, 25)) {
      atom = std::string{percent(seeded, 50) ? "(" : "(?:"} + random_regex(seeded, depth - 1) + ")";
    } else if (percent(seeded, 4)) {
      out += pick(seeded, kRare);
      continue;
    } else {
      atom = pick(seeded, kAtoms);
    }
    // Quoted text takes no repetition in our syntax.
    if (percent(seeded, 30) && !atom.ends_with("\\E")) atom += pick(seeded, kRepeats);
    out += atom;
  }
  if (depth > 0 && percent(seeded, 15)) out += "|" + random_regex(seeded, depth - 1);
  return out;
}

std::string random_path(Seeded& seeded) {
  std::string out = "/";
  for (std::size_t segments = seeded.below(5); segments > 0; --segments) {
    out += pick(seeded, kSegments);
    if (segments > 1 || percent(seeded, 25)) out += '/';
  }
  return out;
}

RouteTable random_table(Seeded& seeded, const TableShape& shape) {
  RouteTable table;
  std::vector<std::string> domains{std::begin(kDomains), std::end(kDomains)};
  for (std::size_t i = domains.size() - 1; i > 0; --i) std::swap(domains[i], domains[seeded.below(i + 1)]);
  const std::size_t hosts = 1 + seeded.below(shape.hosts_max);
  for (std::size_t i = 0; i < hosts; ++i) {
    VirtualHost host;
    host.name = "h" + std::to_string(i);
    for (std::size_t count = 1 + seeded.below(3); count > 0 && !domains.empty(); --count) {
      host.domains.push_back(domains.back());
      domains.pop_back();
    }
    const std::size_t routes = seeded.below(shape.routes_max + 1);
    for (std::size_t route = 0; route < routes; ++route) host.routes.push_back(random_route(seeded, shape, route));
    table.virtual_hosts.push_back(std::move(host));
  }
  return table;
}

RequestView OwnedRequest::view() {
  fields.clear();
  for (const auto& [name, value] : headers) fields.push_back(HeaderField::of(name, value));
  return {host, path, query, method, scheme, fields};
}

OwnedRequest random_request(Seeded& seeded, const RouteTable& table) {
  OwnedRequest request;
  request.host = pick(seeded, kHosts);
  request.path = random_path(seeded);
  const VirtualHost& host = table.virtual_hosts[seeded.below(table.virtual_hosts.size())];
  if (!host.routes.empty() && percent(seeded, 60)) {
    const PathMatch& match = host.routes[seeded.below(host.routes.size())].match.path;
    request.path = match.kind == PathKind::regex ? likely_match(seeded, match.value) : match.value;
    if (percent(seeded, 70)) {
      request.host = host.domains[seeded.below(host.domains.size())];
      std::replace(request.host.begin(), request.host.end(), '*', 'q');
    }
  }
  while (percent(seeded, 30)) distort(seeded, request.path);
  request.method = pick(seeded, kMethods);
  while (percent(seeded, 60)) {
    std::string name = pick(seeded, kHeaderNames);
    if (percent(seeded, 30)) name[0] = static_cast<char>(name[0] ^ 0x20);
    request.headers.emplace_back(name, pick(seeded, kValues));
  }
  for (char separator = '?'; percent(seeded, 40); separator = '&') {
    request.query += separator + pick(seeded, kParamNames);
    if (percent(seeded, 80)) request.query += "=" + pick(seeded, kValues);
    if (percent(seeded, 10)) request.query += "&";
  }
  return request;
}

std::string describe(const RouteTable& table) {
  static constexpr const char* kKinds[] = {"exact", "prefix", "segment_prefix", "regex"};
  std::string out;
  for (const VirtualHost& host : table.virtual_hosts) {
    out += "host " + host.name + ":";
    for (const std::string& domain : host.domains) out += " " + domain;
    out += "\n";
    for (const Route& route : host.routes) {
      const PathMatch& path = route.match.path;
      out += std::string{"  "} + kKinds[static_cast<std::size_t>(path.kind)] + " \"" + path.value + "\"";
      if (path.ignore_case) out += " ignore_case";
      for (const ValueMatch& match : route.match.headers) out += "; header " + describe(match);
      for (const ValueMatch& match : route.match.query_params) out += "; query " + describe(match);
      for (const std::string& method : route.match.methods) out += "; " + method;
      out += "\n";
    }
  }
  return out;
}

std::string describe(const OwnedRequest& request) {
  std::string out =
      request.method + " \"" + request.path + "\" query \"" + request.query + "\" host \"" + request.host + "\"\n";
  for (const auto& [name, value] : request.headers) out += "  " + name + ": " + value + "\n";
  return out;
}

RouteTable smallest_failing(RouteTable table, const std::function<bool(const RouteTable&)>& fails) {
  for (std::size_t number = 0;;) {
    RouteTable smaller = table;
    if (!without(smaller, number)) return table;
    if (fails(smaller))
      table = std::move(smaller);
    else
      ++number;
  }
}

}  // namespace penstock::route::test
