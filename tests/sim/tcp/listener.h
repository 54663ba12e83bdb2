// listener.h - a listener above the engine as a flood meets it: a half-open limit, then cookies (RFC 4987).
//
// Model     below the limit a SYN gets an endpoint; above it a cookie and no memory. An ACK that belongs to no endpoint
//           is a cookie's, or is reset; with data, and while cookies are abroad, it is dropped, since it may have
//           overtaken the ACK that proves the cookie. A connection that began with a cookie leaves a record for as long
//           as the cookie is good: else a late copy of its first data would open it again, and be taken twice. Every
//           accepted connection echoes, and closes after its peer. Endpoints lie in slots that are made at the start.
// Units     Instant; counts.
// Errors    no slot or no memory: as if the segment had been lost, counted.
#pragma once
#include <functional>
#include <queue>
#include <unordered_map>
#include <vector>

#include "dataplane/tcp/engine.h"

namespace penstock::tcpsim {

struct ListenerCounts {
  std::uint64_t accepted{}, cookies_sent{}, cookies_accepted{}, acks_refused{}, no_room{}, echoed_octets{};
  std::uint32_t slots_in_use{}, slots_in_use_max{}, half_open{}, half_open_max{}, entries_in_use_max{}, remembered{};
};

class Listener {
 public:
  using Send = std::function<void(const tcp::ConnectionKey&, const tcp::SegmentOut&)>;

  Listener(tcp::Engine& engine, const tcp::Secrets& secrets, std::uint32_t half_open_limit, std::uint32_t slots,
           Send send);
  void receive(const tcp::PacketIn& packet, Instant now);
  /// Runs what is due.
  void expire(Instant now);
  /// When expire() has something to do; kNever if nothing is armed.
  [[nodiscard]] Instant deadline() const { return timers_.empty() ? tcp::kNever : timers_.top().at; }
  [[nodiscard]] const ListenerCounts& counts() const { return counts_; }

 private:
  struct Slot {
    tcp::Endpoint ep;
    tcp::ConnectionKey key;
    std::vector<std::byte> echo;  ///< delivered, not yet written back
    bool used{}, half_open{}, by_cookie{}, peer_closed{};
    Instant armed{tcp::kNever};
  };
  struct Timer {
    Instant at;
    std::uint32_t slot;
    friend bool operator>(const Timer& a, const Timer& b) { return a.at > b.at; }
  };
  struct KeyHash {
    std::size_t operator()(const tcp::ConnectionKey& key) const;
  };

  Slot* open(const tcp::ConnectionKey& key);
  void on_stray(const tcp::PacketIn& packet, Instant now);
  void take(Slot& slot, const tcp::SegmentIn& segment, Instant now);
  void after(Slot& slot, const tcp::Events& events, Instant now);
  void close(Slot& slot, Instant now);
  /// True: a record of a closed connection has dealt with it.
  [[nodiscard]] bool is_remembered(const tcp::PacketIn& packet, Instant now);
  void note_maxima();

  tcp::Engine& engine_;
  tcp::Secrets secrets_;
  std::uint32_t half_open_limit_;
  Send send_;
  std::vector<Slot> slots_;
  std::vector<std::uint32_t> free_;
  std::unordered_map<tcp::ConnectionKey, std::uint32_t, KeyHash> index_;
  std::priority_queue<Timer, std::vector<Timer>, std::greater<>> timers_;
  std::unordered_map<tcp::ConnectionKey, tcp::TimeWait, KeyHash> remembered_;
  Instant cookies_sent_at_{};
  ListenerCounts counts_;
};

}  // namespace penstock::tcpsim
