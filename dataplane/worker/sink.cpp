// sink: which flows the XDP program forwards by itself, and until when (tier X, forwards.h).
//
//   down  at the fold, which comes twice a second: an established flow of a listener with kListenerForward that carried
//         kForwardPackets since the last one, and that the program can translate: untagged, both ports can be
//         redirected to.
//   up    a SYN, FIN or RST of it comes by, or was forwarded while this worker did not beat; it was silent for
//         kForwardIdleMs, it ends, or a new view says something else than its slots. Its packets that come here
//         meanwhile are forwarded as ever: the translation is the same.
#include "dataplane/worker/worker_state.h"

namespace penstock::worker {
namespace {

penstock_addr plain_octets(const IpAddress& address) {
  penstock_addr out;
  static_assert(sizeof out == sizeof address.octets);
  std::memcpy(&out, address.octets.data(), sizeof out);
  return out;
}

/// What packets of `in` become, as l4::rewrite() does it.
penstock_forward_slot describe_way(const FlowDirection& in, const FlowDirection& partner, const MacAddress& to,
                                   const MacAddress& from, PortIndex out, std::uint16_t mtu) {
  penstock_forward_slot slot{};
  slot.out_port = out;
  slot.mtu = mtu;
  slot.src = plain_octets(control::destination_of(partner));
  slot.dst = plain_octets(control::source_of(partner));
  std::memcpy(&slot.src_port, &partner.dst_port, sizeof slot.src_port);
  std::memcpy(&slot.dst_port, &partner.src_port, sizeof slot.dst_port);
  std::memcpy(slot.dst_mac, to.octets.data(), sizeof slot.dst_mac);
  std::memcpy(slot.src_mac, from.octets.data(), sizeof slot.src_mac);
  slot.l4_delta = in.l4_delta;
  slot.flags = (in.flags & control::kFlowV6) != 0 ? PENSTOCK_FORWARD_V6 : 0;
  return slot;
}

}  // namespace

/// What both slots of a flow must say now; false when it may not be in tier X.
bool Worker::State::describe(FlowIndex flow, BothWays<penstock_forward_slot>& into) {
  FlowDirection& f = table.forward(flow);
  const FlowDirection& r = table.reverse(flow);
  if ((f.flags & control::kFlowProxy) != 0 || r.vlan_tci != 0) return false;
  if (f.state != FlowState::established && f.state != FlowState::udp_stream) return false;
  const control::NextHop* const hop = next_hop_of(f, r);
  if (hop == nullptr || hop->vlan_tci != 0) return false;
  const WorkerPort* const there = view->port(hop->port);
  const WorkerPort* const back = view->port(r.out_port);
  if (there == nullptr || back == nullptr || !there->redirect_target || !back->redirect_target) return false;
  const control::ListenerRecord* const listener =
      view->snapshot.find_listener(control::destination_of(f), f.dst_port, f.proto);
  if (listener == nullptr || (listener->flags & control::kListenerForward) == 0) return false;
  into[0] = describe_way(f, r, hop->destination, hop->source, hop->port, there->mtu);
  into[1] = describe_way(r, f, r.next_mac, back->mac, r.out_port, back->mtu);
  return true;
}

void Worker::State::sink(FlowIndex flow) {
  FlowDirection& f = table.forward(flow);
  FlowDirection& r = table.reverse(flow);
  BothWays<penstock_forward_slot> content;
  if ((f.flags & control::kFlowForwarded) != 0 || !describe(flow, content)) return;
  const PairIndex p = forwards.begin(flow, {flow::key_of(f), flow::key_of(r)}, content);
  if (p == kNoPair) return counters.forward_full.add();
  Forwards::Pair& pair = forwards.pair(p);
  const FlowCold& cold = table.cold(flow);
  pair.flow_generation = cold.generation;
  pair.stat_slots = {cold.listener_slot, cold.endpoint_slot};
  pair.checked = view->generation;
  f.flags |= control::kFlowForwarded;
  r.flags |= control::kFlowForwarded;
  counters.forwards_begun.add();
  counters.forwards_active.add();
}

void Worker::State::lift_pair(PairIndex p) {
  const FlowIndex flow = forwards.pair(p).flow;
  forwards.end(p, now_ms);
  fold_pair(p);
  for (const DirectionIndex d : {2 * flow, 2 * flow + 1})
    table.direction(d).flags = static_cast<std::uint8_t>(table.direction(d).flags & ~control::kFlowForwarded);
  counters.forwards_ended.add();
  counters.forwards_active.sub();
}

bool Worker::State::lives(const Forwards::Pair& pair) {
  return table.used(pair.flow) && table.cold(pair.flow).generation == pair.flow_generation;
}

/// The program forwarded a FIN or RST while this worker did not beat: the flow moves on as if it had come here. Its
/// timer is set right when the pair is released.
void Worker::State::follow_end(FlowIndex flow, bool reverse, std::uint8_t flags) {
  using enum l4::FlowEvent;
  FlowState state = table.forward(flow).state;
  if ((flags & wire::kTcpFin) != 0) state = l4::transition(state, reverse ? reverse_fin : forward_fin).to;
  if ((flags & wire::kTcpRst) != 0) state = l4::transition(state, reverse ? reverse_rst : forward_rst).to;
  table.forward(flow).state = table.reverse(flow).state = state;
}

/// Adds what the program counted since the last time to the flow, as long as there is one, and to its listener and
/// endpoint. Not by way of FlowDirection: 32 bits of octets may wrap between two folds at this speed.
void Worker::State::fold_pair(PairIndex p) {
  Forwards::Pair& pair = forwards.pair(p);
  const bool has_flow = lives(pair);
  for (std::size_t way = 0; way < 2; ++way) {
    const Carried carried = forwards.take(p, way);
    for (const std::uint32_t slot : pair.stat_slots) {
      control::SlotCounters& sums = counters.slots[slot];
      (way == 0 ? sums.rx_packets : sums.tx_packets).add(carried.packets);
      (way == 0 ? sums.rx_octets : sums.tx_octets).add(carried.octets);
    }
    if (!has_flow) continue;
    if (carried.ended != 0) follow_end(pair.flow, way != 0, carried.ended);
    FlowCold& cold = table.cold(pair.flow);
    cold.packets[way] += carried.packets;
    cold.octets[way] += carried.octets;
    if (carried.last_seen == Instant{}) continue;
    FlowDirection& direction = table.direction(2 * pair.flow + static_cast<DirectionIndex>(way));
    const CoarseMs seen = CoarseMs::of(std::min(carried.last_seen, now));
    if (seen.since({direction.last_seen_ms}) > 0) direction.last_seen_ms = seen.ms;
  }
}

void Worker::State::look_at(PairIndex p) {
  Forwards::Pair& pair = forwards.pair(p);
  switch (pair.state) {
    case Forwards::State::free:
    case Forwards::State::ending:
      return;
    case Forwards::State::resting:
      if (now_ms.since({pair.resting_since_ms}) < static_cast<std::int32_t>(kForwardRestMs)) return;
      fold_pair(p);  // what was under way when it ended
      if (pair.saw_end() && lives(pair)) wheel.rearm(pair.flow, deadline_of(pair.flow));
      return forwards.release(p);
    case Forwards::State::asked:
    case Forwards::State::held:
      break;
  }
  fold_pair(p);
  if (pair.saw_end()) return lift_pair(p);
  const CoarseMs forward{table.forward(pair.flow).last_seen_ms};
  const CoarseMs reverse{table.reverse(pair.flow).last_seen_ms};
  constexpr auto kIdle = static_cast<std::int32_t>(control::kForwardIdleMs);
  if (now_ms.since(forward) >= kIdle && now_ms.since(reverse) >= kIdle) return lift_pair(p);
  if (pair.checked == view->generation) return;
  BothWays<penstock_forward_slot> content;
  if (!describe(pair.flow, content) || !forwards.same(p, content)) return lift_pair(p);
  pair.checked = view->generation;
}

/// Looks at some pairs: folds, lifts, frees. A sweep over all begins every kFoldPeriodMs while there are any, and with
/// every new view. True while one is under way.
bool Worker::State::sweep_forwards() {
  if (forwards.in_use() == 0) return false;
  while (const auto failed = forwards.take_answers(now_ms)) {
    counters.forward_failed.add();
    lift_pair(*failed);
  }
  if (pair_at >= forwards.high_water()) {
    if (!pairs_due && until_sweep(pairs_started) != 0) return false;
    pairs_started = now_ms;
    pairs_due = false;
    pair_at = 0;
  }
  const PairIndex end = std::min(pair_at + kForwardsPerRound, forwards.high_water());
  for (; pair_at < end; ++pair_at) look_at(pair_at);
  return pairs_due || pair_at < forwards.high_water();
}

/// A new view: every pair is compared with it, beginning in this round or behind the sweep that is under way: views
/// that come fast must not keep the last pairs from their turn. Other maps: nothing that was is in them.
void Worker::State::adopt_forwards() {
  if (forwards.slots_changed()) {
    for (PairIndex p = 0; p < forwards.high_water(); ++p) {
      const Forwards::State state = forwards.pair(p).state;
      if (state == Forwards::State::asked || state == Forwards::State::held) lift_pair(p);
    }
    forwards.adopt_slots();
  }
  pairs_due = true;
}

}  // namespace penstock::worker
