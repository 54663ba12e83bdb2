// ip_rewrite.h - one hop of an IP header: new addresses, hop count less one, header checksum updated.
//
// Model     `packet` starts at the IP header and is known to be whole; its TTL or hop limit is above 0.
// Not here  which addresses (rewrite.h, icmp.h).
#pragma once
#include <cstring>

#include "dataplane/core/addresses.h"
#include "dataplane/core/be.h"
#include "dataplane/wire/checksum.h"

namespace penstock::l4 {

inline void rewrite_ipv4_header(ByteSpan packet, const IpAddress& src, const IpAddress& dst) {
  const Be16 ttl_word = load_be<std::uint16_t>(packet, 8);  // TTL and protocol
  const auto new_ttl_word = Be16::from_host(static_cast<std::uint16_t>(ttl_word.host() - 0x0100));
  const Be32 new_src = src.as_v4(), new_dst = dst.as_v4();
  wire::ChecksumDelta delta;
  delta.change(ttl_word, new_ttl_word);
  delta.change(load_be<std::uint32_t>(packet, 12), new_src);
  delta.change(load_be<std::uint32_t>(packet, 16), new_dst);
  store_be(packet, 8, new_ttl_word);
  store_be(packet, 10, wire::updated_checksum(load_be<std::uint16_t>(packet, 10), delta.folded()));
  store_be(packet, 12, new_src);
  store_be(packet, 16, new_dst);
}

inline void rewrite_ipv6_header(ByteSpan packet, const IpAddress& src, const IpAddress& dst) {
  packet[7] = static_cast<std::byte>(std::to_integer<unsigned>(packet[7]) - 1);
  std::memcpy(packet.data() + 8, src.octets.data(), src.octets.size());
  std::memcpy(packet.data() + 24, dst.octets.data(), dst.octets.size());
}

inline void rewrite_ip_header(ByteSpan packet, IpFamily family, const IpAddress& src, const IpAddress& dst) {
  if (family == IpFamily::v4)
    rewrite_ipv4_header(packet, src, dst);
  else
    rewrite_ipv6_header(packet, src, dst);
}

}  // namespace penstock::l4
