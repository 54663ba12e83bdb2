// process_lab.h - test support: penstock-dataplane as a process, and a client of its control socket.
//
// Model     the real binary and the real socket, one process per object, in a directory that goes with it.
#pragma once
#include <sys/types.h>

#include <string>
#include <vector>

#include "dataplane/control/channel.h"
#include "dataplane/control/segment.h"
#include "dataplane/control/snapshot_writer.h"

namespace penstock::app {

class ProcessLab {
 public:
  /// `directory`: of a predecessor to take over its socket path; empty = a new one.
  explicit ProcessLab(const std::string& binary, std::vector<std::string> arguments = {}, std::string directory = "");
  ~ProcessLab();
  ProcessLab(const ProcessLab&) = delete;
  ProcessLab& operator=(const ProcessLab&) = delete;

  [[nodiscard]] pid_t pid() const { return pid_; }
  [[nodiscard]] const std::string& directory() const { return directory_; }
  [[nodiscard]] std::string socket_path() const { return directory_ + "/dataplane.sock"; }
  /// Leaves the directory to a successor.
  void keep_directory() { keep_ = true; }
  void signal(int number) const;
  /// Exit status, or 128 + signal; -1 when it still runs after `at_most`.
  [[nodiscard]] int wait(std::chrono::milliseconds at_most);

 private:
  std::string directory_;
  bool keep_{};
  pid_t pid_{-1};
};

/// A connection that has exchanged Hellos.
class ControlClient {
 public:
  /// Retries until the process listens.
  [[nodiscard]] static Result<ControlClient> connect(const std::string& path, bool reader = false,
                                                     std::uint32_t protocol = control::kProtocolMajor,
                                                     std::uint32_t minor = control::kProtocolMinor);
  /// Sends and waits for the Ack; other messages that come first are kept in events.
  [[nodiscard]] Status call(control::v1::Envelope envelope, std::span<const int> fds = {});
  [[nodiscard]] Result<control::v1::State> state();
  [[nodiscard]] Status publish(const control::SnapshotContent& content, std::uint64_t epoch);
  /// The next event, waiting up to `at_most`.
  [[nodiscard]] Result<control::v1::Envelope> event_within(std::chrono::milliseconds at_most);
  [[nodiscard]] const control::v1::Hello& hello() const { return hello_; }
  [[nodiscard]] const std::vector<Fd>& fds() const { return fds_; }
  [[nodiscard]] control::Channel& channel() { return channel_; }
  /// Maps the segment of the Hello; stays mapped.
  [[nodiscard]] Result<control::SegmentView> segment(bool writable) const;

 private:
  [[nodiscard]] Result<control::v1::Envelope> exchange(control::v1::Envelope envelope, std::span<const int> fds);
  control::Channel channel_;
  control::v1::Hello hello_;
  std::vector<Fd> fds_;
  std::vector<control::v1::Envelope> events_;
  std::uint64_t sequence_{1};
};

}  // namespace penstock::app
