// What stands in front of messages, and connections without messages: PROXY headers both ways, TCP passed through.
#include <algorithm>

#include "dataplane/core/require.h"
#include "dataplane/lb/flow_hash.h"
#include "dataplane/lb/maglev.h"
#include "l7/proxy/proxy.h"
#include "l7/proxy/proxy_protocol.h"

namespace penstock::proxy {

/// The header that says whose connection this is. A client without a good one is not talked to.
bool HttpProxy::read_preface(std::uint32_t index) {
  Connection& c = connections_[index];
  const std::string_view text = legs_.front(c.leg);
  if (text.empty()) {
    if (c.client_closed) refuse_preface(index);
    return false;
  }
  std::uint32_t& held = c.gathered[0];
  const std::string_view view = gather(c.request_gather, held, text);
  const ProxyHeader header = read_proxy_header(view);
  if (header.status == ProxyHeaderStatus::more && keep_gathered(c.request_gather, held, text)) {
    legs_.skip(c.leg, text.size());
    return true;
  }
  if (header.status != ProxyHeaderStatus::done) {
    refuse_preface(index);
    return false;
  }
  if (header.has_ends) c.ends = header.ends;
  c.client = c.ends.client;
  legs_.skip(c.leg, header.octets - held);
  held = 0;
  free_buffer(c.request_gather);
  counters_.http.proxy_headers.add();
  return begin_connection(index);
}

void HttpProxy::refuse_preface(std::uint32_t index) {
  counters_.http.proxy_headers_refused.add();
  legs_.reset(connections_[index].leg);
  forget_connection(index);
}

/// From here on the client's own octets count. False when the connection is gone.
bool HttpProxy::begin_connection(std::uint32_t index) {
  Connection& c = connections_[index];
  c.moved = now_ms_;
  c.request = Phase::head;
  if (!c.raw) return true;
  const ListenerView* const listener = listener_of(c);
  if (listener != nullptr && begin_raw(index, *listener)) return true;
  counters_.http.tunnels_failed.add();
  legs_.reset(c.leg);
  forget_connection(index);
  return false;
}

/// Connects to the endpoint of the connection's hash, as for a proxied pair: circuit breakers are for requests.
bool HttpProxy::begin_raw(std::uint32_t index, const ListenerView& listener) {
  Connection& c = connections_[index];
  const ClusterView& cluster = config_->clusters[listener.raw_cluster];
  c.cluster = cluster_state(cluster.id);
  if (c.cluster == kNone || cluster.maglev.empty()) return false;
  const Ends& ends = c.ends;
  const std::uint64_t hash = lb::flow_hash(ends.client, Be16::from_host(ends.client_port), ends.service,
                                           Be16::from_host(ends.service_port), IpProto::tcp);
  const control::EndpointRecord& endpoint = cluster.endpoints[lb::pick(cluster.maglev, hash)];
  const std::uint32_t upstream = dial(c.cluster, endpoint);
  if (upstream == kNone) return false;
  begin_try(index, upstream);
  c.request = c.response = Phase::tunnel;
  if (send_preface(c, cluster, upstreams_[upstream].leg)) return true;
  drop_upstream(index);
  return false;
}

/// The first octets to an endpoint that wants to know whose connection it is. Only on a fresh connection.
bool HttpProxy::send_preface(const Connection& c, const ClusterView& cluster, Leg to) {
  const control::ProxyProtocol version = cluster.policy->proxy_protocol;
  if (version == control::ProxyProtocol::off) return true;
  std::array<char, kProxyWrittenOctetsMax> room;
  return legs_.write(to, write_proxy_header(static_cast<std::uint8_t>(version), c.ends, room));
}

/// The connection to an endpoint that this client's header was sent on, if it still may be used.
std::uint32_t HttpProxy::take_own(Connection& c, ClusterState& state, const ClusterView& cluster) {
  if (c.own == kNone) return kNone;
  const std::uint32_t upstream = c.own;
  Upstream& up = upstreams_[upstream];
  const auto endpoint = std::find_if(cluster.endpoints.begin(), cluster.endpoints.end(),
                                     [&](const auto& e) { return e.id == up.endpoint_id; });
  failed_ = {c.failed_ids.data(), c.failed_count};
  const bool good = up.cluster == c.cluster && cluster.policy->proxy_protocol != control::ProxyProtocol::off &&
                    endpoint != cluster.endpoints.end() && is_usable(state, cluster, *endpoint);
  const control::EndpointRecord* const bound = bound_endpoint(c, state, cluster);
  if (!good || (bound != nullptr && bound != &*endpoint)) {
    drop_own(c);
    return kNone;
  }
  unlink_idle(upstream);
  legs_.clear_deadline(up.leg);
  c.endpoint_id = up.endpoint_id;
  return upstream;
}

void HttpProxy::drop_own(Connection& c) {
  if (c.own == kNone) return;
  const std::uint32_t upstream = c.own;
  legs_.finish(upstreams_[upstream].leg);
  free_upstream(upstream);
}

/// A connection of the cluster that idles, whoever's it is, makes room for another. False when there is none.
bool HttpProxy::evict_idle(const ClusterView& cluster) {
  for (const control::EndpointRecord& endpoint : cluster.endpoints) {
    const std::uint32_t upstream = state_of(endpoint).idle_first;
    if (upstream == kNone) continue;
    legs_.finish(upstreams_[upstream].leg);
    free_upstream(upstream);
    return true;
  }
  return false;
}

}  // namespace penstock::proxy
