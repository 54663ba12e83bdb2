// icmp.h - the common 8 octets of ICMP (RFC 792) and ICMPv6 (RFC 4443) messages.
//
// Model     type, code, checksum, 4 octets that depend on the type, body. Which types are served is decided here.
#pragma once
#include "dataplane/core/be.h"
#include "dataplane/core/result.h"

namespace penstock::wire {

inline constexpr std::uint8_t kIcmpEchoReply = 0;
inline constexpr std::uint8_t kIcmpUnreachable = 3;
inline constexpr std::uint8_t kIcmpFragmentationNeeded = 4;  // code of the above
inline constexpr std::uint8_t kIcmpEchoRequest = 8;
inline constexpr std::uint8_t kIcmpTimeExceeded = 11;
inline constexpr std::uint8_t kIcmpParameterProblem = 12;

inline constexpr std::uint8_t kIcmpv6Unreachable = 1;
inline constexpr std::uint8_t kIcmpv6PacketTooBig = 2;
inline constexpr std::uint8_t kIcmpv6TimeExceeded = 3;
inline constexpr std::uint8_t kIcmpv6ParameterProblem = 4;
inline constexpr std::uint8_t kIcmpv6EchoRequest = 128;
inline constexpr std::uint8_t kIcmpv6EchoReply = 129;
inline constexpr std::uint8_t kIcmpv6NeighborSolicitation = 135;
inline constexpr std::uint8_t kIcmpv6NeighborAdvertisement = 136;

/// Errors that quote a packet and are translated. (Source quench and redirect are obsolete or link-local.)
[[nodiscard]] constexpr bool is_icmp_error(std::uint8_t type) {
  return type == kIcmpUnreachable || type == kIcmpTimeExceeded || type == kIcmpParameterProblem;
}
[[nodiscard]] constexpr bool is_icmpv6_error(std::uint8_t type) {
  return type >= kIcmpv6Unreachable && type <= kIcmpv6ParameterProblem;
}

class IcmpView {
 public:
  static constexpr std::size_t kHeaderOctets = 8;
  static constexpr std::size_t kChecksumOffset = 2;

  /// `message` is the whole IP payload, of either family.
  static Parsed<IcmpView> parse(ByteView message) {
    if (message.size() < kHeaderOctets) return DropReason::truncated;
    return IcmpView{message};
  }
  [[nodiscard]] std::uint8_t type() const { return std::to_integer<std::uint8_t>(bytes_[0]); }
  [[nodiscard]] std::uint8_t code() const { return std::to_integer<std::uint8_t>(bytes_[1]); }
  [[nodiscard]] Be16 checksum() const { return load_be<std::uint16_t>(bytes_, kChecksumOffset); }
  [[nodiscard]] Be32 rest() const { return load_be<std::uint32_t>(bytes_, 4); }
  /// Behind the 8 octets: the quoted packet of an error, the data of an echo.
  [[nodiscard]] ByteView body() const { return bytes_.subspan(kHeaderOctets); }

 private:
  explicit IcmpView(ByteView bytes) : bytes_{bytes} {}
  ByteView bytes_;
};

/// Writes the 8 octets; the checksum field is left 0. The caller has checked that they are there.
inline void write_icmp(ByteSpan out, std::uint8_t type, std::uint8_t code, Be32 rest) {
  out[0] = std::byte{type};
  out[1] = std::byte{code};
  store_be(out, 2, Be16{});
  store_be(out, 4, rest);
}

}  // namespace penstock::wire
