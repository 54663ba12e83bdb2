// ethernet.h - Ethernet II with at most one VLAN tag.
//
// Model     a tag is 802.1Q (0x8100) or 802.1ad (0x88a8); a second one is refused.
// Shape     14 or 18 octets in front of the payload.
#pragma once
#include <cstring>

#include "dataplane/core/addresses.h"
#include "dataplane/core/be.h"
#include "dataplane/core/result.h"

namespace penstock::wire {

inline constexpr std::size_t kEthernetOctets = 14;
inline constexpr std::size_t kVlanTagOctets = 4;

[[nodiscard]] constexpr bool is_vlan(std::uint16_t ether_type) {
  return ether_type == static_cast<std::uint16_t>(EtherType::vlan) ||
         ether_type == static_cast<std::uint16_t>(EtherType::qinq);
}
/// Broadcast and multicast: the lowest bit of the first octet.
[[nodiscard]] constexpr bool is_group(const MacAddress& mac) { return (mac.octets[0] & 1) != 0; }

class EthernetView {
 public:
  static Parsed<EthernetView> parse(ByteView frame) {
    if (frame.size() < kEthernetOctets) return DropReason::truncated;
    std::uint16_t type = load_be<std::uint16_t>(frame, 12).host();
    if (!is_vlan(type)) return EthernetView{frame, kEthernetOctets, type};
    if (frame.size() < kEthernetOctets + kVlanTagOctets) return DropReason::truncated;
    type = load_be<std::uint16_t>(frame, 16).host();
    if (is_vlan(type)) return DropReason::vlan_depth;
    return EthernetView{frame, kEthernetOctets + kVlanTagOctets, type};
  }
  [[nodiscard]] MacAddress destination() const { return mac_at(0); }
  [[nodiscard]] MacAddress source() const { return mac_at(6); }
  [[nodiscard]] bool tagged() const { return header_octets_ != kEthernetOctets; }
  /// Priority, DEI and VLAN identifier in host order; 0 when untagged.
  [[nodiscard]] std::uint16_t tci() const {
    return tagged() ? load_be<std::uint16_t>(bytes_, 14).host() : std::uint16_t{0};
  }
  /// EtherType of the payload, behind any tag.
  [[nodiscard]] std::uint16_t ether_type() const { return ether_type_; }
  [[nodiscard]] std::size_t header_octets() const { return header_octets_; }
  [[nodiscard]] ByteView payload() const { return bytes_.subspan(header_octets_); }

 private:
  EthernetView(ByteView bytes, std::size_t header_octets, std::uint16_t ether_type)
      : bytes_{bytes}, header_octets_{static_cast<std::uint16_t>(header_octets)}, ether_type_{ether_type} {}
  [[nodiscard]] MacAddress mac_at(std::size_t offset) const {
    MacAddress out;
    std::memcpy(out.octets.data(), bytes_.data() + offset, out.octets.size());
    return out;
  }
  ByteView bytes_;
  std::uint16_t header_octets_;
  std::uint16_t ether_type_;
};

/// Writes destination and source. The caller has checked that 12 octets are there.
inline void write_macs(ByteSpan frame, const MacAddress& destination, const MacAddress& source) {
  std::memcpy(frame.data(), destination.octets.data(), 6);
  std::memcpy(frame.data() + 6, source.octets.data(), 6);
}
/// Exchanges destination and source: the frame goes back.
inline void exchange_macs(ByteSpan frame) {
  std::byte old_destination[6];
  std::memcpy(old_destination, frame.data(), 6);
  std::memcpy(frame.data(), frame.data() + 6, 6);
  std::memcpy(frame.data() + 6, old_destination, 6);
}

}  // namespace penstock::wire
