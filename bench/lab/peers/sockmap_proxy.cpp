// sockmap_proxy: TCP joined inside the kernel: user space accepts, connects and closes; a stream verdict program moves
// the payload from one socket to the other.
//
// Usage   sockmap_proxy PORT=ADDRESS:PORT ...
// Model   a sockhash holds, under a connection's own addresses and ports, the socket of the other side. Before both
//         are in it the program passes payload to the socket, and user space carries that once.
// Limits  payload may still be on its way inside the map when the FIN is seen: the FIN is passed on when the other
//         side was given as many octets, looked at every kLinger. Octets that arrive while a socket is put into the map
//         are carried by hand and may, rarely, overtake those behind them. The map takes established sockets only: who
//         half-closes before the server's connection stands is closed. Where one side closes right behind its last
//         octets, some are lost now and then: good for kept connections, as a peer to measure. IPv4 only.
#include <bpf/bpf.h>
#include <linux/bpf.h>
#include <linux/tcp.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <deque>
#include <unordered_map>

#include "bench/lab/peers/net.h"
#include "bench/lab/peers/words.h"

namespace penstock::lab {
namespace {

using Clock = std::chrono::steady_clock;
constexpr auto kLinger = std::chrono::milliseconds{10};
constexpr auto kLingerMax = std::chrono::seconds{5};
constexpr int kReadsMax = 64;
constexpr std::uint32_t kConnectionsMax = 65536;

struct Key {
  std::uint32_t remote_address, local_address, remote_port, local_port;  // as struct __sk_buff shows them
};

Key key_of(int fd) {
  sockaddr_in local{}, remote{};
  socklen_t size = sizeof local;
  ::getsockname(fd, reinterpret_cast<sockaddr*>(&local), &size);
  size = sizeof remote;
  ::getpeername(fd, reinterpret_cast<sockaddr*>(&remote), &size);
  return {remote.sin_addr.s_addr, local.sin_addr.s_addr, static_cast<std::uint32_t>(remote.sin_port) << 16,
          ntohs(local.sin_port)};
}

constexpr bpf_insn field(std::size_t offset) {
  return {BPF_LDX | BPF_W | BPF_MEM, 2, 6, static_cast<std::int16_t>(offset), 0};
}
constexpr bpf_insn store(std::int16_t at) { return {BPF_STX | BPF_W | BPF_MEM, 10, 2, at, 0}; }

/// Redirect to the socket that is stored under this one's key; pass when there is none yet.
int load_verdict(int map) {
  const std::array<bpf_insn, 19> program{{
      {BPF_ALU64 | BPF_MOV | BPF_X, 6, 1, 0, 0},  // r6 = ctx
      field(offsetof(__sk_buff, remote_ip4)),
      store(-16),
      field(offsetof(__sk_buff, local_ip4)),
      store(-12),
      field(offsetof(__sk_buff, remote_port)),
      store(-8),
      field(offsetof(__sk_buff, local_port)),
      store(-4),
      {BPF_ALU64 | BPF_MOV | BPF_X, 1, 6, 0, 0},
      {BPF_LD | BPF_DW | BPF_IMM, 2, BPF_PSEUDO_MAP_FD, 0, map},
      {0, 0, 0, 0, 0},
      {BPF_ALU64 | BPF_MOV | BPF_X, 3, 10, 0, 0},
      {BPF_ALU64 | BPF_ADD | BPF_K, 3, 0, 0, -16},
      {BPF_ALU64 | BPF_MOV | BPF_K, 4, 0, 0, 0},
      {BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_sk_redirect_hash},
      {BPF_JMP | BPF_JNE | BPF_K, 0, 0, 1, SK_DROP},
      {BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, SK_PASS},
      {BPF_JMP | BPF_EXIT, 0, 0, 0, 0},
  }};
  const int fd = ::bpf_prog_load(BPF_PROG_TYPE_SK_SKB, "lab_join", "GPL", program.data(), program.size(), nullptr);
  if (fd < 0) fail("the verdict program does not load");
  if (::bpf_prog_attach(fd, map, BPF_SK_SKB_STREAM_VERDICT, 0) != 0) fail("the verdict program does not attach");
  return fd;
}

struct Leg {
  int other = -1;
  std::uint64_t serial = 0;  // descriptors are used again
  bool joined = false, ended = false, passed_on = false;
  Clock::time_point ended_at{};
};

class Proxy {
 public:
  explicit Proxy(const std::vector<Route>& routes)
      : epoll_{::epoll_create1(0)},
        map_{::bpf_map_create(BPF_MAP_TYPE_SOCKHASH, "lab_join", sizeof(Key), sizeof(std::uint32_t), kConnectionsMax,
                              nullptr)} {
    if (map_ < 0) fail("sockhash");
    load_verdict(map_);
    for (const Route& route : routes) {
      const int fd = listen_on(route.listen_port);
      listeners_[fd] = route.to;
      watch(fd, EPOLLIN, EPOLL_CTL_ADD);
    }
  }

  void run() {
    std::array<epoll_event, 256> events{};
    while (!stopped()) {
      const int count = ::epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), closing_.empty() ? -1 : 5);
      for (int i = 0; i < count; ++i) {
        const int fd = events[static_cast<std::size_t>(i)].data.fd;
        if (listeners_.contains(fd))
          accept_all(fd);
        else if (legs_.contains(fd))
          serve(fd, events[static_cast<std::size_t>(i)].events);
      }
      close_due();
    }
  }

 private:
  void watch(int fd, std::uint32_t interest, int operation) {
    epoll_event event{};
    event.events = interest;
    event.data.fd = fd;
    ::epoll_ctl(epoll_, operation, fd, &event);
  }

  void accept_all(int listener) {
    while (true) {
      const int fd = ::accept4(listener, nullptr, nullptr, SOCK_NONBLOCK);
      if (fd < 0) return;
      no_delay(fd);
      const int far = begin_connect(listeners_[listener]);
      if (far < 0) {
        ::close(fd);
        continue;
      }
      legs_[fd] = {far, ++serial_, false, false, false, {}};
      legs_[far] = {fd, ++serial_, false, false, false, {}};
      watch(fd, EPOLLRDHUP, EPOLL_CTL_ADD);
      watch(far, EPOLLOUT | EPOLLRDHUP, EPOLL_CTL_ADD);
    }
  }

  void serve(int fd, std::uint32_t events) {
    Leg& leg = legs_[fd];
    if (events & EPOLLERR) return end(fd);
    if ((events & EPOLLOUT) && !leg.joined && !join(leg.other, fd)) return end(fd);
    if ((events & (EPOLLRDHUP | EPOLLHUP)) && !leg.ended && leg.joined) {
      leg.ended = true;
      leg.ended_at = Clock::now();
      watch(fd, 0, EPOLL_CTL_MOD);
      closing_.push_back({Clock::now() + kLinger, fd, leg.serial});
    }
  }

  bool join(int client, int server) {
    const Key of_client = key_of(client), of_server = key_of(server);
    if (!carry(client, server, 1)) return false;  // the request usually came before
    if (::bpf_map_update_elem(map_, &of_server, &client, BPF_ANY) != 0 ||
        ::bpf_map_update_elem(map_, &of_client, &server, BPF_ANY) != 0)
      return false;
    legs_[client].joined = legs_[server].joined = true;
    watch(server, EPOLLRDHUP, EPOLL_CTL_MOD);
    watch(client, EPOLLRDHUP, EPOLL_CTL_MOD);  // tells again what was ended before
    return carry(client, server) && carry(server, client);
  }

  /// What is in a socket's own queue goes to the other side by hand.
  static bool carry(int from, int to, int reads_max = kReadsMax) {
    std::array<char, 65536> buffer{};
    for (int reads = 0; reads < reads_max; ++reads) {
      const ssize_t got = ::recv(from, buffer.data(), buffer.size(), MSG_DONTWAIT);
      if (got <= 0) return true;
      for (ssize_t done = 0; done < got;) {
        const ssize_t sent = ::send(to, buffer.data() + done, static_cast<std::size_t>(got - done), MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN) return false;
        pollfd room{to, POLLOUT, 0};
        if (sent < 0 && ::poll(&room, 1, 1000) != 1) return false;
        done += std::max<ssize_t>(sent, 0);
      }
    }
    return true;
  }

  /// Has all that `from` received been handed to `to`? (The FIN may count as one octet.)
  static bool moved(int from, int to) {
    tcp_info in{}, out{};
    socklen_t size = sizeof in;
    ::getsockopt(from, IPPROTO_TCP, TCP_INFO, &in, &size);
    size = sizeof out;
    ::getsockopt(to, IPPROTO_TCP, TCP_INFO, &out, &size);
    return out.tcpi_bytes_sent - out.tcpi_bytes_retrans + out.tcpi_notsent_bytes + 1 >= in.tcpi_bytes_received;
  }

  void close_due() {
    const auto now = Clock::now();
    while (!closing_.empty() && closing_.front().at <= now) {
      const auto [at, fd, serial] = closing_.front();
      closing_.pop_front();
      const auto found = legs_.find(fd);
      if (found == legs_.end() || found->second.serial != serial) continue;
      const auto other = legs_.find(found->second.other);
      if (other == legs_.end())
        end(fd);
      else if (!moved(fd, other->first) && now < found->second.ended_at + kLingerMax)
        closing_.push_back({now + kLinger, fd, serial});
      else if (found->second.passed_on = true; other->second.passed_on)
        end(fd);
      else
        ::shutdown(other->first, SHUT_WR);
    }
  }

  void end(int fd) {
    const int other = legs_[fd].other;
    for (const int one : {fd, other}) {
      ::close(one);
      legs_.erase(one);
    }
  }

  struct Due {
    Clock::time_point at;
    int fd;
    std::uint64_t serial;
  };
  int epoll_, map_;
  std::uint64_t serial_ = 0;
  std::unordered_map<int, sockaddr_in> listeners_;
  std::unordered_map<int, Leg> legs_;
  std::deque<Due> closing_;
};

}  // namespace
}  // namespace penstock::lab

int main(int argc, char** argv) {
  using namespace penstock::lab;
  const std::vector<Route> routes = Words{argc, argv, "sockmap_proxy PORT=ADDRESS:PORT ..."}.routes();
  stop_on_signals();
  Proxy proxy{routes};
  proxy.run();
  return 0;
}
