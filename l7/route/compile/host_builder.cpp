#include "l7/route/compile/host_builder.h"

#include <algorithm>

#include "dataplane/core/require.h"
#include "l7/route/compile/regex_emit.h"
#include "l7/route/condition.h"
#include "l7/route/table_view.h"
#include "l7/route/text_fold.h"

namespace penstock::route {
namespace {

std::string lower_case(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), fold);
  return text;
}
std::uint32_t count_of(const auto& list) { return static_cast<std::uint32_t>(list.size()); }
constexpr std::size_t index_of(HostSection section) { return static_cast<std::size_t>(section); }

}  // namespace

Text TextPool::add(const std::string& text) {
  if (text.empty()) return {};
  const auto [entry, fresh] = offsets_.try_emplace(text, static_cast<std::uint32_t>(octets_.size()));
  if (fresh) octets_ += text;
  return {entry->second, static_cast<std::uint32_t>(text.size())};
}

HostBuilder::HostBuilder(const VirtualHost& host, const ClusterNames& clusters, std::size_t automaton_states)
    : cluster_names_{clusters} {
  facts_.name = texts_.add(host.name);
  for (std::size_t i = 0; i < host.routes.size(); ++i) add(host.routes[i], static_cast<std::uint32_t>(i));
  build_tries();
  build_path_automaton(automaton_states);
}

void HostBuilder::add(const Route& route, std::uint32_t number) {
  RouteGate gate{};
  add_conditions(route.match, gate);
  RouteRecord record{};
  record.name = texts_.add(route.name);
  record.path_kind = static_cast<std::uint8_t>(route.match.path.kind);
  record.path_octets = static_cast<std::uint32_t>(route.match.path.value.size());
  if (const auto* forward = std::get_if<Forward>(&route.action)) {
    add_forward(*forward, record);
  } else if (const auto* redirect = std::get_if<Redirect>(&route.action)) {
    add_redirect(*redirect, record);
  } else {
    const auto& direct = std::get<DirectResponse>(route.action);
    record.action = static_cast<std::uint8_t>(ActionKind::direct_response);
    record.status = direct.status;
    record.body = texts_.add(direct.body);
  }
  record.request = add_edits(route.request);
  record.response = add_edits(route.response);
  gates_.push_back(gate);
  routes_.push_back(record);
  add_path(route.match.path, {number, gate.conditions.count == 0 && gate.methods == 0 && gate.method_count == 0});
}

void HostBuilder::add_path(const PathMatch& path, ListedRoute route) {
  TrieBuilder& trie = path.ignore_case ? fold_trie_ : trie_;
  const std::string key = path.ignore_case ? lower_case(path.value) : path.value;
  switch (path.kind) {
    case PathKind::exact:
      return trie.add(key, TrieEnd::exact, route);
    case PathKind::prefix:
      return trie.add(key, TrieEnd::prefix, route);
    case PathKind::segment_prefix:
      return trie.add(key, TrieEnd::segment, route);
    case PathKind::regex:
      break;
  }
  const auto [entry, fresh] = regex_numbers_.try_emplace(path.value, regexes_.size());
  if (fresh) {
    const auto regex = parse_regex(path.value);
    require(regex.ok(), "expression was validated");
    const std::string prefix = literal_prefix(*regex);
    RegexRecord record{};
    record.min_route = route.route;
    record.program = add_program(path.value);
    record.prefix = texts_.add(prefix);
    regexes_.push_back(record);
    regex_routes_.emplace_back();
    expressions_.push_back(emit_hyperscan(*regex));
    trie_.add_regex(prefix, route.route);
  }
  regex_routes_[entry->second].push_back(route);
}

void HostBuilder::add_conditions(const RouteMatch& match, RouteGate& gate) {
  gate.conditions.begin = count_of(conditions_);
  for (const ValueMatch& header : match.headers) add_condition(header, ConditionSource::header);
  for (const ValueMatch& param : match.query_params) add_condition(param, ConditionSource::query);
  gate.conditions.count = count_of(conditions_) - gate.conditions.begin;
  add_methods(match.methods, gate);
}

void HostBuilder::add_condition(const ValueMatch& match, ConditionSource source) {
  Condition condition{};
  condition.source = static_cast<std::uint8_t>(source);
  condition.kind = static_cast<std::uint8_t>(match.kind);
  condition.flags = static_cast<std::uint8_t>((match.invert ? kInvert : 0) | (match.ignore_case ? kIgnoreCase : 0) |
                                              (match.missing_as_empty ? kMissingAsEmpty : 0));
  const std::string name = source == ConditionSource::header ? lower_case(match.name) : match.name;
  condition.name = texts_.add(name);
  condition.name_hash = header_name_hash(name);
  condition.value = texts_.add(match.ignore_case ? lower_case(match.value) : match.value);
  condition.low = match.low;
  condition.high = match.high;
  if (match.kind == ValueKind::regex) condition.program = add_program(match.value);
  conditions_.push_back(condition);
}

void HostBuilder::add_methods(const std::vector<std::string>& methods, RouteGate& gate) {
  gate.method_names = count_of(names_);
  for (const std::string& name : methods) {
    const Method method = method_of(name);
    if (method == Method::other)
      names_.push_back(texts_.add(name));
    else
      gate.methods = static_cast<std::uint16_t>(gate.methods | 1u << static_cast<unsigned>(method));
  }
  gate.method_count = static_cast<std::uint16_t>(names_.size() - gate.method_names);
}

void HostBuilder::add_forward(const Forward& forward, RouteRecord& record) {
  record.action = static_cast<std::uint8_t>(ActionKind::forward);
  record.clusters.begin = count_of(clusters_);
  for (const WeightedCluster& cluster : forward.clusters) {
    if (cluster.weight == 0) continue;
    record.weight_sum += cluster.weight;
    clusters_.push_back({cluster_names_.at(cluster.name), record.weight_sum});
  }
  record.clusters.count = count_of(clusters_) - record.clusters.begin;
  add_rewrite(forward.rewrite, record);
  record.host = texts_.add(forward.host_rewrite);
  record.timeout_ms = forward.timeout_ms;
  record.idle_timeout_ms = forward.idle_timeout_ms;
  record.retry_on = forward.retry.on;
  record.retries = forward.retry.retries;
  record.per_try_timeout_ms = forward.retry.per_try_timeout_ms;
  record.retry_status_count = count_of(forward.retry.statuses);
  std::copy(forward.retry.statuses.begin(), forward.retry.statuses.end(), record.retry_statuses.begin());
}

void HostBuilder::add_redirect(const Redirect& redirect, RouteRecord& record) {
  record.action = static_cast<std::uint8_t>(ActionKind::redirect);
  record.status = redirect.status;
  record.port = redirect.port;
  record.scheme = texts_.add(redirect.scheme);
  record.host = texts_.add(redirect.host);
  if (redirect.path) {
    record.flags |= kPathRedirect;
    record.rewrite = texts_.add(*redirect.path);
  }
  if (redirect.strip_query) record.flags |= kStripQuery;
  add_rewrite(redirect.rewrite, record);
}

void HostBuilder::add_rewrite(const PathRewrite& rewrite, RouteRecord& record) {
  if (rewrite.prefix) {
    record.flags |= kPrefixRewrite;
    record.rewrite = texts_.add(*rewrite.prefix);
  } else if (rewrite.regex) {
    record.flags |= kRegexRewrite;
    record.rewrite = texts_.add(rewrite.regex->substitution);
    record.rewrite_program = add_program(rewrite.regex->pattern);
    ++facts_.rewrites;
  }
}

EditRanges HostBuilder::add_edits(const HeaderEdits& edits) {
  EditRanges ranges;
  ranges.remove = {count_of(names_), count_of(edits.remove)};
  for (const std::string& name : edits.remove) names_.push_back(texts_.add(lower_case(name)));
  ranges.edits = {count_of(edits_), count_of(edits.edits)};
  for (const HeaderEdit& edit : edits.edits) {
    const std::string name = lower_case(edit.name);
    edits_.push_back(
        {texts_.add(name), texts_.add(edit.value), header_name_hash(name), static_cast<std::uint32_t>(edit.mode)});
  }
  return ranges;
}

ProgramRef HostBuilder::add_program(const std::string& pattern) {
  const auto [entry, fresh] = programs_.try_emplace(pattern);
  if (!fresh) return entry->second;
  const auto regex = parse_regex(pattern);
  require(regex.ok(), "expression was validated");
  const auto program = emit_program(*regex);
  require(program.ok(), "expression was validated");
  entry->second = {
      {count_of(insts_), count_of(program->insts)}, {count_of(sets_), count_of(program->sets)}, program->entry};
  insts_.insert(insts_.end(), program->insts.begin(), program->insts.end());
  sets_.insert(sets_.end(), program->sets.begin(), program->sets.end());
  facts_.insts_max = std::max(facts_.insts_max, count_of(program->insts));
  return entry->second;
}

void HostBuilder::build_tries() {
  trie_.build(lists_, nodes_, fanouts_);
  if (!fold_trie_.empty()) facts_.fold_root = fold_trie_.build(lists_, nodes_, fanouts_);
  for (std::size_t i = 0; i < regexes_.size(); ++i) regexes_[i].routes = lists_.add(regex_routes_[i]);
}

void HostBuilder::build_path_automaton(std::size_t states) {
  std::vector<Program> programs;
  for (const RegexRecord& regex : regexes_) {
    const ProgramRef& ref = regex.program;
    programs.push_back({HostView::part(std::span<const Inst>{insts_}, ref.insts),
                        HostView::part(std::span<const OctetSet>{sets_}, ref.sets),
                        static_cast<std::uint16_t>(ref.entry)});
  }
  automaton_ = build_automaton(programs, states);
}

Image HostBuilder::finish(const DatabaseImage* database) {
  facts_.regex_hash = expressions_.empty() ? 0 : database_hash(expressions_);
  facts_.program_only = 0;
  for (std::size_t i = 0; i < regexes_.size(); ++i) {
    // Without a database everything runs as a program, but is announced as missing, not as impossible.
    regexes_[i].in_database = database == nullptr || database->in_database[i] ? 1 : 0;
    facts_.program_only += regexes_[i].in_database == 0 ? 1 : 0;
  }
  ImageWriter<static_cast<std::size_t>(HostSection::count)> writer;
  const auto put = [&]<typename Record>(HostSection section, const std::vector<Record>& records) {
    writer.template put<Record>(index_of(section), std::span<const Record>{records});
  };
  writer.put<HostFacts>(index_of(HostSection::facts), {&facts_, 1});
  put(HostSection::gates, gates_);
  put(HostSection::routes, routes_);
  put(HostSection::lists, lists_.lists());
  put(HostSection::nodes, nodes_);
  put(HostSection::fanouts, fanouts_);
  put(HostSection::conditions, conditions_);
  put(HostSection::regexes, regexes_);
  put(HostSection::insts, insts_);
  put(HostSection::sets, sets_);
  writer.put<AutomatonFacts>(index_of(HostSection::automaton),
                             {&automaton_.facts, automaton_.states.empty() ? 0u : 1u});
  put(HostSection::automaton_states, automaton_.states);
  put(HostSection::automaton_rows, automaton_.rows);
  put(HostSection::automaton_accept, automaton_.accept);
  put(HostSection::automaton_matches, automaton_.matches);
  put(HostSection::clusters, clusters_);
  put(HostSection::edits, edits_);
  put(HostSection::names, names_);
  writer.put<char>(index_of(HostSection::text), {texts_.octets().data(), texts_.octets().size()});
  if (database != nullptr)
    writer.put<char>(index_of(HostSection::database), {database->octets.data(), database->octets.size()});
  else
    writer.put<char>(index_of(HostSection::database), {});
  return writer.finish(kHostMagic);
}

}  // namespace penstock::route
