// Connections to endpoints: chosen, kept, waited for, tried again.
#include <algorithm>

#include "dataplane/core/require.h"
#include "l7/proxy/proxy.h"

namespace penstock::proxy {

using control::ResponseDetail;
using http1::ExchangeEvent;

std::uint32_t HttpProxy::share(std::uint32_t limit) const {
  return control::share_of_limit(limit, config_ == nullptr ? 1 : config_->workers);
}

/// Finds a connection for the request whose head lies in the replay buffer, and sends it.
void HttpProxy::dispatch(std::uint32_t index, bool fresh) {
  Connection& c = connections_[index];
  ClusterState& state = clusters_[c.cluster];
  const auto fail = [&](ResponseDetail detail) {
    drop_replay(c);
    if (c.tries == 0) return answer(index, 503, detail);
    c.detail = detail;
    apply(index, c.exchange.on(ExchangeEvent::upstream_lost));
  };
  if (state.view == kNone) return fail(ResponseDetail::no_healthy_upstream);
  const ClusterView& cluster = config_->clusters[state.view];
  if (state.requests >= share(cluster.policy->max_requests)) return fail(ResponseDetail::overflow);
  // An endpoint that is told of clients: what was begun for one client is not for another.
  const bool own = cluster.policy->proxy_protocol != control::ProxyProtocol::off;
  if (fresh || !own) drop_own(c);
  std::uint32_t upstream = take_own(c, state, cluster);
  const control::EndpointRecord* endpoint = nullptr;
  if (upstream == kNone) {
    endpoint = pick(c, state, cluster);
    if (endpoint == nullptr) return fail(ResponseDetail::no_healthy_upstream);
    c.endpoint_id = endpoint->id;
    if (!fresh && !own) upstream = take_idle(*endpoint);
  }
  const bool dialled = upstream == kNone;
  if (dialled) {
    const std::uint32_t limit = share(cluster.policy->max_connections);
    if (state.connections >= limit && !(evict_idle(cluster) && state.connections < limit)) {
      if (state.pending >= share(cluster.policy->max_pending_requests)) return fail(ResponseDetail::overflow);
      return wait_for_connection(index);
    }
    upstream = dial(c.cluster, *endpoint);
    if (upstream == kNone) return fail_try(index, Failure::connect, ResponseDetail::connect_failure);
  }
  begin_try(index, upstream);
  upstreams_[upstream].told = own;
  if ((!dialled || send_preface(c, cluster, upstreams_[upstream].leg)) &&
      legs_.write(upstreams_[upstream].leg, {buffer(c.replay), c.replay_octets})) {
    // What cannot be sent again need not be kept.
    const bool may_be_lost = upstreams_[upstream].requests > 1 && is_idempotent(c.exchange.method());
    if (c.retries_left == 0 && !may_be_lost) drop_replay(c);
    return;
  }
  drop_upstream(index);
  fail(ResponseDetail::overflow);
}

std::uint32_t HttpProxy::take_idle(const control::EndpointRecord& endpoint) {
  EndpointState& state = state_of(endpoint);
  while (state.idle_last != kNone) {
    const std::uint32_t upstream = state.idle_last;  // the latest used is the least likely to be closed
    Upstream& up = upstreams_[upstream];
    unlink_idle(upstream);
    if (up.endpoint_id == endpoint.id && !up.told) {
      up.state = UpstreamState::busy;
      legs_.clear_deadline(up.leg);
      return upstream;
    }
    legs_.finish(up.leg);  // the slot belongs to another endpoint now
    free_upstream(upstream);
  }
  return kNone;
}

std::uint32_t HttpProxy::dial(std::uint32_t cluster, const control::EndpointRecord& endpoint) {
  const std::uint32_t upstream = upstreams_.acquire();
  if (upstream == kNone) return kNone;
  Upstream& up = upstreams_[upstream];
  up.leg = legs_.dial(endpoint, upstream | kUpstreamBit);
  if (up.leg == kNoLeg) {
    upstreams_.release(upstream);
    return kNone;
  }
  up.cluster = cluster;
  up.endpoint_slot = endpoint.stat_slot;
  up.endpoint_id = endpoint.id;
  up.state = UpstreamState::connecting;
  const ClusterView& view = config_->clusters[clusters_[cluster].view];
  legs_.set_deadline(up.leg, CoarseMs{now_ms_.ms + view.policy->connect_timeout_ms});
  ++clusters_[cluster].connections;
  counters_.http.upstream_active.add();
  counters_.http.upstream_connects.add();
  return upstream;
}

void HttpProxy::begin_try(std::uint32_t index, std::uint32_t upstream) {
  Connection& c = connections_[index];
  Upstream& up = upstreams_[upstream];
  up.connection = index;
  up.answered = false;
  ++up.requests;
  c.upstream = upstream;
  c.response = Phase::head;
  c.response_parser.reset();
  c.gathered[1] = 0;
  ++c.tries;
  c.try_since = now_ms_;
  c.try_began = now_;
  if (!c.raw) counters_.http_endpoints[up.endpoint_slot].requests.add();
  ++clusters_[c.cluster].requests;
  ++endpoints_[up.endpoint_slot].active;
  if (c.access != kNone) {
    control::AccessRecord& record = (*access_log_)[c.access];
    record.cluster_id = clusters_[c.cluster].id;
    record.endpoint_id = up.endpoint_id;
  }
  legs_.couple(c.leg, up.leg);
}

/// The connections part; the endpoint's is the caller's to keep or close.
void HttpProxy::end_try(std::uint32_t index) {
  Connection& c = connections_[index];
  Upstream& up = upstreams_[c.upstream];
  --clusters_[c.cluster].requests;
  --endpoints_[up.endpoint_slot].active;
  if (std::exchange(c.retrying, false)) --clusters_[c.cluster].retries;
  if (c.leg != kNoLeg) legs_.decouple(c.leg);
  up.connection = kNone;
  c.upstream = kNone;
}

void HttpProxy::wait_for_connection(std::uint32_t index) {
  Connection& c = connections_[index];
  ClusterState& cluster = clusters_[c.cluster];
  c.waiting = true;
  c.next_waiting = kNone;
  c.previous_waiting = cluster.waiting_last;
  (cluster.waiting_last != kNone ? connections_[cluster.waiting_last].next_waiting : cluster.waiting_first) = index;
  cluster.waiting_last = index;
  ++cluster.pending;
}

void HttpProxy::stop_waiting(std::uint32_t index) {
  Connection& c = connections_[index];
  ClusterState& cluster = clusters_[c.cluster];
  (c.previous_waiting != kNone ? connections_[c.previous_waiting].next_waiting : cluster.waiting_first) =
      c.next_waiting;
  (c.next_waiting != kNone ? connections_[c.next_waiting].previous_waiting : cluster.waiting_last) = c.previous_waiting;
  c.waiting = false;
  --cluster.pending;
}

/// A connection of the cluster became free, or may be made. Whoever fails without one leaves it to the next.
void HttpProxy::serve_waiting(std::uint32_t cluster) {
  for (bool free = true; free && clusters_[cluster].waiting_first != kNone;) {
    const std::uint32_t index = clusters_[cluster].waiting_first;
    stop_waiting(index);
    dispatch(index);
    const Connection& c = connections_[index];
    if (c.leg == kNoLeg) continue;
    free = c.upstream == kNone && !c.waiting;
    ready_.push_back(index);
  }
}

void HttpProxy::release_upstream(std::uint32_t index) {
  Connection& c = connections_[index];
  if (c.upstream == kNone) return;
  const std::uint32_t upstream = c.upstream, cluster = c.cluster;
  Upstream& up = upstreams_[upstream];
  end_try(index);
  const ClusterView* const view =
      clusters_[cluster].view == kNone ? nullptr : &config_->clusters[clusters_[cluster].view];
  EndpointState& endpoint = endpoints_[up.endpoint_slot];
  const bool own = view != nullptr && view->policy->proxy_protocol != control::ProxyProtocol::off;
  const bool worn =
      view == nullptr || !is_offered(up) || own != up.told || (own && clusters_[cluster].waiting_first != kNone) ||
      up.ended || !legs_.front(up.leg).empty() || endpoint.idle >= kIdlePerEndpointMax ||
      (view->policy->max_requests_per_connection != 0 && up.requests >= view->policy->max_requests_per_connection);
  if (worn) {
    legs_.finish(up.leg);
    free_upstream(upstream);
    return;
  }
  up.state = UpstreamState::idle;
  up.next = kNone;
  up.previous = endpoint.idle_last;
  (endpoint.idle_last != kNone ? upstreams_[endpoint.idle_last].next : endpoint.idle_first) = upstream;
  endpoint.idle_last = upstream;
  ++endpoint.idle;
  if (own) {
    up.owner = index;
    c.own = upstream;
  }
  counters_.http.upstream_idle.add();
  legs_.set_deadline(up.leg, CoarseMs{now_ms_.ms + view->policy->idle_timeout_ms});
  legs_.rest(up.leg);
  serve_waiting(cluster);
}

void HttpProxy::unlink_idle(std::uint32_t upstream) {
  Upstream& up = upstreams_[upstream];
  EndpointState& endpoint = endpoints_[up.endpoint_slot];
  (up.previous != kNone ? upstreams_[up.previous].next : endpoint.idle_first) = up.next;
  (up.next != kNone ? upstreams_[up.next].previous : endpoint.idle_last) = up.previous;
  --endpoint.idle;
  if (up.owner != kNone) connections_[std::exchange(up.owner, kNone)].own = kNone;
  counters_.http.upstream_idle.sub();
  up.state = UpstreamState::busy;
}

/// Resets it: whatever it carries is of no more use.
void HttpProxy::drop_upstream(std::uint32_t index) {
  Connection& c = connections_[index];
  if (c.upstream == kNone) return;
  const std::uint32_t upstream = c.upstream;
  end_try(index);
  legs_.reset(upstreams_[upstream].leg);
  free_upstream(upstream);
}

void HttpProxy::free_upstream(std::uint32_t upstream) {
  Upstream& up = upstreams_[upstream];
  require(up.connection == kNone, "an upstream is freed while a request is on it");
  if (up.state == UpstreamState::idle) unlink_idle(upstream);
  const std::uint32_t cluster = up.cluster;
  --clusters_[cluster].connections;
  counters_.http.upstream_active.sub();
  up.state = UpstreamState::free;
  up.leg = kNoLeg;
  upstreams_.release(upstream);
  serve_waiting(cluster);
}

void HttpProxy::upstream_lost(std::uint32_t upstream) {
  Upstream& up = upstreams_[upstream];
  const std::uint32_t index = up.connection;
  const bool never_connected = up.state == UpstreamState::connecting;
  if (index == kNone) return free_upstream(upstream);
  const bool reused = up.requests > 1 && !up.answered;
  // What ends a connection without messages says nothing about its endpoint.
  if (never_connected || connections_[index].response != Phase::tunnel) note_outcome(upstream, 0);
  end_try(index);
  free_upstream(upstream);
  reused_ = reused;
  if (never_connected)
    fail_try(index, Failure::connect, ResponseDetail::connect_failure);
  else
    fail_try(index, Failure::reset, ResponseDetail::upstream_reset);
  if (connections_[index].leg != kNoLeg) ready_.push_back(index);
}

void HttpProxy::fail_try(std::uint32_t index, Failure failure, ResponseDetail detail) {
  Connection& c = connections_[index];
  const bool reused = std::exchange(reused_, false);
  if (may_retry(c, failure, reused)) return retry(index, reused);
  c.detail = detail;
  drop_replay(c);
  if (c.raw && failure == Failure::connect) counters_.http.tunnels_failed.add();
  if (c.raw || c.exchange.state() == http1::ExchangeState::tunnel) {
    legs_.reset(c.leg);
    return forget_connection(index);
  }
  apply(index, c.exchange.on(ExchangeEvent::upstream_lost));
}

/// Both a policy's retries and those of a budget count as under way until their try ends.
bool HttpProxy::retry_fits(const Connection& c) {
  const ClusterState& cluster = clusters_[c.cluster];
  if (cluster.view == kNone) return false;
  const control::ClusterPolicyRecord& policy = *config_->clusters[cluster.view].policy;
  const std::uint32_t limit =
      policy.retry_budget_percent == 0
          ? share(policy.max_retries)
          : std::max(share(policy.retry_min_concurrency), cluster.requests * policy.retry_budget_percent / 100);
  if (cluster.retries < limit) return true;
  for (const std::uint32_t slot : {c.listener_slot, c.route_slot, c.cluster_slot})
    if (slot != kNone) counters_.http_slots[slot].retries_overflow.add();
  return false;
}

void HttpProxy::retry(std::uint32_t index, bool fresh) {
  Connection& c = connections_[index];
  // One that a closing kept connection caused is free: the request had never been looked at.
  if (!fresh) {
    --c.retries_left;
    if (c.failed_count < c.failed_ids.size()) c.failed_ids[c.failed_count++] = c.endpoint_id;
    if (!std::exchange(c.retrying, true)) ++clusters_[c.cluster].retries;
  }
  for (const std::uint32_t slot : {c.listener_slot, c.route_slot, c.cluster_slot})
    if (slot != kNone) counters_.http_slots[slot].retries.add();
  dispatch(index, fresh);
}

}  // namespace penstock::proxy
