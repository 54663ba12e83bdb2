// nd.h - neighbour solicitation and advertisement (RFC 4861 s4.3, s4.4, s4.6.1).
//
// Model     a view that exists has its 24 fixed octets and well-formed options (none of length 0, none past the end).
// Not here  hop limit, checksum and address rules of RFC 4861 s7.1: l4/neighbor.h.
#pragma once
#include <cstring>
#include <optional>

#include "dataplane/core/addresses.h"
#include "dataplane/core/be.h"
#include "dataplane/core/result.h"

namespace penstock::wire {

inline constexpr std::uint8_t kNdSourceLinkAddress = 1;
inline constexpr std::uint8_t kNdTargetLinkAddress = 2;
inline constexpr std::uint32_t kNdSolicited = 0x40000000;
inline constexpr std::uint32_t kNdOverride = 0x20000000;

class NeighborView {
 public:
  static constexpr std::size_t kMinOctets = 24;

  /// `message` is the whole ICMPv6 message of type 135 or 136.
  static Parsed<NeighborView> parse(ByteView message) {
    if (message.size() < kMinOctets) return DropReason::truncated;
    for (ByteView rest = message.subspan(kMinOctets); !rest.empty();) {
      if (rest.size() < 8) return DropReason::truncated;
      const std::size_t octets = std::to_integer<std::size_t>(rest[1]) * 8;
      if (octets == 0 || octets > rest.size()) return DropReason::truncated;
      rest = rest.subspan(octets);
    }
    return NeighborView{message};
  }
  [[nodiscard]] std::uint8_t code() const { return std::to_integer<std::uint8_t>(bytes_[1]); }
  /// Router, solicited and override bits of an advertisement.
  [[nodiscard]] std::uint32_t flags() const { return load_be<std::uint32_t>(bytes_, 4).host(); }
  [[nodiscard]] IpAddress target() const {
    IpAddress out;
    std::memcpy(out.octets.data(), bytes_.data() + 8, out.octets.size());
    return out;
  }
  /// The Ethernet address in the first option of this type.
  [[nodiscard]] std::optional<MacAddress> link_address(std::uint8_t option_type) const {
    for (ByteView rest = bytes_.subspan(kMinOctets); !rest.empty();) {
      const std::size_t octets = std::to_integer<std::size_t>(rest[1]) * 8;
      if (std::to_integer<std::uint8_t>(rest[0]) == option_type && octets == 8) {
        MacAddress mac;
        std::memcpy(mac.octets.data(), rest.data() + 2, mac.octets.size());
        return mac;
      }
      rest = rest.subspan(octets);
    }
    return std::nullopt;
  }

 private:
  explicit NeighborView(ByteView bytes) : bytes_{bytes} {}
  ByteView bytes_;
};

/// Octets of a neighbour message with one link-layer address option.
inline constexpr std::size_t kNeighborMessageOctets = 32;

/// Writes an advertisement with a target link-layer address option, 32 octets; the checksum field is left 0.
/// The caller has checked that they are there.
inline void write_neighbor_advertisement(ByteSpan out, std::uint32_t flags, const IpAddress& target,
                                         const MacAddress& mac) {
  store_be(out, 0, Be32::from_host(0x88000000u));  // type 136, code 0, checksum 0
  store_be(out, 4, Be32::from_host(flags));
  std::memcpy(out.data() + 8, target.octets.data(), 16);
  store_be(out, 24, Be16::from_host(0x0201));  // option 2, one unit of 8 octets
  std::memcpy(out.data() + 26, mac.octets.data(), 6);
}

}  // namespace penstock::wire
