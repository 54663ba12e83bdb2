// http_stats.h - what a worker counts about HTTP, and the record of one request.
//
// Model     one HttpSlotCounters per route, cluster and listener of HTTP, in the counters segment; the snapshot says
//           which block belongs to what. Block 0 takes whatever has no block of its own. A request counts in the
//           block of its listener, of its route and of its cluster. AccessRecord travels on a ring of its own.
// Units     latency in microseconds, from the first octet of the request to the last of the response; octets are of
//           bodies; instants are nanoseconds of CLOCK_MONOTONIC.
// Shape     one writer (the worker), any reader.
// Not here  names of blocks (mgmt/telemetry), when a request is sampled (HttpListenerRecord::access_log_samples).
#pragma once
#include <array>
#include <bit>
#include <cstdint>
#include <string_view>

#include "dataplane/control/counter.h"
#include "dataplane/core/addresses.h"

namespace penstock::control {

/// Why a request ended as it did. Append only.
enum class ResponseDetail : std::uint8_t {
  none,                    ///< the endpoint's own response was passed on to its end
  redirect,                ///< answered by a redirect route
  direct_response,         ///< answered by a direct response route, or here since Max-Forwards is 0
  bad_request,             ///< refused by the parser; 400
  request_timeout,         ///< the request head was not complete in time; 408
  no_route,                ///< no host or no route; 404
  bad_rewrite,             ///< the route's rewrite gave no valid target; 400
  no_healthy_upstream,     ///< the cluster has no endpoint that takes requests; 503
  overflow,                ///< a circuit breaker was open; 503
  connect_failure,         ///< no connection to an endpoint; 503
  upstream_reset,          ///< the endpoint ended its connection before the response was complete; 502 or cut off
  upstream_protocol,       ///< the endpoint's response was no HTTP; 502
  response_timeout,        ///< the route's timeout; 504
  idle_timeout,            ///< no octet either way for too long; 504 or cut off
  downstream_reset,        ///< the client went away before the response was complete
  shutdown,                ///< the listener was removed, and its drain is over; 503 or cut off
  authorization_denied,    ///< by a rule of the route's authorization; 403
  rate_limited,            ///< the listener's rate limit; 429
  route_rate_limited,      ///< the route's rate limit; 429
  client_rate_limited,     ///< a rate limit of the client's address; 429
  fault_abort,             ///< answered by the route's fault injection
  authorization_refused,   ///< by whom the route's authorization asked; 403 or the authorizer's status
  authorization_timeout,   ///< whom it asked gave no answer in time, and the default is to deny; 403
  authorization_overflow,  ///< it could not be asked: no room for the question; the default is to deny; 403
  body_too_large,          ///< longer than max_request_body; 413
  connect_refused,         ///< CONNECT to what is not on the listener's list; 403
  count
};
struct ResponseDetailName {
  ResponseDetail detail;
  std::string_view name;
};
inline constexpr std::array kResponseDetails{
    ResponseDetailName{ResponseDetail::none, "via_upstream"},
    ResponseDetailName{ResponseDetail::redirect, "redirect"},
    ResponseDetailName{ResponseDetail::direct_response, "direct_response"},
    ResponseDetailName{ResponseDetail::bad_request, "bad_request"},
    ResponseDetailName{ResponseDetail::request_timeout, "request_timeout"},
    ResponseDetailName{ResponseDetail::no_route, "no_route"},
    ResponseDetailName{ResponseDetail::bad_rewrite, "bad_rewrite"},
    ResponseDetailName{ResponseDetail::no_healthy_upstream, "no_healthy_upstream"},
    ResponseDetailName{ResponseDetail::overflow, "overflow"},
    ResponseDetailName{ResponseDetail::connect_failure, "connect_failure"},
    ResponseDetailName{ResponseDetail::upstream_reset, "upstream_reset"},
    ResponseDetailName{ResponseDetail::upstream_protocol, "upstream_protocol"},
    ResponseDetailName{ResponseDetail::response_timeout, "response_timeout"},
    ResponseDetailName{ResponseDetail::idle_timeout, "idle_timeout"},
    ResponseDetailName{ResponseDetail::downstream_reset, "downstream_reset"},
    ResponseDetailName{ResponseDetail::shutdown, "shutdown"},
    ResponseDetailName{ResponseDetail::authorization_denied, "authorization_denied"},
    ResponseDetailName{ResponseDetail::rate_limited, "rate_limited"},
    ResponseDetailName{ResponseDetail::route_rate_limited, "route_rate_limited"},
    ResponseDetailName{ResponseDetail::client_rate_limited, "client_rate_limited"},
    ResponseDetailName{ResponseDetail::fault_abort, "fault_abort"},
    ResponseDetailName{ResponseDetail::authorization_refused, "authorization_refused"},
    ResponseDetailName{ResponseDetail::authorization_timeout, "authorization_timeout"},
    ResponseDetailName{ResponseDetail::authorization_overflow, "authorization_overflow"},
    ResponseDetailName{ResponseDetail::body_too_large, "body_too_large"},
    ResponseDetailName{ResponseDetail::connect_refused, "connect_refused"},
};
static_assert(kResponseDetails.size() == static_cast<std::size_t>(ResponseDetail::count));

inline constexpr std::size_t kLatencyBuckets = 28;  ///< the last begins at 67 s
/// Bucket 0 holds 0 us, bucket b holds 2^(b-1) <= us < 2^b, the last everything above.
[[nodiscard]] constexpr std::size_t latency_bucket(std::uint64_t microseconds) {
  const auto width = static_cast<std::size_t>(std::bit_width(microseconds));
  return width < kLatencyBuckets ? width : kLatencyBuckets - 1;
}

/// Of one route, cluster or listener.
struct HttpSlotCounters {
  Counter active;                   ///< gauge: requests under way
  Counter requests;                 ///< ended
  std::array<Counter, 5> by_class;  ///< of these, responses sent with 1xx (101), 2xx, 3xx, 4xx, 5xx
  Counter retries;                  ///< tries after the first
  Counter retries_overflow;         ///< not made since a limit of retries was reached
  Counter overflow;                 ///< refused by a circuit breaker
  Counter timeouts;                 ///< response_timeout, idle_timeout
  Counter upstream_failures;        ///< connect_failure, upstream_reset, upstream_protocol
  Counter downstream_resets;
  Counter request_octets;
  Counter response_octets;
  Counter latency_us_sum;
  std::array<Counter, kLatencyBuckets> latency;
};
static_assert(sizeof(HttpSlotCounters) == 8 * 44);

/// Of one endpoint, by its stat slot. A request that is tried again counts at each endpoint that it was sent to.
/// Five cache lines, of which an answer touches three: at 10,000 endpoints 3.2 MB per worker. Reading them takes their
/// memory as well as writing: who reports looks at endpoints of HTTP only.
struct alignas(64) HttpEndpointCounters {
  Counter requests;        ///< begun
  Counter errors_5xx;      ///< answered so by the endpoint
  Counter failures;        ///< not answered: refused, broken off, no HTTP, too late
  Counter latency_us_sum;  ///< of the answered ones, from the try's begin to the head of the response
  std::array<Counter, kLatencyBuckets> latency;  ///< of the same
  std::array<Counter, 5> by_class;               ///< of the same, answered with 1xx (101), 2xx, 3xx, 4xx, 5xx
};
static_assert(sizeof(HttpEndpointCounters) == 320);

inline constexpr std::size_t kRejectedMax = 64;  ///< reasons of the parsers (l7/http1/reject.h)

/// Of one worker.
struct HttpCounters {
  Counter downstream_active;      ///< gauge: clients' connections
  Counter upstream_active;        ///< gauge: connections to endpoints, idle ones included
  Counter upstream_idle;          ///< gauge: of these, kept for the next request
  Counter upstream_connects;      ///< ever
  Counter ejections;              ///< endpoints left out by outlier detection, ever
  Counter ejected;                ///< gauge
  Counter proxy_headers;          ///< PROXY headers that a connection began with
  Counter proxy_headers_refused;  ///< connections reset since theirs was none, or late
  Counter tunnels_failed;         ///< TCP connections through the proxy that got no connection to an endpoint
  Counter access_records;         ///< put on the ring
  Counter access_dropped;         ///< not put there, since it was full
  Counter held;                   ///< gauge: requests that a policy makes wait
  Counter delayed;                ///< requests delayed by fault injection
  Counter mirrored;               ///< copies of requests sent
  Counter mirror_skipped;         ///< not sent: too long, given up early, no connection or no memory
  Counter mirror_failed;          ///< sent, but the connection ended without an answer
  Counter questions;              ///< about requests, put on the ring
  Counter questions_unasked;      ///< not put there: the ring was full, or the facts were too long; the default decided
  Counter questions_late;         ///< not answered in time; the default decided
  Counter answers_reused;         ///< requests decided by an answer to an earlier one
  Counter rate_evicted;           ///< clients forgotten by a rate limit before their time
  std::array<Counter, static_cast<std::size_t>(ResponseDetail::count)> by_detail;
  std::array<Counter, kRejectedMax> rejected;  ///< requests and responses that the parsers refused, by reason
};

inline constexpr std::size_t kAccessTextOctets = 384;
/// One request. The text holds method, host and path, each cut to what is left.
struct AccessRecord {
  std::uint64_t ended_ns;
  std::uint32_t listener_id;
  std::uint32_t cluster_id;   ///< 0 = none was chosen
  std::uint32_t endpoint_id;  ///< 0 = none was chosen
  std::uint32_t route;        ///< number in the listener's table; kNoIndex = none
  std::uint64_t epoch;        ///< snapshot that the route's number refers to
  std::uint64_t request_octets;
  std::uint64_t response_octets;
  std::uint32_t duration_us;
  std::uint32_t upstream_us;  ///< until the first octet of the response head
  IpAddress client;
  std::uint16_t client_port;  ///< host order
  std::uint16_t status;       ///< 0 = no response was sent
  ResponseDetail detail;
  std::uint8_t retries;
  std::uint8_t http_minor;  ///< of HTTP/1.x, as the client sent it
  std::uint8_t method_octets;
  std::uint16_t host_octets;
  std::uint16_t path_octets;
  std::array<std::uint8_t, 44> zero;
  std::array<char, kAccessTextOctets> text;
};
static_assert(sizeof(AccessRecord) == 512);

}  // namespace penstock::control
