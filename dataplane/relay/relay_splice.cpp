// Where a proxied pair becomes a spliced flow (docs/architecture/splice.md).
//
// Model     decided when a segment arrives, before TCP sees it: it continues its stream and acknowledges the last octet
//           that we sent to its sender, the other leg's peer has acknowledged everything already, and nothing waits on
//           either side. Then no octet is our duty any more: what the legs' peers have under way from here on they
//           retransmit themselves, and their numbers differ by constants.
// Owed      acknowledgements of ours may be outstanding. The far end's cover them: towards the sender when it answers
//           the payload of this very segment (without payload nothing may be owed), towards the other leg this
//           segment's.
// Proof     of the endpoint: it has sent or acknowledged payload, so it knows that its SYN-ACK arrived.
#include "dataplane/relay/relay.h"

namespace penstock::relay {
namespace {

/// Nothing waits to be sent, nothing is in doubt, nothing but payload in order has come.
bool is_quiet(const tcp::Endpoint& leg) {
  return leg.state == tcp::State::established && leg.queue.nxt() == leg.queue.end() && leg.queue.unmarked() &&
         leg.recovery.phase() == tcp::Phase::open && leg.reassembly.untouched() && !leg.fin_queued &&
         !leg.read_closed && !leg.probe_due && !leg.tail_probe_due && !leg.has_dsack && !leg.acks.duplicate_due() &&
         leg.timer_kind != tcp::TimerKind::persist;
}

/// Ordinary: continues the stream of its sender within the window, acknowledges all, offers a window.
bool continues(const tcp::Endpoint& leg, const tcp::SegmentIn& segment) {
  const bool plain = (segment.flags & ~tcp::kTcpPsh) == tcp::kTcpAck && segment.seq == leg.rcv_nxt &&
                     segment.ack == leg.queue.nxt() && segment.window != 0 && !segment.options.malformed &&
                     segment.end().at_most(leg.receive_window.edge());
  if (!plain || (segment.payload.empty() && leg.last_ack != leg.rcv_nxt)) return false;
  return !leg.timestamps.on || (segment.options.has_timestamps &&
                                static_cast<std::int32_t>(segment.options.ts_value - leg.timestamps.recent) >= 0);
}

std::int8_t shift_between(const tcp::Endpoint& from, const tcp::Endpoint& to) {
  return static_cast<std::int8_t>(from.send_window.shift() - to.receive_window.shift());
}

/// What the peer of `to` will read of `octets` that the peer of `from` offers.
std::uint32_t translated_octets(std::uint32_t octets, const tcp::Endpoint& from, const tcp::Endpoint& to) {
  const auto field = static_cast<std::uint16_t>(octets >> from.send_window.shift());
  return std::uint32_t{shift_window(field, shift_between(from, to))} << to.receive_window.shift();
}

}  // namespace

void Relay::allow_splice(flow::FlowIndex flow) {
  const std::uint32_t holder = of_flow_[flow];
  if (holder != 0 && (holder & (kTimeWaitBit | kSpliceBit)) == 0) pairs_[holder - 1].may_splice = true;
}

SpliceRefusal Relay::refusal(const tcp::Endpoint& from, const tcp::Endpoint& to, const tcp::SegmentIn& segment) const {
  if (from.timestamps.on != to.timestamps.on) return SpliceRefusal::options;
  // Each peer sends segments as large as we told it.
  if (to.pmtu.mss() < from.pmtu.offered() || from.pmtu.mss() < to.pmtu.offered()) return SpliceRefusal::mss;
  // A right edge that was promised stays: what the far end offers in our place must reach as far.
  const std::uint32_t offered = std::uint32_t{segment.window} << from.send_window.shift();
  const auto reaches = [](const tcp::Endpoint& promised, std::uint32_t octets) {
    return promised.receive_window.edge().at_most(promised.rcv_nxt + SeqSpan{octets});
  };
  const std::uint32_t room = translated_octets(to.send_window.octets(), to, from);
  if (room < segment.payload.size() || !reaches(from, room) || !reaches(to, translated_octets(offered, from, to)))
    return SpliceRefusal::window;
  return splices_.full() ? SpliceRefusal::full : SpliceRefusal::none;
}

bool Relay::sink(flow::DirectionIndex direction, const Frame& frame, const wire::PacketInfo& info) {
  const std::uint32_t holder = of_flow_[direction / 2];
  if (holder == 0 || (holder & (kTimeWaitBit | kSpliceBit)) != 0) return false;
  Pair& pair = pairs_[holder - 1];
  if (!pair.may_splice) return false;
  const auto side = static_cast<Side>(direction & 1);
  const tcp::Endpoint& from = pair.leg(side);
  const tcp::Endpoint& to = pair.leg(other(side));
  if (to.queue.una() != to.queue.nxt() || !is_quiet(from) || !is_quiet(to) || pair.failed) return false;
  const tcp::Endpoint& up = pair.leg(Side::upstream);
  if (up.octets_delivered == 0 && up.octets_acked == 0) return false;
  if (slot_of_pair_[holder - 1] != 0) return false;
  const ByteView bytes = frame.bytes().subspan(
      info.l4_offset, static_cast<std::size_t>(info.payload_offset - info.l4_offset) + info.payload_octets);
  if (tcp::read_segment_into(bytes, segment_) != DropReason::none || !continues(from, segment_)) return false;
  const SpliceRefusal refused = refusal(from, to, segment_);
  if (refused == SpliceRefusal::none && pair.rests++ < config_.rests_before_splice) return false;
  if (refused == SpliceRefusal::none) {
    begin_splice(holder - 1, side, segment_);
    return true;
  }
  control::Counter* const kinds[] = {nullptr, &counters_.splice_refused_options, &counters_.splice_refused_mss,
                                     &counters_.splice_refused_window, &counters_.splice_refused_full};
  kinds[static_cast<std::size_t>(refused)]->add();
  // What was agreed when the connection began stays as it is.
  pair.may_splice = refused == SpliceRefusal::window || refused == SpliceRefusal::full;
  return false;
}

/// The legs' numbers become constants, and the legs go.
void Relay::begin_splice(PairIndex index, Side side, const tcp::SegmentIn& segment) {
  Pair& pair = pairs_[index];
  tcp::Endpoint& from = pair.leg(side);
  tcp::Endpoint& to = pair.leg(other(side));
  const flow::FlowIndex flow = pair.flow;
  const Splices::Slot slot = splices_.acquire(flow, pair.by_cookie);
  require(slot != Splices::kNoSlot, "a full table was asked for a splice");
  SpliceDirection in{}, out{};
  in.seq_delta = to.queue.nxt().value() - from.rcv_nxt.value();
  in.ack_delta = to.rcv_nxt.value() - from.queue.nxt().value();
  out.seq_delta = 0u - in.ack_delta;
  out.ack_delta = 0u - in.seq_delta;
  in.window_shift = shift_between(from, to);
  out.window_shift = shift_between(to, from);
  in.sender_shift = from.send_window.shift();
  out.sender_shift = to.send_window.shift();
  in.seq_end = from.rcv_nxt;
  in.ack = from.queue.nxt();
  in.edge = in.ack + SeqSpan{std::uint32_t{segment.window} << in.sender_shift};
  out.seq_end = to.rcv_nxt;
  out.ack = to.queue.nxt();
  out.edge = out.ack + SeqSpan{to.send_window.octets()};
  const unsigned flags = (from.sack && to.sack ? unsigned{kSpliceSack} : 0u) |
                         (from.timestamps.on ? unsigned{kSpliceTimestamps} | kSpliceOldEcho : 0u);
  in.flags = out.flags = static_cast<std::uint8_t>(flags);
  if (from.timestamps.on) {
    // Each peer goes on where our clock stands now, which is at or behind everything we sent.
    const std::uint32_t clock_in = tcp::milliseconds_of(now_) + to.timestamps.offset;
    const std::uint32_t clock_out = tcp::milliseconds_of(now_) + from.timestamps.offset;
    in.tsval_delta = clock_in - segment.options.ts_value;
    out.tsval_delta = clock_out - to.timestamps.recent;
    out.tsecr_delta = 0u - in.tsval_delta;
    in.tsecr_delta = 0u - out.tsval_delta;
    in.echo_from = clock_out;
    in.echo_last = to.timestamps.recent;
    out.echo_from = clock_in;
    out.echo_last = from.timestamps.recent;
  }
  splices_.direction(slot, side == Side::upstream) = in;
  splices_.direction(slot, side == Side::downstream) = out;
  for (tcp::Endpoint* const leg : {&from, &to}) {
    static_cast<void>(engine_.abort(*leg));
    leg->reset_due = false;
  }
  release(index);
  of_flow_[flow] = kSpliceBit | (slot + 1);
  return_lent();
  counters_.splices_begun.add();
  counters_.splices_active.set(splices_.size());
}

void Relay::end_splice(flow::FlowIndex flow) {
  splices_.release(slot_of_splice(flow));
  of_flow_[flow] = 0;
  counters_.splices_ended.add();
  counters_.splices_active.set(splices_.size());
}

/// Nobody translates any more: the ends of all spliced flows are told, as those of pairs are.
void Relay::reset_splices() {
  for (Splices::Slot slot = 0; slot < splices_.high_water(); ++slot) {
    const flow::FlowIndex flow = splices_.flow(slot);
    if (flow == flow::kNoFlow) continue;
    const control::FlowState state = table_.forward(flow).state;
    if (state != control::FlowState::closing && state != control::FlowState::reset)
      for (const Side side : {Side::downstream, Side::upstream}) reset_spliced_end(slot, side);
    end_splice(flow);
    host_.ended(flow);
  }
}

/// A reset counts with the very number that its receiver expects (RFC 5961 s3): that behind everything sent to it, or,
/// if some of it was lost, the one that it acknowledged last.
void Relay::reset_spliced_end(Splices::Slot slot, Side side) {
  const flow::FlowIndex flow = splices_.flow(slot);
  const SpliceDirection& to = splices_.direction(slot, side == Side::upstream);
  const SpliceDirection& from = splices_.direction(slot, side == Side::downstream);
  control::NextHop path;
  if (!host_.path(flow, side, path)) return;
  const SeqNum behind_all = earlier_of(from.seq_end + SeqSpan{from.seq_delta}, to.edge);
  tcp::SegmentOut reset;
  reset.flags = tcp::kTcpRst | tcp::kTcpAck;
  reset.ack = to.seq_end;
  for (const SeqNum seq : {behind_all, to.ack}) {
    if (!refill_spares()) return;
    reset.seq = seq;
    send_segment(path, key_of(flow, side), reset);
    if (behind_all == to.ack) return;
  }
}

std::uint32_t Relay::splice_lingers_ms(flow::FlowIndex flow) const {
  return splices_.by_cookie(slot_of_splice(flow)) ? kCookieLifeMs : 0;
}

}  // namespace penstock::relay
