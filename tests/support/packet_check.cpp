#include <array>
#include <cstdio>
#include <cstring>

#include "tests/support/packet_builder.h"

namespace penstock::test {
namespace {

unsigned u8(ByteView bytes, std::size_t at) { return std::to_integer<unsigned>(bytes[at]); }
unsigned u16(ByteView bytes, std::size_t at) { return u8(bytes, at) << 8 | u8(bytes, at + 1); }
std::uint32_t u32(ByteView bytes, std::size_t at) { return u16(bytes, at) << 16 | u16(bytes, at + 2); }

IpAddress address_at(ByteView bytes, std::size_t at, std::size_t octets) {
  IpAddress out = octets == 4 ? IpAddress::v4(0, 0, 0, 0) : IpAddress{};
  std::memcpy(out.octets.data() + (16 - octets), bytes.data() + at, octets);
  return out;
}
std::string mac_at(ByteView bytes, std::size_t at) {
  MacAddress out;
  std::memcpy(out.octets.data(), bytes.data() + at, 6);
  return out.text();
}

/// A frame cut into layers without judging it; empty spans where something is missing.
struct Layers {
  std::string link;
  unsigned ether_type{};
  ByteView packet;  ///< cut to its own length
  ByteView header;
  ByteView body;
  unsigned proto{};
  unsigned ttl{};
  IpAddress src, dst;
  std::string problem;
};

void split_ip(Layers& out) {
  const ByteView packet = out.packet;
  const bool v4 = out.ether_type == 0x0800;
  if (packet.size() < (v4 ? 20u : 40u) || u8(packet, 0) >> 4 != (v4 ? 4u : 6u)) {
    out.problem = "no IP header";
    return;
  }
  const std::size_t header = v4 ? (u8(packet, 0) & 15) * 4 : 40;
  const std::size_t total = v4 ? u16(packet, 2) : 40 + u16(packet, 4);
  if (header < 20 || total < header || total > packet.size()) {
    out.problem = "IP length " + std::to_string(total) + " does not fit " + std::to_string(packet.size());
    return;
  }
  out.packet = packet.first(total);
  out.header = packet.first(header);
  out.body = out.packet.subspan(header);
  out.proto = u8(packet, v4 ? 9 : 6);
  out.ttl = u8(packet, v4 ? 8 : 7);
  out.src = address_at(packet, v4 ? 12 : 8, v4 ? 4 : 16);
  out.dst = address_at(packet, v4 ? 16 : 24, v4 ? 4 : 16);
}

Layers split(ByteView frame) {
  Layers out;
  if (frame.size() < 14) {
    out.problem = "shorter than an Ethernet header";
    return out;
  }
  out.link = mac_at(frame, 6) + " > " + mac_at(frame, 0);
  std::size_t offset = 14;
  out.ether_type = u16(frame, 12);
  if ((out.ether_type == 0x8100 || out.ether_type == 0x88a8) && frame.size() >= 18) {
    out.link += " vlan " + std::to_string(u16(frame, 14));
    out.ether_type = u16(frame, 16);
    offset = 18;
  }
  out.packet = frame.subspan(offset);
  if (out.ether_type == 0x0800 || out.ether_type == 0x86dd) split_ip(out);
  return out;
}

std::uint16_t pseudo_sum(const Layers& layers, std::size_t octets) {
  Bytes header(40);
  const auto at = [&](std::size_t offset, const IpAddress& address) {
    std::memcpy(header.data() + offset, address.octets.data(), 16);
  };
  at(0, layers.src);
  at(16, layers.dst);
  header[34] = static_cast<std::byte>(octets >> 8);
  header[35] = static_cast<std::byte>(octets & 0xff);
  header[39] = static_cast<std::byte>(layers.proto);
  return plain_sum(header);
}

void check_transport(const Layers& layers, const CheckOptions& options, std::vector<std::string>& out) {
  ByteView body = layers.body;
  const bool tcp = layers.proto == 6, udp = layers.proto == 17;
  const std::size_t field = tcp ? 16 : udp ? 6 : 2;
  if (body.size() < field + 2) {
    out.emplace_back("transport header is cut");
    return;
  }
  if (tcp && ((u8(body, 12) >> 4) < 5 || (u8(body, 12) >> 4) * 4u > body.size())) out.emplace_back("TCP offset");
  if (udp) {
    if (u16(body, 4) < 8 || u16(body, 4) > body.size()) {
      out.emplace_back("UDP length");
      return;
    }
    body = body.first(u16(body, 4));
  }
  const bool has_pseudo_header = layers.proto != 1;
  const std::uint16_t pseudo = has_pseudo_header ? pseudo_sum(layers, body.size()) : std::uint16_t{0};
  if (udp && u16(body, field) == 0) {
    if (!layers.src.is_v4() || !options.allow_no_udp_checksum) out.emplace_back("UDP checksum is absent");
    return;
  }
  if (plain_sum(body, pseudo) == 0xffff) {
    // Only a message of nothing but zeros (an ICMP echo reply may be one) sums to zero without its checksum.
    const bool zeros = pseudo == 0 && plain_sum(body.first(field)) == 0 && plain_sum(body.subspan(field + 2)) == 0;
    if (!udp && !zeros && u16(body, field) == 0xffff) out.emplace_back("checksum 0xffff, which only UDP uses");
    return;
  }
  if (options.allow_partial && has_pseudo_header && u16(body, field) == pseudo) return;
  char text[64];
  std::snprintf(text, sizeof text, "%s checksum 0x%04x is wrong", tcp ? "TCP" : udp ? "UDP" : "ICMP", u16(body, field));
  out.emplace_back(text);
}

std::string tcp_text(ByteView body) {
  constexpr std::string_view kLetters = "FSRPAUEC";
  std::string flags;
  for (unsigned bit = 0; bit < 8; ++bit)
    if ((u8(body, 13) >> bit & 1) != 0) flags += kLetters[bit];
  const std::size_t header = (u8(body, 12) >> 4) * 4;
  const std::size_t payload = body.size() > header ? body.size() - header : 0;
  return " tcp " + flags + " seq " + std::to_string(u32(body, 4)) + " ack " + std::to_string(u32(body, 8)) + " len " +
         std::to_string(payload);
}

std::string ip_text(const Layers& layers) {
  const ByteView body = layers.body;
  const bool ports = (layers.proto == 6 && body.size() >= 20) || (layers.proto == 17 && body.size() >= 8);
  std::string out = layers.src.text();
  if (ports) out += "." + std::to_string(u16(body, 0));
  out += " > " + layers.dst.text();
  if (ports) out += "." + std::to_string(u16(body, 2));
  if (ports && layers.proto == 6)
    out += tcp_text(body);
  else if (ports)
    out += " udp len " + std::to_string(u16(body, 4) - 8);
  else if ((layers.proto == 1 || layers.proto == 58) && body.size() >= 2)
    out += " icmp type " + std::to_string(u8(body, 0)) + " code " + std::to_string(u8(body, 1));
  else
    out += " proto " + std::to_string(layers.proto);
  return out + " ttl " + std::to_string(layers.ttl);
}

}  // namespace

std::vector<std::string> problems_of(ByteView frame, CheckOptions options) {
  std::vector<std::string> out;
  const Layers layers = split(frame);
  if (!layers.problem.empty()) {
    out.push_back(layers.problem);
    return out;
  }
  if (layers.ether_type != 0x0800 && layers.ether_type != 0x86dd) return out;
  if (layers.ether_type == 0x0800 && plain_sum(layers.header) != 0xffff) out.emplace_back("IPv4 checksum is wrong");
  const bool known = layers.proto == 6 || layers.proto == 17 || layers.proto == 1 || layers.proto == 58;
  if (known) check_transport(layers, options, out);
  const bool quotes = (layers.proto == 1 && (u8(layers.body, 0) == 3 || u8(layers.body, 0) >= 11)) ||
                      (layers.proto == 58 && u8(layers.body, 0) < 128);
  if (quotes && layers.body.size() >= 28 && layers.proto == 1) {
    const std::size_t header = (u8(layers.body, 8) & 15) * 4;
    if (8 + header <= layers.body.size() && plain_sum(layers.body.subspan(8, header)) != 0xffff)
      out.emplace_back("IPv4 checksum of the quoted packet is wrong");
  }
  return out;
}

std::string describe(ByteView frame) {
  const Layers layers = split(frame);
  if (!layers.problem.empty()) return layers.link + " (" + layers.problem + ")";
  if (layers.ether_type == 0x0806 && layers.packet.size() >= 28)
    return layers.link + ", arp " + std::to_string(u16(layers.packet, 6)) + " " +
           address_at(layers.packet, 14, 4).text() + " asks for " + address_at(layers.packet, 24, 4).text();
  if (layers.header.empty()) return layers.link + ", type " + std::to_string(layers.ether_type);
  return layers.link + ", " + ip_text(layers);
}

std::string dump(ByteView frame) {
  std::string out = describe(frame) + "\n";
  for (const std::string& problem : problems_of(frame, {.allow_partial = true})) out += "  ! " + problem + "\n";
  for (std::size_t at = 0; at < frame.size(); at += 16) {
    std::array<char, 24> text{};
    std::snprintf(text.data(), text.size(), "  %04zx", at);
    out += text.data();
    for (std::size_t i = at; i < frame.size() && i < at + 16; ++i) {
      std::snprintf(text.data(), text.size(), " %02x", u8(frame, i));
      out += text.data();
    }
    out += "\n";
  }
  return out;
}

}  // namespace penstock::test
