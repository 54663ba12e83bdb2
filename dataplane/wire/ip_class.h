// ip_class.h - which addresses may be one host.
//
// Model     RFC 1122 s3.2.1.3 and RFC 6890 for IPv4, RFC 4291 s2.4 for IPv6.
#pragma once
#include <algorithm>

#include "dataplane/core/addresses.h"

namespace penstock::wire {

/// False for "this network" (0/8), loopback, multicast, reserved (240/4) and broadcast; for IPv6 false for ::, ::1
/// and multicast. Subnet broadcasts cannot be told apart here.
[[nodiscard]] inline bool is_unicast(const IpAddress& address) {
  if (address.is_v4()) {
    const std::uint8_t first = address.octets[12];
    return first != 0 && first != 127 && first < 224;
  }
  if (address.octets[0] == 0xff) return false;
  const bool low = std::all_of(address.octets.begin(), address.octets.end() - 1, [](auto octet) { return octet == 0; });
  return !low || address.octets[15] > 1;
}

[[nodiscard]] inline bool is_unspecified(const IpAddress& address) {
  return address == IpAddress{} || address == IpAddress::v4(0, 0, 0, 0);
}

}  // namespace penstock::wire
