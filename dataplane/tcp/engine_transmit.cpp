// What to send next: reset, handshake, duplicate ACKs, lost data, new data, probes, ACKs; in this order.
#include <algorithm>

#include "dataplane/tcp/engine.h"

namespace penstock::tcp {

bool Engine::transmit(Endpoint& ep, Instant now, SegmentOut& out) {
  bool sent = false;
  if (ep.state == State::closed) {
    sent = transmit_reset(ep, now, out);
  } else if (!is_synchronized(ep.state)) {
    sent = transmit_handshake(ep, now, out);
  } else if (ep.acks.duplicate_due()) {
    transmit_ack(ep, now, out);
    sent = true;
  } else if (ep.state != State::time_wait && (transmit_lost(ep, now, out) || transmit_new(ep, now, out) ||
                                              transmit_doubtful(ep, now, out) || transmit_tail_probe(ep, now, out))) {
    sent = true;
  } else if (ep.probe_due) {
    transmit_probe(ep, now, out);
    sent = true;
  } else if (ep.acks.due()) {
    transmit_ack(ep, now, out);
    sent = true;
  }
  if (sent)
    ++counters_.segments_out;
  else
    settle(ep, now);
  return sent;
}

void Engine::prefetch(const Endpoint& ep) {
  constexpr std::size_t kLine = 64;
  const char* at = reinterpret_cast<const char*>(&ep);
  for (std::size_t offset = 0; offset < sizeof(Endpoint); offset += kLine) __builtin_prefetch(at + offset, 1);
}

bool Engine::wants_transmit(const Endpoint& ep) {
  if (ep.state == State::closed) return ep.reset_due;
  if (ep.acks.due() || ep.acks.duplicate_due() || ep.probe_due || ep.tail_probe_due) return true;
  if (ep.queue.first_unsent() != kNoIndex || ep.queue.unrepaired() > 0) return true;
  if (ep.recovery.phase() == Phase::recovery && ep.sack && !ep.rack_on) return true;  // transmit_doubtful()
  if (!is_synchronized(ep.state) || ep.state == State::time_wait) return false;
  return ep.timer_kind != (ep.queue.flight() > 0 ? TimerKind::retransmit : TimerKind::none);  // to be settled
}

void Engine::count_retransmission(Endpoint& ep) {
  ++counters_.retransmitted;
  ++ep.retransmitted_segments;
  ep.recovery.repeated();
}

bool Engine::transmit_reset(Endpoint& ep, Instant now, SegmentOut& out) {
  if (!ep.reset_due) return false;
  ep.reset_due = false;
  out.clear();
  out.seq = ep.queue.nxt();
  out.ack = ep.rcv_nxt;
  out.flags = kTcpRst | kTcpAck;
  if (ep.timestamps.on)  // RFC 7323 s3.2
    write_timestamps(milliseconds_of(now) + ep.timestamps.offset, ep.timestamps.recent, out.options);
  return true;
}

bool Engine::transmit_handshake(Endpoint& ep, Instant now, SegmentOut& out) {
  const bool fresh = ep.queue.flight() == 0;
  const Index index = fresh ? ep.queue.first_unsent() : ep.queue.first_unrepaired(pools_);
  const bool answer = ep.state == State::syn_received;
  if (index == kNoIndex || !pools_.entries[index].is(Entry::kSyn)) {
    if (!answer || !ep.acks.due()) return false;
    transmit_ack(ep, now, out);  // to what was not acceptable, or challenged (RFC 9293 s3.10.7.4)
    return true;
  }
  out.clear();
  out.seq = pools_.entries[index].seq;
  out.ack = answer ? ep.rcv_nxt : SeqNum{};
  out.flags = answer ? kTcpSyn | kTcpAck : kTcpSyn;
  out.window = static_cast<std::uint16_t>(std::min<std::uint32_t>(ep.receive_window.most(ep.receive_budget), 0xffff));
  Options options;
  options.has_mss = true;
  options.mss = ep.pmtu.offered();
  options.sack_permitted = ep.sack;
  options.has_timestamps = ep.timestamps.on;
  options.ts_value = milliseconds_of(now) + ep.timestamps.offset;
  options.ts_echo = ep.timestamps.recent;
  options.has_window_shift = ep.window_scaling;
  options.window_shift = ep.receive_window.shift();
  out.options = write_syn_options(options);
  out.retransmission = !fresh;
  if (!fresh) count_retransmission(ep);
  ep.queue.sent(pools_, index, Stamp::of(now));
  ep.recovery.retransmitted();
  if (answer) ep.acks.sent(false);
  if (ep.timer_kind == TimerKind::none) arm_retransmit(ep, now);
  return true;
}

void Engine::fill_common(Endpoint& ep, Instant now, SegmentOut& out, bool with_sack) {
  out.ack = ep.rcv_nxt;
  out.window = ep.receive_window.offer(ep.rcv_nxt, ep.receive_budget, ep.payload_max());
  const std::uint32_t ts_value = milliseconds_of(now) + ep.timestamps.offset;
  ep.last_ack = ep.rcv_nxt;
  if (!with_sack || !ep.sack || (!ep.has_dsack && ep.reassembly.range_count() == 0)) {
    if (ep.timestamps.on) write_timestamps(ts_value, ep.timestamps.recent, out.options);
    return;
  }
  Options options;
  options.has_timestamps = ep.timestamps.on;
  options.ts_value = ts_value;
  options.ts_echo = ep.timestamps.recent;
  if (ep.has_dsack) options.sack[options.sack_count++] = ep.dsack;
  for (std::size_t i = 0; i < ep.reassembly.range_count() && options.sack_count < kSackBlocksMax; ++i)
    options.sack[options.sack_count++] = ep.reassembly.range(i);
  ep.has_dsack = false;
  out.options = write_options(options);
}

void Engine::transmit_ack(Endpoint& ep, Instant now, SegmentOut& out) {
  out.clear();
  out.seq = ep.queue.nxt();  // even when the peer took window back: it promised that edge once (RFC 7323 s2.4)
  out.flags = kTcpAck;
  fill_common(ep, now, out, true);
  ep.acks.sent(true);
}

void Engine::transmit_probe(Endpoint& ep, Instant now, SegmentOut& out) {
  ep.probe_due = false;
  transmit_ack(ep, now, out);
  out.seq = ep.queue.una() - SeqSpan{1};  // old, so that it must be answered (RFC 9293 s3.8.4)
}

void Engine::emit(Endpoint& ep, Index index, std::uint32_t octets_max, Instant now, SegmentOut& out) {
  const Entry& entry = pools_.entries[index];
  out.clear();
  out.seq = entry.seq;
  out.flags = kTcpAck;
  out.payload = pools_.payload_of(entry);
  if (out.payload.size() > octets_max) {
    out.payload = out.payload.first(octets_max);
  } else {
    if (entry.next == kNoIndex && entry.octets > 0) out.flags |= kTcpPsh;
    if (entry.is(Entry::kFin)) out.flags |= kTcpFin;
  }
  out.block = entry.octets > 0 ? entry.block : kNoIndex;
  out.block_offset = entry.offset;
  out.retransmission = entry.sends > 0;
  fill_common(ep, now, out, false);
  if (ep.queue.flight() == 0) ep.progress = CoarseMs::of(now);
  ep.queue.sent(pools_, index, Stamp::of(now));
  ep.congestion.sent(entry.span());
  ep.acks.sent(false);
  ep.last_sent = CoarseMs::of(now);
  if (ep.timer_kind != TimerKind::retransmit) {
    ep.retries = 0;
    arm_retransmit(ep, now);  // RFC 6298 s5.1
  }
  arm_tail_probe(ep, now);
}

bool Engine::transmit_lost(Endpoint& ep, Instant now, SegmentOut& out) {
  const Index index = ep.queue.first_unrepaired(pools_);
  if (index == kNoIndex) return false;
  const Entry& entry = pools_.entries[index];
  const std::uint32_t octets = std::min<std::uint32_t>(entry.octets, ep.payload_max());
  const std::uint32_t pipe = ep.recovery.pipe(ep.queue);
  if (!ep.recovery.forced() && pipe > 0 && pipe + octets > ep.congestion.cwnd()) return false;
  const SeqNum window_end = ep.queue.una() + SeqSpan{ep.send_window.octets()};
  if (index != ep.queue.head() && window_end.precedes(entry.seq + SeqSpan{octets})) return false;
  // No entry to cut the head with, perhaps because the rest of the pool waits for this one: its front goes alone, and
  // what the acknowledgement leaves of it goes with the next timeout.
  if (entry.octets > octets && !ep.queue.split(pools_, index, static_cast<std::uint16_t>(octets)) &&
      index != ep.queue.head())
    return false;
  emit(ep, index, octets, now, out);
  ep.recovery.retransmitted();
  count_retransmission(ep);
  return true;
}

/// Of an entry larger than a segment `index` becomes the front, or the end.
bool Engine::cut_to_segment(Endpoint& ep, Index& index, bool end) {
  const std::uint16_t octets = pools_.entries[index].octets;
  if (octets <= ep.payload_max()) return true;
  const auto front = end ? static_cast<std::uint16_t>(octets - ep.payload_max()) : ep.payload_max();
  if (!ep.queue.split(pools_, index, front)) return false;
  if (end) index = pools_.entries[index].next;
  return true;
}

bool Engine::transmit_doubtful(Endpoint& ep, Instant now, SegmentOut& out) {
  // RFC 6675 s4 NextSeg() rules 3 and 4. With RACK, time and the tail probe decide instead.
  if (ep.recovery.phase() != Phase::recovery || !ep.sack || ep.rack_on) return false;
  if (ep.recovery.pipe(ep.queue) + ep.payload_max() > ep.congestion.cwnd()) return false;
  Index index = ep.queue.first_doubtful(pools_);
  const bool rescue = index == kNoIndex && ep.recovery.take_rescue();
  if (rescue) index = ep.queue.last_unsacked(pools_);
  // The rescue is for a tail that was sent once: what was repeated in this recovery is on its way.
  if (index == kNoIndex || pools_.entries[index].is(Entry::kRetransmitted)) return false;
  if (!cut_to_segment(ep, index, rescue)) return false;
  emit(ep, index, ep.payload_max(), now, out);
  count_retransmission(ep);
  return true;
}

bool Engine::transmit_tail_probe(Endpoint& ep, Instant now, SegmentOut& out) {
  if (!ep.tail_probe_due) return false;
  ep.tail_probe_due = false;
  const bool recovering = ep.recovery.phase() == Phase::recovery;
  if (ep.recovery.phase() == Phase::loss || ep.queue.flight() == 0) return false;
  // What is known to be lost; new data if the peer's window takes a whole segment of it, whatever the congestion window
  // says; else the last segment again (RFC 8985 s7.3).
  Index index = ep.queue.first_unrepaired(pools_);
  bool fresh = false;
  if (index == kNoIndex) {
    index = ep.queue.first_unsent();
    const std::uint32_t room = ep.send_window.octets() - std::min(ep.send_window.octets(), ep.queue.flight());
    fresh = index != kNoIndex &&
            (pools_.entries[index].octets > ep.payload_max() ? ep.payload_max() : pools_.entries[index].span()) <= room;
  }
  if (!fresh && ep.queue.unrepaired() == 0) index = ep.queue.last_unsacked(pools_);
  if (index == kNoIndex) return false;
  if (!cut_to_segment(ep, index, !fresh && ep.queue.unrepaired() == 0)) return false;
  emit(ep, index, ep.payload_max(), now, out);
  ep.rack.probed(ep.queue.nxt(), !fresh, recovering);
  ++counters_.tail_probes;
  if (!fresh) count_retransmission(ep);
  arm_loss(ep, LossTimer::none, Duration::zero(), now);
  arm_retransmit(ep, now);
  return true;
}

bool Engine::transmit_new(Endpoint& ep, Instant now, SegmentOut& out) {
  const Index index = ep.queue.first_unsent();
  ep.cwnd_limited = false;
  if (index == kNoIndex) return false;
  const std::uint32_t in_flight = ep.queue.flight();
  if (ep.send_window.octets() <= in_flight) return false;
  if (limits_.restart_after_idle && in_flight == 0 && age_of(ep.last_sent, now) > ep.rto.timeout(limits_))
    ep.congestion.idled(ep.payload_max(), limits_);
  const std::uint32_t usable = ep.send_window.octets() - in_flight;
  const Entry& entry = pools_.entries[index];
  const std::uint32_t pipe = ep.recovery.pipe(ep.queue);
  // What the device is to cut goes whole or not at all: else it is as if there were no such device.
  const bool large = entry.octets > ep.payload_max() && entry.octets <= ep.segment_max() && entry.span() <= usable &&
                     pipe + entry.octets <= ep.congestion.cwnd();
  const std::uint32_t wanted = large ? entry.octets : std::min<std::uint32_t>(entry.octets, ep.payload_max());
  const std::uint32_t octets = std::min(wanted, usable);
  // Sender's silly-window avoidance (RFC 9293 s3.8.6.2.1): a part of a segment only if it is a good part.
  const bool may_be_small = !limits_.nagle || in_flight == 0;
  const bool good_part = may_be_small && octets >= ep.send_window.max_octets() / 2;
  if (octets < wanted && !good_part && !ep.override_window) return false;
  // Nagle (RFC 9293 s3.7.4): a small last segment waits until nothing is in flight.
  const bool small_last = entry.octets < ep.payload_max() && entry.next == kNoIndex && !entry.is(Entry::kFin);
  if (small_last && !may_be_small) return false;
  if (pipe > 0 && pipe + octets > ep.congestion.cwnd()) {
    ep.cwnd_limited = true;
    return false;
  }
  const bool whole = octets == entry.octets && entry.span() <= usable;
  if (!whole && !ep.queue.split(pools_, index, static_cast<std::uint16_t>(octets)) &&
      (in_flight > 0 || entry.span() > usable))
    return false;  // else as in transmit_lost()
  ep.override_window = false;
  emit(ep, index, octets, now, out);
  return true;
}

}  // namespace penstock::tcp
