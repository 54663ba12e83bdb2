// cluster.h - a group of servers: who they are, how requests are spread over them, what they may be asked to bear, and
// how it is found out whether they are well.
//
// Model     plain values, as the rest of config.h. Names are those of xDS clusters where it has them.
// Units     limits are of the whole node; percentages are whole numbers.
// Not here  which of these reach the dataplane how (mgmt/compile), the checks themselves (mgmt/health).
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "dataplane/control/http_layout.h"
#include "dataplane/core/addresses.h"
#include "mgmt/config/durations.h"

namespace penstock::config {

struct Endpoint {
  IpAddress address;
  std::uint16_t port{};
  std::uint16_t weight{1};  ///< 0 = no new flows
  friend bool operator==(const Endpoint&, const Endpoint&) = default;
};

/// One of the three sources.
struct HashPolicy {
  control::HashSource source{control::HashSource::source_ip};
  std::string name;  ///< of the header, in lower case, or of the cookie
  bool terminal{false};
  friend bool operator==(const HashPolicy&, const HashPolicy&) = default;
};

struct RetryBudget {
  std::uint32_t budget_percent{20};
  std::uint32_t min_retry_concurrency{3};
  friend bool operator==(const RetryBudget&, const RetryBudget&) = default;
};
struct CircuitBreakers {
  std::uint32_t max_connections{1024};
  std::uint32_t max_pending_requests{1024};
  std::uint32_t max_requests{1024};
  std::uint32_t max_retries{3};
  std::optional<RetryBudget> retry_budget{};  ///< takes the place of max_retries
  friend bool operator==(const CircuitBreakers&, const CircuitBreakers&) = default;
};

struct OutlierDetection {
  std::uint32_t consecutive_5xx{5};              ///< 0 = do not watch
  std::uint32_t consecutive_gateway_failure{0};  ///< 0 = do not watch
  milliseconds base_ejection_time{seconds{30}};
  milliseconds max_ejection_time{minutes{5}};
  std::uint32_t max_ejection_percent{10};
  friend bool operator==(const OutlierDetection&, const OutlierDetection&) = default;
};

struct SlowStart {
  milliseconds window{seconds{30}};
  std::uint32_t aggression_percent{100};
  std::uint32_t min_weight_percent{10};
  friend bool operator==(const SlowStart&, const SlowStart&) = default;
};

/// Sessions stay at an endpoint by a cookie.
struct SessionAffinity {
  std::string cookie;
  milliseconds ttl{0};  ///< 0 = as long as the client's session
  std::string path{"/"};
  std::string key{};  ///< empty = the daemon's own secret
  friend bool operator==(const SessionAffinity&, const SessionAffinity&) = default;
};

/// Inclusive.
struct StatusRange {
  std::uint16_t low{200};
  std::uint16_t high{299};
  friend bool operator==(const StatusRange&, const StatusRange&) = default;
};
enum class CheckKind : std::uint8_t { tcp, http };
struct HealthCheck {
  CheckKind kind{CheckKind::tcp};
  milliseconds interval{seconds{5}};
  milliseconds jitter{seconds{1}};  ///< up to this much is added to every interval
  milliseconds timeout{seconds{1}};
  std::uint32_t healthy_threshold{2};
  std::uint32_t unhealthy_threshold{3};
  std::optional<std::uint16_t> port{};  ///< absent = the endpoint's own
  std::string path{"/"};                ///< http
  std::string host{};                   ///< http; empty = the endpoint's address and port
  StatusRange expected_statuses{};      ///< http
  control::ProxyProtocol proxy_protocol{control::ProxyProtocol::off};  ///< the cluster's, for checks of its own ports
  friend bool operator==(const HealthCheck&, const HealthCheck&) = default;
};

struct Cluster {
  std::string name;
  std::optional<std::uint32_t> maglev_table_size;  ///< prime; absent = by endpoint count
  std::vector<Endpoint> endpoints;
  control::LbPolicy lb_policy{control::LbPolicy::round_robin};  ///< of requests; connections go by Maglev
  std::uint32_t choice_count{2};                                ///< least_request
  std::uint32_t ring_size{1024};                                ///< ring_hash: points in all, about
  std::vector<HashPolicy> hash_policy{};
  milliseconds connect_timeout{seconds{5}};
  milliseconds idle_timeout{seconds{60}};
  std::uint32_t max_requests_per_connection{0};  ///< 0 = any number
  CircuitBreakers circuit_breakers{};
  std::optional<OutlierDetection> outlier_detection{};
  std::optional<SlowStart> slow_start{};
  std::optional<SessionAffinity> session_affinity{};
  control::ProxyProtocol proxy_protocol{control::ProxyProtocol::off};
  std::uint32_t panic_threshold{50};  ///< percent of weight that must be healthy
  std::vector<HealthCheck> health_checks{};
  friend bool operator==(const Cluster&, const Cluster&) = default;
};

}  // namespace penstock::config
