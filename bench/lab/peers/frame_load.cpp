// frame_load: 64-octet frames out of an AF_XDP socket at a given rate, or as fast as the kernel takes them; and their
// counting, in XDP, where they arrive.
//
// Usage   frame_load send INTERFACE TO-MAC FROM-IP TO-IP TO-PORT SECONDS [--rate FRAMES/S] [--flows N] [--syn]
//                    prints {"sent": N, "seconds": S}
//         frame_load count INTERFACE UDP-PORT
//                    prints "ready", and {"received": N} for every octet on its input and on SIGTERM
// Model   frames are written once into the socket's memory, kDistinct of them, and sent again and again: sending costs
//         a descriptor and a share of a system call. In copy mode the kernel copies every frame.
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <linux/bpf.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>
#include <xdp/xsk.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "bench/lab/peers/frames.h"
#include "bench/lab/peers/net.h"
#include "bench/lab/peers/words.h"

namespace penstock::lab {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::uint32_t kDistinct = 16384;  // for SYNs: so many source addresses and ports
constexpr std::uint32_t kSlotOctets = XSK_UMEM__DEFAULT_FRAME_SIZE / 2;
constexpr std::uint32_t kRing = 2048, kBatch = 32;  // the kernel sends 32 per call in copy mode

/// A socket that only sends; the frames are in place.
class Sender {
 public:
  Sender(const char* interface, const Template& what) {
    const std::size_t octets = std::size_t{kDistinct} * kSlotOctets;
    memory_ =
        static_cast<std::uint8_t*>(::mmap(nullptr, octets, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    if (memory_ == MAP_FAILED) fail("mmap");
    for (std::uint32_t n = 0; n < kDistinct; ++n) {
      const FrameOctets frame = frame_of(what, n);
      std::copy(frame.begin(), frame.end(), memory_ + std::size_t{n} * kSlotOctets);
    }
    xsk_umem_config umem_config{};
    umem_config.fill_size = umem_config.comp_size = kRing;
    umem_config.frame_size = kSlotOctets;
    int code = ::xsk_umem__create(&umem_, memory_, octets, &fill_, &done_, &umem_config);
    xsk_socket_config config{};
    config.rx_size = 0;
    config.tx_size = kRing;
    config.libxdp_flags = XSK_LIBXDP_FLAGS__INHIBIT_PROG_LOAD;
    config.bind_flags = XDP_COPY;
    if (code == 0) code = ::xsk_socket__create(&socket_, interface, 0, umem_, nullptr, &out_, &config);
    if (code != 0) {
      errno = -code;
      fail(std::string{"AF_XDP socket on "} + interface);
    }
  }

  /// Up to `wanted` frames; how many were queued.
  std::uint32_t send(std::uint32_t wanted) {
    std::uint32_t at = 0;
    const std::uint32_t freed = ::xsk_ring_cons__peek(&done_, kBatch, &at);
    ::xsk_ring_cons__release(&done_, freed);
    const std::uint32_t count = ::xsk_ring_prod__reserve(&out_, std::min(wanted, kBatch), &at);
    for (std::uint32_t i = 0; i < count; ++i) {
      xdp_desc* slot = ::xsk_ring_prod__tx_desc(&out_, at + i);
      slot->addr = std::uint64_t{next_++ % kDistinct} * kSlotOctets;
      slot->len = kFrameOctets;
      slot->options = 0;
    }
    ::xsk_ring_prod__submit(&out_, count);
    ::sendto(::xsk_socket__fd(socket_), nullptr, 0, MSG_DONTWAIT, nullptr, 0);
    return count;
  }

 private:
  std::uint8_t* memory_ = nullptr;
  xsk_umem* umem_ = nullptr;
  xsk_socket* socket_ = nullptr;
  xsk_ring_prod fill_{}, out_{};
  xsk_ring_cons done_{};
  std::uint32_t next_ = 0;
};

int send_frames(const char* interface, const Template& what, double seconds, double rate) {
  Sender sender{interface, what};
  const auto start = Clock::now();
  std::uint64_t sent = 0;
  double elapsed = 0;
  while (elapsed < seconds && !stopped()) {
    elapsed = std::chrono::duration<double>(Clock::now() - start).count();
    const double due = rate > 0 ? rate * elapsed - static_cast<double>(sent) : kBatch;
    if (due < 1)
      std::this_thread::sleep_for(std::chrono::microseconds{200});
    else
      sent += sender.send(static_cast<std::uint32_t>(std::min(due, double{kBatch})));
  }
  std::printf("{\"sent\": %llu, \"seconds\": %.6f}\n", static_cast<unsigned long long>(sent), elapsed);
  return 0;
}

/// Counts UDP over IPv4 to one port and drops it; everything else passes.
int load_counter(int map, std::uint16_t port) {
  const std::array<bpf_insn, 28> program{{
      {BPF_LDX | BPF_W | BPF_MEM, 2, 1, 0, 0},     // r2 = data
      {BPF_LDX | BPF_W | BPF_MEM, 3, 1, 4, 0},     // r3 = data_end
      {BPF_ALU64 | BPF_MOV | BPF_X, 4, 2, 0, 0},   //
      {BPF_ALU64 | BPF_ADD | BPF_K, 4, 0, 0, 42},  //
      {BPF_JMP | BPF_JGT | BPF_X, 4, 3, 20, 0},    // too short: pass
      {BPF_LDX | BPF_H | BPF_MEM, 5, 2, 12, 0},    //
      {BPF_JMP | BPF_JNE | BPF_K, 5, 0, 18, htons(0x0800)},
      {BPF_LDX | BPF_B | BPF_MEM, 5, 2, 23, 0},  //
      {BPF_JMP | BPF_JNE | BPF_K, 5, 0, 16, IPPROTO_UDP},
      {BPF_LDX | BPF_H | BPF_MEM, 5, 2, 36, 0},  //
      {BPF_JMP | BPF_JNE | BPF_K, 5, 0, 14, htons(port)},
      {BPF_ST | BPF_W | BPF_MEM, 10, 0, -4, 0},    // key 0
      {BPF_ALU64 | BPF_MOV | BPF_X, 2, 10, 0, 0},  //
      {BPF_ALU64 | BPF_ADD | BPF_K, 2, 0, 0, -4},  //
      {BPF_LD | BPF_DW | BPF_IMM, 1, BPF_PSEUDO_MAP_FD, 0, map},
      {0, 0, 0, 0, 0},  //
      {BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_map_lookup_elem},
      {BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 5, 0},    // no such key: drop
      {BPF_LDX | BPF_DW | BPF_MEM, 1, 0, 0, 0},   //
      {BPF_ALU64 | BPF_ADD | BPF_K, 1, 0, 0, 1},  //
      {BPF_STX | BPF_DW | BPF_MEM, 0, 1, 0, 0},   //
      {BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, XDP_DROP},
      {BPF_JMP | BPF_EXIT, 0, 0, 0, 0},  //
      {BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, XDP_DROP},
      {BPF_JMP | BPF_EXIT, 0, 0, 0, 0},  //
      {BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, XDP_PASS},
      {BPF_JMP | BPF_EXIT, 0, 0, 0, 0},  //
      {BPF_JMP | BPF_EXIT, 0, 0, 0, 0},  //
  }};
  const int fd = ::bpf_prog_load(BPF_PROG_TYPE_XDP, "lab_count", "GPL", program.data(), 27, nullptr);
  if (fd < 0) fail("the counting program does not load");
  return fd;
}

void tell_count(int map) {
  std::vector<std::uint64_t> counts(static_cast<std::size_t>(::libbpf_num_possible_cpus()));
  const std::uint32_t key = 0;
  if (::bpf_map_lookup_elem(map, &key, counts.data()) != 0) fail("counter");
  std::uint64_t sum = 0;
  for (const std::uint64_t one : counts) sum += one;
  std::printf("{\"received\": %llu}\n", static_cast<unsigned long long>(sum));
  std::fflush(stdout);
}

int count_frames(const char* interface, std::uint16_t port) {
  const int map = ::bpf_map_create(BPF_MAP_TYPE_PERCPU_ARRAY, "lab_count", 4, 8, 1, nullptr);
  LIBBPF_OPTS(bpf_link_create_opts, options, .flags = XDP_FLAGS_DRV_MODE);
  if (map < 0 ||
      ::bpf_link_create(load_counter(map, port), static_cast<int>(::if_nametoindex(interface)), BPF_XDP, &options) < 0)
    fail(std::string{"counting on "} + interface);
  std::puts("ready");
  std::fflush(stdout);
  char asked = 0;
  while (!stopped() && ::read(0, &asked, 1) == 1) tell_count(map);
  while (!stopped()) ::pause();
  tell_count(map);
  return 0;
}

}  // namespace
}  // namespace penstock::lab

int main(int argc, char** argv) {
  using namespace penstock::lab;
  stop_on_signals();
  Words words{argc, argv,
              "frame_load send INTERFACE TO-MAC FROM-IP TO-IP TO-PORT SECONDS [--rate N] [--flows N] [--syn] | "
              "count INTERFACE UDP-PORT"};
  const auto rate = words.option("--rate", 0.0);
  Template what{};
  what.flows = std::max(1U, words.option("--flows", 64U));
  what.syn = words.flag("--syn");
  const bool counts = words.command("count");
  if (!counts && !words.command("send")) words.refuse("send or count");
  const std::string interface = words.place("INTERFACE");
  if (counts) {
    const std::uint16_t port = words.port();
    words.end();
    return count_frames(interface.c_str(), port);
  }
  what.from_mac = mac_of_interface(interface.c_str());
  what.to_mac = parse_mac(words.place("TO-MAC"));
  what.from = host_address(words.place("FROM-IP"));
  what.to = host_address(words.place("TO-IP"));
  what.to_port = words.port();
  const auto seconds = words.place_number<double>("SECONDS");
  words.end();
  return send_frames(interface.c_str(), what, seconds, rate);
}
