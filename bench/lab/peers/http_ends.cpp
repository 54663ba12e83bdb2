// http_ends: both ends of kept HTTP connections in XDP (http_ends.bpf.c), so that a run costs what the device between
// them costs.
//
// Usage   http_ends serve INTERFACE PORT [--body OCTETS]
//                    prints "ready"; ends on SIGTERM
//         http_ends ask INTERFACE TO-MAC FROM-IP TO-IP TO-PORT [--connections N]
//                    prints "ready" when every connection has had an answer; {"answers", "slowest", "odd", "resets"}
//                    for every octet on its input; at its end or SIGTERM the connections are reset
// Model   `ask` sends the SYNs by a packet socket and counts; everything else happens in XDP, one request at a time on
//         each connection, as fast as answers come. "slowest" is the connection with the fewest answers since the last
//         line.
// Needs   the far end of INTERFACE must take frames from XDP: a program of its own, or GRO on.
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/if_link.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "bench/lab/peers/frames.h"
#include "bench/lab/peers/http_ends.h"
#include "bench/lab/peers/net.h"
#include "bench/lab/peers/words.h"

extern "C" {
extern const std::byte http_ends_object_begin[];
extern const std::byte http_ends_object_end[];
}

namespace penstock::lab {
namespace {

using namespace std::chrono_literals;
constexpr std::uint16_t kLowPort = 20000;
constexpr std::size_t kBodyMax = HTTP_ENDS_PAYLOAD_MAX - 80;  // the answer's head is shorter
constexpr std::chrono::milliseconds kOpenWait = 5s, kAgain = 50ms;

/// One of the programs on one interface; detached with its fds.
class End {
 public:
  End(const char* program, const char* interface, const http_ends_setup& setup, const std::string& text) {
    LIBBPF_OPTS(bpf_object_open_opts, options, .object_name = "http_ends");
    object_ = ::bpf_object__open_mem(http_ends_object_begin,
                                     static_cast<std::size_t>(http_ends_object_end - http_ends_object_begin), &options);
    if (object_ == nullptr || ::bpf_object__load(object_) != 0) fail("the programs do not load");
    setup_ = setup;
    setup_.payload_octets = static_cast<std::uint32_t>(text.size());
    const auto* octets = reinterpret_cast<const std::uint8_t*>(text.data());
    const std::uint16_t sum = ones_sum({octets, text.size()});
    setup_.payload_sum = static_cast<std::uint32_t>(__builtin_bswap16(sum));
    http_ends_payload payload{};
    std::copy_n(octets, text.size(), payload.octets);
    put("payload", &payload);
    put("setup", &setup_);
    LIBBPF_OPTS(bpf_link_create_opts, link, .flags = XDP_FLAGS_DRV_MODE);
    const int fd = ::bpf_program__fd(::bpf_object__find_program_by_name(object_, program));
    if (::bpf_link_create(fd, static_cast<int>(::if_nametoindex(interface)), BPF_XDP, &link) < 0)
      fail(std::string{program} + " on " + interface);
  }

  void stop() {
    setup_.stop = 1;
    put("setup", &setup_);
  }

  [[nodiscard]] http_ends_counts counts() const {
    std::vector<http_ends_counts> rows(static_cast<std::size_t>(::libbpf_num_possible_cpus()));
    const std::uint32_t key = 0;
    if (::bpf_map_lookup_elem(map("counts"), &key, rows.data()) != 0) fail("counts");
    http_ends_counts sum{};
    for (const http_ends_counts& row : rows) {
      sum.turns += row.turns;
      sum.odd += row.odd;
      sum.resets += row.resets;
    }
    return sum;
  }

  [[nodiscard]] std::uint64_t answers_of(std::uint32_t connection) const {
    std::uint64_t value = 0;
    if (::bpf_map_lookup_elem(map("connections"), &connection, &value) != 0) fail("connections");
    return value;
  }

 private:
  [[nodiscard]] int map(const char* name) const { return ::bpf_object__find_map_fd_by_name(object_, name); }
  void put(const char* name, const void* value) const {
    const std::uint32_t key = 0;
    if (::bpf_map_update_elem(map(name), &key, value, BPF_ANY) != 0) fail(name);
  }

  bpf_object* object_ = nullptr;
  http_ends_setup setup_{};
};

/// Sends whole frames out of an interface.
class Wire {
 public:
  explicit Wire(const char* interface) : fd_{::socket(AF_PACKET, SOCK_RAW, 0)} {
    if (fd_ < 0) fail(interface);
    to_.sll_family = AF_PACKET;
    to_.sll_ifindex = static_cast<int>(::if_nametoindex(interface));
  }
  ~Wire() { ::close(fd_); }
  Wire(const Wire&) = delete;
  Wire& operator=(const Wire&) = delete;
  void send(const FrameOctets& frame) const {
    if (::sendto(fd_, frame.data(), frame.size(), 0, reinterpret_cast<const sockaddr*>(&to_), sizeof to_) < 0)
      fail("SYN");
  }

 private:
  int fd_;
  sockaddr_ll to_{};
};

/// SYNs for those without an answer, until all have one.
bool open_all(const End& end, const Wire& wire, const Template& syn, std::uint32_t connections) {
  const auto until = std::chrono::steady_clock::now() + kOpenWait;
  std::vector<bool> stands(connections);
  while (std::chrono::steady_clock::now() < until && !stopped()) {
    for (std::uint32_t n = 0; n < connections; ++n)
      if (!stands[n]) wire.send(syn_frame(syn, static_cast<std::uint16_t>(kLowPort + n)));
    std::this_thread::sleep_for(kAgain);
    for (std::uint32_t n = 0; n < connections; ++n) stands[n] = end.answers_of(n) != 0;
    if (std::count(stands.begin(), stands.end(), false) == 0) return true;
  }
  std::fprintf(stderr, "%ld of %u connections have no answer\n",
               static_cast<long>(std::count(stands.begin(), stands.end(), false)), connections);
  return false;
}

int ask(const char* interface, Template syn, const std::string& host, std::uint32_t connections) {
  const Wire wire{interface};
  syn.from_mac = mac_of_interface(interface);
  End end{"client_end",
          interface,
          {htons(syn.to_port), kLowPort, connections, 0, 0, 0},
          "GET / HTTP/1.1\r\nHost: " + host + "\r\n\r\n"};
  if (!open_all(end, wire, syn, connections)) return 1;
  std::puts("ready");
  std::fflush(stdout);
  std::vector<std::uint64_t> before(connections);
  char asked = 0;
  while (!stopped() && ::read(0, &asked, 1) == 1) {
    const http_ends_counts now = end.counts();
    std::uint64_t slowest = ~std::uint64_t{0};
    for (std::uint32_t n = 0; n < connections; ++n) {
      const std::uint64_t answers = end.answers_of(n);
      slowest = std::min(slowest, answers - std::exchange(before[n], answers));
    }
    std::printf("{\"answers\": %llu, \"slowest\": %llu, \"odd\": %llu, \"resets\": %llu}\n",
                static_cast<unsigned long long>(now.turns), static_cast<unsigned long long>(slowest),
                static_cast<unsigned long long>(now.odd), static_cast<unsigned long long>(now.resets));
    std::fflush(stdout);
  }
  end.stop();
  std::this_thread::sleep_for(kAgain);
  return 0;
}

int serve(const char* interface, std::uint16_t port, std::size_t body) {
  std::string text =
      "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: " + std::to_string(body) + "\r\n\r\n";
  text += std::string(body, 'x');
  const End end{"server_end", interface, {htons(port), 0, 0, 0, 0, 0}, text};
  std::puts("ready");
  std::fflush(stdout);
  while (!stopped()) ::pause();
  return 0;
}

}  // namespace
}  // namespace penstock::lab

int main(int argc, char** argv) {
  using namespace penstock::lab;
  stop_on_signals();
  Words words{argc, argv,
              "http_ends serve INTERFACE PORT [--body OCTETS] | "
              "ask INTERFACE TO-MAC FROM-IP TO-IP TO-PORT [--connections N]"};
  const auto body = words.option("--body", std::size_t{100});
  const auto connections = words.option("--connections", 64U);
  if (body > kBodyMax) words.refuse("--body: at most " + std::to_string(kBodyMax));
  if (connections == 0 || connections > HTTP_ENDS_CONNECTIONS_MAX) words.refuse("--connections: 1 to 1024");
  const bool serves = words.command("serve");
  if (!serves && !words.command("ask")) words.refuse("serve or ask");
  const std::string interface = words.place("INTERFACE");
  if (serves) {
    const std::uint16_t port = words.port();
    words.end();
    return serve(interface.c_str(), port, body);
  }
  Template syn{};
  syn.to_mac = parse_mac(words.place("TO-MAC"));
  syn.from = host_address(words.place("FROM-IP"));
  const std::string host = words.place("TO-IP");
  syn.to = host_address(host);
  syn.to_port = words.port();
  words.end();
  return ask(interface.c_str(), syn, host, connections);
}
