#include "dataplane/l4/neighbor.h"

#include <cstring>

#include "dataplane/wire/arp.h"
#include "dataplane/wire/checksum.h"
#include "dataplane/wire/ethernet.h"
#include "dataplane/wire/icmp.h"
#include "dataplane/wire/ip_class.h"
#include "dataplane/wire/ipv6.h"
#include "dataplane/wire/nd.h"

namespace penstock::l4 {
namespace {

constexpr IpAddress kAllNodes{{0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}};
constexpr MacAddress kAllNodesMac{{0x33, 0x33, 0, 0, 0, 1}};
constexpr std::uint8_t kNdHopLimit = 255;

/// ff02::1:ffXX:XXXX for this address (RFC 4291 s2.7.1).
IpAddress solicited_node(const IpAddress& address) {
  IpAddress out{{0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, 0, 0, 0}};
  std::memcpy(out.octets.data() + 13, address.octets.data() + 13, 3);
  return out;
}

/// RFC 4861 s7.1.1, all of it; what the parser has checked already left out.
bool solicitation_is_valid(const wire::Ipv6View& ip, const wire::NeighborView& neighbor, ByteView message) {
  const auto octets = static_cast<std::uint32_t>(message.size());
  const std::uint64_t pseudo = wire::pseudo_header_sum(ip.src(), ip.dst(), IpProto::icmpv6, octets);
  if (!wire::sum_is_valid(wire::add_sums(pseudo, wire::sum_of(message)))) return false;
  if (ip.hop_limit() != kNdHopLimit || neighbor.code() != 0) return false;
  const IpAddress target = neighbor.target();
  if (!wire::is_unicast(target)) return false;
  const bool to_group = ip.dst() == solicited_node(target);
  if (!to_group && ip.dst() != target) return false;
  if (wire::is_unspecified(ip.src())) return to_group && !neighbor.link_address(wire::kNdSourceLinkAddress);
  return wire::is_unicast(ip.src());
}

}  // namespace

DropReason make_arp_reply(Frame& frame, const wire::PacketInfo& info, const MacAddress& ours) {
  const ByteSpan packet = frame.bytes().subspan(info.l3_offset);
  const Parsed<wire::ArpView> request = wire::ArpView::parse(packet);
  if (!request || request->operation() != wire::kArpRequest) return DropReason::neighbor_invalid;
  const MacAddress asker = request->sender_mac();
  if (wire::is_group(asker) || asker == MacAddress{}) return DropReason::neighbor_invalid;
  if (info.src == info.dst) return DropReason::neighbor_invalid;
  if (!wire::is_unicast(info.src) && !wire::is_unspecified(info.src)) return DropReason::neighbor_invalid;
  wire::write_macs(frame.bytes(), asker, ours);
  wire::write_arp(
      packet,
      {.operation = wire::kArpReply, .sender_mac = ours, .sender = info.dst, .target_mac = asker, .target = info.src});
  return DropReason::none;
}

DropReason make_neighbor_advertisement(Frame& frame, const wire::PacketInfo& info, const MacAddress& ours) {
  const ByteView question = frame.bytes().subspan(info.l3_offset);
  const Parsed<wire::Ipv6View> ip = wire::Ipv6View::parse(question);
  if (!ip) return DropReason::neighbor_invalid;
  const Parsed<wire::NeighborView> neighbor = wire::NeighborView::parse(ip->payload());
  if (!neighbor || !solicitation_is_valid(*ip, *neighbor, ip->payload())) return DropReason::neighbor_invalid;

  const bool probing = wire::is_unspecified(info.src);  // duplicate address detection: the asker has no address yet
  MacAddress asker = kAllNodesMac;
  if (!probing) {
    const auto option = neighbor->link_address(wire::kNdSourceLinkAddress);
    asker = option ? *option : (*wire::EthernetView::parse(frame.bytes())).source();
    if (wire::is_group(asker)) return DropReason::neighbor_invalid;
  }
  const IpAddress target = info.dst;
  const IpAddress to = probing ? kAllNodes : info.src;
  constexpr std::size_t kMessage = wire::kNeighborMessageOctets;
  const std::size_t total = info.l3_offset + wire::Ipv6View::kHeaderOctets + kMessage;
  if (!frame.set_octets(static_cast<std::uint16_t>(total))) return DropReason::no_headroom;

  wire::write_macs(frame.bytes(), asker, ours);
  const ByteSpan packet = frame.bytes().subspan(info.l3_offset);
  wire::write_ipv6(
      packet,
      {.src = target, .dst = to, .proto = IpProto::icmpv6, .payload_octets = kMessage, .hop_limit = kNdHopLimit});
  const ByteSpan message = packet.subspan(wire::Ipv6View::kHeaderOctets);
  wire::write_neighbor_advertisement(message, wire::kNdOverride | (probing ? 0 : wire::kNdSolicited), target, ours);
  const std::uint64_t pseudo = wire::pseudo_header_sum(target, to, IpProto::icmpv6, kMessage);
  store_be(message, wire::IcmpView::kChecksumOffset,
           wire::checksum_from(wire::add_sums(pseudo, wire::sum_of(message))));
  return DropReason::none;
}

DropReason answer_neighbor(Frame& frame, const wire::PacketInfo& info, const MacAddress& ours) {
  if (info.kind == wire::PacketKind::arp_request) return make_arp_reply(frame, info, ours);
  if (info.kind == wire::PacketKind::neighbor_solicitation) return make_neighbor_advertisement(frame, info, ours);
  return DropReason::neighbor_invalid;
}

}  // namespace penstock::l4
