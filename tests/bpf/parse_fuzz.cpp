// Any frame: bpf/lib/parse.h must agree with its plain twin, and with dataplane/wire on what reaches the dataplane.
#include <cstring>
#include <memory>

#include "dataplane/wire/packet_info.h"
#include "tests/bpf/plain_parse.h"

namespace penstock::test {
namespace {

bool same(const penstock_addr& left, const IpAddress& right) {
  return std::memcmp(left.octets, right.octets.data(), sizeof left.octets) == 0;
}

void compare_with_twin(std::uint32_t reason, const penstock_packet& packet, const PlainPacket& plain) {
  require(reason == plain.reason, "parse.h and its twin count another reason");
  if (reason != PENSTOCK_PARSED) return;
  require(packet.kind == plain.kind, "kind");
  if (packet.kind == PENSTOCK_PACKET_PROBE) return;
  require(same(packet.flow.dst, plain.dst), "destination");
  if (packet.kind == PENSTOCK_PACKET_ECHO || packet.kind == PENSTOCK_PACKET_NEIGHBOR) return;
  require(same(packet.flow.src, plain.src), "source");
  require(packet.flow.ip_proto == plain.proto, "protocol");
  require(Be16::from_wire(packet.flow.src_port.wire).host() == plain.src_port, "source port");
  require(Be16::from_wire(packet.flow.dst_port.wire).host() == plain.dst_port, "destination port");
  require(packet.tcp_flags == plain.tcp_flags, "TCP flags");
}

// What the dataplane says about a frame that the program refused: the same in its own words.
bool agrees(std::uint32_t reason, DropReason dropped) {
  switch (reason) {
    case PENSTOCK_STEER_TRUNCATED:
      return dropped == DropReason::truncated || dropped == DropReason::bad_total_length;
    case PENSTOCK_STEER_NOT_IP:  // also ARP that is no request, and a cut probe
      return dropped == DropReason::not_ip || dropped == DropReason::unsupported_proto ||
             dropped == DropReason::truncated;
    case PENSTOCK_STEER_UNSUPPORTED_PROTO:  // a solicitation's code and hop limit come before its target and options
      return dropped == DropReason::unsupported_proto || dropped == DropReason::truncated ||
             dropped == DropReason::mapped_address;
    case PENSTOCK_STEER_BAD_VERSION:
      return dropped == DropReason::bad_version;
    case PENSTOCK_STEER_BAD_IHL:
      return dropped == DropReason::bad_ihl;
    case PENSTOCK_STEER_BAD_TCP_OFFSET:
      return dropped == DropReason::bad_tcp_offset;
    case PENSTOCK_STEER_BAD_UDP_LENGTH:
      return dropped == DropReason::bad_udp_length;
    case PENSTOCK_STEER_FRAGMENT:  // IPv6 fragments are an extension header there
      return dropped == DropReason::fragment || dropped == DropReason::ipv6_extension;
    case PENSTOCK_STEER_IPV6_EXTENSION:
      return dropped == DropReason::ipv6_extension || dropped == DropReason::unsupported_proto;
    case PENSTOCK_STEER_MAPPED_ADDRESS:  // or malformed options of a solicitation, seen first there
      return dropped == DropReason::mapped_address || dropped == DropReason::truncated;
    case PENSTOCK_STEER_VLAN_DEPTH:
      return dropped == DropReason::vlan_depth;
    default:
      return false;
  }
}

void compare_with_dataplane(std::uint32_t reason, const penstock_packet& packet, ByteView frame) {
  wire::PacketInfo info;
  const DropReason dropped = wire::parse_packet_into(frame, info);
  if (reason != PENSTOCK_PARSED) {
    // A quote that cannot be read, or a solicitation from afar, is judged there later (l4).
    const bool later = dropped == DropReason::none && (info.kind == wire::PacketKind::icmp_error ||
                                                       info.kind == wire::PacketKind::neighbor_solicitation);
    require(later || agrees(reason, dropped), "dataplane/wire classifies a refused frame otherwise");
    return;
  }
  switch (packet.kind) {
    case PENSTOCK_PACKET_FLOW:
      require(dropped == DropReason::none && info.kind == wire::PacketKind::transport, "steered, but refused there");
      require(same(packet.flow.src, info.src) && same(packet.flow.dst, info.dst), "addresses");
      require(packet.flow.src_port.wire == info.src_port.wire(), "source port");
      require(packet.flow.dst_port.wire == info.dst_port.wire(), "destination port");
      require(packet.flow.ip_proto == static_cast<std::uint8_t>(info.proto), "protocol");
      require(packet.tcp_flags == info.tcp_flags, "TCP flags");
      return;
    case PENSTOCK_PACKET_ICMP_ERROR:
      require(dropped == DropReason::none && info.kind == wire::PacketKind::icmp_error, "ICMP error");
      return;
    case PENSTOCK_PACKET_ECHO:
      require(dropped == DropReason::none && info.kind == wire::PacketKind::echo_request, "echo request");
      require(same(packet.flow.dst, info.dst), "destination");
      return;
    case PENSTOCK_PACKET_NEIGHBOR:
      if (dropped == DropReason::truncated) return;  // malformed options of a solicitation
      require(dropped == DropReason::none &&
                  (info.kind == wire::PacketKind::arp_request || info.kind == wire::PacketKind::neighbor_solicitation),
              "neighbour request");
      require(same(packet.flow.dst, info.dst), "address asked for");
      return;
    default:
      require(dropped == DropReason::none && info.kind == wire::PacketKind::probe, "probe");
  }
}

}  // namespace
}  // namespace penstock::test

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace penstock;
  using namespace penstock::test;
  if (size > 65535) return 0;  // longer than any frame, and IPv6 lengths of the dataplane are 16 bits
  // A copy of exactly this size: the sanitizer sees a read one octet past it.
  const auto copy = std::make_unique<std::uint8_t[]>(size);
  if (size != 0) std::memcpy(copy.get(), data, size);
  penstock_packet packet{};
  const std::uint32_t reason =
      penstock_parse_frame(copy.get(), copy.get() + size, static_cast<std::uint32_t>(size), &packet);
  compare_with_twin(reason, packet, plain_parse({copy.get(), size}));
  compare_with_dataplane(reason, packet, std::as_bytes(std::span{copy.get(), size}));
  return 0;
}
