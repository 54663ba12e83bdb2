#include "tests/bpf/plain_parse.h"

namespace penstock::test {
namespace {

/// Octets with an end. Reading past it gives nothing.
class Octets {
 public:
  explicit Octets(std::span<const std::uint8_t> bytes) : bytes_{bytes} {}
  [[nodiscard]] std::size_t size() const { return bytes_.size(); }
  [[nodiscard]] std::uint8_t u8(std::size_t at) const { return bytes_[at]; }
  [[nodiscard]] std::uint16_t u16(std::size_t at) const {
    return static_cast<std::uint16_t>(bytes_[at] * 256 + bytes_[at + 1]);
  }
  [[nodiscard]] Octets from(std::size_t at) const { return Octets{bytes_.subspan(at)}; }
  [[nodiscard]] Octets first(std::size_t count) const { return Octets{bytes_.first(count)}; }
  [[nodiscard]] IpAddress v4(std::size_t at) const { return IpAddress::v4(u8(at), u8(at + 1), u8(at + 2), u8(at + 3)); }
  [[nodiscard]] IpAddress v6(std::size_t at) const {
    IpAddress out;
    for (std::size_t i = 0; i < 16; ++i) out.octets[i] = u8(at + i);
    return out;
  }

 private:
  std::span<const std::uint8_t> bytes_;
};

PlainPacket refused(std::uint32_t reason) {
  PlainPacket out;
  out.reason = reason;
  return out;
}

PlainPacket plain_transport(PlainPacket packet, const Octets& l4) {
  packet.kind = PENSTOCK_PACKET_FLOW;
  if (packet.proto == 6) {
    if (l4.size() < 20) return refused(PENSTOCK_STEER_TRUNCATED);
    const std::size_t header = l4.u8(12) / 16u * 4u;
    if (header < 20 || header > l4.size()) return refused(PENSTOCK_STEER_BAD_TCP_OFFSET);
    packet.tcp_flags = l4.u8(13);
  } else {
    if (l4.size() < 8) return refused(PENSTOCK_STEER_TRUNCATED);
    if (l4.u16(4) < 8 || l4.u16(4) > l4.size()) return refused(PENSTOCK_STEER_BAD_UDP_LENGTH);
  }
  packet.src_port = l4.u16(0);
  packet.dst_port = l4.u16(2);
  return packet;
}

PlainPacket plain_quote(bool v4, const Octets& quote) {
  PlainPacket out;
  out.kind = PENSTOCK_PACKET_ICMP_ERROR;
  std::size_t header = 40;
  if (quote.size() < (v4 ? 20u : 40u)) return refused(PENSTOCK_STEER_TRUNCATED);
  if (quote.u8(0) / 16 != (v4 ? 4 : 6)) return refused(PENSTOCK_STEER_BAD_VERSION);
  if (v4) {
    header = quote.u8(0) % 16u * 4u;
    if (header < 20) return refused(PENSTOCK_STEER_BAD_IHL);
    if (header > quote.size()) return refused(PENSTOCK_STEER_TRUNCATED);
    if (quote.u16(6) % 0x2000 != 0) return refused(PENSTOCK_STEER_FRAGMENT);
  }
  if (!v4 && (quote.v6(8).is_v4() || quote.v6(24).is_v4())) return refused(PENSTOCK_STEER_MAPPED_ADDRESS);
  out.proto = quote.u8(v4 ? 9 : 6);
  if (out.proto != 6 && out.proto != 17) return refused(PENSTOCK_STEER_UNSUPPORTED_PROTO);
  if (quote.size() < header + 8) return refused(PENSTOCK_STEER_TRUNCATED);
  // Backwards: who sent the quoted packet is who this one is for.
  out.dst = v4 ? quote.v4(12) : quote.v6(8);
  out.src = v4 ? quote.v4(16) : quote.v6(24);
  out.dst_port = quote.u16(header);
  out.src_port = quote.u16(header + 2);
  return out;
}

PlainPacket plain_icmp(PlainPacket packet, bool v4, std::uint8_t hop_limit, const Octets& l4) {
  if (l4.size() < 8) return refused(PENSTOCK_STEER_TRUNCATED);
  const std::uint8_t type = l4.u8(0);
  if (type == (v4 ? 8 : 128)) {
    packet.kind = PENSTOCK_PACKET_ECHO;
    return packet;
  }
  if (v4 ? (type == 3 || type == 11 || type == 12) : (type >= 1 && type <= 4)) return plain_quote(v4, l4.from(8));
  if (!v4 && type == 135) {
    if (l4.size() < 24) return refused(PENSTOCK_STEER_TRUNCATED);
    if (l4.u8(1) != 0 || hop_limit != 255) return refused(PENSTOCK_STEER_UNSUPPORTED_PROTO);
    packet.kind = PENSTOCK_PACKET_NEIGHBOR;
    packet.dst = l4.v6(8);
    return packet.dst.is_v4() ? refused(PENSTOCK_STEER_MAPPED_ADDRESS) : packet;
  }
  return refused(PENSTOCK_STEER_UNSUPPORTED_PROTO);
}

PlainPacket plain_v4(const Octets& l3) {
  if (l3.size() < 20) return refused(PENSTOCK_STEER_TRUNCATED);
  if (l3.u8(0) / 16 != 4) return refused(PENSTOCK_STEER_BAD_VERSION);
  const std::size_t header = l3.u8(0) % 16u * 4u;
  if (header < 20) return refused(PENSTOCK_STEER_BAD_IHL);
  const std::size_t total = l3.u16(2);
  if (total < header || total > l3.size()) return refused(PENSTOCK_STEER_TRUNCATED);
  if (l3.u16(6) % 0x4000 != 0) return refused(PENSTOCK_STEER_FRAGMENT);
  PlainPacket out;
  out.src = l3.v4(12);
  out.dst = l3.v4(16);
  out.proto = l3.u8(9);
  const Octets l4 = l3.first(total).from(header);
  if (out.proto == 6 || out.proto == 17) return plain_transport(out, l4);
  if (out.proto == 1) return plain_icmp(out, true, l3.u8(8), l4);
  return refused(PENSTOCK_STEER_UNSUPPORTED_PROTO);
}

PlainPacket plain_v6(const Octets& l3) {
  if (l3.size() < 40) return refused(PENSTOCK_STEER_TRUNCATED);
  if (l3.u8(0) / 16 != 6) return refused(PENSTOCK_STEER_BAD_VERSION);
  const std::size_t total = 40u + l3.u16(4);
  if (total > l3.size()) return refused(PENSTOCK_STEER_TRUNCATED);
  PlainPacket out;
  out.src = l3.v6(8);
  out.dst = l3.v6(24);
  if (out.src.is_v4() || out.dst.is_v4()) return refused(PENSTOCK_STEER_MAPPED_ADDRESS);
  out.proto = l3.u8(6);
  const Octets l4 = l3.first(total).from(40);
  if (out.proto == 6 || out.proto == 17) return plain_transport(out, l4);
  if (out.proto == 58) return plain_icmp(out, false, l3.u8(7), l4);
  if (out.proto == 44) return refused(PENSTOCK_STEER_FRAGMENT);
  for (const int extension : {0, 43, 50, 51, 60, 135, 139, 140})
    if (out.proto == extension) return refused(PENSTOCK_STEER_IPV6_EXTENSION);
  return refused(PENSTOCK_STEER_UNSUPPORTED_PROTO);
}

PlainPacket plain_arp(const Octets& arp) {
  if (arp.size() < 28) return refused(PENSTOCK_STEER_TRUNCATED);
  const bool request = arp.u16(0) == 1 && arp.u16(2) == 0x0800 && arp.u16(4) == 0x0604 && arp.u16(6) == 1;
  if (!request) return refused(PENSTOCK_STEER_NOT_IP);
  PlainPacket out;
  out.kind = PENSTOCK_PACKET_NEIGHBOR;
  out.dst = arp.v4(24);
  return out;
}

}  // namespace

PlainPacket plain_parse(std::span<const std::uint8_t> bytes) {
  const Octets frame{bytes};
  std::size_t payload = 14;
  if (frame.size() < payload) return refused(PENSTOCK_STEER_TRUNCATED);
  const auto is_tag = [](std::uint16_t type) { return type == 0x8100 || type == 0x88a8; };
  if (is_tag(frame.u16(12))) {
    payload = 18;
    if (frame.size() < payload) return refused(PENSTOCK_STEER_TRUNCATED);
    if (is_tag(frame.u16(16))) return refused(PENSTOCK_STEER_VLAN_DEPTH);
  }
  const Octets rest = frame.from(payload);
  switch (frame.u16(payload - 2)) {
    case 0x0800:
      return plain_v4(rest);
    case 0x86dd:
      return plain_v6(rest);
    case 0x0806:
      return plain_arp(rest);
    case 0x88b5: {
      const bool magic = rest.size() >= 4 && rest.u16(0) == 0x5045 && rest.u16(2) == 0x4e53;
      PlainPacket out = refused(magic ? std::uint32_t{PENSTOCK_PARSED} : std::uint32_t{PENSTOCK_STEER_NOT_IP});
      out.kind = PENSTOCK_PACKET_PROBE;
      return out;
    }
    default:
      return refused(PENSTOCK_STEER_NOT_IP);
  }
}

}  // namespace penstock::test
