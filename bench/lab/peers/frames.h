// frames.h - 64-octet frames for the generator: UDP of many flows, or SYNs of addresses that nobody has.
//
// Model     a Template is one Ethernet frame; frame_of() gives the n-th frame of its sequence: source port by n, for
//           SYNs also source address, with whole checksums.
// Units     octets; ports in host order.
// Shape     no I/O.
// Errors    none: addresses were parsed before.
// Limits    60 octets, which is 64 on a wire. SYN sources are 10.50.0.0/16.
// Not here  sending (frame_load.cpp)
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace penstock::lab {

inline constexpr std::size_t kFrameOctets = 60;
using FrameOctets = std::array<std::uint8_t, kFrameOctets>;
using Mac = std::array<std::uint8_t, 6>;

struct Template {
  Mac to_mac, from_mac;
  std::uint32_t from, to;  // host order
  std::uint16_t to_port;
  std::uint32_t flows;  // source ports 10000 .. 10000 + flows - 1
  bool syn;
};

/// From "02:00:00:00:00:01".
Mac parse_mac(const std::string& text);
/// Folded one's complement sum of 16-bit words, not inverted.
std::uint16_t ones_sum(std::span<const std::uint8_t> octets, std::uint32_t start = 0);
FrameOctets frame_of(const Template& what, std::uint32_t n);
/// The SYN of one connection, from `what.from` and this port.
FrameOctets syn_frame(const Template& what, std::uint16_t port);

}  // namespace penstock::lab
