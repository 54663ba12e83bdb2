// snapshot_check.h - every rule that a snapshot's bytes must obey.
//
// Model     two steps: the frame (header, sections, hash), after which records can be read, then the tables
//           (values, indices, relations), after which no accessor of SnapshotView can leave its section.
// Errors    the first broken rule, with section and record, as "snapshot: listeners[3]".
// Not here  that listeners are found by their slots: SnapshotView::open(), with the lookup itself.
#pragma once
#include <span>
#include <string>

#include "dataplane/control/snapshot_layout.h"
#include "dataplane/core/result.h"

namespace penstock::control {

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
};

[[nodiscard]] Status check_frame(ByteView bytes);
[[nodiscard]] Status check_tables(const SnapshotTables& tables);

[[nodiscard]] const char* name_of(SnapshotSection section);
[[nodiscard]] Problem snapshot_problem(SnapshotSection section, std::size_t record, std::string what);

/// True for an address that a single host can have: not unspecified, multicast or limited broadcast.
[[nodiscard]] bool is_host_address(const IpAddress& address);
[[nodiscard]] bool is_prime(std::uint32_t n);

}  // namespace penstock::control
