// icmp.h - ICMP and ICMPv6: errors about our flows, "too big" of our own, and echo.
//
// Model     an error quotes a packet that this node sent. Read backwards (source and destination exchanged) its
//           addresses are the key of a flow direction, `match`: the side that the quoted packet was going to. The
//           error belongs to the sender of the original of the quoted packet, which is where packets received in
//           direction `match` go too; so it leaves on the same link.
// RFCs      792, 4443, 1812 s4.3.2 (what may be answered), 1191 and 8201 (MTU), 5508 s3 and s4 (NAT and ICMP).
// Errors    a DropReason other than `none` leaves the frame unchanged.
// Not here  rate limits and counters (worker).
#pragma once
#include "dataplane/control/flow_layout.h"
#include "dataplane/core/frame.h"
#include "dataplane/l4/rewrite.h"
#include "dataplane/wire/packet_info.h"

namespace penstock::l4 {

/// Octets of an IP packet that carries an error with its quote, at most.
inline constexpr std::size_t kIcmpErrorOctetsMax = 576;     // RFC 1812 s4.3.2.3
inline constexpr std::size_t kIcmpv6ErrorOctetsMax = 1280;  // RFC 4443 s2.4 (c)

/// The packet quoted in an ICMP error. Addresses and ports are as quoted; the flow key is those exchanged.
struct QuotedPacket {
  IpAddress src;
  IpAddress dst;
  Be16 src_port;
  Be16 dst_port;
  IpProto proto;
  std::uint8_t zero;
  std::uint16_t l3_offset;  ///< in the frame
  std::uint16_t l4_offset;  ///< in the frame
  std::uint16_t l4_octets;  ///< transport octets that are quoted, at least 8
};

/// The quoted packet of a frame of kind `icmp_error`. icmp_malformed when its headers or the first 8 transport
/// octets are not all there, unsupported_proto when it is neither TCP nor UDP, fragment for a later fragment.
[[nodiscard]] Parsed<QuotedPacket> parse_quoted(ByteView frame, const wire::PacketInfo& info);

/// Translates an error about a flow of ours: outer addresses and TTL, quoted addresses, ports and checksums, ICMP
/// checksum, link layer. `match` is the direction whose key is `quoted` exchanged; `partner` its other half.
[[nodiscard]] DropReason translate_error(Frame& frame, const wire::PacketInfo& info, const QuotedPacket& quoted,
                                         const control::FlowDirection& match, const control::FlowDirection& partner,
                                         const Link& link);

/// True when RFC 1812 s4.3.2.7 and RFC 4443 s2.4 (e) allow an error about this packet: it is no ICMP error itself,
/// and neither link nor IP addresses are group addresses or unspecified.
[[nodiscard]] bool may_answer_with_error(ByteView frame, const wire::PacketInfo& info);

/// Turns a packet that is larger than `mtu` into "fragmentation needed" or "packet too big" to its sender, from
/// `source`, out of the port that it came in on. too_big when no answer is allowed: drop it.
[[nodiscard]] DropReason make_too_big(Frame& frame, const wire::PacketInfo& info, const IpAddress& source,
                                      std::uint16_t mtu);

/// Turns an echo request into its reply, out of the port that it came in on. unsupported_proto when the request
/// must not be answered (group or unspecified addresses).
[[nodiscard]] DropReason make_echo_reply(Frame& frame, const wire::PacketInfo& info);

}  // namespace penstock::l4
