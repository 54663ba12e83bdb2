// addresses.h - IP and link addresses as values.
//
// Model     one 16-octet form for both families: IPv4 is ::ffff:a.b.c.d (RFC 4291 s2.5.5.2), as in bpf/abi.
// Shape     IpAddress 16 octets, MacAddress 6; trivially copyable; compare as bytes.
// Errors    parse() returns nullopt for text that is no address; it never guesses.
#pragma once
#include <array>
#include <compare>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>

#include "dataplane/core/be.h"

namespace penstock {

enum class EtherType : std::uint16_t { ipv4 = 0x0800, arp = 0x0806, vlan = 0x8100, qinq = 0x88a8, ipv6 = 0x86dd };
enum class IpProto : std::uint8_t { icmp = 1, tcp = 6, udp = 17, icmpv6 = 58 };
enum class IpFamily : std::uint8_t { v4 = 4, v6 = 6 };

struct IpAddress {
  std::array<std::uint8_t, 16> octets{};

  static constexpr IpAddress v4(std::uint8_t a, std::uint8_t b, std::uint8_t c, std::uint8_t d) {
    return {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d}};
  }
  static IpAddress from_v4(Be32 wire) {
    IpAddress out = v4(0, 0, 0, 0);
    const std::uint32_t raw = wire.wire();
    std::memcpy(out.octets.data() + 12, &raw, 4);
    return out;
  }
  /// Text form of either family ("10.0.0.1", "fd00::1"); no port, no prefix, no zone.
  static std::optional<IpAddress> parse(std::string_view text);

  [[nodiscard]] bool is_v4() const {
    static constexpr std::array<std::uint8_t, 12> kMapped{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    return std::memcmp(octets.data(), kMapped.data(), kMapped.size()) == 0;
  }
  [[nodiscard]] IpFamily family() const { return is_v4() ? IpFamily::v4 : IpFamily::v6; }
  /// The IPv4 address inside; meaningful only if is_v4().
  [[nodiscard]] Be32 as_v4() const {
    std::uint32_t raw;
    std::memcpy(&raw, octets.data() + 12, 4);
    return Be32::from_wire(raw);
  }
  [[nodiscard]] std::string text() const;
  friend constexpr auto operator<=>(const IpAddress&, const IpAddress&) = default;
};
static_assert(sizeof(IpAddress) == 16);

/// A prefix of either family. `bits` counts in the address's own family (0-32 or 0-128).
struct IpPrefix {
  IpAddress address;
  std::uint8_t bits{};
  /// "10.0.0.0/8", "fd00::/64", or an address alone (a host prefix). Host bits beyond the prefix are refused.
  static std::optional<IpPrefix> parse(std::string_view text);
  [[nodiscard]] bool contains(const IpAddress& other) const;
  [[nodiscard]] std::string text() const;
  friend constexpr auto operator<=>(const IpPrefix&, const IpPrefix&) = default;
};
/// `address` with all bits beyond `bits` (own family) cleared.
[[nodiscard]] IpAddress masked(const IpAddress& address, std::uint8_t bits);

struct MacAddress {
  std::array<std::uint8_t, 6> octets{};
  static std::optional<MacAddress> parse(std::string_view text);
  [[nodiscard]] std::string text() const;
  friend constexpr auto operator<=>(const MacAddress&, const MacAddress&) = default;
};
static_assert(sizeof(MacAddress) == 6);

}  // namespace penstock
