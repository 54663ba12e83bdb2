// netns_bed.h - namespaces, processes and a bpf file system for tests of this folder; all gone afterwards.
//
// Model     names carry the process id, so that test programs may run at the same time. The calling thread sits in
//           the node's namespace while the bed lives.
// Errors    a failed command ends the test by gtest's fatal failure (ASSERT in the caller) or require().
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "mgmt/kernel/netns.h"

namespace penstock::test {

/// Runs by /bin/sh; the exit status.
int shell(const std::string& command);
/// Runs and returns what it printed.
std::string output_of(const std::string& command);

class NetnsBed {
 public:
  NetnsBed();  ///< node namespace with lo up; the calling thread moves there
  ~NetnsBed();
  NetnsBed(const NetnsBed&) = delete;
  NetnsBed& operator=(const NetnsBed&) = delete;

  /// "client" -> "psk-client123"; created at the first mention.
  std::string ns(const std::string& role);
  /// A veth pair: `port` in the node, "eth0" in the role's namespace, both up, offloads off at the far end.
  void connect(const std::string& port, const std::string& role);
  /// Runs a command inside a role's namespace.
  int in(const std::string& role, const std::string& command);
  std::string output_in(const std::string& role, const std::string& command);
  /// Starts a process there, killed at the end.
  void start(const std::string& role, const std::vector<std::string>& command);
  /// A private directory; with `bpffs`, a mounted bpf file system.
  [[nodiscard]] std::string directory() const { return directory_; }

 private:
  std::string suffix_;
  std::string directory_;
  std::vector<std::string> names_;
  std::vector<pid_t> processes_;
  std::optional<kernel::NamespaceVisit> visit_;
};

}  // namespace penstock::test
