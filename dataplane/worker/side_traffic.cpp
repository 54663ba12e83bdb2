// side_traffic: what is neither TCP nor UDP but must be served for those to work.
#include "dataplane/l4/icmp.h"
#include "dataplane/l4/neighbor.h"
#include "dataplane/worker/owner.h"
#include "dataplane/worker/worker_state.h"

namespace penstock::worker {

void Worker::State::side_traffic(Frame& frame, const wire::PacketInfo& info, bool handed_over) {
  const PortIndex port = frame.port();
  switch (info.kind) {
    case wire::PacketKind::icmp_error:
      return icmp_error(frame, info, handed_over);
    case wire::PacketKind::echo_request: {
      if (!view->snapshot.serves_address(info.dst)) return drop_frame(frame, DropReason::no_listener);
      const DropReason refused = l4::make_echo_reply(frame, info);
      if (refused != DropReason::none) return drop_frame(frame, refused);
      counters.echo_replies.add();
      return enqueue(frame, port);
    }
    case wire::PacketKind::arp_request:
    case wire::PacketKind::neighbor_solicitation: {
      if (!view->snapshot.serves_address(info.dst)) return drop_frame(frame, DropReason::neighbor_not_ours);
      const DropReason refused = l4::answer_neighbor(frame, info, view->ports[port].mac);
      if (refused != DropReason::none) return drop_frame(frame, refused);
      counters.neighbor_replies.add();
      return enqueue(frame, port);
    }
    case wire::PacketKind::probe:
      counters.ports[port].probes.add();
      return drop_frame(frame, DropReason::probe);
    case wire::PacketKind::transport:
      break;
  }
  require(false, "transport packet among the others");
}

void Worker::State::icmp_error(Frame& frame, const wire::PacketInfo& info, bool handed_over) {
  const Parsed<l4::QuotedPacket> quoted = l4::parse_quoted(frame.bytes(), info);
  if (!quoted) return drop_frame(frame, quoted.reason());
  const FlowKey key{quoted->dst, quoted->src, quoted->dst_port, quoted->src_port, quoted->proto, {}};
  const DirectionIndex d = table.find(key);
  if (d == flow::kNoDirection) {
    if (config.worker_count > 1 && !handed_over) {
      const std::uint32_t owner = owner_of(view->snapshot, key, config.worker_count);
      if (owner != config.index) return hand_off(frame, owner, HandoffKind::process);
    }
    return drop_frame(frame, DropReason::icmp_unrelated);
  }
  FlowDirection& match = table.direction(d);
  if ((match.flags & control::kFlowProxy) != 0) {
    if (!relay.spliced(d / 2)) return terminate_error(frame, info, *quoted, d);
    if (!translate_quote(frame, info, *quoted, d)) return drop_frame(frame, DropReason::icmp_unrelated);
  }
  FlowDirection& partner = table.partner(d);
  PortIndex out_port = match.out_port;
  const control::NextHop* hop = nullptr;
  if ((d & 1) == 0) {
    hop = next_hop_of(match, partner);
    if (hop == nullptr) return drop_frame(frame, DropReason::no_next_hop);
    out_port = hop->port;
  }
  const WorkerPort* const port = view->port(out_port);
  if (port == nullptr) return drop_frame(frame, DropReason::port_gone);
  const l4::Link link = hop == nullptr ? l4::link_of(match, port->mac) : l4::link_of(*hop);
  const DropReason refused =
      l4::translate_error(frame, info, *quoted, control::plain(match), control::plain(partner), link);
  if (refused != DropReason::none) return drop_frame(frame, refused);
  counters.icmp_translated.add();
  enqueue(frame, out_port);
}

}  // namespace penstock::worker
