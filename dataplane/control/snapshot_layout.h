// snapshot_layout.h - the flat, immutable form of one configuration.
//
// Model     penstockd writes it into a sealed memfd, the dataplane maps it read-only and checks every offset and
//           count before use (snapshot_view.h). Offsets, no pointers; every section starts at a multiple of 64.
// Units     times in milliseconds; ports and addresses in network order; the rest host order.
// Shape     header, then sections of fixed-size records; sizes asserted; docs/protocol/snapshot.md.
// Rule      a change of any record raises kSnapshotLayout.
#pragma once
#include <array>
#include <cstdint>

#include "dataplane/core/addresses.h"
#include "dataplane/core/be.h"

namespace penstock::control {

inline constexpr std::uint64_t kSnapshotMagic = 0x3170616e'736e6570;  // "pensnap1", little-endian
inline constexpr std::uint32_t kSnapshotLayout = 5;

enum class SnapshotSection : std::uint8_t {
  node,            ///< NodeRecord, exactly one
  node_addresses,  ///< IpAddress: source addresses of FullNAT, in order of preference, per family
  listeners,       ///< ListenerRecord
  listener_slots,  ///< std::uint32_t: open addressing over service_hash(), power of two; kEmptySlot or listener index
  clusters,        ///< ClusterRecord
  endpoints,       ///< EndpointRecord, grouped by cluster
  maglev,          ///< std::uint16_t: endpoint index within its cluster
  address_slots,   ///< std::uint32_t: open addressing over address_hash(), as listener_slots, one per distinct address
  // The rest is for listeners of HTTP (http_layout.h).
  http_listeners,    ///< HttpListenerRecord
  route_clusters,    ///< std::uint32_t: index into clusters, by cluster number of a route table
  route_slots,       ///< std::uint16_t: index into WorkerCounters::http_slots, by route number of a route table
  cluster_policies,  ///< ClusterPolicyRecord, one per cluster
  hash_policies,     ///< HashPolicyRecord, grouped by cluster
  rings,             ///< RingPoint, grouped by cluster
  texts,             ///< octets
  route_images,      ///< octets: images of l7/route, each at a multiple of 64
  // Policies of requests (policy_layout.h).
  route_policies,       ///< std::uint32_t: index into http_policies or kNoPolicy, beside route_slots
  http_policies,        ///< HttpPolicyRecord
  authorization_rules,  ///< AuthorizationRule, grouped by policy
  policy_terms,         ///< PolicyTerm, grouped by rule
  rate_limits,          ///< RateLimitRecord
  question_targets,     ///< QuestionTargetRecord
  question_headers,     ///< TextRef: names in lower case, grouped by target
  count
};
inline constexpr std::size_t kSnapshotSectionCount = static_cast<std::size_t>(SnapshotSection::count);
inline constexpr std::uint32_t kEmptySlot = 0xffffffff;
inline constexpr std::uint32_t kNoIndex = 0xffffffff;

struct SectionRef {
  std::uint64_t offset;        ///< from the start of the header
  std::uint32_t count;         ///< records
  std::uint32_t entry_octets;  ///< size of one record
};

struct SnapshotHeader {
  std::uint64_t magic;
  std::uint32_t layout;
  std::uint32_t zero;
  std::uint64_t epoch;         ///< rises with every publication of one daemon lineage
  std::uint64_t octets;        ///< whole snapshot
  std::uint64_t content_hash;  ///< hash64() over everything behind the header; equal content, equal hash
  std::array<SectionRef, kSnapshotSectionCount> sections;
};

enum class Forwarding : std::uint8_t {
  fullnat,  ///< source becomes a node address and a port of the reserved range
  dnat      ///< only the destination changes; replies are steered by their source
};
enum class ListenerMode : std::uint8_t {
  l4,    ///< packets are translated; the end hosts guarantee delivery
  proxy  ///< TCP ends here: one connection to the client, another to the endpoint
};
enum class Policy : std::uint8_t { allow, deny, ask };
enum class Decision : std::uint8_t { allow, deny };
/// Congestion control of proxied connections.
enum class Congestion : std::uint32_t { reno, cubic };

struct NodeRecord {
  std::uint16_t source_port_low;   ///< host order, inclusive
  std::uint16_t source_port_high;  ///< host order, inclusive
  std::uint32_t flow_max;          ///< connections per worker
  // Idle times by state, milliseconds.
  std::uint32_t tcp_syn_ms;
  std::uint32_t tcp_established_ms;
  std::uint32_t tcp_fin_ms;
  std::uint32_t tcp_closed_ms;  ///< after both FINs or a reset
  std::uint32_t udp_unreplied_ms;
  std::uint32_t udp_stream_ms;
  std::uint32_t parked_max;  ///< flows waiting for an answer, per worker
  // Listeners of mode proxy.
  std::uint32_t proxy_connections_max;  ///< proxied connections per worker; the memory reserved at start bounds it too
  std::uint32_t proxy_half_open_max;    ///< unfinished handshakes per worker; above it SYN cookies
  std::uint32_t proxy_idle_ms;          ///< no segment from either side for this long ends a connection
  std::uint32_t proxy_connect_ms;       ///< the endpoint must accept within this time
  std::uint32_t proxy_keepalive_ms;     ///< idle before keepalive probes; 0 = none
  std::uint32_t proxy_buffer_octets;    ///< in flight and queued per direction
  std::uint32_t proxy_time_wait_ms;
  Congestion proxy_congestion;
  std::uint32_t zero;
};
static_assert(sizeof(NodeRecord) == 72);

enum ListenerFlags : std::uint8_t {
  kListenerDraining = 1,       ///< established flows only
  kListenerProxyProtocol = 2,  ///< of mode proxy: connections begin with a PROXY header
  kListenerForward = 8,        ///< of mode l4: hot flows may be forwarded by the XDP program (tier X)
  kListenerSplice = 16,        ///< of mode proxy, without HTTP: pairs that are at rest become spliced flows (tier S)
  kListenerTunnel = 4  ///< of mode proxy, without HTTP: octets pass through the HTTP proxy (l7/proxy/tunnel.cpp)
};

struct ListenerRecord {
  IpAddress address;
  Be16 port;
  IpProto proto;
  Policy policy;
  Forwarding forwarding;
  std::uint8_t flags;  ///< ListenerFlags
  Decision ask_default;
  ListenerMode mode;        ///< proxy: with TCP and FullNAT only
  std::uint32_t id;         ///< stays with the listener's name over snapshots
  std::uint32_t stat_slot;  ///< index into the counters segment
  std::uint32_t cluster;    ///< index into clusters; kNoIndex with HTTP: then the routes name them
  std::uint32_t ask_deadline_ms;
  std::uint32_t http{kNoIndex};  ///< index into http_listeners: the proxied connections carry HTTP; else kNoIndex
};
static_assert(sizeof(ListenerRecord) == 44);

/// Are its connections served by the HTTP proxy, not relayed leg to leg?
[[nodiscard]] inline bool is_served(const ListenerRecord& listener) {
  return listener.http != kNoIndex || (listener.flags & kListenerTunnel) != 0;
}

enum ClusterFlags : std::uint32_t {
  kClusterPanic = 1  ///< too few endpoints are healthy: all with weight count as healthy
};

struct ClusterRecord {
  std::uint32_t id;
  std::uint32_t first_endpoint;  ///< index into endpoints
  std::uint32_t endpoint_count;
  std::uint32_t maglev_offset;  ///< index into maglev
  std::uint32_t maglev_size;    ///< prime; 0 when no endpoint takes flows
  std::uint32_t flags;          ///< ClusterFlags
};
static_assert(sizeof(ClusterRecord) == 24);

enum class EndpointHealth : std::uint32_t {
  healthy,   ///< or never checked
  unhealthy  ///< active checks failed: no new flows or requests
};

struct EndpointRecord {
  IpAddress address;
  Be16 port;
  std::uint16_t weight;     ///< 0 = drained: no new flows
  std::uint32_t id;         ///< stays with {cluster, address, port} over snapshots
  std::uint32_t stat_slot;  ///< index into the counters segment
  EndpointHealth health{EndpointHealth::healthy};
  std::uint64_t affinity{0};  ///< what names it in a cookie; 0 = none
};
static_assert(sizeof(EndpointRecord) == 40);

/// May this endpoint of `cluster` get something new?
[[nodiscard]] inline bool takes_flows(const ClusterRecord& cluster, const EndpointRecord& endpoint) {
  return endpoint.weight > 0 && (endpoint.health == EndpointHealth::healthy || (cluster.flags & kClusterPanic) != 0);
}

}  // namespace penstock::control
