#include "l7/proxy/config.h"

#include <algorithm>

namespace penstock::proxy {

Config make_config(const control::SnapshotView& snapshot, const route::ListenerTables& tables, std::uint32_t workers) {
  Config out;
  out.snapshot = snapshot;
  out.workers = workers;
  out.policies = snapshot.policies();
  for (const control::ListenerRecord& listener : snapshot.listeners()) {
    if (!control::is_served(listener)) continue;
    ListenerView view{.id = listener.id,
                      .preface = (listener.flags & control::kListenerProxyProtocol) != 0,
                      .draining = (listener.flags & control::kListenerDraining) != 0};
    if (listener.http == control::kNoIndex) {
      view.raw_cluster = listener.cluster;
    } else {
      view.http = &snapshot.http_listeners()[listener.http];
      view.table = &tables[listener.http];
      view.clusters = snapshot.route_clusters_of(*view.http);
      view.route_slots = snapshot.route_slots_of(*view.http);
      view.route_policies = snapshot.route_policies_of(*view.http);
    }
    out.listeners.push_back(view);
  }
  std::sort(out.listeners.begin(), out.listeners.end(), [](const auto& a, const auto& b) { return a.id < b.id; });
  for (std::size_t i = 0; i < snapshot.clusters().size(); ++i) {
    const control::ClusterRecord& cluster = snapshot.clusters()[i];
    const control::ClusterPolicyRecord& policy = snapshot.policy_of(i);
    out.clusters.push_back({cluster.id, &cluster, &policy, snapshot.endpoints_of(cluster), snapshot.maglev_of(cluster),
                            snapshot.ring_of(policy), snapshot.hash_policies_of(policy)});
  }
  return out;
}

}  // namespace penstock::proxy
