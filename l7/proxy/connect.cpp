// CONNECT (RFC 9110 s9.3.6): by allow-list, through a cluster of the listener's choice.
#include "l7/http1/serialise.h"
#include "l7/proxy/connect_targets.h"
#include "l7/proxy/proxy.h"

namespace penstock::proxy {
namespace {

using control::ResponseDetail;

bool host_matches(std::string_view pattern, std::string_view host) {
  if (pattern == "*") return true;
  if (!pattern.starts_with("*.")) return route::equals_folded(host, pattern);
  const std::string_view suffix = pattern.substr(1);
  return host.size() > suffix.size() && route::equals_folded(host.substr(host.size() - suffix.size()), suffix);
}

}  // namespace

bool connect_allowed(std::string_view list, std::string_view target) {
  const std::size_t colon = target.rfind(':');
  if (colon == std::string_view::npos || colon == 0 || colon + 1 == target.size()) return false;
  const std::string_view host = target.substr(0, colon), port = target.substr(colon + 1);
  while (!list.empty()) {
    const std::size_t end = std::min(list.find('\n'), list.size());
    const std::string_view pattern = list.substr(0, end);
    list.remove_prefix(std::min(end + 1, list.size()));
    const std::size_t middle = pattern.rfind(':');
    if (middle == std::string_view::npos) continue;
    const std::string_view wanted = pattern.substr(middle + 1);
    if ((wanted == "*" || wanted == port) && host_matches(pattern.substr(0, middle), host)) return true;
  }
  return false;
}

/// The endpoint is connected to first: 200 means that octets arrive somewhere.
void HttpProxy::begin_connect(std::uint32_t index, const ListenerView& listener, const route::RequestView& view) {
  Connection& c = connections_[index];
  const control::HttpListenerRecord& http = *listener.http;
  if (!connect_allowed(config_->snapshot.text(http.connect_allow), view.host))
    return answer(index, 403, ResponseDetail::connect_refused);
  const ClusterView& cluster = config_->clusters[http.connect_cluster];
  c.cluster = cluster_state(cluster.id);
  if (c.cluster == kNone) return answer(index, 503, ResponseDetail::overflow);
  c.cluster_slot = cluster.policy->http_slot;
  counters_.http_slots[c.cluster_slot].active.add();
  c.retries_left = c.tries = c.failed_count = 0;
  c.hash = hash_of_request(c, cluster, view);
  c.affinity = 0;
  ClusterState& state = clusters_[c.cluster];
  const bool full = state.requests >= share(cluster.policy->max_requests) ||
                    state.connections >= share(cluster.policy->max_connections);
  if (full) return answer(index, 503, ResponseDetail::overflow);
  const control::EndpointRecord* const endpoint = pick(c, state, cluster);
  if (endpoint == nullptr) return answer(index, 503, ResponseDetail::no_healthy_upstream);
  const std::uint32_t upstream = dial(c.cluster, *endpoint);
  if (upstream == kNone) return answer(index, 503, ResponseDetail::connect_failure);
  begin_try(index, upstream);
  c.response = Phase::none;
  c.connecting = true;
  upstreams_[upstream].told = cluster.policy->proxy_protocol != control::ProxyProtocol::off;
  if (send_preface(c, cluster, upstreams_[upstream].leg)) return;
  drop_upstream(index);
  answer(index, 503, ResponseDetail::overflow);
}

/// The endpoint has accepted: the client may talk.
void HttpProxy::open_connect(std::uint32_t index) {
  Connection& c = connections_[index];
  c.connecting = false;
  http1::ResponseHead& head = response_head_;
  head.text = "OK";
  head.status = 200;
  head.minor = 1;
  head.keep_alive = true;
  head.upgrade = 0;
  head.reason = {0, 2};
  head.framing = {.kind = http1::BodyKind::tunnel};
  head.fields.count = 0;
  head.fields.seen = head.fields.repeated = 0;
  static_cast<void>(c.exchange.response(head));
  stream::Writer out{out_};
  const bool written =
      http1::write_response(
          head, policy_, {.framing = head.framing, .date = date_.text(now_), .client_minor = c.exchange.client_minor()},
          out) == http1::WriteStatus::ok;
  if (!written || !legs_.write(c.leg, out.text())) {
    c.detail = ResponseDetail::overflow;
    drop_upstream(index);
    legs_.reset(c.leg);
    return forget_connection(index);
  }
  c.status = 200;
  c.response_begun = true;
  c.request = c.response = Phase::tunnel;
}

}  // namespace penstock::proxy
