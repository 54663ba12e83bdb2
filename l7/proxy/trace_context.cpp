#include "l7/proxy/trace_context.h"

#include <algorithm>
#include <cstring>

namespace penstock::proxy {
namespace {

constexpr std::size_t kKeyOctetsMax = 256, kValueOctetsMax = 256;

constexpr bool is_hex(char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); }
bool all_hex(std::string_view text) { return std::all_of(text.begin(), text.end(), is_hex); }
bool all_zeros(std::string_view text) { return text.find_first_not_of('0') == std::string_view::npos; }

constexpr bool is_alnum(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }
constexpr bool is_key_octet(char c) { return is_alnum(c) || c == '_' || c == '-' || c == '*' || c == '/' || c == '@'; }
/// Printable, but neither comma nor equals sign.
constexpr bool is_value_octet(char c) { return c >= ' ' && c <= '~' && c != ',' && c != '='; }

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

bool is_member(std::string_view member) {
  const std::size_t equals = member.find('=');
  if (equals == std::string_view::npos || equals == 0) return false;
  const std::string_view key = member.substr(0, equals), value = member.substr(equals + 1);
  return key.size() <= kKeyOctetsMax && is_alnum(key.front()) && std::all_of(key.begin(), key.end(), is_key_octet) &&
         std::count(key.begin(), key.end(), '@') <= 1 && !value.empty() && value.size() <= kValueOctetsMax &&
         std::all_of(value.begin(), value.end(), is_value_octet);
}

/// Eight digits at once, the first of them in the lowest octet.
std::uint64_t hex_digits(std::uint32_t half) {
  std::uint64_t digits = __builtin_bswap32(half);  // octets in the order in which they are written
  digits = (digits | digits << 16) & 0x0000ffff0000ffff;
  digits = (digits | digits << 8) & 0x00ff00ff00ff00ff;
  digits = (digits >> 4 | digits << 8) & 0x0f0f0f0f0f0f0f0f;  // the high half of each octet comes first
  const std::uint64_t letters = (digits + 0x0606060606060606) >> 4 & 0x0101010101010101;
  return digits + 0x3030303030303030 + letters * ('a' - '0' - 10);
}

}  // namespace

void put_hex(std::uint64_t word, std::span<char, kHexOctets> out) {
  const std::uint64_t both[] = {hex_digits(static_cast<std::uint32_t>(word >> 32)),
                                hex_digits(static_cast<std::uint32_t>(word))};
  std::memcpy(out.data(), both, sizeof both);
}

bool is_traceparent(std::string_view value) {
  // "vv-" 32 "-" 16 "-" "ff"
  if (value.size() < kTraceparentOctets) return false;
  const std::string_view version = value.substr(0, 2), trace = value.substr(3, 32), parent = value.substr(36, 16);
  if (value[2] != '-' || value[35] != '-' || value[52] != '-') return false;
  if (!all_hex(version) || version == "ff" || !all_hex(trace) || !all_hex(parent) || !all_hex(value.substr(53, 2)))
    return false;
  if (all_zeros(trace) || all_zeros(parent)) return false;
  if (value.size() == kTraceparentOctets) return true;
  return version != "00" && value[kTraceparentOctets] == '-';
}

bool is_tracestate(std::string_view value) {
  if (value.size() > kTraceStateOctetsMax) return false;
  std::size_t members = 0;
  while (!value.empty()) {
    const std::size_t end = std::min(value.find(','), value.size());
    const std::string_view member = trimmed(value.substr(0, end));
    value.remove_prefix(std::min(end + 1, value.size()));
    if (member.empty()) continue;  // permitted (s3.3.1.1)
    if (++members > kTraceStateMembersMax || !is_member(member)) return false;
  }
  return members > 0;
}

void write_traceparent(std::array<std::uint64_t, 3> random, bool sampled, std::span<char, kTraceparentOctets> out) {
  if ((random[0] | random[1]) == 0) random[1] = 1;
  if (random[2] == 0) random[2] = 1;
  out[0] = out[1] = out[53] = '0';
  out[2] = out[35] = out[52] = '-';
  put_hex(random[0], out.subspan<3, kHexOctets>());
  put_hex(random[1], out.subspan<19, kHexOctets>());
  put_hex(random[2], out.subspan<36, kHexOctets>());
  out[54] = sampled ? '1' : '0';
}

}  // namespace penstock::proxy
