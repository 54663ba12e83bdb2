// Header prediction: the two segments that a bulk transfer consists of take a short way.
//
// Model     in order, established, nothing lost and nothing in doubt: the next payload while nothing of ours is in
//           flight, or an acknowledgement of something that is, or both. For these most of receive_synchronized() and
//           acknowledge() has nothing to do; what is left is done here, in the same order and to the same effect.
//           Everything else takes the general way: false means that nothing was touched.
// Proof     the simulator's runs are the same packets with and without it (tests/sim/tcp/predict_test.cpp).
#include "dataplane/tcp/engine.h"

namespace penstock::tcp {

/// An acknowledgement cannot tell recovery anything now. Without RACK every one is looked at.
bool Engine::undisturbed(const Endpoint& ep) {
  return ep.rack_on && ep.recovery.phase() == Phase::open && ep.queue.unmarked() && !ep.rack.probing() &&
         ep.loss_timer_kind != LossTimer::reordering && ep.timer_kind != TimerKind::persist;
}

bool Engine::receive_predicted(Endpoint& ep, const SegmentIn& segment, Instant now, Delivery& delivery,
                               Events& events) {
  const Options& options = segment.options;
  const bool plain = ep.state == State::established && (segment.flags & ~kTcpPsh) == kTcpAck &&
                     segment.seq == ep.rcv_nxt && options.sack_count == 0;
  if (!plain || !undisturbed(ep)) return false;
  if (ep.timestamps.on &&
      (!options.has_timestamps || static_cast<std::int32_t>(options.ts_value - ep.timestamps.recent) < 0))
    return false;
  const SeqNum una = ep.queue.una();
  const bool advances = segment.ack != una;
  if (advances ? !una.precedes(segment.ack) || !segment.ack.at_most(ep.queue.nxt()) : ep.queue.flight() != 0)
    return false;
  const auto octets = static_cast<std::uint32_t>(segment.payload.size());
  const bool in_window = (segment.seq + SeqSpan{octets}).at_most(ep.receive_window.edge());
  if (octets == 0 ? !advances : ep.read_closed || !ep.reassembly.untouched() || !in_window) return false;

  ++counters_.predicted;
  ep.last_heard = CoarseMs::of(now);
  ep.heard = true;
  ep.keepalive_probes = 0;
  if (advances)
    acknowledge_predicted(ep, segment, now, events);
  else
    ep.send_window.update(segment.window, segment.seq, segment.ack, false);
  take_timestamp(ep, segment, now);
  if (octets == 0) return true;
  deliver(ep, {segment.payload}, delivery);
  ep.acks.data_in_order(octets, now, limits_);
  return true;
}

/// acknowledge(), when something new is acknowledged and nothing else can have happened.
void Engine::acknowledge_predicted(Endpoint& ep, const SegmentIn& segment, Instant now, Events& events) {
  const std::uint32_t flight_before = ep.queue.flight();
  const std::uint16_t loss_marks_before = ep.queue.loss_marks();
  Delivered delivered;
  ep.queue.acknowledge(pools_, segment.ack, delivered);
  ep.send_window.update(segment.window, segment.seq, segment.ack, true);
  const std::uint32_t rtt_us = sample_round_trip(ep, segment, delivered, now);
  ep.rack.delivered(delivered, Stamp::of(now), ep.rto);
  detect_loss(ep, now);
  const AckFacts facts{.acked_octets = delivered.acked_octets,
                       .delivered_octets = delivered.octets,
                       .flight_before = flight_before,
                       .loss_marks_before = loss_marks_before,
                       .now_ms = milliseconds_of(now),
                       .srtt_us = ep.rto.srtt_us(),
                       .rtt_us = rtt_us,
                       .sack = true,
                       .rack = true,
                       .growth_segments = limits_.slow_start_growth_segments,
                       .cwnd_limited = ep.cwnd_limited};
  if (ep.recovery.acknowledged(pools_, ep.queue, ep.congestion, facts, ep.payload_max())) ++counters_.recoveries;
  ep.octets_acked += delivered.acked_octets;
  advance(ep, delivered, now, events);
}

}  // namespace penstock::tcp
