// penstock-dataplane: checks everything that can be checked, starts, serves the control socket, stops in order.
#include <sys/signalfd.h>

#include <csignal>
#include <cstdio>

#include "dataplane/app/control_server.h"
#include "dataplane/app/options.h"
#include "dataplane/app/privileges.h"

namespace penstock::app {
namespace {

constexpr mode_t kSocketMode = 0660;

int report(const Problems& problems) {
  for (const Problem& problem : problems) std::fprintf(stderr, "penstock-dataplane: %s\n", problem.text().c_str());
  return problems.empty() ? 0 : 1;
}

/// Blocked here, before any thread exists, so that only the control thread sees them.
Fd block_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGHUP, SIG_IGN);
  return Fd{::signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK)};
}

int run(const Options& options) {
  Fd signals = block_signals();
  raise_limits();
  Problems problems = check_options(options);
  auto listener = control::ChannelListener::listen(options.control_socket, kSocketMode);
  if (!listener) problems.push_back(listener.error());
  if (!problems.empty()) return report(problems);
  auto dataplane = Dataplane::start(options);
  if (!dataplane) return report({dataplane.error()});
  if (!(*dataplane)->warning().empty())
    std::fprintf(stderr, "penstock-dataplane: warning: %s\n", (*dataplane)->warning().c_str());
  if (auto dropped = drop_privileges(); !dropped) return report({dropped.error()});
  ControlServer server{**dataplane, std::move(*listener), std::move(signals)};
  std::fprintf(stderr, "penstock-dataplane: ready on %s\n", options.control_socket.c_str());
  const std::string reason = server.run();
  std::fprintf(stderr, "penstock-dataplane: stopping: %s\n", reason.c_str());
  return 0;
}

}  // namespace
}  // namespace penstock::app

int main(int argc, char** argv) {
  const auto parsed = penstock::app::parse_options(argc, argv);
  return parsed.options ? penstock::app::run(*parsed.options) : parsed.exit_code;
}
