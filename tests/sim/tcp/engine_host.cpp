#include "tests/sim/tcp/engine_host.h"

#include <algorithm>
#include <array>

#include "dataplane/tcp/stateless.h"
#include "tests/support/seeded.h"

namespace penstock::tcpsim {

tcp::Secrets secrets_of(std::uint64_t seed, std::size_t host) {
  test::Seeded random{seed * 31 + host + 7};
  tcp::Secrets out;
  for (tcp::SipKey* key : {&out.isn, &out.timestamp, &out.cookie}) *key = {random.next(), random.next()};
  return out;
}

tcp::ConnectionKey key_of(const Scenario& scenario, std::size_t host, std::size_t connection) {
  const auto address = [&](unsigned last) {
    if (scenario.v4) return IpAddress::v4(10, 0, 0, static_cast<std::uint8_t>(last));
    IpAddress out;
    out.octets[0] = 0xfd;
    out.octets[15] = static_cast<std::uint8_t>(last);
    return out;
  };
  const ConnectionPlan& plan = scenario.connections[connection];
  const Be16 client = Be16::from_host(plan.client_port), server = Be16::from_host(plan.server_port);
  if (host == 0) return {address(1), address(2), client, server};
  return {address(2), address(1), server, client};
}

/// The application's hold on one endpoint.
class EngineHost::EngineSocket final : public Socket {
 public:
  EngineSocket(EngineHost& host, std::size_t i) : host_{host}, i_{i}, ep_{host.connections_[i].ep} {}
  [[nodiscard]] bool is_open() const override {
    return ep_.state != tcp::State::closed && ep_.state != tcp::State::time_wait;
  }
  std::size_t write(ByteView bytes) override {
    if (host_.lender_ == nullptr) return engine().write(ep_, bytes);
    const std::size_t lent = host_.write_lent(ep_, bytes);
    return lent > 0 ? lent : engine().write(ep_, bytes);
  }
  [[nodiscard]] bool writable() const override { return host_.engine_->writable(ep_) > 0; }
  void consume(std::uint32_t octets) override {
    engine().consume(ep_, octets);
    host_.let_go(i_, octets);
  }
  void shutdown() override { engine().shutdown(ep_); }
  tcp::Events close() override { return engine().close(ep_, host_.now()); }
  tcp::Events abort() override { return engine().abort(ep_); }

 private:
  [[nodiscard]] tcp::Engine& engine() { return *host_.engine_; }
  EngineHost& host_;
  std::size_t i_;
  tcp::Endpoint& ep_;
};

/// Hands in-order payload to the application, and keeps hold of its block if that is the plan.
class EngineHost::Reader final : public tcp::Delivery {
 public:
  Reader(EngineHost& host, std::size_t i) : host_{host}, i_{i} {}
  void deliver(const tcp::Piece& piece) override {
    Connection& connection = host_.connections_[i_];
    if (host_.scenario_.holds[host_.side_]) {
      if (piece.block != tcp::kNoIndex) host_.pools_->add_reference(piece.block);
      connection.held.push_back(
          {piece.block, piece.offset, static_cast<std::uint16_t>(piece.bytes.size()), connection.app->received()});
    }
    connection.app->deliver(piece.bytes);
  }

 private:
  EngineHost& host_;
  std::size_t i_;
};

EngineHost::EngineHost(const Scenario& scenario, std::size_t side, Outside& outside, PoolShelf& shelf)
    : scenario_{scenario}, side_{side}, outside_{outside}, shelf_{shelf}, budget_draws_{scenario.seed * 5 + side} {
  pools_ = shelf_.take(scenario.pool_entries[side], scenario.pool_blocks[side]);
  tcp::Limits limits = scenario.limits[side];
  limits.fin_wait_2 = std::chrono::hours{3};         // the slowest reader keeps its peer waiting that long
  limits.keepalive_idle = std::chrono::minutes{30};  // a lost reset or handshake is noticed by keepalive only
  for (const ConnectionPlan& plan : scenario.connections)
    if (scenario.may_lose_data(plan)) limits.keepalive_idle = std::chrono::seconds{60};
  if (scenario.lends[side]) lender_ = std::make_unique<Lender>(*pools_);
  engine_ = std::make_unique<tcp::Engine>(limits, secrets_of(scenario.seed, side), *pools_);
  connections_.resize(scenario.connections.size());
  for (std::uint32_t i = 0; i < connections_.size(); ++i) {
    const ConnectionPlan& plan = scenario.connections[i];
    const auto own = static_cast<std::uint32_t>(side), other = 1 - own;
    connections_[i].key = key_of(scenario, side, i);
    connections_[i].app = std::make_unique<App>(plan.app[own], plan.app[other], 2 * i + own, 2 * i + other);
  }
}

EngineHost::~EngineHost() {
  shelf_.put(std::move(pools_), scenario_.pool_entries[side_], scenario_.pool_blocks[side_]);
}

std::optional<SeqNum> EngineHost::sent_until(std::size_t i) const {
  const tcp::Endpoint& ep = connections_[i].ep;
  if (!tcp::is_synchronized(ep.state) || ep.state == tcp::State::time_wait) return std::nullopt;
  return ep.queue.nxt();
}

std::optional<SeqNum> EngineHost::offered_until(std::size_t i) const {
  const tcp::Endpoint& ep = connections_[i].ep;
  if (!tcp::is_synchronized(ep.state) || ep.state == tcp::State::time_wait) return std::nullopt;
  return later_of(ep.receive_window.edge(), ep.rcv_nxt);
}

std::size_t EngineHost::handle(const Event& event) {
  Connection& connection = connections_[event.connection];
  if (connection.freed && event.kind != Kind::time_wait_over) return kNoConnection;
  switch (event.kind) {
    case Kind::packet:
      return kNoConnection;
    case Kind::too_big:
      engine_->path_too_big(connection.ep, event.mtu, SeqNum{event.number});
      break;
    case Kind::timer:
      if (connection.timer_at_us != event.at_us) return kNoConnection;
      connection.timer_at_us = 0;
      if (now() >= tcp::Engine::deadline(connection.ep)) connection.app->events(engine_->expire(connection.ep, now()));
      break;
    case Kind::wake:
      if (connection.wake_at_us != event.at_us) return kNoConnection;
      connection.wake_at_us = 0;
      break;
    case Kind::open:
      if (connection.opened) return kNoConnection;
      connection.opened = engine_->connect(connection.ep, connection.key, kMtu, now());
      if (!connection.opened) outside_.push(outside_.now_us() + 10000, Kind::open, side_, event.connection);
      break;
    case Kind::time_wait_over:
      if (!connection.waiting) return kNoConnection;
      if (connection.record.expired(now()))
        connection.waiting = false;
      else
        outside_.push(outside_.now_us() + 1'000'000, Kind::time_wait_over, side_, event.connection);
      return kNoConnection;
  }
  pump(event.connection);
  return event.connection;
}

std::size_t EngineHost::receive(ByteView packet) {
  const Parsed<tcp::PacketIn> parsed = tcp::read_packet(packet);
  if (!parsed) return kNoConnection;  // corrupted
  for (std::size_t i = 0; i < connections_.size(); ++i) {
    if (connections_[i].key != parsed->key) continue;
    on_segment(i, parsed->segment);
    return i;
  }
  return kNoConnection;
}

void EngineHost::on_segment(std::size_t i, const tcp::SegmentIn& segment) {
  Connection& connection = connections_[i];
  if (!connection.opened && tcp::opens_connection(segment)) {
    connection.opened = engine_->accept(connection.ep, connection.key, kMtu, segment, now());
  } else if (!connection.opened || connection.freed) {
    return on_stray(i, segment);
  } else {
    Reader reader{*this, i};
    const tcp::Events events = engine_->receive(connection.ep, segment, now(), reader);
    connection.app->events(events);
    if (events.has(tcp::Events::kResetReply))
      if (const auto reset = tcp::reset_for(segment)) send(i, *reset);
  }
  if (connection.opened) pump(i);
}

void EngineHost::on_stray(std::size_t i, const tcp::SegmentIn& segment) {
  Connection& connection = connections_[i];
  if (connection.waiting && !connection.record.expired(now())) {
    if (tcp::receive(connection.record, segment, now()) == tcp::TimeWaitVerdict::reply)
      send(i, tcp::time_wait_ack(connection.record, now()));
    return;
  }
  const bool listens = side_ == 1 && !connection.opened;
  if (const auto reset = listens ? tcp::listener_reset_for(segment) : tcp::reset_for(segment)) send(i, *reset);
}

/// What the device makes of a segment: pieces that its MTU allows, with PSH and FIN on the last.
void EngineHost::send(std::size_t i, const tcp::SegmentOut& segment) {
  const std::size_t headers = (scenario_.v4 ? 20u : 40u) + 20u + segment.options.octets;
  const std::size_t most = kMtu - headers;
  if (!scenario_.cuts[side_] || segment.payload.size() <= most) return send_piece(i, segment);
  tcp::SegmentOut piece = segment;
  piece.has_payload_sum = false;
  for (std::size_t at = 0; at < segment.payload.size(); at += most) {
    piece.seq = segment.seq + SeqSpan{static_cast<std::uint32_t>(at)};
    piece.payload = segment.payload.subspan(at, std::min(most, segment.payload.size() - at));
    const bool last = at + piece.payload.size() == segment.payload.size();
    piece.flags = last ? segment.flags
                       : static_cast<std::uint8_t>(segment.flags & ~(unsigned{tcp::kTcpPsh} | unsigned{tcp::kTcpFin}));
    send_piece(i, piece);
  }
}

void EngineHost::send_piece(std::size_t i, const tcp::SegmentOut& segment) {
  std::array<std::byte, kMtu + 256> packet;
  if (tcp::packet_room(segment.payload.size()) > packet.size()) return fail(i, "packet above the interface's MTU");
  const std::size_t octets = tcp::write_packet(packet, connections_[i].key, segment);
  outside_.send(side_, i, ByteView{packet}.first(octets), segment.seq, segment.payload.empty());
}

void EngineHost::pump(std::size_t i) {
  Connection& connection = connections_[i];
  if (!connection.opened || connection.freed) return;
  if (scenario_.budgets_move[side_]) move_budgets(connection.ep);
  connection.ep.device_cuts = scenario_.cuts[side_];
  EngineSocket socket{*this, i};
  connection.app->step(socket, outside_.now_us());
  for (tcp::SegmentOut out; !outside_.failed();) {
    const Before before{connection.ep.queue.nxt(), connection.ep.recovery.pipe(connection.ep.queue),
                        engine_->counters().tail_probes};
    if (!engine_->transmit(connection.ep, now(), out)) break;
    check_sent(i, out, before);
    send(i, out);
  }
  if (connection.ep.state == tcp::State::time_wait) {
    connection.record = engine_->take_time_wait(connection.ep, now());
    connection.waiting = true;
    if (connection.record.expired(now())) fail(i, "TIME-WAIT was over before it began");
    outside_.push(outside_.now_us() + 60'000'000, Kind::time_wait_over, side_, i);
  }
  connection.freed = connection.ep.state == tcp::State::closed;
  if (connection.freed) let_go(i, ~std::uint64_t{0});
  if (lender_ != nullptr) lender_->reclaim();
  check(i);
  schedule(i);
}

/// Writes by reference, except most of what is small; now and then the oldest is copied after all, as a full machine
/// would do.
std::size_t EngineHost::write_lent(tcp::Endpoint& ep, ByteView bytes) {
  constexpr std::uint32_t kSmallOctets = 256, kSmallEvery = 32, kUnlendEvery = 16, kUnlendOctets = 4096;
  ++lent_writes_;
  if (bytes.size() < kSmallOctets && lent_writes_ % kSmallEvery != 0) return 0;
  if (lent_writes_ % kUnlendEvery == 0) engine_->unlend(ep, kUnlendOctets);
  lender_->reclaim();
  constexpr std::size_t kSegmentMax = 1460;
  const std::size_t most = scenario_.cuts[side_] ? Lender::kPayloadMax : kSegmentMax;
  const std::size_t octets = std::min({bytes.size(), most, engine_->writable(ep)});
  if (octets == 0) return 0;
  const tcp::Index block = lender_->lend(bytes.first(octets));
  if (block == tcp::kNoIndex) return 0;
  const bool taken = engine_->write_block(ep, block, Lender::kHeaders, static_cast<std::uint16_t>(octets));
  pools_->release_block(block);
  return taken ? octets : 0;
}

/// As the owner of many connections would, under pressure of memory and after it.
void EngineHost::move_budgets(tcp::Endpoint& ep) {
  constexpr std::size_t kOneIn = 40;
  constexpr std::uint32_t kSmallest = 2000;
  if (budget_draws_.below(kOneIn) != 0) return;
  const tcp::Limits& limits = engine_->limits();
  const auto between = [&](std::uint32_t low, std::uint32_t high) {
    return low >= high ? high : low + static_cast<std::uint32_t>(budget_draws_.below(high - low + 1));
  };
  const std::uint32_t coarsest = 8u << limits.window_shift;
  engine_->set_receive_budget(ep, between(std::max(kSmallest, coarsest), limits.receive_budget_octets));
  engine_->set_send_budget(ep, between(kSmallest, limits.send_budget_octets));
}

/// The application is done with `octets` more; what it held of them must still be what was delivered.
void EngineHost::let_go(std::size_t i, std::uint64_t octets) {
  Connection& connection = connections_[i];
  const auto stream = static_cast<std::uint32_t>(2 * i + 1 - side_);
  while (!connection.held.empty() && octets > 0) {
    Held& held = connection.held.front();
    const auto part = static_cast<std::uint16_t>(std::min<std::uint64_t>(octets, held.octets));
    if (held.block != tcp::kNoIndex &&
        !kPayload.matches(stream, held.position, pools_->bytes_of(held.block, held.offset, part)))
      fail(i, "a block changed while it was referred to");
    octets -= part;
    held.offset = static_cast<std::uint16_t>(held.offset + part);
    held.octets = static_cast<std::uint16_t>(held.octets - part);
    held.position += part;
    if (held.octets > 0) return;
    if (held.block != tcp::kNoIndex) pools_->release_block(held.block);
    connection.held.pop_front();
  }
}

void EngineHost::schedule(std::size_t i) {
  Connection& connection = connections_[i];
  if (connection.freed) return;
  const std::uint64_t now_us = outside_.now_us();
  const Instant deadline = tcp::Engine::deadline(connection.ep);
  if (deadline != tcp::kNever) {
    const std::uint64_t at_us = std::max((to_nanoseconds(deadline) + 999) / 1000, now_us);
    if (connection.timer_at_us == 0 || at_us < connection.timer_at_us || connection.timer_at_us < now_us) {
      connection.timer_at_us = at_us;
      outside_.push(at_us, Kind::timer, side_, i);
    }
  }
  const std::uint64_t wake = connection.app->wakes_at_us();
  if (wake != 0 && wake != connection.wake_at_us) {
    connection.wake_at_us = std::max(wake, now_us + 1);
    outside_.push(connection.wake_at_us, Kind::wake, side_, i);
  }
}

HostCounts EngineHost::counts() const {
  const tcp::Counters& counters = engine_->counters();
  return {counters.retransmitted, counters.timeouts,    counters.recoveries,
          counters.window_probes, counters.tail_probes, counters.needless_reductions};
}

}  // namespace penstock::tcpsim
