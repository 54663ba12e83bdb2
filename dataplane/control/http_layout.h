// http_layout.h - records of a snapshot for listeners that terminate HTTP.
//
// Model     a listener of mode proxy with HTTP points to an HttpListenerRecord: its compiled route table (an image of
//           l7/route), and what the table's numbers mean here: clusters by index, routes by counter block. How a
//           cluster's requests are spread and limited is in the ClusterPolicyRecord beside its ClusterRecord.
// Units     times in milliseconds, 0 = none unless said otherwise; shares in percent; host order.
// Shape     fixed sizes, asserted; part of the layout of snapshot_layout.h and its number.
// Limits    limits.h. Those of a cluster are of the whole node: each worker has the share that share_of_limit() tells.
// Not here  the route table's own records (l7/route/layout.h); its loading (l7/route/listener_tables.h).
#pragma once
#include <cstdint>

#include "dataplane/control/policy_layout.h"

namespace penstock::control {

/// What becomes of a request's list of senders (x-forwarded-for, Forwarded) on its way to the endpoint.
enum class SenderList : std::uint8_t {
  append,   ///< the peer is added
  replace,  ///< the peer alone
  off       ///< as it came
};
enum HttpListenerFlags : std::uint8_t {
  kHttpTrace = 1  ///< a request without a valid traceparent gets one
};

struct HttpListenerRecord {
  std::uint64_t table_offset;        ///< of the image in route_images, a multiple of 64
  std::uint64_t table_octets;        ///< above 0
  std::uint32_t first_cluster;       ///< into route_clusters: the table's cluster 0
  std::uint32_t cluster_count;       ///< as many as the table names
  std::uint32_t first_route;         ///< into route_slots: the table's route 0
  std::uint32_t route_count;         ///< as many as the table has
  std::uint32_t http_slot;           ///< into WorkerCounters::http_slots: all requests of this listener
  std::uint32_t header_timeout_ms;   ///< a request head must be complete within this time; above 0
  std::uint32_t idle_timeout_ms;     ///< a client's connection without a request is closed; above 0
  std::uint32_t stream_idle_ms;      ///< no octet either way during a request, for routes without a time of their own
  std::uint32_t requests_max;        ///< of one client connection, then it is closed; 0 = any number
  std::uint32_t access_log_samples;  ///< requests of a million that leave an AccessRecord
  SenderList x_forwarded_for{SenderList::append};
  SenderList forwarded{SenderList::off};  ///< RFC 7239
  std::uint8_t trusted_hops{0};           ///< proxies in front of us whose element of x-forwarded-for is believed
  std::uint8_t flags{0};                  ///< HttpListenerFlags
  std::uint32_t trace_samples{0};         ///< traces of a million begun here that are marked as sampled
  TextRef via{};                          ///< pseudonym in Via; empty: none
  std::uint32_t policy{kNoPolicy};        ///< into http_policies: rate limits of all its requests; kNoPolicy
  std::uint32_t max_body_octets{0};       ///< of a request; 0 = any number
  TextRef connect_allow{};                ///< targets of CONNECT: patterns, one per line; empty: none
  std::uint32_t connect_cluster{0};       ///< index into clusters, where such tunnels lead
  std::uint32_t zero{0};
};
static_assert(sizeof(HttpListenerRecord) == 96);

/// How requests are spread over a cluster's endpoints. Connections that carry no HTTP always go by Maglev.
enum class LbPolicy : std::uint8_t { round_robin, least_request, random, maglev, ring_hash };

enum class HashSource : std::uint8_t { header, cookie, source_ip };
enum HashPolicyFlags : std::uint8_t {
  kHashTerminal = 1  ///< when this one has a value, those behind it do not count
};
/// One thing that a request's hash is made of, for maglev and ring_hash. A request that has none of them gets a random
/// endpoint.
struct HashPolicyRecord {
  HashSource source;
  std::uint8_t flags;  ///< HashPolicyFlags
  std::uint16_t zero;
  TextRef name;  ///< of the header in lower case, or of the cookie; empty with source_ip
};
static_assert(sizeof(HashPolicyRecord) == 12);

/// Points of one ring stand in ascending order of their hash; a request belongs to the first that is not below its own
/// hash, else to the first of all.
struct RingPoint {
  std::uint32_t hash;      ///< upper half of the point's 64 bits
  std::uint32_t endpoint;  ///< index within the cluster
};
static_assert(sizeof(RingPoint) == 8);

/// An endpoint that answers badly is left out for a while.
struct OutlierRecord {
  std::uint32_t consecutive_5xx;              ///< 0 = do not watch
  std::uint32_t consecutive_gateway_failure;  ///< 502, 503, 504 and failed connections; 0 = do not watch
  std::uint32_t base_ejection_ms;             ///< times the number of ejections in a row
  std::uint32_t max_ejection_ms;
  std::uint32_t max_ejection_percent;  ///< of the cluster's endpoints at the same time, at least one
};
static_assert(sizeof(OutlierRecord) == 20);

/// An endpoint that became usable gets its full share of requests only after a while (round_robin, least_request).
struct SlowStartRecord {
  std::uint32_t window_ms{0};  ///< 0 = at once
  std::uint16_t aggression_percent{100};
  std::uint16_t min_weight_percent{10};
};
static_assert(sizeof(SlowStartRecord) == 8);

/// Sessions that stay at an endpoint by a cookie with its EndpointRecord::affinity.
struct AffinityRecord {
  TextRef cookie{};  ///< name; empty = none
  TextRef path{};
  std::uint32_t ttl_s{0};  ///< 0 = as long as the client's session
};
static_assert(sizeof(AffinityRecord) == 20);

/// The PROXY header by which endpoints are told whose connection it is; the number is the version.
enum class ProxyProtocol : std::uint8_t { off, v1, v2 };

struct ClusterPolicyRecord {
  LbPolicy lb_policy{LbPolicy::round_robin};
  std::uint8_t choice_count{2};  ///< endpoints that least_request looks at
  ProxyProtocol proxy_protocol{ProxyProtocol::off};
  std::uint8_t zero{0};
  std::uint32_t first_hash_policy{0};
  std::uint32_t hash_policy_count{0};
  std::uint32_t first_ring_point{0};
  std::uint32_t ring_point_count{0};  ///< 0 unless ring_hash and some endpoint takes requests
  std::uint32_t http_slot{0};         ///< into WorkerCounters::http_slots
  // Circuit breakers, of the whole node.
  std::uint32_t max_connections{1024};
  std::uint32_t max_pending_requests{1024};  ///< waiting for a connection
  std::uint32_t max_requests{1024};          ///< under way
  std::uint32_t max_retries{3};              ///< under way, unless there is a budget
  std::uint32_t retry_budget_percent{0};     ///< of the requests under way; 0 = no budget, max_retries counts
  std::uint32_t retry_min_concurrency{3};    ///< retries that a budget always allows
  // Connections to endpoints.
  std::uint32_t max_requests_per_connection{0};  ///< 0 = any number
  std::uint32_t idle_timeout_ms{60'000};         ///< an unused connection is closed; above 0
  std::uint32_t connect_timeout_ms{5'000};       ///< above 0
  SlowStartRecord slow_start{};
  OutlierRecord outlier{};
  AffinityRecord affinity{};
};
static_assert(sizeof(ClusterPolicyRecord) == 108);

/// What of a node's limit belongs to one of `workers` workers: rounded up, so that 1 stays usable everywhere.
[[nodiscard]] constexpr std::uint32_t share_of_limit(std::uint32_t limit, std::uint32_t workers) {
  return workers == 0 ? limit : limit / workers + (limit % workers != 0 ? 1 : 0);
}

}  // namespace penstock::control
