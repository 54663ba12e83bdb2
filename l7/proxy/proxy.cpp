// The life of a client's connection: accepted, moved on, timed, ended.
#include "l7/proxy/proxy.h"

#include <algorithm>

#include "dataplane/control/limits.h"
#include "dataplane/core/require.h"

namespace penstock::proxy {

using control::ResponseDetail;
using http1::ExchangeEvent;
using http1::ExchangeState;

HttpProxy::HttpProxy(const ProxyLimits& limits, Legs& legs, control::WorkerCounters& counters, std::uint64_t seed)
    : legs_{legs},
      counters_{counters},
      random_{seed},
      classifier_{http1::best_classifier()},
      connections_{limits.connections_max},
      upstreams_{limits.upstreams_max},
      buffers_{std::make_unique_for_overwrite<char[]>(limits.buffers_max * kBufferOctets)},
      buffers_max_{limits.buffers_max},
      rates_{seed},
      endpoints_(control::kStatSlotMax),
      cluster_index_(2 * kClusterStateMax, kNone) {
  policy_.upgrade_tokens = upgrades_;
  facts_key_ = {random(), random()};
  connect_policy_ = policy_;
  connect_policy_.connect_targets = any_target_;
  free_buffers_.reserve(limits.buffers_max);
  clusters_.reserve(kClusterStateMax);
  free_clusters_.reserve(kClusterStateMax);
  ready_.reserve(limits.connections_max);
}

void HttpProxy::configure(const Config* config, route::Scratch* scratch) {
  config_ = config;
  scratch_ = scratch;
  ++generation_;
  review_at_ = slots_at_ = 0;
  for (ClusterState& cluster : clusters_) {
    cluster.view = kNone;
    cluster.ejected = 0;
    cluster.first_back = now_ms_;
  }
  counters_.http.ejected.set(0);
  if (config == nullptr) return;
  rates_.configure(config->policies.rate_limits, config->workers);
  configure_clusters();
}

std::uint64_t HttpProxy::random() {
  std::uint64_t z = random_ += 0x9e3779b97f4a7c15u;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

std::uint32_t HttpProxy::take_buffer() {
  std::uint32_t index = kNone;
  if (!free_buffers_.empty()) {
    index = free_buffers_.back();
    free_buffers_.pop_back();
  } else if (fresh_buffer_ < buffers_max_) {
    index = fresh_buffer_++;
  } else {
    return kNone;
  }
  ++buffers_in_use_;
  return index;
}

void HttpProxy::free_buffer(std::uint32_t& buffer) {
  if (buffer == kNone) return;
  free_buffers_.push_back(buffer);
  buffer = kNone;
  --buffers_in_use_;
}

const ListenerView* HttpProxy::find_listener(std::uint32_t id) const {
  if (config_ == nullptr) return nullptr;
  const auto at = std::lower_bound(config_->listeners.begin(), config_->listeners.end(), id,
                                   [](const ListenerView& l, std::uint32_t wanted) { return l.id < wanted; });
  return at != config_->listeners.end() && at->id == id ? &*at : nullptr;
}

const ListenerView* HttpProxy::listener_of(const Connection& c) const {
  const ListenerView* const listener = find_listener(c.listener_id);
  return listener != nullptr && (listener->http == nullptr) == c.raw ? listener : nullptr;
}

void HttpProxy::on_leg(Leg leg, std::uint32_t token, const LegEvents& events) {
  if (token == kNoToken) {
    if (events.connected && !events.lost) accept(leg);
  } else if ((token & kUpstreamBit) != 0) {
    on_upstream(token & ~kUpstreamBit, events);
  } else {
    on_downstream(token, events);
  }
  pump_ready();
}

void HttpProxy::pump_ready() {
  while (!ready_.empty()) {
    const std::uint32_t index = ready_.back();
    ready_.pop_back();
    if (connections_[index].leg != kNoLeg) pump(index);
  }
}

void HttpProxy::accept(Leg leg) {
  const ListenerView* listener = find_listener(legs_.listener_id(leg));
  if (listener == nullptr) listener = listener_at(leg);
  const bool connects = listener != nullptr && listener->http != nullptr && listener->http->connect_allow.octets != 0;
  const std::uint32_t index =
      listener == nullptr ? kNone
                          : connections_.acquire(heads_, bodies_, connects ? connect_policy_ : policy_, classifier_);
  if (index == kNone) return legs_.reset(leg);
  Connection& c = connections_[index];
  c.leg = leg;
  c.listener_id = listener->id;
  c.ends = legs_.ends(leg);
  c.client = c.ends.client;
  c.raw = listener->http == nullptr;
  c.moved = now_ms_;
  c.head_ms = c.raw ? kPrefaceMs : listener->http->header_timeout_ms;
  c.keep_ms = c.raw ? config_->snapshot.node().proxy_idle_ms : listener->http->idle_timeout_ms;
  c.leaving = listener->draining;
  counters_.http.downstream_active.add();
  legs_.attach(leg, index);
  if (listener->preface) {
    c.request = Phase::preface;
    c.head_since = now_ms_;
  } else if (!begin_connection(index)) {
    return;
  }
  arm(index);
}

void HttpProxy::on_downstream(std::uint32_t index, const LegEvents& events) {
  Connection& c = connections_[index];
  if (events.lost) {
    const auto step = c.exchange.on(ExchangeEvent::downstream_lost);
    // At the end of a drain the relay resets what is left.
    const bool gone = c.counted && find_listener(c.listener_id) == nullptr && listener_at(c.leg) == nullptr;
    if (c.counted) c.detail = gone ? ResponseDetail::shutdown : ResponseDetail::downstream_reset;
    if ((step.actions & http1::kCloseUpstream) != 0 || c.upstream != kNone) drop_upstream(index);
    return forget_connection(index);
  }
  if (events.peer_closed) c.client_closed = true;
  if (events.expired) expired(index);
  if (c.leg != kNoLeg) pump(index);
}

void HttpProxy::on_upstream(std::uint32_t index, const LegEvents& events) {
  Upstream& up = upstreams_[index];
  if (up.mirror) return on_mirror(index, events);
  if (events.lost) return upstream_lost(index);
  if (events.connected && up.state == UpstreamState::connecting) {
    up.state = UpstreamState::busy;
    legs_.clear_deadline(up.leg);
    if (up.connection != kNone && connections_[up.connection].connecting) open_connect(up.connection);
    if (up.state == UpstreamState::free) return;
  }
  if (events.expired && up.state == UpstreamState::connecting) {
    legs_.reset(up.leg);
    return upstream_lost(index);
  }
  if (events.peer_closed) up.ended = true;
  if (up.connection != kNone) return pump(up.connection);
  if (events.received || events.peer_closed || events.expired) {
    legs_.finish(up.leg);
    free_upstream(index);
  }
}

/// Both directions as far as they go.
void HttpProxy::pump(std::uint32_t index) {
  Connection& c = connections_[index];
  if (c.pumping) return;
  c.pumping = true;
  bool any = false;
  while (c.leg != kNoLeg) {
    bool moved = read_request(index);
    if (c.leg == kNoLeg) break;
    moved |= read_response(index);
    if (!moved) break;
    any = true;
  }
  c.pumping = false;
  if (c.leg == kNoLeg) return;
  if (any) c.moved = now_ms_;
  arm(index);
}

/// The leg is gone or given up; everything that the connection holds goes back.
void HttpProxy::forget_connection(std::uint32_t index) {
  Connection& c = connections_[index];
  end_account(c);
  if (c.waiting) stop_waiting(index);
  if (c.hold.reason != Hold::Reason::none) end_hold(index);
  drop_mirror(c);
  drop_own(c);
  require(c.upstream == kNone, "a connection is forgotten with its upstream");
  for (std::uint32_t* buffer :
       {&c.request_gather, &c.response_gather, &c.replay, &c.edits, &c.up.trailer, &c.down.trailer})
    free_buffer(*buffer);
  c.leg = kNoLeg;
  counters_.http.downstream_active.sub();
  connections_.release(index);
}

void HttpProxy::begin_account(Connection& c, const ListenerView& listener) {
  c.counted = true;
  c.status = 0;
  c.detail = ResponseDetail::none;
  c.route_slot = c.cluster_slot = kNone;
  c.listener_slot = listener.http->http_slot;
  counters_.http_slots[c.listener_slot].active.add();
}

void HttpProxy::end_account(Connection& c) {
  if (std::exchange(c.retrying, false)) --clusters_[c.cluster].retries;
  if (!c.counted) return;
  c.counted = false;
  const auto us =
      static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::microseconds>(now_ - c.began).count());
  counters_.http.by_detail[static_cast<std::size_t>(c.detail)].add();
  const std::size_t status_class = c.status / 100u;
  const bool timed_out = c.detail == ResponseDetail::response_timeout || c.detail == ResponseDetail::idle_timeout;
  const bool failed = c.detail == ResponseDetail::connect_failure || c.detail == ResponseDetail::upstream_reset ||
                      c.detail == ResponseDetail::upstream_protocol;
  for (const std::uint32_t slot : {c.listener_slot, c.route_slot, c.cluster_slot}) {
    if (slot == kNone) continue;
    control::HttpSlotCounters& sums = counters_.http_slots[slot];
    sums.active.sub();
    sums.requests.add();
    if (status_class >= 1 && status_class <= 5) sums.by_class[status_class - 1].add();
    if (timed_out) sums.timeouts.add();
    if (failed) sums.upstream_failures.add();
    if (c.detail == ResponseDetail::downstream_reset) sums.downstream_resets.add();
    if (c.detail == ResponseDetail::overflow) sums.overflow.add();
    sums.request_octets.add(c.up.octets);
    sums.response_octets.add(c.down.octets);
    sums.latency_us_sum.add(us);
    sums.latency[control::latency_bucket(us)].add();
  }
  if (c.access != kNone) end_access(c, us);
}

void HttpProxy::end_access(Connection& c, std::uint64_t microseconds) {
  control::AccessRecord& record = (*access_log_)[c.access];
  record.ended_ns = static_cast<std::uint64_t>(now_.time_since_epoch().count());
  record.request_octets = c.up.octets;
  record.response_octets = c.down.octets;
  record.duration_us = static_cast<std::uint32_t>(std::min<std::uint64_t>(microseconds, ~std::uint32_t{0}));
  record.status = c.status;
  record.detail = c.detail;
  record.retries = c.tries > 1 ? static_cast<std::uint8_t>(c.tries - 1) : std::uint8_t{0};
  access_log_->end(c.access);
}

/// Does what the exchange decided; the answer comes first, the connection's end last.
void HttpProxy::apply(std::uint32_t index, http1::Exchange::Step step) {
  using namespace http1;
  Connection& c = connections_[index];
  if ((step.actions & kAnswerError) != 0) {
    std::uint16_t status = 502;
    if (c.detail == ResponseDetail::bad_request) status = status_of(step.reason);
    if (c.detail == ResponseDetail::request_timeout) status = 408;
    if (c.detail == ResponseDetail::body_too_large) status = 413;
    if (c.detail == ResponseDetail::response_timeout || c.detail == ResponseDetail::idle_timeout) status = 504;
    if (c.detail == ResponseDetail::connect_failure || c.detail == ResponseDetail::overflow ||
        c.detail == ResponseDetail::no_healthy_upstream)
      status = 503;
    write_refusal(c, status);
  }
  if ((step.actions & kCloseUpstream) != 0) drop_upstream(index);
  if ((step.actions & kReleaseUpstream) != 0) release_upstream(index);
  if ((step.actions & kAbortDownstream) != 0) {
    legs_.reset(c.leg);
    return forget_connection(index);
  }
  if ((step.actions & kLingerDownstream) != 0) {
    legs_.finish(c.leg);
    return forget_connection(index);
  }
  if ((step.actions & kNextRequest) != 0) next_request(index);
}

void HttpProxy::reject(std::uint32_t index, ExchangeEvent event, http1::RejectReason reason) {
  static_assert(http1::kRejectReasonCount <= control::kRejectedMax);
  counters_.http.rejected[static_cast<std::size_t>(reason)].add();
  apply(index, connections_[index].exchange.on(event, reason));
}

void HttpProxy::next_request(std::uint32_t index) {
  Connection& c = connections_[index];
  end_account(c);
  c.exchange.next();
  c.request = Phase::head;
  c.response = Phase::none;
  c.response_begun = false;
  c.cluster = kNone;
  c.tries = 0;
  c.hold = Hold{};
  drop_replay(c);
  drop_mirror(c);
  for (std::uint32_t* buffer : {&c.edits, &c.up.trailer, &c.down.trailer}) free_buffer(*buffer);
  c.edit_octets = 0;
  c.up.octets = c.down.octets = 0;
}

namespace {

/// The endpoint cannot answer a request that it does not have yet: how long that takes is the client's affair.
bool is_uploading(const Connection& c) { return c.request == Phase::body && c.upstream != kNone; }

}  // namespace

void HttpProxy::arm(std::uint32_t index) {
  Connection& c = connections_[index];
  CoarseMs deadline{now_ms_.ms + (1u << 30)};
  const auto sooner = [&](CoarseMs from, std::uint32_t ms) {
    const CoarseMs at{from.ms + ms};
    if (ms != 0 && at.since(deadline) < 0) deadline = at;
  };
  if (c.hold.reason != Hold::Reason::none) {
    deadline = c.hold.until;
  } else if (c.request == Phase::preface) {
    sooner(c.head_since, kPrefaceMs);
  } else if (!c.counted) {
    if (c.gathered[0] != 0)
      sooner(c.head_since, c.head_ms);
    else
      sooner(c.moved, keep_ms_of(c));
  } else {
    if (!is_uploading(c)) sooner(c.request_since, c.timeout_ms);
    if (!c.response_begun && c.upstream != kNone) sooner(c.try_since, c.try_ms);
    sooner(c.moved, c.idle_ms);
  }
  if (deadline == c.armed) return;
  c.armed = deadline;
  legs_.set_deadline(c.leg, deadline);
}

void HttpProxy::expired(std::uint32_t index) {
  Connection& c = connections_[index];
  c.armed = CoarseMs{};
  const auto passed = [&](CoarseMs from, std::uint32_t ms) {
    return ms != 0 && now_ms_.since(CoarseMs{from.ms + ms}) >= 0;
  };
  if (c.hold.reason != Hold::Reason::none) {
    if (now_ms_.since(c.hold.until) >= 0) hold_expired(index);
    return;
  }
  if (c.request == Phase::preface) {
    if (passed(c.head_since, kPrefaceMs)) refuse_preface(index);
    return;
  }
  if (c.raw && passed(c.moved, c.keep_ms)) {
    drop_upstream(index);
    legs_.reset(c.leg);
    return forget_connection(index);
  }
  if (!c.counted && c.gathered[0] != 0 && passed(c.head_since, c.head_ms)) {
    if (const ListenerView* const listener = listener_of(c)) {
      begin_account(c, *listener);
      begin_access(c, *listener, {});
    }
    c.detail = ResponseDetail::request_timeout;
    return apply(index, c.exchange.on(ExchangeEvent::request_refused));
  }
  if (!c.counted && c.gathered[0] == 0 && passed(c.moved, keep_ms_of(c))) {
    legs_.finish(c.leg);
    return forget_connection(index);
  }
  if (!c.counted) return;
  if (!is_uploading(c) && passed(c.request_since, c.timeout_ms))
    return time_out(index, ResponseDetail::response_timeout);
  if (passed(c.moved, c.idle_ms)) return time_out(index, ResponseDetail::idle_timeout);
  if (!c.response_begun && c.upstream != kNone && passed(c.try_since, c.try_ms)) {
    note_outcome(c.upstream, 504);
    drop_upstream(index);
    fail_try(index, Failure::timeout, ResponseDetail::response_timeout);
  }
}

void HttpProxy::time_out(std::uint32_t index, ResponseDetail detail) {
  Connection& c = connections_[index];
  // That nothing came through a tunnel says nothing about its endpoint.
  if (c.upstream != kNone && (c.response != Phase::tunnel || upstreams_[c.upstream].state == UpstreamState::connecting))
    note_outcome(c.upstream, 504);
  c.detail = detail;
  if (c.waiting) stop_waiting(index);
  if (c.exchange.state() == ExchangeState::tunnel) {
    drop_upstream(index);
    legs_.reset(c.leg);
    return forget_connection(index);
  }
  apply(index, c.exchange.on(ExchangeEvent::upstream_lost));
}

std::string_view HttpProxy::audit() const {
  std::size_t buffers = free_buffers_.size() + buffers_in_use_;
  if (buffers != fresh_buffer_) return "a buffer is missing";
  if (!ready_.empty()) return "a connection waits for its turn";
  return {};
}

}  // namespace penstock::proxy
