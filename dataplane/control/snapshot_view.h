// snapshot_view.h - a checked, read-only look into a snapshot.
//
// Model     open() checks magic, layout, hash, every offset, count, index and relation once; after that no
//           accessor can leave the bytes. The view borrows: the bytes must outlive it.
// Errors    open() names the first section and record that is wrong; nothing is half used.
// Not here  building one: snapshot_writer.h (used by mgmt/compile and by tests).
#pragma once
#include <cstdint>
#include <span>

#include "dataplane/control/snapshot_layout.h"
#include "dataplane/core/result.h"

namespace penstock::control {

/// Hash of a service {address, port, protocol}; part of the snapshot layout (listener_slots).
[[nodiscard]] std::uint32_t service_hash(const IpAddress& address, Be16 port, IpProto proto);

class SnapshotView {
 public:
  SnapshotView() = default;  ///< an empty configuration of epoch 0
  [[nodiscard]] static Result<SnapshotView> open(ByteView bytes);

  [[nodiscard]] std::uint64_t epoch() const;
  [[nodiscard]] std::uint64_t content_hash() const;
  [[nodiscard]] const NodeRecord& node() const;
  [[nodiscard]] std::span<const IpAddress> node_addresses() const;
  [[nodiscard]] std::span<const ListenerRecord> listeners() const;
  [[nodiscard]] std::span<const ClusterRecord> clusters() const;
  [[nodiscard]] std::span<const EndpointRecord> endpoints() const;
  [[nodiscard]] std::span<const EndpointRecord> endpoints_of(const ClusterRecord& cluster) const;
  /// Maglev table of a cluster: index within endpoints_of(). Empty when no endpoint takes new flows.
  [[nodiscard]] std::span<const std::uint16_t> maglev_of(const ClusterRecord& cluster) const;
  /// The listener of a service, or nullptr.
  [[nodiscard]] const ListenerRecord* find_listener(const IpAddress& address, Be16 port, IpProto proto) const;
  /// True when some listener has this address (for ARP, neighbour discovery and echo).
  [[nodiscard]] bool serves_address(const IpAddress& address) const;
  /// True when `address` is one of node_addresses() and `port` lies in the reserved range.
  [[nodiscard]] bool owns_source(const IpAddress& address, Be16 port) const;

 private:
  explicit SnapshotView(ByteView bytes) : bytes_{bytes} {}
  ByteView bytes_;
};

}  // namespace penstock::control
