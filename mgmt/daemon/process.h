// process.h - starts the dataplane and holds on to it.
//
// Model     a child in a session of its own, so that the daemon's end or terminal does not touch it; a pidfd is
//           readable when it has ended. An adopted process is nobody's child: its exit status stays unknown.
// Errors    Problem when it cannot be started.
#pragma once
#include <sys/types.h>

#include <string>
#include <vector>

#include "dataplane/core/fd.h"
#include "dataplane/core/result.h"

namespace penstock::daemon {

struct Process {
  pid_t pid{};
  Fd pidfd;
  bool child{};
  [[nodiscard]] bool running() const { return static_cast<bool>(pidfd); }
};

[[nodiscard]] Result<Process> spawn(const std::string& binary, const std::vector<std::string>& arguments);
[[nodiscard]] Result<Process> adopt_process(pid_t pid);
/// By pidfd, so never another process that got the same number.
void send_signal(const Process& process, int signal);
/// After the pidfd became readable: "exited with 3", "killed by signal 9"; closes it.
[[nodiscard]] std::string reap(Process& process);

/// penstock-dataplane: `wanted` if given, beside this program, in the build tree, in PATH. Empty when not found.
[[nodiscard]] std::string find_dataplane(const std::string& wanted);

}  // namespace penstock::daemon
