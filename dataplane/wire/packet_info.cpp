#include "dataplane/wire/packet_info.h"

#include "bpf/abi/steer.h"
#include "dataplane/wire/arp.h"
#include "dataplane/wire/ethernet.h"
#include "dataplane/wire/icmp.h"
#include "dataplane/wire/ipv4.h"
#include "dataplane/wire/ipv6.h"
#include "dataplane/wire/nd.h"
#include "dataplane/wire/tcp.h"
#include "dataplane/wire/udp.h"

namespace penstock::wire {
namespace {

DropReason parse_tcp(ByteView segment, PacketInfo& into) {
  const DropReason reason = TcpView::check(segment);
  if (reason != DropReason::none) return reason;
  const TcpView tcp = TcpView::of_checked(segment);
  into.src_port = tcp.src_port();
  into.dst_port = tcp.dst_port();
  into.tcp_flags = tcp.flags();
  into.payload_offset = static_cast<std::uint8_t>(into.l4_offset + tcp.header_octets());
  into.payload_octets = static_cast<std::uint16_t>(tcp.payload().size());
  into.kind = PacketKind::transport;
  return DropReason::none;
}

DropReason parse_udp(ByteView datagram, PacketInfo& into) {
  const DropReason reason = UdpView::check(datagram);
  if (reason != DropReason::none) return reason;
  const UdpView udp = UdpView::of_checked(datagram);
  into.src_port = udp.src_port();
  into.dst_port = udp.dst_port();
  into.payload_offset = static_cast<std::uint8_t>(into.l4_offset + UdpView::kHeaderOctets);
  into.payload_octets = static_cast<std::uint16_t>(udp.payload().size());
  into.kind = PacketKind::transport;
  return DropReason::none;
}

void note_icmp(const IcmpView& icmp, PacketInfo& into) {
  into.icmp_type = icmp.type();
  into.payload_offset = static_cast<std::uint8_t>(into.l4_offset + IcmpView::kHeaderOctets);
  into.payload_octets = static_cast<std::uint16_t>(icmp.body().size());
}

DropReason parse_icmp(ByteView message, PacketInfo& into) {
  const Parsed<IcmpView> icmp = IcmpView::parse(message);
  if (!icmp) return icmp.reason();
  note_icmp(*icmp, into);
  if (icmp->type() == kIcmpEchoRequest) {
    into.kind = PacketKind::echo_request;
    return DropReason::none;
  }
  if (!is_icmp_error(icmp->type())) return DropReason::unsupported_proto;
  into.kind = PacketKind::icmp_error;
  return DropReason::none;
}

DropReason parse_icmpv6(ByteView message, PacketInfo& into) {
  const Parsed<IcmpView> icmp = IcmpView::parse(message);
  if (!icmp) return icmp.reason();
  note_icmp(*icmp, into);
  if (icmp->type() == kIcmpv6NeighborSolicitation) {
    const Parsed<NeighborView> neighbor = NeighborView::parse(message);
    if (!neighbor) return neighbor.reason();
    into.kind = PacketKind::neighbor_solicitation;
    into.dst = neighbor->target();
    if (into.dst.is_v4()) return DropReason::mapped_address;
    return DropReason::none;
  }
  if (icmp->type() == kIcmpv6EchoRequest) {
    into.kind = PacketKind::echo_request;
    return DropReason::none;
  }
  if (!is_icmpv6_error(icmp->type())) return DropReason::unsupported_proto;
  into.kind = PacketKind::icmp_error;
  return DropReason::none;
}

DropReason parse_ipv4(ByteView packet, PacketInfo& into) {
  const DropReason reason = Ipv4View::check(packet);
  if (reason != DropReason::none) return reason;
  const Ipv4View ip = Ipv4View::of_checked(packet);
  if (ip.is_fragment()) return DropReason::fragment;
  into.src = ip.src();
  into.dst = ip.dst();
  into.ip_octets = ip.total_octets();
  into.l4_offset = static_cast<std::uint8_t>(into.l3_offset + ip.header_octets());
  into.family = IpFamily::v4;
  into.proto = ip.proto();
  into.ttl = ip.ttl();
  into.dont_fragment = ip.dont_fragment();
  switch (ip.proto()) {
    case IpProto::tcp:
      return parse_tcp(ip.payload(), into);
    case IpProto::udp:
      return parse_udp(ip.payload(), into);
    case IpProto::icmp:
      return parse_icmp(ip.payload(), into);
    default:
      return DropReason::unsupported_proto;
  }
}

DropReason parse_ipv6(ByteView packet, PacketInfo& into) {
  const DropReason reason = Ipv6View::check(packet);
  if (reason != DropReason::none) return reason;
  const Ipv6View ip = Ipv6View::of_checked(packet);
  // 40 + 65535 does not fit ip_octets; no frame of ours is that long, but the type must not wrap.
  if (ip.payload_length() > 0xffff - Ipv6View::kHeaderOctets) return DropReason::bad_total_length;
  into.src = ip.src();
  into.dst = ip.dst();
  // ::ffff:a.b.c.d is how IPv4 addresses stand in keys: on the wire it would pass for one.
  if (into.src.is_v4() || into.dst.is_v4()) return DropReason::mapped_address;
  into.ip_octets = static_cast<std::uint16_t>(Ipv6View::kHeaderOctets + ip.payload_length());
  into.l4_offset = static_cast<std::uint8_t>(into.l3_offset + Ipv6View::kHeaderOctets);
  into.family = IpFamily::v6;
  into.proto = ip.proto();
  into.ttl = ip.hop_limit();
  into.dont_fragment = true;
  switch (ip.proto()) {
    case IpProto::tcp:
      return parse_tcp(ip.payload(), into);
    case IpProto::udp:
      return parse_udp(ip.payload(), into);
    case IpProto::icmpv6:
      return parse_icmpv6(ip.payload(), into);
    default:
      if (ip.next_header() == kIpv6FragmentHeader) return DropReason::fragment;
      return is_ipv6_extension(ip.next_header()) ? DropReason::ipv6_extension : DropReason::unsupported_proto;
  }
}

DropReason parse_arp(ByteView packet, PacketInfo& into) {
  const Parsed<ArpView> arp = ArpView::parse(packet);
  if (!arp) return arp.reason();
  if (arp->operation() != kArpRequest) return DropReason::unsupported_proto;
  into.src = arp->sender();
  into.dst = arp->target();
  into.ip_octets = ArpView::kOctets;
  into.kind = PacketKind::arp_request;
  into.family = IpFamily::v4;
  return DropReason::none;
}

DropReason parse_probe(ByteView payload, PacketInfo& into) {
  if (payload.size() < 4) return DropReason::truncated;
  if (load_be<std::uint32_t>(payload, 0).host() != PENSTOCK_PROBE_MAGIC) return DropReason::not_ip;
  into.kind = PacketKind::probe;
  return DropReason::none;
}

}  // namespace

DropReason parse_packet_into(ByteView frame, PacketInfo& into) {
  const Parsed<EthernetView> ethernet = EthernetView::parse(frame);
  if (!ethernet) return ethernet.reason();
  into = PacketInfo{};
  into.vlan_tci = ethernet->tci();
  into.l3_offset = static_cast<std::uint8_t>(ethernet->header_octets());
  const ByteView packet = ethernet->payload();
  switch (ethernet->ether_type()) {
    case static_cast<std::uint16_t>(EtherType::ipv4):
      return parse_ipv4(packet, into);
    case static_cast<std::uint16_t>(EtherType::ipv6):
      return parse_ipv6(packet, into);
    case static_cast<std::uint16_t>(EtherType::arp):
      return parse_arp(packet, into);
    case PENSTOCK_PROBE_ETHERTYPE:
      return parse_probe(packet, into);
    default:
      return DropReason::not_ip;
  }
}

}  // namespace penstock::wire
