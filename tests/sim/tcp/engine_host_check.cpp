// The invariants of a host that runs our engine; everything here is recomputed after every event.
#include <algorithm>

#include "tests/sim/tcp/engine_host.h"

namespace penstock::tcpsim {

void EngineHost::check(std::size_t i) {
  const Connection& connection = connections_[i];
  const tcp::Endpoint& ep = connection.ep;
  if (!connection.app->failure().empty()) return fail(i, connection.app->failure());
  if (const std::string_view problem = tcp::audit(ep, *pools_); !problem.empty()) return fail(i, std::string{problem});
  recount(i);
  check_memory();
  if (tcp::is_synchronized(ep.state)) check_windows(i);
}

void EngineHost::check_windows(std::size_t i) {
  const tcp::Endpoint& ep = connections_[i].ep;
  const tcp::Limits& limits = engine_->limits();
  const std::uint32_t promised = ep.receive_window.size(ep.rcv_nxt) + ep.receive_window.unconsumed();
  if (promised > std::max(limits.receive_budget_octets, 2u)) fail(i, "window promises more than the budget");
  if (ep.queue.end().since(ep.queue.una()).octets > limits.send_budget_octets + 1)
    fail(i, "more queued than the send budget");
  if (ep.reassembly.pieces() > limits.reassembly_entries_max) fail(i, "too many pieces held");
}

/// Counts the entries and works pipe out from the marks of each (RFC 6675 s4), without any of the kept sums.
void EngineHost::recount(std::size_t i) {
  using tcp::Entry;
  Connection& connection = connections_[i];
  const tcp::SendQueue& queue = connection.ep.queue;
  std::uint32_t pipe = 0, entries = 0;
  bool sent = true;
  for (tcp::Index at = queue.head(); at != tcp::kNoIndex; at = pools_->entries[at].next) {
    const Entry& entry = pools_->entries[at];
    sent = sent && at != queue.first_unsent();
    ++entries;
    if (!sent || entry.is(Entry::kSacked)) continue;
    if (!entry.is(Entry::kLost)) pipe += entry.span();
    if (entry.is(Entry::kRetransmitted)) pipe += entry.span();
  }
  connection.entries = connection.ep.state == tcp::State::closed ? 0 : entries + connection.ep.reassembly.pieces();
  if (pipe != queue.pipe())
    fail(i, "pipe is " + std::to_string(queue.pipe()) + ", by its marks " + std::to_string(pipe));
}

void EngineHost::check_memory() {
  std::uint32_t held = 0, live = 0;
  std::size_t shared = 0;
  for (const Connection& connection : connections_) {
    held += connection.entries;
    shared += connection.held.size();
    if (connection.opened && connection.ep.state != tcp::State::closed) ++live;
  }
  const std::uint32_t in_use = pools_->entries.in_use();  // each connection keeps one more for its FIN
  if (in_use < held || in_use > held + live) fail(0, "entries in use that no connection holds");
  if (pools_->blocks.in_use() > held + shared) fail(0, "blocks in use that nobody holds");
  if (pools_->lent_in_use() > held) fail(0, "lent buffers in use that no entry holds");
}

void EngineHost::check_sent(std::size_t i, const tcp::SegmentOut& segment, const Before& before) {
  const tcp::Endpoint& ep = connections_[i].ep;
  const bool handshake = (segment.flags & tcp::kTcpSyn) != 0;
  if (!segment.payload.empty() && (handshake || !tcp::is_synchronized(ep.state)))
    fail(i, "data before the handshake has ended");
  const std::size_t most = scenario_.cuts[side_] && ep.pmtu.full() && !segment.retransmission
                               ? tcp::kLargePayloadMax + segment.options.octets
                               : ep.pmtu.mss();
  if (segment.payload.size() + segment.options.octets > most && !handshake && !segment.payload.empty())
    fail(i, "segment above the MSS");
  if (!tcp::is_synchronized(ep.state) || ep.queue.nxt() == before.nxt) return;
  if (ep.queue.flight() > ep.send_window.octets()) fail(i, "new data beyond the peer's window");
  // A tail probe may leave whatever the congestion window says (RFC 8985 s7.3).
  if (before.pipe == 0 || engine_->counters().tail_probes != before.tail_probes) return;
  if (ep.recovery.pipe(ep.queue) > ep.congestion.cwnd() + 1) fail(i, "new data beyond the congestion window");
}

void EngineHost::check_end() {
  for (std::size_t i = 0; i < connections_.size(); ++i) {
    const Connection& connection = connections_[i];
    if (connection.opened && connection.ep.state != tcp::State::closed)
      fail(i, "nothing left to happen and not closed: state " + std::to_string(static_cast<int>(connection.ep.state)));
    if (connection.waiting) fail(i, "still in TIME-WAIT");
  }
  if (pools_->entries.in_use() != 0) fail(0, "entries leaked");
  if (pools_->blocks.in_use() != 0) fail(0, "blocks leaked");
  if (pools_->lent_in_use() != 0 || (lender_ != nullptr && !lender_->all_back())) fail(0, "lent buffers leaked");
}

}  // namespace penstock::tcpsim
