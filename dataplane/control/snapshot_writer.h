// snapshot_writer.h - lays records out as a snapshot.
//
// Model     plain records in, bytes out; content_hash and listener_slots are computed here, so that every
//           producer (mgmt/compile, tests, benches) makes the same bytes from the same records.
// Errors    relations are the caller's duty; SnapshotView::open() checks them all again.
#pragma once
#include <vector>

#include "dataplane/control/snapshot_layout.h"

namespace penstock::control {

struct SnapshotContent {
  NodeRecord node{};
  std::vector<IpAddress> node_addresses;
  std::vector<ListenerRecord> listeners;
  std::vector<ClusterRecord> clusters;
  std::vector<EndpointRecord> endpoints;
  std::vector<std::uint16_t> maglev;
};

/// The snapshot's bytes. Storage is aligned to 64 octets when copied to a mapping.
[[nodiscard]] std::vector<std::byte> write_snapshot(const SnapshotContent& content, std::uint64_t epoch);

/// NodeRecord with the documented default times and limits.
[[nodiscard]] NodeRecord default_node_record();

}  // namespace penstock::control
