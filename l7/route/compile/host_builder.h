// host_builder.h - one virtual host into its image.
//
// Model     add() the routes in order, then finish() with the database of expressions() when there is one. Building
//           is cheap (microseconds per route); only the database takes time, so it is made elsewhere and cached.
// Units     routes are numbers within the host; clusters numbers of ClusterNames.
// Errors    none: the configuration has passed validate.h, whose checks are repeated as invariants.
// Not here  databases (database.h), the table around hosts (table_builder.h).
#pragma once
#include <map>
#include <string>
#include <unordered_map>
#include <vector>

#include "l7/route/compile/automaton_builder.h"
#include "l7/route/compile/database.h"
#include "l7/route/compile/trie_builder.h"
#include "l7/route/flat_image.h"
#include "l7/route/regex_program.h"
#include "l7/route/route_config.h"

namespace penstock::route {

/// Texts of one image, each once.
class TextPool {
 public:
  Text add(const std::string& text);
  [[nodiscard]] const std::string& octets() const { return octets_; }

 private:
  std::string octets_;
  std::unordered_map<std::string, std::uint32_t> offsets_;
};

/// Cluster names of a whole table, numbered once before hosts are built side by side.
using ClusterNames = std::map<std::string, std::uint32_t>;

class HostBuilder {
 public:
  HostBuilder(const VirtualHost& host, const ClusterNames& clusters, std::size_t automaton_states);
  /// For Hyperscan, by number of the expression.
  [[nodiscard]] const std::vector<std::string>& expressions() const { return expressions_; }
  /// `database` may be nullptr: not ready.
  [[nodiscard]] Image finish(const DatabaseImage* database);

 private:
  void add(const Route& route, std::uint32_t number);
  void add_path(const PathMatch& path, ListedRoute route);
  void add_conditions(const RouteMatch& match, RouteGate& gate);
  void add_condition(const ValueMatch& match, ConditionSource source);
  void add_methods(const std::vector<std::string>& methods, RouteGate& gate);
  void add_forward(const Forward& forward, RouteRecord& record);
  void add_redirect(const Redirect& redirect, RouteRecord& record);
  void add_rewrite(const PathRewrite& rewrite, RouteRecord& record);
  EditRanges add_edits(const HeaderEdits& edits);
  ProgramRef add_program(const std::string& pattern);
  void build_tries();
  void build_path_automaton(std::size_t states);

  const ClusterNames& cluster_names_;
  TextPool texts_;
  HostFacts facts_{};
  std::vector<RouteGate> gates_;
  std::vector<RouteRecord> routes_;
  std::vector<Condition> conditions_;
  std::vector<Inst> insts_;
  std::vector<OctetSet> sets_;
  std::vector<ClusterRecord> clusters_;
  std::vector<EditRecord> edits_;
  std::vector<Text> names_;
  ListBuilder lists_;
  std::vector<TrieNode> nodes_;
  std::vector<Fanout> fanouts_;
  TrieBuilder trie_, fold_trie_;
  std::unordered_map<std::string, ProgramRef> programs_;  ///< by pattern
  // Expressions of paths, each once, in order of their first route.
  std::unordered_map<std::string, std::size_t> regex_numbers_;
  std::vector<std::vector<ListedRoute>> regex_routes_;
  std::vector<RegexRecord> regexes_;
  std::vector<std::string> expressions_;
  AutomatonImage automaton_;
};

}  // namespace penstock::route
