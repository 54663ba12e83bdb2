// packet_info.h - everything the packet path wants to know about a received frame, read once.
//
// Model     one pass over the headers: Ethernet, at most one VLAN tag, IPv4 or IPv6, then TCP, UDP or one of the
//           few ICMP, ARP and ND messages that are served here. Refused, never repaired.
// Units     offsets count from the first octet of the frame; lengths are octets; ports in network order.
// Shape     56 octets, trivially copyable; addresses are in the 16-octet form of both families.
// Errors    one DropReason. A frame that parses has all of [0, l3_offset + ip_octets) inside it, and the
//           transport (or ICMP, ARP, ND) header that `kind` implies complete.
// Not here  checksums (wire/checksum.h, l4/verify.h); the packet quoted in an ICMP error (l4/icmp.h).
#pragma once
#include <cstdint>

#include "dataplane/core/addresses.h"
#include "dataplane/core/be.h"
#include "dataplane/core/result.h"
#include "dataplane/wire/five_tuple.h"

namespace penstock::wire {

enum class PacketKind : std::uint8_t {
  transport,              ///< TCP or UDP
  icmp_error,             ///< ICMP type 3, 11, 12; ICMPv6 type 1 to 4
  echo_request,           ///< ICMP type 8; ICMPv6 type 128
  arp_request,            ///< src and dst are the sender and target protocol addresses
  neighbor_solicitation,  ///< dst is the target address, not the packet's multicast destination
  probe                   ///< attach self-test; only l3_offset (of the payload) is set
};

/// Bits of PacketInfo::tcp_flags.
inline constexpr std::uint8_t kTcpFin = 0x01;
inline constexpr std::uint8_t kTcpSyn = 0x02;
inline constexpr std::uint8_t kTcpRst = 0x04;
inline constexpr std::uint8_t kTcpPsh = 0x08;
inline constexpr std::uint8_t kTcpAck = 0x10;
inline constexpr std::uint8_t kTcpUrg = 0x20;

struct PacketInfo : FiveTuple {
  std::uint16_t vlan_tci;        ///< host order; 0 also when untagged, see tagged()
  std::uint16_t ip_octets;       ///< whole IP packet, headers included; 28 for ARP
  std::uint16_t payload_octets;  ///< behind the TCP or UDP header, or behind the first 8 octets of ICMP
  std::uint8_t l3_offset;        ///< IP or ARP header, or the probe's payload
  std::uint8_t l4_offset;        ///< transport or ICMP header
  std::uint8_t payload_offset;   ///< first octet counted by payload_octets
  PacketKind kind;
  IpFamily family;
  std::uint8_t tcp_flags;  ///< TCP only, else 0
  std::uint8_t icmp_type;  ///< ICMP and ICMPv6 only, else 0
  std::uint8_t ttl;        ///< or hop limit
  bool dont_fragment;      ///< IPv4 DF; always true for IPv6

  [[nodiscard]] bool tagged() const { return l3_offset == 18; }
};
static_assert(sizeof(PacketInfo) == 56);

/// Reads `frame`. On failure the content of `into` is unspecified and the reason is not `none`.
[[nodiscard]] DropReason parse_packet_into(ByteView frame, PacketInfo& into);

/// The same as a value.
[[nodiscard]] inline Parsed<PacketInfo> parse_packet(ByteView frame) {
  PacketInfo info;
  const DropReason reason = parse_packet_into(frame, info);
  if (reason != DropReason::none) return reason;
  return info;
}

}  // namespace penstock::wire
