// Arriving segments, in the order of RFC 9293 s3.10.7.3 and s3.10.7.4 with RFC 5961 and RFC 7323 worked in.
#include <algorithm>

#include "dataplane/tcp/acceptability.h"
#include "dataplane/tcp/engine.h"

namespace penstock::tcp {
namespace {

// RFC 7323 s5.5: a TS.Recent older than 24 days may have wrapped and says nothing.
constexpr std::uint32_t kTimestampValidSeconds = 24 * 24 * 3600;

}  // namespace

Events Engine::receive(Endpoint& ep, const SegmentIn& segment, Instant now, Delivery& delivery) {
  Events events;
  ++counters_.segments_in;
  if (segment.options.malformed) ++counters_.options_malformed;
  if (limits_.header_prediction && receive_predicted(ep, segment, now, delivery, events)) return events;
  if (ep.state == State::closed) {
    events.add(Events::kResetReply);
  } else if (ep.state == State::syn_sent) {
    receive_syn_sent(ep, segment, now, delivery, events);
  } else if (ep.state != State::time_wait) {
    receive_synchronized(ep, segment, now, delivery, events);
  }
  return events;
}

void Engine::receive_syn_sent(Endpoint& ep, const SegmentIn& segment, Instant now, Delivery& delivery, Events& events) {
  const bool acks_syn = segment.is(kTcpAck) && segment.ack == ep.queue.nxt() && ep.queue.flight() > 0;
  if (segment.is(kTcpAck) && !acks_syn) return events.add(Events::kResetReply);
  if (segment.is(kTcpRst)) {
    if (acks_syn) finish(ep, events, Events::kReset);
    return;
  }
  if (!segment.is(kTcpSyn)) return;
  ep.last_heard = CoarseMs::of(now);
  take_syn_options(ep, segment, now);
  if (acks_syn) {
    Delivered delivered;
    ep.queue.acknowledge(pools_, segment.ack, delivered);
    static_cast<void>(sample_round_trip(ep, segment, delivered, now));
    established(ep, now, events);
    ep.retries = 0;
    disarm(ep);
    ep.acks.ack_now();
    SegmentIn rest = segment;  // text and FIN count now (RFC 9293 s3.10.7.3 fourth)
    rest.flags &= static_cast<std::uint8_t>(~kTcpSyn);
    rest.seq += SeqSpan{1};
    return receive_payload(ep, rest, now, delivery, events);
  }
  ep.state = State::syn_received;  // simultaneous open (RFC 9293 s3.5, figure 8)
  if (ep.queue.flight() == 0) return;
  ep.queue.forget_retransmission(pools_, ep.queue.head());
  ep.queue.mark_lost(pools_, ep.queue.head());
}

bool Engine::passes_timestamps(Endpoint& ep, const SegmentIn& segment, Instant now) {
  if (!ep.timestamps.on || segment.is(kTcpRst)) return true;
  if (!segment.options.has_timestamps) {
    ++counters_.timestamp_missing;
    return false;
  }
  if (static_cast<std::int32_t>(segment.options.ts_value - ep.timestamps.recent) >= 0) return true;
  if (seconds_of(now) - ep.timestamps.recent_second > kTimestampValidSeconds) return true;
  ++counters_.paws_rejected;
  reject(ep, segment, now);
  return false;
}

void Engine::take_timestamp(Endpoint& ep, const SegmentIn& segment, Instant now) {
  if (!ep.timestamps.on || segment.is(kTcpRst) || !segment.seq.at_most(ep.last_ack)) return;
  if (static_cast<std::int32_t>(segment.options.ts_value - ep.timestamps.recent) < 0) return;
  ep.timestamps.recent = segment.options.ts_value;
  ep.timestamps.recent_second = seconds_of(now) & 0x7fffffff;
}

void Engine::reject(Endpoint& ep, const SegmentIn& segment, Instant now) {
  if (segment.is(kTcpRst)) return;
  if (segment.payload.empty() && !segment.is(kTcpFin)) return challenge(ep, now);
  if (segment.end().at_most(ep.rcv_nxt)) {
    note_duplicate(ep, {segment.seq, segment.end()});
  }
  ep.acks.ack_now();
}

void Engine::note_duplicate(Endpoint& ep, SackBlock range) {
  ++counters_.duplicates;
  ep.dsack = range;
  ep.has_dsack = true;
}

void Engine::challenge(Endpoint& ep, Instant now) {
  if (!ep.challenges.allow(now, limits_)) {
    ++counters_.challenge_acks_limited;
    return;
  }
  ++counters_.challenge_acks;
  ep.acks.ack_now();
}

void Engine::receive_synchronized(Endpoint& ep, const SegmentIn& segment, Instant now, Delivery& delivery,
                                  Events& events) {
  if (ep.state == State::syn_received && segment.is(kTcpSyn) && !segment.is(kTcpRst) && segment.seq == ep.irs) {
    if (segment.is(kTcpAck)) {  // simultaneous open: the SYN is known, its acknowledgement is news
      SegmentIn rest = segment;
      rest.flags &= static_cast<std::uint8_t>(~(kTcpSyn | kTcpFin));
      rest.seq += SeqSpan{1};
      rest.payload = {};
      rest.window = static_cast<std::uint16_t>(segment.window >> ep.send_window.shift());  // a SYN's is not scaled
      ep.acks.ack_now();
      return receive_synchronized(ep, rest, now, delivery, events);
    }
    if (ep.queue.flight() == 0) return;
    ep.queue.forget_retransmission(pools_, ep.queue.head());  // our SYN-ACK seems lost
    ep.queue.mark_lost(pools_, ep.queue.head());
    return;
  }
  if (!passes_timestamps(ep, segment, now)) return;
  if (!is_acceptable(segment.seq, segment.span(), ep.rcv_nxt, ep.receive_window.edge())) {
    ++counters_.not_acceptable;
    // A repetition up to our edge: its sender waits for an acknowledgement, and measures by the echo.
    if (segment.end() == ep.rcv_nxt) take_timestamp(ep, segment, now);
    return reject(ep, segment, now);
  }
  if (segment.is(kTcpRst)) {  // RFC 5961 s3.2
    if (segment.seq == ep.rcv_nxt) return finish(ep, events, Events::kReset);
    if (segment.seq.precedes(ep.rcv_nxt)) return;               // its text reaches into the window, it does not
    if (ep.receive_window.edge().at_most(segment.seq)) return;  // the allowance at the edge is not for resets
    return challenge(ep, now);
  }
  if (segment.is(kTcpSyn)) return challenge(ep, now);  // RFC 5961 s4.2
  if (!segment.is(kTcpAck)) return;
  if (ep.state == State::syn_received && segment.ack != ep.queue.nxt()) return events.add(Events::kResetReply);
  if (!acknowledge(ep, segment, now, events)) return;
  // Only now: a forged segment without a plausible acknowledgement must not make ours look old (RFC 5961 s5).
  take_timestamp(ep, segment, now);
  if (ep.state == State::closed || ep.state == State::time_wait) return;
  receive_payload(ep, segment, now, delivery, events);
}

void Engine::deliver(Endpoint& ep, const Piece& piece, Delivery& delivery) {
  if (piece.bytes.empty()) return;
  const auto octets = static_cast<std::uint32_t>(piece.bytes.size());
  ep.rcv_nxt += SeqSpan{octets};
  ep.receive_window.delivered(octets);
  ep.octets_delivered += octets;
  delivery.deliver(piece);
}

void Engine::receive_out_of_order(Endpoint& ep, SeqNum seq, ByteView payload) {
  ++counters_.out_of_order;
  const Stored stored = ep.reassembly.insert(pools_, seq, payload, limits_.reassembly_entries_max);
  if (!stored.complete) ++counters_.not_stored;
  if (stored.duplicate) note_duplicate(ep, stored.duplicate_of);
  ep.acks.owe_duplicate();
}

void Engine::receive_payload(Endpoint& ep, const SegmentIn& segment, Instant now, Delivery& delivery, Events& events) {
  const auto octets = static_cast<std::uint32_t>(segment.payload.size());
  if (octets == 0 && !segment.is(kTcpFin)) return;
  if (peer_has_closed(ep.state)) return ep.acks.ack_now();
  const Trimmed part = trim(segment.seq, octets, segment.is(kTcpFin), ep.rcv_nxt, ep.receive_window.edge());
  if (part.front > 0) {
    note_duplicate(ep, {segment.seq, segment.seq + SeqSpan{part.front}});
    ep.acks.ack_now();
  }
  if (part.octets > 0 && ep.read_closed) return reset(ep, events, Events::kAborted);
  if (part.octets == 0 && !part.fin) return ep.acks.ack_now();
  if (part.fin) ep.reassembly.note_fin(part.seq + SeqSpan{part.octets});
  ByteView payload = segment.payload.subspan(part.front, part.octets);
  if (part.seq == ep.rcv_nxt) {
    payload = payload.first(std::min<std::size_t>(payload.size(), ep.reassembly.octets_to_fin(part.seq)));
    const bool fills_gap = !ep.reassembly.empty() || ep.reassembly.fin_known();
    const SeqNum end = part.seq + SeqSpan{static_cast<std::uint32_t>(payload.size())};
    const SackBlock held = ep.reassembly.held_within(pools_, part.seq, end);
    if (held.start != held.end && part.front == 0) note_duplicate(ep, held);  // RFC 2883 s4: the first such range
    deliver(ep, {payload}, delivery);
    for (Piece piece; ep.reassembly.front(pools_, ep.rcv_nxt, piece); ep.reassembly.pop(pools_)) {
      // A confused peer's FIN may lie inside what was held before it came: nothing beyond it counts.
      const std::uint32_t most = ep.reassembly.octets_to_fin(ep.rcv_nxt);
      if (most == 0) break;
      piece.bytes = piece.bytes.first(std::min<std::size_t>(piece.bytes.size(), most));
      deliver(ep, piece, delivery);
    }
    ep.reassembly.advanced_to(pools_, ep.rcv_nxt);
    ep.acks.data_in_order(static_cast<std::uint32_t>(payload.size()), now, limits_);
    if (fills_gap) ep.acks.ack_now();
    if (ep.reassembly.empty() && !ep.reassembly.fin_known()) ep.acks.nothing_missing();
  } else {
    receive_out_of_order(ep, part.seq, payload);
  }
  if (!ep.reassembly.fin_known() || ep.reassembly.fin_position() != ep.rcv_nxt) return;
  ep.rcv_nxt += SeqSpan{1};
  ep.reassembly.release_all(pools_);  // whatever a confused peer had sent beyond its FIN
  events.add(Events::kPeerClosed);
  move(ep, CloseEvent::fin_received, events);
}

}  // namespace penstock::tcp
