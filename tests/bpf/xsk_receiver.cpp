#include "tests/bpf/xsk_receiver.h"

#include <bpf/bpf.h>
#include <linux/if_xdp.h>

// libxdp's ring accessors are C.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wold-style-cast"
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wsign-conversion"
#include <xdp/xsk.h>
#pragma GCC diagnostic pop

#include <cstring>

#include "mgmt/kernel/system_problem.h"

namespace penstock::test {
namespace {
constexpr std::uint32_t kFrames = 256;
constexpr std::uint32_t kFrameOctets = 4096;
}  // namespace

struct XskReceiver::Impl {
  std::vector<std::byte> area = std::vector<std::byte>((kFrames + 1) * kFrameOctets);
  std::byte* base{};  // page-aligned, inside area
  xsk_umem* umem{};
  xsk_socket* socket{};
  xsk_ring_prod fill{};
  xsk_ring_cons completion{};
  xsk_ring_cons receive{};

  ~Impl() {
    if (socket != nullptr) xsk_socket__delete(socket);
    if (umem != nullptr) xsk_umem__delete(umem);
  }
  void give(std::uint64_t address) {
    std::uint32_t slot = 0;
    if (xsk_ring_prod__reserve(&fill, 1, &slot) != 1) return;
    *xsk_ring_prod__fill_addr(&fill, slot) = address;
    xsk_ring_prod__submit(&fill, 1);
  }
};

XskReceiver::XskReceiver(std::unique_ptr<Impl> impl) : impl_{std::move(impl)} {}
XskReceiver::XskReceiver(XskReceiver&&) noexcept = default;
XskReceiver& XskReceiver::operator=(XskReceiver&&) noexcept = default;
XskReceiver::~XskReceiver() = default;

Result<XskReceiver> XskReceiver::create(const std::string& interface, int xsks_map) {
  auto impl = std::make_unique<Impl>();
  const auto start = reinterpret_cast<std::uintptr_t>(impl->area.data());
  impl->base = impl->area.data() + (kFrameOctets - start % kFrameOctets) % kFrameOctets;
  xsk_umem_config umem_config{};
  umem_config.fill_size = kFrames;
  umem_config.comp_size = kFrames;
  umem_config.frame_size = kFrameOctets;
  if (const int error = xsk_umem__create(&impl->umem, impl->base, std::uint64_t{kFrames} * kFrameOctets, &impl->fill,
                                         &impl->completion, &umem_config);
      error != 0)
    return kernel::system_problem(interface, "cannot create a umem", error);
  xsk_socket_config config{};
  config.rx_size = kFrames;
  config.libxdp_flags = XSK_LIBXDP_FLAGS__INHIBIT_PROG_LOAD;
  config.bind_flags = XDP_COPY;
  if (const int error =
          xsk_socket__create(&impl->socket, interface.c_str(), 0, impl->umem, &impl->receive, nullptr, &config);
      error != 0)
    return kernel::system_problem(interface, "cannot create an AF_XDP socket", error);
  const std::uint32_t queue = 0;
  const int fd = xsk_socket__fd(impl->socket);
  if (const int error = bpf_map_update_elem(xsks_map, &queue, &fd, BPF_ANY); error != 0)
    return kernel::system_problem(interface, "cannot put the socket into xsks_map", error);
  for (std::uint64_t i = 0; i < kFrames - 1; ++i) impl->give(i * kFrameOctets);
  return XskReceiver{std::move(impl)};
}

std::vector<Bytes> XskReceiver::take() {
  std::vector<Bytes> out;
  std::uint32_t slot = 0;
  while (xsk_ring_cons__peek(&impl_->receive, 1, &slot) == 1) {
    const xdp_desc* frame = xsk_ring_cons__rx_desc(&impl_->receive, slot);
    const std::byte* data = impl_->base + frame->addr;
    out.emplace_back(data, data + frame->len);
    const std::uint64_t address = frame->addr - frame->addr % kFrameOctets;
    xsk_ring_cons__release(&impl_->receive, 1);
    impl_->give(address);
  }
  return out;
}

}  // namespace penstock::test
