// uring_proxy: the same proxy over io_uring: multishot accept, then receive and send chained by completions.
//
// Usage   uring_proxy [--sqpoll] PORT=ADDRESS:PORT ...     --sqpoll: a kernel thread polls for submissions
// Model   each leg has one operation in flight that reads from it: receive into the leg's buffer, send that to the
//         other leg until all of it is gone, receive again. Submissions of one round of completions go in one system
//         call.
// Limits  16 KiB per leg; a pair is freed when nothing of it is in flight.
#include <liburing.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <memory>

#include "bench/lab/peers/net.h"
#include "bench/lab/peers/words.h"

namespace penstock::lab {
namespace {

constexpr unsigned kEntries = 4096;
constexpr unsigned kSqpollIdleMs = 50;
enum class Op : std::uint64_t { accept, connect, receive, send };
constexpr std::uint64_t kOpMask = 7;

struct Pair;
struct alignas(8) Leg {
  Pair* pair = nullptr;
  Leg* other = nullptr;
  int fd = -1;
  std::size_t held = 0, sent = 0;
  bool ended = false;
  std::array<char, 16384> buffer{};
};
struct Pair {
  Leg client, server;
  int in_flight = 0;
  bool dying = false;
  sockaddr_in to{};
};
struct alignas(8) Listener {
  int fd;
  const Route* route;
};

class Proxy {
 public:
  Proxy(const std::vector<Route>& routes, bool sqpoll) {
    io_uring_params params{};
    if (sqpoll) {
      params.flags = IORING_SETUP_SQPOLL;
      params.sq_thread_idle = kSqpollIdleMs;
    } else {
      params.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_COOP_TASKRUN;
    }
    const int code = ::io_uring_queue_init_params(kEntries, &ring_, &params);
    if (code < 0) {
      errno = -code;
      fail("io_uring");
    }
    for (const Route& route : routes)
      listeners_.push_back(std::make_unique<Listener>(Listener{listen_on(route.listen_port), &route}));
    for (const auto& listener : listeners_) accept(*listener);
  }
  ~Proxy() { ::io_uring_queue_exit(&ring_); }
  Proxy(const Proxy&) = delete;
  Proxy& operator=(const Proxy&) = delete;

  void run() {
    while (!stopped()) {
      const int code = ::io_uring_submit_and_wait(&ring_, 1);
      if (code < 0 && code != -EINTR) return;
      io_uring_cqe* entry = nullptr;
      unsigned head = 0, count = 0;
      io_uring_for_each_cqe(&ring_, head, entry) {
        ++count;
        handle(*entry);
      }
      ::io_uring_cq_advance(&ring_, count);
    }
  }

 private:
  io_uring_sqe* entry_for(void* object, Op op) {
    io_uring_sqe* entry = ::io_uring_get_sqe(&ring_);
    while (entry == nullptr) {
      ::io_uring_submit(&ring_);
      entry = ::io_uring_get_sqe(&ring_);
    }
    entry->user_data = 0;
    tag_ = reinterpret_cast<std::uint64_t>(object) | static_cast<std::uint64_t>(op);
    return entry;
  }

  void accept(Listener& listener) {
    io_uring_sqe* entry = entry_for(&listener, Op::accept);
    ::io_uring_prep_multishot_accept(entry, listener.fd, nullptr, nullptr, 0);
    entry->user_data = tag_;
  }

  void receive(Leg& leg) {
    io_uring_sqe* entry = entry_for(&leg, Op::receive);
    ::io_uring_prep_recv(entry, leg.fd, leg.buffer.data(), leg.buffer.size(), 0);
    entry->user_data = tag_;
    ++leg.pair->in_flight;
  }

  void send(Leg& from) {
    io_uring_sqe* entry = entry_for(&from, Op::send);
    ::io_uring_prep_send(entry, from.other->fd, from.buffer.data() + from.sent, from.held - from.sent, MSG_NOSIGNAL);
    entry->user_data = tag_;
    ++from.pair->in_flight;
  }

  void handle(const io_uring_cqe& entry) {
    auto* object = reinterpret_cast<void*>(entry.user_data & ~kOpMask);
    const auto op = static_cast<Op>(entry.user_data & kOpMask);
    if (op == Op::accept) {
      auto& listener = *static_cast<Listener*>(object);
      if (entry.res >= 0) begin(listener, entry.res);
      if (!(entry.flags & IORING_CQE_F_MORE)) accept(listener);
      return;
    }
    auto& leg = *static_cast<Leg*>(object);
    --leg.pair->in_flight;
    if (!leg.pair->dying) {
      if (op == Op::connect) connected(leg, entry.res);
      if (op == Op::receive) received(leg, entry.res);
      if (op == Op::send) sent(leg, entry.res);
    }
    if (leg.pair->dying && leg.pair->in_flight == 0) bury(leg.pair);
  }

  void begin(const Listener& listener, int fd) {
    auto* pair = new Pair{};
    pair->client.pair = pair->server.pair = pair;
    pair->client.other = &pair->server;
    pair->server.other = &pair->client;
    pair->client.fd = fd;
    pair->server.fd = ::socket(AF_INET, SOCK_STREAM, 0);
    pair->to = listener.route->to;
    no_delay(fd);
    no_delay(pair->server.fd);
    io_uring_sqe* entry = entry_for(&pair->server, Op::connect);
    ::io_uring_prep_connect(entry, pair->server.fd, reinterpret_cast<sockaddr*>(&pair->to), sizeof pair->to);
    entry->user_data = tag_;
    ++pair->in_flight;
  }

  void connected(Leg& server, int result) {
    if (result < 0) return end(*server.pair);
    receive(*server.other);
    receive(server);
  }

  void received(Leg& leg, int result) {
    if (result < 0) return end(*leg.pair);
    if (result == 0) {
      leg.ended = true;
      ::shutdown(leg.other->fd, SHUT_WR);
      if (leg.other->ended) end(*leg.pair);
      return;
    }
    leg.held = static_cast<std::size_t>(result);
    leg.sent = 0;
    send(leg);
  }

  void sent(Leg& from, int result) {
    if (result <= 0) return end(*from.pair);
    from.sent += static_cast<std::size_t>(result);
    if (from.sent < from.held)
      send(from);
    else
      receive(from);
  }

  /// Wakes whatever is in flight; the last completion frees the pair.
  void end(Pair& pair) {
    pair.dying = true;
    ::shutdown(pair.client.fd, SHUT_RDWR);
    ::shutdown(pair.server.fd, SHUT_RDWR);
  }

  static void bury(Pair* pair) {
    ::close(pair->client.fd);
    ::close(pair->server.fd);
    delete pair;
  }

  io_uring ring_{};
  std::uint64_t tag_ = 0;
  std::vector<std::unique_ptr<Listener>> listeners_;
};

}  // namespace
}  // namespace penstock::lab

int main(int argc, char** argv) {
  using namespace penstock::lab;
  Words words{argc, argv, "uring_proxy [--sqpoll] PORT=ADDRESS:PORT ..."};
  const bool sqpoll = words.flag("--sqpoll");
  const std::vector<Route> routes = words.routes();
  stop_on_signals();
  Proxy proxy{routes, sqpoll};
  proxy.run();
  return 0;
}
