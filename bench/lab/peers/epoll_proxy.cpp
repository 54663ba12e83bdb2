// epoll_proxy: a TCP proxy as one writes it with epoll: one thread, read, write to the other side at once, wait for
// room only when a write falls short.
//
// Usage   epoll_proxy PORT=ADDRESS:PORT ...
// Limits  one buffer of 64 KiB for reading; what a slow reader does not take is kept, at most one buffer per direction.
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <memory>
#include <unordered_map>

#include "bench/lab/peers/net.h"
#include "bench/lab/peers/words.h"

namespace penstock::lab {
namespace {

constexpr std::size_t kBufferOctets = 65536;

struct Leg {
  int fd = -1;
  Leg* other = nullptr;
  std::string waiting;  // towards this leg's peer
  bool read_ended = false;
  bool dead = false;
  std::uint32_t interest = 0;
};

class Proxy {
 public:
  explicit Proxy(const std::vector<Route>& routes) : routes_{routes}, epoll_{::epoll_create1(0)} {
    for (const Route& route : routes_) {
      const int fd = listen_on(route.listen_port);
      listeners_[fd] = &route;
      epoll_event event{};
      event.events = EPOLLIN;
      event.data.u64 = static_cast<std::uint64_t>(fd) << 1 | 1;  // odd: a listener; pointers are even
      ::epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event);
    }
  }

  void run() {
    std::array<epoll_event, 256> events{};
    while (!stopped()) {
      const int count = ::epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), -1);
      for (int i = 0; i < count; ++i) {
        const epoll_event& event = events[static_cast<std::size_t>(i)];
        if (event.data.u64 & 1)
          accept_all(static_cast<int>(event.data.u64 >> 1));
        else
          serve(*static_cast<Leg*>(event.data.ptr), event.events);
      }
      graves_.clear();  // only now: later events of the batch may still name them
    }
  }

 private:
  void accept_all(int listener) {
    while (true) {
      const int fd = ::accept4(listener, nullptr, nullptr, SOCK_NONBLOCK);
      if (fd < 0) return;
      no_delay(fd);
      const int far = begin_connect(listeners_[listener]->to);
      if (far < 0) {
        ::close(fd);
        continue;
      }
      auto* client = new Leg{};
      auto* server = new Leg{};
      client->fd = fd;
      server->fd = far;
      client->other = server;
      server->other = client;
      watch(*client, EPOLLIN, EPOLL_CTL_ADD);
      watch(*server, EPOLLIN, EPOLL_CTL_ADD);
    }
  }

  void watch(Leg& leg, std::uint32_t interest, int operation = EPOLL_CTL_MOD) {
    if (operation == EPOLL_CTL_MOD && leg.interest == interest) return;
    leg.interest = interest;
    epoll_event event{};
    event.events = interest;
    event.data.ptr = &leg;
    ::epoll_ctl(epoll_, operation, leg.fd, &event);
  }

  void serve(Leg& leg, std::uint32_t events) {
    if (leg.dead) return;
    if (events & EPOLLERR) return end(leg);
    if ((events & EPOLLOUT) && !flush(leg)) return end(leg);
    if ((events & (EPOLLIN | EPOLLHUP)) && !leg.read_ended && leg.other->waiting.empty() && !pump(leg)) return end(leg);
    update(leg);
    update(*leg.other);
    if (leg.read_ended && leg.other->read_ended && leg.waiting.empty() && leg.other->waiting.empty()) end(leg);
  }

  void update(Leg& leg) {
    const bool reads = !leg.read_ended && leg.other->waiting.empty();
    watch(leg, (reads ? EPOLLIN : 0U) | (leg.waiting.empty() ? 0U : EPOLLOUT));
  }

  /// Reads once and passes it on; false when the pair is over.
  bool pump(Leg& from) {
    Leg& to = *from.other;
    const ssize_t got = ::recv(from.fd, buffer_.data(), buffer_.size(), 0);
    if (got < 0) return errno == EAGAIN;
    if (got == 0) {
      from.read_ended = true;
      ::shutdown(to.fd, SHUT_WR);  // nothing waits: pump() runs only then
      return true;
    }
    const ssize_t sent = ::send(to.fd, buffer_.data(), static_cast<std::size_t>(got), 0);
    if (sent < 0 && errno != EAGAIN && errno != ENOTCONN) return false;
    const std::size_t done = sent < 0 ? 0 : static_cast<std::size_t>(sent);
    if (done < static_cast<std::size_t>(got))
      to.waiting.assign(buffer_.data() + done, static_cast<std::size_t>(got) - done);
    return true;
  }

  bool flush(Leg& leg) {
    if (leg.waiting.empty()) return true;
    const ssize_t sent = ::send(leg.fd, leg.waiting.data(), leg.waiting.size(), 0);
    if (sent < 0) return errno == EAGAIN;
    leg.waiting.erase(0, static_cast<std::size_t>(sent));
    return true;
  }

  void end(Leg& leg) {
    for (Leg* one : {&leg, leg.other}) {
      ::close(one->fd);
      one->dead = true;
      graves_.emplace_back(one);
    }
  }

  const std::vector<Route>& routes_;
  int epoll_;
  std::unordered_map<int, const Route*> listeners_;
  std::vector<std::unique_ptr<Leg>> graves_;
  std::array<char, kBufferOctets> buffer_{};
};

}  // namespace
}  // namespace penstock::lab

int main(int argc, char** argv) {
  using namespace penstock::lab;
  const std::vector<Route> routes = Words{argc, argv, "epoll_proxy PORT=ADDRESS:PORT ..."}.routes();
  stop_on_signals();
  const auto proxy = std::make_unique<Proxy>(routes);
  proxy->run();
  return 0;
}
