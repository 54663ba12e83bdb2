// Copies of requests for another cluster. What becomes of them changes nothing for the client.
#include <algorithm>
#include <cstring>

#include "l7/proxy/proxy.h"

namespace penstock::proxy {

/// Copies the head that was written for the endpoint, with a line that makes its connection the mirror's alone.
void HttpProxy::begin_mirror(Connection& c, const control::HttpPolicyRecord& policy) {
  if (!chance(policy.mirror_millionths)) return;
  constexpr std::string_view kClose = "Connection: close\r\n";
  const std::string_view head{buffer(c.replay), c.replay_octets};
  const std::size_t line = head.find("\r\n") + 2;
  const bool message = request_head_.upgrade == 0 && c.exchange.method() != http1::Method::connect;
  const bool fits = head.size() + kClose.size() <= kMirrorOctets;
  c.mirror_cluster = cluster_state(config_->clusters[policy.mirror_cluster].id);
  if (message && fits && c.mirror_cluster != kNone) c.mirror = take_buffer();
  if (c.mirror == kNone) return counters_.http.mirror_skipped.add();
  char* const to = buffer(c.mirror);
  std::memcpy(to, head.data(), line);
  std::memcpy(to + line, kClose.data(), kClose.size());
  std::memcpy(to + line + kClose.size(), head.data() + line, head.size() - line);
  c.mirror_octets = static_cast<std::uint32_t>(head.size() + kClose.size());
}

void HttpProxy::keep_for_mirror(Connection& c, std::string_view text) {
  if (c.mirror == kNone) return;
  if (c.mirror_octets + text.size() > kMirrorOctets) return drop_mirror(c);
  std::memcpy(buffer(c.mirror) + c.mirror_octets, text.data(), text.size());
  c.mirror_octets += static_cast<std::uint32_t>(text.size());
}

void HttpProxy::drop_mirror(Connection& c) {
  if (c.mirror == kNone) return;
  free_buffer(c.mirror);
  counters_.http.mirror_skipped.add();
}

/// The copy is whole: on its way by a connection of its own, or not at all.
void HttpProxy::send_mirror(Connection& c) {
  if (c.mirror == kNone) return;
  ClusterState& state = clusters_[c.mirror_cluster];
  if (state.view == kNone) return drop_mirror(c);
  const ClusterView& cluster = config_->clusters[state.view];
  if (state.connections >= share(cluster.policy->max_connections)) return drop_mirror(c);
  const control::EndpointRecord* const endpoint = pick(c, state, cluster);
  const std::uint32_t upstream = endpoint == nullptr ? kNone : dial(c.mirror_cluster, *endpoint);
  if (upstream == kNone) return drop_mirror(c);
  Upstream& up = upstreams_[upstream];
  up.mirror = true;
  if (!send_preface(c, cluster, up.leg) || !legs_.write(up.leg, {buffer(c.mirror), c.mirror_octets})) {
    legs_.reset(up.leg);
    free_upstream(upstream);
    return drop_mirror(c);
  }
  counters_.http.mirrored.add();
  free_buffer(c.mirror);
}

void HttpProxy::on_mirror(std::uint32_t upstream, const LegEvents& events) {
  Upstream& up = upstreams_[upstream];
  if (events.connected && up.state == UpstreamState::connecting) {
    up.state = UpstreamState::busy;
    legs_.set_deadline(up.leg, CoarseMs{now_ms_.ms + kMirrorMs});
  }
  if (!events.lost)
    for (std::size_t octets; (octets = legs_.front(up.leg).size()) != 0; up.answered = true) legs_.skip(up.leg, octets);
  if (!events.lost && !events.peer_closed && !events.expired) return;
  if (!up.answered) counters_.http.mirror_failed.add();
  if (!events.lost && events.peer_closed) legs_.finish(up.leg);
  if (!events.lost && !events.peer_closed) legs_.reset(up.leg);
  free_upstream(upstream);
}

}  // namespace penstock::proxy
