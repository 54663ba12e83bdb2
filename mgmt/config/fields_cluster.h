// fields_cluster.h - the keys of clusters (see fields.h).
#pragma once
#include <array>

#include "dataplane/control/limits.h"
#include "mgmt/config/convert.h"
#include "mgmt/config/loader.h"
#include "mgmt/config/values.h"

namespace penstock::config {

using enum Presence;

inline constexpr std::int64_t kCountMax = 1'000'000;
inline constexpr std::size_t kHealthCheckMax = 4;  ///< health checks of one cluster

inline constexpr std::array kLbPolicies{
    ChoiceName<control::LbPolicy>{control::LbPolicy::round_robin, "round_robin"},
    ChoiceName<control::LbPolicy>{control::LbPolicy::least_request, "least_request"},
    ChoiceName<control::LbPolicy>{control::LbPolicy::random, "random"},
    ChoiceName<control::LbPolicy>{control::LbPolicy::maglev, "maglev"},
    ChoiceName<control::LbPolicy>{control::LbPolicy::ring_hash, "ring_hash"}};
inline constexpr std::array kProxyProtocols{ChoiceName<control::ProxyProtocol>{control::ProxyProtocol::off, "off"},
                                            ChoiceName<control::ProxyProtocol>{control::ProxyProtocol::v1, "v1"},
                                            ChoiceName<control::ProxyProtocol>{control::ProxyProtocol::v2, "v2"}};
inline constexpr std::array kCheckKinds{ChoiceName<CheckKind>{CheckKind::tcp, "tcp"},
                                        ChoiceName<CheckKind>{CheckKind::http, "http"}};

template <>
struct Table<Endpoint> {
  static constexpr std::string_view name = "endpoint";
  static constexpr std::array fields{
      field<&Endpoint::address, Address{false}>("address", required, "address of the server"),
      field<&Endpoint::port, kPortNumber>("port", required, "port of the server"),
      field<&Endpoint::weight, Integer{0, control::kWeightMax}>(
          "weight", optional, "share of new connections and requests relative to the others; 0 takes none"),
  };
};

/// A hash policy as it is written: one key says which source.
struct HashPolicyText {
  std::optional<std::string> header;
  std::optional<std::string> cookie;
  bool source_ip{false};
  bool terminal{false};
};
template <>
struct Table<HashPolicyText> {
  static constexpr std::string_view name = "hash policy";
  static constexpr std::array fields{
      field<&HashPolicyText::header, Maybe<Text{256}>{}>("header", optional, "the value of this request header"),
      field<&HashPolicyText::cookie, Maybe<Text{256}>{}>("cookie", optional, "the value of this cookie"),
      field<&HashPolicyText::source_ip, Flag{}>("source_ip", optional, "the client's address"),
      field<&HashPolicyText::terminal, Flag{}>("terminal", optional,
                                               "when the request has it, the policies behind do not count"),
  };
};

template <>
struct Table<RetryBudget> {
  static constexpr std::string_view name = "retry budget";
  static constexpr std::array fields{
      field<&RetryBudget::budget_percent, Integer{1, 100}>("budget_percent", optional,
                                                           "retries, as a share of the requests under way"),
      field<&RetryBudget::min_retry_concurrency, Integer{0, kCountMax}>("min_retry_concurrency", optional,
                                                                        "retries that are always allowed"),
  };
};

template <>
struct Table<CircuitBreakers> {
  static constexpr std::string_view name = "circuit breakers";
  static constexpr std::array fields{
      field<&CircuitBreakers::max_connections, Integer{1, kCountMax}>("max_connections", optional,
                                                                      "connections to all endpoints"),
      field<&CircuitBreakers::max_pending_requests, Integer{1, kCountMax}>(
          "max_pending_requests", optional, "requests that wait for a connection; beyond, 503"),
      field<&CircuitBreakers::max_requests, Integer{1, kCountMax}>("max_requests", optional,
                                                                   "requests under way; beyond, 503"),
      field<&CircuitBreakers::max_retries, Integer{0, kCountMax}>("max_retries", optional, "retries under way"),
      field<&CircuitBreakers::retry_budget, Maybe<Map<RetryBudget>{}>{}>("retry_budget", optional,
                                                                         "takes the place of `max_retries`"),
  };
};

template <>
struct Table<OutlierDetection> {
  static constexpr std::string_view name = "outlier detection";
  static constexpr std::array fields{
      field<&OutlierDetection::consecutive_5xx, Integer{0, 1000}>(
          "consecutive_5xx", optional, "so many 5xx in a row leave the endpoint out; 0 does not count them"),
      field<&OutlierDetection::consecutive_gateway_failure, Integer{0, 1000}>(
          "consecutive_gateway_failure", optional,
          "the same for 502, 503, 504 and failed connections; 0 does not count them"),
      field<&OutlierDetection::base_ejection_time, Span{100, kTimeMax}>(
          "base_ejection_time", optional, "how long, times the number of ejections so far"),
      field<&OutlierDetection::max_ejection_time, Span{100, kTimeMax}>("max_ejection_time", optional,
                                                                       "at most this long"),
      field<&OutlierDetection::max_ejection_percent, Integer{0, 100}>(
          "max_ejection_percent", optional, "of the endpoints at the same time; one is always possible"),
  };
};

template <>
struct Table<SlowStart> {
  static constexpr std::string_view name = "slow start";
  static constexpr std::array fields{
      field<&SlowStart::window, Span{1, kTimeMax}>("window", required,
                                                   "after this time the endpoint has its full share"),
      field<&SlowStart::aggression_percent, Hundredths{10, 10'000}>(
          "aggression", optional, "1 grows evenly, above 1 quickly at first, below 1 slowly at first"),
      field<&SlowStart::min_weight_percent, Integer{0, 100}>("min_weight_percent", optional,
                                                             "percent of its weight that it begins with"),
  };
};

template <>
struct Table<SessionAffinity> {
  static constexpr std::string_view name = "session affinity";
  static constexpr std::array fields{
      field<&SessionAffinity::cookie, Text{64}>("cookie", required, "name of the cookie that endpoints are named by"),
      field<&SessionAffinity::ttl, Span{0, control::kTimeoutMsMax}>(
          "ttl", optional, "how long the client keeps it; 0s: until its session ends"),
      field<&SessionAffinity::path, Text{control::kAffinityTextMax}>("path", optional, "`Path` of the cookie"),
      field<&SessionAffinity::key, Text{256}>(
          "key", optional,
          "secret behind the cookie's values, for several nodes that are to agree; without it the daemon has one"),
  };
};

template <>
struct Table<HealthCheck> {
  static constexpr std::string_view name = "health check";
  static constexpr std::array fields{
      field<&HealthCheck::kind, Choice<&kCheckKinds>{}>("protocol", required,
                                                        "`tcp` connects; `http` asks and judges the status"),
      field<&HealthCheck::interval, Span{100, kTimeMax}>("interval", optional, "between two checks of an endpoint"),
      field<&HealthCheck::jitter, Span{0, kTimeMax}>("jitter", optional, "a random part of this is added to it"),
      field<&HealthCheck::timeout, Span{10, 60'000}>("timeout", optional, "of the whole check"),
      field<&HealthCheck::healthy_threshold, Integer{1, 100}>("healthy_threshold", optional,
                                                              "good results in a row that make it healthy again"),
      field<&HealthCheck::unhealthy_threshold, Integer{1, 100}>("unhealthy_threshold", optional,
                                                                "bad results in a row that make it unhealthy"),
      field<&HealthCheck::port, Maybe<kPortNumber>{}>("port", optional, "without it the endpoint's own"),
      field<&HealthCheck::path, Text{1024}>("path", optional, "http: the target of the GET"),
      field<&HealthCheck::host, Text{255}>("host", optional,
                                           "http: `Host`; without it the endpoint's address and port"),
      field<&HealthCheck::expected_statuses, Statuses{}>("expected_statuses", optional, "http: these are healthy"),
  };
};

template <>
struct Table<Cluster> {
  static constexpr std::string_view name = "cluster";
  static constexpr std::array fields{
      field<&Cluster::name, Name{kConfigNameMax}>("name", required, "listeners and routes refer to it"),
      field<&Cluster::maglev_table_size, Maybe<Integer{2, control::kMaglevSizeMax}>{}>(
          "maglev_table_size", optional,
          "slots of the consistent hashing table, a prime; without it chosen by the number of endpoints"),
      field<&Cluster::endpoints, List<Map<Endpoint>{}>{control::kClusterEndpointMax}>(
          "endpoints", required, "servers; unique by address and port, one address family"),
      field<&Cluster::lb_policy, Choice<&kLbPolicies>{}>(
          "lb_policy", optional,
          "how HTTP requests are spread ([HTTP](http.md)); connections that carry no HTTP always go by Maglev"),
      field<&Cluster::choice_count, Integer{2, 16}>("choice_count", optional,
                                                    "`least_request`: endpoints of which the least busy is taken"),
      field<&Cluster::ring_size, Integer{16, control::kClusterRingPointMax / 2}>(
          "ring_size", optional, "`ring_hash`: points of the ring, shared out by weight, at least one each"),
      field<&Cluster::hash_policy, List<Converted<HashPolicyText, HashPolicy>{}>{control::kClusterHashPolicyMax}>(
          "hash_policy", optional, "`maglev`, `ring_hash`: what requests are told apart by"),
      field<&Cluster::connect_timeout, Span{10, 5 * 60 * 1000}>("connect_timeout", optional,
                                                                "HTTP: how long the endpoint may take to accept"),
      field<&Cluster::idle_timeout, Span{100, control::kTimeoutMsMax}>(
          "idle_timeout", optional, "HTTP: an unused connection to an endpoint is closed"),
      field<&Cluster::max_requests_per_connection, Integer{0, kCountMax}>(
          "max_requests_per_connection", optional, "HTTP: then it is closed; 0 means any number"),
      field<&Cluster::circuit_breakers, Map<CircuitBreakers>{}>("circuit_breakers", optional,
                                                                "HTTP: limits, of the whole node"),
      field<&Cluster::outlier_detection, Maybe<Map<OutlierDetection>{}>{}>(
          "outlier_detection", optional, "HTTP: leave out endpoints that answer badly"),
      field<&Cluster::slow_start, Maybe<Map<SlowStart>{}>{}>("slow_start", optional,
                                                             "HTTP, `round_robin` and `least_request`: an endpoint "
                                                             "that is new, or became healthy, gets its full share only "
                                                             "after a while"),
      field<&Cluster::session_affinity, Maybe<Map<SessionAffinity>{}>{}>(
          "session_affinity", optional, "HTTP: a client stays at its endpoint by a cookie"),
      field<&Cluster::proxy_protocol, Choice<&kProxyProtocols>{}>(
          "proxy_protocol", optional,
          "mode proxy: endpoints are told of the client by a PROXY header of this version ([proxy](proxy.md))"),
      field<&Cluster::panic_threshold, Integer{0, 100}>(
          "panic_threshold", optional,
          "percent of the weight that must be healthy; below, all endpoints count as healthy. 0 never does"),
      field<&Cluster::health_checks, List<Map<HealthCheck>{}>{kHealthCheckMax}>(
          "health_checks", optional, "an endpoint is healthy when none of them says otherwise ([health](health.md))"),
  };
};

}  // namespace penstock::config
