// host.h - one end of the simulated wire, whatever TCP runs on it, and what the world does for it.
//
// Model     World owns time, wire and hosts; a Host owns its connections. Everything that happens to a host is one of
//           the calls below, after which it has sent what it can and asked for its next events. Nothing is reentrant:
//           Outside::send() and push() only note.
// Units     virtual microseconds.
// Errors    a host that finds an invariant violated says Outside::fail().
#pragma once
#include <cstdint>
#include <optional>
#include <string>

#include "dataplane/core/be.h"
#include "dataplane/core/seq_num.h"
#include "tests/sim/tcp/app.h"

namespace penstock::tcpsim {

enum class Kind : std::uint8_t { packet, too_big, timer, wake, open, time_wait_over };

struct Event {
  std::uint64_t at_us;
  std::uint64_t order;
  Kind kind;
  std::uint8_t host;
  std::uint16_t connection;
  std::uint32_t slot;    ///< of a packet
  std::uint32_t number;  ///< quoted sequence number of too_big
  std::uint16_t mtu;
};

class Outside {
 public:
  [[nodiscard]] virtual std::uint64_t now_us() const = 0;
  [[nodiscard]] virtual bool failed() const = 0;
  /// A whole IP packet. `seq` is quoted in a too-big message; `no_payload` is what lose_nth counts.
  virtual void send(std::size_t host, std::size_t connection, ByteView packet, SeqNum seq, bool no_payload) = 0;
  virtual void push(std::uint64_t at_us, Kind kind, std::size_t host, std::size_t connection) = 0;
  /// A peer that is not ours gave up a connection; fails unless the wire is to blame, or the peer's lack of patience.
  virtual void gave_up(std::size_t host, std::size_t connection, bool patient) = 0;
  /// A peer that is not ours is known to be broken from here on: the connection need not complete.
  virtual void excuse(std::size_t host, std::size_t connection) = 0;
  virtual void fail(std::size_t host, std::size_t connection, const std::string& what) = 0;

 protected:
  ~Outside() = default;
};

struct HostCounts {
  std::uint64_t retransmitted{}, timeouts{}, recoveries{}, window_probes{}, tail_probes{}, needless_reductions{};
  void add(const HostCounts& other) {
    retransmitted += other.retransmitted, timeouts += other.timeouts, recoveries += other.recoveries;
    window_probes += other.window_probes, tail_probes += other.tail_probes;
    needless_reductions += other.needless_reductions;
  }
};

/// Touched nothing that World has to look at.
inline constexpr std::size_t kNoConnection = ~std::size_t{0};

class Host {
 public:
  virtual ~Host() = default;
  /// The touched connection, or kNoConnection.
  virtual std::size_t receive(ByteView packet) = 0;
  virtual std::size_t handle(const Event& event) = 0;
  [[nodiscard]] virtual const App& app(std::size_t connection) const = 0;
  /// One beyond the last octet ever sent, or beyond the last that the peer may send: both only while synchronized.
  [[nodiscard]] virtual std::optional<SeqNum> sent_until(std::size_t connection) const = 0;
  [[nodiscard]] virtual std::optional<SeqNum> offered_until(std::size_t connection) const = 0;
  /// Nothing is left to happen: closed, TIME-WAIT over, memory given back.
  virtual void check_end() = 0;
  [[nodiscard]] virtual HostCounts counts() const = 0;
  /// Congestion window; 0 when that is nobody's business.
  [[nodiscard]] virtual std::uint32_t cwnd_octets(std::size_t) const { return 0; }
};

}  // namespace penstock::tcpsim
