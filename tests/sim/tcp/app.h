// app.h - one end's application: writes by plan, checks every octet it is given, reads by plan, ends by plan.
//
// Model     sees TCP through a Socket and never looks inside; knows its own position in both streams. Delivery only
//           notes; what follows from it (writing, consuming, closing) happens in step(), outside of TCP.
// Errors    the first thing that is wrong is kept in failure().
#pragma once
#include <string>

#include "dataplane/tcp/engine.h"
#include "tests/sim/tcp/payload.h"
#include "tests/sim/tcp/scenario.h"
#include "tests/sim/tcp/socket.h"

namespace penstock::tcpsim {

class App {
 public:
  /// Streams are numbered so that every direction of every connection differs.
  App(const AppPlan& plan, const AppPlan& peer, std::uint32_t writes_stream, std::uint32_t reads_stream)
      : plan_{plan}, peer_{peer}, writes_stream_{writes_stream}, reads_stream_{reads_stream} {}

  void deliver(ByteView bytes);
  void events(const tcp::Events& events);
  /// Does what is possible now, closing included.
  void step(Socket& socket, std::uint64_t now_us);
  /// When step() wants to be called again, 0: only after the next event.
  [[nodiscard]] std::uint64_t wakes_at_us() const { return wakes_at_us_; }

  [[nodiscard]] const std::string& failure() const { return failure_; }
  [[nodiscard]] std::uint64_t written() const { return written_; }
  [[nodiscard]] std::uint64_t received() const { return received_; }
  [[nodiscard]] bool peer_closed() const { return peer_closed_; }
  [[nodiscard]] bool connected() const { return connected_; }
  [[nodiscard]] bool timed_out() const { return timed_out_; }
  [[nodiscard]] bool was_reset() const { return reset_; }
  /// Everything that the plan wants was written and read.
  [[nodiscard]] bool complete() const { return written_ == plan_.total && received_ == peer_.total && peer_closed_; }

 private:
  [[nodiscard]] std::uint64_t may_write() const;
  void write(Socket& socket, std::uint64_t now_us);
  void read(Socket& socket, std::uint64_t now_us);
  void end(Socket& socket);
  void wake(std::uint64_t at_us) { wakes_at_us_ = wakes_at_us_ == 0 ? at_us : std::min(wakes_at_us_, at_us); }

  AppPlan plan_, peer_;
  std::uint32_t writes_stream_, reads_stream_;
  std::uint64_t written_{}, received_{}, consumed_{};
  std::uint64_t next_write_us_{}, next_read_us_{}, stalled_until_us_{}, wakes_at_us_{};
  bool stalled_{}, peer_closed_{}, connected_{}, timed_out_{}, reset_{}, ended_{}, read_ended_{};
  std::string failure_;
};

}  // namespace penstock::tcpsim
