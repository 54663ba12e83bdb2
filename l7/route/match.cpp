#include "l7/route/match.h"

#include <hs/hs_runtime.h>

#include <algorithm>

#include "l7/route/condition.h"

namespace penstock::route {
namespace {

/// Copies into a padded buffer; false when an octet is outside ASCII.
bool copy_ascii(std::string_view from, char* to) {
  std::uint64_t highs = 0;
  std::size_t at = 0;
  for (; at + 8 <= from.size(); at += 8) {
    const std::uint64_t word = detail::load_64(from.data() + at);
    highs |= word;
    std::memcpy(to + at, &word, sizeof word);
  }
  for (; at < from.size(); ++at) {
    highs |= static_cast<std::uint8_t>(from[at]);
    to[at] = from[at];
  }
  return (highs & 0x8080'8080'8080'8080) == 0;
}

/// The search for the lowest route: `best_` only falls.
class RouteSearch {
 public:
  RouteSearch(const HostView& host, const hs_database* database, const RequestView& request, Scratch& scratch)
      : host_{host}, database_{database}, conditions_{host, request, scratch.programs()}, scratch_{scratch} {}

  /// `path` is padded.
  std::uint32_t run(std::string_view path) {
    walk(0, path);
    if (host_.facts.fold_root != 0) {
      char* folded = scratch_.buffers().folded_path.data();
      for (std::size_t i = 0; i < path.size(); ++i) folded[i] = fold(path[i]);
      walk(host_.facts.fold_root, {folded, path.size()});
    }
    if (regex_min_ < best_) {
      const std::uint32_t matches = automaton_answer(path);
      if (matches == kAutomatonUnknown)
        search_regexes(path);
      else if (matches != kNoRoute)
        consider_matches(matches);
    }
    return best_;
  }

 private:
  void walk(std::uint32_t root, std::string_view path) {
    walk_trie(host_.nodes, host_.fanouts, root, path, [&](const TrieNode& node, std::size_t at) {
      if (node.subtree_min >= best_) return false;
      regex_min_ = std::min(regex_min_, node.regex_min);
      consider(node.prefix);
      if (at == path.size()) consider(node.exact);
      if (at == path.size() || path[at] == '/') consider(node.segment);
      return true;
    });
  }

  /// Of the routes at `value`, the first whose conditions hold, if it is better than the best so far.
  void consider(std::uint32_t value) {
    if (value == kNoList) return;
    if ((value & kDirect) != 0) {
      best_ = std::min(best_, value & ~kDirect);
      return;
    }
    for (const std::uint32_t* entry = &host_.lists[value];; ++entry) {
      const std::uint32_t route = *entry & kListRoute;
      if (route >= best_) return;
      if ((*entry & kUnconditional) != 0 || conditions_.hold(route)) {
        best_ = route;
        return;
      }
      if ((*entry & kLast) != 0) return;
    }
  }

  /// kNoRoute: no expression matches; kAutomatonUnknown: ask; else the list of those that match.
  std::uint32_t automaton_answer(std::string_view path) const {
    if (host_.automaton.empty()) return kAutomatonUnknown;
    const AutomatonFacts& facts = host_.automaton.front();
    std::uint32_t state = kAutomatonStart;
    for (const char octet : path) {
      const std::uint32_t octet_class = facts.classes[static_cast<std::uint8_t>(octet)];
      const std::uint32_t leads = host_.automaton_states[state];
      if ((leads & kAutomatonRow) != 0)
        state = host_.automaton_rows[(leads & ~kAutomatonRow) * facts.class_count + octet_class];
      else
        state = leads >> 16 == octet_class ? leads & 0xffff : kAutomatonDead;
      if (state < kAutomatonStart) return state == kAutomatonAsk ? kAutomatonUnknown : kNoRoute;
    }
    return host_.automaton_accept[state];
  }

  void consider_matches(std::uint32_t list) {
    ++scratch_.counters().decided;
    for (const std::uint32_t* entry = &host_.automaton_matches[list];; ++entry) {
      consider(host_.regexes[*entry & ~kLast].routes);
      if ((*entry & kLast) != 0) return;
    }
  }

  void search_regexes(std::string_view path) {
    LookupCounters& counters = scratch_.counters();
    if (database_ == nullptr) {
      ++counters.linear;
      return try_regexes(path, false);
    }
    ++counters.scans;
    // Matches come in no order, so every one is considered, and the scan goes on to the end.
    const auto on_match = [](unsigned id, unsigned long long, unsigned long long, unsigned, void* context) {
      auto* self = static_cast<RouteSearch*>(context);
      if (id < self->host_.regexes.size()) self->consider(self->host_.regexes[id].routes);
      return 0;
    };
    const hs_error_t error =
        hs_scan(database_, path.data(), static_cast<unsigned>(path.size()), 0, scratch_.hyperscan(), on_match, this);
    if (error != HS_SUCCESS) {
      ++counters.scan_failures;
      return try_regexes(path, false);
    }
    if (host_.facts.program_only != 0) try_regexes(path, true);
  }

  /// One by one, in order; only those that the database lacks, or all.
  void try_regexes(std::string_view path, bool program_only) {
    for (const RegexRecord& regex : host_.regexes) {
      if (regex.min_route >= best_) return;
      if (program_only && regex.in_database != 0) continue;
      if (!path.starts_with(host_.at(regex.prefix))) continue;
      if (full_match(host_.program(regex.program), path, scratch_.programs())) consider(regex.routes);
    }
  }

  const HostView& host_;
  const hs_database* database_;
  Conditions conditions_;
  Scratch& scratch_;
  std::uint32_t best_{kNoRoute};
  std::uint32_t regex_min_{kNoRoute};
};

/// `host` in any case.
std::uint32_t exact_host(const TableView& table, std::string_view host) {
  const std::size_t mask = table.slots().size() - 1;
  const std::uint32_t hash = folded_hash(host);
  for (std::size_t at = hash & mask; table.slots()[at] != kEmptySlot; at = (at + 1) & mask) {
    const DomainRecord& domain = table.domains()[table.slots()[at]];
    if (domain.hash == hash && equals_folded(host, table.at(domain.name))) return domain.host;
  }
  return kNoHost;
}

/// Longest key that is a proper prefix of `text`: a wildcard stands for at least one octet.
std::uint32_t longest(const TableView& table, std::uint32_t root, std::string_view text) {
  std::uint32_t found = kNoHost;
  walk_trie(table.nodes(), table.fanouts(), root, text, [&](const TrieNode& node, std::size_t at) {
    if (node.prefix != kNoList && at < text.size()) found = node.prefix;
    return node.child_count != 0;
  });
  return found;
}

std::uint32_t pick_cluster(const HostView& host, const RouteRecord& route, std::uint64_t random) {
  const auto clusters = HostView::part(host.clusters, route.clusters);
  const auto point = static_cast<std::uint32_t>((random >> 32) * route.weight_sum >> 32);
  for (const ClusterRecord& cluster : clusters)
    if (point < cluster.weight_end) return cluster.cluster;
  return clusters.back().cluster;
}

}  // namespace

std::uint32_t find_host(const TableView& table, std::string_view host, Scratch& scratch) {
  if (host.empty() || host.size() > kDomainOctetsMax) return table.facts().any_host;
  if (const std::uint32_t found = exact_host(table, host); found != kNoHost) return found;
  char* lower = scratch.buffers().host.data();
  char highs = 0;
  for (std::size_t i = 0; i < host.size(); ++i) {
    lower[i] = fold(host[i]);
    highs = static_cast<char>(highs | host[i]);
  }
  if ((highs & 0x80) != 0) return table.facts().any_host;
  const std::string_view text{lower, host.size()};
  if (table.nodes()[table.facts().suffix_root].child_count != 0) {
    char* reversed = scratch.buffers().reversed_host.data();
    std::reverse_copy(text.begin(), text.end(), reversed);
    const std::uint32_t found = longest(table, table.facts().suffix_root, {reversed, text.size()});
    if (found != kNoHost) return found;
  }
  if (const std::uint32_t found = longest(table, 0, text); found != kNoHost) return found;
  return table.facts().any_host;
}

MatchResult match(const LoadedTable& table, const RequestView& request, Scratch& scratch, std::uint64_t random) {
  MatchResult result;
  if (request.path.size() > kPathOctetsMax || !copy_ascii(request.path, scratch.buffers().path.data())) {
    result.status = MatchStatus::bad_path;
    return result;
  }
  result.host = find_host(table.view(), request.host, scratch);
  if (result.host == kNoHost) return result;
  const HostView& host = table.view().hosts()[result.host];
  RouteSearch search{host, table.database(result.host), request, scratch};
  result.route = search.run({scratch.buffers().path.data(), request.path.size()});
  result.status = result.route == kNoRoute ? MatchStatus::no_route : MatchStatus::found;
  if (result.status == MatchStatus::found) {
    const RouteRecord& route = host.routes[result.route];
    if (ActionKind{route.action} == ActionKind::forward) result.cluster = pick_cluster(host, route, random);
  }
  return result;
}

}  // namespace penstock::route
