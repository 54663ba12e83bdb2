// config.h - what the proxy is told: listeners with their route tables, clusters with their endpoints and limits.
//
// Model     views into one snapshot and the route tables loaded for it, made by the control thread and immutable. The
//           proxy keeps no pointer into it beyond configure() of the next one. Ids stay with names over snapshots,
//           indices do not.
// Units     as in control/http_layout.h.
// Errors    none: the snapshot was checked, the tables are loaded.
// Not here  how it is written down (docs/guide/http.md).
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "dataplane/control/http_layout.h"
#include "dataplane/control/snapshot_view.h"
#include "l7/route/listener_tables.h"

namespace penstock::proxy {

struct ClusterView {
  std::uint32_t id{};
  const control::ClusterRecord* record{};
  const control::ClusterPolicyRecord* policy{};
  std::span<const control::EndpointRecord> endpoints{};
  std::span<const std::uint16_t> maglev{};
  std::span<const control::RingPoint> ring{};
  std::span<const control::HashPolicyRecord> hash_policies{};
};

struct ListenerView {
  std::uint32_t id{};
  const control::HttpListenerRecord* http{};  ///< nullptr: octets pass through to raw_cluster
  const route::LoadedTable* table{};
  std::span<const std::uint32_t> clusters{};        ///< by the table's number of a cluster: index into Config::clusters
  std::span<const std::uint16_t> route_slots{};     ///< by the table's number of a route: counter block
  std::span<const std::uint32_t> route_policies{};  ///< by the same: index into Config::policies, or kNoPolicy
  std::uint32_t raw_cluster{};                      ///< without http: index into Config::clusters
  bool preface{};                                   ///< connections begin with a PROXY header
  bool draining{};                                  ///< what is under way is finished
};

struct Config {
  std::vector<ListenerView> listeners{};  ///< ascending by id
  std::vector<ClusterView> clusters{};    ///< as in the snapshot
  control::SnapshotView snapshot{};       ///< where all of it lies
  std::uint32_t workers{1};               ///< that share the limits of a cluster
  control::PolicyTables policies{};
};

/// `tables` were loaded from `snapshot`; both outlive the result.
[[nodiscard]] Config make_config(const control::SnapshotView& snapshot, const route::ListenerTables& tables,
                                 std::uint32_t workers);

}  // namespace penstock::proxy
