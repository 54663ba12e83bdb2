// packet_builder.h - test packets in one readable line, a checker and a dump for failures.
//
// Model     PacketBuilder writes octets and checksums by plain code of its own, so that a fault in dataplane/wire
//           does not hide itself. Lengths and checksums are right unless told otherwise.
// Example   const auto syn = PacketBuilder{}.ipv4("10.1.0.2", "10.96.0.10").tcp(40000, 80, "S").build();
// Errors    an address that is none, or a layer that is missing, ends the test program.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "dataplane/core/addresses.h"
#include "dataplane/core/be.h"
#include "dataplane/core/frame.h"

namespace penstock::test {

using Bytes = std::vector<std::byte>;

enum class ChecksumMode : std::uint8_t {
  full,
  partial,  ///< only the pseudo-header sum, as a local kernel leaves it
  zero,     ///< 0: "none" for UDP over IPv4
  bad       ///< full, with one bit wrong
};

[[nodiscard]] IpAddress ip(std::string_view text);
[[nodiscard]] MacAddress mac(std::string_view text);
[[nodiscard]] Be16 port(std::uint16_t host_order);
/// "SA" -> SYN|ACK; letters F S R P A U E C.
[[nodiscard]] std::uint8_t tcp_flags(std::string_view letters);
[[nodiscard]] Bytes bytes_of(std::string_view text);

class PacketBuilder {
 public:
  // Link layer. Defaults: from 02:00:00:00:00:01 to 02:00:00:00:00:02, untagged.
  PacketBuilder& eth(std::string_view src, std::string_view dst);
  PacketBuilder& vlan(std::uint16_t tci, std::uint16_t tag_type = 0x8100);
  PacketBuilder& ether_type(std::uint16_t type);  ///< instead of the one that follows from the layers

  // Network layer: exactly one of these, or arp() or raw().
  PacketBuilder& ipv4(std::string_view src, std::string_view dst);
  PacketBuilder& ipv6(std::string_view src, std::string_view dst);
  PacketBuilder& from_to(const IpAddress& src, const IpAddress& dst);  ///< either family
  PacketBuilder& ttl(std::uint8_t value);                              ///< default 64
  PacketBuilder& dont_fragment(bool value);                            ///< default true
  PacketBuilder& fragment(std::uint16_t offset_units, bool more);      ///< IPv4 only
  PacketBuilder& ip_options(std::size_t octets);                       ///< IPv4 no-operation options, multiple of 4
  PacketBuilder& ip_proto(std::uint8_t value);  ///< instead of the one that follows from the layers
  PacketBuilder& arp(std::uint16_t operation, std::string_view sender_mac, std::string_view sender,
                     std::string_view target);

  // Transport layer: one of these.
  PacketBuilder& tcp(std::uint16_t src_port, std::uint16_t dst_port, std::string_view flags = "A");
  PacketBuilder& seq(std::uint32_t value);
  PacketBuilder& ack(std::uint32_t value);
  PacketBuilder& window(std::uint16_t value);
  PacketBuilder& tcp_options(Bytes options);  ///< a multiple of 4 octets
  PacketBuilder& udp(std::uint16_t src_port, std::uint16_t dst_port);
  PacketBuilder& icmp(std::uint8_t type, std::uint8_t code, std::uint32_t rest = 0);  ///< or ICMPv6, by family
  PacketBuilder& echo_request(std::uint16_t id, std::uint16_t sequence);
  /// ICMPv6 type 135; `source_mac` empty leaves the source link-layer option out. Sets hop limit 255.
  PacketBuilder& neighbor_solicitation(std::string_view target, std::string_view source_mac);

  PacketBuilder& payload(std::string_view text);
  PacketBuilder& payload(Bytes bytes);
  PacketBuilder& payload_octets(std::size_t count);  ///< a fixed pattern
  PacketBuilder& checksum(ChecksumMode mode);        ///< of TCP, UDP or ICMP
  PacketBuilder& ip_checksum(ChecksumMode mode);     ///< full or bad
  PacketBuilder& padding(std::size_t octets);        ///< behind the IP packet
  PacketBuilder& cut(std::size_t octets);            ///< frame ends after this many octets

  [[nodiscard]] Bytes build() const;
  /// The IP packet alone, at most `octets` of it: what an ICMP error quotes.
  [[nodiscard]] Bytes quote(std::size_t octets = 65535) const;

 private:
  enum class Layer4 : std::uint8_t { none, tcp, udp, icmp };
  [[nodiscard]] bool v4() const { return src_.is_v4(); }
  [[nodiscard]] Bytes transport() const;
  [[nodiscard]] Bytes network() const;
  [[nodiscard]] std::uint16_t type() const;

  MacAddress eth_src_{{2, 0, 0, 0, 0, 1}};
  MacAddress eth_dst_{{2, 0, 0, 0, 0, 2}};
  std::optional<std::uint16_t> tci_;
  std::uint16_t tag_type_{0x8100};
  std::optional<std::uint16_t> ether_type_;
  IpAddress src_, dst_;
  bool has_ip_{};
  std::uint8_t ttl_{64};
  std::uint16_t fragment_field_{0x4000};
  std::size_t ip_options_{};
  std::optional<std::uint8_t> ip_proto_;
  ChecksumMode ip_checksum_{ChecksumMode::full};
  Bytes arp_;
  Layer4 l4_{Layer4::none};
  std::uint16_t src_port_{}, dst_port_{};
  std::uint8_t flags_{};
  std::uint32_t seq_{1000}, ack_{2000};
  std::uint16_t window_{65535};
  Bytes tcp_options_;
  std::uint8_t icmp_type_{}, icmp_code_{};
  std::uint32_t icmp_rest_{};
  Bytes payload_;
  ChecksumMode checksum_{ChecksumMode::full};
  std::size_t padding_{};
  std::optional<std::size_t> cut_;
};

/// Owns a buffer with room on both sides and lends it as a Frame. Gives the frame up itself at the end, so a test
/// may leave it live.
class TestFrame {
 public:
  explicit TestFrame(const Bytes& content, std::uint16_t headroom = 128, std::uint16_t tailroom = 2048,
                     PortIndex from = 0);
  ~TestFrame();
  TestFrame(const TestFrame&) = delete;
  TestFrame& operator=(const TestFrame&) = delete;
  [[nodiscard]] Frame& frame() { return frame_; }
  [[nodiscard]] Bytes content() const;

 private:
  Bytes buffer_;
  Frame frame_;
};

/// Everything that is wrong with a frame's lengths and checksums, one line each; empty when it is right.
/// A partial or (UDP, IPv4) absent checksum is wrong unless allowed. ICMP errors: the quote's header is looked at too.
struct CheckOptions {
  bool allow_partial{false};
  bool allow_no_udp_checksum{true};
};
[[nodiscard]] std::vector<std::string> problems_of(ByteView frame, CheckOptions options = {});

/// One line: "02:..:01 > 02:..:02 vlan 5, 10.1.0.2.40000 > 10.96.0.10.80 tcp S seq 1000 ack 0 len 0 ttl 64".
[[nodiscard]] std::string describe(ByteView frame);
/// describe(), problems_of() and the octets, 16 a line: for failure messages.
[[nodiscard]] std::string dump(ByteView frame);

/// RFC 1071 s4.1, as printed there: the plain twin that faster code is compared with. Returns the sum, not its
/// complement, in host order.
[[nodiscard]] std::uint16_t plain_sum(ByteView bytes, std::uint32_t start = 0);

}  // namespace penstock::test
