// verify.h - checksum verification for ports that ask for it (NICs; never veth).
//
// Model     IPv4 header, TCP, UDP, ICMP and ICMPv6 checksums of a parsed frame. UDP over IPv4 may have none (0);
//           UDP over IPv6 must have one (RFC 8200 s8.1).
#pragma once
#include "dataplane/wire/packet_info.h"

namespace penstock::l4 {

/// True when every checksum of the frame that `info` describes is right. ARP and probes have none.
[[nodiscard]] bool checksums_valid(ByteView frame, const wire::PacketInfo& info);

/// True when the TCP or UDP checksum is only the pseudo-header sum, for a device to finish.
[[nodiscard]] bool has_partial_checksum(ByteView frame, const wire::PacketInfo& info);

}  // namespace penstock::l4
