// psk_impair - stands between two interfaces and forwards raw Ethernet frames both ways, impaired as told.
//
// Usage     psk_impair --west IF --east IF [--eastward PLAN] [--westward PLAN] [--seed N]
//           PLAN as in plan.h: loss=1,burst=0.1x8,reorder=2,reorder-delay=300us,delay=1ms,rate=100m,...
// Prints    "ready", and one JSON object with the counters of both directions on SIGUSR1 and at the end (SIGTERM).
// Exit      0; 1 when a port cannot be opened; 2 when frames came with offloads (see packet_port.h).
#include <poll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>

#include "tests/support/impair/stage.h"

namespace penstock::impair {
namespace {

Instant now() { return Instant{std::chrono::steady_clock::now().time_since_epoch()}; }

/// SIGTERM, SIGINT and SIGUSR1 as a descriptor.
Fd signals() {
  sigset_t set;
  ::sigemptyset(&set);
  for (const int number : {SIGTERM, SIGINT, SIGUSR1}) ::sigaddset(&set, number);
  ::sigprocmask(SIG_BLOCK, &set, nullptr);
  return Fd{::signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC)};
}

class Stage {
 public:
  Stage(PacketPort west, PacketPort east, const Plan& eastward, const Plan& westward, std::uint64_t seed)
      : west_{std::move(west)},
        east_{std::move(east)},
        eastward_{west_, east_, eastward, 2 * seed},
        westward_{east_, west_, westward, 2 * seed + 1} {}

  /// Until SIGTERM.
  int run() {
    const Fd signal_fd = signals();
    report("ready");
    while (true) {
      const Instant time = now();
      const bool east = eastward_.turn(time);
      const bool west = westward_.turn(time);
      if (east || west) {
        if (++busy_turns_ % 64 != 0) continue;  // look for signals now and then
      } else {
        wait(signal_fd.get(), std::min(eastward_.next(), westward_.next()));
      }
      signalfd_siginfo info{};
      if (::read(signal_fd.get(), &info, sizeof info) != static_cast<ssize_t>(sizeof info)) continue;
      report("{\"eastward\": " + eastward_.report() + ", \"westward\": " + westward_.report() + "}");
      if (info.ssi_signo != SIGUSR1) break;
    }
    return west_.counters().offloaded + east_.counters().offloaded == 0 ? 0 : 2;
  }

 private:
  static void report(const std::string& line) {
    std::puts(line.c_str());
    std::fflush(stdout);
  }
  void wait(int signal_fd, Instant until) const {
    std::array<pollfd, 3> fds{pollfd{west_.fd(), POLLIN, 0}, pollfd{east_.fd(), POLLIN, 0},
                              pollfd{signal_fd, POLLIN, 0}};
    if (until == Instant::max()) {
      ::poll(fds.data(), fds.size(), -1);
      return;
    }
    const auto left = std::max(Duration::zero(), until - now());
    const timespec timeout{left.count() / 1'000'000'000, left.count() % 1'000'000'000};
    ::ppoll(fds.data(), fds.size(), &timeout, nullptr);
  }

  PacketPort west_, east_;
  Direction eastward_, westward_;
  std::uint32_t busy_turns_{};
};

int run(int argc, char** argv) {
  CLI::App app{"An impairment stage between two interfaces"};
  std::string west, east, eastward = "none", westward = "none";
  std::uint64_t seed = 1;
  app.add_option("--west", west, "interface")->required();
  app.add_option("--east", east, "interface")->required();
  app.add_option("--eastward", eastward, "what happens to frames from west to east");
  app.add_option("--westward", westward, "what happens to frames from east to west");
  app.add_option("--seed", seed, "of all draws");
  CLI11_PARSE(app, argc, argv);
  const auto east_plan = parse_plan(eastward);
  const auto west_plan = parse_plan(westward);
  for (const auto* plan : {&east_plan, &west_plan})
    if (!plan->ok()) return std::fprintf(stderr, "psk_impair: %s\n", plan->error().c_str()), 1;
  auto west_port = PacketPort::open(west);
  auto east_port = PacketPort::open(east);
  for (const auto* port : {&west_port, &east_port})
    if (!port->ok()) return std::fprintf(stderr, "psk_impair: %s\n", port->error().c_str()), 1;
  Stage stage{std::move(west_port).value(), std::move(east_port).value(), *east_plan, *west_plan, seed};
  return stage.run();
}

}  // namespace
}  // namespace penstock::impair

int main(int argc, char** argv) { return penstock::impair::run(argc, argv); }
