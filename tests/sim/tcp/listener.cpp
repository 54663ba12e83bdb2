#include "tests/sim/tcp/listener.h"

#include <algorithm>
#include <cstring>

#include "dataplane/tcp/stateless.h"

namespace penstock::tcpsim {
namespace {

constexpr std::uint16_t kMtu = 1500;
constexpr Duration kCookieLife = std::chrono::seconds{128};

/// Keeps what is delivered for the time after receive().
class Keeper final : public tcp::Delivery {
 public:
  explicit Keeper(std::vector<std::byte>& into) : into_{into} {}
  void deliver(const tcp::Piece& piece) override { into_.insert(into_.end(), piece.bytes.begin(), piece.bytes.end()); }

 private:
  std::vector<std::byte>& into_;
};

}  // namespace

std::size_t Listener::KeyHash::operator()(const tcp::ConnectionKey& key) const {
  std::uint64_t hash = key.remote_port.host() * 0x9e3779b97f4a7c15ull;
  std::uint64_t half;
  for (const std::size_t at : {0u, 8u}) {
    std::memcpy(&half, key.remote.octets.data() + at, 8);
    hash = (hash ^ half) * 0xbf58476d1ce4e5b9ull;
  }
  return static_cast<std::size_t>(hash ^ hash >> 29);
}

Listener::Listener(tcp::Engine& engine, const tcp::Secrets& secrets, std::uint32_t half_open_limit, std::uint32_t slots,
                   Send send)
    : engine_{engine},
      secrets_{secrets},
      half_open_limit_{half_open_limit},
      send_{std::move(send)},
      slots_(slots),
      index_(slots * 2) {
  for (std::uint32_t i = slots; i > 0; --i) free_.push_back(i - 1);
}

Listener::Slot* Listener::open(const tcp::ConnectionKey& key) {
  if (free_.empty()) {
    ++counts_.no_room;
    return nullptr;
  }
  Slot& slot = slots_[free_.back()];
  index_.emplace(key, free_.back());
  free_.pop_back();
  slot.key = key;
  slot.used = true;
  slot.half_open = slot.by_cookie = slot.peer_closed = false;
  slot.armed = tcp::kNever;
  ++counts_.slots_in_use;
  return &slot;
}

void Listener::close(Slot& slot, Instant now) {
  if (slot.by_cookie) {
    tcp::TimeWait& record = remembered_[slot.key];
    record = {};
    record.snd_nxt = slot.ep.queue.nxt();
    record.rcv_nxt = slot.ep.rcv_nxt;
    record.ts_recent = slot.ep.timestamps.recent;
    record.ts_offset = slot.ep.timestamps.offset;
    record.timestamps = slot.ep.timestamps.on ? 1 : 0;
    record.lifetime_ms = static_cast<std::uint32_t>(kCookieLife / std::chrono::milliseconds{1});
    record.until = CoarseMs{CoarseMs::of(now).ms + record.lifetime_ms};
    counts_.remembered = static_cast<std::uint32_t>(remembered_.size());
  }
  if (slot.half_open) --counts_.half_open;
  index_.erase(slot.key);
  free_.push_back(static_cast<std::uint32_t>(&slot - slots_.data()));
  slot.used = slot.half_open = false;
  slot.echo.clear();
  --counts_.slots_in_use;
}

void Listener::note_maxima() {
  counts_.slots_in_use_max = std::max(counts_.slots_in_use_max, counts_.slots_in_use);
  counts_.half_open_max = std::max(counts_.half_open_max, counts_.half_open);
  counts_.entries_in_use_max = std::max(counts_.entries_in_use_max, engine_.pools().entries.in_use());
}

void Listener::receive(const tcp::PacketIn& packet, Instant now) {
  if (const auto found = index_.find(packet.key); found != index_.end())
    take(slots_[found->second], packet.segment, now);
  else
    on_stray(packet, now);
  note_maxima();
}

void Listener::on_stray(const tcp::PacketIn& packet, Instant now) {
  const tcp::SegmentIn& segment = packet.segment;
  if (is_remembered(packet, now)) return;
  if (tcp::opens_connection(segment)) {
    if (counts_.half_open >= half_open_limit_) {
      ++counts_.cookies_sent;
      cookies_sent_at_ = now;
      return send_(packet.key, tcp::cookie_syn_ack(secrets_, engine_.limits(), packet.key, segment, kMtu, now));
    }
    Slot* slot = open(packet.key);
    if (slot == nullptr) return;
    slot->half_open = engine_.accept(slot->ep, packet.key, kMtu, segment, now);
    if (!slot->half_open) return close(*slot, now);
    ++counts_.half_open;
    return after(*slot, {}, now);
  }
  if (const auto grant = tcp::check_cookie(secrets_, engine_.limits(), packet.key, segment, now)) {
    Slot* slot = open(packet.key);
    if (slot == nullptr) return;
    if (!engine_.accept_cookie(slot->ep, packet.key, kMtu, *grant, segment, now)) return close(*slot, now);
    ++counts_.cookies_accepted;
    slot->by_cookie = true;
    return take(*slot, segment, now);
  }
  if (segment.is(tcp::kTcpAck)) ++counts_.acks_refused;
  // Only the first segment after the handshake proves its cookie. What overtakes it must not cost the connection.
  if (!segment.payload.empty() && cookies_sent_at_ != Instant{} && now - cookies_sent_at_ < kCookieLife) return;
  if (const auto reset = tcp::listener_reset_for(segment)) send_(packet.key, *reset);
}

bool Listener::is_remembered(const tcp::PacketIn& packet, Instant now) {
  const auto found = remembered_.find(packet.key);
  if (found == remembered_.end()) return false;
  const tcp::TimeWaitVerdict verdict =
      found->second.expired(now) ? tcp::TimeWaitVerdict::reuse : tcp::receive(found->second, packet.segment, now);
  if (verdict == tcp::TimeWaitVerdict::reply) send_(packet.key, tcp::time_wait_ack(found->second, now));
  if (verdict == tcp::TimeWaitVerdict::reuse) remembered_.erase(found);
  return verdict != tcp::TimeWaitVerdict::reuse;
}

void Listener::take(Slot& slot, const tcp::SegmentIn& segment, Instant now) {
  Keeper keeper{slot.echo};
  const tcp::Events events = engine_.receive(slot.ep, segment, now, keeper);
  if (events.has(tcp::Events::kResetReply))
    if (const auto reset = tcp::reset_for(segment)) send_(slot.key, *reset);
  after(slot, events, now);
}

void Listener::after(Slot& slot, const tcp::Events& events, Instant now) {
  if (events.has(tcp::Events::kConnected)) {
    ++counts_.accepted;
    if (slot.half_open) --counts_.half_open;
    slot.half_open = false;
  }
  slot.peer_closed = slot.peer_closed || events.has(tcp::Events::kPeerClosed);
  const std::size_t written = slot.echo.empty() ? 0 : engine_.write(slot.ep, slot.echo);
  engine_.consume(slot.ep, static_cast<std::uint32_t>(written));
  slot.echo.erase(slot.echo.begin(), slot.echo.begin() + static_cast<std::ptrdiff_t>(written));
  counts_.echoed_octets += written;
  if (slot.peer_closed && slot.echo.empty()) engine_.shutdown(slot.ep);
  for (tcp::SegmentOut out; engine_.transmit(slot.ep, now, out);) send_(slot.key, out);
  if (slot.ep.state == tcp::State::closed) return close(slot, now);
  const Instant deadline = tcp::Engine::deadline(slot.ep);
  if (deadline == tcp::kNever || deadline >= slot.armed) return;
  slot.armed = deadline;
  timers_.push({deadline, static_cast<std::uint32_t>(&slot - slots_.data())});
}

void Listener::expire(Instant now) {
  while (!timers_.empty() && timers_.top().at <= now) {
    const Timer timer = timers_.top();
    timers_.pop();
    Slot& slot = slots_[timer.slot];
    if (!slot.used || slot.armed != timer.at) continue;
    slot.armed = tcp::kNever;
    after(slot, tcp::Engine::deadline(slot.ep) <= now ? engine_.expire(slot.ep, now) : tcp::Events{}, now);
  }
  note_maxima();
}

}  // namespace penstock::tcpsim
