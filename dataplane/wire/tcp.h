// tcp.h - TCP headers (RFC 9293 s3.1).
//
// Model     a view that exists is in bounds; options are not read.
// Not here  checksums (wire/checksum.h): they need the addresses.
#pragma once
#include "dataplane/core/be.h"
#include "dataplane/core/result.h"

namespace penstock::wire {

class TcpView {
 public:
  static constexpr std::size_t kMinHeaderOctets = 20;
  static constexpr std::size_t kChecksumOffset = 16;

  /// `segment` is the whole IP payload.
  static Parsed<TcpView> parse(ByteView segment) {
    const DropReason reason = check(segment);
    if (reason != DropReason::none) return reason;
    return of_checked(segment);
  }
  /// parse() in two halves, for the packet path: a value in a register instead of a Parsed in memory.
  static DropReason check(ByteView segment) {
    if (segment.size() < kMinHeaderOctets) return DropReason::truncated;
    const std::size_t header = offset_octets(segment);
    if (header < kMinHeaderOctets || header > segment.size()) return DropReason::bad_tcp_offset;
    return DropReason::none;
  }
  static TcpView of_checked(ByteView segment) { return {segment, offset_octets(segment)}; }

  [[nodiscard]] Be16 src_port() const { return load_be<std::uint16_t>(bytes_, 0); }
  [[nodiscard]] Be16 dst_port() const { return load_be<std::uint16_t>(bytes_, 2); }
  [[nodiscard]] std::uint32_t sequence() const { return load_be<std::uint32_t>(bytes_, 4).host(); }
  [[nodiscard]] std::uint32_t acknowledgement() const { return load_be<std::uint32_t>(bytes_, 8).host(); }
  /// CWR to FIN; the bits are named in wire/packet_info.h.
  [[nodiscard]] std::uint8_t flags() const { return std::to_integer<std::uint8_t>(bytes_[13]); }
  [[nodiscard]] std::uint16_t window() const { return load_be<std::uint16_t>(bytes_, 14).host(); }
  [[nodiscard]] Be16 checksum() const { return load_be<std::uint16_t>(bytes_, kChecksumOffset); }
  [[nodiscard]] std::size_t header_octets() const { return header_octets_; }
  [[nodiscard]] ByteView payload() const { return bytes_.subspan(header_octets_); }

 private:
  static std::size_t offset_octets(ByteView segment) { return (std::to_integer<std::size_t>(segment[12]) >> 4) * 4; }
  TcpView(ByteView bytes, std::size_t header_octets) : bytes_{bytes}, header_octets_{header_octets} {}
  ByteView bytes_;
  std::size_t header_octets_;
};

struct TcpFields {
  Be16 src_port;
  Be16 dst_port;
  std::uint32_t sequence{};
  std::uint32_t acknowledgement{};
  std::uint8_t flags{};
  std::uint16_t window{};
};
/// Writes a header without options; the checksum field is left 0. The caller has checked that 20 octets are there.
inline void write_tcp(ByteSpan out, const TcpFields& fields) {
  store_be(out, 0, fields.src_port);
  store_be(out, 2, fields.dst_port);
  store_be(out, 4, Be32::from_host(fields.sequence));
  store_be(out, 8, Be32::from_host(fields.acknowledgement));
  store_be(out, 12, Be16::from_host(static_cast<std::uint16_t>(0x5000 | fields.flags)));
  store_be(out, 14, Be16::from_host(fields.window));
  store_be(out, 16, Be32{});  // checksum and urgent pointer
}

}  // namespace penstock::wire
