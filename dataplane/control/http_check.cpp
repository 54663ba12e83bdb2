// Rules of the records for HTTP. Clusters, endpoints and listeners have been checked before.
#include <algorithm>
#include <vector>

#include "dataplane/control/limits.h"
#include "dataplane/control/snapshot_check.h"

namespace penstock::control {
namespace {

using Section = SnapshotSection;
using Trouble = std::optional<Problem>;

/// Is [first, first + count) inside of `size` records?
bool inside(std::uint64_t first, std::uint64_t count, std::size_t size) {
  return first <= size && count <= size - first;
}
bool is_time(std::uint32_t ms) { return ms >= 1 && ms <= kTimeoutMsMax; }

Trouble check_listener(const HttpTables& http, std::size_t cluster_count, std::size_t index) {
  const HttpListenerRecord& record = http.listeners[index];
  const auto bad = [&](std::string what) { return snapshot_problem(Section::http_listeners, index, std::move(what)); };
  if (record.table_offset % 64 != 0) return bad("route table is not at a multiple of 64");
  if (record.table_octets == 0 || !inside(record.table_offset, record.table_octets, http.route_images.size()))
    return bad("route table is empty or ends behind its section");
  if (!inside(record.first_cluster, record.cluster_count, http.route_clusters.size()))
    return bad("clusters of the route table end behind their section");
  for (const std::uint32_t cluster : http.route_clusters.subspan(record.first_cluster, record.cluster_count))
    if (cluster >= cluster_count) return bad("cluster " + std::to_string(cluster) + " does not exist");
  if (!inside(record.first_route, record.route_count, http.route_slots.size()))
    return bad("routes end behind their section");
  if (record.http_slot >= kHttpSlotMax) return bad("http_slot is not below " + std::to_string(kHttpSlotMax));
  if (!is_time(record.header_timeout_ms) || !is_time(record.idle_timeout_ms))
    return bad("a time is not 1.." + std::to_string(kTimeoutMsMax) + " ms");
  if (record.stream_idle_ms > kTimeoutMsMax) return bad("stream_idle_ms is above " + std::to_string(kTimeoutMsMax));
  if (record.access_log_samples > kPerMillion) return bad("access_log_samples is above a million");
  if (record.x_forwarded_for > SenderList::off || record.forwarded > SenderList::off)
    return bad("rule for a list of senders is unknown");
  if (record.trusted_hops > kTrustedHopsMax) return bad("trusted_hops is above " + std::to_string(kTrustedHopsMax));
  if ((record.flags & ~unsigned{kHttpTrace}) != 0) return bad("flag is unknown");
  if (record.trace_samples > kPerMillion) return bad("trace_samples is above a million");
  if (record.zero != 0) return bad("reserved field is not 0");
  if (record.connect_allow.octets > kConnectAllowMax ||
      !inside(record.connect_allow.offset, record.connect_allow.octets, http.texts.size()))
    return bad("targets of CONNECT are too long or end behind their section");
  if (record.connect_allow.octets != 0 && record.connect_cluster >= cluster_count)
    return bad("cluster " + std::to_string(record.connect_cluster) + " of CONNECT does not exist");
  if (!inside(record.via.offset, record.via.octets, http.texts.size())) return bad("via ends behind its section");
  return std::nullopt;
}

Trouble check_hash_policy(const HttpTables& http, std::size_t index) {
  const HashPolicyRecord& record = http.hash_policies[index];
  const auto bad = [&](std::string what) { return snapshot_problem(Section::hash_policies, index, std::move(what)); };
  if (record.source > HashSource::source_ip) return bad("source is unknown");
  if ((record.flags & ~unsigned{kHashTerminal}) != 0) return bad("flag is unknown");
  if (record.zero != 0) return bad("reserved field is not 0");
  if (!inside(record.name.offset, record.name.octets, http.texts.size())) return bad("name ends behind its section");
  if ((record.source == HashSource::source_ip) != (record.name.octets == 0))
    return bad("a header or cookie has a name, the source address has none");
  return std::nullopt;
}

Trouble check_policy_values(const ClusterPolicyRecord& policy, std::size_t index) {
  const auto bad = [&](std::string what) {
    return snapshot_problem(Section::cluster_policies, index, std::move(what));
  };
  if (policy.lb_policy > LbPolicy::ring_hash) return bad("lb_policy is unknown");
  if (policy.choice_count < 2) return bad("choice_count is below 2");
  if (policy.proxy_protocol > ProxyProtocol::v2) return bad("proxy_protocol is unknown");
  if (policy.zero != 0) return bad("reserved field is not 0");
  if (policy.http_slot >= kHttpSlotMax) return bad("http_slot is not below " + std::to_string(kHttpSlotMax));
  if (policy.retry_budget_percent > 100) return bad("retry_budget_percent is above 100");
  if (!is_time(policy.idle_timeout_ms) || !is_time(policy.connect_timeout_ms))
    return bad("a time is not 1.." + std::to_string(kTimeoutMsMax) + " ms");
  const SlowStartRecord& slow = policy.slow_start;
  if (slow.window_ms > kTimeoutMsMax || slow.aggression_percent == 0 || slow.min_weight_percent > 100)
    return bad("slow start with a wrong time, aggression or weight");
  const OutlierRecord& outlier = policy.outlier;
  const bool watched = outlier.consecutive_5xx != 0 || outlier.consecutive_gateway_failure != 0;
  if (watched && (!is_time(outlier.base_ejection_ms) || !is_time(outlier.max_ejection_ms) ||
                  outlier.max_ejection_ms < outlier.base_ejection_ms || outlier.max_ejection_percent > 100))
    return bad("outlier detection with wrong times or percentage");
  return std::nullopt;
}

/// `policy` belongs to cluster `index`.
Trouble check_policy(const SnapshotTables& tables, std::size_t index) {
  const ClusterPolicyRecord& policy = tables.http.cluster_policies[index];
  if (auto trouble = check_policy_values(policy, index)) return trouble;
  for (const TextRef text : {policy.affinity.cookie, policy.affinity.path})
    if (text.octets > kAffinityTextMax || !inside(text.offset, text.octets, tables.http.texts.size()))
      return snapshot_problem(Section::cluster_policies, index,
                              "text of affinity is too long or ends behind its section");
  const auto bad = [&](std::string what) {
    return snapshot_problem(Section::cluster_policies, index, std::move(what));
  };
  if (policy.hash_policy_count > kClusterHashPolicyMax ||
      !inside(policy.first_hash_policy, policy.hash_policy_count, tables.http.hash_policies.size()))
    return bad("hash policies are too many or end behind their section");
  if (policy.ring_point_count > kClusterRingPointMax ||
      !inside(policy.first_ring_point, policy.ring_point_count, tables.http.rings.size()))
    return bad("ring is too long or ends behind its section");
  const ClusterRecord& cluster = tables.clusters[index];
  const auto endpoints = tables.endpoints.subspan(cluster.first_endpoint, cluster.endpoint_count);
  const auto ring = tables.http.rings.subspan(policy.first_ring_point, policy.ring_point_count);
  const bool wanted = policy.lb_policy == LbPolicy::ring_hash && cluster.maglev_size != 0;
  if (wanted == ring.empty()) return bad(wanted ? "ring_hash without a ring" : "a ring without ring_hash or endpoints");
  for (std::size_t i = 0; i < ring.size(); ++i) {
    if (ring[i].endpoint >= endpoints.size() || !takes_flows(cluster, endpoints[ring[i].endpoint]))
      return snapshot_problem(Section::rings, policy.first_ring_point + i,
                              "is no endpoint that takes flows of clusters[" + std::to_string(index) + "]");
    if (i > 0 && ring[i].hash < ring[i - 1].hash)
      return snapshot_problem(Section::rings, policy.first_ring_point + i, "is not in ascending order");
  }
  return std::nullopt;
}

/// Listeners and the clusters of their routes and tunnels: one family, and node addresses of it.
Trouble check_route_clusters(const SnapshotTables& tables) {
  const auto has = [](const auto& addresses, bool v4, auto address_of) {
    return std::any_of(addresses.begin(), addresses.end(), [&](const auto& a) { return address_of(a).is_v4() == v4; });
  };
  for (std::size_t i = 0; i < tables.listeners.size(); ++i) {
    const ListenerRecord& listener = tables.listeners[i];
    if (listener.http == kNoIndex || (listener.flags & kListenerDraining) != 0) continue;
    const bool v4 = listener.address.is_v4();
    const HttpListenerRecord& http = tables.http.listeners[listener.http];
    const auto bad = [&](std::string what) { return snapshot_problem(Section::listeners, i, std::move(what)); };
    const auto theirs = tables.http.route_clusters.subspan(http.first_cluster, http.cluster_count);
    std::vector<std::uint32_t> used{theirs.begin(), theirs.end()};
    if (http.connect_allow.octets != 0) used.push_back(http.connect_cluster);
    bool any = false;
    for (const std::uint32_t c : used) {
      const auto endpoints =
          tables.endpoints.subspan(tables.clusters[c].first_endpoint, tables.clusters[c].endpoint_count);
      if (has(endpoints, !v4, [](const EndpointRecord& e) { return e.address; }))
        return bad("a cluster that it uses has endpoints of the other address family");
      any = any || tables.clusters[c].maglev_size != 0;
    }
    if (any && !has(tables.node_addresses, v4, [](const IpAddress& a) { return a; }))
      return bad("HTTP without a node address of its family");
  }
  return std::nullopt;
}

}  // namespace

Trouble check_http(const SnapshotTables& tables) {
  const HttpTables& http = tables.http;
  for (std::size_t i = 0; i < http.listeners.size(); ++i)
    if (auto trouble = check_listener(http, tables.clusters.size(), i)) return trouble;
  for (std::size_t i = 0; i < http.route_slots.size(); ++i)
    if (http.route_slots[i] >= kHttpSlotMax)
      return snapshot_problem(Section::route_slots, i, "is not below " + std::to_string(kHttpSlotMax));
  if (http.cluster_policies.size() != tables.clusters.size())
    return snapshot_problem(Section::cluster_policies, 0, "are not as many as there are clusters");
  for (std::size_t i = 0; i < http.hash_policies.size(); ++i)
    if (auto trouble = check_hash_policy(http, i)) return trouble;
  for (std::size_t i = 0; i < http.cluster_policies.size(); ++i)
    if (auto trouble = check_policy(tables, i)) return trouble;
  std::vector<bool> used(http.listeners.size());
  for (std::size_t i = 0; i < tables.listeners.size(); ++i) {
    const std::uint32_t index = tables.listeners[i].http;
    if (index == kNoIndex) continue;
    if (used[index]) return snapshot_problem(Section::listeners, i, "shares its http with another listener");
    used[index] = true;
  }
  return check_route_clusters(tables);
}

}  // namespace penstock::control
