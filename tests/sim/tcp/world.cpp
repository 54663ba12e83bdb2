#include "tests/sim/tcp/world.h"

#include <algorithm>

#include "tests/sim/tcp/engine_host.h"
#include "tests/sim/tcp/lwip_host.h"

namespace penstock::tcpsim {
namespace {

constexpr std::uint64_t kVirtualMaxUs = 6ull * 3600 * 1'000'000;
constexpr std::uint64_t kEventsMax = 4'000'000;
constexpr std::uint64_t kWrap32 = std::uint64_t{1} << 32;
constexpr std::uint32_t kInterfaceMtu = 1500;
constexpr std::uint32_t kPlentyOfEntries = 1000;

}  // namespace

World::World(const Scenario& scenario, Pcapng* capture, PoolShelf* shelf)
    : scenario_{scenario}, capture_{capture}, random_{scenario.seed * 2 + 1} {
  place_clock();
  now_us_ = start_us_;
  Outside& outside = *this;
  for (std::size_t side = 0; side < 2; ++side) {
    if (scenario.lwip_side == side)
      hosts_.push_back(std::make_unique<LwipHost>(scenario, side, outside));
    else
      hosts_.push_back(std::make_unique<EngineHost>(scenario, side, outside, shelf != nullptr ? *shelf : own_shelf_));
  }
  for (const LinkPlan& plan : scenario.link) links_.emplace_back(plan, start_us_);
  for (std::size_t i = 0; i < scenario.connections.size(); ++i) {
    const ConnectionPlan& plan = scenario.connections[i];
    push(start_us_ + plan.opens_at_us, Kind::open, 0, i);
    if (plan.simultaneous) push(start_us_ + plan.opens_at_us + scenario.link[0].delay_us / 2, Kind::open, 1, i);
  }
  hearing_.resize(scenario.connections.size());
  result_.connections = static_cast<std::uint32_t>(scenario.connections.size());
}

void World::place_clock() {
  test::Seeded random{scenario_.seed * 17 + 5};
  start_us_ = 1'000'000'000;
  const std::uint64_t before = random.below(3'000'000);
  const std::uint64_t opens = scenario_.connections[0].opens_at_us;
  // Our sequence numbers start by the clock (RFC 6528), so it is moved to where they are about to wrap.
  const auto wrap_sequence = [&](std::size_t host, std::uint64_t at_us) {
    const SeqNum natural = tcp::initial_sequence(secrets_of(scenario_.seed, host), key_of(scenario_, host, 0),
                                                 from_nanoseconds(at_us * 1000));
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
      const std::uint32_t offset = tcp::timestamp_offset(secrets_of(scenario_.seed, 0), key_of(scenario_, 0, 0));
      start_us_ = std::uint64_t{0u - offset} * 1000 + 4'000'000 - before;
      break;
    }
    case Variant::coarse_wrap:
      start_us_ = kWrap32 * 1000 - before;
      break;
  }
}

void World::push(std::uint64_t at_us, Kind kind, std::size_t host, std::size_t connection) {
  heap_.push({at_us, order_++, kind, static_cast<std::uint8_t>(host), static_cast<std::uint16_t>(connection), 0, 0, 0});
}

void World::fail(std::size_t host, std::size_t index, const std::string& what) {
  if (!result_.failure.empty()) return;
  result_.failure = (host == 0 ? "client " : "server ") + std::to_string(index) + " at +" +
                    std::to_string(now_us_ - start_us_) + " us: " + what;
}

void World::gave_up(std::size_t host, std::size_t i, bool patient) {
  constexpr std::uint32_t kLost = 3;
  hearing_[i].gave_up = true;
  // A listener without memory takes nobody; who asks has to give up some time.
  const bool refused = scenario_.pool_entries[1 - host] < kPlentyOfEntries && !hosts_[1 - host]->app(i).connected();
  if (hearing_[i].excused || refused || !patient) return;
  if (!scenario_.may_lose_data(scenario_.connections[i]) && hearing_[i].lost_since_heard[host] < kLost)
    fail(host, i, "gave up a peer that answers");
}

Result World::run(Watcher* watcher) {
  while (!heap_.empty() && !failed()) {
    const Event event = heap_.top();
    heap_.pop();
    now_us_ = event.at_us;
    if (now_us_ - start_us_ > kVirtualMaxUs)
      fail(event.host, event.connection, "not finished within six virtual hours");
    if (++result_.events > kEventsMax) fail(event.host, event.connection, "too many events: a livelock");
    const std::size_t touched = event.kind == Kind::packet ? deliver(event) : hosts_[event.host]->handle(event);
    if (touched == kNoConnection) continue;
    result_.virtual_us = now_us_ - start_us_;
    check_edges(touched);
    if (watcher != nullptr) watcher->after(result_.virtual_us, *hosts_[0]);
  }
  if (!failed()) check_end();
  for (const auto& host : hosts_) result_.counts.add(host->counts());
  return result_;
}

std::size_t World::deliver(const Event& event) {
  const std::size_t touched = hosts_[event.host]->receive(packets_[event.slot]);
  free_packets_.push_back(event.slot);
  return touched;
}

void World::send(std::size_t host, std::size_t connection, ByteView packet, SeqNum seq, bool no_payload) {
  ++result_.packets;
  const auto octets = static_cast<std::uint32_t>(packet.size());
  if (octets > kInterfaceMtu) fail(host, connection, "packet above the interface's MTU");
  const Passage passage = links_[host].pass(random_, now_us_, octets, no_payload);
  if (capture_ != nullptr)
    capture_->packet(now_us_, packet,
                     passage.fate == Fate::delivered ? (passage.corrupted ? "corrupted" : "") : "lost");
  auto& lost = hearing_[connection].lost_since_heard;
  if (passage.fate == Fate::delivered && !passage.corrupted)
    lost[1 - host] = 0;
  else
    ++lost[0], ++lost[1];
  if (passage.fate == Fate::delivered) return carry(1 - host, packet, passage);
  ++result_.lost;
  if (passage.fate != Fate::too_big || links_[host].plan().icmp_silent) return;
  heap_.push({now_us_ + links_[host].plan().delay_us, order_++, Kind::too_big, static_cast<std::uint8_t>(host),
              static_cast<std::uint16_t>(connection), 0, seq.value(), passage.mtu});
}

void World::carry(std::size_t to, ByteView packet, const Passage& passage) {
  for (std::uint8_t copy = 0; copy < passage.copies; ++copy) {
    if (free_packets_.empty()) {
      free_packets_.push_back(static_cast<std::uint32_t>(packets_.size()));
      packets_.emplace_back();
    }
    const std::uint32_t slot = free_packets_.back();
    free_packets_.pop_back();
    packets_[slot].assign(packet.begin(), packet.end());
    if (passage.corrupted)
      packets_[slot][passage.corrupt_bit / 8] ^= static_cast<std::byte>(1u << (passage.corrupt_bit % 8));
    heap_.push({passage.arrives_us[copy], order_++, Kind::packet, static_cast<std::uint8_t>(to), 0, slot, 0, 0});
  }
}

/// Nobody has ever sent beyond what the other end has ever offered.
void World::check_edges(std::size_t connection) {
  for (std::size_t host = 0; host < 2; ++host) {
    const std::optional<SeqNum> sent = hosts_[host]->sent_until(connection);
    const std::optional<SeqNum> offered = hosts_[1 - host]->offered_until(connection);
    if (sent && offered && offered->precedes(*sent)) fail(host, connection, "sent beyond what was ever offered");
  }
}

void World::check_end() {
  for (const auto& host : hosts_) host->check_end();
  for (std::size_t i = 0; i < scenario_.connections.size(); ++i) {
    bool connected = true, gave_up = false;
    for (const auto& host : hosts_) {
      const App& app = host->app(i);
      connected = connected && app.connected();
      gave_up = gave_up || app.timed_out();
      result_.octets += app.received();
    }
    if (scenario_.may_lose_data(scenario_.connections[i])) continue;
    // lwIP gives up a half-open connection after 20 s, and tells nobody.
    if (scenario_.lwip_side == 1) gave_up = gave_up || !hosts_[1]->app(i).connected();
    if (!connected && gave_up) {
      ++result_.handshakes_failed;
      continue;
    }
    if (hearing_[i].gave_up || hearing_[i].excused) {
      ++(hearing_[i].excused ? result_.excused : result_.given_up);
      continue;
    }
    for (std::size_t host = 0; host < 2; ++host) {
      const App& app = hosts_[host]->app(i);
      if (!app.complete())
        fail(host, i,
             "incomplete: written " + std::to_string(app.written()) + " received " + std::to_string(app.received()) +
                 (app.peer_closed() ? "" : ", end of stream not seen") + (app.timed_out() ? ", timed out" : "") +
                 (app.was_reset() ? ", reset" : ""));
    }
  }
}

}  // namespace penstock::tcpsim
