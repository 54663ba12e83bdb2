#include "l7/proxy/proxy_protocol.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <utility>

#include "l7/proxy/sender_list.h"

namespace penstock::proxy {
namespace {

constexpr std::string_view kV1{"PROXY "};
constexpr std::string_view kV2{"\r\n\r\n\0\r\nQUIT\n", 12};
constexpr std::size_t kV2FixedOctets = 16;
constexpr std::uint8_t kV2Local = 0x20, kV2Proxy = 0x21;
constexpr std::uint8_t kUnspecified = 0x00, kTcp4 = 0x11, kTcp6 = 0x21, kUnixStream = 0x31;
constexpr std::size_t kTcp4Octets = 12, kTcp6Octets = 36, kUnixOctets = 216;
constexpr std::uint8_t kTlvCrc32c = 0x03;
constexpr std::size_t kTlvHeadOctets = 3;

constexpr ProxyHeader kBad{ProxyHeaderStatus::bad, 0, false, {}};
constexpr ProxyHeader kMore{};

constexpr auto kCrcTable = [] {
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t n = 0; n < table.size(); ++n) {
    std::uint32_t crc = n;
    for (int bit = 0; bit < 8; ++bit) crc = (crc & 1) != 0 ? crc >> 1 ^ 0x82f63b78u : crc >> 1;
    table[n] = crc;
  }
  return table;
}();

std::uint8_t octet(std::string_view text, std::size_t at) { return static_cast<std::uint8_t>(text[at]); }
std::uint16_t word(std::string_view text, std::size_t at) {
  return static_cast<std::uint16_t>(octet(text, at) << 8 | octet(text, at + 1));
}

/// Cuts the part up to the next space off.
std::string_view take_word(std::string_view& line) {
  const std::size_t end = std::min(line.find(' '), line.size());
  const std::string_view out = line.substr(0, end);
  line.remove_prefix(std::min(end + 1, line.size()));
  return out;
}

std::optional<std::uint16_t> read_port(std::string_view text) {
  if (text.empty() || text.size() > 5 || (text.size() > 1 && text[0] == '0')) return std::nullopt;
  std::uint32_t port = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') return std::nullopt;
    port = port * 10 + static_cast<std::uint32_t>(c - '0');
  }
  return port <= 0xffff ? std::optional{static_cast<std::uint16_t>(port)} : std::nullopt;
}

/// What stands behind "PROXY " in a line of version 1.
ProxyHeader read_line(std::string_view line) {
  if (line == "UNKNOWN" || line.starts_with("UNKNOWN ")) return {ProxyHeaderStatus::done, 0, false, {}};
  const bool ends_well = !line.empty() && line.back() != ' ';
  const std::string_view family = take_word(line);
  if (!ends_well || (family != "TCP4" && family != "TCP6")) return kBad;
  const std::string_view texts[] = {take_word(line), take_word(line)};
  const auto client_port = read_port(take_word(line)), service_port = read_port(take_word(line));
  if (!line.empty() || !client_port || !service_port) return kBad;
  std::optional<IpAddress> addresses[2];
  for (std::size_t i = 0; i < 2; ++i) {
    // The text decides about the family: a v4 address may be written as a v6 one.
    if ((texts[i].find(':') != std::string_view::npos) != (family == "TCP6")) return kBad;
    addresses[i] = IpAddress::parse(texts[i]);
    if (!addresses[i]) return kBad;
  }
  return {ProxyHeaderStatus::done, 0, true, {*addresses[0], *addresses[1], *client_port, *service_port}};
}

ProxyHeader read_v1(std::string_view text) {
  const std::string_view start = text.substr(0, kProxyV1OctetsMax);
  const std::size_t end = start.find('\r');
  const std::string_view line = start.substr(0, end);
  // Printable ASCII and nothing else up to CRLF.
  if (std::any_of(line.begin(), line.end(), [](char c) { return c < ' ' || c > '~'; })) return kBad;
  if (end == std::string_view::npos) return start.size() == kProxyV1OctetsMax ? kBad : kMore;
  if (end + 1 == start.size()) return start.size() == kProxyV1OctetsMax ? kBad : kMore;
  if (start[end + 1] != '\n') return kBad;
  ProxyHeader out = read_line(line.substr(kV1.size()));
  if (out.status == ProxyHeaderStatus::done) out.octets = end + 2;
  return out;
}

/// Type, length, value, one behind the other to the end of the header. A checksum covers the whole header with itself
/// as zeros.
bool tlvs_are_sound(std::string_view header, std::size_t at) {
  bool checked = false;
  while (at < header.size()) {
    if (header.size() - at < kTlvHeadOctets) return false;
    const std::uint8_t type = octet(header, at);
    const std::size_t octets = word(header, at + 1);
    at += kTlvHeadOctets;
    if (header.size() - at < octets) return false;
    if (type == kTlvCrc32c) {
      if (octets != 4 || std::exchange(checked, true)) return false;
      const std::uint32_t said = std::uint32_t{word(header, at)} << 16 | word(header, at + 2);
      std::uint32_t crc = crc32c(header.substr(0, at));
      crc = crc32c({"\0\0\0\0", 4}, crc);
      if (crc32c(header.substr(at + 4), crc) != said) return false;
    }
    at += octets;
  }
  return true;
}

IpAddress address_at(std::string_view header, std::size_t at, bool v6) {
  IpAddress out = IpAddress::v4(0, 0, 0, 0);
  if (v6)
    std::memcpy(out.octets.data(), header.data() + at, 16);
  else
    std::memcpy(out.octets.data() + 12, header.data() + at, 4);
  return out;
}

ProxyHeader read_v2(std::string_view text) {
  if (text.size() > 12 && octet(text, 12) != kV2Local && octet(text, 12) != kV2Proxy) return kBad;
  if (text.size() < kV2FixedOctets) return kMore;
  const std::size_t whole = kV2FixedOctets + word(text, 14);
  if (whole > kProxyHeaderOctetsMax) return kBad;
  const std::uint8_t family = octet(text, 13);
  const std::size_t needed = family == kTcp4         ? kTcp4Octets
                             : family == kTcp6       ? kTcp6Octets
                             : family == kUnixStream ? kUnixOctets
                                                     : 0;
  const bool local = octet(text, 12) == kV2Local;
  // Datagrams do not come over TCP, and other families are not defined.
  if (!local && ((needed == 0 && family != kUnspecified) || whole < kV2FixedOctets + needed)) return kBad;
  if (text.size() < whole) return kMore;
  const std::string_view header = text.substr(0, whole);
  ProxyHeader out{ProxyHeaderStatus::done, whole, false, {}};
  if (local || family == kUnspecified) return out;  // what follows is to be skipped
  if (!tlvs_are_sound(header, kV2FixedOctets + needed)) return kBad;
  if (family == kUnixStream) return out;
  const bool v6 = family == kTcp6;
  const std::size_t size = v6 ? 16 : 4, ports = kV2FixedOctets + 2 * size;
  out.has_ends = true;
  out.ends = {address_at(header, kV2FixedOctets, v6), address_at(header, kV2FixedOctets + size, v6),
              word(header, ports), word(header, ports + 2)};
  return out;
}

std::string_view write_v1(const Ends& ends, stream::Writer& out) {
  const bool v4 = ends.client.is_v4() && ends.service.is_v4();
  const auto put = [&](const IpAddress& address) {
    if (!v4 && address.is_v4()) out.put("::ffff:");
    put_address(address, out);
    out.put(' ');
  };
  out.put(v4 ? "PROXY TCP4 " : "PROXY TCP6 ");
  put(ends.client);
  put(ends.service);
  out.put_decimal(ends.client_port);
  out.put(' ');
  out.put_decimal(ends.service_port);
  out.put("\r\n");
  return out.text();
}

std::string_view write_v2(const Ends& ends, stream::Writer& out) {
  const bool v4 = ends.client.is_v4() && ends.service.is_v4();
  const auto put_word = [&](std::size_t value) {
    out.put(static_cast<char>(value >> 8));
    out.put(static_cast<char>(value & 0xff));
  };
  out.put(kV2);
  out.put(static_cast<char>(kV2Proxy));
  out.put(static_cast<char>(v4 ? kTcp4 : kTcp6));
  put_word(v4 ? kTcp4Octets : kTcp6Octets);
  for (const IpAddress& address : {ends.client, ends.service}) {
    const std::string_view octets{reinterpret_cast<const char*>(address.octets.data()), address.octets.size()};
    out.put(v4 ? octets.substr(12) : octets);
  }
  put_word(ends.client_port);
  put_word(ends.service_port);
  return out.text();
}

}  // namespace

std::uint32_t crc32c(std::string_view text, std::uint32_t crc) {
  crc = ~crc;
  for (const char c : text) crc = crc >> 8 ^ kCrcTable[(crc ^ static_cast<std::uint8_t>(c)) & 0xff];
  return ~crc;
}

ProxyHeader read_proxy_header(std::string_view text) {
  for (const std::string_view signature : {kV1, kV2}) {
    const std::size_t there = std::min(text.size(), signature.size());
    if (text.substr(0, there) != signature.substr(0, there)) continue;
    if (there < signature.size()) return kMore;
    return signature == kV1 ? read_v1(text) : read_v2(text);
  }
  return kBad;
}

std::string_view write_proxy_header(std::uint8_t version, const Ends& ends,
                                    std::span<char, kProxyWrittenOctetsMax> out) {
  stream::Writer writer{out};
  return version == 1 ? write_v1(ends, writer) : write_v2(ends, writer);
}

}  // namespace penstock::proxy
