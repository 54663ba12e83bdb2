#include "dataplane/io/dpdk/train_socket.h"

#include <linux/if_packet.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <array>

namespace penstock::io {
namespace {

constexpr int kSendBuffer = 4 * 1024 * 1024;  // several bursts that a device has not sent yet
constexpr std::uint16_t kTcpChecksum = 16;    // offset in the header

/// virtio 1.2, s5.1.6, as PACKET_VNET_HDR wants it. The kernel's own header is no C++.
struct VirtioHeader {
  std::uint8_t flags;
  std::uint8_t gso_type;
  std::uint16_t header_octets;
  std::uint16_t segment_octets;
  std::uint16_t checksum_start;
  std::uint16_t checksum_offset;
};
static_assert(sizeof(VirtioHeader) == 10);
constexpr std::uint8_t kNeedsChecksum = 1, kTcpV4 = 1, kTcpV6 = 4;

}  // namespace

Fd open_train_socket(unsigned ifindex) {
  Fd fd{::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0)};  // protocol 0: receives nothing
  if (!fd) return fd;
  const int one = 1;
  sockaddr_ll address{};
  address.sll_family = AF_PACKET;
  address.sll_ifindex = static_cast<int>(ifindex);
  if (::setsockopt(fd.get(), SOL_PACKET, PACKET_VNET_HDR, &one, sizeof one) != 0 ||
      ::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    return Fd{};
  ::setsockopt(fd.get(), SOL_SOCKET, SO_SNDBUFFORCE, &kSendBuffer, sizeof kSendBuffer);
  return fd;
}

bool send_train(int socket, const Train& train, std::span<const Frame> frames) {
  std::array<std::byte, kTrainHeaderOctetsMax> headers;
  write_train_headers(train, frames, headers);
  VirtioHeader offload{kNeedsChecksum, train.v4 ? kTcpV4 : kTcpV6, train.headers, train.segment, train.l4_offset,
                       kTcpChecksum};
  std::array<iovec, kTrainFramesMax + 2> parts;
  parts[0] = {&offload, sizeof offload};
  parts[1] = {headers.data(), train.headers};
  for (std::size_t i = 0; i < train.frames; ++i) {
    const ByteView payload = frames[i].bytes().subspan(train.headers);
    // sendmsg() reads only; iovec knows no const.
    parts[i + 2] = {const_cast<std::byte*>(payload.data()), payload.size()};
  }
  msghdr message{};
  message.msg_iov = parts.data();
  message.msg_iovlen = train.frames + 2;
  return ::sendmsg(socket, &message, MSG_DONTWAIT | MSG_NOSIGNAL) > 0;
}

}  // namespace penstock::io
