// stage_l4: packets of known flows are tracked, rewritten and sent; the others go to new_flow.cpp.
#include <algorithm>

#include "dataplane/l4/icmp.h"
#include "dataplane/worker/worker_state.h"

namespace penstock::worker {
namespace {

// How far ahead of its use a record is fetched, in packets. A core has about 24 miss buffers and drops prefetches that
// find none: farther than this, or all at once, the lines are missing when they are needed; nearer, they come too late
// (worker_bench with 1M flows: 4 and 14 cost about 5 ns a packet more, all at the start of the burst 40).
constexpr std::size_t kRecordsAhead = 8;

constexpr std::uint8_t kEventful = wire::kTcpSyn | wire::kTcpFin | wire::kTcpRst;

/// True when the packet cannot change the state of its flow: the common case, decided without a table.
bool steady(const wire::PacketInfo& info, FlowState state) {
  return (info.tcp_flags & kEventful) == 0 && (state == FlowState::established || state == FlowState::udp_stream);
}

}  // namespace

l4::FlowAction Worker::State::track(const wire::PacketInfo& info, DirectionIndex d) {
  FlowDirection& forward = table.forward(d / 2);
  lift(d / 2);  // a flow that ends, or begins again, is followed here
  const FlowState before = forward.state;
  const l4::FlowTransition move = l4::transition(before, l4::event_of(info, (d & 1) != 0));
  if (move.action == l4::FlowAction::restart) {
    close_armed(d / 2, counters.flows_closed);
    return move.action;
  }
  // A new state begins its idle time now, even if it was entered by a packet that keeps nothing alive: a RST on a
  // long idle flow must leave time for the segment that revives it.
  if (move.action == l4::FlowAction::refresh || move.to != before) table.direction(d).last_seen_ms = now_ms.ms;
  if (move.to == before) return move.action;
  forward.state = table.reverse(d / 2).state = move.to;
  const auto timeout = [this](FlowState s) { return timeout_ms[static_cast<std::size_t>(s)]; };
  if (timeout(move.to) < timeout(before)) wheel.rearm(d / 2, deadline_of(d / 2));  // else the timer finds out itself
  return move.action;
}

[[gnu::always_inline]] inline void Worker::State::forward_inline(Frame& frame, const wire::PacketInfo& info,
                                                                 DirectionIndex d) {
  FlowDirection& in = table.direction(d);
  if ((in.flags & control::kFlowProxy) != 0) [[unlikely]]
    return terminate(frame, info, info, d);
  FlowDirection& other = table.partner(d);
  const bool reverse = (d & 1) != 0;
  if (steady(info, in.state)) [[likely]] {
    in.last_seen_ms = now_ms.ms;
  } else {
    const l4::FlowAction action = track(info, d);
    if (action == l4::FlowAction::restart) return handle_unknown(frame, info, info, true);
    if (action == l4::FlowAction::refuse) return drop_frame(frame, DropReason::no_flow);
  }
  PortIndex out_port = in.out_port;
  const control::NextHop* hop = nullptr;
  if (!reverse) {
    hop = next_hop_of(in, other);
    if (hop == nullptr) [[unlikely]]
      return drop_frame(frame, DropReason::no_next_hop);
    out_port = hop->port;
  }
  const WorkerPort* const port = view->port(out_port);
  if (port == nullptr) [[unlikely]]
    return drop_frame(frame, DropReason::port_gone);
  if (info.ip_octets > port->mtu) [[unlikely]]
    return too_big(frame, info, d, port->mtu);
  // Field by field: a Link built elsewhere and copied whole costs three failed store forwards, 15 ns a packet.
  l4::Link link;
  link.destination = reverse ? in.next_mac : hop->destination;
  link.source = reverse ? port->mac : hop->source;
  link.vlan_tci = reverse ? in.vlan_tci : hop->vlan_tci;
  const l4::Rewritten done = info.family == IpFamily::v4
                                 ? l4::rewrite(frame, info, l4::stored_translation(in), link)
                                 : l4::rewrite(frame, info, l4::translation_of(in, table.partner(d)), link);
  if (done.reason != DropReason::none) [[unlikely]]
    return drop_frame(frame, done.reason);
  if (done.checksum_completed) [[unlikely]]
    counters.checksum_completed.add();
  ++in.packets;
  in.octets += info.ip_octets;
  enqueue(frame, out_port);
}

void Worker::State::forward_known(Frame& frame, const wire::PacketInfo& info, DirectionIndex d) {
  forward_inline(frame, info, d);
}

/// With proxied connections about, all flows are found first, so that the records of their ends are on their way.
void Worker::State::stage_l4_proxy(Burst& b) {
  for (std::size_t t = 0; t < b.transports; ++t) table.aim(b.probes[t]);
  std::array<DirectionIndex, kBurstMax> directions;
  for (std::size_t t = 0; t < b.transports; ++t) {
    const DirectionIndex d = directions[t] = table.finish(b.probes[t], b.infos[b.at[t]]);
    if (d != flow::kNoDirection && (table.direction(d).flags & control::kFlowProxy) != 0) relay.prefetch(d);
  }
  for (std::size_t t = 0; t < b.transports; ++t) {
    Frame& frame = b.frames[b.at[t]];
    const wire::PacketInfo& info = b.infos[b.at[t]];
    DirectionIndex d = directions[t];
    // A packet before this one may have closed its flow, or opened it.
    if (b.erasures != table.erasures() || d == flow::kNoDirection) [[unlikely]]
      d = table.find(info);
    if (d == flow::kNoDirection) [[unlikely]]
      handle_unknown(frame, info, info, b.handed);
    else
      forward_inline(frame, info, d);
  }
}

void Worker::State::stage_l4(Burst& b) {
  if (relay.size() + relay.splices() != 0) return stage_l4_proxy(b);
  for (std::size_t t = 0; t < std::min(kRecordsAhead, b.transports); ++t) table.aim(b.probes[t]);
  for (std::size_t t = 0; t < b.transports; ++t) {
    if (t + kRecordsAhead < b.transports) table.aim(b.probes[t + kRecordsAhead]);
    Frame& frame = b.frames[b.at[t]];
    const wire::PacketInfo& info = b.infos[b.at[t]];
    DirectionIndex d = table.finish(b.probes[t], info);
    // A packet before this one may have closed its flow, whose record is somebody else's now.
    if (b.erasures != table.erasures()) [[unlikely]]
      d = table.find(info);
    if (d == flow::kNoDirection) [[unlikely]]
      handle_unknown(frame, info, info, b.handed);
    else
      forward_inline(frame, info, d);
  }
}

void Worker::State::too_big(Frame& frame, const wire::PacketInfo& info, DirectionIndex d, std::uint16_t mtu) {
  const bool reverse = (d & 1) != 0;
  const FlowDirection& forward = table.forward(d / 2);
  // The sender's own idea of who we are: the service, or the node. Never the client's address (DNAT replies).
  const IpAddress source =
      reverse && (forward.flags & control::kFlowDnat) != 0 ? control::destination_of(forward) : info.dst;
  const PortIndex back = frame.port();
  counters.drops[static_cast<std::size_t>(DropReason::too_big)].add();
  const bool answer =
      info.dont_fragment && icmp_tokens.take(now) && l4::make_too_big(frame, info, source, mtu) == DropReason::none;
  if (!answer) {
    dropped[dropped_count++] = std::move(frame);
    if (dropped_count == dropped.size()) return_dropped();
    return;
  }
  counters.too_big_sent.add();
  enqueue(frame, back);
}

}  // namespace penstock::worker
