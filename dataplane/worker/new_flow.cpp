// new_flow: the first packet of a connection, and packets of no connection.
#include "dataplane/l4/reset.h"
#include "dataplane/lb/flow_hash.h"
#include "dataplane/lb/maglev.h"
#include "dataplane/wire/ethernet.h"
#include "dataplane/worker/owner.h"
#include "dataplane/worker/worker_state.h"

namespace penstock::worker {

void Worker::State::handle_unknown(Frame& frame, const wire::PacketInfo& info, const FlowKey& key, bool handed_over) {
  if (config.worker_count > 1 && !handed_over) {
    const std::uint32_t owner = owner_of(view->snapshot, key, config.worker_count);
    if (owner != config.index) return hand_off(frame, owner, HandoffKind::process);
  }
  const control::ListenerRecord* const listener = view->snapshot.find_listener(key.dst, key.dst_port, key.proto);
  if (listener == nullptr) {
    // Nobody else has these ports: an endpoint that still talks to one learns that its connection is gone.
    if (view->snapshot.owns_source(key.dst, key.dst_port)) return refuse_segment(frame, info);
    const bool reply = std::binary_search(view->by_address.begin(), view->by_address.end(), AddressedNextHop{key.src},
                                          [](const auto& a, const auto& b) { return a.address < b.address; });
    return drop_frame(frame, reply ? DropReason::no_flow : DropReason::no_listener);
  }
  if (!l4::opens_flow(info)) {
    const auto grant = listener->mode == control::ListenerMode::proxy ? relay.cookie_grant(frame, info) : std::nullopt;
    if (!grant && relay.cookies_abroad() && info.payload_octets != 0) return drop_frame(frame, DropReason::no_flow);
    if (!grant) return refuse_segment(frame, info);
    if (admit(frame, info, key, *listener) != Admission::admitted) return;
    if (control::is_served(*listener)) return open_http(frame, info, key, *listener, &*grant);
    return open_proxied(frame, info, key, *listener, &*grant);
  }
  if ((listener->flags & control::kListenerDraining) != 0) return drop_frame(frame, DropReason::listener_draining);
  if (info.ttl <= 1) return drop_frame(frame, DropReason::ttl_expired);
  if (admit(frame, info, key, *listener) != Admission::admitted) return;
  if (control::is_served(*listener))
    open_http(frame, info, key, *listener, nullptr);
  else if (listener->mode == control::ListenerMode::proxy)
    open_proxied(frame, info, key, *listener, nullptr);
  else
    open_flow(frame, info, key, *listener);
}

/// A TCP segment of no connection earns a reset; it counts as dropped (no_flow) all the same.
void Worker::State::refuse_segment(Frame& frame, const wire::PacketInfo& info) {
  const PortIndex back = frame.port();
  const bool answer =
      info.proto == IpProto::tcp && reset_tokens.take(now) && l4::make_reset(frame, info) == DropReason::none;
  if (!answer) return drop_frame(frame, DropReason::no_flow);
  counters.drops[static_cast<std::size_t>(DropReason::no_flow)].add();
  counters.resets_sent.add();
  enqueue(frame, back);
}

DropReason Worker::State::choose_reverse(const control::ListenerRecord& listener, const control::EndpointRecord& to,
                                         const FlowKey& key, FlowKey& reverse) {
  if (listener.forwarding == control::Forwarding::dnat) {
    reverse = {to.address, key.src, to.port, key.src_port, key.proto, {}};
    const DirectionIndex holder = table.find(reverse);
    if (holder == flow::kNoDirection) return DropReason::none;
    // The client already talks to this endpoint by another service from the same port.
    const FlowState state = table.forward(holder / 2).state;
    if (state != FlowState::closing && state != FlowState::reset) return DropReason::source_ports_exhausted;
    close_armed(holder / 2, counters.flows_closed);
    return DropReason::none;
  }
  const bool v4 = to.address.is_v4();
  const control::NodeRecord& node = view->snapshot.node();
  const flow::SourceSpace space{{v4 ? node_v4.data() : node_v6.data(), v4 ? node_v4_count : node_v6_count},
                                node.source_port_low,
                                node.source_port_high,
                                config.index,
                                config.worker_count};
  const auto choice = source_ports.choose(table, space, to.address, to.port, key.proto);
  if (!choice.found) return DropReason::source_ports_exhausted;
  if (choice.take_over != flow::kNoFlow) close_armed(choice.take_over, counters.flows_closed);
  reverse = choice.reverse;
  return DropReason::none;
}

FlowIndex Worker::State::take_record(const FlowKey& key, const FlowKey& reverse) {
  const std::uint32_t limit = view->snapshot.node().flow_max;
  const auto has_room = [&] { return !table.full() && (limit == 0 || table.size() < limit); };
  if (!has_room() && full_search != now_ms) {
    full_search = now_ms;
    wheel.advance(now_ms, kTimersWhenFull, [this](FlowIndex f) { timer_fired(f); });
  }
  while (!has_room() && relay.evict_time_wait()) {
  }
  return has_room() ? table.begin(key, reverse) : flow::kNoFlow;
}

DropReason Worker::State::choose_destination(const FlowKey& key, const control::ListenerRecord& listener,
                                             Destination& into) {
  const control::SnapshotView& snapshot = view->snapshot;
  if (listener.cluster == control::kNoIndex)
    return DropReason::no_endpoint;  // its requests choose, not its connections
  const control::ClusterRecord& cluster = snapshot.clusters()[listener.cluster];
  const auto maglev = snapshot.maglev_of(cluster);
  if (maglev.empty()) return DropReason::no_endpoint;
  const std::uint64_t hash = lb::flow_hash(key.src, key.src_port, key.dst, key.dst_port, key.proto);
  const std::uint32_t endpoint_index = cluster.first_endpoint + lb::pick(maglev, hash);
  into.endpoint = &snapshot.endpoints()[endpoint_index];
  if (into.endpoint->address.is_v4() != key.src.is_v4()) return DropReason::no_endpoint;
  into.next_hop = view->endpoint_next_hops[endpoint_index];
  if (view->next_hop(into.next_hop) == nullptr) return DropReason::no_next_hop;
  return choose_reverse(listener, *into.endpoint, key, into.reverse);
}

FlowIndex Worker::State::make_flow(const Frame& frame, const wire::PacketInfo& info, const FlowKey& key,
                                   const control::ListenerRecord& listener, const Destination& to) {
  const FlowIndex flow = take_record(key, to.reverse);
  if (flow == flow::kNoFlow) return flow;
  const bool proxy = listener.mode == control::ListenerMode::proxy;
  const bool dnat = listener.forwarding == control::Forwarding::dnat;
  const unsigned kind = (dnat ? unsigned{control::kFlowDnat} : 0u) | (proxy ? unsigned{control::kFlowProxy} : 0u);
  const auto family = [](const IpAddress& address) { return address.is_v4() ? 0u : unsigned{control::kFlowV6}; };
  FlowDirection& f = table.forward(flow);
  FlowDirection& r = table.reverse(flow);
  f.flags = static_cast<std::uint8_t>(kind | family(key.src));
  f.state = l4::first_state(key.proto);
  f.next_hop = to.next_hop;
  f.out_port = static_cast<std::uint8_t>(frame.port());
  r.flags = static_cast<std::uint8_t>(kind | family(to.endpoint->address) | control::kFlowReverse);
  r.next_hop = control::kNoNextHop;
  r.out_port = static_cast<std::uint8_t>(frame.port());
  std::memcpy(r.next_mac.octets.data(), frame.bytes().data() + 6, r.next_mac.octets.size());
  r.vlan_tci = info.vlan_tci;
  f.last_seen_ms = r.last_seen_ms = now_ms.ms;
  if (!proxy) {
    f.l4_delta = l4::compute_delta(f, r);
    r.l4_delta = l4::compute_delta(r, f);
    r.state = f.state;
    control::store_translation(f, r);
    control::store_translation(r, f);
  }
  FlowCold& cold = table.cold(flow);
  cold.created_ms = now_ms.ms;
  cold.listener_id = listener.id;
  cold.endpoint_id = to.endpoint->id;
  cold.listener_slot = listener.stat_slot;
  cold.endpoint_slot = to.endpoint->stat_slot;
  table.commit(flow);
  wheel.arm(flow, deadline_of(flow));
  start_gauges(flow);
  counters.flows_created.add();
  counters.slots[cold.listener_slot].flows.add();
  counters.slots[cold.endpoint_slot].flows.add();
  return flow;
}

void Worker::State::open_flow(Frame& frame, const wire::PacketInfo& info, const FlowKey& key,
                              const control::ListenerRecord& listener) {
  Destination to;
  const DropReason refused = choose_destination(key, listener, to);
  if (refused != DropReason::none) return drop_frame(frame, refused);
  const FlowIndex flow = make_flow(frame, info, key, listener, to);
  if (flow == flow::kNoFlow) return drop_frame(frame, DropReason::flow_table_full);
  forward_known(frame, info, 2 * flow);
}

}  // namespace penstock::worker
