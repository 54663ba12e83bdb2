// host.h - the stack under test with sockets on top: listening, blocking, errno; in virtual time.
//
// Model     sockets over one Engine each (so that options can differ), all on the same Pools. Time moves in run_until()
//           only; whatever leaves is queued in `sent` with its time. Calls are in syscalls.h.
// Units     Instant; octets.
// Errors    as errno names; those of our own invariants end the program.
// Not here  script numbers (runner.h): here everything is as on the wire.
#pragma once
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "dataplane/tcp/engine.h"
#include "tests/conformance/runner/script.h"
#include "tests/conformance/runner/settings.h"

namespace penstock::script {

/// A segment that left, read back from its packet.
struct Sent {
  Instant at;
  tcp::ConnectionKey key;
  SeqNum seq;
  SeqNum ack;
  std::uint8_t flags{};
  std::uint16_t window{};
  std::uint32_t octets{};
  std::vector<Option> options;  ///< SACK numbers as on the wire
};

class Socket final : public tcp::Delivery {
 public:
  enum class Kind : std::uint8_t { fresh, listening, connection };
  Kind kind{Kind::fresh};
  int fd{-1};  ///< -1: closed by the application, or not yet accepted
  tcp::Limits limits;
  std::unique_ptr<tcp::Engine> engine;
  tcp::Endpoint ep;
  tcp::ConnectionKey key;
  std::uint16_t port{};  ///< bound
  tcp::Events seen;
  std::string error;  ///< SO_ERROR
  std::uint32_t readable{};
  bool nonblocking{}, keepalive{}, no_delay{}, read_shut{}, write_shut{}, linger{}, waiting{};
  bool connect_told{};  ///< connect() has returned success, or the outcome is known
  bool cork{};
  std::uint16_t segment_max{};  ///< TCP_MAXSEG; 0: as the interface has it
  std::uint32_t held{};         ///< written, but kept back by TCP_CORK or MSG_MORE
  Instant push_at{tcp::kNever};
  Instant opened{};                  ///< when it was connected
  std::optional<Instant> data_came;  ///< when the last payload came in order
  std::int64_t linger_seconds{};
  Duration keepalive_idle{};
  Duration connect_timeout{};
  Duration user_timeout{};
  tcp::TimeWait record;
  Socket* parent{};
  std::size_t backlog{};
  std::deque<Socket*> ready;                                  ///< connections that accept() gives out
  std::vector<std::pair<std::string, std::int64_t>> options;  ///< kept values of socket options without effect

  void deliver(const tcp::Piece& piece) override { readable += static_cast<std::uint32_t>(piece.bytes.size()); }
  [[nodiscard]] bool connected() const { return kind == Kind::connection && seen.has(tcp::Events::kConnected); }
  [[nodiscard]] bool over() const { return kind == Kind::connection && ep.state == tcp::State::closed; }
  [[nodiscard]] bool end_of_stream() const { return seen.has(tcp::Events::kPeerClosed) || read_shut; }
};

class Host {
 public:
  Host(Settings& settings, bool v4);
  ~Host();

  // Time.
  [[nodiscard]] Instant now() const { return now_; }
  [[nodiscard]] Instant next_deadline() const;
  /// Everything that is due until `until` happens; now() is `until` afterwards, unless it is later already.
  void run_until(Instant until);

  // Network.
  /// What no SegmentOut has.
  struct Extras {
    std::uint16_t urgent;  ///< pointer
    bool accurate;         ///< the reserved bit beside the flags
  };
  void receive(const tcp::ConnectionKey& key, const tcp::SegmentOut& segment, Extras extras);
  /// An ICMP message about segment `quoted` of the connection.
  void receive_icmp(const tcp::ConnectionKey& key, bool too_big, std::uint16_t mtu, const std::string& error,
                    std::optional<SeqNum> quoted);
  std::deque<Sent> sent;

  // Sockets.
  Socket& open_socket();
  [[nodiscard]] Socket* find(std::int64_t fd);
  void listen(Socket& socket, std::size_t backlog);
  /// Empty or the error.
  std::string connect(Socket& socket, std::uint16_t port);
  /// `wanted`, if it is free and not negative, else the lowest one that is.
  void give_descriptor(Socket& socket, std::int64_t wanted = -1);
  void close(Socket& socket);
  /// connect() to AF_UNSPEC: the connection is reset, its descriptor is a fresh socket's.
  void disconnect(Socket& socket);
  void abort(Socket& socket);
  /// After limits of the socket changed.
  void renew(Socket& socket);
  /// Sends what can be sent, and notes what happened.
  void pump(Socket& socket);
  void note(Socket& socket, tcp::Events events);
  /// Gives zeros to the engine; returns how many it took.
  std::uint32_t write(Socket& socket, std::uint32_t octets);
  /// What is written next begins a segment of its own (MSG_EOR).
  void seal(Socket& socket);
  /// Gives on so much of what is held back.
  void release(Socket& socket, std::uint32_t octets);
  /// The application writes: if that answers what came just before, acknowledgements wait for such answers from now on.
  void replies(Socket& socket);
  [[nodiscard]] tcp::ConnectionKey key_of(std::uint16_t local_port, std::uint16_t remote_port) const;
  [[nodiscard]] Socket* find(const tcp::ConnectionKey& key);
  /// The latest connection with these ends, even if it is over.
  [[nodiscard]] const Socket* latest(const tcp::ConnectionKey& key) const;
  /// The socket made last; none before there is one.
  [[nodiscard]] const Socket* newest() const { return sockets_.empty() ? nullptr : sockets_.back().get(); }
  /// More timers fired than any script needs: something does not end.
  [[nodiscard]] bool exhausted() const { return steps_ > settings_.timers_max; }
  [[nodiscard]] const tcp::Pools& pools() const { return pools_; }
  [[nodiscard]] bool v4() const { return v4_; }

 private:
  void receive(Socket& socket, const tcp::SegmentIn& segment);
  [[nodiscard]] Socket& child_of(Socket& listener, const tcp::ConnectionKey& key);
  void accept(Socket& listener, const tcp::ConnectionKey& key, const tcp::SegmentIn& syn);
  [[nodiscard]] bool accept_cookie(Socket& listener, const tcp::ConnectionKey& key, const tcp::SegmentIn& ack);
  void stray(const tcp::ConnectionKey& key, const tcp::SegmentIn& segment);
  void send(const tcp::ConnectionKey& key, const tcp::SegmentOut& segment);
  void established(Socket& socket);
  void round_buffer(Socket& socket);
  void put_extras(ByteSpan packet, Extras extras) const;
  [[nodiscard]] std::uint16_t mtu_of(const Socket& socket) const;

  Settings& settings_;
  bool v4_;
  std::uint32_t steps_{};
  tcp::Pools pools_;
  Instant now_{std::chrono::seconds{1000}};
  std::vector<std::unique_ptr<Socket>> sockets_;
  std::uint16_t next_port_{33000};
  IpAddress local_, remote_;
};

}  // namespace penstock::script
