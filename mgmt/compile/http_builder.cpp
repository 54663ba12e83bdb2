#include "mgmt/compile/http_builder.h"

#include <algorithm>

#include "dataplane/control/limits.h"
#include "l7/route/text_fold.h"
#include "mgmt/compile/ring.h"

namespace penstock::compile {
namespace {

std::uint32_t count_ms(std::chrono::milliseconds value) { return static_cast<std::uint32_t>(value.count()); }

control::OutlierRecord outlier_record(const std::optional<config::OutlierDetection>& outlier) {
  if (!outlier) return {};
  return {outlier->consecutive_5xx, outlier->consecutive_gateway_failure, count_ms(outlier->base_ejection_time),
          count_ms(outlier->max_ejection_time), outlier->max_ejection_percent};
}

control::ClusterPolicyRecord policy_record(const config::Cluster& cluster) {
  control::ClusterPolicyRecord out;
  out.lb_policy = cluster.lb_policy;
  out.choice_count = static_cast<std::uint8_t>(cluster.choice_count);
  const config::CircuitBreakers& breakers = cluster.circuit_breakers;
  out.max_connections = breakers.max_connections;
  out.max_pending_requests = breakers.max_pending_requests;
  out.max_requests = breakers.max_requests;
  out.max_retries = breakers.max_retries;
  if (breakers.retry_budget) {
    out.retry_budget_percent = breakers.retry_budget->budget_percent;
    out.retry_min_concurrency = breakers.retry_budget->min_retry_concurrency;
  }
  out.max_requests_per_connection = cluster.max_requests_per_connection;
  out.idle_timeout_ms = count_ms(cluster.idle_timeout);
  out.connect_timeout_ms = count_ms(cluster.connect_timeout);
  out.proxy_protocol = cluster.proxy_protocol;
  if (cluster.slow_start)
    out.slow_start = {count_ms(cluster.slow_start->window),
                      static_cast<std::uint16_t>(cluster.slow_start->aggression_percent),
                      static_cast<std::uint16_t>(cluster.slow_start->min_weight_percent)};
  out.outlier = outlier_record(cluster.outlier_detection);
  return out;
}

template <typename T>
std::uint32_t size_of(const std::vector<T>& records) {
  return static_cast<std::uint32_t>(records.size());
}

}  // namespace

std::string route_name(const route::VirtualHost& host, std::size_t route) {
  const std::string& given = host.routes[route].name;
  return given.empty() ? "#" + std::to_string(route) : given;
}

HttpBuilder::HttpBuilder(IdRegistry& slots, RouteTables& tables, const policy::Hash128& secret,
                         control::SnapshotContent& content, std::vector<HttpSlotInfo>& infos)
    : slots_{slots}, tables_{tables}, secret_{secret}, content_{content}, infos_{infos}, policies_{content} {
  // The first key of all has block 0.
  (void)slot_of("other", {});
}

std::uint32_t HttpBuilder::slot_of(const std::string& key, HttpSlotInfo info) {
  if (const auto known = seen_.find(key); known != seen_.end()) return known->second;
  const auto ids = slots_.acquire(IdRegistry::Kind::http, key);
  const std::uint32_t slot = ids ? ids->stat_slot : 0;
  seen_.emplace(key, slot);
  info.slot = slot;
  if (ids) infos_.push_back(std::move(info));
  return slot;
}

void HttpBuilder::add_policy(const config::Cluster& cluster, const std::vector<config::Endpoint>& usable) {
  control::ClusterPolicyRecord record = policy_record(cluster);
  record.first_hash_policy = size_of(content_.hash_policies);
  for (const config::HashPolicy& policy : cluster.hash_policy)
    content_.hash_policies.push_back(
        {policy.source, static_cast<std::uint8_t>(policy.terminal ? control::kHashTerminal : 0), 0,
         policy.name.empty() ? control::TextRef{} : control::add_text(content_, policy.name)});
  record.hash_policy_count = size_of(content_.hash_policies) - record.first_hash_policy;
  record.first_ring_point = size_of(content_.rings);
  if (cluster.lb_policy == control::LbPolicy::ring_hash) {
    const auto ring = build_ring(usable, cluster.ring_size);
    record.ring_point_count = size_of(ring);
    content_.rings.insert(content_.rings.end(), ring.begin(), ring.end());
  }
  add_affinity(cluster, record);
  content_.cluster_policies.push_back(record);
}

/// The cookie, and what it says for each endpoint of the cluster that was added last.
void HttpBuilder::add_affinity(const config::Cluster& cluster, control::ClusterPolicyRecord& record) {
  if (!cluster.session_affinity) return;
  const config::SessionAffinity& rule = *cluster.session_affinity;
  record.affinity = {control::add_text(content_, rule.cookie), control::add_text(content_, rule.path),
                     (count_ms(rule.ttl) + 999) / 1000};
  const policy::Hash128 secret = rule.key.empty() ? secret_ : secret_of(rule.key);
  const control::ClusterRecord& added = content_.clusters.back();
  for (std::uint32_t i = 0; i < added.endpoint_count; ++i) {
    control::EndpointRecord& endpoint = content_.endpoints[added.first_endpoint + i];
    endpoint.affinity = affinity_of(secret, cluster.name, endpoint.address, endpoint.port.host());
  }
}

void HttpBuilder::add_route_slots(const config::Listener& listener) {
  for (const route::VirtualHost& host : listener.virtual_hosts)
    for (std::size_t i = 0; i < host.routes.size(); ++i) {
      const std::string name = route_name(host, i);
      HttpSlotInfo info{HttpSlotInfo::Kind::route, listener.name, host.name, name, "", 0};
      content_.route_slots.push_back(static_cast<std::uint16_t>(
          slot_of("route " + listener.name + "/" + host.name + "/" + name, std::move(info))));
    }
}

/// What requests tell their endpoints about where they came from.
void HttpBuilder::add_forwarding(const config::Http& http, control::HttpListenerRecord& record) {
  record.x_forwarded_for = http.x_forwarded_for;
  record.forwarded = http.forwarded;
  record.trusted_hops = static_cast<std::uint8_t>(http.xff_num_trusted_hops);
  if (http.trace_context) record.flags = static_cast<std::uint8_t>(record.flags | unsigned{control::kHttpTrace});
  record.trace_samples = http.trace_samples;
  if (!http.via.empty()) record.via = control::add_text(content_, http.via);
}

/// Patterns in lower case, one per line.
void HttpBuilder::add_connect(const config::Connect& connect,
                              const std::function<std::uint32_t(const std::string&)>& cluster_index,
                              control::HttpListenerRecord& record) {
  std::string allow;
  for (const std::string& pattern : connect.allow) allow += pattern + "\n";
  std::transform(allow.begin(), allow.end(), allow.begin(), route::fold);
  record.connect_allow = control::add_text(content_, allow);
  record.connect_cluster = cluster_index(connect.cluster);
  count_cluster(record.connect_cluster, connect.cluster);
}

/// Clusters that no request goes to need no counters of HTTP.
void HttpBuilder::count_cluster(std::uint32_t index, const std::string& name) {
  content_.cluster_policies[index].http_slot =
      slot_of("cluster " + name, {HttpSlotInfo::Kind::cluster, "", "", "", name, 0});
}

std::uint32_t HttpBuilder::add_listener(const config::Listener& listener,
                                        const std::function<std::uint32_t(const std::string&)>& cluster_index) {
  const auto routes = tables_.get(listener);
  if (!routes) {
    problems_.insert(problems_.end(), routes.error().begin(), routes.error().end());
    return control::kNoIndex;
  }
  control::HttpListenerRecord record{};
  record.first_cluster = size_of(content_.route_clusters);
  for (const std::string& name : (*routes)->clusters) {
    const std::uint32_t index = cluster_index(name);
    content_.route_clusters.push_back(index);
    count_cluster(index, name);
  }
  record.cluster_count = size_of(content_.route_clusters) - record.first_cluster;
  record.first_route = size_of(content_.route_slots);
  add_route_slots(listener);
  policies_.add_routes(listener, cluster_index);
  record.route_count = size_of(content_.route_slots) - record.first_route;
  record.http_slot = slot_of("listener " + listener.name, {HttpSlotInfo::Kind::listener, listener.name, "", "", "", 0});
  record.header_timeout_ms = count_ms(listener.http.header_timeout);
  record.idle_timeout_ms = count_ms(listener.http.idle_timeout);
  record.stream_idle_ms = count_ms(listener.http.stream_idle_timeout);
  record.requests_max = listener.http.max_requests_per_connection;
  record.access_log_samples = listener.http.access_log_samples;
  add_forwarding(listener.http, record);
  record.max_body_octets = listener.http.max_request_body.value_or(0);
  if (listener.http.connect) add_connect(*listener.http.connect, cluster_index, record);
  record.policy = policies_.add_listener(listener);
  control::add_route_image(content_, (*routes)->image.bytes(), record);
  content_.http_listeners.push_back(record);
  return size_of(content_.http_listeners) - 1;
}

Problems HttpBuilder::take_problems() {
  const auto bound = [&](const char* what, std::size_t count, std::size_t max) {
    if (count > max && problems_.empty())
      problems_.push_back({"",
                           std::to_string(count) + " " + what + ", at most " + std::to_string(max) + " are possible",
                           "spread them over several nodes"});
  };
  bound("listeners of HTTP", content_.http_listeners.size(), control::kHttpListenerMax);
  bound("clusters of route tables", content_.route_clusters.size(), control::kRouteClusterMax);
  bound("routes", content_.route_slots.size(), control::kRouteMax);
  bound("octets of route tables", content_.route_images.size(), control::kRouteImageOctetsMax);
  bound("points of hash rings", content_.rings.size(), control::kRingPointMax);
  bound("hash policies", content_.hash_policies.size(), control::kHashPolicyMax);
  bound("octets of names and values in policies", content_.texts.size(), control::kTextOctetsMax);
  bound("policies of routes", content_.http_policies.size(), control::kHttpPolicyMax);
  bound("authorization rules", content_.authorization_rules.size(), control::kAuthorizationRuleMax);
  bound("conditions of policies", content_.policy_terms.size(), control::kPolicyTermMax);
  bound("deciders that policies ask", content_.question_targets.size(), control::kQuestionTargetMax);
  bound("header names for deciders", content_.question_headers.size(), control::kQuestionHeaderMax);
  bound("rate limits", content_.rate_limits.size(), control::kRateLimitMax);
  return std::move(problems_);
}

}  // namespace penstock::compile
