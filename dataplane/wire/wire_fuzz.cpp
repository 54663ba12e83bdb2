// Any octets through the views and the parser: nothing leaves the frame, every accessor of a view that exists is
// total, the views and parse_packet() agree, and the checksum equals its plain twin.
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "dataplane/core/require.h"
#include "dataplane/wire/arp.h"
#include "dataplane/wire/checksum.h"
#include "dataplane/wire/ethernet.h"
#include "dataplane/wire/icmp.h"
#include "dataplane/wire/ipv4.h"
#include "dataplane/wire/ipv6.h"
#include "dataplane/wire/nd.h"
#include "dataplane/wire/packet_info.h"
#include "dataplane/wire/tcp.h"
#include "dataplane/wire/udp.h"
#include "tests/support/packet_builder.h"

namespace {

using namespace penstock;

volatile std::uint64_t sink;
void use(std::uint64_t value) { sink = value; }
void use(ByteView bytes) {
  std::uint64_t all = 0;
  for (const std::byte octet : bytes) all += std::to_integer<std::uint64_t>(octet);
  sink = all;
}
void use(const IpAddress& address) { use(std::as_bytes(std::span{address.octets})); }
void use(const MacAddress& address) { use(std::as_bytes(std::span{address.octets})); }

void touch_transport(ByteView body) {
  if (const auto tcp = wire::TcpView::parse(body)) {
    use(std::uint64_t{tcp->sequence()} + tcp->acknowledgement() + tcp->flags() + tcp->window());
    use(std::uint64_t{tcp->checksum().wire()} + tcp->src_port().wire() + tcp->dst_port().wire());
    use(tcp->payload());
  }
  if (const auto udp = wire::UdpView::parse(body)) {
    use(std::uint64_t{udp->checksum().wire()} + udp->octets() + udp->src_port().wire() + udp->dst_port().wire());
    use(udp->payload());
  }
  if (const auto icmp = wire::IcmpView::parse(body)) {
    use(std::uint64_t{icmp->type()} + icmp->code() + icmp->checksum().wire() + icmp->rest().wire());
    use(icmp->body());
    // A quoted packet is read with the same views, cut off where it is.
    if (const auto quoted = wire::Ipv4View::parse_quoted(icmp->body())) use(quoted->payload());
    if (const auto quoted = wire::Ipv6View::parse_quoted(icmp->body())) use(quoted->payload());
  }
  if (const auto neighbor = wire::NeighborView::parse(body)) {
    use(neighbor->target());
    use(neighbor->flags());
    for (const std::uint8_t option : {wire::kNdSourceLinkAddress, wire::kNdTargetLinkAddress})
      if (const auto mac = neighbor->link_address(option)) use(*mac);
  }
}

void touch_views(ByteView packet) {
  if (const auto ip = wire::Ipv4View::parse(packet)) {
    use(ip->src());
    use(ip->dst());
    use(ip->header());
    use(ip->payload());
    require(ip->header_octets() + ip->payload().size() == ip->total_octets(), "IPv4 view disagrees with itself");
    touch_transport(ip->payload());
  }
  if (const auto ip = wire::Ipv6View::parse(packet)) {
    use(ip->src());
    use(ip->dst());
    use(ip->payload());
    require(ip->payload().size() == ip->payload_length(), "IPv6 view disagrees with itself");
    touch_transport(ip->payload());
  }
  if (const auto arp = wire::ArpView::parse(packet)) {
    use(arp->sender_mac());
    use(arp->target_mac());
    use(arp->sender());
    use(arp->target());
  }
}

void check_info(ByteView frame, const wire::PacketInfo& info) {
  using wire::PacketKind;
  require(info.l3_offset == 14 || info.l3_offset == 18, "l3_offset");
  if (info.kind == PacketKind::probe) return;
  require(std::size_t{info.l3_offset} + info.ip_octets <= frame.size(), "packet leaves the frame");
  if (info.kind == PacketKind::arp_request) return;
  const std::size_t end = std::size_t{info.l3_offset} + info.ip_octets;
  require(info.l3_offset < info.l4_offset && info.l4_offset < info.payload_offset, "offsets are not in order");
  require(std::size_t{info.payload_offset} + info.payload_octets <= end, "payload leaves the packet");
  const bool v4 = info.family == IpFamily::v4;
  require(info.src.is_v4() == v4 && info.dst.is_v4() == v4, "address of the other family");
  const bool transport = info.proto == IpProto::tcp || info.proto == IpProto::udp;
  require(transport == (info.kind == PacketKind::transport), "kind disagrees with the protocol");
  require(info.proto == IpProto::udp || std::size_t{info.payload_offset} + info.payload_octets == end,
          "payload ends before the packet");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  // An allocation of exactly this size, so that one octet too far is seen.
  const std::vector<std::uint8_t> exact(data, data + size);
  const ByteView frame = std::as_bytes(std::span{exact});
  if (const auto ethernet = wire::EthernetView::parse(frame)) {
    use(ethernet->destination());
    use(ethernet->source());
    use(ethernet->tci());
    touch_views(ethernet->payload());
  }
  touch_views(frame);
  touch_transport(frame);
  if (const auto info = wire::parse_packet(frame)) check_info(frame, *info);
  require(Be16::from_wire(wire::fold(wire::sum_of(frame))).host() == test::plain_sum(frame), "checksum");
  return 0;
}
