// snapshot_view.h - a checked, read-only look into a snapshot.
//
// Model     open() checks magic, layout, hash, every offset, count, index and relation once; after that no
//           accessor can leave the bytes. The view borrows: the bytes must outlive it.
// Errors    open() names the first section and record that is wrong; nothing is half used.
// Not here  building one: snapshot_writer.h (used by mgmt/compile and by tests).
#pragma once
#include <cstdint>
#include <span>

#include "dataplane/control/http_layout.h"
#include "dataplane/control/snapshot_check.h"
#include "dataplane/control/snapshot_layout.h"
#include "dataplane/core/result.h"

namespace penstock::control {

/// Hash of a service {address, port, protocol}; part of the snapshot layout (listener_slots).
[[nodiscard]] std::uint32_t service_hash(const IpAddress& address, Be16 port, IpProto proto);
/// Hash of a service address alone; part of the snapshot layout (address_slots).
[[nodiscard]] std::uint32_t address_hash(const IpAddress& address);

class SnapshotView {
 public:
  SnapshotView();  ///< an empty configuration of epoch 0
  /// `bytes` must be aligned to 8 octets, as mappings and heap memory are.
  [[nodiscard]] static Result<SnapshotView> open(ByteView bytes);

  [[nodiscard]] std::uint64_t epoch() const { return epoch_; }
  [[nodiscard]] std::uint64_t content_hash() const { return content_hash_; }
  [[nodiscard]] const NodeRecord& node() const { return *node_; }
  [[nodiscard]] std::span<const IpAddress> node_addresses() const { return node_addresses_; }
  [[nodiscard]] std::span<const ListenerRecord> listeners() const { return listeners_; }
  [[nodiscard]] std::span<const ClusterRecord> clusters() const { return clusters_; }
  [[nodiscard]] std::span<const EndpointRecord> endpoints() const { return endpoints_; }
  [[nodiscard]] std::span<const EndpointRecord> endpoints_of(const ClusterRecord& cluster) const {
    return endpoints_.subspan(cluster.first_endpoint, cluster.endpoint_count);
  }
  /// Maglev table of a cluster: index within endpoints_of(). Empty when no endpoint takes new flows.
  [[nodiscard]] std::span<const std::uint16_t> maglev_of(const ClusterRecord& cluster) const {
    return maglev_.subspan(cluster.maglev_offset, cluster.maglev_size);
  }
  /// How requests are spread over a cluster, and its limits; by index of clusters().
  [[nodiscard]] const ClusterPolicyRecord& policy_of(std::size_t cluster) const {
    return http_.cluster_policies[cluster];
  }
  [[nodiscard]] std::span<const HashPolicyRecord> hash_policies_of(const ClusterPolicyRecord& policy) const {
    return http_.hash_policies.subspan(policy.first_hash_policy, policy.hash_policy_count);
  }
  /// Ascending by hash. Empty unless ring_hash and some endpoint takes requests.
  [[nodiscard]] std::span<const RingPoint> ring_of(const ClusterPolicyRecord& policy) const {
    return http_.rings.subspan(policy.first_ring_point, policy.ring_point_count);
  }
  [[nodiscard]] std::string_view text(TextRef ref) const { return http_.texts.substr(ref.offset, ref.octets); }
  [[nodiscard]] std::span<const HttpListenerRecord> http_listeners() const { return http_.listeners; }
  /// The image of a listener's route table. Its own checks are l7/route's (listener_tables.h loads them all).
  [[nodiscard]] ByteView route_image_of(const HttpListenerRecord& http) const {
    return http_.route_images.subspan(http.table_offset, http.table_octets);
  }
  /// By cluster number of the table: index into clusters().
  [[nodiscard]] std::span<const std::uint32_t> route_clusters_of(const HttpListenerRecord& http) const {
    return http_.route_clusters.subspan(http.first_cluster, http.cluster_count);
  }
  /// By route number of the table: index into WorkerCounters::http_slots.
  [[nodiscard]] std::span<const std::uint16_t> route_slots_of(const HttpListenerRecord& http) const {
    return http_.route_slots.subspan(http.first_route, http.route_count);
  }
  /// By route number of the table: index into policies().policies, or kNoPolicy.
  [[nodiscard]] std::span<const std::uint32_t> route_policies_of(const HttpListenerRecord& http) const {
    return http_.route_policies.subspan(http.first_route, http.route_count);
  }
  [[nodiscard]] const PolicyTables& policies() const { return http_.policies; }
  /// The listener of a service, or nullptr.
  [[nodiscard]] const ListenerRecord* find_listener(const IpAddress& address, Be16 port, IpProto proto) const;
  /// True when some listener has this address (for ARP, neighbour discovery and echo).
  [[nodiscard]] bool serves_address(const IpAddress& address) const;
  /// True when `address` is one of node_addresses() and `port` lies in the reserved range.
  [[nodiscard]] bool owns_source(const IpAddress& address, Be16 port) const;

 private:
  std::uint64_t epoch_{};
  std::uint64_t content_hash_{};
  const NodeRecord* node_;
  std::span<const IpAddress> node_addresses_;
  std::span<const ListenerRecord> listeners_;
  std::span<const std::uint32_t> listener_slots_;
  std::span<const std::uint32_t> address_slots_;
  std::span<const ClusterRecord> clusters_;
  std::span<const EndpointRecord> endpoints_;
  std::span<const std::uint16_t> maglev_;
  HttpTables http_;
};

}  // namespace penstock::control
