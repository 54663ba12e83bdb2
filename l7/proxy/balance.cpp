// Which endpoint: by the cluster's policy, and never one that is ejected while others are there.
#include <algorithm>
#include <utility>

#include "dataplane/control/hash.h"
#include "l7/proxy/proxy.h"
#include "l7/proxy/slow_start.h"

namespace penstock::proxy {

EndpointState& HttpProxy::state_of(const control::EndpointRecord& endpoint) {
  EndpointState& state = endpoints_[endpoint.stat_slot];
  if (state.id != endpoint.id && state.active == 0) {
    // The slot has another owner now; its idle connections are closed as they are met.
    state.id = endpoint.id;
    state.errors_5xx = state.errors_gateway = state.ejections = 0;
    state.ejected = state.warming = state.usable = false;
    state.credit = 0;
    state.offered = endpoint.weight != 0;
    state.seen = generation_;
  }
  return state;
}

bool HttpProxy::is_usable(ClusterState& cluster, const ClusterView& view, const control::EndpointRecord& endpoint) {
  if (!control::takes_flows(*view.record, endpoint)) return false;
  if (std::find(failed_.begin(), failed_.end(), endpoint.id) != failed_.end()) return false;
  return !is_ejected(cluster, view, state_of(endpoint));
}

bool HttpProxy::is_ejected(ClusterState& cluster, const ClusterView& view, EndpointState& state) {
  if (!state.ejected) return false;
  if (now_ms_.since(state.ejected_until) < 0) return true;
  state.ejected = false;
  if (cluster.ejected > 0) --cluster.ejected;
  counters_.http.ejected.sub();
  begin_slow_start(cluster, view, state);
  return false;
}

std::uint64_t HttpProxy::hash_of_request(const Connection& c, const ClusterView& cluster,
                                         const route::RequestView& view) {
  std::uint64_t hash = 0;
  bool found = false;
  for (const control::HashPolicyRecord& policy : cluster.hash_policies) {
    const std::string_view name = config_->snapshot.text(policy.name);
    std::string_view value;
    if (policy.source == control::HashSource::source_ip)
      value = {reinterpret_cast<const char*>(c.client.octets.data()), c.client.octets.size()};
    for (const route::HeaderField& field : view.headers) {
      if (policy.source == control::HashSource::header && route::equals_folded(field.name, name)) value = field.value;
      if (policy.source == control::HashSource::cookie && route::equals_folded(field.name, "cookie"))
        value = cookie_of(field.value, name);
      if (!value.empty()) break;
    }
    if (value.empty()) continue;
    found = true;
    hash = (hash << 1 | hash >> 63) ^ control::hash64(std::as_bytes(std::span{value.data(), value.size()}));
    if ((policy.flags & control::kHashTerminal) != 0) break;
  }
  return found ? hash : random();
}

std::string_view HttpProxy::cookie_of(std::string_view cookies, std::string_view name) {
  while (!cookies.empty()) {
    const std::size_t end = std::min(cookies.find(';'), cookies.size());
    std::string_view pair = cookies.substr(0, end);
    cookies.remove_prefix(std::min(end + 1, cookies.size()));
    while (!pair.empty() && pair.front() == ' ') pair.remove_prefix(1);
    if (pair.size() > name.size() && pair.substr(0, name.size()) == name && pair[name.size()] == '=')
      return pair.substr(name.size() + 1);
  }
  return {};
}

/// Takes the first usable endpoint from `start` on; none: any that has a weight, as all are ejected.
const control::EndpointRecord* HttpProxy::usable_from(ClusterState& cluster, const ClusterView& view,
                                                      std::size_t start) {
  const std::size_t count = view.endpoints.size();
  for (;;) {
    for (std::size_t n = 0; n < count; ++n) {
      const control::EndpointRecord& endpoint = view.endpoints[(start + n) % count];
      if (is_usable(cluster, view, endpoint)) return &endpoint;
    }
    // All have failed this request: then one of them once more.
    if (std::exchange(failed_, {}).empty()) break;
  }
  for (std::size_t n = 0; n < count; ++n)
    if (control::takes_flows(*view.record, view.endpoints[(start + n) % count]))
      return &view.endpoints[(start + n) % count];
  return nullptr;
}

/// Weighted, by chance; usable ones only.
const control::EndpointRecord* HttpProxy::random_endpoint(ClusterState& cluster, const ClusterView& view) {
  const bool warming = view.policy->lb_policy == control::LbPolicy::least_request && is_warming(cluster, view);
  const auto weight_of = [&](const control::EndpointRecord& endpoint) {
    return warming ? share_of_weight(view, endpoint) : endpoint.weight;
  };
  std::uint64_t sum = 0;
  for (const control::EndpointRecord& endpoint : view.endpoints) sum += weight_of(endpoint);
  if (sum == 0) return nullptr;
  std::uint64_t at = random() % sum;
  std::size_t chosen = 0;
  while (at >= weight_of(view.endpoints[chosen])) at -= weight_of(view.endpoints[chosen++]);
  return usable_from(cluster, view, chosen);
}

/// Of some chosen by weight, the one with the fewest requests for its weight.
const control::EndpointRecord* HttpProxy::least_request(ClusterState& cluster, const ClusterView& view) {
  const auto load = [&](const control::EndpointRecord& of, const control::EndpointRecord& against) {
    return std::uint64_t{state_of(of).active} * share_of_weight(view, against);
  };
  const control::EndpointRecord* best = random_endpoint(cluster, view);
  for (std::uint8_t n = 1; n < view.policy->choice_count && best != nullptr; ++n) {
    const control::EndpointRecord* const rival = random_endpoint(cluster, view);
    if (load(*rival, *best) < load(*best, *rival)) best = rival;
  }
  return best;
}

void HttpProxy::begin_slow_start(ClusterState& cluster, const ClusterView& view, EndpointState& state) const {
  if (view.policy->slow_start.window_ms == 0) return;
  state.warming = cluster.warming = true;
  state.usable_since = cluster.warm_since = now_ms_;
}

/// A configuration came. Endpoints that were not usable before, or not there, start slowly: new ones, those that became
/// healthy, and those that got a weight back.
void HttpProxy::note_endpoints(ClusterState& cluster, const ClusterView& view) {
  for (const control::EndpointRecord& endpoint : view.endpoints) {
    const EndpointState& before = endpoints_[endpoint.stat_slot];
    const bool stays = before.id == endpoint.id && before.seen + 1 == generation_;
    const bool was = stays && before.usable;
    EndpointState& state = state_of(endpoint);
    slots_end_ = std::max(slots_end_, endpoint.stat_slot + 1);
    if (state.id != endpoint.id) continue;  // requests of the slot's former owner are under way
    state.seen = generation_;
    state.offered = endpoint.weight != 0;
    // Whoever is away is not left out, and does not use up the share of those that may be.
    if (!stays || !state.offered) state.ejected = false;
    cluster.ejected += state.ejected ? 1 : 0;
    state.usable = state.offered && endpoint.health == control::EndpointHealth::healthy;
    if (state.usable && !was) begin_slow_start(cluster, view, state);
  }
}

/// In 1/kShareOne: the whole of it unless a slow start is under way.
std::uint32_t HttpProxy::share_of_weight(const ClusterView& view, const control::EndpointRecord& endpoint) {
  EndpointState& state = state_of(endpoint);
  std::uint32_t share = kShareOne;
  if (state.warming) {
    share = slow_start_share(view.policy->slow_start, static_cast<std::uint32_t>(now_ms_.since(state.usable_since)));
    state.warming = share < kShareOne;
  }
  return endpoint.weight * share;
}

/// May any share differ from the whole?
bool HttpProxy::is_warming(ClusterState& cluster, const ClusterView& view) const {
  const auto window_ms = static_cast<std::int32_t>(view.policy->slow_start.window_ms);
  cluster.warming = cluster.warming && now_ms_.since(cluster.warm_since) < window_ms;
  return cluster.warming;
}

/// Smooth: each turn every endpoint earns its weight, the richest goes and pays the sum.
const control::EndpointRecord* HttpProxy::round_robin(ClusterState& cluster, const ClusterView& view) {
  const auto first = view.endpoints.front().weight;
  const bool even =
      std::all_of(view.endpoints.begin(), view.endpoints.end(), [&](const auto& e) { return e.weight == first; });
  if (even && !is_warming(cluster, view)) return usable_from(cluster, view, cluster.cursor++ % view.endpoints.size());
  const control::EndpointRecord* best = nullptr;
  std::int32_t sum = 0;
  for (const control::EndpointRecord& endpoint : view.endpoints) {
    if (!is_usable(cluster, view, endpoint)) continue;
    EndpointState& state = state_of(endpoint);
    const auto weight = static_cast<std::int32_t>(share_of_weight(view, endpoint));
    state.credit += weight;
    sum += weight;
    if (best == nullptr || state.credit > state_of(*best).credit) best = &endpoint;
  }
  if (best == nullptr) return usable_from(cluster, view, cluster.cursor++ % view.endpoints.size());
  state_of(*best).credit -= sum;
  return best;
}

const control::EndpointRecord* HttpProxy::pick(const Connection& c, ClusterState& cluster, const ClusterView& view) {
  if (view.endpoints.empty()) return nullptr;
  failed_ = {c.failed_ids.data(), c.failed_count};
  if (const control::EndpointRecord* const bound = bound_endpoint(c, cluster, view)) return bound;
  switch (view.policy->lb_policy) {
    case control::LbPolicy::round_robin:
      return round_robin(cluster, view);
    case control::LbPolicy::random:
      return random_endpoint(cluster, view);
    case control::LbPolicy::least_request:
      return least_request(cluster, view);
    case control::LbPolicy::maglev:
      if (view.maglev.empty()) return nullptr;
      return usable_from(cluster, view, view.maglev[c.hash % view.maglev.size()]);
    case control::LbPolicy::ring_hash: {
      if (view.ring.empty()) return nullptr;
      const auto hash = static_cast<std::uint32_t>(c.hash >> 32);
      const auto at = std::lower_bound(view.ring.begin(), view.ring.end(), hash,
                                       [](const control::RingPoint& p, std::uint32_t h) { return p.hash < h; });
      return usable_from(cluster, view, (at == view.ring.end() ? view.ring.front() : *at).endpoint);
    }
  }
  return nullptr;
}

/// Errors in a row eject an endpoint.
void HttpProxy::note_outcome(std::uint32_t upstream, std::uint16_t status, bool answered) {
  const Upstream& up = upstreams_[upstream];
  EndpointState& endpoint = endpoints_[up.endpoint_slot];
  ClusterState& cluster = clusters_[up.cluster];
  // A kept connection that was closed says nothing.
  if (status == 0 && up.requests > 1 && !up.answered) return;
  control::HttpEndpointCounters& sums = counters_.http_endpoints[up.endpoint_slot];
  if (!answered) sums.failures.add();
  if (answered && status >= 500) sums.errors_5xx.add();
  if (answered && status >= 100 && status < 600) sums.by_class[status / 100u - 1].add();
  if (answered && up.connection != kNone) {
    const auto us = static_cast<std::uint64_t>(
        std::chrono::duration_cast<std::chrono::microseconds>(now_ - connections_[up.connection].try_began).count());
    sums.latency_us_sum.add(us);
    sums.latency[control::latency_bucket(us)].add();
  }
  if (!is_offered(up)) return;  // it is away, and its slot may be another's
  const bool gateway = status == 0 || (status >= 502 && status <= 504);
  const auto count = [](std::uint16_t& row, bool error) {
    row = error ? static_cast<std::uint16_t>(std::min(row + 1, 0xffff)) : std::uint16_t{0};
  };
  count(endpoint.errors_5xx, status == 0 || status >= 500);
  count(endpoint.errors_gateway, gateway);
  if (status != 0 && status < 500 && !endpoint.ejected) endpoint.ejections = 0;
  if (cluster.view == kNone || endpoint.ejected) return;
  const ClusterView& view = config_->clusters[cluster.view];
  const control::OutlierRecord& rule = view.policy->outlier;
  const bool out =
      (rule.consecutive_5xx != 0 && endpoint.errors_5xx >= rule.consecutive_5xx) ||
      (rule.consecutive_gateway_failure != 0 && endpoint.errors_gateway >= rule.consecutive_gateway_failure);
  if (out) eject(cluster, view, endpoint);
}

/// Perhaps somebody's time is over whom nobody has asked since.
void HttpProxy::take_back(ClusterState& cluster, const ClusterView& view) {
  bool first = true;
  for (const control::EndpointRecord& one : view.endpoints) {
    EndpointState& state = state_of(one);
    if (!is_ejected(cluster, view, state)) continue;
    if (first || state.ejected_until.since(cluster.first_back) < 0) cluster.first_back = state.ejected_until;
    first = false;
  }
}

void HttpProxy::eject(ClusterState& cluster, const ClusterView& view, EndpointState& endpoint) {
  const control::OutlierRecord& rule = view.policy->outlier;
  const std::size_t allowed = std::max<std::size_t>(1, view.endpoints.size() * rule.max_ejection_percent / 100);
  if (cluster.ejected >= allowed && now_ms_.since(cluster.first_back) >= 0) take_back(cluster, view);
  if (cluster.ejected >= allowed) return;
  endpoint.errors_5xx = endpoint.errors_gateway = 0;
  endpoint.ejected = true;
  endpoint.ejections = static_cast<std::uint16_t>(std::min(endpoint.ejections + 1, 1000));
  const std::uint64_t ms = std::min<std::uint64_t>(std::uint64_t{rule.base_ejection_ms} * endpoint.ejections,
                                                   std::max(rule.max_ejection_ms, rule.base_ejection_ms));
  endpoint.ejected_until = CoarseMs{now_ms_.ms + static_cast<std::uint32_t>(ms)};
  if (cluster.ejected == 0 || endpoint.ejected_until.since(cluster.first_back) < 0)
    cluster.first_back = endpoint.ejected_until;
  ++cluster.ejected;
  counters_.http.ejections.add();
  counters_.http.ejected.add();
}

}  // namespace penstock::proxy
