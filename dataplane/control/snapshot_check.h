// snapshot_check.h - every rule that a snapshot's bytes must obey.
//
// Model     two steps: the frame (header, sections, hash), after which records can be read, then the tables
//           (values, indices, relations), after which no accessor of SnapshotView can leave its section.
// Errors    the first broken rule, with section and record, as "snapshot: listeners[3]".
// Not here  that listeners are found by their slots: SnapshotView::open(), with the lookup itself.
#pragma once
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "dataplane/control/http_layout.h"
#include "dataplane/control/snapshot_layout.h"
#include "dataplane/core/result.h"

namespace penstock::control {

/// The sections for listeners of HTTP.
struct HttpTables {
  std::span<const HttpListenerRecord> listeners;
  std::span<const std::uint32_t> route_clusters;
  std::span<const std::uint16_t> route_slots;
  std::span<const ClusterPolicyRecord> cluster_policies;
  std::span<const HashPolicyRecord> hash_policies;
  std::span<const RingPoint> rings;
  std::string_view texts;
  ByteView route_images;
  std::span<const std::uint32_t> route_policies;
  PolicyTables policies;
};

/// The sections as typed records.
struct SnapshotTables {
  const NodeRecord& node;
  std::span<const IpAddress> node_addresses;
  std::span<const ListenerRecord> listeners;
  std::span<const std::uint32_t> listener_slots;
  std::span<const std::uint32_t> address_slots;
  std::span<const ClusterRecord> clusters;
  std::span<const EndpointRecord> endpoints;
  std::span<const std::uint16_t> maglev;
  HttpTables http;
};

[[nodiscard]] Status check_frame(ByteView bytes);
[[nodiscard]] Status check_tables(const SnapshotTables& tables);
/// The part of check_tables() that is about HTTP (http_check.cpp); clusters and endpoints are sound already.
[[nodiscard]] std::optional<Problem> check_http(const SnapshotTables& tables);
/// The part about policies of requests (policy_check.cpp); check_http() held.
[[nodiscard]] std::optional<Problem> check_policies(const SnapshotTables& tables);

[[nodiscard]] const char* name_of(SnapshotSection section);
[[nodiscard]] Problem snapshot_problem(SnapshotSection section, std::size_t record, std::string what);

/// True for an address that a single host can have: not unspecified, multicast or limited broadcast.
[[nodiscard]] bool is_host_address(const IpAddress& address);
[[nodiscard]] bool is_prime(std::uint32_t n);

}  // namespace penstock::control
