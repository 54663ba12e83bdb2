#include "dataplane/worker/http_legs.h"

#include "dataplane/worker/worker_state.h"

namespace penstock::worker {

static_assert(relay::kNoLeg == proxy::kNoLeg && relay::kNoToken == proxy::kNoToken);

void HttpLegs::on_leg(relay::LegId leg, std::uint32_t token, relay::LegEvents events) {
  using E = relay::LegEvents;
  worker_.http.on_leg(leg, token,
                      {.connected = events.has(E::kConnected),
                       .received = events.has(E::kReceived),
                       .peer_closed = events.has(E::kPeerClosed),
                       .writable = events.has(E::kWritable),
                       .expired = events.has(E::kExpired),
                       .lost = events.has(E::kLost)});
}

std::string_view HttpLegs::front(proxy::Leg leg) const {
  const ByteView bytes = worker_.relay.front(leg);
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}
void HttpLegs::skip(proxy::Leg leg, std::size_t octets) { worker_.relay.skip(leg, static_cast<std::uint32_t>(octets)); }
std::size_t HttpLegs::pass(proxy::Leg from, proxy::Leg to, std::size_t octets) {
  return worker_.relay.pass(from, to, static_cast<std::uint32_t>(octets));
}
bool HttpLegs::write(proxy::Leg leg, std::string_view text) {
  return worker_.relay.write(leg, std::as_bytes(std::span{text.data(), text.size()}));
}
std::size_t HttpLegs::queued(proxy::Leg leg) const { return worker_.relay.queued(leg); }
void HttpLegs::await_room(proxy::Leg leg) { worker_.relay.await_room(leg); }
void HttpLegs::attach(proxy::Leg leg, std::uint32_t token) { worker_.relay.attach(leg, token); }
void HttpLegs::couple(proxy::Leg downstream, proxy::Leg upstream) { worker_.relay.couple(downstream, upstream); }
void HttpLegs::decouple(proxy::Leg leg) { worker_.relay.decouple(leg); }
void HttpLegs::set_deadline(proxy::Leg leg, CoarseMs at) { worker_.relay.set_deadline(leg, at); }
void HttpLegs::clear_deadline(proxy::Leg leg) { worker_.relay.clear_deadline(leg); }
void HttpLegs::rest(proxy::Leg leg) { worker_.relay.rest(leg); }
void HttpLegs::shut_down(proxy::Leg leg) { worker_.relay.shut_down(leg); }
void HttpLegs::finish(proxy::Leg leg) { worker_.relay.finish(leg); }
void HttpLegs::reset(proxy::Leg leg) { worker_.relay.reset(leg); }

std::uint32_t HttpLegs::listener_id(proxy::Leg leg) const {
  return worker_.table.cold(worker_.relay.flow_of(leg)).listener_id;
}
proxy::Ends HttpLegs::ends(proxy::Leg leg) const {
  const FlowDirection& forward = worker_.table.forward(worker_.relay.flow_of(leg));
  return {control::source_of(forward), control::destination_of(forward), forward.src_port.host(),
          forward.dst_port.host()};
}

proxy::Leg HttpLegs::dial(const control::EndpointRecord& endpoint, std::uint32_t token) {
  Worker::State& w = worker_;
  const auto index = static_cast<std::size_t>(&endpoint - w.view->snapshot.endpoints().data());
  const control::NextHopIndex next_hop = w.view->endpoint_next_hops[index];
  const control::NextHop* const hop = w.view->next_hop(next_hop);
  const WorkerPort* const port = hop == nullptr ? nullptr : w.view->port(hop->port);
  if (port == nullptr) return proxy::kNoLeg;
  FlowKey key;
  key.proto = IpProto::tcp;
  FlowKey reverse;
  if (w.choose_reverse(control::ListenerRecord{}, endpoint, key, reverse) != DropReason::none) return proxy::kNoLeg;
  const FlowKey forward{reverse.dst, reverse.src, reverse.dst_port, reverse.src_port, IpProto::tcp, {}};
  const FlowIndex flow = w.make_leg_flow(forward, reverse, control::kFlowUpstreamLeg, hop->port);
  if (flow == flow::kNoFlow) return proxy::kNoLeg;
  w.table.forward(flow).next_hop = next_hop;
  FlowCold& cold = w.table.cold(flow);
  cold.endpoint_id = endpoint.id;
  cold.endpoint_slot = endpoint.stat_slot;
  w.commit_leg_flow(flow);
  const relay::LegId leg = w.relay.dial_served(flow, port->mtu, token);
  if (leg == relay::kNoLeg) w.close_armed(flow, w.counters.flows_closed);
  return leg;
}

/// A record for one leg, not yet committed; kNoFlow when there is no room, or the turned key is somebody's already.
FlowIndex Worker::State::make_leg_flow(const FlowKey& forward, const FlowKey& reverse, std::uint8_t kind,
                                       PortIndex port) {
  if (table.find(forward) != flow::kNoDirection || table.find(reverse) != flow::kNoDirection) return flow::kNoFlow;
  const FlowIndex flow = take_record(forward, reverse);
  if (flow == flow::kNoFlow) return flow;
  const unsigned family = forward.src.is_v4() ? 0u : unsigned{control::kFlowV6};
  FlowDirection& f = table.forward(flow);
  FlowDirection& r = table.reverse(flow);
  f.flags = static_cast<std::uint8_t>(unsigned{control::kFlowProxy} | kind | family);
  r.flags = static_cast<std::uint8_t>(f.flags | unsigned{control::kFlowReverse});
  f.state = l4::first_state(IpProto::tcp);
  f.next_hop = r.next_hop = control::kNoNextHop;
  f.out_port = r.out_port = static_cast<std::uint8_t>(port);
  f.last_seen_ms = r.last_seen_ms = now_ms.ms;
  table.cold(flow).created_ms = now_ms.ms;
  return flow;
}

void Worker::State::commit_leg_flow(FlowIndex flow) {
  table.commit(flow);
  wheel.arm(flow, deadline_of(flow));
  start_gauges(flow);
  counters.flows_created.add();
  for (const std::uint32_t slot : slots_of(flow)) counters.slots[slot].flows.add();
}

void Worker::State::open_http(Frame& frame, const wire::PacketInfo& info, const FlowKey& key,
                              const control::ListenerRecord& listener, const tcp::CookieGrant* grant) {
  const WorkerPort* const port = view->port(frame.port());
  if (port == nullptr) return drop_frame(frame, DropReason::port_gone);
  if (!relay.verify(frame, info, port->verify_checksums)) return drop_frame(frame, DropReason::bad_checksum);
  const auto admission = relay.admission();
  if (grant == nullptr && admission == relay::Relay::Admission::cookie) {
    leg_sends = flow::kNoDirection;
    return relay.send_cookie(frame, info, port->mtu);
  }
  if (admission == relay::Relay::Admission::refuse) {
    counters.proxy.refused_full.add();
    return drop_frame(frame, DropReason::proxy_full);
  }
  const FlowKey turned{key.dst, key.src, key.dst_port, key.src_port, key.proto, {}};
  const FlowIndex flow = make_leg_flow(key, turned, control::kFlowDownstreamLeg, frame.port());
  if (flow == flow::kNoFlow) return drop_frame(frame, DropReason::flow_table_full);
  FlowDirection& r = table.reverse(flow);
  std::memcpy(r.next_mac.octets.data(), frame.bytes().data() + 6, r.next_mac.octets.size());
  r.vlan_tci = info.vlan_tci;
  FlowCold& cold = table.cold(flow);
  cold.listener_id = listener.id;
  cold.listener_slot = listener.stat_slot;
  commit_leg_flow(flow);
  ++table.forward(flow).packets;
  table.forward(flow).octets += info.ip_octets;
  if (relay.open(flow, frame, info, {port->mtu, port->mtu}, grant, relay::Serving::downstream)) return;
  counters.proxy.refused_full.add();
  close_armed(flow, counters.flows_closed);
  drop_frame(frame, DropReason::proxy_full);
}

}  // namespace penstock::worker
