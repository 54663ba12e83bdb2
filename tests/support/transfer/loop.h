// loop.h - epoll over many connections, with a timer for those that wait for time alone.
//
// Model     the owner adds connections and is told when one has ended. One thread.
// Not here  what a connection does (connection.h).
#pragma once
#include <sys/epoll.h>

#include <array>
#include <chrono>
#include <functional>
#include <memory>
#include <unordered_map>
#include <vector>

#include "dataplane/core/require.h"
#include "tests/support/transfer/connection.h"

namespace penstock::transfer {

inline Instant steady_now() { return Instant{std::chrono::steady_clock::now().time_since_epoch()}; }

class Loop {
 public:
  using Ended = std::function<void(const Connection&)>;
  explicit Loop(Ended ended) : ended_{std::move(ended)} {}

  /// Calls `ready` when the descriptor is readable.
  void watch(int fd, std::function<void()> ready) {
    others_[fd] = std::move(ready);
    control(EPOLL_CTL_ADD, fd, EPOLLIN);
  }
  void add(std::unique_ptr<Connection> connection) {
    Connection& added = *connection;
    const int fd = added.fd();
    connections_[fd] = std::move(connection);
    added.armed = added.interest(steady_now());
    control(EPOLL_CTL_ADD, fd, added.armed);
  }
  [[nodiscard]] std::size_t open() const { return connections_.size(); }
  template <typename Function>
  void for_each(Function&& function) const {
    for (const auto& [fd, connection] : connections_) function(*connection);
  }

  /// Waits at most `wait` and does what there is to do.
  void turn(Duration wait) {
    std::array<epoll_event, 256> events;
    const auto timeout = std::min(wait, std::max(Duration::zero(), next_due_ - steady_now()));
    const int milliseconds = static_cast<int>((timeout.count() + 999'999) / 1'000'000);
    const int count = ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), milliseconds);
    for (int i = 0; i < count; ++i) dispatch(events[static_cast<std::size_t>(i)]);
    if (steady_now() >= next_due_) visit_due();
  }

 private:
  void control(int operation, int fd, std::uint32_t events) const {
    epoll_event event{};
    event.events = events;
    event.data.fd = fd;
    require(::epoll_ctl(epoll_.get(), operation, fd, &event) == 0, "epoll_ctl");
  }
  void dispatch(const epoll_event& event) {
    const int fd = event.data.fd;
    if (const auto other = others_.find(fd); other != others_.end()) return other->second();
    if (const auto found = connections_.find(fd); found != connections_.end()) visit(found, event.events);
  }
  using Place = std::unordered_map<int, std::unique_ptr<Connection>>::iterator;
  /// Whether the connection is still there.
  bool visit(Place place, std::uint32_t events) {
    Connection& connection = *place->second;
    const int fd = place->first;
    const Instant now = steady_now();
    connection.work(events, now, scratch_);
    if (connection.outcome() != Outcome::running) {
      ended_(connection);
      connections_.erase(place);  // its descriptor is closed, and epoll has forgotten it
      return false;
    }
    const std::uint32_t wanted = connection.interest(now);
    // A hang-up is always reported: whoever does not want to read yet is taken out until it does.
    const bool mute = wanted == 0 && (events & (EPOLLHUP | EPOLLERR)) != 0;
    if (mute && !connection.muted) control(EPOLL_CTL_DEL, fd, 0);
    if (!mute && connection.muted && wanted != 0) {
      control(EPOLL_CTL_ADD, fd, wanted);
      connection.muted = false;
    } else if (!mute && !connection.muted && wanted != connection.armed) {
      control(EPOLL_CTL_MOD, fd, wanted);
    }
    connection.muted = connection.muted || mute;
    connection.armed = wanted;
    next_due_ = std::min(next_due_, connection.due(now));
    return true;
  }
  void visit_due() {
    const Instant now = steady_now();
    next_due_ = Instant::max();
    std::vector<int> due;
    for (const auto& [fd, connection] : connections_) {
      if (connection->interest(now) != connection->armed) due.push_back(fd);
      next_due_ = std::min(next_due_, connection->due(now));
    }
    for (const int fd : due)
      if (const auto found = connections_.find(fd); found != connections_.end()) visit(found, 0);
  }

  Ended ended_;
  Fd epoll_{::epoll_create1(EPOLL_CLOEXEC)};
  std::unordered_map<int, std::unique_ptr<Connection>> connections_;
  std::unordered_map<int, std::function<void()>> others_;
  std::vector<std::byte> scratch_ = std::vector<std::byte>(1 << 16);
  Instant next_due_{Instant::max()};
};

}  // namespace penstock::transfer
