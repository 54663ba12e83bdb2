// The invariants of world.h.
#include "tests/sim/tcp/world.h"

#include <algorithm>

namespace penstock::tcpsim {

void World::check(std::size_t host, std::size_t index) {
  const Connection& connection = hosts_[host].connections[index];
  const tcp::Endpoint& ep = connection.ep;
  if (!connection.app->failure().empty()) return fail(host, index, connection.app->failure());
  if (const std::string_view problem = tcp::audit(ep, *hosts_[host].pools); !problem.empty())
    return fail(host, index, std::string{problem});
  if (!tcp::is_synchronized(ep.state)) return;
  const tcp::Limits& limits = hosts_[host].engine->limits();
  const std::uint32_t promised = ep.receive_window.size(ep.rcv_nxt) + ep.receive_window.unconsumed();
  if (promised > std::max(limits.receive_budget_octets, 2u)) fail(host, index, "window promises more than the budget");
  if (ep.queue.end().since(ep.queue.una()).octets > limits.send_budget_octets + 1)
    fail(host, index, "more queued than the send budget");
  if (ep.reassembly.pieces() > limits.reassembly_entries_max) fail(host, index, "too many pieces held");
}

void World::check_sent(const Connection& connection, const tcp::SegmentOut& segment, SeqNum nxt_before,
                       std::uint32_t pipe_before) {
  const tcp::Endpoint& ep = connection.ep;
  const std::size_t host = &connection >= hosts_[1].connections.data() &&
                                   &connection < hosts_[1].connections.data() + hosts_[1].connections.size()
                               ? 1
                               : 0;
  const auto index = static_cast<std::size_t>(&connection - hosts_[host].connections.data());
  if (segment.payload.size() + segment.options.octets > ep.pmtu.mss() && (segment.flags & tcp::kTcpSyn) == 0 &&
      !segment.payload.empty())
    fail(host, index, "segment above the MSS");
  if (!tcp::is_synchronized(ep.state) || ep.queue.nxt() == nxt_before) return;
  if (ep.queue.flight() > ep.send_window.octets()) fail(host, index, "new data beyond the peer's window");
  const std::uint32_t pipe = ep.recovery.pipe(ep.queue);
  if (pipe_before > 0 && pipe > ep.congestion.cwnd() + 1) fail(host, index, "new data beyond the congestion window");
}

void World::check_end() {
  for (std::size_t i = 0; i < scenario_.connections.size(); ++i) {
    bool connected = true, timed_out = false;
    for (std::size_t host = 0; host < 2; ++host) {
      const Connection& connection = hosts_[host].connections[i];
      if (connection.opened && connection.ep.state != tcp::State::closed)
        fail(host, i,
             "nothing left to happen and not closed: state " + std::to_string(static_cast<int>(connection.ep.state)));
      if (connection.waiting) fail(host, i, "still in TIME-WAIT");
      connected = connected && connection.app->connected();
      timed_out = timed_out || connection.app->timed_out();
      result_.octets += connection.app->received();
    }
    if (scenario_.may_lose_data(scenario_.connections[i])) continue;
    if (!connected && timed_out) {
      ++result_.handshakes_failed;
      continue;
    }
    for (std::size_t host = 0; host < 2; ++host) {
      const App& app = *hosts_[host].connections[i].app;
      if (!app.complete())
        fail(host, i,
             "incomplete: written " + std::to_string(app.written()) + " received " + std::to_string(app.received()) +
                 (app.peer_closed() ? "" : ", end of stream not seen") + (app.timed_out() ? ", timed out" : "") +
                 (app.was_reset() ? ", reset" : ""));
    }
  }
  for (std::size_t host = 0; host < 2; ++host) {
    if (hosts_[host].pools->entries.in_use() != 0) fail(host, 0, "entries leaked");
    if (hosts_[host].pools->blocks.in_use() != 0) fail(host, 0, "blocks leaked");
  }
}

}  // namespace penstock::tcpsim
