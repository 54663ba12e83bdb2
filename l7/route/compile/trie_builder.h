// trie_builder.h - sorted texts into the flat trie of layout.h.
//
// Model     keys are collected with what ends at them, then laid out level by level, so that children stand behind
//           their parents and side by side. Routes must be added in ascending order.
// Units     routes are numbers within their host.
// Errors    none: texts are ASCII, which validation has checked.
// Not here  walking it (trie.h).
#pragma once
#include <map>
#include <string>
#include <vector>

#include "l7/route/layout.h"

namespace penstock::route {

/// One route in a list, and whether it has no further conditions.
struct ListedRoute {
  std::uint32_t route;
  bool unconditional;
};
/// Lists of routes; what no request can reach behind an unconditional route is cut off.
class ListBuilder {
 public:
  /// kDirect, the beginning of a list, or kNoList when empty.
  std::uint32_t add(const std::vector<ListedRoute>& routes);
  [[nodiscard]] const std::vector<std::uint32_t>& lists() const { return lists_; }

 private:
  std::vector<std::uint32_t> lists_;
};

enum class TrieEnd : std::uint8_t { prefix, exact, segment };

class TrieBuilder {
 public:
  void add(const std::string& key, TrieEnd end, ListedRoute route);
  /// A value that is no list of routes: hosts in a table's tries. One per key.
  void add_plain(const std::string& key, std::uint32_t value);
  void add_regex(const std::string& prefix, std::uint32_t min_route);
  [[nodiscard]] bool empty() const { return keys_.empty(); }
  /// Appends the trie to `nodes` and gives its root. An empty trie is a root without children.
  std::uint32_t build(ListBuilder& lists, std::vector<TrieNode>& nodes, std::vector<Fanout>& fanouts) const;

 private:
  struct Ends {
    std::array<std::vector<ListedRoute>, 3> routes;  ///< by TrieEnd
    std::uint32_t plain{kNoList};
    std::uint32_t regex_min{kNoRoute};
  };
  std::map<std::string, Ends> keys_;
};

}  // namespace penstock::route
