// channel.h - Envelopes and file descriptors over a Unix SEQPACKET socket.
//
// Model     one Envelope per packet; descriptors travel beside it (SCM_RIGHTS) and arrive close-on-exec. The
//           dataplane listens, daemon and readers connect. Not thread-safe: one channel, one thread.
// Errors    Problems that name the path or the peer. No SIGPIPE. A packet that is no Envelope, is longer than
//           the limit or lost descriptors is a Problem, after which the channel should be closed.
// Limits    kChannelOctetsMax per message, kChannelFdsMax descriptors.
// Not here  meaning of the messages: control.proto, docs/protocol/control.md.
#pragma once
#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "dataplane/control/control.pb.h"
#include "dataplane/core/fd.h"
#include "dataplane/core/result.h"

namespace penstock::control {

inline constexpr std::size_t kChannelOctetsMax = 64 * 1024;
inline constexpr std::size_t kChannelFdsMax = 80;  ///< a Hello of 16 workers carries 65
/// First fields of a Hello. Another major is refused, a minor below kProtocolMinorMin too; a higher minor only adds.
inline constexpr std::uint32_t kProtocolMajor = 1;
inline constexpr std::uint32_t kProtocolMinor = 3;
inline constexpr std::uint32_t kProtocolMinorMin = 3;  ///< 2 knew neither tier X nor a segment of today
[[nodiscard]] constexpr bool protocol_spoken(std::uint32_t major, std::uint32_t minor) {
  return major == kProtocolMajor && minor >= kProtocolMinorMin;
}

/// "1.1"
[[nodiscard]] std::string protocol_text(std::uint32_t major, std::uint32_t minor);

struct PeerCredentials {
  pid_t pid{};
  uid_t uid{};
  gid_t gid{};
};

enum class Arrival : std::uint8_t {
  message,
  nothing,  ///< would block, or the time was up
  closed    ///< the peer closed; no more will come
};
struct Received {
  Arrival arrival{Arrival::nothing};
  v1::Envelope envelope;
  std::vector<Fd> fds;
};

class Channel {
 public:
  Channel() = default;
  /// Blocking until set_blocking(false). Fails at once when nobody listens.
  [[nodiscard]] static Result<Channel> connect(const std::string& path);
  /// Two connected channels, for tests.
  [[nodiscard]] static Result<std::pair<Channel, Channel>> pair();
  /// Takes over a connected SEQPACKET socket; `name` is for Problems.
  [[nodiscard]] static Result<Channel> adopt(Fd socket, std::string name);

  /// Non-blocking: a peer that does not read is a Problem, nothing is sent then.
  [[nodiscard]] Status send(const v1::Envelope& envelope, std::span<const int> fds = {});
  /// Blocking channels wait; others return Arrival::nothing.
  [[nodiscard]] Result<Received> receive();
  /// Waits up to `at_most`, whatever the mode.
  [[nodiscard]] Result<Received> receive_within(std::chrono::milliseconds at_most);
  void set_blocking(bool blocking);

  [[nodiscard]] bool open() const { return static_cast<bool>(socket_); }
  [[nodiscard]] int fd() const { return socket_.get(); }
  [[nodiscard]] const PeerCredentials& peer() const { return peer_; }
  void close() { socket_.reset(); }

 private:
  Fd socket_;
  std::string name_;
  PeerCredentials peer_;
  std::vector<char> buffer_;
};

/// A bound, listening socket; removes its file when it goes.
class ChannelListener {
 public:
  ChannelListener() = default;
  ChannelListener(ChannelListener&&) noexcept = default;
  ChannelListener& operator=(ChannelListener&&) noexcept;
  ~ChannelListener();
  /// Replaces a stale socket file; a path on which somebody listens, or that is no socket, is a Problem.
  /// The file gets `mode`. accept() never blocks.
  [[nodiscard]] static Result<ChannelListener> listen(const std::string& path, mode_t mode);
  /// The next connection; a channel that is not open() when none waits.
  [[nodiscard]] Result<Channel> accept();
  [[nodiscard]] int fd() const { return socket_.get(); }

 private:
  Fd socket_;
  std::string path_;
  ino_t inode_{};
};

}  // namespace penstock::control
