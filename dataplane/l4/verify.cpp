#include "dataplane/l4/verify.h"

#include "dataplane/wire/checksum.h"
#include "dataplane/wire/tcp.h"
#include "dataplane/wire/udp.h"

namespace penstock::l4 {
namespace {

/// What the transport or ICMP checksum covers, without the pseudo-header.
ByteView covered(ByteView frame, const wire::PacketInfo& info) {
  const std::size_t octets = info.kind == wire::PacketKind::neighbor_solicitation ||
                                     info.kind == wire::PacketKind::icmp_error ||
                                     info.kind == wire::PacketKind::echo_request || info.proto == IpProto::tcp
                                 ? static_cast<std::size_t>(info.l3_offset + info.ip_octets - info.l4_offset)
                                 : wire::UdpView::kHeaderOctets + info.payload_octets;
  return frame.subspan(info.l4_offset, octets);
}

}  // namespace

bool checksums_valid(ByteView frame, const wire::PacketInfo& info) {
  if (info.kind == wire::PacketKind::probe || info.kind == wire::PacketKind::arp_request) return true;
  if (info.family == IpFamily::v4) {
    const auto header = static_cast<std::size_t>(info.l4_offset - info.l3_offset);
    if (!wire::sum_is_valid(wire::sum_of(frame.subspan(info.l3_offset, header)))) return false;
  }
  const ByteView message = covered(frame, info);
  if (info.proto == IpProto::udp && load_be<std::uint16_t>(message, wire::UdpView::kChecksumOffset).wire() == 0)
    return info.family == IpFamily::v4;
  std::uint64_t sum = wire::sum_of(message);
  if (info.proto != IpProto::icmp) {
    // The address of a solicitation's packet is not in info.dst (that is the target): read it where it stands.
    IpAddress dst = info.dst;
    if (info.kind == wire::PacketKind::neighbor_solicitation)
      std::memcpy(dst.octets.data(), frame.data() + info.l3_offset + 24, dst.octets.size());
    sum = wire::add_sums(
        sum, wire::pseudo_header_sum(info.src, dst, info.proto, static_cast<std::uint32_t>(message.size())));
  }
  return wire::sum_is_valid(sum);
}

bool has_partial_checksum(ByteView frame, const wire::PacketInfo& info) {
  if (info.kind != wire::PacketKind::transport) return false;
  const ByteView message = covered(frame, info);
  const std::size_t at = info.proto == IpProto::udp ? wire::UdpView::kChecksumOffset : wire::TcpView::kChecksumOffset;
  return wire::is_partial(
      load_be<std::uint16_t>(message, at),
      wire::pseudo_header_sum(info.src, info.dst, info.proto, static_cast<std::uint32_t>(message.size())));
}

}  // namespace penstock::l4
