#include "tests/support/transfer/server.h"

#include <sys/signalfd.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>

#include "tests/support/transfer/loop.h"
#include "tests/support/transfer/tally.h"

namespace penstock::transfer {
namespace {

constexpr int kBacklog = 4096;

class Server {
 public:
  explicit Server(bool greets) : greets_{greets} {}

  bool listen(const SocketAddress& address) {
    Fd fd = address.socket();
    const int on = 1;
    ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (!fd || ::bind(fd.get(), address.get(), address.length) != 0 || ::listen(fd.get(), kBacklog) != 0) return false;
    loop_.watch(fd.get(), [this, number = fd.get()] { accept(number); });
    listeners_.push_back(std::move(fd));
    return true;
  }

  void run() {
    sigset_t set;
    ::sigemptyset(&set);
    for (const int number : {SIGTERM, SIGINT, SIGUSR1}) ::sigaddset(&set, number);
    ::sigprocmask(SIG_BLOCK, &set, nullptr);
    const Fd signal_fd{::signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC)};
    loop_.watch(signal_fd.get(), [this, fd = signal_fd.get()] { on_signal(fd); });
    std::puts("ready");
    std::fflush(stdout);
    while (!stopping_) loop_.turn(std::chrono::seconds{1});
  }

 private:
  void accept(int listener) {
    while (true) {
      Fd fd{::accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC)};
      if (!fd) return;
      const int on = 1;
      ::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
      ++accepted_;
      if (greets_) {
        const std::uint64_t greeting = kGreeting;  // a new connection's buffer is empty: it fits
        static_cast<void>(::send(fd.get(), &greeting, sizeof greeting, MSG_NOSIGNAL));
      }
      auto connection = std::make_unique<Connection>(std::move(fd), true, steady_now());
      connection->in.prefix = Small::empty(sizeof(Request));
      connection->awaits_request = true;
      loop_.add(std::move(connection));
    }
  }

  void on_signal(int fd) {
    signalfd_siginfo info{};
    while (::read(fd, &info, sizeof info) == static_cast<ssize_t>(sizeof info)) {
      Tally all = tally_;
      loop_.for_each([&](const Connection& connection) { all.add(connection, steady_now()); });
      std::printf("{\"accepted\": %llu, %s}\n", static_cast<unsigned long long>(accepted_), all.text().c_str());
      std::fflush(stdout);
      stopping_ = stopping_ || info.ssi_signo != SIGUSR1;
    }
  }

  bool greets_, stopping_{};
  std::uint64_t accepted_{};
  Tally tally_;
  std::vector<Fd> listeners_;
  Loop loop_{[this](const Connection& connection) { tally_.add(connection, steady_now()); }};
};

}  // namespace

int run_server(const std::vector<SocketAddress>& addresses, bool greets) {
  Server server{greets};
  for (const SocketAddress& address : addresses)
    if (!server.listen(address)) {
      std::perror("psk_transfer: listen");
      return 1;
    }
  server.run();
  return 0;
}

}  // namespace penstock::transfer
