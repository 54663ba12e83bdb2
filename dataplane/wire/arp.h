// arp.h - ARP for IPv4 over Ethernet (RFC 826).
//
// Model     only hardware type 1, protocol IPv4, address lengths 6 and 4; everything else is unsupported_proto.
#pragma once
#include <cstring>

#include "dataplane/core/addresses.h"
#include "dataplane/core/be.h"
#include "dataplane/core/result.h"

namespace penstock::wire {

inline constexpr std::uint16_t kArpRequest = 1;
inline constexpr std::uint16_t kArpReply = 2;

class ArpView {
 public:
  static constexpr std::size_t kOctets = 28;

  /// `packet` is the Ethernet payload and may carry link padding.
  static Parsed<ArpView> parse(ByteView packet) {
    if (packet.size() < kOctets) return DropReason::truncated;
    if (load_be<std::uint32_t>(packet, 0).host() != 0x00010800u) return DropReason::unsupported_proto;
    if (load_be<std::uint16_t>(packet, 4).host() != 0x0604u) return DropReason::unsupported_proto;
    return ArpView{packet.first(kOctets)};
  }
  [[nodiscard]] std::uint16_t operation() const { return load_be<std::uint16_t>(bytes_, 6).host(); }
  [[nodiscard]] MacAddress sender_mac() const { return mac_at(8); }
  [[nodiscard]] IpAddress sender() const { return IpAddress::from_v4(load_be<std::uint32_t>(bytes_, 14)); }
  [[nodiscard]] MacAddress target_mac() const { return mac_at(18); }
  [[nodiscard]] IpAddress target() const { return IpAddress::from_v4(load_be<std::uint32_t>(bytes_, 24)); }

 private:
  explicit ArpView(ByteView bytes) : bytes_{bytes} {}
  [[nodiscard]] MacAddress mac_at(std::size_t offset) const {
    MacAddress out;
    std::memcpy(out.octets.data(), bytes_.data() + offset, out.octets.size());
    return out;
  }
  ByteView bytes_;
};

struct ArpFields {
  std::uint16_t operation{kArpRequest};
  MacAddress sender_mac;
  IpAddress sender;
  MacAddress target_mac;
  IpAddress target;
};
/// Writes 28 octets. The caller has checked that they are there.
inline void write_arp(ByteSpan out, const ArpFields& fields) {
  store_be(out, 0, Be32::from_host(0x00010800u));
  store_be(out, 4, Be16::from_host(0x0604));
  store_be(out, 6, Be16::from_host(fields.operation));
  std::memcpy(out.data() + 8, fields.sender_mac.octets.data(), 6);
  store_be(out, 14, fields.sender.as_v4());
  std::memcpy(out.data() + 18, fields.target_mac.octets.data(), 6);
  store_be(out, 24, fields.target.as_v4());
}

}  // namespace penstock::wire
