#include "dataplane/l4/icmp.h"

#include <algorithm>
#include <cstring>

#include "dataplane/l4/ip_rewrite.h"
#include "dataplane/wire/checksum.h"
#include "dataplane/wire/ethernet.h"
#include "dataplane/wire/icmp.h"
#include "dataplane/wire/ip_class.h"
#include "dataplane/wire/ipv4.h"
#include "dataplane/wire/ipv6.h"
#include "dataplane/wire/tcp.h"
#include "dataplane/wire/udp.h"

namespace penstock::l4 {
namespace {

using control::FlowDirection;
using wire::IcmpView;
using wire::PacketInfo;

constexpr std::size_t kPortOctets = 8;  // transport octets that every error must quote (RFC 792)

/// What a router in front of the flow wrote as source means nothing to the other side when that side sees other
/// addresses: then the error comes from the address that stands for the far end.
IpAddress outer_source(const PacketInfo& info, const FlowDirection& match, const FlowDirection& partner) {
  return match.src == partner.dst ? info.src : partner.dst;
}

/// Addresses, ports and checksums of the quoted packet. `region` starts at its IP header.
void rewrite_quoted(ByteSpan region, const PacketInfo& info, const QuotedPacket& quoted, const FlowDirection& match,
                    const FlowDirection& partner) {
  if (info.family == IpFamily::v4) {
    wire::ChecksumDelta delta;
    delta.change(quoted.src.as_v4(), partner.src.as_v4());
    delta.change(quoted.dst.as_v4(), partner.dst.as_v4());
    store_be(region, 10, wire::updated_checksum(load_be<std::uint16_t>(region, 10), delta.folded()));
    store_be(region, 12, partner.src.as_v4());
    store_be(region, 16, partner.dst.as_v4());
  } else {
    std::memcpy(region.data() + 8, partner.src.octets.data(), 16);
    std::memcpy(region.data() + 24, partner.dst.octets.data(), 16);
  }
  const ByteSpan l4 = region.subspan(static_cast<std::size_t>(quoted.l4_offset - quoted.l3_offset));
  store_be(l4, 0, partner.src_port);
  store_be(l4, 2, partner.dst_port);
  // The same four fields change as in a packet received in direction `match`, so its delta holds here too.
  if (quoted.proto == IpProto::udp) {
    constexpr std::size_t kAt = wire::UdpView::kChecksumOffset;
    store_be(l4, kAt, wire::updated_udp_checksum(load_be<std::uint16_t>(l4, kAt), match.l4_delta));
  } else if (l4.size() >= wire::TcpView::kChecksumOffset + 2) {
    constexpr std::size_t kAt = wire::TcpView::kChecksumOffset;
    store_be(l4, kAt, wire::updated_checksum(load_be<std::uint16_t>(l4, kAt), match.l4_delta));
  }
}

/// Cuts the frame behind `keep` octets and opens a gap of `gap` octets at `at`; false, unchanged, without room.
bool open_gap(Frame& frame, std::size_t at, std::size_t keep, std::size_t gap) {
  const std::uint16_t before = frame.octets();
  if (!frame.set_octets(static_cast<std::uint16_t>(keep))) return false;
  if (frame.prepend(static_cast<std::uint16_t>(gap))) {
    std::byte* const data = frame.bytes().data();
    std::memmove(data, data + gap, at);
    return true;
  }
  if (!frame.set_octets(static_cast<std::uint16_t>(keep + gap))) {
    require(frame.set_octets(before), "a frame does not take back its own length");
    return false;
  }
  std::byte* const data = frame.bytes().data();
  std::memmove(data + at + gap, data + at, keep - at);
  return true;
}

}  // namespace

Parsed<QuotedPacket> parse_quoted(ByteView frame, const PacketInfo& info) {
  const ByteView body = frame.subspan(info.payload_offset, info.payload_octets);
  QuotedPacket out{};
  std::size_t header = 0;
  std::size_t available = 0;
  if (info.family == IpFamily::v4) {
    const auto ip = wire::Ipv4View::parse_quoted(body);
    if (!ip) return DropReason::icmp_malformed;
    if ((ip->fragment_field() & wire::kIpv4OffsetMask) != 0) return DropReason::fragment;
    out.src = ip->src();
    out.dst = ip->dst();
    out.proto = ip->proto();
    header = ip->header_octets();
    available = ip->payload().size();
  } else {
    const auto ip = wire::Ipv6View::parse_quoted(body);
    if (!ip) return DropReason::icmp_malformed;
    out.src = ip->src();
    out.dst = ip->dst();
    if (out.src.is_v4() || out.dst.is_v4()) return DropReason::icmp_malformed;  // mapped: would pass for IPv4
    out.proto = ip->proto();
    header = wire::Ipv6View::kHeaderOctets;
    available = ip->payload().size();
  }
  if (out.proto != IpProto::tcp && out.proto != IpProto::udp) return DropReason::unsupported_proto;
  if (available < kPortOctets) return DropReason::icmp_malformed;
  out.src_port = load_be<std::uint16_t>(body, header);
  out.dst_port = load_be<std::uint16_t>(body, header + 2);
  out.l3_offset = info.payload_offset;
  out.l4_offset = static_cast<std::uint16_t>(info.payload_offset + header);
  out.l4_octets = static_cast<std::uint16_t>(available);
  return out;
}

DropReason translate_error(Frame& frame, const PacketInfo& info, const QuotedPacket& quoted, const FlowDirection& match,
                           const FlowDirection& partner, const Link& link) {
  if (info.ttl <= 1) return DropReason::ttl_expired;
  if (!rewrite_link(frame, info.tagged(), link)) return DropReason::no_headroom;
  const std::size_t l3 = link.vlan_tci != 0 ? wire::kEthernetOctets + wire::kVlanTagOctets : wire::kEthernetOctets;
  const ByteSpan packet = frame.bytes().subspan(l3, info.ip_octets);
  const ByteSpan icmp = packet.subspan(static_cast<std::size_t>(info.l4_offset - info.l3_offset));

  // Everything that changes in the quote lies in front of the end of the TCP checksum; one sum before and one after
  // say what the ICMP checksum has to learn. The region has an even length: what is beyond stays out of both.
  constexpr std::size_t kTouched = wire::TcpView::kChecksumOffset + 2;
  const std::size_t touched = std::min<std::size_t>(quoted.l4_octets & ~1u, kTouched);
  const auto header = static_cast<std::size_t>(quoted.l4_offset - quoted.l3_offset);
  const ByteSpan region = icmp.subspan(IcmpView::kHeaderOctets, header + touched);
  const std::uint64_t before = wire::sum_of(region);
  rewrite_quoted(region, info, quoted, match, partner);

  const IpAddress src = outer_source(info, match, partner);
  const IpAddress& dst = partner.src;
  wire::ChecksumDelta delta;
  delta.change_sums(before, wire::sum_of(region));
  if (info.family == IpFamily::v6) {
    delta.change(info.src, src);
    delta.change(info.dst, dst);
  }
  constexpr std::size_t kAt = IcmpView::kChecksumOffset;
  store_be(icmp, kAt, wire::updated_checksum(load_be<std::uint16_t>(icmp, kAt), delta.folded()));
  rewrite_ip_header(packet, info.family, src, dst);
  return DropReason::none;
}

bool may_answer_with_error(ByteView frame, const PacketInfo& info) {
  if (info.kind != wire::PacketKind::transport && info.kind != wire::PacketKind::echo_request) return false;
  const Parsed<wire::EthernetView> ethernet = wire::EthernetView::parse(frame);
  if (!ethernet || wire::is_group(ethernet->destination()) || wire::is_group(ethernet->source())) return false;
  return wire::is_unicast(info.src) && wire::is_unicast(info.dst);
}

DropReason make_too_big(Frame& frame, const PacketInfo& info, const IpAddress& source, std::uint16_t mtu) {
  const bool v4 = info.family == IpFamily::v4;
  if (!may_answer_with_error(frame.bytes(), info) || source.is_v4() != v4) return DropReason::too_big;
  const std::size_t ip_header = v4 ? wire::Ipv4View::kMinHeaderOctets : wire::Ipv6View::kHeaderOctets;
  const std::size_t headers = ip_header + IcmpView::kHeaderOctets;
  const std::size_t limit = v4 ? kIcmpErrorOctetsMax : kIcmpv6ErrorOctetsMax;
  const std::size_t quote = std::min<std::size_t>(info.ip_octets, limit - headers);
  const std::size_t l3 = info.l3_offset;
  if (!open_gap(frame, l3, l3 + quote, headers)) return DropReason::no_headroom;

  wire::exchange_macs(frame.bytes());
  const ByteSpan packet = frame.bytes().subspan(l3);
  const ByteSpan icmp = packet.subspan(ip_header);
  const auto octets = static_cast<std::uint16_t>(icmp.size());
  std::uint64_t pseudo = 0;
  if (v4) {
    wire::write_ipv4(packet, {.src = source, .dst = info.src, .proto = IpProto::icmp, .payload_octets = octets});
    wire::write_icmp(icmp, wire::kIcmpUnreachable, wire::kIcmpFragmentationNeeded, Be32::from_host(mtu));
  } else {
    wire::write_ipv6(packet, {.src = source, .dst = info.src, .proto = IpProto::icmpv6, .payload_octets = octets});
    wire::write_icmp(icmp, wire::kIcmpv6PacketTooBig, 0, Be32::from_host(mtu));
    pseudo = wire::pseudo_header_sum(source, info.src, IpProto::icmpv6, octets);
  }
  store_be(icmp, IcmpView::kChecksumOffset, wire::checksum_from(wire::add_sums(pseudo, wire::sum_of(icmp))));
  return DropReason::none;
}

DropReason make_echo_reply(Frame& frame, const PacketInfo& info) {
  if (!may_answer_with_error(frame.bytes(), info)) return DropReason::unsupported_proto;
  wire::exchange_macs(frame.bytes());
  const ByteSpan packet = frame.bytes().subspan(info.l3_offset, info.ip_octets);
  const ByteSpan icmp = packet.subspan(static_cast<std::size_t>(info.l4_offset - info.l3_offset));
  const bool v4 = info.family == IpFamily::v4;
  constexpr std::uint8_t kTtl = 64;
  packet[v4 ? 8 : 7] = std::byte{kTtl + 1};
  if (v4) {
    wire::ChecksumDelta ttl;
    ttl.change(Be16::from_host(static_cast<std::uint16_t>(info.ttl << 8)), Be16::from_host((kTtl + 1) << 8));
    store_be(packet, 10, wire::updated_checksum(load_be<std::uint16_t>(packet, 10), ttl.folded()));
  }
  rewrite_ip_header(packet, info.family, info.dst, info.src);  // takes one off the TTL again

  const std::uint8_t type = v4 ? wire::kIcmpEchoReply : wire::kIcmpv6EchoReply;
  wire::ChecksumDelta delta;
  delta.change(Be16::from_host(static_cast<std::uint16_t>(info.icmp_type << 8)),
               Be16::from_host(static_cast<std::uint16_t>(type << 8)));
  icmp[0] = std::byte{type};
  constexpr std::size_t kAt = IcmpView::kChecksumOffset;
  const Be16 checksum = wire::updated_checksum(load_be<std::uint16_t>(icmp, kAt), delta.folded());
  store_be(icmp, kAt, checksum);
  // A reply of nothing but zeros is the one message whose sum is zero; its checksum is 0xffff (RFC 1624 s3).
  if (checksum.wire() == 0 && wire::sum_of(icmp) == 0) store_be(icmp, kAt, Be16::from_wire(0xffff));
  return DropReason::none;
}

}  // namespace penstock::l4
