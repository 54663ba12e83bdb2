#include "mgmt/compile/health.h"

namespace penstock::compile {

bool in_panic(const config::Cluster& cluster, const Health& health) {
  std::uint64_t all = 0;
  std::uint64_t healthy = 0;
  for (const config::Endpoint& endpoint : cluster.endpoints) {
    all += endpoint.weight;
    if (health.is_healthy(cluster.name, endpoint)) healthy += endpoint.weight;
  }
  return healthy != all && healthy * 100 < all * cluster.panic_threshold;
}

config::Cluster usable(const config::Cluster& cluster, const Health& health) {
  config::Cluster out = cluster;
  if (health.unhealthy.empty() || in_panic(cluster, health)) return out;
  for (config::Endpoint& endpoint : out.endpoints)
    if (!health.is_healthy(cluster.name, endpoint)) endpoint.weight = 0;
  return out;
}

}  // namespace penstock::compile
