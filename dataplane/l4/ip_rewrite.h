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

/// ~old + new of the word that begins with the TTL, as it stands in memory.
inline constexpr std::uint32_t kTtlLessOne = Be16::from_host(0xfeff).wire();

inline void rewrite_ipv4_header(ByteSpan packet, Be32 new_src, Be32 new_dst) {
  const Be32 old_src = load_be<std::uint32_t>(packet, 12), old_dst = load_be<std::uint32_t>(packet, 16);
  // RFC 1624 eqn. 3 in one sum: six terms below 2^32 need no carries. A TTL less one is always the same change.
  const std::uint64_t sum = std::uint64_t{static_cast<std::uint16_t>(~load_be<std::uint16_t>(packet, 10).wire())} +
                            static_cast<std::uint32_t>(~old_src.wire()) + new_src.wire() +
                            static_cast<std::uint32_t>(~old_dst.wire()) + new_dst.wire() + kTtlLessOne;
  packet[8] = static_cast<std::byte>(std::to_integer<unsigned>(packet[8]) - 1);
  store_be(packet, 10, wire::checksum_from(sum));
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
    rewrite_ipv4_header(packet, src.as_v4(), dst.as_v4());
  else
    rewrite_ipv6_header(packet, src, dst);
}

}  // namespace penstock::l4
