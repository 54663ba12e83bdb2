// What an endpoint tells about itself: for status pages, and for tests that recompute it.
#include "dataplane/tcp/engine.h"

namespace penstock::tcp {
namespace {

/// Payload octets in flight: without a SYN at the front and a FIN at the end.
std::uint32_t payload_in_flight(const Endpoint& ep, const Pools& pools) {
  std::uint32_t octets = ep.queue.flight();
  if (octets > 0 && pools.entries[ep.queue.head()].is(Entry::kSyn)) --octets;
  if (octets > 0 && ep.fin_queued && ep.queue.unsent_span() == 0) --octets;
  return octets;
}

}  // namespace

ConnectionInfo Engine::info(const Endpoint& ep) const {
  ConnectionInfo out;
  out.state = ep.state;
  out.phase = ep.recovery.phase();
  out.srtt_us = ep.rto.srtt_us();
  out.rttvar_us = ep.rto.rttvar_us();
  out.min_rtt_us = ep.rto.min_rtt_us();
  out.rto_ms = static_cast<std::uint32_t>(ep.rto.timeout(limits_) / std::chrono::milliseconds{1});
  out.cwnd_octets = ep.congestion.cwnd();
  out.ssthresh_octets = ep.congestion.ssthresh();
  out.flight_octets = ep.queue.flight();
  out.outstanding_octets = outstanding(ep);
  out.send_window_octets = ep.send_window.octets();
  out.receive_window_octets = ep.receive_window.size(ep.rcv_nxt);
  out.unconsumed_octets = ep.receive_window.unconsumed();
  out.retransmitted_segments = ep.retransmitted_segments;
  out.mss = ep.pmtu.mss();
  out.octets_sent = ep.octets_acked + payload_in_flight(ep, pools_);
  out.octets_acked = ep.octets_acked;
  out.octets_received = ep.octets_delivered;
  out.sack = ep.sack;
  out.timestamps = ep.timestamps.on;
  out.window_scaling = ep.window_scaling;
  return out;
}

std::string_view audit(const Endpoint& ep, const Pools& pools) {
  if (ep.state == State::closed) return {};
  if (const std::string_view problem = ep.queue.audit(pools); !problem.empty()) return problem;
  if (const std::string_view problem = ep.reassembly.audit(pools, ep.rcv_nxt); !problem.empty()) return problem;
  if (ep.state == State::time_wait && ep.queue.flight() != 0) return "TIME-WAIT with data in flight";
  if (ep.state == State::time_wait) return {};
  if (ep.queue.flight() > 0 && Engine::deadline(ep) == kNever) return "data in flight and no timer";
  if (is_synchronized(ep.state) && ep.queue.unsent_span() > 0 && ep.timer == kNever) return "unsent data and no timer";
  if (ep.queue.flight() == 0 && ep.timer_kind == TimerKind::retransmit) return "retransmission timer with nothing sent";
  return {};
}

}  // namespace penstock::tcp
