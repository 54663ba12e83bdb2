#include "mgmt/config/http_checks.h"

#include <algorithm>
#include <charconv>
#include <map>

#include "l7/route/compile/validate.h"
#include "l7/route/compile/validate_route.h"
#include "mgmt/config/values.h"

namespace penstock::config {
namespace {

using control::LbPolicy;

/// The place of `key` in `text`, or of `text`.
Place place_of(const YamlNode& text, std::string_view key) {
  const YamlNode* at = text.find(key);
  return at == nullptr ? text.place : at->place;
}

/// Names and domains: the router's own checks, of hosts without their routes.
void check_hosts(const Listener& listener, const YamlNode& hosts, Reader& reader) {
  route::RouteTable table;
  for (std::size_t i = 0; i < listener.virtual_hosts.size(); ++i) {
    const route::VirtualHost& host = listener.virtual_hosts[i];
    const YamlNode* domains = i < hosts.items.size() ? hosts.items[i].find("domains") : nullptr;
    const bool unread = domains != nullptr && reader.is_bad(*domains);  // told already; any name stands for them
    const std::vector<std::string> stand_in{"unread-" + std::to_string(i)};
    table.virtual_hosts.push_back({host.name, unread ? stand_in : host.domains, {}});
  }
  for (const Problem& problem : route::validate(table)) {
    Place place = hosts.place;
    // Of two hosts of one name the second is at fault; a domain that two have is told with the second as well.
    for (std::size_t i = 0; i < listener.virtual_hosts.size() && i < hosts.items.size(); ++i)
      if (problem.place == "virtual host \"" + listener.virtual_hosts[i].name + "\"" ||
          problem.place == "virtual host " + std::to_string(i))
        place = problem.what.starts_with("domain") ? place_of(hosts.items[i], "domains") : hosts.items[i].place;
    reader.problem(place, problem.place + ": " + problem.what, problem.remedy);
  }
}

class RouteClusters {
 public:
  RouteClusters(Reader& reader, const std::function<bool(std::string_view)>& known,
                std::span<const std::string_view> names)
      : reader_{reader}, known_{known}, names_{names} {}

  void check(const route::Route& route, const YamlNode& text) {
    if (route.policy.mirror && !known_(route.policy.mirror->cluster))
      reader_.problem(place_of(text, "mirror"), "cluster `" + route.policy.mirror->cluster + "` does not exist",
                      hint(route.policy.mirror->cluster, names_, "add it to `clusters`"));
    const auto* forward = std::get_if<route::Forward>(&route.action);
    if (forward == nullptr) return;
    const YamlNode* listed = text.find("weighted_clusters");
    std::map<std::string_view, std::size_t> seen;
    for (std::size_t i = 0; i < forward->clusters.size(); ++i) {
      const std::string& name = forward->clusters[i].name;
      const bool has_place = listed != nullptr && i < listed->items.size();
      const Place place = has_place ? place_of(listed->items[i], "name") : place_of(text, "cluster");
      if (name.empty()) continue;
      if (!seen.emplace(name, i).second)
        reader_.problem(place, "cluster `" + name + "` is listed twice", "add the weights up");
      if (!known_(name))
        reader_.problem(place, "cluster `" + name + "` does not exist", hint(name, names_, "add it to `clusters`"));
    }
  }

 private:
  Reader& reader_;
  const std::function<bool(std::string_view)>& known_;
  std::span<const std::string_view> names_;
};

/// As it may stand in Via (RFC 9110 s7.6.3).
bool is_pseudonym(const std::string& via) {
  return std::all_of(via.begin(), via.end(), [](unsigned char c) {
    return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || c == '-' || c == '.' || c == '_';
  });
}

/// "host:port", where both may be patterns.
bool is_connect_target(std::string_view text) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos || colon == 0) return false;
  const std::string_view host = text.substr(0, colon), port = text.substr(colon + 1);
  std::uint16_t value = 0;
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), value);
  const bool number = error == std::errc{} && end == port.data() + port.size() && port[0] != '0';
  const std::string_view rest = host == "*" ? "" : host.starts_with("*.") ? host.substr(2) : host;
  return (port == "*" || number) && (host == "*" || !rest.empty()) &&
         std::all_of(rest.begin(), rest.end(), [](unsigned char c) {
           return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || c == '-' || c == '.' ||
                  c == '_' || c == '[' || c == ']' || c == ':';
         });
}

void check_connect(const Connect& connect, const YamlNode& text, Reader& reader,
                   const std::function<bool(std::string_view)>& known, std::span<const std::string_view> names) {
  for (std::size_t i = 0; i < connect.allow.size(); ++i)
    if (!is_connect_target(connect.allow[i]))
      reader.problem(text.find("allow")->items[i].place, "`" + connect.allow[i] + "` is no target of CONNECT",
                     "write host:port, with * or *.suffix for the host, * for the port");
  if (connect.allow.empty()) reader.problem(text.place, "`connect` allows nothing", "list targets, or remove it");
  if (!connect.cluster.empty() && !known(connect.cluster))
    reader.problem(place_of(text, "cluster"), "cluster `" + connect.cluster + "` does not exist",
                   hint(connect.cluster, names, "add it to `clusters`"));
}

void check_not_http(const YamlNode& text, Reader& reader) {
  for (const char* key : {"virtual_hosts", "http"})
    if (const YamlNode* at = text.find(key))
      reader.problem(at->place, "`" + std::string{key} + "` is given, but the protocol is not http",
                     "write `protocol: http`, or remove it");
}

void check_affinity(const SessionAffinity& rule, const YamlNode& text, Reader& reader) {
  if (!route::is_token(rule.cookie))
    reader.problem(place_of(text, "cookie"), "`" + rule.cookie + "` is not the name of a cookie",
                   "letters, digits and -");
  const auto octet = [](unsigned char c) { return c > ' ' && c < 0x7f && c != ';' && c != ','; };
  if (!rule.path.starts_with('/') || !std::all_of(rule.path.begin(), rule.path.end(), octet))
    reader.problem(place_of(text, "path"), "path `" + rule.path + "` is no path", "begins with '/', percent-encoded");
}

void check_health_checks(const Cluster& cluster, const YamlNode& text, Reader& reader) {
  const YamlNode* checks = text.find("health_checks");
  if (checks == nullptr) return;
  for (std::size_t i = 0; i < cluster.health_checks.size() && i < checks->items.size(); ++i) {
    const HealthCheck& check = cluster.health_checks[i];
    const YamlNode& at = checks->items[i];
    if (check.kind == CheckKind::tcp)
      for (const char* key : {"path", "host", "expected_statuses"})
        if (const YamlNode* wrong = at.find(key))
          reader.problem(wrong->place, "`" + std::string{key} + "` is for checks with protocol http",
                         "write `protocol: http`, or remove it");
    const auto ascii = [](const std::string& value) {
      return value.find_first_of(" \t") == std::string::npos &&
             std::all_of(value.begin(), value.end(), [](char c) { return static_cast<unsigned char>(c) < 0x7f; });
    };
    if (!check.path.starts_with('/') || !ascii(check.path))
      reader.problem(place_of(at, "path"), "path `" + check.path + "` is no path", "begins with '/', percent-encoded");
    if (!ascii(check.host)) reader.problem(place_of(at, "host"), "host is no host name", "letters, digits, - and .");
    if (check.timeout > check.interval)
      reader.problem(
          place_of(at, "timeout"),
          "timeout " + duration_text(check.timeout) + " is above the interval " + duration_text(check.interval),
          "lower it: one check ends before the next begins");
  }
}

}  // namespace

void check_http_listener(const Listener& listener, const YamlNode& text, Reader& reader,
                         const std::function<bool(std::string_view)>& known, std::span<const std::string_view> names) {
  if (listener.application != Application::http) return check_not_http(text, reader);
  const YamlNode* hosts = text.find("virtual_hosts");
  if (hosts == nullptr)
    return reader.problem(text.place, "protocol http without `virtual_hosts`",
                          "add `virtual_hosts: [{name: all, domains: [\"*\"], routes: [...]}]`");
  if (const YamlNode* http = text.find("http"); http != nullptr && !is_pseudonym(listener.http.via))
    reader.problem(place_of(*http, "via"), "via `" + listener.http.via + "` is no name", "letters, digits, - and .");
  if (const YamlNode* http = text.find("http"); http != nullptr && listener.http.connect)
    check_connect(*listener.http.connect, *http->find("connect"), reader, known, names);
  if (reader.is_bad(*hosts)) return;
  if (listener.virtual_hosts.empty())
    return reader.problem(hosts->place, "no virtual host: every request would get 404", "add one");
  check_hosts(listener, *hosts, reader);
  RouteClusters clusters{reader, known, names};
  for (std::size_t h = 0; h < listener.virtual_hosts.size() && h < hosts->items.size(); ++h) {
    const YamlNode* routes = hosts->items[h].find("routes");
    if (routes == nullptr) continue;
    const auto& values = listener.virtual_hosts[h].routes;
    for (std::size_t r = 0; r < values.size() && r < routes->items.size(); ++r)
      if (!reader.is_bad(routes->items[r])) clusters.check(values[r], routes->items[r]);
  }
}

void check_cluster_policies(const Cluster& cluster, const YamlNode& text, Reader& reader) {
  const bool hashes = cluster.lb_policy == LbPolicy::maglev || cluster.lb_policy == LbPolicy::ring_hash;
  if (!cluster.hash_policy.empty() && !hashes)
    reader.problem(place_of(text, "hash_policy"), "`hash_policy` is given, but lb_policy does not hash",
                   "write `lb_policy: maglev` or `ring_hash`");
  if (const YamlNode* at = text.find("choice_count"); at != nullptr && cluster.lb_policy != LbPolicy::least_request)
    reader.problem(at->place, "`choice_count` is for lb_policy least_request", "remove it");
  if (const YamlNode* at = text.find("ring_size"); at != nullptr && cluster.lb_policy != LbPolicy::ring_hash)
    reader.problem(at->place, "`ring_size` is for lb_policy ring_hash", "remove it");
  if (cluster.outlier_detection &&
      cluster.outlier_detection->max_ejection_time < cluster.outlier_detection->base_ejection_time)
    reader.problem(place_of(text, "outlier_detection"), "max_ejection_time is below base_ejection_time", "raise it");
  const bool warms = cluster.lb_policy == LbPolicy::round_robin || cluster.lb_policy == LbPolicy::least_request;
  if (cluster.slow_start && !warms)
    reader.problem(place_of(text, "slow_start"), "`slow_start` is for lb_policy round_robin and least_request",
                   "remove it");
  if (cluster.session_affinity) check_affinity(*cluster.session_affinity, *text.find("session_affinity"), reader);
  check_health_checks(cluster, text, reader);
}

}  // namespace penstock::config
