#include "dataplane/tcp/engine.h"

#include <algorithm>

namespace penstock::tcp {

Engine::Engine(const Limits& limits, const Secrets& secrets, Pools& pools) : secrets_{secrets}, pools_{pools} {
  configure(limits);
}

void Engine::configure(const Limits& limits) {
  limits_ = limits;
  require(limits.window_shift <= kWindowShiftMax, "window shift above 14");
  require(limits.receive_budget_octets >> limits.window_shift >= 8, "window shift too coarse for the receive budget");
}

void Engine::open(Endpoint& ep, const ConnectionKey& key, std::uint16_t mtu, Instant now, std::uint32_t window) {
  ep = Endpoint{};
  ep.pmtu.open(key.local.is_v4(), mtu);
  ep.timestamps.offset = timestamp_offset(secrets_, key);
  ep.last_heard = ep.progress = ep.last_sent = CoarseMs::of(now);
  ep.receive_budget = limits_.receive_budget_octets;
  ep.send_budget = limits_.send_budget_octets;
  // What may be offered. It is noted here because limits may change before the answer comes.
  ep.sack = limits_.sack;
  ep.window_scaling = limits_.window_scaling;
  ep.timestamps.on = limits_.timestamps;
  ep.receive_window.open(SeqNum{}, limits_.window_shift);
  ep.receive_window.set_limit(window);
}

bool Engine::connect(Endpoint& ep, const ConnectionKey& key, std::uint16_t mtu, Instant now, std::uint32_t window) {
  open(ep, key, mtu, now, window);
  if (!ep.queue.open(pools_, initial_sequence(secrets_, key, now)) || !ep.queue.append_syn(pools_)) {
    ep.queue.release_all(pools_);
    return false;
  }
  ep.state = State::syn_sent;
  return true;
}

bool Engine::accept(Endpoint& ep, const ConnectionKey& key, std::uint16_t mtu, const SegmentIn& syn, Instant now,
                    std::uint32_t window) {
  open(ep, key, mtu, now, window);
  if (!ep.queue.open(pools_, initial_sequence(secrets_, key, now)) || !ep.queue.append_syn(pools_)) {
    ep.queue.release_all(pools_);
    return false;
  }
  take_syn_options(ep, syn, now);
  ep.state = State::syn_received;
  return true;
}

bool Engine::accept_cookie(Endpoint& ep, const ConnectionKey& key, std::uint16_t mtu, const CookieGrant& grant,
                           const SegmentIn& ack, Instant now) {
  open(ep, key, mtu, now, kNoWindowLimit);
  const SeqNum iss = ack.ack - SeqSpan{1};
  if (!ep.queue.open(pools_, iss) || !ep.queue.append_syn(pools_)) {
    ep.queue.release_all(pools_);
    return false;
  }
  SegmentIn syn;
  syn.seq = ack.seq - SeqSpan{1};
  syn.flags = kTcpSyn;
  syn.window = ack.window;
  syn.options.has_mss = true;
  syn.options.mss = grant.mss;
  syn.options.has_timestamps = grant.timestamps;
  syn.options.ts_value = ack.options.ts_value;
  syn.options.sack_permitted = grant.sack;
  syn.options.has_window_shift = grant.window_scaling;
  syn.options.window_shift = grant.peer_shift;
  take_syn_options(ep, syn, now);
  ep.state = State::syn_received;
  ep.queue.sent(pools_, ep.queue.head(), Stamp::of(now));  // it was sent without us
  arm_retransmit(ep, now);
  return true;
}

void Engine::take_syn_options(Endpoint& ep, const SegmentIn& syn, Instant now) {
  const Options& options = syn.options;
  ep.irs = syn.seq;
  ep.rcv_nxt = ep.last_ack = syn.seq + SeqSpan{1};
  ep.sack = ep.sack && options.sack_permitted;
  ep.rack_on = ep.sack && limits_.rack;
  ep.window_scaling = ep.window_scaling && options.has_window_shift;
  ep.timestamps.on = ep.timestamps.on && options.has_timestamps;
  ep.timestamps.recent = options.ts_value;
  ep.timestamps.recent_second = seconds_of(now) & 0x7fffffff;
  ep.pmtu.peer_offered(options.has_mss ? options.mss : std::uint16_t{0});
  ep.receive_window.open(ep.rcv_nxt, ep.window_scaling ? ep.receive_window.shift() : std::uint8_t{0});
  static_cast<void>(ep.receive_window.offer(ep.rcv_nxt, ep.receive_budget, ep.payload_max(), false));
  ep.send_window.open(syn.window, ep.window_scaling ? options.window_shift : std::uint8_t{0}, syn.seq, syn.ack);
}

void Engine::established(Endpoint& ep, Instant now, Events& events) {
  ep.state = State::established;
  if (ep.retries > 0) ep.rto.syn_was_repeated();
  ep.congestion.start(ep.payload_max(), limits_, ep.retries > 1);
  events.add(Events::kConnected);
  arm_idle(ep, now);
  if (ep.fin_queued) move(ep, CloseEvent::fin_queued, events);
}

void Engine::finish(Endpoint& ep, Events& events, std::uint16_t why) {
  ep.queue.release_all(pools_);
  ep.reassembly.release_all(pools_);
  ep.state = State::closed;
  ep.probe_due = false;
  ep.acks = DelayedAck{};
  ep.idle_timer = kNever;
  disarm(ep);
  events.add(static_cast<std::uint16_t>(why | Events::kClosed));
}

void Engine::reset(Endpoint& ep, Events& events, std::uint16_t why) {
  finish(ep, events, why);
  ep.reset_due = true;
}

void Engine::move(Endpoint& ep, CloseEvent event, Events& events) {
  const CloseRule* rule = rule_for(ep.state, event);
  if (rule == nullptr) return;
  ep.state = rule->to;
  if (rule->reply == CloseReply::send_ack) ep.acks.ack_now();
  if (rule->to == State::closed) return finish(ep, events, 0);
  if (rule->to != State::time_wait) return;
  ep.queue.release_all(pools_);
  ep.reassembly.release_all(pools_);
  ep.idle_timer = kNever;
  disarm(ep);
  events.add(Events::kTimeWait);
}

std::size_t Engine::write(Endpoint& ep, ByteView bytes) {
  if (ep.state == State::closed || ep.fin_queued) return 0;
  return ep.queue.append(pools_, bytes, ep.piece_max(), ep.send_budget, limits_.send_entries_max);
}

bool Engine::write_block(Endpoint& ep, Index block, std::uint16_t offset, std::uint16_t octets) {
  if (ep.state == State::closed || ep.fin_queued) return false;
  return ep.queue.append_block(pools_, block, offset, octets, ep.block_max(), ep.send_budget, limits_.send_entries_max);
}

std::uint32_t Engine::unlend(Endpoint& ep, std::uint32_t octets_max) {
  return ep.queue.copy_out_lent(pools_, octets_max);
}

std::uint32_t Engine::outstanding(const Endpoint& ep) const {
  if (ep.state == State::closed) return 0;
  std::uint32_t octets = ep.queue.end().since(ep.queue.una()).octets;
  if (octets > 0 && pools_.entries[ep.queue.head()].is(Entry::kSyn)) --octets;
  if (octets > 0 && ep.fin_queued) --octets;  // the FIN is the last to be acknowledged
  return octets;
}

std::size_t Engine::writable(const Endpoint& ep) const {
  if (ep.state == State::closed || ep.fin_queued) return 0;
  const std::uint32_t queued = ep.queue.end().since(ep.queue.una()).octets;
  return queued < ep.send_budget ? ep.send_budget - queued : 0;
}

std::uint32_t Engine::segments_writable(const Endpoint& ep) const {
  const std::uint32_t queued = ep.queue.entries();
  return queued < limits_.send_entries_max ? limits_.send_entries_max - queued : 0;
}

void Engine::consume(Endpoint& ep, std::uint32_t octets) {
  ep.receive_window.consumed(octets);
  announce_window(ep);
}

void Engine::announce_window(Endpoint& ep) {
  if (!is_synchronized(ep.state) || peer_has_closed(ep.state)) return;
  if (ep.receive_window.update_due(ep.rcv_nxt, ep.receive_budget, ep.payload_max())) ep.acks.window_grew();
}

void Engine::set_receive_budget(Endpoint& ep, std::uint32_t octets) {
  ep.receive_budget = octets;
  announce_window(ep);
}

void Engine::set_window_limit(Endpoint& ep, std::uint32_t octets) {
  ep.receive_window.set_limit(octets);
  announce_window(ep);
}

void Engine::set_send_budget(Endpoint& ep, std::uint32_t octets) { ep.send_budget = octets; }

void Engine::shutdown(Endpoint& ep) {
  if (ep.state == State::closed || ep.fin_queued) return;
  ep.fin_queued = true;
  ep.queue.append_fin(pools_);
  Events none;
  move(ep, CloseEvent::fin_queued, none);
}

Events Engine::close(Endpoint& ep, Instant now) {
  Events events;
  if (ep.state == State::closed) return events;
  ep.read_closed = true;
  if (ep.state == State::syn_sent) {
    finish(ep, events, 0);
    return events;
  }
  if (ep.receive_window.unconsumed() > 0 || !ep.reassembly.empty()) return abort(ep);
  shutdown(ep);
  if (ep.state == State::fin_wait_2) arm_idle(ep, now);
  return events;
}

Events Engine::abort(Endpoint& ep) {
  Events events;
  if (ep.state == State::closed) return events;
  if (ep.state == State::syn_sent)
    finish(ep, events, Events::kAborted);
  else
    reset(ep, events, Events::kAborted);
  return events;
}

TimeWait Engine::take_time_wait(Endpoint& ep, Instant now) {
  require(ep.state == State::time_wait, "not in TIME-WAIT");
  TimeWait out;
  out.snd_nxt = ep.queue.nxt();
  out.rcv_nxt = ep.rcv_nxt;
  out.ts_recent = ep.timestamps.recent;
  out.ts_offset = ep.timestamps.offset;
  out.timestamps = ep.timestamps.on ? 1 : 0;
  out.lifetime_ms = static_cast<std::uint32_t>(limits_.time_wait / std::chrono::milliseconds{1});
  out.until = CoarseMs{CoarseMs::of(now).ms + out.lifetime_ms};
  out.window = ep.receive_window.offer(ep.rcv_nxt, ep.receive_budget, ep.payload_max());
  Events none;
  finish(ep, none, 0);
  return out;
}

}  // namespace penstock::tcp
