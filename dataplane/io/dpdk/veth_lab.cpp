#include "dataplane/io/dpdk/veth_lab.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <atomic>
#include <cstdlib>
#include <string>

#include "dataplane/core/require.h"
#include "dataplane/io/dpdk/netns_scope.h"

namespace penstock::io {
namespace {

std::string unique_name(const std::string& suffix) {
  static std::atomic<int> counter{0};
  return "psk-D" + std::to_string(::getpid()) + "-" + std::to_string(counter++) + suffix;
}

/// return bpf_redirect_map(&xsks_map, ctx->rx_queue_index, XDP_PASS);
Fd attach_redirect(unsigned ifindex, int map) {
  constexpr std::int16_t kRxQueueOffset = 16;  // xdp_md::rx_queue_index
  const std::array<bpf_insn, 6> program{{
      {BPF_LDX | BPF_W | BPF_MEM, 2, 1, kRxQueueOffset, 0},
      {BPF_LD | BPF_DW | BPF_IMM, 1, BPF_PSEUDO_MAP_FD, 0, map},
      {0, 0, 0, 0, 0},
      {BPF_ALU64 | BPF_MOV | BPF_K, 3, 0, 0, XDP_PASS},
      {BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_redirect_map},
      {BPF_JMP | BPF_EXIT, 0, 0, 0, 0},
  }};
  const Fd loaded{bpf_prog_load(BPF_PROG_TYPE_XDP, "lab", "GPL", program.data(), program.size(), nullptr)};
  require(static_cast<bool>(loaded), "lab program does not load");
  Fd link{bpf_link_create(loaded.get(), static_cast<int>(ifindex), BPF_XDP, nullptr)};
  require(static_cast<bool>(link), "lab program does not attach");
  return link;
}

}  // namespace

int run_command(const std::string& command) { return std::system(command.c_str()); }

Fd VethLab::netns_fd(const std::string& name) {
  Fd fd{::open(("/var/run/netns/" + name).c_str(), O_RDONLY | O_CLOEXEC)};
  require(static_cast<bool>(fd), "no such namespace");
  return fd;
}

VethLab::VethLab() : node_{unique_name("n")} {
  require(run_command("ip netns add " + node_ + " && ip -n " + node_ + " link set lo up") == 0, "no namespace");
}

VethLab::~VethLab() {
  for (const auto& peer : peers_) run_command("ip netns del " + peer->netns);
  run_command("ip netns del " + node_);
}

VethLab::Peer& VethLab::add_peer(unsigned queues, bool steered) {
  const std::string number = std::to_string(peers_.size() + 1);
  Peer& peer = *peers_.emplace_back(std::make_unique<Peer>());
  peer.netns = unique_name("p");
  peer.near = "near" + number;
  peer.address = "10.77.0." + number;
  const std::string rings = " numrxqueues " + std::to_string(queues) + " numtxqueues " + std::to_string(queues);
  const std::string far = "ip -n " + peer.netns;
  const int made = run_command("ip netns add " + peer.netns + " && " + far + " link add far" + rings +
                               " type veth peer name " + peer.near + rings + " netns " + node_ + " && " + far +
                               " addr add " + peer.address + "/24 dev far && " + far + " link set far up && " + far +
                               " link set lo up && ip -n " + node_ + " link set " + peer.near + " up");
  require(made == 0, "veth pair cannot be made");
  const Fd netns = node_netns();
  const NetnsScope scope{netns.get()};
  require(scope.ok(), "namespace cannot be entered");
  peer.near_index = ::if_nametoindex(peer.near.c_str());
  if (steered) {
    peer.xsks_map = Fd{bpf_map_create(BPF_MAP_TYPE_XSKMAP, "xsks_map", 4, 4, 64, nullptr)};
    require(static_cast<bool>(peer.xsks_map), "no xsks_map");
    peer.program_link = attach_redirect(peer.near_index, peer.xsks_map.get());
  }
  return peer;
}

Fd VethLab::udp_socket(const Peer& peer, std::uint16_t port) const {
  const Fd netns = netns_fd(peer.netns);
  const NetnsScope scope{netns.get()};
  require(scope.ok(), "namespace cannot be entered");
  Fd fd{::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
  const int on = 1;
  require(::setsockopt(fd.get(), SOL_SOCKET, SO_NO_CHECK, &on, sizeof on) == 0, "SO_NO_CHECK");
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  ::inet_pton(AF_INET, peer.address.c_str(), &address.sin_addr);
  require(::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0, "bind");
  return fd;
}

void VethLab::delete_near(const Peer& peer) {
  require(run_command("ip -n " + node_ + " link del " + peer.near) == 0, "near end cannot be deleted");
}

}  // namespace penstock::io
