#include "mgmt/daemon/process.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <sstream>

namespace penstock::daemon {
namespace {

constexpr const char* kBinary = "penstock-dataplane";

Fd open_pidfd(pid_t pid) { return Fd{static_cast<int>(::syscall(SYS_pidfd_open, pid, 0))}; }

bool executable(const std::filesystem::path& path) {
  return std::filesystem::is_regular_file(path) && ::access(path.c_str(), X_OK) == 0;
}

/// A child with default signals, an empty mask, its own session and /dev/null as input.
Result<pid_t> spawn_detached(const std::string& binary, std::vector<char*> argv) {
  posix_spawnattr_t attributes;
  posix_spawn_file_actions_t files;
  ::posix_spawnattr_init(&attributes);
  ::posix_spawn_file_actions_init(&files);
  sigset_t none;
  sigset_t all;
  ::sigemptyset(&none);
  ::sigfillset(&all);
  ::sigdelset(&all, SIGPIPE);  // stays ignored: whoever reads the log may go away
  ::posix_spawnattr_setsigmask(&attributes, &none);
  ::posix_spawnattr_setsigdefault(&attributes, &all);
  ::posix_spawnattr_setflags(&attributes,
                             static_cast<short>(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSID));
  ::posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  ::posix_spawn_file_actions_adddup2(&files, STDERR_FILENO, STDOUT_FILENO);
  // Not every library opens close-on-exec; a listening socket in the child would outlive the daemon.
  ::posix_spawn_file_actions_addclosefrom_np(&files, STDERR_FILENO + 1);
  pid_t pid{};
  const int error = ::posix_spawn(&pid, binary.c_str(), &files, &attributes, argv.data(), environ);
  ::posix_spawnattr_destroy(&attributes);
  ::posix_spawn_file_actions_destroy(&files);
  if (error != 0)
    return Problem{binary, std::string{"cannot start: "} + std::strerror(error), "check the file and its mode"};
  return pid;
}

}  // namespace

Result<Process> spawn(const std::string& binary, const std::vector<std::string>& arguments) {
  std::vector<std::string> words{binary};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  const auto pid = spawn_detached(binary, std::move(argv));
  if (!pid) return pid.error();
  Process process{*pid, open_pidfd(*pid), true};
  if (!process.running()) return Problem{binary, std::string{"pidfd_open: "} + std::strerror(errno), ""};
  return process;
}

Result<Process> adopt_process(pid_t pid) {
  Process process{pid, open_pidfd(pid), false};
  if (!process.running())
    return Problem{"process " + std::to_string(pid), std::string{"pidfd_open: "} + std::strerror(errno), ""};
  return process;
}

void send_signal(const Process& process, int signal) {
  if (process.running()) ::syscall(SYS_pidfd_send_signal, process.pidfd.get(), signal, nullptr, 0);
}

std::string reap(Process& process) {
  std::string how = "ended";
  siginfo_t info{};
  if (process.child && ::waitid(P_PIDFD, static_cast<id_t>(process.pidfd.get()), &info, WEXITED | WNOHANG) == 0) {
    if (info.si_code == CLD_EXITED) how = "exited with " + std::to_string(info.si_status);
    if (info.si_code == CLD_KILLED || info.si_code == CLD_DUMPED)
      how = "killed by signal " + std::to_string(info.si_status);
  }
  process.pidfd.reset();
  return how;
}

std::string find_dataplane(const std::string& wanted) {
  if (!wanted.empty()) return executable(wanted) ? wanted : std::string{};
  std::error_code error;
  const std::filesystem::path own = std::filesystem::read_symlink("/proc/self/exe", error).parent_path();
  for (const char* place : {"", "../../dataplane/app", "../libexec/penstock"})
    if (const auto candidate = (own / place / kBinary).lexically_normal(); executable(candidate)) return candidate;
  const char* path = std::getenv("PATH");
  std::istringstream folders{path != nullptr ? path : ""};
  for (std::string folder; std::getline(folders, folder, ':');)
    if (const auto candidate = std::filesystem::path{folder} / kBinary; executable(candidate)) return candidate;
  return {};
}

}  // namespace penstock::daemon
