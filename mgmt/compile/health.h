// health.h - which endpoints are known to be unhealthy, and what follows for their cluster.
//
// Model     active checks (mgmt/health) say who is unhealthy; whoever is not named is healthy. A cluster whose healthy
//           weight falls below its panic threshold uses all of its endpoints: a check that fails everywhere is more
//           likely wrong than everybody is ill.
#pragma once
#include <cstdint>
#include <set>
#include <string>
#include <tuple>

#include "mgmt/config/cluster.h"

namespace penstock::compile {

struct Health {
  std::set<std::tuple<std::string, IpAddress, std::uint16_t>> unhealthy;  ///< cluster, address, port

  [[nodiscard]] bool is_healthy(const std::string& cluster, const config::Endpoint& endpoint) const {
    return unhealthy.empty() || !unhealthy.contains({cluster, endpoint.address, endpoint.port});
  }
  friend bool operator==(const Health&, const Health&) = default;
};

/// Is less of the cluster's weight healthy than its panic threshold asks for? Only when some is unhealthy.
[[nodiscard]] bool in_panic(const config::Cluster& cluster, const Health& health);
/// The cluster as it takes new flows: endpoints that must not get any have weight 0.
[[nodiscard]] config::Cluster usable(const config::Cluster& cluster, const Health& health);

}  // namespace penstock::compile
