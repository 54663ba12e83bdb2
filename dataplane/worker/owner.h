// owner.h - which worker a flow belongs to.
//
// Model     forward packets and DNAT replies by hash of the client's {address, port, protocol}; FullNAT replies by
//           the node port, since each worker takes source ports with port % worker_count == its index. The same
//           for every worker and process, so it needs no secret and no agreement.
// Not here  hand-off rings (handoff.h); the port share (flow/source_port.h).
#pragma once
#include <algorithm>
#include <cstdint>

#include "dataplane/control/snapshot_view.h"
#include "dataplane/flow/flow_key.h"
#include "dataplane/lb/flow_hash.h"

namespace penstock::worker {

[[nodiscard]] inline std::uint32_t owner_of_client(const IpAddress& client, Be16 port, IpProto proto,
                                                   std::uint32_t worker_count) {
  return lb::share_of(lb::endpoint_hash(client, port, proto), worker_count);
}

/// Owner of a packet with this key that no flow of ours matches.
[[nodiscard]] inline std::uint32_t owner_of(const control::SnapshotView& snapshot, const flow::FlowKey& key,
                                            std::uint32_t worker_count) {
  if (worker_count == 1) return 0;
  if (snapshot.find_listener(key.dst, key.dst_port, key.proto) != nullptr)
    return owner_of_client(key.src, key.src_port, key.proto, worker_count);
  const auto nodes = snapshot.node_addresses();
  if (std::find(nodes.begin(), nodes.end(), key.dst) != nodes.end()) return key.dst_port.host() % worker_count;
  return owner_of_client(key.dst, key.dst_port, key.proto, worker_count);
}

}  // namespace penstock::worker
