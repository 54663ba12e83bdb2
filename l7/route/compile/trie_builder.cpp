#include "l7/route/compile/trie_builder.h"

#include <algorithm>
#include <cstring>

namespace penstock::route {
namespace {

TrieNode empty_node() {
  TrieNode node{};
  node.subtree_min = node.regex_min = kNoRoute;
  node.prefix = node.exact = node.segment = kNoList;
  node.keys.fill(kNoKey);
  return node;
}

}  // namespace

std::uint32_t ListBuilder::add(const std::vector<ListedRoute>& routes) {
  if (routes.empty()) return kNoList;
  if (routes.front().unconditional) return kDirect | routes.front().route;
  const auto begin = static_cast<std::uint32_t>(lists_.size());
  for (const ListedRoute& entry : routes) {
    lists_.push_back(entry.route | (entry.unconditional ? kUnconditional : 0));
    if (entry.unconditional) break;
  }
  lists_.back() |= kLast;
  return begin;
}

void TrieBuilder::add(const std::string& key, TrieEnd end, ListedRoute route) {
  keys_[key].routes[static_cast<std::size_t>(end)].push_back(route);
}
void TrieBuilder::add_plain(const std::string& key, std::uint32_t value) { keys_[key].plain = value; }
void TrieBuilder::add_regex(const std::string& prefix, std::uint32_t min_route) {
  std::uint32_t& regex_min = keys_[prefix].regex_min;
  regex_min = std::min(regex_min, min_route);
}

std::uint32_t TrieBuilder::build(ListBuilder& lists, std::vector<TrieNode>& nodes, std::vector<Fanout>& fanouts) const {
  using Entry = std::map<std::string, Ends>::value_type;
  std::vector<const Entry*> sorted;
  sorted.reserve(keys_.size());
  for (const Entry& entry : keys_) sorted.push_back(&entry);
  // Keys of [low, high) share their first `depth` octets, which lead to `node`.
  struct Pending {
    std::size_t node, low, high, depth;
  };
  const std::size_t root = nodes.size();
  nodes.push_back(empty_node());
  std::vector<Pending> queue{{root, 0, sorted.size(), 0}};
  for (std::size_t next = 0; next < queue.size(); ++next) {
    auto [index, low, high, depth] = queue[next];
    if (low == high) continue;
    const auto key = [&](std::size_t i) -> const std::string& { return sorted[i]->first; };
    if (index != root) {
      const std::string &first = key(low), &last = key(high - 1);
      std::size_t end = depth;
      while (end < first.size() && end < last.size() && first[end] == last[end] && end - depth < kNodeLabel) ++end;
      nodes[index].label_octets = static_cast<std::uint8_t>(end - depth);
      std::memcpy(nodes[index].label.data(), first.data() + depth, end - depth);
      depth = end;
    }
    if (key(low).size() == depth) {
      const Ends& ends = sorted[low++]->second;
      TrieNode& node = nodes[index];
      node.prefix = ends.plain != kNoList ? ends.plain : lists.add(ends.routes[0]);
      node.exact = lists.add(ends.routes[1]);
      node.segment = lists.add(ends.routes[2]);
      node.regex_min = node.subtree_min = ends.regex_min;
      for (const auto& routes : ends.routes)
        if (!routes.empty()) node.subtree_min = std::min(node.subtree_min, routes.front().route);
    }
    nodes[index].children = static_cast<std::uint32_t>(nodes.size());
    std::vector<std::uint8_t> octets;
    while (low < high) {
      const char octet = key(low)[depth];
      std::size_t end = low;
      while (end < high && key(end)[depth] == octet) ++end;
      octets.push_back(static_cast<std::uint8_t>(octet));
      queue.push_back({nodes.size(), low, end, depth + 1});
      nodes.push_back(empty_node());
      low = end;
    }
    TrieNode& node = nodes[index];
    node.child_count = static_cast<std::uint16_t>(octets.size());
    std::copy_n(octets.begin(), std::min(octets.size(), kNodeKeys), node.keys.begin());
    if (octets.size() > kNodeKeys) {
      node.fanout = static_cast<std::uint32_t>(fanouts.size());
      Fanout fanout{};
      for (std::size_t i = 0; i < octets.size(); ++i) fanout.child[octets[i]] = static_cast<std::uint8_t>(i + 1);
      fanouts.push_back(fanout);
    }
  }
  // Children stand behind their parents, so one pass from the end carries the minima up.
  for (std::size_t i = nodes.size(); i-- > root;)
    for (std::size_t child = 0; child < nodes[i].child_count; ++child)
      nodes[i].subtree_min = std::min(nodes[i].subtree_min, nodes[nodes[i].children + child].subtree_min);
  return static_cast<std::uint32_t>(root);
}

}  // namespace penstock::route
