#include "tests/support/impair/packet_port.h"

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>

#include "tests/support/impair/delay_line.h"

namespace penstock::impair {
namespace {

constexpr std::size_t kSlotOctets = 2048;
constexpr std::size_t kRingFrames = 8192;
constexpr std::size_t kBlockOctets = 1 << 16;
constexpr std::size_t kRingOctets = kSlotOctets * kRingFrames;
constexpr int kPatience = 200;               // tries to send to a full device ring
constexpr unsigned kPauseMicroseconds = 20;  // between two of them

template <typename T>
bool set_option(int fd, int name, const T& value) {
  return ::setsockopt(fd, SOL_PACKET, name, &value, sizeof value) == 0;
}

std::string failure(const std::string& interface, const char* what) {
  return interface + ": " + what + ": " + std::strerror(errno);
}

}  // namespace

Result<PacketPort, std::string> PacketPort::open(const std::string& interface) {
  const unsigned index = ::if_nametoindex(interface.c_str());
  if (index == 0) return failure(interface, "no such interface");
  PacketPort port{Fd{::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0)}};  // protocol 0: nothing before bind
  const int fd = port.fd_.get();
  if (fd < 0) return failure(interface, "packet socket (needs root)");
  tpacket_req ring{};
  ring.tp_block_size = kBlockOctets;
  ring.tp_block_nr = kRingOctets / kBlockOctets;
  ring.tp_frame_size = kSlotOctets;
  ring.tp_frame_nr = kRingFrames;
  if (!set_option(fd, PACKET_VERSION, int{TPACKET_V2}) || !set_option(fd, PACKET_IGNORE_OUTGOING, 1) ||
      !set_option(fd, PACKET_QDISC_BYPASS, 1) || !set_option(fd, PACKET_RX_RING, ring))
    return failure(interface, "packet ring");
  void* memory = ::mmap(nullptr, kRingOctets, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (memory == MAP_FAILED) return failure(interface, "mapping the ring");
  port.ring_ = static_cast<std::byte*>(memory);
  sockaddr_ll address{};
  address.sll_family = AF_PACKET;
  address.sll_protocol = htons(ETH_P_ALL);
  address.sll_ifindex = static_cast<int>(index);
  if (::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) return failure(interface, "bind");
  return port;
}

PacketPort::PacketPort(PacketPort&& other) noexcept
    : fd_{std::move(other.fd_)},
      ring_{std::exchange(other.ring_, nullptr)},
      slot_{other.slot_},
      counters_{other.counters_} {}

PacketPort::~PacketPort() {
  if (ring_ != nullptr) ::munmap(ring_, kRingOctets);
}

std::span<const std::byte> PacketPort::front() {
  while (true) {
    auto* header = reinterpret_cast<tpacket2_hdr*>(ring_ + slot_ * kSlotOctets);
    const std::uint32_t status = std::atomic_ref{header->tp_status}.load(std::memory_order_acquire);
    if ((status & TP_STATUS_USER) == 0) return {};
    const bool whole = header->tp_len == header->tp_snaplen && header->tp_len <= kFrameOctetsMax;
    if (whole && (status & TP_STATUS_CSUMNOTREADY) == 0)
      return {ring_ + slot_ * kSlotOctets + header->tp_mac, header->tp_snaplen};
    ++counters_.offloaded;
    release();
  }
}

void PacketPort::release() {
  auto* header = reinterpret_cast<tpacket2_hdr*>(ring_ + slot_ * kSlotOctets);
  std::atomic_ref{header->tp_status}.store(TP_STATUS_KERNEL, std::memory_order_release);
  slot_ = (slot_ + 1) % kRingFrames;
  ++counters_.received;
}

void PacketPort::send(std::span<const std::span<const std::byte>> frames) {
  std::array<iovec, kBatch> parts{};
  std::array<mmsghdr, kBatch> messages{};
  for (std::size_t i = 0; i < frames.size(); ++i) {
    parts[i] = {const_cast<std::byte*>(frames[i].data()), frames[i].size()};
    messages[i].msg_hdr.msg_iov = &parts[i];
    messages[i].msg_hdr.msg_iovlen = 1;
  }
  std::size_t next = 0;
  int patience = kPatience;
  while (next < frames.size()) {
    const int sent = ::sendmmsg(fd_.get(), &messages[next], static_cast<unsigned>(frames.size() - next), MSG_DONTWAIT);
    if (sent > 0) {
      next += static_cast<std::size_t>(sent);
      counters_.sent += static_cast<std::uint64_t>(sent);
      continue;
    }
    if ((errno == ENOBUFS || errno == EAGAIN) && patience-- > 0) {
      ::usleep(kPauseMicroseconds);
      continue;
    }
    ++counters_.egress_full;  // or the interface is down
    ++next;
  }
}

PortCounters PacketPort::counters() {
  tpacket_stats stats{};
  socklen_t length = sizeof stats;
  if (::getsockopt(fd_.get(), SOL_PACKET, PACKET_STATISTICS, &stats, &length) == 0)
    counters_.ingress_full += stats.tp_drops;  // reading resets the kernel's count
  return counters_;
}

}  // namespace penstock::impair
