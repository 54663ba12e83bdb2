// Deadlines: retransmission (RFC 6298 s5), persist (RFC 9293 s3.8.6.1), keepalive and FIN-WAIT-2, delayed ACK.
#include <algorithm>

#include "dataplane/tcp/engine.h"

namespace penstock::tcp {
namespace {

// RFC 8985 s7.2: what a peer may wait before it acknowledges a single segment, and room for jitter otherwise.
constexpr Duration kPeerAckDelay = std::chrono::milliseconds{200};
constexpr Duration kProbeMargin = std::chrono::milliseconds{2};

bool has_passed(Instant deadline, Instant now) { return deadline != kNever && now >= deadline; }

}  // namespace

Instant Engine::deadline(const Endpoint& ep) {
  return std::min(std::min(ep.timer, ep.loss_timer), std::min(ep.idle_timer, ep.acks.deadline()));
}

void Engine::arm(Endpoint& ep, TimerKind kind, Duration after, Instant now) {
  ep.timer_kind = kind;
  ep.timer = now + after;
  if (kind == TimerKind::retransmit && limits_.user_timeout > Duration::zero())
    ep.timer = std::max(now, std::min(ep.timer, now + limits_.user_timeout - age_of(ep.progress, now)));
}

void Engine::arm_retransmit(Endpoint& ep, Instant now) {
  const Duration after = is_synchronized(ep.state) ? ep.rto.timeout(limits_) : handshake_timeout(ep);
  arm(ep, TimerKind::retransmit, after, now);
}

Duration Engine::handshake_timeout(const Endpoint& ep) const {
  Duration base = ep.rto.timeout(limits_);
  if (ep.state == State::syn_sent) {
    const Duration doubled = limits_.connect_rto_initial * (std::int64_t{1} << ep.rto.backoff());
    base = std::min(doubled + (ep.rto.backoff() > 0 ? limits_.rto_slop : Duration::zero()), limits_.connect_rto_max);
  }
  // The initial sequence number is as good as a draw; each repetition looks at other bits of it.
  const std::uint32_t draw = (ep.queue.una().value() >> (8 * (ep.retries % 4))) & 0xff;
  return base + base * limits_.handshake_spread_percent / 100 * draw / 256;
}

void Engine::disarm(Endpoint& ep) {
  ep.timer_kind = TimerKind::none;
  ep.timer = kNever;
  arm_loss(ep, LossTimer::none, Duration::zero(), Instant{});
}

void Engine::arm_loss(Endpoint& ep, LossTimer kind, Duration after, Instant now) {
  ep.loss_timer_kind = kind;
  ep.loss_timer = kind == LossTimer::none ? kNever : now + after;
}

void Engine::arm_tail_probe(Endpoint& ep, Instant now) {
  if (ep.loss_timer_kind == LossTimer::reordering) return;
  arm_loss(ep, LossTimer::none, Duration::zero(), now);
  const bool useful = ep.rack_on && ep.recovery.phase() != Phase::loss && ep.queue.flight() > 0 && ep.rto.has_sample();
  if (!useful || ep.timer_kind != TimerKind::retransmit || !ep.rack.may_probe()) return;
  // What fills a gap is acknowledged at once (RFC 5681 s4.2), and so is every second segment.
  const bool delayed = ep.recovery.phase() == Phase::open && ep.queue.flight() <= ep.payload_max();
  const Duration wait = std::chrono::microseconds{2ull * ep.rto.srtt_us()} + (delayed ? kPeerAckDelay : kProbeMargin);
  arm_loss(ep, LossTimer::tail_probe, std::min<Duration>(wait, ep.timer - now), now);  // RFC 8985 s7.2
}

void Engine::detect_loss(Endpoint& ep, Instant now) {
  const bool recovering = ep.recovery.phase() != Phase::open;
  const std::uint32_t again_us = ep.rack.detect(pools_, ep.queue, Stamp::of(now), ep.rto, ep.payload_max(), recovering);
  if (again_us > 0)
    arm_loss(ep, LossTimer::reordering, std::chrono::microseconds{again_us}, now);
  else if (ep.loss_timer_kind == LossTimer::reordering)
    arm_loss(ep, LossTimer::none, Duration::zero(), now);
}

void Engine::on_loss_timer(Endpoint& ep, Instant now) {
  const LossTimer kind = ep.loss_timer_kind;
  arm_loss(ep, LossTimer::none, Duration::zero(), now);
  if (ep.queue.flight() == 0) return;
  if (kind == LossTimer::tail_probe) {
    ep.tail_probe_due = ep.recovery.phase() != Phase::loss && ep.rack.may_probe();
    return;
  }
  AckFacts facts;
  facts.sack = facts.rack = true;
  facts.loss_marks_before = ep.queue.loss_marks();
  detect_loss(ep, now);
  if (ep.recovery.acknowledged(pools_, ep.queue, ep.congestion, facts, ep.payload_max())) ++counters_.recoveries;
  arm_tail_probe(ep, now);
}

void Engine::settle(Endpoint& ep, Instant now) {
  if (!is_synchronized(ep.state) || ep.state == State::time_wait) return;
  if (ep.queue.flight() > 0) {
    if (ep.timer_kind != TimerKind::retransmit) arm_retransmit(ep, now);
    return;
  }
  if (ep.queue.unsent_span() == 0) return disarm(ep);
  if (ep.timer_kind == TimerKind::persist) return;
  ep.persist_backoff = 0;
  ep.retries = 0;
  arm(ep, TimerKind::persist, ep.rto.timeout(limits_), now);
}

void Engine::arm_idle(Endpoint& ep, Instant now) {
  ep.idle_timer = kNever;
  if (ep.state == State::fin_wait_2 && ep.read_closed)
    ep.idle_timer = now + limits_.fin_wait_2;
  else if (limits_.keepalive_idle > Duration::zero())
    ep.idle_timer = now + limits_.keepalive_idle;
}

Events Engine::expire(Endpoint& ep, Instant now) {
  Events events;
  if (ep.state == State::closed || ep.state == State::time_wait) return events;
  ep.acks.expire(now);
  // A tail probe due with the timeout comes in its place: sending it puts the timeout off (RFC 8985 s7.2).
  const bool probes_first =
      ep.loss_timer_kind == LossTimer::tail_probe && ep.loss_timer <= ep.timer && has_passed(ep.loss_timer, now);
  if (has_passed(ep.timer, now) && !probes_first) {
    if (ep.timer_kind == TimerKind::retransmit)
      on_retransmit_timer(ep, now, events);
    else
      on_persist_timer(ep, now, events);
  }
  if (has_passed(ep.loss_timer, now)) on_loss_timer(ep, now);
  if (has_passed(ep.idle_timer, now)) on_idle_timer(ep, now, events);
  return events;
}

bool Engine::user_timeout_passed(const Endpoint& ep, Instant now) const {
  return limits_.user_timeout > Duration::zero() && age_of(ep.progress, now) >= limits_.user_timeout;
}

void Engine::on_retransmit_timer(Endpoint& ep, Instant now, Events& events) {
  const bool handshake = !is_synchronized(ep.state);
  const bool connecting = ep.state == State::syn_sent;
  const bool endless = connecting && limits_.connect_retries_max == 0;
  const std::uint8_t retries_max = connecting  ? limits_.connect_retries_max
                                   : handshake ? limits_.syn_retries_max
                                               : limits_.retries_max;
  // A peer that took its window back but still answers is not dead (RFC 9293 s3.8.6.1).
  const bool held_back = !handshake && ep.send_window.octets() == 0 && ep.heard;
  if (user_timeout_passed(ep, now) || (!held_back && !endless && ep.retries >= retries_max))
    return finish(ep, events, Events::kTimedOut);
  ++counters_.timeouts;
  const bool first = ep.retries == 0;
  if (!held_back && ep.retries < 0xff) ++ep.retries;
  ep.heard = false;
  const std::uint16_t small = small_mss(ep);
  const bool would_shrink = pools_.entries[ep.queue.head()].octets + (ep.timestamps.on ? 12u : 0u) > small;
  if (!handshake && would_shrink && ep.pmtu.timed_out(++ep.large_timeouts, small)) ++counters_.black_holes;
  ep.recovery.timed_out(pools_, ep.queue, ep.congestion, ep.payload_max(), first);
  ep.rack.timed_out();
  ep.tail_probe_due = false;
  arm_loss(ep, LossTimer::none, Duration::zero(), now);
  ep.rto.back_off();
  arm_retransmit(ep, now);
}

void Engine::on_persist_timer(Endpoint& ep, Instant now, Events& events) {
  if (ep.send_window.octets() > 0) {
    ep.override_window = true;
  } else {
    if (ep.retries >= limits_.retries_max) return finish(ep, events, Events::kTimedOut);
    ++ep.retries;
    ++counters_.window_probes;
    ep.probe_due = true;
    if (ep.persist_backoff < 16) ++ep.persist_backoff;
  }
  const Duration interval = ep.rto.timeout(limits_) * (std::int64_t{1} << ep.persist_backoff);
  arm(ep, TimerKind::persist, std::min(interval, limits_.persist_max), now);
}

void Engine::on_idle_timer(Endpoint& ep, Instant now, Events& events) {
  if (ep.state == State::fin_wait_2 && ep.read_closed) return finish(ep, events, 0);
  if (limits_.keepalive_idle == Duration::zero() || !is_synchronized(ep.state)) {
    ep.idle_timer = kNever;
    return;
  }
  const Instant idle_since = now + limits_.keepalive_idle - age_of(ep.last_heard, now);
  if (ep.queue.flight() > 0 || ep.queue.unsent_span() > 0) {
    ep.idle_timer = now + limits_.keepalive_idle;  // retransmission or persist watches the peer
  } else if (ep.keepalive_probes == 0 && now < idle_since) {
    ep.idle_timer = idle_since;
  } else if (ep.keepalive_probes >= limits_.keepalive_probes) {
    reset(ep, events, Events::kTimedOut);
  } else {
    ++ep.keepalive_probes;
    ++counters_.keepalive_probes;
    ep.probe_due = true;
    ep.idle_timer = now + limits_.keepalive_interval;
  }
}

bool Engine::path_too_big(Endpoint& ep, std::uint16_t mtu, SeqNum quoted) {
  const bool in_flight = !quoted.precedes(ep.queue.una()) && quoted.precedes(ep.queue.nxt());
  if (ep.state == State::closed || !in_flight || !ep.pmtu.too_big(mtu)) return false;  // RFC 5927 s7
  ++counters_.path_mtu_shrunk;
  for (Index i = ep.queue.head(); i != ep.queue.first_unsent(); i = pools_.entries[i].next) {
    if (pools_.entries[i].octets <= ep.payload_max()) continue;
    ep.queue.forget_retransmission(pools_, i);
    ep.queue.mark_lost(pools_, i);
    ep.recovery.force_one();
  }
  return true;
}

}  // namespace penstock::tcp
