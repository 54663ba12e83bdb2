#include "dataplane/l4/rewrite.h"

#include "dataplane/l4/ip_rewrite.h"
#include "dataplane/wire/checksum.h"
#include "dataplane/wire/ethernet.h"
#include "dataplane/wire/tcp.h"
#include "dataplane/wire/udp.h"

namespace penstock::l4 {
namespace {

using control::FlowDirection;
using wire::PacketInfo;

/// Ports and checksum; true when a partial checksum was completed. `segment` is cut to the checksum's coverage.
bool rewrite_transport(ByteSpan segment, const PacketInfo& info, const FlowDirection& in,
                       const FlowDirection& partner) {
  const bool udp = info.proto == IpProto::udp;
  const std::size_t at = udp ? wire::UdpView::kChecksumOffset : wire::TcpView::kChecksumOffset;
  const auto octets = static_cast<std::uint32_t>(segment.size());
  const Be16 field = load_be<std::uint16_t>(segment, at);
  store_be(segment, 0, partner.dst_port);
  store_be(segment, 2, partner.src_port);
  if (wire::is_partial(field, wire::pseudo_header_sum(info.src, info.dst, info.proto, octets))) [[unlikely]] {
    store_be(segment, at, Be16{});
    const std::uint64_t sum =
        wire::add_sums(wire::pseudo_header_sum(partner.dst, partner.src, info.proto, octets), wire::sum_of(segment));
    store_be(segment, at, udp ? wire::udp_checksum_from(sum) : wire::checksum_from(sum));
    return true;
  }
  store_be(segment, at,
           udp ? wire::updated_udp_checksum(field, in.l4_delta) : wire::updated_checksum(field, in.l4_delta));
  return false;
}

}  // namespace

std::uint16_t compute_delta(const FlowDirection& in, const FlowDirection& partner) {
  wire::ChecksumDelta delta;
  delta.change(in.src, partner.dst);
  delta.change(in.dst, partner.src);
  delta.change(in.src_port, partner.dst_port);
  delta.change(in.dst_port, partner.src_port);
  return delta.folded();
}

bool rewrite_link(Frame& frame, bool tagged_now, const Link& link) {
  const bool tagged_then = link.vlan_tci != 0;
  // The EtherType of the payload stays where it is, right in front of the payload.
  if (tagged_then && !tagged_now && !frame.prepend(wire::kVlanTagOctets)) return false;
  if (!tagged_then && tagged_now && !frame.trim_front(wire::kVlanTagOctets)) return false;
  const ByteSpan bytes = frame.bytes();
  wire::write_macs(bytes, link.destination, link.source);
  if (tagged_then) {
    store_be(bytes, 12, Be16::from_host(static_cast<std::uint16_t>(EtherType::vlan)));
    store_be(bytes, 14, Be16::from_host(link.vlan_tci));
  }
  return true;
}

Rewritten rewrite(Frame& frame, const PacketInfo& info, const FlowDirection& in, const FlowDirection& partner,
                  const Link& link) {
  if (info.ttl <= 1) return {DropReason::ttl_expired};
  if (!rewrite_link(frame, info.tagged(), link)) return {DropReason::no_headroom};
  const std::size_t l3 = link.vlan_tci != 0 ? wire::kEthernetOctets + wire::kVlanTagOctets : wire::kEthernetOctets;
  const ByteSpan packet = frame.bytes().subspan(l3, info.ip_octets);
  rewrite_ip_header(packet, info.family, partner.dst, partner.src);
  const std::size_t l4_octets = static_cast<std::size_t>(info.payload_offset - info.l4_offset) + info.payload_octets;
  const ByteSpan segment = packet.subspan(static_cast<std::size_t>(info.l4_offset - info.l3_offset), l4_octets);
  return {DropReason::none, rewrite_transport(segment, info, in, partner)};
}

}  // namespace penstock::l4
