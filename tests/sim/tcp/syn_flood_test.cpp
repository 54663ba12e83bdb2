// R17: a million half-open attempts, and the connections that complete meanwhile.
#include <gtest/gtest.h>

#include "dataplane/tcp/stateless.h"
#include "tests/sim/tcp/listener.h"
#include "tests/sim/tcp/payload.h"
#include "tests/support/seeded.h"

namespace penstock::tcpsim {
namespace {

using std::chrono::microseconds;
using std::chrono::seconds;

constexpr std::uint32_t kHalfOpenLimit = 128;
constexpr std::uint32_t kSlots = 512;
constexpr std::size_t kRequestOctets = 4000;
constexpr Duration kDelay = microseconds{400};

/// One end that opens, asks, waits for the echo and closes.
struct Client final : tcp::Delivery {
  tcp::ConnectionKey key;
  tcp::Endpoint ep;
  std::size_t written{}, received{};
  bool wrong{}, connected{}, closing{}, done{};
  Instant armed{tcp::kNever};
  std::uint32_t id{};

  void deliver(const tcp::Piece& piece) override {
    wrong = wrong || !kPayload.matches(id, received, piece.bytes);
    received += piece.bytes.size();
  }
};

/// The listener, its clients, a wire that loses and repeats, and a flood.
class Flood {
 public:
  explicit Flood(std::uint64_t seed, std::uint32_t clients)
      : random_{seed},
        server_pools_{4096, 2048},
        client_pools_{8192, 4096},
        server_engine_{server_limits(), secrets_, server_pools_},
        client_engine_{tcp::Limits{}, secrets_, client_pools_},
        listener_{server_engine_, secrets_, kHalfOpenLimit, kSlots,
                  [this](const tcp::ConnectionKey& key, const tcp::SegmentOut& out) { from_server(key, out); }},
        clients_(clients) {
    for (std::uint32_t i = 0; i < clients; ++i) {
      clients_[i].id = i;
      clients_[i].key = {IpAddress::v4(10, 1, static_cast<std::uint8_t>(i >> 8), static_cast<std::uint8_t>(i)),
                         server(), Be16::from_host(static_cast<std::uint16_t>(20000 + i)), port()};
    }
  }

  static IpAddress server() { return IpAddress::v4(10, 0, 0, 1); }
  static Be16 port() { return Be16::from_host(80); }

  void set_faults(std::uint32_t loss, std::uint32_t duplicate) { loss_ = loss, duplicate_ = duplicate; }

  void open(std::uint32_t i) {
    Client& client = clients_[i];
    ASSERT_TRUE(client_engine_.connect(client.ep, client.key, 1500, now_));
    pump(client);
  }

  /// A SYN from nowhere; its answer goes nowhere.
  void flood_once() {
    tcp::PacketIn packet;
    packet.key = {server(), random_.address(true), port(), Be16::from_host(random_.u16())};
    packet.key.remote.octets[12] = 172;
    packet.segment.flags = tcp::kTcpSyn;
    packet.segment.seq = SeqNum{random_.u32()};
    packet.segment.window = 65535;
    packet.segment.options.has_mss = true;
    packet.segment.options.mss = 1460;
    packet.segment.options.has_timestamps = random_.coin();
    packet.segment.options.ts_value = random_.u32();
    listener_.receive(packet, now_);
  }

  /// Everything that happens until `end`.
  void run_until(Instant end) {
    for (;;) {
      Instant next = listener_.deadline();
      if (!wire_.empty()) next = std::min(next, wire_.top().at);
      if (!timers_.empty()) next = std::min(next, timers_.top().first);
      if (next > end) break;
      now_ = std::max(now_, next);
      if (!wire_.empty() && wire_.top().at <= now_) {
        const Packet packet = wire_.top();
        wire_.pop();
        arrive(packet);
      } else if (!timers_.empty() && timers_.top().first <= now_) {
        expire_client();
      } else {
        listener_.expire(now_);
      }
    }
    now_ = end;
  }

  [[nodiscard]] Instant now() const { return now_; }
  [[nodiscard]] Listener& listener() { return listener_; }
  [[nodiscard]] const std::vector<Client>& clients() const { return clients_; }
  [[nodiscard]] tcp::Pools& server_pools() { return server_pools_; }
  [[nodiscard]] test::Seeded& random() { return random_; }
  [[nodiscard]] const std::vector<tcp::PacketIn>& acks_seen() const { return acks_seen_; }
  [[nodiscard]] std::uint64_t resets() const { return resets_; }

 private:
  struct Packet {
    Instant at;
    std::uint64_t order;
    bool to_server;
    std::vector<std::byte> bytes;
    friend bool operator>(const Packet& a, const Packet& b) { return a.at != b.at ? a.at > b.at : a.order > b.order; }
  };

  static tcp::Limits server_limits() {
    tcp::Limits out;
    out.keepalive_idle = seconds{60};  // a repeated cookie acknowledgement may open what nobody asked for
    return out;
  }

  void carry(bool to_server, const tcp::ConnectionKey& key, const tcp::SegmentOut& out) {
    if (random_.below(10000) < loss_) return;
    std::vector<std::byte> bytes(tcp::packet_room(out.payload.size()));
    bytes.resize(tcp::write_packet(bytes, key, out));
    const Instant at = now_ + kDelay + microseconds{random_.below(200)};
    if (random_.below(10000) < duplicate_)
      wire_.push({at + microseconds{random_.below(5'000'000)}, order_++, to_server, bytes});
    wire_.push({at, order_++, to_server, std::move(bytes)});
  }

  void from_server(const tcp::ConnectionKey& key, const tcp::SegmentOut& out) {
    if ((out.flags & tcp::kTcpRst) != 0) ++resets_;
    if (key.remote.octets[12] == 10) carry(false, key, out);
  }

  void arrive(const Packet& packet) {
    const Parsed<tcp::PacketIn> parsed = tcp::read_packet(packet.bytes);
    ASSERT_TRUE(parsed);
    if (packet.to_server) {
      const tcp::SegmentIn& segment = parsed->segment;
      if (segment.is(tcp::kTcpAck) && segment.payload.empty() && acks_seen_.size() < 100) acks_seen_.push_back(*parsed);
      return listener_.receive(*parsed, now_);
    }
    Client& client = clients_[parsed->key.local_port.host() - 20000u];
    if (client.done || client.ep.state == tcp::State::closed) {
      if (const auto reset = tcp::reset_for(parsed->segment)) carry(true, client.key, *reset);
      return;
    }
    after(client, client_engine_.receive(client.ep, parsed->segment, now_, client));
  }

  void after(Client& client, const tcp::Events& events) {
    client.connected = client.connected || events.has(tcp::Events::kConnected);
    client_engine_.consume(client.ep, 0xffffffff);
    if (client.received == kRequestOctets && !client.closing) {
      client.closing = true;
      client_engine_.shutdown(client.ep);
    }
    pump(client);
  }

  void pump(Client& client) {
    while (client.written < kRequestOctets) {
      const ByteView rest = kPayload.view(client.id, client.written, kRequestOctets - client.written);
      const std::size_t taken = client_engine_.write(client.ep, rest);
      if (taken == 0) break;
      client.written += taken;
    }
    for (tcp::SegmentOut out; client_engine_.transmit(client.ep, now_, out);) carry(true, client.key, out);
    if (client.ep.state == tcp::State::time_wait) {
      static_cast<void>(client_engine_.take_time_wait(client.ep, now_));
      client.done = true;
    }
    const Instant deadline = tcp::Engine::deadline(client.ep);
    if (client.done || deadline == tcp::kNever || deadline >= client.armed) return;
    client.armed = deadline;
    timers_.push({deadline, client.id});
  }

  void expire_client() {
    const auto [at, id] = timers_.top();
    timers_.pop();
    Client& client = clients_[id];
    if (client.done || client.armed != at) return;
    client.armed = tcp::kNever;
    after(client, tcp::Engine::deadline(client.ep) <= now_ ? client_engine_.expire(client.ep, now_) : tcp::Events{});
  }

  using ClientTimer = std::pair<Instant, std::uint32_t>;
  test::Seeded random_;
  tcp::Secrets secrets_{{1, 2}, {3, 4}, {5, 6}};
  tcp::Pools server_pools_, client_pools_;
  tcp::Engine server_engine_, client_engine_;
  Listener listener_;
  std::vector<Client> clients_;
  std::priority_queue<Packet, std::vector<Packet>, std::greater<>> wire_;
  std::priority_queue<ClientTimer, std::vector<ClientTimer>, std::greater<>> timers_;
  std::vector<tcp::PacketIn> acks_seen_;
  Instant now_{from_nanoseconds(1'000'000'000'000)};
  std::uint64_t order_{}, resets_{};
  std::uint32_t loss_{}, duplicate_{};
};

#if defined(__SANITIZE_ADDRESS__)
constexpr std::uint32_t kAttempts = 100'000;
#else
constexpr std::uint32_t kAttempts = 1'000'000;
#endif

void expect_all_done(const Flood& flood) {
  std::uint32_t unfinished = 0;
  for (const Client& client : flood.clients())
    if (!client.done || client.wrong || client.received != kRequestOctets) ++unfinished;
  EXPECT_EQ(unfinished, 0u);
}

// 10,000 attempts a second; every thousandth gap a real client, over a wire that loses 1 % and repeats 5 % late.
TEST(SynFlood, a_million_attempts_leave_memory_flat_and_real_connections_complete) {
  constexpr std::uint32_t kClients = kAttempts / 1000;
  Flood flood{1, kClients};
  flood.set_faults(100, 500);
  std::uint32_t entries_after_a_tenth = 0, slots_after_a_tenth = 0;
  for (std::uint32_t i = 0; i < kAttempts; ++i) {
    flood.flood_once();
    if (i % 1000 == 500) flood.open(i / 1000);
    flood.run_until(flood.now() + microseconds{100});
    if (i == kAttempts / 10) {
      entries_after_a_tenth = flood.listener().counts().entries_in_use_max;
      slots_after_a_tenth = flood.listener().counts().slots_in_use_max;
    }
  }
  flood.run_until(flood.now() + seconds{600});
  const ListenerCounts& counts = flood.listener().counts();
  expect_all_done(flood);
  EXPECT_GT(counts.cookies_sent, kAttempts - kAttempts / 100) << "nearly all were answered without memory";
  EXPECT_LE(counts.half_open_max, kHalfOpenLimit);
  EXPECT_LE(counts.slots_in_use_max, slots_after_a_tenth + 64) << "memory grows with real connections only";
  EXPECT_LE(counts.entries_in_use_max, entries_after_a_tenth + 256);
  EXPECT_EQ(counts.no_room, 0u);
  EXPECT_GE(counts.cookies_accepted, kClients * 9 / 10);
  EXPECT_EQ(counts.slots_in_use, 0u) << "half-open ones have expired, and what late repetitions opened was noticed";
  EXPECT_EQ(flood.server_pools().entries.in_use(), 0u);
  EXPECT_EQ(flood.server_pools().blocks.in_use(), 0u);
}

/// Fills the listener, so that everybody else meets cookies.
void fill(Flood& flood) {
  for (std::uint32_t i = 0; i < kHalfOpenLimit; ++i) flood.flood_once();
}

TEST(SynFlood, a_lost_cookie_acknowledgement_is_made_good_by_the_first_data) {
  Flood flood{2, 64};
  fill(flood);
  flood.set_faults(1500, 0);  // some of the pure acknowledgements are among the lost
  for (std::uint32_t i = 0; i < 64; ++i) flood.open(i);
  flood.run_until(flood.now() + seconds{300});
  expect_all_done(flood);
}

TEST(SynFlood, a_repeated_cookie_acknowledgement_opens_nothing_twice) {
  Flood flood{3, 64};
  fill(flood);
  flood.set_faults(0, 10000);  // everything arrives twice, the second time up to five seconds later
  for (std::uint32_t i = 0; i < 64; ++i) flood.open(i);
  flood.run_until(flood.now() + seconds{600});
  expect_all_done(flood);
  EXPECT_EQ(flood.listener().counts().slots_in_use, 0u);
  EXPECT_EQ(flood.listener().counts().echoed_octets, 64 * kRequestOctets) << "no octet was taken twice";
}

TEST(SynFlood, an_old_cookie_acknowledgement_is_refused) {
  Flood flood{4, 8};
  fill(flood);
  for (std::uint32_t i = 0; i < 8; ++i) flood.open(i);
  flood.run_until(flood.now() + seconds{5});
  expect_all_done(flood);
  ASSERT_FALSE(flood.acks_seen().empty());
  flood.run_until(flood.now() + seconds{200});
  const std::uint64_t refused = flood.listener().counts().acks_refused;
  const std::uint64_t accepted = flood.listener().counts().cookies_accepted;
  for (const tcp::PacketIn& ack : flood.acks_seen()) flood.listener().receive(ack, flood.now());
  EXPECT_EQ(flood.listener().counts().acks_refused, refused + flood.acks_seen().size());
  EXPECT_EQ(flood.listener().counts().cookies_accepted, accepted);
}

TEST(SynFlood, forged_cookie_acknowledgements_are_refused) {
  Flood flood{5, 0};
  fill(flood);
  const std::uint64_t resets = flood.resets();
  for (std::uint32_t i = 0; i < kAttempts / 2; ++i) {
    tcp::PacketIn packet;
    packet.key = {Flood::server(), flood.random().address(true), Flood::port(), Be16::from_host(flood.random().u16())};
    packet.segment.flags = tcp::kTcpAck;
    packet.segment.seq = SeqNum{flood.random().u32()};
    packet.segment.ack = SeqNum{flood.random().u32()};
    flood.listener().receive(packet, flood.now());
  }
  EXPECT_EQ(flood.listener().counts().cookies_accepted, 0u);
  EXPECT_EQ(flood.listener().counts().acks_refused, kAttempts / 2);
  EXPECT_EQ(flood.resets() - resets, kAttempts / 2);
  EXPECT_EQ(flood.listener().counts().slots_in_use, kHalfOpenLimit);
}

}  // namespace
}  // namespace penstock::tcpsim
