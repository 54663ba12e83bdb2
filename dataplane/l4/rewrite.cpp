#include "dataplane/l4/rewrite.h"

namespace penstock::l4 {

using control::FlowDirection;

std::uint16_t compute_delta(const FlowDirection& in, const FlowDirection& partner) {
  wire::ChecksumDelta delta;
  delta.change(in.src, partner.dst);
  delta.change(in.dst, partner.src);
  delta.change(in.src_port, partner.dst_port);
  delta.change(in.dst_port, partner.src_port);
  return delta.folded();
}

bool change_tag(Frame& frame, bool tagged_now, std::uint16_t vlan_tci) {
  const bool tagged_then = vlan_tci != 0;
  // The EtherType of the payload stays where it is, right in front of the payload.
  if (tagged_then && !tagged_now && !frame.prepend(wire::kVlanTagOctets)) return false;
  if (!tagged_then && tagged_now && !frame.trim_front(wire::kVlanTagOctets)) return false;
  if (!tagged_then) return true;
  store_be(frame.bytes(), 12, Be16::from_host(static_cast<std::uint16_t>(EtherType::vlan)));
  store_be(frame.bytes(), 14, Be16::from_host(vlan_tci));
  return true;
}

void complete_checksum(ByteSpan segment, const wire::PacketInfo& info, const Translation& to) {
  const bool udp = info.proto == IpProto::udp;
  const std::size_t at = udp ? wire::UdpView::kChecksumOffset : wire::TcpView::kChecksumOffset;
  const auto octets = static_cast<std::uint32_t>(segment.size());
  store_be(segment, at, Be16{});
  const std::uint64_t pseudo = info.family == IpFamily::v4
                                   ? wire::pseudo_header_sum_v4(to.src_v4, to.dst_v4, info.proto, octets)
                                   : wire::pseudo_header_sum(*to.src, *to.dst, info.proto, octets);
  const std::uint64_t sum = wire::add_sums(pseudo, wire::sum_of(segment));
  store_be(segment, at, udp ? wire::udp_checksum_from(sum) : wire::checksum_from(sum));
}

}  // namespace penstock::l4
