// The states of clusters, by id: they outlive a configuration, and those that nothing refers to any more are used anew.
#include <algorithm>

#include "l7/proxy/proxy.h"

namespace penstock::proxy {

static_assert(kClusterStateMax >= 2 * control::kClusterMax);

/// Where the id stands in the index, or would.
std::size_t HttpProxy::place_of_cluster(std::uint32_t id) const {
  const std::size_t mask = cluster_index_.size() - 1;
  std::size_t at = (id * 0x9e3779b1u) & mask;
  while (cluster_index_[at] != kNone && clusters_[cluster_index_[at]].id != id) at = (at + 1) & mask;
  return at;
}

/// kNone: not configured, or there was no room (answered as `overflow`).
std::uint32_t HttpProxy::cluster_state(std::uint32_t id) const { return cluster_index_[place_of_cluster(id)]; }

std::uint32_t HttpProxy::add_cluster(std::uint32_t id) {
  std::uint32_t state = kNone;
  if (!free_clusters_.empty()) {
    state = free_clusters_.back();
    free_clusters_.pop_back();
    clusters_[state] = ClusterState{.id = id};
  } else if (clusters_.size() < kClusterStateMax) {
    state = static_cast<std::uint32_t>(clusters_.size());
    clusters_.push_back(ClusterState{.id = id});
  } else {
    return kNone;
  }
  cluster_index_[place_of_cluster(id)] = state;
  return state;
}

/// Looks at all connections: only done when there is no room.
void HttpProxy::reclaim_clusters() {
  const auto at_rest = [](const ClusterState& c) {
    return c.view == kNone && !c.held && c.connections == 0 && c.pending == 0 && c.requests == 0 && c.retries == 0;
  };
  for (ClusterState& cluster : clusters_) cluster.held = false;
  for (std::uint32_t index = 0; connections_.knows(index); ++index) {
    const Connection& c = connections_[index];
    if (c.leg == kNoLeg) continue;
    for (const std::uint32_t used : {c.cluster, c.mirror_cluster})
      if (used != kNone) clusters_[used].held = true;
  }
  std::fill(cluster_index_.begin(), cluster_index_.end(), kNone);
  free_clusters_.clear();
  for (std::uint32_t state = 0; state < clusters_.size(); ++state) {
    if (at_rest(clusters_[state]))
      free_clusters_.push_back(state);
    else
      cluster_index_[place_of_cluster(clusters_[state].id)] = state;
  }
}

/// Those that are known first: a state must not be taken from a cluster that is to stay.
void HttpProxy::configure_clusters() {
  std::size_t unknown = 0;
  for (std::uint32_t v = 0; v < config_->clusters.size(); ++v) {
    const std::uint32_t state = cluster_state(config_->clusters[v].id);
    if (state != kNone)
      clusters_[state].view = v;
    else
      ++unknown;
  }
  if (unknown > free_clusters_.size() + kClusterStateMax - clusters_.size()) reclaim_clusters();
  for (std::uint32_t v = 0; v < config_->clusters.size(); ++v) {
    const ClusterView& view = config_->clusters[v];
    std::uint32_t state = cluster_state(view.id);
    if (state == kNone) state = add_cluster(view.id);
    if (state == kNone) continue;
    clusters_[state].view = v;
    note_endpoints(clusters_[state], view);
    counters_.http.ejected.add(clusters_[state].ejected);
  }
}

}  // namespace penstock::proxy
