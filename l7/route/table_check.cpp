#include "l7/route/table_check.h"

#include "l7/route/route_config.h"

namespace penstock::route {
namespace {

Problem fault(std::string section, std::size_t record, std::string what) {
  return {"route table: " + std::move(section) + " " + std::to_string(record), std::move(what), ""};
}
bool inside(Text ref, std::string_view text) {
  return ref.offset <= text.size() && ref.octets <= text.size() - ref.offset;
}
bool inside(Range range, std::size_t count) { return range.begin <= count && range.count <= count - range.begin; }

bool value_is_sound(std::uint32_t value, const TrieTargets& targets) {
  if (value == kNoList) return true;
  if (targets.plain) return value < targets.routes;
  return (value & kDirect) != 0 ? (value & ~kDirect) < targets.routes : value < targets.lists;
}

const char* node_fault(const TrieNode& node, std::size_t index, std::size_t node_count,
                       std::span<const Fanout> fanouts) {
  if (node.label_octets > kNodeLabel) return "label is too long";
  if (node.child_count > 128) return "too many children";
  if (node.child_count != 0 && (node.children <= index || std::uint64_t{node.children} + node.child_count > node_count))
    return "children lie outside";
  for (std::size_t i = 0; i < kNodeKeys; ++i)
    if (i < node.child_count ? node.keys[i] > 0x7f : node.keys[i] != kNoKey) return "key is wrong";
  if (node.child_count <= kNodeKeys) return nullptr;
  if (node.fanout >= fanouts.size()) return "fan-out lies outside";
  for (const std::uint8_t child : fanouts[node.fanout].child)
    if (child > node.child_count) return "fan-out leads outside";
  return nullptr;
}

Trouble check_program(const HostView& host, const ProgramRef& ref, bool needed, const char* section,
                      std::size_t index) {
  if (!needed && ref.insts.count == 0) return std::nullopt;
  if (!inside(ref.insts, host.insts.size()) || !inside(ref.sets, host.sets.size()) || ref.entry >= kProgramInstMax ||
      !program_is_sound(host.program(ref)))
    return fault(section, index, "program is not sound");
  if (ref.insts.count > host.facts.insts_max) return fault(section, index, "program is longer than insts_max");
  return std::nullopt;
}

Trouble check_facts(const HostView& host) {
  const HostFacts& facts = host.facts;
  if (!inside(facts.name, host.text)) return fault("facts", 0, "name lies outside");
  if (facts.fold_root >= host.nodes.size()) return fault("facts", 0, "root lies outside");
  if (facts.insts_max > kProgramInstMax) return fault("facts", 0, "insts_max is above the limit");
  // A root is entered without comparing its label.
  for (const std::uint32_t root : {std::uint32_t{0}, facts.fold_root})
    if (host.nodes[root].label_octets != 0) return fault("nodes", root, "root has a label");
  return std::nullopt;
}

Trouble check_lists(const HostView& host) {
  for (std::size_t i = 0; i < host.lists.size(); ++i)
    if ((host.lists[i] & kListRoute) >= host.routes.size()) return fault("lists", i, "route lies outside");
  if (!host.lists.empty() && (host.lists.back() & kLast) == 0)
    return fault("lists", host.lists.size() - 1, "last list does not end");
  return std::nullopt;
}

Trouble check_conditions(const HostView& host) {
  for (std::size_t i = 0; i < host.conditions.size(); ++i) {
    const Condition& condition = host.conditions[i];
    if (condition.source > static_cast<std::uint8_t>(ConditionSource::query) ||
        condition.kind > static_cast<std::uint8_t>(ValueKind::range) || (condition.flags & ~kConditionFlagsAll) != 0)
      return fault("conditions", i, "kind is unknown");
    if (!inside(condition.name, host.text) || !inside(condition.value, host.text))
      return fault("conditions", i, "text lies outside");
    const bool regex = condition.kind == static_cast<std::uint8_t>(ValueKind::regex);
    if (auto trouble = check_program(host, condition.program, regex, "conditions", i)) return trouble;
  }
  return std::nullopt;
}

Trouble check_regexes(const HostView& host) {
  const TrieTargets targets{host.routes.size(), host.lists.size(), false};
  for (std::size_t i = 0; i < host.regexes.size(); ++i) {
    const RegexRecord& regex = host.regexes[i];
    if (regex.routes == kNoList || !value_is_sound(regex.routes, targets))
      return fault("regexes", i, "routes lie outside");
    if (i != 0 && regex.min_route < host.regexes[i - 1].min_route) return fault("regexes", i, "not in order");
    if (regex.in_database > 1) return fault("regexes", i, "flag is unknown");
    if (!inside(regex.prefix, host.text)) return fault("regexes", i, "prefix lies outside");
    if (auto trouble = check_program(host, regex.program, true, "regexes", i)) return trouble;
  }
  return std::nullopt;
}

Trouble check_automaton(const HostView& host) {
  if (host.automaton.empty()) return std::nullopt;
  const AutomatonFacts& facts = host.automaton.front();
  const std::size_t states = host.automaton_states.size();
  if (states <= kAutomatonStart || facts.class_count == 0 || facts.class_count > 128 ||
      host.automaton_accept.size() != states ||
      host.automaton_rows.size() != std::uint64_t{facts.row_count} * facts.class_count)
    return fault("automaton", 0, "sizes do not fit");
  for (const std::uint8_t octet_class : facts.classes)
    if (octet_class >= facts.class_count) return fault("automaton", 0, "class lies outside");
  for (std::size_t i = 0; i < states; ++i) {
    const std::uint32_t state = host.automaton_states[i];
    if ((state & kAutomatonRow) != 0 ? (state & ~kAutomatonRow) >= facts.row_count : (state & 0xffff) >= states)
      return fault("automaton_states", i, "leads outside");
  }
  for (std::size_t i = 0; i < states; ++i) {
    const std::uint32_t accept = host.automaton_accept[i];
    if (accept != kNoRoute && accept != kAutomatonUnknown && accept >= host.automaton_matches.size())
      return fault("automaton_accept", i, "list lies outside");
  }
  for (std::size_t i = 0; i < host.automaton_matches.size(); ++i)
    if ((host.automaton_matches[i] & ~kLast) >= host.regexes.size())
      return fault("automaton_matches", i, "expression lies outside");
  if (!host.automaton_matches.empty() && (host.automaton_matches.back() & kLast) == 0)
    return fault("automaton_matches", host.automaton_matches.size() - 1, "last list does not end");
  for (std::size_t i = 0; i < host.automaton_rows.size(); ++i)
    if (host.automaton_rows[i] >= states) return fault("automaton_rows", i, "state lies outside");
  return std::nullopt;
}

bool edits_inside(const HostView& host, const EditRanges& ranges) {
  return inside(ranges.remove, host.names.size()) && inside(ranges.edits, host.edits.size());
}

Trouble check_route(const HostView& host, std::size_t i) {
  const RouteGate& gate = host.gates[i];
  const RouteRecord& route = host.routes[i];
  if (!inside(gate.conditions, host.conditions.size()) ||
      !inside(Range{gate.method_names, gate.method_count}, host.names.size()))
    return fault("gates", i, "range lies outside");
  if (route.action > static_cast<std::uint8_t>(ActionKind::direct_response) ||
      route.path_kind > static_cast<std::uint8_t>(PathKind::regex) || (route.flags & ~kRouteFlagsAll) != 0)
    return fault("routes", i, "kind is unknown");
  for (const Text text : {route.name, route.rewrite, route.host, route.scheme, route.body})
    if (!inside(text, host.text)) return fault("routes", i, "text lies outside");
  if (!inside(route.clusters, host.clusters.size()) || !edits_inside(host, route.request) ||
      !edits_inside(host, route.response))
    return fault("routes", i, "range lies outside");
  if (route.retry_status_count > kRetryStatusMax) return fault("routes", i, "too many retry statuses");
  const bool forward = route.action == static_cast<std::uint8_t>(ActionKind::forward);
  // The pick takes a number below weight_sum and the first cluster whose weight_end is above it.
  if (forward && (route.clusters.count == 0 || route.weight_sum == 0 ||
                  HostView::part(host.clusters, route.clusters).back().weight_end != route.weight_sum))
    return fault("routes", i, "weights do not add up");
  const bool rewrites = (route.flags & kRegexRewrite) != 0;
  if (rewrites && host.facts.rewrites == 0) return fault("routes", i, "rewrite is not announced");
  return check_program(host, route.rewrite_program, rewrites, "routes", i);
}

}  // namespace

Trouble check_trie(std::span<const TrieNode> nodes, std::span<const Fanout> fanouts, const TrieTargets& targets,
                   const char* what) {
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    if (const char* text = node_fault(nodes[i], i, nodes.size(), fanouts)) return fault(what, i, text);
    for (const std::uint32_t value : {nodes[i].prefix, nodes[i].exact, nodes[i].segment})
      if (!value_is_sound(value, targets)) return fault(what, i, "value lies outside");
  }
  return std::nullopt;
}

Trouble check_host(const HostView& host) {
  if (host.gates.size() != host.routes.size()) return fault("gates", 0, "not one per route");
  if (auto trouble = check_facts(host)) return trouble;
  if (auto trouble = check_lists(host)) return trouble;
  if (auto trouble = check_trie(host.nodes, host.fanouts, {host.routes.size(), host.lists.size(), false}, "nodes"))
    return trouble;
  if (auto trouble = check_conditions(host)) return trouble;
  if (auto trouble = check_regexes(host)) return trouble;
  if (auto trouble = check_automaton(host)) return trouble;
  for (std::size_t i = 0; i < host.routes.size(); ++i)
    if (auto trouble = check_route(host, i)) return trouble;
  for (std::size_t i = 0; i < host.edits.size(); ++i)
    if (!inside(host.edits[i].name, host.text) || !inside(host.edits[i].value, host.text) ||
        host.edits[i].mode > static_cast<std::uint32_t>(HeaderEditMode::set_if_present))
      return fault("edits", i, "text or mode is wrong");
  for (std::size_t i = 0; i < host.names.size(); ++i)
    if (!inside(host.names[i], host.text)) return fault("names", i, "text lies outside");
  return std::nullopt;
}

Trouble check_clusters(const HostView& host, std::size_t cluster_count) {
  for (std::size_t i = 0; i < host.clusters.size(); ++i)
    if (host.clusters[i].cluster >= cluster_count) return fault("clusters", i, "cluster lies outside");
  return std::nullopt;
}

}  // namespace penstock::route
