// terminate: TCP connections that end here (listeners of mode proxy), between the worker and its relay.
#include "dataplane/wire/ethernet.h"
#include "dataplane/worker/worker_state.h"

namespace penstock::worker {
namespace {

/// The client has no other connection of this port any more: it may use it again while the record of one that died with
/// its process still waits to expire.
bool begins_anew(const wire::PacketInfo& info, DirectionIndex d) {
  constexpr std::uint8_t kDecides = wire::kTcpSyn | wire::kTcpAck | wire::kTcpRst | wire::kTcpFin;
  return d % 2 == 0 && (info.tcp_flags & kDecides) == wire::kTcpSyn;
}

std::size_t link_octets(const control::NextHop& path) {
  return wire::kEthernetOctets + (path.vlan_tci != 0 ? wire::kVlanTagOctets : 0);
}

}  // namespace

void Worker::State::terminate(Frame& frame, const wire::PacketInfo& info, const FlowKey& key, DirectionIndex d) {
  if (relay.spliced(d / 2)) return forward_spliced(frame, info, key, d);
  FlowDirection& in = table.direction(d);
  in.last_seen_ms = now_ms.ms;
  ++in.packets;
  in.octets += info.ip_octets;
  const WorkerPort* const port = view->port(frame.port());
  if (!relay.verify(frame, info, port != nullptr && port->verify_checksums))
    return drop_frame(frame, DropReason::bad_checksum);
  if (relay.sink(d, frame, info)) {
    begin_splice(d / 2);
    --in.packets;  // counted when it is forwarded
    in.octets -= info.ip_octets;
    return forward_spliced(frame, info, key, d);
  }
  begin_sending(d ^ 1u, in.flags, info.l3_offset);  // what it answers at once, in TIME-WAIT
  switch (relay.receive(d, frame, info)) {
    case relay::Taken::taken:
      return;
    case relay::Taken::orphan:
      if (!begins_anew(info, d)) return refuse_segment(frame, info);
      close_armed(d / 2, counters.flows_closed);
      return handle_unknown(frame, info, key, true);
    case relay::Taken::reopen:
      return handle_unknown(frame, info, key, true);
  }
}

void Worker::State::terminate_error(Frame& frame, const wire::PacketInfo& info, const l4::QuotedPacket& quoted,
                                    DirectionIndex d) {
  constexpr std::uint8_t kUnreachable = 3, kFragmentationNeeded = 4, kPacketTooBig = 2;
  const ByteView icmp = frame.bytes().subspan(info.l4_offset);
  const bool v4 = info.family == IpFamily::v4;
  const bool too_big =
      v4 ? info.icmp_type == kUnreachable && std::to_integer<std::uint8_t>(icmp[1]) == kFragmentationNeeded
         : info.icmp_type == kPacketTooBig;
  if (too_big) {
    const std::uint32_t mtu =
        v4 ? load_be<std::uint16_t>(icmp, 6).host() : std::min(load_be<std::uint32_t>(icmp, 4).host(), 0xffffu);
    const SeqNum sequence{load_be<std::uint32_t>(frame.bytes(), quoted.l4_offset + 4).host()};
    relay.too_big(d, static_cast<std::uint16_t>(mtu), sequence);
  }
  // Anything else is a soft error (RFC 5461): timers decide.
  counters.icmp_consumed.add();
  give_back(frame);
}

void Worker::State::open_proxied(Frame& frame, const wire::PacketInfo& info, const FlowKey& key,
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
  Destination to;
  const DropReason refused = choose_destination(key, listener, to);
  if (refused != DropReason::none) return drop_frame(frame, refused);
  const WorkerPort* const out_port = view->port(view->next_hop(to.next_hop)->port);
  if (out_port == nullptr) return drop_frame(frame, DropReason::port_gone);
  const FlowIndex flow = make_flow(frame, info, key, listener, to);
  if (flow == flow::kNoFlow) return drop_frame(frame, DropReason::flow_table_full);
  ++table.forward(flow).packets;
  table.forward(flow).octets += info.ip_octets;
  if (relay.open(flow, frame, info, {port->mtu, out_port->mtu}, grant)) {
    if ((listener.flags & control::kListenerSplice) != 0) relay.allow_splice(flow);
    return;
  }
  counters.proxy.refused_full.add();
  close_armed(flow, counters.flows_closed);
  drop_frame(frame, DropReason::proxy_full);
}

void Worker::State::give_back(Frame& frame) {
  if (dropped_count == dropped.size()) return_dropped();
  dropped[dropped_count++] = std::move(frame);
}

/// Counts what a leg alone sends; what a pair sends is counted where it came in. `flags` are of either direction.
void Worker::State::begin_sending(DirectionIndex direction, std::uint8_t flags, std::size_t link_octets) {
  constexpr unsigned kAlone = unsigned{control::kFlowDownstreamLeg} | unsigned{control::kFlowUpstreamLeg};
  leg_sends = (flags & kAlone) != 0 ? direction : flow::kNoDirection;
  leg_link_octets = static_cast<std::uint32_t>(link_octets);
}

bool Worker::State::path(FlowIndex flow, relay::Side side, control::NextHop& into) {
  FlowDirection& reverse = table.reverse(flow);
  if (side == relay::Side::upstream) {
    const control::NextHop* const hop = next_hop_of(table.forward(flow), reverse);
    if (hop == nullptr || view->port(hop->port) == nullptr) return false;
    into = *hop;
    begin_sending(2 * flow, reverse.flags, link_octets(into));
    return true;
  }
  const WorkerPort* const port = view->port(reverse.out_port);
  if (port == nullptr) return false;
  into.destination = reverse.next_mac;  // field by field, or loads wait for stores of another width
  into.source = port->mac;
  into.port = reverse.out_port;
  into.vlan_tci = reverse.vlan_tci;
  begin_sending(2 * flow + 1, reverse.flags, link_octets(into));
  return true;
}

bool Worker::State::still_listens(FlowIndex flow) {
  const FlowDirection& forward = table.forward(flow);
  return view->snapshot.find_listener(forward.dst, forward.dst_port, forward.proto) != nullptr;
}

void Worker::State::lingers(FlowIndex flow) {
  stop_gauges(flow);
  FlowDirection& forward = table.forward(flow);
  forward.flags = static_cast<std::uint8_t>(forward.flags | control::kFlowOver);
}

void Worker::State::ended(FlowIndex flow) { close_armed(flow, counters.flows_closed); }

}  // namespace penstock::worker
