#include "l7/route/compile/validate.h"

#include <re2/re2.h>

#include <algorithm>
#include <map>
#include <set>

#include "l7/route/compile/regex_emit.h"
#include "l7/route/compile/validate_route.h"
#include "l7/route/text_fold.h"

namespace penstock::route {
namespace {

std::string host_place(const VirtualHost& host, std::size_t index) {
  return host.name.empty() ? "virtual host " + std::to_string(index) : "virtual host \"" + host.name + "\"";
}

bool domain_is_sound(std::string_view domain) {
  if (domain.empty() || domain.size() > kDomainOctetsMax) return false;
  if (domain == "*") return true;
  if (domain.starts_with('*'))
    domain.remove_prefix(1);
  else if (domain.ends_with('*'))
    domain.remove_suffix(1);
  return is_visible_ascii(domain) && domain.find_first_of("*/?#@\\") == std::string_view::npos;
}

class TableValidator {
 public:
  Problems run(const RouteTable& table) {
    if (table.virtual_hosts.size() > kHostMax)
      add("route table", "more than " + std::to_string(kHostMax) + " virtual hosts", "split it over several listeners");
    for (std::size_t i = 0; i < table.virtual_hosts.size(); ++i) host(table.virtual_hosts[i], i);
    if (domains_.size() > kDomainMax)
      add("route table", "more than " + std::to_string(kDomainMax) + " domains", "use wildcards");
    if (clusters_.size() > kClusterNameMax)
      add("route table", "more than " + std::to_string(kClusterNameMax) + " clusters", "");
    return std::move(problems_);
  }

 private:
  void add(std::string place, std::string what, std::string remedy) {
    problems_.push_back({std::move(place), std::move(what), std::move(remedy)});
  }

  void host(const VirtualHost& host, std::size_t index) {
    const std::string place = host_place(host, index);
    if (host.name.empty() || host.name.size() > kNameOctetsMax)
      add(place, "name is empty or longer than " + std::to_string(kNameOctetsMax), "give it a short name");
    else if (!names_.insert(host.name).second)
      add(place, "a second virtual host of this name", "rename one");
    if (host.domains.empty()) add(place, "no domains: it can never be chosen", "list at least one, \"*\" for all");
    for (const std::string& domain : host.domains) this->domain(domain, place);
    if (host.routes.size() > kHostRouteMax)
      add(place, "more than " + std::to_string(kHostRouteMax) + " routes", "split it over several hosts");
    std::set<std::string> patterns;
    for (std::size_t i = 0; i < host.routes.size(); ++i) {
      const Route& route = host.routes[i];
      std::string route_place = place + ": route " + std::to_string(i);
      if (!route.name.empty()) route_place += " \"" + route.name + "\"";
      validate_route(route, route_place, problems_);
      if (route.match.path.kind == PathKind::regex) patterns.insert(route.match.path.value);
      if (const auto* forward = std::get_if<Forward>(&route.action))
        for (const WeightedCluster& cluster : forward->clusters) clusters_.insert(cluster.name);
    }
    if (patterns.size() > kHostRegexMax)
      add(place, "more than " + std::to_string(kHostRegexMax) + " different expressions", "use prefixes where they do");
  }

  void domain(const std::string& domain, const std::string& place) {
    if (!domain_is_sound(domain))
      return add(place, "domain \"" + domain + "\" is not a host name",
                 "a name in ASCII, with port if requests have one; one '*' at its beginning or end");
    std::string lower = domain;
    std::transform(lower.begin(), lower.end(), lower.begin(), fold);
    const auto [owner, fresh] = domains_.emplace(std::move(lower), place);
    if (!fresh)
      add(place, "domain \"" + domain + "\" belongs to " + owner->second + " already", "remove one of the two");
  }

  Problems problems_;
  std::set<std::string> names_;
  std::set<std::string> clusters_;
  std::map<std::string, std::string> domains_;  ///< lower case, to the place of their host
};

}  // namespace

Problems validate(const RouteTable& table) { return TableValidator{}.run(table); }

std::string regex_problem(const std::string& pattern) {
  const auto regex = parse_regex(pattern);
  if (!regex) return regex.error();
  const auto program = emit_program(*regex);
  if (!program) return program.error();
  RE2::Options options{RE2::Latin1};
  options.set_log_errors(false);
  const RE2 reference{pattern, options};
  return reference.ok() ? std::string{} : reference.error();
}

}  // namespace penstock::route
