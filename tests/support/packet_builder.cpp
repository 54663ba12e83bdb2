#include "tests/support/packet_builder.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "dataplane/core/require.h"

namespace penstock::test {
namespace {

void put8(Bytes& out, unsigned value) { out.push_back(static_cast<std::byte>(value & 0xff)); }
void put16(Bytes& out, unsigned value) {
  put8(out, value >> 8);
  put8(out, value);
}
void put32(Bytes& out, std::uint32_t value) {
  put16(out, value >> 16);
  put16(out, value & 0xffff);
}
void put(Bytes& out, ByteView bytes) { out.insert(out.end(), bytes.begin(), bytes.end()); }
void put(Bytes& out, const MacAddress& address) { put(out, std::as_bytes(std::span{address.octets})); }
/// 4 or 16 octets.
void put(Bytes& out, const IpAddress& address) {
  const ByteView all = std::as_bytes(std::span{address.octets});
  put(out, address.is_v4() ? all.subspan(12) : all);
}
void set16(Bytes& out, std::size_t offset, unsigned value) {
  out[offset] = static_cast<std::byte>((value >> 8) & 0xff);
  out[offset + 1] = static_cast<std::byte>(value & 0xff);
}

std::uint16_t complement(std::uint16_t sum) { return static_cast<std::uint16_t>(~sum); }

std::uint16_t pseudo_sum(const IpAddress& src, const IpAddress& dst, unsigned proto, std::size_t octets) {
  Bytes header;
  put(header, src);
  put(header, dst);
  put32(header, static_cast<std::uint32_t>(octets));
  put32(header, proto);
  return plain_sum(header);
}

}  // namespace

IpAddress ip(std::string_view text) {
  const auto address = IpAddress::parse(text);
  require(address.has_value(), "test names an address that is none");
  return *address;
}

MacAddress mac(std::string_view text) {
  const auto address = MacAddress::parse(text);
  require(address.has_value(), "test names a link address that is none");
  return *address;
}

Be16 port(std::uint16_t host_order) { return Be16::from_host(host_order); }

std::uint8_t tcp_flags(std::string_view letters) {
  constexpr std::string_view kLetters = "FSRPAUEC";
  unsigned flags = 0;
  for (const char letter : letters) {
    const auto bit = kLetters.find(letter);
    require(bit != std::string_view::npos, "test names a TCP flag that is none");
    flags |= 1u << bit;
  }
  return static_cast<std::uint8_t>(flags);
}

Bytes bytes_of(std::string_view text) {
  const ByteView view = std::as_bytes(std::span{text.data(), text.size()});
  return {view.begin(), view.end()};
}

std::uint16_t plain_sum(ByteView bytes, std::uint32_t start) {
  std::uint32_t sum = start;
  std::size_t at = 0;
  std::size_t count = bytes.size();
  while (count > 1) {
    sum += static_cast<std::uint32_t>(std::to_integer<unsigned>(bytes[at]) << 8 |
                                      std::to_integer<unsigned>(bytes[at + 1]));
    sum = (sum & 0xffff) + (sum >> 16);
    at += 2;
    count -= 2;
  }
  if (count > 0) sum += std::to_integer<unsigned>(bytes[at]) << 8;
  while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<std::uint16_t>(sum);
}

PacketBuilder& PacketBuilder::eth(std::string_view src, std::string_view dst) {
  eth_src_ = mac(src);
  eth_dst_ = mac(dst);
  return *this;
}
PacketBuilder& PacketBuilder::vlan(std::uint16_t tci, std::uint16_t tag_type) {
  tci_ = tci;
  tag_type_ = tag_type;
  return *this;
}
PacketBuilder& PacketBuilder::ether_type(std::uint16_t type) {
  ether_type_ = type;
  return *this;
}
PacketBuilder& PacketBuilder::ipv4(std::string_view src, std::string_view dst) { return from_to(ip(src), ip(dst)); }
PacketBuilder& PacketBuilder::ipv6(std::string_view src, std::string_view dst) { return from_to(ip(src), ip(dst)); }
PacketBuilder& PacketBuilder::from_to(const IpAddress& src, const IpAddress& dst) {
  require(src.is_v4() == dst.is_v4(), "test mixes address families");
  src_ = src;
  dst_ = dst;
  has_ip_ = true;
  return *this;
}
PacketBuilder& PacketBuilder::ttl(std::uint8_t value) {
  ttl_ = value;
  return *this;
}
PacketBuilder& PacketBuilder::dont_fragment(bool value) {
  fragment_field_ = static_cast<std::uint16_t>((fragment_field_ & ~0x4000) | (value ? 0x4000 : 0));
  return *this;
}
PacketBuilder& PacketBuilder::fragment(std::uint16_t offset_units, bool more) {
  fragment_field_ = static_cast<std::uint16_t>(offset_units | (more ? 0x2000 : 0));
  return *this;
}
PacketBuilder& PacketBuilder::ip_options(std::size_t octets) {
  ip_options_ = octets;
  return *this;
}
PacketBuilder& PacketBuilder::ip_proto(std::uint8_t value) {
  ip_proto_ = value;
  return *this;
}
PacketBuilder& PacketBuilder::arp(std::uint16_t operation, std::string_view sender_mac, std::string_view sender,
                                  std::string_view target) {
  arp_.clear();
  put16(arp_, 1);
  put16(arp_, 0x0800);
  put16(arp_, 0x0604);
  put16(arp_, operation);
  put(arp_, mac(sender_mac));
  put(arp_, ip(sender));
  put(arp_, MacAddress{});
  put(arp_, ip(target));
  return *this;
}
PacketBuilder& PacketBuilder::tcp(std::uint16_t src_port, std::uint16_t dst_port, std::string_view flags) {
  l4_ = Layer4::tcp;
  src_port_ = src_port;
  dst_port_ = dst_port;
  flags_ = tcp_flags(flags);
  return *this;
}
PacketBuilder& PacketBuilder::seq(std::uint32_t value) {
  seq_ = value;
  return *this;
}
PacketBuilder& PacketBuilder::ack(std::uint32_t value) {
  ack_ = value;
  return *this;
}
PacketBuilder& PacketBuilder::window(std::uint16_t value) {
  window_ = value;
  return *this;
}
PacketBuilder& PacketBuilder::tcp_options(Bytes options) {
  tcp_options_ = std::move(options);
  return *this;
}
PacketBuilder& PacketBuilder::udp(std::uint16_t src_port, std::uint16_t dst_port) {
  l4_ = Layer4::udp;
  src_port_ = src_port;
  dst_port_ = dst_port;
  return *this;
}
PacketBuilder& PacketBuilder::icmp(std::uint8_t type, std::uint8_t code, std::uint32_t rest) {
  l4_ = Layer4::icmp;
  icmp_type_ = type;
  icmp_code_ = code;
  icmp_rest_ = rest;
  return *this;
}
PacketBuilder& PacketBuilder::echo_request(std::uint16_t id, std::uint16_t sequence) {
  return icmp(v4() ? 8 : 128, 0, std::uint32_t{id} << 16 | sequence);
}
PacketBuilder& PacketBuilder::neighbor_solicitation(std::string_view target, std::string_view source_mac) {
  icmp(135, 0);
  ttl(255);
  payload_.clear();
  put(payload_, ip(target));
  if (!source_mac.empty()) {
    put16(payload_, 0x0101);
    put(payload_, mac(source_mac));
  }
  return *this;
}
PacketBuilder& PacketBuilder::payload(std::string_view text) { return payload(bytes_of(text)); }
PacketBuilder& PacketBuilder::payload(Bytes bytes) {
  payload_ = std::move(bytes);
  return *this;
}
PacketBuilder& PacketBuilder::payload_octets(std::size_t count) {
  payload_.clear();
  for (std::size_t i = 0; i < count; ++i) put8(payload_, static_cast<unsigned>(i * 7 + i / 256));
  return *this;
}
PacketBuilder& PacketBuilder::checksum(ChecksumMode mode) {
  checksum_ = mode;
  return *this;
}
PacketBuilder& PacketBuilder::ip_checksum(ChecksumMode mode) {
  ip_checksum_ = mode;
  return *this;
}
PacketBuilder& PacketBuilder::padding(std::size_t octets) {
  padding_ = octets;
  return *this;
}
PacketBuilder& PacketBuilder::cut(std::size_t octets) {
  cut_ = octets;
  return *this;
}

Bytes PacketBuilder::transport() const {
  Bytes out;
  std::size_t field = 0;
  unsigned proto = v4() ? 1 : 58;
  if (l4_ == Layer4::tcp) {
    put16(out, src_port_);
    put16(out, dst_port_);
    put32(out, seq_);
    put32(out, (flags_ & 0x10) != 0 ? ack_ : 0);
    put8(out, static_cast<unsigned>((20 + tcp_options_.size()) / 4) << 4);
    put8(out, flags_);
    put16(out, window_);
    put32(out, 0);
    put(out, tcp_options_);
    field = 16;
    proto = 6;
  } else if (l4_ == Layer4::udp) {
    put16(out, src_port_);
    put16(out, dst_port_);
    put16(out, static_cast<unsigned>(8 + payload_.size()));
    put16(out, 0);
    field = 6;
    proto = 17;
  } else if (l4_ == Layer4::icmp) {
    put8(out, icmp_type_);
    put8(out, icmp_code_);
    put16(out, 0);
    put32(out, icmp_rest_);
    field = 2;
  }
  put(out, payload_);
  if (l4_ == Layer4::none) return out;
  const bool has_pseudo_header = l4_ != Layer4::icmp || !v4();
  const std::uint16_t pseudo = has_pseudo_header ? pseudo_sum(src_, dst_, proto, out.size()) : std::uint16_t{0};
  std::uint16_t sum = complement(plain_sum(out, pseudo));
  if (l4_ == Layer4::udp && sum == 0) sum = 0xffff;
  if (checksum_ == ChecksumMode::partial) sum = pseudo;
  if (checksum_ == ChecksumMode::zero) sum = 0;
  if (checksum_ == ChecksumMode::bad) sum ^= 0x0100;
  set16(out, field, sum);
  return out;
}

Bytes PacketBuilder::network() const {
  if (!arp_.empty()) return arp_;
  if (!has_ip_) return payload_;
  const Bytes body = transport();
  unsigned proto = l4_ == Layer4::tcp ? 6 : l4_ == Layer4::udp ? 17 : v4() ? 1 : 58;
  if (ip_proto_) proto = *ip_proto_;
  Bytes out;
  if (v4()) {
    const std::size_t header = 20 + ip_options_;
    put8(out, 0x40 | static_cast<unsigned>(header / 4));
    put8(out, 0);
    put16(out, static_cast<unsigned>(header + body.size()));
    put16(out, 0x1234);
    put16(out, fragment_field_);
    put8(out, ttl_);
    put8(out, proto);
    put16(out, 0);
    put(out, src_);
    put(out, dst_);
    for (std::size_t i = 0; i < ip_options_; ++i) put8(out, 1);
    const std::uint16_t sum = complement(plain_sum(out));
    set16(out, 10, ip_checksum_ == ChecksumMode::bad ? sum ^ 0x0100u : sum);
  } else {
    put32(out, 0x60012345);
    put16(out, static_cast<unsigned>(body.size()));
    put8(out, proto);
    put8(out, ttl_);
    put(out, src_);
    put(out, dst_);
  }
  put(out, body);
  return out;
}

std::uint16_t PacketBuilder::type() const {
  if (ether_type_) return *ether_type_;
  if (!arp_.empty()) return 0x0806;
  return v4() || !has_ip_ ? 0x0800 : 0x86dd;
}

Bytes PacketBuilder::build() const {
  Bytes out;
  put(out, eth_dst_);
  put(out, eth_src_);
  if (tci_) {
    put16(out, tag_type_);
    put16(out, *tci_);
  }
  put16(out, type());
  put(out, network());
  out.resize(out.size() + padding_);
  if (cut_ && *cut_ < out.size()) out.resize(*cut_);
  return out;
}

Bytes PacketBuilder::quote(std::size_t octets) const {
  Bytes out = network();
  if (octets < out.size()) out.resize(octets);
  return out;
}

TestFrame::TestFrame(const Bytes& content, std::uint16_t headroom, std::uint16_t tailroom, PortIndex from)
    : buffer_(headroom + content.size() + tailroom) {
  std::memcpy(buffer_.data() + headroom, content.data(), content.size());
  RawFrame raw;
  raw.data = buffer_.data() + headroom;
  raw.handle = this;
  raw.octets = static_cast<std::uint16_t>(content.size());
  raw.headroom = headroom;
  raw.tailroom = tailroom;
  raw.port = from;
  frame_ = Frame{raw};
}
TestFrame::~TestFrame() {
  if (frame_.live()) static_cast<void>(std::move(frame_).release());
}
Bytes TestFrame::content() const {
  const ByteView view = frame_.bytes();
  return {view.begin(), view.end()};
}

}  // namespace penstock::test
