#include "tests/sim/tcp/world.h"

#include <algorithm>

#include "dataplane/tcp/stateless.h"

namespace penstock::tcpsim {
namespace {

constexpr std::uint64_t kVirtualMaxUs = 6ull * 3600 * 1'000'000;
constexpr std::uint64_t kEventsMax = 4'000'000;
constexpr std::uint64_t kWrap32 = std::uint64_t{1} << 32;

}  // namespace

World::World(const Scenario& scenario, Pcapng* capture)
    : scenario_{scenario}, capture_{capture}, random_{scenario.seed * 2 + 1} {
  build();
}

tcp::Secrets World::secrets_of(std::size_t host) const {
  test::Seeded random{scenario_.seed * 31 + host + 7};
  tcp::Secrets out;
  for (tcp::SipKey* key : {&out.isn, &out.timestamp, &out.cookie}) *key = {random.next(), random.next()};
  return out;
}

void World::place_clock() {
  test::Seeded random{scenario_.seed * 17 + 5};
  start_us_ = 1'000'000'000;
  const std::uint64_t before = random.below(3'000'000);
  const std::uint64_t opens = scenario_.connections[0].opens_at_us;
  const auto wrap_sequence = [&](std::size_t host, std::uint64_t at_us) {
    const SeqNum natural =
        tcp::initial_sequence(secrets_of(host), hosts_[host].connections[0].key, from_nanoseconds(at_us * 1000));
    const auto target = static_cast<std::uint32_t>(0u - random.below(100000));
    start_us_ += 4 * std::uint64_t{target - natural.value()};
  };
  switch (scenario_.variant) {
    case Variant::plain:
      break;
    case Variant::sequence_wrap_client:
      wrap_sequence(0, start_us_ + opens);
      break;
    case Variant::sequence_wrap_server:
      wrap_sequence(1, start_us_ + opens + scenario_.link[0].delay_us);
      break;
    case Variant::stamp_wrap:
      start_us_ = kWrap32 - before;
      break;
    case Variant::timestamp_wrap: {
      const std::uint32_t offset = tcp::timestamp_offset(secrets_of(0), hosts_[0].connections[0].key);
      start_us_ = std::uint64_t{0u - offset} * 1000 + 4'000'000 - before;
      break;
    }
    case Variant::coarse_wrap:
      start_us_ = kWrap32 * 1000 - before;
      break;
  }
}

void World::build() {
  const auto address = [&](unsigned last) {
    if (scenario_.v4) return IpAddress::v4(10, 0, 0, static_cast<std::uint8_t>(last));
    IpAddress out;
    out.octets[0] = 0xfd;
    out.octets[15] = static_cast<std::uint8_t>(last);
    return out;
  };
  for (std::size_t side = 0; side < 2; ++side) {
    Host host;
    host.pools = std::make_unique<tcp::Pools>(scenario_.pool_entries[side], scenario_.pool_blocks[side]);
    tcp::Limits limits = scenario_.limits[side];
    limits.fin_wait_2 = std::chrono::hours{3};         // the slowest reader keeps its peer waiting that long
    limits.keepalive_idle = std::chrono::minutes{30};  // a lost reset or handshake is noticed by keepalive only
    for (const ConnectionPlan& plan : scenario_.connections)
      if (scenario_.may_lose_data(plan)) limits.keepalive_idle = std::chrono::seconds{60};
    host.engine = std::make_unique<tcp::Engine>(limits, secrets_of(side), *host.pools);
    for (std::uint32_t i = 0; i < scenario_.connections.size(); ++i) {
      const ConnectionPlan& plan = scenario_.connections[i];
      const Be16 client = Be16::from_host(plan.client_port), server = Be16::from_host(plan.server_port);
      Connection connection;
      connection.key = side == 0 ? tcp::ConnectionKey{address(1), address(2), client, server}
                                 : tcp::ConnectionKey{address(2), address(1), server, client};
      const auto other = static_cast<std::uint32_t>(1 - side), own = static_cast<std::uint32_t>(side);
      connection.app = std::make_unique<App>(plan.app[side], plan.app[other], 2 * i + own, 2 * i + other, payload_);
      host.connections.push_back(std::move(connection));
    }
    hosts_.push_back(std::move(host));
  }
  place_clock();
  now_us_ = start_us_;
  for (const LinkPlan& plan : scenario_.link) links_.emplace_back(plan, start_us_);
  for (std::size_t i = 0; i < scenario_.connections.size(); ++i) {
    const ConnectionPlan& plan = scenario_.connections[i];
    push(start_us_ + plan.opens_at_us, Kind::open, 0, i);
    if (plan.simultaneous) push(start_us_ + plan.opens_at_us + scenario_.link[0].delay_us / 2, Kind::open, 1, i);
  }
  result_.connections = static_cast<std::uint32_t>(scenario_.connections.size());
}

void World::push(std::uint64_t at_us, Kind kind, std::size_t host, std::size_t connection, std::uint32_t slot,
                 std::uint32_t number, std::uint16_t mtu) {
  heap_.push({at_us, order_++, kind, static_cast<std::uint8_t>(host), static_cast<std::uint16_t>(connection), slot,
              number, mtu});
}

void World::fail(std::size_t host, std::size_t index, const std::string& what) {
  if (!result_.failure.empty()) return;
  result_.failure = (host == 0 ? "client " : "server ") + std::to_string(index) + " at +" +
                    std::to_string(now_us_ - start_us_) + " us: " + what;
}

Result World::run() {
  while (!heap_.empty() && result_.failure.empty()) {
    const Event event = heap_.top();
    heap_.pop();
    now_us_ = event.at_us;
    if (now_us_ - start_us_ > kVirtualMaxUs)
      fail(event.host, event.connection, "not finished within six virtual hours");
    if (++result_.events > kEventsMax) fail(event.host, event.connection, "too many events: a livelock");
    handle(event);
  }
  if (result_.failure.empty()) check_end();
  for (const Host& host : hosts_) {
    result_.retransmitted += host.engine->counters().retransmitted;
    result_.timeouts += host.engine->counters().timeouts;
    result_.recoveries += host.engine->counters().recoveries;
  }
  return result_;
}

void World::handle(const Event& event) {
  Host& host = hosts_[event.host];
  if (event.kind == Kind::packet) {
    on_packet(event.host, packets_[event.slot]);
    free_packets_.push_back(event.slot);
    return;
  }
  Connection& connection = host.connections[event.connection];
  switch (event.kind) {
    case Kind::packet:
      return;
    case Kind::too_big:
      host.engine->path_too_big(connection.ep, event.mtu, SeqNum{event.number});
      break;
    case Kind::timer:
      if (connection.timer_at_us != event.at_us) return;
      connection.timer_at_us = 0;
      if (now() >= tcp::Engine::deadline(connection.ep))
        connection.app->events(host.engine->expire(connection.ep, now()));
      break;
    case Kind::wake:
      if (connection.wake_at_us != event.at_us) return;
      connection.wake_at_us = 0;
      break;
    case Kind::open:
      if (connection.opened) return;
      connection.opened = host.engine->connect(connection.ep, connection.key, 1500, now());
      if (!connection.opened) push(now_us_ + 10000, Kind::open, event.host, event.connection);
      break;
    case Kind::time_wait_over:
      if (!connection.waiting) return;
      if (connection.record.expired(now()))
        connection.waiting = false;
      else
        push(now_us_ + 1'000'000, Kind::time_wait_over, event.host, event.connection);
      return;
  }
  pump(event.host, event.connection);
}

void World::on_packet(std::size_t host, ByteView packet) {
  const Parsed<tcp::PacketIn> parsed = tcp::read_packet(packet);
  if (!parsed) return;  // corrupted
  for (std::size_t i = 0; i < hosts_[host].connections.size(); ++i)
    if (hosts_[host].connections[i].key == parsed->key) return on_segment(host, i, parsed->segment);
}

void World::on_segment(std::size_t host, std::size_t index, const tcp::SegmentIn& segment) {
  Connection& connection = hosts_[host].connections[index];
  tcp::Engine& engine = *hosts_[host].engine;
  if (!connection.opened && tcp::opens_connection(segment)) {
    connection.opened = engine.accept(connection.ep, connection.key, 1500, segment, now());
  } else if (!connection.opened || connection.freed) {
    return on_stray(host, connection, segment);
  } else {
    const tcp::Events events = engine.receive(connection.ep, segment, now(), *connection.app);
    connection.app->events(events);
    if (events.has(tcp::Events::kResetReply))
      if (const auto reset = tcp::reset_for(segment)) send(host, connection.key, *reset, index);
  }
  if (connection.opened) pump(host, index);
}

void World::on_stray(std::size_t host, Connection& connection, const tcp::SegmentIn& segment) {
  if (connection.waiting && !connection.record.expired(now())) {
    if (tcp::receive(connection.record, segment, now()) == tcp::TimeWaitVerdict::reply)
      send(host, connection.key, tcp::time_wait_ack(connection.record, now()), 0);
    return;
  }
  if (const auto reset = tcp::reset_for(segment)) send(host, connection.key, *reset, 0);
}

void World::send(std::size_t host, const tcp::ConnectionKey& key, const tcp::SegmentOut& segment,
                 std::size_t connection) {
  std::vector<std::byte> packet(tcp::packet_room(segment.payload.size()));
  packet.resize(tcp::write_packet(packet, key, segment));
  ++result_.packets;
  const auto octets = static_cast<std::uint32_t>(packet.size());
  if (octets > 1500) fail(host, connection, "packet above the interface's MTU");
  const Passage passage = links_[host].pass(random_, now_us_, octets, segment.payload.empty());
  if (capture_ != nullptr)
    capture_->packet(now_us_, packet,
                     passage.fate == Fate::delivered ? (passage.corrupted ? "corrupted" : "") : "lost");
  if (passage.fate != Fate::delivered) ++result_.lost;
  if (passage.fate == Fate::too_big && !links_[host].plan().icmp_silent)
    push(now_us_ + links_[host].plan().delay_us, Kind::too_big, host, connection, 0, segment.seq.value(), passage.mtu);
  if (passage.fate != Fate::delivered) return;
  if (passage.corrupted) packet[passage.corrupt_bit / 8] ^= static_cast<std::byte>(1u << (passage.corrupt_bit % 8));
  for (std::uint8_t i = 0; i < passage.copies; ++i) {
    std::uint32_t slot;
    if (free_packets_.empty()) {
      slot = static_cast<std::uint32_t>(packets_.size());
      packets_.emplace_back();
    } else {
      slot = free_packets_.back();
      free_packets_.pop_back();
    }
    packets_[slot] = packet;
    push(passage.arrives_us[i], Kind::packet, 1 - host, 0, slot);
  }
}

void World::pump(std::size_t host, std::size_t index) {
  Connection& connection = hosts_[host].connections[index];
  tcp::Engine& engine = *hosts_[host].engine;
  if (!connection.opened || connection.freed) return;
  result_.virtual_us = now_us_ - start_us_;
  connection.app->events(connection.app->step(engine, connection.ep, now_us_, now()));
  for (tcp::SegmentOut out; result_.failure.empty();) {
    const SeqNum nxt_before = connection.ep.queue.nxt();
    const std::uint32_t pipe_before = connection.ep.recovery.pipe(connection.ep.queue);
    const std::uint64_t probes_before = engine.counters().tail_probes;
    if (!engine.transmit(connection.ep, now(), out)) break;
    // A tail probe may leave whatever the congestion window says (RFC 8985 s7.3).
    const bool probe = engine.counters().tail_probes != probes_before;
    check_sent(connection, out, nxt_before, probe ? 0 : pipe_before);
    send(host, connection.key, out, index);
  }
  if (connection.ep.state == tcp::State::time_wait) {
    connection.record = engine.take_time_wait(connection.ep, now());
    connection.waiting = true;
    push(now_us_ + 60'000'000, Kind::time_wait_over, host, index);
  }
  connection.freed = connection.ep.state == tcp::State::closed;
  check(host, index);
  schedule(host, index);
}

void World::schedule(std::size_t host, std::size_t index) {
  Connection& connection = hosts_[host].connections[index];
  if (connection.freed) return;
  const Instant deadline = tcp::Engine::deadline(connection.ep);
  if (deadline != tcp::kNever) {
    const std::uint64_t at_us = std::max((to_nanoseconds(deadline) + 999) / 1000, now_us_);
    if (connection.timer_at_us == 0 || at_us < connection.timer_at_us || connection.timer_at_us < now_us_) {
      connection.timer_at_us = at_us;
      push(at_us, Kind::timer, host, index);
    }
  }
  const std::uint64_t wake = connection.app->wakes_at_us();
  if (wake != 0 && wake != connection.wake_at_us) {
    connection.wake_at_us = std::max(wake, now_us_ + 1);
    push(connection.wake_at_us, Kind::wake, host, index);
  }
}

}  // namespace penstock::tcpsim
