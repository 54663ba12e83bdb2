// rewrite.h - turn a received frame into the one that goes to the other side of its flow, in place.
//
// Model     the translation of a direction is its partner's key reversed (control/flow_layout.h): out.src =
//           partner.dst, out.dst = partner.src, ports alike. Both keys are of one family.
// Checksums IPv4 header and transport checksum are updated, not recomputed (RFC 1624), so damage on the way in
//           stays visible at the end. Exception: a transport checksum that is only the pseudo-header sum (partial,
//           left by a local kernel for a device to finish) is computed in full.
// Errors    on any DropReason but `none` the frame is unchanged.
// Cost      the common path is inline, so that the worker's loop keeps its values in registers: a quarter of the
//           instructions of a packet were calls, spills and a Link written to memory only to be read back.
// Not here  which flow (dataplane/flow), MTU test and answer (icmp.h), counters (worker).
#pragma once
#include "dataplane/control/flow_layout.h"
#include "dataplane/control/next_hop.h"
#include "dataplane/core/frame.h"
#include "dataplane/l4/ip_rewrite.h"
#include "dataplane/wire/checksum.h"
#include "dataplane/wire/ethernet.h"
#include "dataplane/wire/packet_info.h"
#include "dataplane/wire/tcp.h"
#include "dataplane/wire/udp.h"

namespace penstock::l4 {

/// Link layer of an outgoing frame.
struct Link {
  MacAddress destination;
  MacAddress source;
  std::uint16_t vlan_tci{};  ///< host order; 0 = untagged. Tags are written as 802.1Q (0x8100)
};
[[nodiscard]] inline Link link_of(const control::NextHop& hop) { return {hop.destination, hop.source, hop.vlan_tci}; }
/// Towards downstream: what `reverse` remembered of the first frame; `port_mac` is the outgoing port's own address.
[[nodiscard]] inline Link link_of(const control::FlowDirection& reverse, const MacAddress& port_mac) {
  return {reverse.next_mac, port_mac, reverse.vlan_tci};
}

/// The l4_delta of packets received in direction `in`, whose partner is `partner`.
[[nodiscard]] std::uint16_t compute_delta(const control::FlowDirection& in, const control::FlowDirection& partner);

struct Rewritten {
  DropReason reason{DropReason::none};  ///< none, ttl_expired or no_headroom
  bool checksum_completed{};            ///< a partial checksum was computed in full
};

/// Puts a VLAN tag on or takes it off. False when there is no headroom; nothing is changed then.
[[nodiscard]] bool change_tag(Frame& frame, bool tagged_now, std::uint16_t vlan_tci);

/// What the packets of a direction become.
struct Translation {
  Be32 src_v4, dst_v4;  ///< IPv4 only
  Be16 src_port, dst_port;
  const IpAddress* src{};  ///< IPv6 only: in the partner's key
  const IpAddress* dst{};
  std::uint16_t l4_delta{};
};
/// From the keys of both directions.
[[nodiscard, gnu::always_inline]] inline Translation translation_of(const control::FlowDirection& in,
                                                                    const control::FlowDirection& partner) {
  return {partner.dst.as_v4(), partner.src.as_v4(), partner.dst_port, partner.src_port,
          &partner.dst,        &partner.src,        in.l4_delta};
}
/// From an IPv4 record of a table alone.
[[nodiscard, gnu::always_inline]] inline Translation stored_translation(const control::FlowDirection& in) {
  const control::StoredTranslation t = control::stored_translation(in);
  return {t.src, t.dst, t.src_port, t.dst_port, nullptr, nullptr, in.l4_delta};
}

/// Computes in full the checksum of `segment`, whose ports are new already.
void complete_checksum(ByteSpan segment, const wire::PacketInfo& info, const Translation& to);

/// Only the link layer: MAC addresses and the VLAN tag. False when there is no headroom; nothing is changed then.
[[nodiscard, gnu::always_inline]] inline bool rewrite_link(Frame& frame, bool tagged_now, const Link& link) {
  if (tagged_now || link.vlan_tci != 0) [[unlikely]]
    if (!change_tag(frame, tagged_now, link.vlan_tci)) return false;
  wire::write_macs(frame.bytes(), link.destination, link.source);
  return true;
}

/// The sum of the pseudo-header as received. IPv4 needs no carries, and most packets are of it.
[[nodiscard, gnu::always_inline]] inline std::uint64_t received_pseudo_sum(const wire::PacketInfo& info,
                                                                           std::uint32_t octets) {
  if (info.family == IpFamily::v4)
    return wire::pseudo_header_sum_v4(info.src.as_v4(), info.dst.as_v4(), info.proto, octets);
  return wire::pseudo_header_sum(info.src, info.dst, info.proto, octets);
}

/// Ports and checksum; true when a partial checksum was completed. `segment` is cut to the checksum's coverage.
[[nodiscard, gnu::always_inline]] inline bool rewrite_transport(ByteSpan segment, const wire::PacketInfo& info,
                                                                const Translation& to) {
  const bool udp = info.proto == IpProto::udp;
  const std::size_t at = udp ? wire::UdpView::kChecksumOffset : wire::TcpView::kChecksumOffset;
  const Be16 field = load_be<std::uint16_t>(segment, at);
  store_be(segment, 0, to.src_port);
  store_be(segment, 2, to.dst_port);
  if (wire::is_partial(field, received_pseudo_sum(info, static_cast<std::uint32_t>(segment.size())))) [[unlikely]] {
    complete_checksum(segment, info, to);
    return true;
  }
  store_be(segment, at,
           udp ? wire::updated_udp_checksum(field, to.l4_delta) : wire::updated_checksum(field, to.l4_delta));
  return false;
}

/// Rewrites `frame`, which `info` describes (kind transport) and which matched the direction that `to` is of.
/// Afterwards `info` no longer describes it. The frame's port is left to the caller.
[[nodiscard, gnu::always_inline]] inline Rewritten rewrite(Frame& frame, const wire::PacketInfo& info,
                                                           const Translation& to, const Link& link) {
  if (info.ttl <= 1) [[unlikely]]
    return {DropReason::ttl_expired};
  if (!rewrite_link(frame, info.tagged(), link)) [[unlikely]]
    return {DropReason::no_headroom};
  const std::size_t l3 = wire::kEthernetOctets + (link.vlan_tci != 0 ? wire::kVlanTagOctets : 0u);
  const ByteSpan packet{frame.bytes().data() + l3, info.ip_octets};
  if (info.family == IpFamily::v4)
    rewrite_ipv4_header(packet, to.src_v4, to.dst_v4);
  else
    rewrite_ipv6_header(packet, *to.src, *to.dst);
  const std::size_t l4_octets = static_cast<std::size_t>(info.payload_offset - info.l4_offset) + info.payload_octets;
  const ByteSpan segment{packet.data() + (info.l4_offset - info.l3_offset), l4_octets};
  return {DropReason::none, rewrite_transport(segment, info, to)};
}

}  // namespace penstock::l4
