// ipv4.h - IPv4 headers (RFC 791 s3.1).
//
// Model     a view that exists is in bounds; options are skipped, not read. Link padding behind the packet is cut off.
// Not here  the header checksum's verification (l4/verify.h), reassembly (the kernel's).
#pragma once
#include "dataplane/core/addresses.h"
#include "dataplane/core/be.h"
#include "dataplane/core/result.h"
#include "dataplane/wire/checksum.h"

namespace penstock::wire {

inline constexpr std::uint16_t kIpv4DontFragment = 0x4000;
inline constexpr std::uint16_t kIpv4MoreFragments = 0x2000;
inline constexpr std::uint16_t kIpv4OffsetMask = 0x1fff;

class Ipv4View {
 public:
  static constexpr std::size_t kMinHeaderOctets = 20;

  /// `packet` starts at the IP header and may carry link padding behind it.
  static Parsed<Ipv4View> parse(ByteView packet) {
    const DropReason reason = check(packet);
    if (reason != DropReason::none) return reason;
    return of_checked(packet);
  }
  /// parse() in two halves, for the packet path: a value in a register instead of a Parsed in memory.
  static DropReason check(ByteView packet) {
    const DropReason reason = check_quoted(packet);
    if (reason != DropReason::none) return reason;
    return load_be<std::uint16_t>(packet, 2).host() > packet.size() ? DropReason::truncated : DropReason::none;
  }
  static Ipv4View of_checked(ByteView packet) {
    const std::size_t total = load_be<std::uint16_t>(packet, 2).host();
    return {total < packet.size() ? packet.first(total) : packet, (std::to_integer<std::size_t>(packet[0]) & 0x0f) * 4};
  }
  /// As quoted in an ICMP error: the header is whole, the rest of the packet may be cut off.
  static Parsed<Ipv4View> parse_quoted(ByteView packet) {
    const DropReason reason = check_quoted(packet);
    if (reason != DropReason::none) return reason;
    return of_checked(packet);
  }
  static DropReason check_quoted(ByteView packet) {
    if (packet.size() < kMinHeaderOctets) return DropReason::truncated;
    const auto first = std::to_integer<std::uint8_t>(packet[0]);
    if (first >> 4 != 4) return DropReason::bad_version;
    const std::size_t header = (first & 0x0fu) * 4u;
    if (header < kMinHeaderOctets) return DropReason::bad_ihl;
    const std::size_t total = load_be<std::uint16_t>(packet, 2).host();
    if (total < header) return DropReason::bad_total_length;
    return header > packet.size() ? DropReason::truncated : DropReason::none;
  }
  [[nodiscard]] std::size_t header_octets() const { return header_octets_; }
  [[nodiscard]] std::uint16_t total_octets() const { return load_be<std::uint16_t>(bytes_, 2).host(); }
  [[nodiscard]] std::uint16_t fragment_field() const { return load_be<std::uint16_t>(bytes_, 6).host(); }
  [[nodiscard]] bool is_fragment() const { return (fragment_field() & (kIpv4MoreFragments | kIpv4OffsetMask)) != 0; }
  [[nodiscard]] bool dont_fragment() const { return (fragment_field() & kIpv4DontFragment) != 0; }
  [[nodiscard]] std::uint8_t ttl() const { return std::to_integer<std::uint8_t>(bytes_[8]); }
  [[nodiscard]] IpProto proto() const { return IpProto{std::to_integer<std::uint8_t>(bytes_[9])}; }
  [[nodiscard]] Be16 checksum() const { return load_be<std::uint16_t>(bytes_, 10); }
  [[nodiscard]] IpAddress src() const { return IpAddress::from_v4(load_be<std::uint32_t>(bytes_, 12)); }
  [[nodiscard]] IpAddress dst() const { return IpAddress::from_v4(load_be<std::uint32_t>(bytes_, 16)); }
  [[nodiscard]] ByteView header() const { return bytes_.first(header_octets_); }
  [[nodiscard]] ByteView payload() const { return bytes_.subspan(header_octets_); }

 private:
  Ipv4View(ByteView bytes, std::size_t header_octets) : bytes_{bytes}, header_octets_{header_octets} {}
  ByteView bytes_;
  std::size_t header_octets_;
};

/// A header without options, as this node writes it.
struct Ipv4Fields {
  IpAddress src;
  IpAddress dst;
  IpProto proto{};
  std::uint16_t payload_octets{};
  std::uint8_t ttl{64};
  std::uint8_t tos{};
  std::uint16_t identification{};
  bool dont_fragment{true};  ///< an atomic datagram needs no identification (RFC 6864)
};
/// Writes 20 octets with a right checksum. The caller has checked that they are there.
inline void write_ipv4(ByteSpan out, const Ipv4Fields& fields) {
  const std::uint32_t octets = static_cast<std::uint32_t>(Ipv4View::kMinHeaderOctets) + fields.payload_octets;
  const Be32 first = Be32::from_host(0x45000000u | std::uint32_t{fields.tos} << 16 | (octets & 0xffff));
  const Be32 second =
      Be32::from_host(std::uint32_t{fields.identification} << 16 | (fields.dont_fragment ? kIpv4DontFragment : 0u));
  const Be16 third = Be16::from_host(
      static_cast<std::uint16_t>(std::uint32_t{fields.ttl} << 8 | static_cast<std::uint8_t>(fields.proto)));
  const Be32 src = fields.src.as_v4(), dst = fields.dst.as_v4();
  // Added up from the values: reading back what was just written in other widths would wait for the stores.
  const std::uint64_t sum =
      std::uint64_t{first.wire()} + second.wire() + third.wire() + src.wire() + std::uint64_t{dst.wire()};
  store_be(out, 0, first);
  store_be(out, 4, second);
  store_be(out, 8, third);
  store_be(out, 10, checksum_from(sum));
  store_be(out, 12, src);
  store_be(out, 16, dst);
}

}  // namespace penstock::wire
