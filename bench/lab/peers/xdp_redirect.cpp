// xdp_redirect: frames of one interface leave by the other, in XDP, both ways; nothing is read.
//
// Usage   xdp_redirect INTERFACE INTERFACE     prints "ready", ends on SIGTERM
// Needs   the far ends of a veth must be able to take redirected frames: GRO on, or a program of their own.
#include <bpf/bpf.h>
#include <linux/bpf.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <unistd.h>

#include <array>
#include <cstdio>

#include "bench/lab/peers/net.h"
#include "bench/lab/peers/words.h"

namespace {
using penstock::lab::fail;

int load(int map, int slot) {
  const std::array<bpf_insn, 6> program{{
      {BPF_LD | BPF_DW | BPF_IMM, 1, BPF_PSEUDO_MAP_FD, 0, map},
      {0, 0, 0, 0, 0},
      {BPF_ALU64 | BPF_MOV | BPF_K, 2, 0, 0, slot},
      {BPF_ALU64 | BPF_MOV | BPF_K, 3, 0, 0, 0},
      {BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_redirect_map},
      {BPF_JMP | BPF_EXIT, 0, 0, 0, 0},
  }};
  const int fd = ::bpf_prog_load(BPF_PROG_TYPE_XDP, "lab_redirect", "GPL", program.data(), program.size(), nullptr);
  if (fd < 0) fail("the program does not load");
  return fd;
}
}  // namespace

int main(int argc, char** argv) {
  penstock::lab::Words words{argc, argv, "xdp_redirect INTERFACE INTERFACE"};
  const std::array<std::string, 2> names{words.place("INTERFACE"), words.place("INTERFACE")};
  words.end();
  penstock::lab::stop_on_signals();
  const int map = ::bpf_map_create(BPF_MAP_TYPE_DEVMAP, "lab_ports", 4, 4, 2, nullptr);
  if (map < 0) fail("devmap");
  std::array<std::uint32_t, 2> index{};
  for (std::uint32_t slot = 0; slot < 2; ++slot) {
    index[slot] = ::if_nametoindex(names[slot].c_str());
    if (index[slot] == 0 || ::bpf_map_update_elem(map, &slot, &index[slot], 0) != 0) fail(names[slot]);
  }
  LIBBPF_OPTS(bpf_link_create_opts, options, .flags = XDP_FLAGS_DRV_MODE);
  for (std::size_t slot = 0; slot < 2; ++slot) {
    const int link = ::bpf_link_create(load(map, slot == 0 ? 1 : 0), static_cast<int>(index[slot]), BPF_XDP, &options);
    if (link < 0) fail("attach");
  }
  std::puts("ready");
  std::fflush(stdout);
  while (!penstock::lab::stopped()) ::pause();
  return 0;
}
