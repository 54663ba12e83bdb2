// diff.h - what changes between two configurations, for `penstock apply --dry-run` and the log.
//
// Model     compares by name (listeners, clusters, ports) and by address and port (endpoints of a cluster).
#pragma once
#include <string>
#include <vector>

#include "mgmt/config/config.h"

namespace penstock::compile {

enum class ChangeKind : std::uint8_t { added, removed, changed };
struct Change {
  ChangeKind kind;
  std::string what;    ///< "listener web", "endpoint web 10.0.0.1:80", "cluster web", "port veth0", "node"
  std::string detail;  ///< of a change: "weight 10 -> 0"; else empty
  friend bool operator==(const Change&, const Change&) = default;
};
/// In the order node, ports, clusters with their endpoints, listeners; names as listed.
[[nodiscard]] std::vector<Change> diff(const config::Config& before, const config::Config& after);
/// Node settings among the changes that a running dataplane cannot take over ("node.workers").
[[nodiscard]] std::vector<std::string> restart_needed(const config::Config& before, const config::Config& after);
/// One line per change: "+ listener web", "- ...", "~ ... weight 10 -> 0".
[[nodiscard]] std::string text(const std::vector<Change>& changes);

}  // namespace penstock::compile
