#include "dataplane/core/addresses.h"

#include <arpa/inet.h>

#include <charconv>
#include <cstdio>

namespace penstock {
namespace {

constexpr std::uint8_t kMappedBits = 96;  // length of the ::ffff:0:0/96 prefix

}  // namespace

std::optional<IpAddress> IpAddress::parse(std::string_view text) {
  const std::string terminated{text};
  if (terminated.size() != text.size() || terminated.find('\0') != std::string::npos) return std::nullopt;
  in_addr v4_address{};
  if (inet_pton(AF_INET, terminated.c_str(), &v4_address) == 1) return from_v4(Be32::from_wire(v4_address.s_addr));
  IpAddress out;
  if (inet_pton(AF_INET6, terminated.c_str(), out.octets.data()) == 1) return out;
  return std::nullopt;
}

std::string IpAddress::text() const {
  std::array<char, INET6_ADDRSTRLEN> buffer{};
  if (is_v4())
    inet_ntop(AF_INET, octets.data() + 12, buffer.data(), buffer.size());
  else
    inet_ntop(AF_INET6, octets.data(), buffer.data(), buffer.size());
  return buffer.data();
}

IpAddress masked(const IpAddress& address, std::uint8_t bits) {
  const unsigned keep = address.is_v4() ? bits + kMappedBits : bits;
  IpAddress out = address;
  for (unsigned i = 0; i < out.octets.size(); ++i) {
    if (keep >= (i + 1) * 8) continue;
    const unsigned kept = keep > i * 8 ? keep - i * 8 : 0;
    out.octets[i] = static_cast<std::uint8_t>(out.octets[i] & (0xff00u >> kept));
  }
  return out;
}

std::optional<IpPrefix> IpPrefix::parse(std::string_view text) {
  const std::size_t slash = text.find('/');
  const auto address = IpAddress::parse(text.substr(0, slash));
  if (!address) return std::nullopt;
  const unsigned limit = address->is_v4() ? 32 : 128;
  unsigned bits = limit;
  if (slash != std::string_view::npos) {
    const std::string_view digits = text.substr(slash + 1);
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), bits);
    if (digits.empty() || error != std::errc{} || end != digits.data() + digits.size() || bits > limit)
      return std::nullopt;
  }
  const IpPrefix prefix{*address, static_cast<std::uint8_t>(bits)};
  if (masked(*address, prefix.bits) != *address) return std::nullopt;
  return prefix;
}

bool IpPrefix::contains(const IpAddress& other) const {
  return other.family() == address.family() && masked(other, bits) == address;
}

std::string IpPrefix::text() const { return address.text() + "/" + std::to_string(bits); }

std::optional<MacAddress> MacAddress::parse(std::string_view text) {
  if (text.size() != 17) return std::nullopt;
  MacAddress out;
  for (std::size_t i = 0; i < 6; ++i) {
    const char* begin = text.data() + i * 3;
    const auto [end, error] = std::from_chars(begin, begin + 2, out.octets[i], 16);
    if (error != std::errc{} || end != begin + 2 || (i < 5 && text[i * 3 + 2] != ':')) return std::nullopt;
  }
  return out;
}

std::string MacAddress::text() const {
  std::array<char, 18> buffer{};
  std::snprintf(buffer.data(), buffer.size(), "%02x:%02x:%02x:%02x:%02x:%02x", octets[0], octets[1], octets[2],
                octets[3], octets[4], octets[5]);
  return buffer.data();
}

}  // namespace penstock
