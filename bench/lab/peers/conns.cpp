// conns: many TCP connections: a server that echoes or answers Bolt frames, and a client that opens them, lets them
// rest, sends heartbeats on each, or calls, and tells how long answers took.
//
// Usage   conns serve PORT [--bolt]
//         conns hold ADDRESS PORT COUNT [--interval MS]
//           prints "open MILLISECONDS" when all stand (with an interval: and have answered once); then, with an
//           interval, a Bolt heartbeat per connection and interval, until SIGTERM
//         conns call ADDRESS PORT COUNT SECONDS [--octets N]
//           as many Bolt calls of N octets of content as are answered, one in flight per connection
//         Both end with {"alive": N, "sent": N, "answered": N, "wrong": N, "seconds": S, "p50": us, "p90": us, "p99":
//         us}
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <unordered_map>

#include "bench/lab/peers/asker.h"
#include "bench/lab/peers/words.h"

namespace penstock::lab {
namespace {

class Server {
 public:
  Server(std::uint16_t port, bool bolt) : bolt_{bolt}, listener_{listen_on(port)}, epoll_{::epoll_create1(0)} {
    watch(epoll_, listener_, EPOLLIN, static_cast<std::uint32_t>(listener_));
  }

  void run() {
    std::array<epoll_event, 256> events{};
    while (!stopped()) {
      const int count = ::epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), -1);
      for (int i = 0; i < count; ++i) {
        const int fd = static_cast<int>(events[static_cast<std::size_t>(i)].data.u32);
        if (fd == listener_)
          accept_all();
        else if (!serve(fd))
          end(fd);
      }
    }
  }

 private:
  void accept_all() {
    for (int fresh; (fresh = ::accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK)) >= 0;) {
      no_delay(fresh);
      watch(epoll_, fresh, EPOLLIN, static_cast<std::uint32_t>(fresh));
    }
  }

  /// False when the connection is over.
  bool serve(int fd) {
    const ssize_t got = ::recv(fd, buffer_.data(), buffer_.size(), 0);
    if (got <= 0) return got < 0 && errno == EAGAIN;
    const std::string_view octets{buffer_.data(), static_cast<std::size_t>(got)};
    return bolt_ ? answer(fd, octets) : give(fd, octets);
  }

  /// Answers every whole frame, all in one send.
  bool answer(int fd, std::string_view octets) {
    std::string& inbox = inboxes_[fd];
    inbox += octets;
    out_.clear();
    std::size_t done = 0;
    bolt::Shape found;
    while ((found = bolt::shape_of(std::string_view{inbox}.substr(done))).octets != 0) {
      done += found.octets;
      if (!found.is_answer) out_ += bolt::answer(found);
    }
    inbox.erase(0, done);
    return !found.broken && give(fd, out_);
  }

  static bool give(int fd, std::string_view octets) {
    return octets.empty() || ::send(fd, octets.data(), octets.size(), 0) == static_cast<ssize_t>(octets.size());
  }

  void end(int fd) {
    inboxes_.erase(fd);
    ::close(fd);
  }

  bool bolt_;
  int listener_, epoll_;
  std::unordered_map<int, std::string> inboxes_;
  std::string out_;
  std::array<char, 65536> buffer_{};
};

}  // namespace
}  // namespace penstock::lab

int main(int argc, char** argv) {
  using namespace penstock::lab;
  Words words{argc, argv,
              "conns serve PORT [--bolt] | hold ADDRESS PORT COUNT [--interval MS] | "
              "call ADDRESS PORT COUNT SECONDS [--octets N]"};
  stop_on_signals();
  const bool bolt = words.flag("--bolt");
  const auto interval_ms = words.option("--interval", 0.0);
  const auto octets = words.option("--octets", std::size_t{1024});
  if (words.command("serve")) {
    const std::uint16_t port = words.port();
    words.end();
    Server{port, bolt}.run();
    return 0;
  }
  const bool calls = words.command("call");
  if (!calls && !words.command("hold")) words.refuse("serve, hold or call");
  const std::string address = words.place("ADDRESS");
  const sockaddr_in to = address_of(address, words.port());
  Asker asker{to, words.place_number<std::size_t>("COUNT")};
  const double seconds = calls ? words.place_number<double>("SECONDS") : 0;
  words.end();
  if (!asker.open()) fail("not every connection stands");
  if (interval_ms > 0 && !asker.greet()) fail("not every connection is answered");
  asker.announce();
  if (calls)
    asker.call(seconds, octets);
  else
    asker.hold(interval_ms);
  asker.report();
  return 0;
}
