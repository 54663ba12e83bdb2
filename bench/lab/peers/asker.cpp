#include "bench/lab/peers/asker.h"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>

namespace penstock::lab {
namespace {

constexpr std::size_t kWindow = 256;
constexpr auto kOpenTimeout = std::chrono::seconds{20};

double since(Asker::Clock::time_point start) {
  return std::chrono::duration<double>(Asker::Clock::now() - start).count();
}

}  // namespace

void watch(int epoll, int fd, std::uint32_t events, std::uint32_t index, bool fresh) {
  epoll_event event{};
  event.events = events;
  event.data.u32 = index;
  ::epoll_ctl(epoll, fresh ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, fd, &event);
}

Asker::Asker(const sockaddr_in& to, std::size_t count) : to_{to}, epoll_{::epoll_create1(0)}, connections_(count) {}

bool Asker::open() {
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
      watch(epoll_, connections_[event.data.u32].fd, EPOLLIN, event.data.u32, false);
      ++standing;
    }
  }
  opened_seconds_ = since(start);
  return true;
}

bool Asker::greet() {
  const auto start = Clock::now();
  std::array<epoll_event, kWindow> events{};
  std::size_t begun = 0;
  while (times_.size() < connections_.size()) {
    for (; begun < connections_.size() && begun - times_.size() < kWindow; ++begun) ask(connections_[begun]);
    if (stopped() || wrong_ > 0 || Clock::now() - start > kOpenTimeout) return false;
    const int count = ::epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), 100);
    for (int i = 0; i < count; ++i) take(connections_[events[static_cast<std::size_t>(i)].data.u32]);
  }
  times_.clear();
  sent_ = 0;
  return wrong_ == 0;
}

void Asker::announce() const {
  std::printf("open %.1f\n", opened_seconds_ * 1e3);
  std::fflush(stdout);
}

void Asker::hold(double interval_ms) {
  const auto start = Clock::now();
  std::array<epoll_event, 256> events{};
  while (!stopped()) {
    if (interval_ms > 0) beat(start, interval_ms);
    const int count = ::epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), interval_ms > 0 ? 1 : -1);
    for (int i = 0; i < count; ++i) take(connections_[events[static_cast<std::size_t>(i)].data.u32]);
  }
  seconds_ = since(start);
}

void Asker::call(double seconds, std::size_t content_octets) {
  kind_ = bolt::Kind::call;
  content_octets_ = content_octets;
  again_ = true;
  const auto start = Clock::now();
  for (Connection& one : connections_) ask(one);
  std::array<epoll_event, 256> events{};
  while (!stopped() && since(start) < seconds) {
    const int count = ::epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), 100);
    for (int i = 0; i < count; ++i) take(connections_[events[static_cast<std::size_t>(i)].data.u32]);
  }
  seconds_ = since(start);
}

/// Sends what is due by now: the n-th heartbeat at n * interval / connections.
void Asker::beat(Clock::time_point start, double interval_ms) {
  const auto due =
      static_cast<std::size_t>(since(start) * 1e3 / interval_ms * static_cast<double>(connections_.size()));
  for (; turn_ < due; ++turn_) ask(connections_[turn_ % connections_.size()]);
}

void Asker::ask(Connection& one) {
  if (one.fd < 0 || one.waiting) return;
  one.id = next_id_++;
  const std::string frame = bolt::request(kind_, one.id, content_octets_);
  one.asked = Clock::now();
  if (::send(one.fd, frame.data(), frame.size(), 0) != static_cast<ssize_t>(frame.size())) return end(one);
  one.waiting = true;
  ++sent_;
}

void Asker::take(Connection& one) {
  if (one.fd < 0) return;
  std::array<char, 65536> buffer;
  const ssize_t got = ::recv(one.fd, buffer.data(), buffer.size(), 0);
  if (got < 0 && errno == EAGAIN) return;
  if (got <= 0) return end(one);
  one.inbox.append(buffer.data(), static_cast<std::size_t>(got));
  while (one.fd >= 0) {
    const bolt::Shape found = bolt::shape_of(one.inbox);
    if (found.octets == 0 && !found.broken) return;
    one.inbox.erase(0, found.octets);
    const bool right = one.waiting && found.is_answer && found.id == one.id && found.kind == kind_ &&
                       found.status == 0 && found.content_octets == content_octets_;
    if (right)
      times_.push_back(since(one.asked) * 1e6);
    else
      ++wrong_;
    one.waiting = false;
    if (found.broken) return end(one);
    if (again_) ask(one);
  }
}

void Asker::end(Connection& one) {
  ::close(one.fd);
  one.fd = -1;
}

void Asker::report() {
  const auto alive = std::count_if(connections_.begin(), connections_.end(), [](const auto& c) { return c.fd >= 0; });
  std::sort(times_.begin(), times_.end());
  const auto at = [this](double share) {
    return times_.empty() ? 0.0 : times_[static_cast<std::size_t>(share * static_cast<double>(times_.size() - 1))];
  };
  std::printf(
      "{\"alive\": %td, \"sent\": %zu, \"answered\": %zu, \"wrong\": %zu, \"seconds\": %.6f, "
      "\"p50\": %.1f, \"p90\": %.1f, \"p99\": %.1f}\n",
      alive, sent_, times_.size(), wrong_, seconds_, at(0.5), at(0.9), at(0.99));
}

}  // namespace penstock::lab
