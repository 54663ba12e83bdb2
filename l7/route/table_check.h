// table_check.h - the checks behind open(): every index, offset and enum of an image.
//
// Model     one function per kind of record; the first fault is reported.
// Errors    nullopt when sound; else a Problem that names section and record.
// Not here  header and section table (flat_image.h).
#pragma once
#include <optional>

#include "l7/route/table_view.h"

namespace penstock::route {

using Trouble = std::optional<Problem>;

/// What the values in TrieNode::prefix and its like mean.
struct TrieTargets {
  std::size_t routes;  ///< direct numbers stay below
  std::size_t lists;   ///< offsets of lists stay below; 0: values are plain numbers of hosts below `routes`
  bool plain;
};
[[nodiscard]] Trouble check_trie(std::span<const TrieNode> nodes, std::span<const Fanout> fanouts,
                                 const TrieTargets& targets, const char* what);
/// Of one host; `cluster_max` bounds the cluster numbers.
[[nodiscard]] Trouble check_host(const HostView& host);
[[nodiscard]] Trouble check_clusters(const HostView& host, std::size_t cluster_count);

}  // namespace penstock::route
