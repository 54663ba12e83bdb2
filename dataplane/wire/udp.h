// udp.h - UDP headers (RFC 768).
//
// Model     a view that exists is in bounds. The UDP length may be shorter than the IP payload, never longer; what
//           lies behind it belongs to nobody and is neither summed nor read.
#pragma once
#include "dataplane/core/be.h"
#include "dataplane/core/result.h"

namespace penstock::wire {

class UdpView {
 public:
  static constexpr std::size_t kHeaderOctets = 8;
  static constexpr std::size_t kChecksumOffset = 6;

  /// `datagram` is the whole IP payload.
  static Parsed<UdpView> parse(ByteView datagram) {
    const DropReason reason = check(datagram);
    if (reason != DropReason::none) return reason;
    return of_checked(datagram);
  }
  /// parse() in two halves, for the packet path: a value in a register instead of a Parsed in memory.
  static DropReason check(ByteView datagram) {
    if (datagram.size() < kHeaderOctets) return DropReason::truncated;
    const std::size_t length = load_be<std::uint16_t>(datagram, 4).host();
    if (length < kHeaderOctets || length > datagram.size()) return DropReason::bad_udp_length;
    return DropReason::none;
  }
  static UdpView of_checked(ByteView datagram) {
    return UdpView{datagram.first(load_be<std::uint16_t>(datagram, 4).host())};
  }

  [[nodiscard]] Be16 src_port() const { return load_be<std::uint16_t>(bytes_, 0); }
  [[nodiscard]] Be16 dst_port() const { return load_be<std::uint16_t>(bytes_, 2); }
  /// Header and payload.
  [[nodiscard]] std::uint16_t octets() const { return static_cast<std::uint16_t>(bytes_.size()); }
  [[nodiscard]] Be16 checksum() const { return load_be<std::uint16_t>(bytes_, kChecksumOffset); }
  [[nodiscard]] ByteView payload() const { return bytes_.subspan(kHeaderOctets); }

 private:
  explicit UdpView(ByteView bytes) : bytes_{bytes} {}
  ByteView bytes_;
};

/// Writes a header; the checksum field is left 0. The caller has checked that 8 octets are there.
inline void write_udp(ByteSpan out, Be16 src_port, Be16 dst_port, std::uint16_t payload_octets) {
  store_be(out, 0, src_port);
  store_be(out, 2, dst_port);
  store_be(out, 4, Be16::from_host(static_cast<std::uint16_t>(UdpView::kHeaderOctets + payload_octets)));
  store_be(out, 6, Be16{});
}

}  // namespace penstock::wire
