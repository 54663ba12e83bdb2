// The acknowledgement part of an acceptable segment (RFC 9293 s3.10.7.4 fifth, RFC 5961 s5.2, RFC 6675, RFC 7323 s4).
#include <algorithm>

#include "dataplane/tcp/engine.h"

namespace penstock::tcp {
namespace {

/// The first SACK block lies below the acknowledgement, or in the second block: a DSACK (RFC 2883 s4).
bool reports_duplicate(const SegmentIn& segment) {
  const Options& options = segment.options;
  if (options.sack_count == 0) return false;
  const SackBlock first = options.sack[0];
  if (!first.start.precedes(first.end)) return false;
  if (first.end.at_most(segment.ack)) return true;
  if (options.sack_count == 1) return false;
  const SackBlock second = options.sack[1];
  return second.start.at_most(first.start) && first.end.at_most(second.end);
}

}  // namespace

bool Engine::acknowledge(Endpoint& ep, const SegmentIn& segment, Instant now, Events& events) {
  const SeqNum ack = segment.ack;
  const SeqNum una = ep.queue.una();
  if (ep.queue.nxt().precedes(ack) || ack.precedes(una - SeqSpan{ep.send_window.max_octets()})) {
    ++counters_.ack_invalid;
    challenge(ep, now);
    return false;
  }
  ep.last_heard = CoarseMs::of(now);
  ep.heard = true;
  ep.keepalive_probes = 0;
  if (ack.precedes(una)) return true;  // reordered: its data still counts

  const bool advanced = ack != una;
  const bool syn_acked = ep.state == State::syn_received;
  const std::uint32_t flight_before = ep.queue.flight();
  const std::uint32_t window_before = ep.send_window.octets();
  const std::uint16_t loss_marks_before = ep.queue.loss_marks();
  Delivered delivered;
  if (advanced) ep.queue.acknowledge(pools_, ack, delivered);
  if (ep.state == State::syn_received) established(ep, now, events);
  if (ep.sack) apply_sack(ep, segment, delivered);
  ep.send_window.update(segment.window, segment.seq, ack, advanced);
  const std::uint32_t rtt_us = sample_round_trip(ep, segment, delivered, now);
  if (ep.sack) learn_from_sack(ep, segment, delivered, flight_before, now);
  const bool recovering = ep.recovery.phase() != Phase::open;
  const bool plain = segment.span().octets == 0 && window_before == ep.send_window.octets();
  const AckFacts facts{.acked_octets = delivered.acked_octets,
                       .delivered_octets = delivered.octets,
                       .flight_before = flight_before,
                       .loss_marks_before = loss_marks_before,
                       .now_ms = milliseconds_of(now),
                       .srtt_us = ep.rto.srtt_us(),
                       .rtt_us = rtt_us,
                       .sack = ep.sack,
                       .rack = ep.rack_on,
                       .duplicate = !advanced && flight_before > 0 && plain,
                       .growth_segments = limits_.slow_start_growth_segments,
                       .cwnd_limited = ep.cwnd_limited};
  if (ep.recovery.acknowledged(pools_, ep.queue, ep.congestion, facts, ep.payload_max())) ++counters_.recoveries;
  if (recovering && ep.recovery.phase() == Phase::open) ep.rack.recovered();
  if (ep.timer_kind == TimerKind::persist) ep.retries = 0;
  if (advanced) {
    ep.octets_acked += delivered.acked_octets - (delivered.fin_acked ? 1u : 0u) - (syn_acked ? 1u : 0u);
    advance(ep, delivered, now, events);
  } else if (delivered.octets > 0 && ep.recovery.phase() == Phase::recovery) {
    arm_tail_probe(ep, now);
  }
  window_changed(ep, now);
  if (delivered.fin_acked) {
    move(ep, CloseEvent::fin_acked, events);
    if (ep.state == State::fin_wait_2) arm_idle(ep, now);
  }
  return true;
}

void Engine::learn_from_sack(Endpoint& ep, const SegmentIn& segment, const Delivered& delivered,
                             std::uint32_t flight_before, Instant now) {
  const bool duplicate = reports_duplicate(segment);
  if (duplicate && ep.recovery.duplicate_reported(ep.queue, ep.congestion, segment.options.sack[0], ep.payload_max()))
    ++counters_.needless_reductions;
  if (!ep.rack_on) return;
  ep.rack.delivered(delivered, Stamp::of(now), ep.rto);
  if (duplicate) ep.rack.duplicate_reported(segment.ack, ep.queue.nxt());
  if (ep.rack.probe_answered(segment.ack, delivered, duplicate))
    ep.recovery.tail_repaired(ep.congestion, flight_before, ep.payload_max());
  detect_loss(ep, now);
}

void Engine::advance(Endpoint& ep, const Delivered& delivered, Instant now, Events& events) {
  ep.retries = 0;
  ep.large_timeouts = 0;
  if (ep.pmtu.searching())
    ep.pmtu.acknowledged(delivered.largest_octets + (ep.timestamps.on ? 12u : 0u), small_mss(ep));
  ep.progress = CoarseMs::of(now);
  events.add(Events::kAcked);
  if (ep.queue.flight() > 0)
    arm_retransmit(ep, now);  // RFC 6298 s5.3
  else
    disarm(ep);
  arm_tail_probe(ep, now);
}

std::uint32_t Engine::apply_sack(Endpoint& ep, const SegmentIn& segment, Delivered& delivered) {
  std::uint32_t marked = 0;
  for (std::uint8_t i = 0; i < segment.options.sack_count; ++i) {
    const SackBlock block = segment.options.sack[i];
    const bool sound = block.start.precedes(block.end) && block.end.at_most(ep.queue.nxt());
    if (!sound) {
      ++counters_.sack_invalid;
      continue;
    }
    // Below una it is a DSACK (RFC 2883 s4) or stale; nothing is marked twice.
    if (ep.queue.una().at_most(block.start)) marked += ep.queue.mark_sacked(pools_, block, delivered);
  }
  return marked;
}

std::uint32_t Engine::sample_round_trip(Endpoint& ep, const SegmentIn& segment, const Delivered& delivered,
                                        Instant now) {
  if (delivered.has_sample || (delivered.newest_valid && !delivered.newest_retransmitted)) {
    const Stamp sent = delivered.has_sample ? delivered.sample_sent : delivered.newest_sent;
    const std::int32_t round_trip_us = std::max(Stamp::of(now).since(sent), 1);
    ep.rto.sample(round_trip_us);
    ep.rack.round_trip_measured();
    return static_cast<std::uint32_t>(round_trip_us);
  }
  const Options& options = segment.options;
  if (!delivered.any_retransmitted) return 0;
  if (!ep.timestamps.on || options.ts_echo == 0) {
    if (ep.sack && reports_duplicate(segment)) ep.rto.forget_back_off();
    return 0;
  }
  const auto round_trip_ms = static_cast<std::int32_t>(milliseconds_of(now) + ep.timestamps.offset - options.ts_echo);
  constexpr std::int32_t kPlausibleMs = 600'000;
  std::int32_t round_trip_max_ms = kPlausibleMs;
  if (reports_duplicate(segment)) {
    // The peer had it already, so an earlier acknowledgement was lost. An echo older than the repetition is as old as
    // that loss: it would teach the timeout itself as the round trip, doubling it each time. But the path works.
    ep.rto.forget_back_off();
    round_trip_max_ms = Stamp::of(now).since(delivered.newest_sent) / 1000 + 1;
  }
  if (round_trip_ms >= 0 && round_trip_ms <= round_trip_max_ms) {
    ep.rto.sample(round_trip_ms * 1000 + 1000);
    ep.rack.round_trip_measured();
  }
  return 0;  // a millisecond clock is too coarse for whoever compares round trips
}

void Engine::window_changed(Endpoint& ep, Instant now) {
  if (ep.timer_kind != TimerKind::persist || ep.send_window.octets() == 0 || ep.persist_backoff == 0) return;
  ep.persist_backoff = 0;  // open again: at most one plain timeout until the silly-window rule gives way
  arm(ep, TimerKind::persist, ep.rto.timeout(limits_), now);
}

}  // namespace penstock::tcp
