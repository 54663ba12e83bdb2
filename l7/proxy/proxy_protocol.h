// proxy_protocol.h - the header by which one proxy tells the next whose connection it passes on (PROXY protocol, 1 and
// 2).
//
// Model     read_proxy_header() looks at the first octets of a connection and says how many belong to the header, or
//           that more are needed; the answer depends on the octets alone, not on how they were cut.
//           write_proxy_header() makes one.
// Units     octets; ports in host order.
// Errors    bad: this is no header, or a malformed one. Nothing is repaired.
// Limits    kProxyV1OctetsMax (the specification's), kProxyHeaderOctetsMax (ours, for version 2).
// Not here  who may send one: whoever reaches a listener that accepts them (docs/guide/proxy.md).
#pragma once
#include <cstdint>
#include <span>
#include <string_view>

#include "l7/proxy/legs.h"

namespace penstock::proxy {

inline constexpr std::size_t kProxyV1OctetsMax = 107;
inline constexpr std::size_t kProxyHeaderOctetsMax = 4096;
/// The longest that write_proxy_header() makes.
inline constexpr std::size_t kProxyWrittenOctetsMax = 128;

enum class ProxyHeaderStatus : std::uint8_t { more, done, bad };
struct ProxyHeader {
  ProxyHeaderStatus status{ProxyHeaderStatus::more};
  std::size_t octets{};  ///< of the header
  bool has_ends{};       ///< false: LOCAL, UNKNOWN, or a family that is not TCP's: the connection's own ends count
  Ends ends{};
};
[[nodiscard]] ProxyHeader read_proxy_header(std::string_view text);

/// `version` 1 or 2. Ends of two families are written as IPv6.
[[nodiscard]] std::string_view write_proxy_header(std::uint8_t version, const Ends& ends,
                                                  std::span<char, kProxyWrittenOctetsMax> out);

/// CRC32C (RFC 3720 s12.1) over text, begun with `crc` of what stood before.
[[nodiscard]] std::uint32_t crc32c(std::string_view text, std::uint32_t crc = 0);

}  // namespace penstock::proxy
