// control_server.h - the control socket: one daemon, a few readers, one poll loop.
//
// Model     every connection begins with a Hello; then commands are carried out one after the other and answered by
//           an Ack with the same sequence. Lost ports are told to the daemon as events. The loop also drives the
//           dataplane's own events and ends on SIGTERM, SIGINT or Shutdown.
// Errors    another protocol_major, a second daemon, a stranger and a reader's commands are refused with a reason;
//           a broken message ends its connection. The dataplane goes on in every case.
// Limits    kReadersMax readers; kHelloWait for a Hello.
// Threads   control thread.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "dataplane/app/dataplane.h"
#include "dataplane/control/channel.h"

namespace penstock::app {

inline constexpr std::size_t kReadersMax = 8;
inline constexpr std::chrono::seconds kHelloWait{5};

class ControlServer {
 public:
  /// `signals`: a signalfd of what ends the process.
  ControlServer(Dataplane& dataplane, control::ChannelListener listener, Fd signals)
      : dataplane_{dataplane}, listener_{std::move(listener)}, signals_{std::move(signals)} {}
  /// Returns why it ended.
  [[nodiscard]] std::string run();

 private:
  enum class Role : std::uint8_t { unknown, daemon, reader };
  struct Session {
    control::Channel channel;
    Role role{Role::unknown};
    Instant since{};
  };
  void accept_all(Instant now);
  void serve(Session& session);
  void greet(Session& session, const control::Received& received);
  [[nodiscard]] Status refuse_hello(const Session& session, const control::v1::Hello& hello) const;
  void carry_out(Session& session, control::Received received);
  [[nodiscard]] Status command(control::Received& received);
  void answer(Session& session, std::uint64_t sequence, const Status& status);
  void send(Session& session, const control::v1::Envelope& envelope, std::span<const int> fds = {});
  void tell_lost_ports();
  [[nodiscard]] std::size_t count(Role role) const;

  Dataplane& dataplane_;
  control::ChannelListener listener_;
  Fd signals_;
  std::vector<std::unique_ptr<Session>> sessions_;
  std::string stop_reason_;
};

}  // namespace penstock::app
