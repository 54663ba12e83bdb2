// asker.h - many TCP connections of one client: they rest, send Bolt heartbeats in time, or call as fast as answers
// come.
//
// Model     open() connects all, kWindow at a time; greet() has each of them answered once, since a connection that a
//           proxy's kernel accepted may still wait for the proxy. hold() waits, with heartbeats spread evenly over the
//           interval; call() keeps one request in flight on each. An answer counts when its id, kind, status and size
//           are right.
// Units     latencies in microseconds, from send() to the last octet of the answer.
// Shape     one thread, one epoll set.
// Errors    open() and greet() are false when a connection fails or is too slow; later losses show as fewer alive,
// wrong answers as `wrong`. Limits    one request in flight per connection: a heartbeat that is still unanswered when
// its turn comes is skipped. Not here  the frames (bolt.h)
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "bench/lab/peers/bolt.h"
#include "bench/lab/peers/net.h"

namespace penstock::lab {

class Asker {
 public:
  using Clock = std::chrono::steady_clock;
  Asker(const sockaddr_in& to, std::size_t count);

  /// All of them stand, or false.
  bool open();
  /// Each has answered a heartbeat, which is not counted, or false.
  bool greet();
  /// Prints "open MILLISECONDS", the time that open() took.
  void announce() const;
  /// Until a signal; heartbeats if `interval_ms` is not 0.
  void hold(double interval_ms);
  /// One call of so much content after the other on each, for `seconds` or until a signal.
  void call(double seconds, std::size_t content_octets);
  /// One line of JSON.
  void report();

 private:
  struct Connection {
    int fd = -1;
    bool waiting = false;
    std::uint32_t id = 0;
    Clock::time_point asked{};
    std::string inbox;
  };

  void beat(Clock::time_point start, double interval_ms);
  void ask(Connection& one);
  void take(Connection& one);
  void end(Connection& one);

  sockaddr_in to_;
  int epoll_;
  std::vector<Connection> connections_;
  bolt::Kind kind_ = bolt::Kind::heartbeat;
  std::size_t content_octets_ = 0;
  bool again_ = false;  // the next request follows the answer
  std::vector<double> times_;
  std::size_t turn_ = 0, sent_ = 0, wrong_ = 0;
  std::uint32_t next_id_ = 1;
  double opened_seconds_ = 0, seconds_ = 0;
};

/// epoll_ctl with an index as the event's data.
void watch(int epoll, int fd, std::uint32_t events, std::uint32_t index, bool fresh = true);

}  // namespace penstock::lab
