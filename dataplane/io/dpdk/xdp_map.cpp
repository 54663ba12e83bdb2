#include "dataplane/io/dpdk/xdp_map.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/if_link.h>
#include <linux/if_xdp.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <string_view>

namespace penstock::io {
namespace {

constexpr std::size_t kProbeChunk = 4096;
constexpr int kProbeRing = 64;
constexpr int kBusyTries = 100;
constexpr unsigned kBusyWaitUs = 3000;
constexpr std::size_t kProgramMapsMax = 64;

std::string reason(int error) { return std::strerror(error); }

bool set_option(int fd, int option, int value) { return ::setsockopt(fd, SOL_XDP, option, &value, sizeof value) == 0; }

/// 0 or the errno of what failed.
int try_bind(unsigned ifindex, unsigned queue, std::uint16_t flags) {
  const Fd fd{::socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0)};
  if (!fd) return errno;
  void* area = ::mmap(nullptr, kProbeChunk, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (area == MAP_FAILED) return errno;
  xdp_umem_reg umem{};
  umem.addr = reinterpret_cast<std::uintptr_t>(area);
  umem.len = kProbeChunk;
  umem.chunk_size = kProbeChunk;
  sockaddr_xdp address{};
  address.sxdp_family = AF_XDP;
  address.sxdp_flags = static_cast<std::uint16_t>(XDP_COPY | flags);
  address.sxdp_ifindex = ifindex;
  address.sxdp_queue_id = queue;
  const bool bound = ::setsockopt(fd.get(), SOL_XDP, XDP_UMEM_REG, &umem, sizeof umem) == 0 &&
                     set_option(fd.get(), XDP_UMEM_FILL_RING, kProbeRing) &&
                     set_option(fd.get(), XDP_UMEM_COMPLETION_RING, kProbeRing) &&
                     set_option(fd.get(), XDP_RX_RING, kProbeRing) &&
                     ::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  const int error = bound ? 0 : errno;
  ::munmap(area, kProbeChunk);
  return error;
}

int try_long(unsigned ifindex, unsigned queue, std::uint16_t flags) {
  int error = try_bind(ifindex, queue, flags);
  // A closed socket gives its queue back from a kernel work queue, a little later.
  for (int i = 0; error == EBUSY && i < kBusyTries; ++i) {
    ::usleep(kBusyWaitUs);
    error = try_bind(ifindex, queue, flags);
  }
  return error;
}

}  // namespace

Result<XsksMap> find_xsks_map(const std::string& name, unsigned ifindex) {
  std::uint32_t program_id = 0;
  if (const int e = bpf_xdp_query_id(static_cast<int>(ifindex), 0, &program_id); e != 0)
    return Problem{name, "cannot ask for its XDP program: " + reason(-e), ""};
  if (program_id == 0)
    return Problem{name, "has no XDP program attached", "penstockd attaches steering before it adds the port"};
  const Fd program{bpf_prog_get_fd_by_id(program_id)};
  if (!program) return Problem{name, "cannot open its XDP program: " + reason(errno), ""};
  std::array<std::uint32_t, kProgramMapsMax> ids{};
  bpf_prog_info info{};
  info.map_ids = reinterpret_cast<std::uintptr_t>(ids.data());
  info.nr_map_ids = ids.size();
  std::uint32_t length = sizeof info;
  if (const int e = bpf_obj_get_info_by_fd(program.get(), &info, &length); e != 0)
    return Problem{name, "cannot read its XDP program: " + reason(-e), ""};
  for (std::size_t i = 0; i < std::min<std::size_t>(info.nr_map_ids, ids.size()); ++i) {
    Fd map{bpf_map_get_fd_by_id(ids[i])};
    if (!map) continue;
    bpf_map_info map_info{};
    length = sizeof map_info;
    if (bpf_obj_get_info_by_fd(map.get(), &map_info, &length) != 0) continue;
    if (map_info.type != BPF_MAP_TYPE_XSKMAP || std::string_view{map_info.name} != "xsks_map") continue;
    return XsksMap{std::move(map), map_info.max_entries};
  }
  return Problem{name, "its XDP program has no xsks_map", "another program is attached; detach it"};
}

Status probe_queue(const std::string& name, unsigned ifindex, unsigned queue, bool large_frames) {
  const std::string place = name + " queue " + std::to_string(queue);
  int error = try_long(ifindex, queue, large_frames ? kUseSeveralBuffers : 0);
  if (large_frames && error != 0) {
    const int refused = error;
    error = try_long(ifindex, queue, 0);
    if (error == 0)
      return Problem{place, "cannot be bound for large frames (AF_XDP frames of several buffers): " + reason(refused),
                     "remove large_frames from the port, or run Linux 6.9 or newer"};
  }
  if (error == 0) return Done{};
  switch (error) {
    case EAFNOSUPPORT:
      return Problem{place, "the kernel has no AF_XDP sockets", "it needs CONFIG_XDP_SOCKETS"};
    case EBUSY:
      return Problem{place, "is bound by another AF_XDP socket", "stop the process that holds it"};
    case ENODEV:
      return Problem{place, "interface does not exist", ""};
    case ENETDOWN:
      return Problem{place, "interface is down", "ip link set " + name + " up"};
    case EINVAL:
      return Problem{place, "there is no such queue", "lower the number of queues of the port"};
    default:
      return Problem{place, "cannot be bound: " + reason(error), ""};
  }
}

}  // namespace penstock::io
