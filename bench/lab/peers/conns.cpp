// conns: many TCP connections that say little: a server that echoes, and a client that opens them, lets them rest or
// sends heartbeats on each, and tells how long answers took.
//
// Usage   conns serve PORT
//         conns hold ADDRESS PORT COUNT [--interval MS] [--octets N]
//           prints "open MILLISECONDS" when all stand; then, with an interval, a heartbeat per connection and interval;
//           on SIGTERM {"alive": N, "sent": N, "answered": N, "p50": us, "p99": us}
// Limits  connections are opened kWindow at a time; heartbeats are spread evenly over the interval.
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <string>
#include <vector>

#include "bench/lab/peers/net.h"

namespace penstock::lab {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::size_t kWindow = 256;
constexpr auto kOpenTimeout = std::chrono::seconds{20};

void watch(int epoll, int fd, std::uint32_t events, std::uint32_t index, int operation = EPOLL_CTL_ADD) {
  epoll_event event{};
  event.events = events;
  event.data.u32 = index;
  ::epoll_ctl(epoll, operation, fd, &event);
}

int serve(std::uint16_t port) {
  const int listener = listen_on(port);
  const int epoll = ::epoll_create1(0);
  watch(epoll, listener, EPOLLIN, static_cast<std::uint32_t>(listener));
  std::array<epoll_event, 256> events{};
  std::array<char, 4096> buffer{};
  while (!stopped()) {
    const int count = ::epoll_wait(epoll, events.data(), static_cast<int>(events.size()), -1);
    for (int i = 0; i < count; ++i) {
      const int fd = static_cast<int>(events[static_cast<std::size_t>(i)].data.u32);
      if (fd == listener) {
        for (int fresh; (fresh = ::accept4(listener, nullptr, nullptr, SOCK_NONBLOCK)) >= 0;) {
          no_delay(fresh);
          watch(epoll, fresh, EPOLLIN, static_cast<std::uint32_t>(fresh));
        }
        continue;
      }
      const ssize_t got = ::recv(fd, buffer.data(), buffer.size(), 0);
      if (got > 0)
        static_cast<void>(::send(fd, buffer.data(), static_cast<std::size_t>(got), 0));
      else if (got == 0 || errno != EAGAIN)
        ::close(fd);
    }
  }
  return 0;
}

struct Connection {
  int fd = -1;
  Clock::time_point asked{};
  std::size_t left = 0;  // octets of the answer still to come
};

class Holder {
 public:
  Holder(const sockaddr_in& to, std::size_t count, std::size_t octets)
      : to_{to}, octets_{octets}, epoll_{::epoll_create1(0)}, connections_(count), heartbeat_(octets, 'h') {}

  /// All of them stand, or false.
  bool open() {
    const auto start = Clock::now();
    std::array<epoll_event, kWindow> events{};
    std::size_t begun = 0, standing = 0;
    while (standing < connections_.size()) {
      for (; begun < connections_.size() && begun - standing < kWindow; ++begun) {
        connections_[begun].fd = begin_connect(to_);
        if (connections_[begun].fd < 0) return false;
        watch(epoll_, connections_[begun].fd, EPOLLOUT, static_cast<std::uint32_t>(begun));
      }
      if (stopped() || Clock::now() - start > kOpenTimeout) return false;
      const int count = ::epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), 100);
      for (int i = 0; i < count; ++i) {
        const epoll_event& event = events[static_cast<std::size_t>(i)];
        if (event.events & (EPOLLERR | EPOLLHUP)) return false;
        watch(epoll_, connections_[event.data.u32].fd, EPOLLIN, event.data.u32, EPOLL_CTL_MOD);
        ++standing;
      }
    }
    std::printf("open %.1f\n", std::chrono::duration<double, std::milli>(Clock::now() - start).count());
    std::fflush(stdout);
    return true;
  }

  void hold(double interval_ms) {
    const auto start = Clock::now();
    std::array<epoll_event, 256> events{};
    while (!stopped()) {
      if (interval_ms > 0) beat(start, interval_ms);
      const int count = ::epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), interval_ms > 0 ? 1 : -1);
      for (int i = 0; i < count; ++i) take(connections_[events[static_cast<std::size_t>(i)].data.u32]);
    }
  }

  void report() {
    const auto alive = std::count_if(connections_.begin(), connections_.end(), [](const auto& c) { return c.fd >= 0; });
    std::sort(times_.begin(), times_.end());
    const auto at = [this](double share) {
      return times_.empty() ? 0.0 : times_[static_cast<std::size_t>(share * static_cast<double>(times_.size() - 1))];
    };
    std::printf("{\"alive\": %zd, \"sent\": %zu, \"answered\": %zu, \"p50\": %.1f, \"p90\": %.1f, \"p99\": %.1f}\n",
                alive, sent_, times_.size(), at(0.5), at(0.9), at(0.99));
  }

 private:
  /// Sends what is due by now: the n-th heartbeat at n * interval / connections.
  void beat(Clock::time_point start, double interval_ms) {
    const double elapsed = std::chrono::duration<double, std::milli>(Clock::now() - start).count();
    const auto due = static_cast<std::size_t>(elapsed / interval_ms * static_cast<double>(connections_.size()));
    for (; turn_ < due; ++turn_) {
      Connection& one = connections_[turn_ % connections_.size()];
      if (one.fd < 0 || one.left != 0) continue;  // gone, or the last one is still unanswered
      one.asked = Clock::now();
      if (::send(one.fd, heartbeat_.data(), octets_, 0) != static_cast<ssize_t>(octets_)) continue;
      one.left = octets_;
      ++sent_;
    }
  }

  void take(Connection& one) {
    std::array<char, 4096> buffer{};
    const ssize_t got = ::recv(one.fd, buffer.data(), buffer.size(), 0);
    if (got <= 0) {
      if (got < 0 && errno == EAGAIN) return;
      ::close(one.fd);
      one.fd = -1;
      return;
    }
    if (one.left == 0) return;
    one.left -= std::min(one.left, static_cast<std::size_t>(got));
    if (one.left == 0) times_.push_back(std::chrono::duration<double, std::micro>(Clock::now() - one.asked).count());
  }

  sockaddr_in to_;
  std::size_t octets_;
  int epoll_;
  std::vector<Connection> connections_;
  std::string heartbeat_;
  std::vector<double> times_;
  std::size_t turn_ = 0, sent_ = 0;
};

}  // namespace
}  // namespace penstock::lab

int main(int argc, char** argv) {
  using namespace penstock::lab;
  stop_on_signals();
  const std::vector<std::string> words(argv + 1, argv + argc);
  if (words.size() == 2 && words[0] == "serve") return serve(static_cast<std::uint16_t>(std::stoi(words[1])));
  if (words.size() < 4 || words[0] != "hold") {
    std::fprintf(stderr, "usage: conns serve PORT | conns hold ADDRESS PORT COUNT [--interval MS] [--octets N]\n");
    return 2;
  }
  double interval_ms = 0;
  std::size_t octets = 16;
  for (std::size_t i = 4; i + 1 < words.size(); i += 2) {
    if (words[i] == "--interval") interval_ms = std::stod(words[i + 1]);
    if (words[i] == "--octets") octets = std::stoul(words[i + 1]);
  }
  Holder holder{address_of(words[1], static_cast<std::uint16_t>(std::stoi(words[2]))), std::stoul(words[3]), octets};
  if (!holder.open()) fail("not every connection stands");
  holder.hold(interval_ms);
  holder.report();
  return 0;
}
