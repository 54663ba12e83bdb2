// connection.h - one TCP connection of either end: moves its two streams as its manners say, and says how it ended.
//
// Model     non-blocking socket, level-triggered epoll by the owner. work() does what is possible now; interest() says
//           what to wait for; due() when to come back without an event (paused or slow readers).
// Units     times are steady-clock Instants, handed in.
// Errors    how it ended is the Outcome; `failure` holds the errno of `failed`.
// Not here  the event loop (loop.h), what is to be moved (client.cpp, server.cpp).
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "dataplane/core/clock.h"
#include "dataplane/core/fd.h"
#include "tests/support/transfer/stream.h"

namespace penstock::transfer {

/// `reset_sent`: we ended it on purpose. `early_end`: the stream ended before its octets. `beyond`: it went on after
/// them.
enum class Outcome : std::uint8_t { running, ok, refused, reset, reset_sent, early_end, beyond, corrupted, failed };

class Connection {
 public:
  Connection(Fd fd, bool connected, Instant now)
      : fd_{std::move(fd)}, connected_{connected}, began_{now}, moved_{now} {}

  OutStream out;
  InStream in;
  Manners manners;
  Turn turn{};
  bool greeted{true};     ///< nothing is sent before the peer's prefix is there, when false
  bool awaits_request{};  ///< server: the rest of the plan comes with the client's prefix
  bool reports{};         ///< server: the suffix is made from what was received, after the client's end

  /// Everything that can be done now. `events` as of epoll; `scratch` is shared by all connections.
  void work(std::uint32_t events, Instant now, std::span<std::byte> scratch);
  [[nodiscard]] std::uint32_t interest(Instant now) const;
  /// When a pause or the rate lets it read on; the far future when it waits for events only.
  [[nodiscard]] Instant due(Instant now) const;
  [[nodiscard]] Outcome outcome() const { return outcome_; }
  [[nodiscard]] int failure() const { return failure_; }
  [[nodiscard]] int fd() const { return fd_.get(); }
  [[nodiscard]] bool connected() const { return connected_; }
  [[nodiscard]] Duration connect_time() const { return connected_after_; }
  /// Longest time without any progress, deliberate pauses left out.
  [[nodiscard]] Duration longest_quiet(Instant now) const;
  /// The owner has noticed an error or hang-up that the connection does not want to see yet.
  bool muted{};
  std::uint32_t armed{};  ///< what epoll was told last

 private:
  void finish(Outcome outcome, int failure = 0);
  void finish_by_errno(int number);
  void abort_with_reset();
  bool complete_connect(std::uint32_t events, Instant now);
  void read(Instant now, std::span<std::byte> scratch);
  void digest(std::span<const std::byte> octets, Instant now);
  void end_of_stream();
  void accept_request();
  void write(Instant now, std::span<std::byte> scratch);
  void close_when_told(bool readable);
  void progress(Instant now);
  [[nodiscard]] bool may_send() const;
  [[nodiscard]] bool closes_on_unread() const {
    return manners.closes_after != 0 && in.payload_received() >= manners.closes_after;
  }
  [[nodiscard]] bool paused(Instant now) const { return now < pause_until_; }
  /// Octets that may be read now.
  [[nodiscard]] std::uint64_t allowance(Instant now) const;

  Fd fd_;
  bool connected_, read_ended_{}, write_ended_{}, pause_taken_{};
  Outcome outcome_{Outcome::running};
  int failure_{};
  Instant began_, moved_;
  Instant pause_until_{};
  Duration connected_after_{}, longest_quiet_{};
};

}  // namespace penstock::transfer
