// splice: flows whose ends guarantee delivery to each other, after their proxied pair has sunk (relay/splice.h).
#include "dataplane/worker/worker_state.h"

namespace penstock::worker {
namespace {

constexpr std::uint8_t kEventful = wire::kTcpSyn | wire::kTcpFin | wire::kTcpRst;

std::size_t header_octets(const wire::PacketInfo& info) {
  return static_cast<std::size_t>(info.payload_offset - info.l4_offset);
}

}  // namespace

/// The flow record becomes that of a balanced flow, with kFlowProxy still on it.
void Worker::State::begin_splice(FlowIndex flow) {
  FlowDirection& f = table.forward(flow);
  FlowDirection& r = table.reverse(flow);
  f.state = r.state = FlowState::established;
  f.l4_delta = l4::compute_delta(f, r);
  r.l4_delta = l4::compute_delta(r, f);
  control::store_translation(f, r);
  control::store_translation(r, f);
}

/// An open flow lives for proxy.idle_timeout, half closed ones, too; a closed one as long as TIME-WAIT would.
std::uint32_t Worker::State::splice_timeout_ms(FlowIndex flow) {
  const control::NodeRecord& node = view->snapshot.node();
  const FlowState state = table.forward(flow).state;
  if (state != FlowState::closing && state != FlowState::reset) return node.proxy_idle_ms;
  const std::uint32_t over = state == FlowState::closing ? node.proxy_time_wait_ms : node.tcp_closed_ms;
  return std::max(over, relay.splice_lingers_ms(flow));
}

/// False: the segment begins another connection, and this one is gone.
bool Worker::State::track_splice(const wire::PacketInfo& info, DirectionIndex d) {
  const FlowState before = table.forward(d / 2).state;
  if (track(info, d) == l4::FlowAction::restart) return false;
  if (table.forward(d / 2).state != before) wheel.rearm(d / 2, deadline_of(d / 2));
  return true;
}

void Worker::State::forward_spliced(Frame& frame, const wire::PacketInfo& info, const FlowKey& key, DirectionIndex d) {
  FlowDirection& in = table.direction(d);
  relay::SpliceDirection& splice = relay.splice(d);
  const relay::SpliceDirection& other = relay.splice(d ^ 1u);
  const ByteSpan header = frame.bytes().subspan(info.l4_offset, header_octets(info));
  bool believed = true;  // else it is passed on for the ends to judge, and says nothing to us
  if ((info.tcp_flags & wire::kTcpRst) != 0) {
    const SeqNum seq{load_be<std::uint32_t>(header, 4).host()};
    if (!relay::reset_in_window(seq, splice, other)) return drop_frame(frame, DropReason::splice_reset);
  } else if ((info.tcp_flags & wire::kTcpSyn) == 0) {
    believed = relay::note(splice, other, header, info.payload_octets);
  }
  if ((info.tcp_flags & kEventful) == 0 && table.forward(d / 2).state == FlowState::established) [[likely]]
    in.last_seen_ms = now_ms.ms;
  else if (believed && !track_splice(info, d))
    return handle_unknown(frame, info, key, true);
  const bool reverse = (d & 1) != 0;
  const control::NextHop* const hop = reverse ? nullptr : next_hop_of(in, table.partner(d));
  if (!reverse && hop == nullptr) return drop_frame(frame, DropReason::no_next_hop);
  const PortIndex out_port = reverse ? PortIndex{in.out_port} : hop->port;
  const WorkerPort* const port = view->port(out_port);
  if (port == nullptr) return drop_frame(frame, DropReason::port_gone);
  if (info.ip_octets > port->mtu && !port->cuts) return too_big(frame, info, d, port->mtu);
  if (info.ttl <= 1) return drop_frame(frame, DropReason::ttl_expired);
  const std::uint16_t delta = relay::translate(header, splice);
  l4::Translation to =
      info.family == IpFamily::v4 ? l4::stored_translation(in) : l4::translation_of(in, table.partner(d));
  to.l4_delta = wire::fold(std::uint64_t{to.l4_delta} + delta);
  l4::Link link;
  link.destination = reverse ? in.next_mac : hop->destination;
  link.source = reverse ? port->mac : hop->source;
  link.vlan_tci = reverse ? in.vlan_tci : hop->vlan_tci;
  const l4::Rewritten done = l4::rewrite(frame, info, to, link);
  if (done.reason != DropReason::none) return drop_frame(frame, done.reason);
  if (done.checksum_completed) counters.checksum_completed.add();
  ++in.packets;
  in.octets += info.ip_octets;
  enqueue(frame, out_port);
}

/// An error about a segment that was translated: its quote gets the sender's numbers back. False: it quotes nothing
/// that was under way.
bool Worker::State::translate_quote(Frame& frame, const wire::PacketInfo& info, const l4::QuotedPacket& quoted,
                                    DirectionIndex d) {
  const relay::SpliceDirection& to = relay.splice(d);
  const ByteSpan segment = frame.bytes().subspan(quoted.l4_offset, quoted.l4_octets);
  const SeqNum seq{load_be<std::uint32_t>(segment, 4).host()};
  if (!relay::was_under_way(seq, relay.splice(d ^ 1u), to)) return false;
  const std::uint16_t delta = relay::translate_quote(segment, to);
  const std::size_t at = info.l4_offset + 2u;
  store_be(frame.bytes(), at, wire::updated_checksum(load_be<std::uint16_t>(frame.bytes(), at), delta));
  return true;
}

}  // namespace penstock::worker
