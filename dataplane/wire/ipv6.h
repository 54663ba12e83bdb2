// ipv6.h - IPv6 headers (RFC 8200 s3).
//
// Model     a view that exists is in bounds. Extension headers are recognised and refused, not walked: the kernel
//           path handles those packets. Link padding behind the packet is cut off.
#pragma once
#include <cstring>

#include "dataplane/core/addresses.h"
#include "dataplane/core/be.h"
#include "dataplane/core/result.h"

namespace penstock::wire {

inline constexpr std::uint8_t kIpv6FragmentHeader = 44;

/// Next-header values that are extension headers (IANA, RFC 7045), except the fragment header.
[[nodiscard]] constexpr bool is_ipv6_extension(std::uint8_t next_header) {
  switch (next_header) {
    case 0:    // hop-by-hop options
    case 43:   // routing
    case 50:   // encapsulating security payload
    case 51:   // authentication
    case 60:   // destination options
    case 135:  // mobility
    case 139:  // host identity
    case 140:  // shim6
      return true;
    default:
      return false;
  }
}

class Ipv6View {
 public:
  static constexpr std::size_t kHeaderOctets = 40;

  /// `packet` starts at the IP header and may carry link padding behind it.
  static Parsed<Ipv6View> parse(ByteView packet) {
    const DropReason reason = check(packet);
    if (reason != DropReason::none) return reason;
    return of_checked(packet);
  }
  /// parse() in two halves, for the packet path: a value in a register instead of a Parsed in memory.
  static DropReason check(ByteView packet) {
    const DropReason reason = check_quoted(packet);
    if (reason != DropReason::none) return reason;
    const std::size_t total = kHeaderOctets + load_be<std::uint16_t>(packet, 4).host();
    return total > packet.size() ? DropReason::truncated : DropReason::none;
  }
  static Ipv6View of_checked(ByteView packet) {
    const std::size_t total = kHeaderOctets + load_be<std::uint16_t>(packet, 4).host();
    return Ipv6View{total < packet.size() ? packet.first(total) : packet};
  }
  /// As quoted in an ICMPv6 error: the header is whole, the rest of the packet may be cut off.
  static Parsed<Ipv6View> parse_quoted(ByteView packet) {
    const DropReason reason = check_quoted(packet);
    if (reason != DropReason::none) return reason;
    return of_checked(packet);
  }
  static DropReason check_quoted(ByteView packet) {
    if (packet.size() < kHeaderOctets) return DropReason::truncated;
    const bool is_v6 = std::to_integer<std::uint8_t>(packet[0]) >> 4 == 6;
    return is_v6 ? DropReason::none : DropReason::bad_version;
  }
  [[nodiscard]] std::uint16_t payload_length() const { return load_be<std::uint16_t>(bytes_, 4).host(); }
  [[nodiscard]] std::uint8_t next_header() const { return std::to_integer<std::uint8_t>(bytes_[6]); }
  [[nodiscard]] IpProto proto() const { return IpProto{next_header()}; }
  [[nodiscard]] std::uint8_t hop_limit() const { return std::to_integer<std::uint8_t>(bytes_[7]); }
  [[nodiscard]] IpAddress src() const { return address_at(8); }
  [[nodiscard]] IpAddress dst() const { return address_at(24); }
  [[nodiscard]] ByteView payload() const { return bytes_.subspan(kHeaderOctets); }

 private:
  explicit Ipv6View(ByteView bytes) : bytes_{bytes} {}
  [[nodiscard]] IpAddress address_at(std::size_t offset) const {
    IpAddress out;
    std::memcpy(out.octets.data(), bytes_.data() + offset, out.octets.size());
    return out;
  }
  ByteView bytes_;
};

struct Ipv6Fields {
  IpAddress src;
  IpAddress dst;
  IpProto proto{};
  std::uint16_t payload_octets{};
  std::uint8_t hop_limit{64};
  std::uint8_t traffic_class{};
  std::uint32_t flow_label{};
};
/// Writes 40 octets. The caller has checked that they are there.
inline void write_ipv6(ByteSpan out, const Ipv6Fields& fields) {
  const std::uint32_t first = 0x60000000u | std::uint32_t{fields.traffic_class} << 20 | (fields.flow_label & 0xfffffu);
  store_be(out, 0, Be32::from_host(first));
  store_be(out, 4, Be16::from_host(fields.payload_octets));
  out[6] = static_cast<std::byte>(fields.proto);
  out[7] = std::byte{fields.hop_limit};
  std::memcpy(out.data() + 8, fields.src.octets.data(), 16);
  std::memcpy(out.data() + 24, fields.dst.octets.data(), 16);
}

}  // namespace penstock::wire
