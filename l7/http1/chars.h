// chars.h - classes of octets (RFC 9110 s5.6.2, RFC 3986 s2), one table of 256 for all.
//
// Model     a class is a bit; the table is made at compile time.
// Errors    none.
#pragma once
#include <array>
#include <cstdint>
#include <string_view>

namespace penstock::http1 {

enum CharClass : std::uint8_t {
  kTokenChar = 1,   ///< RFC 9110 s5.6.2 tchar
  kUriChar = 2,     ///< RFC 3986 s2: unreserved, reserved without #, and %; what a request target may have
  kNonUriChar = 4,  ///< printable octets that are no URI characters, except space
  kHostChar = 8,    ///< letters, digits, - . _ ~
  kSubDelim = 16,   ///< RFC 3986 s2.2 sub-delims
  kHexDigit = 32,
  kDigit = 64,
  kValueChar = 128,  ///< field value: VCHAR, SP, HTAB, obs-text (RFC 9110 s5.5)
};

inline constexpr std::array<std::uint8_t, 256> kCharClass = [] {
  std::array<std::uint8_t, 256> table{};
  const auto add = [&table](std::string_view chars, int bits) {
    for (const char c : chars) {
      auto& entry = table[static_cast<unsigned char>(c)];
      entry = static_cast<std::uint8_t>(entry | bits);
    }
  };
  add("0123456789", kTokenChar | kUriChar | kHostChar | kHexDigit | kDigit);
  add("abcdefABCDEF", kTokenChar | kUriChar | kHostChar | kHexDigit);
  add("ghijklmnopqrstuvwxyzGHIJKLMNOPQRSTUVWXYZ", kTokenChar | kUriChar | kHostChar);
  add("!#$%&'*+-.^_`|~", kTokenChar);
  add("-._~", kUriChar | kHostChar);
  add("!$&'()*+,;=", kUriChar | kSubDelim);
  add("%:/?@[]", kUriChar);
  add("\"<>\\^`{|}", kNonUriChar);
  for (std::size_t c = 0x20; c < 256; ++c)
    if (c != 0x7f) table[c] |= kValueChar;
  table['\t'] |= kValueChar;
  return table;
}();

[[nodiscard]] constexpr bool is(char c, int classes) {
  return (kCharClass[static_cast<unsigned char>(c)] & classes) != 0;
}
/// How many octets from the start are of one of the classes. Four at a time: names and hosts are a few words long.
[[nodiscard]] constexpr std::size_t run_of(std::string_view text, int classes) {
  const auto bits = [text](std::size_t at) { return kCharClass[static_cast<unsigned char>(text[at])]; };
  std::size_t at = 0;
  if ((classes & (classes - 1)) == 0)  // one class: its bit survives an AND
    while (at + 4 <= text.size() && (bits(at) & bits(at + 1) & bits(at + 2) & bits(at + 3) & classes) != 0) at += 4;
  while (at < text.size() && is(text[at], classes)) ++at;
  return at;
}
[[nodiscard]] constexpr bool all(std::string_view text, int classes) { return run_of(text, classes) == text.size(); }
[[nodiscard]] constexpr bool is_token(std::string_view text) { return !text.empty() && all(text, kTokenChar); }
[[nodiscard]] constexpr bool is_space(char c) { return c == ' ' || c == '\t'; }
[[nodiscard]] constexpr char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }
/// Equal but for the case of letters.
[[nodiscard]] constexpr bool same_folded(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i)
    if (lower(a[i]) != lower(b[i])) return false;
  return true;
}
/// 0..15, or -1.
[[nodiscard]] constexpr int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  const char l = lower(c);
  return l >= 'a' && l <= 'f' ? l - 'a' + 10 : -1;
}
[[nodiscard]] constexpr std::string_view trimmed(std::string_view text) {
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  return text;
}
/// Takes the next element of a comma list off `rest`, without its white space; empty elements come as "".
[[nodiscard]] constexpr std::string_view next_element(std::string_view& rest) {
  const std::size_t comma = rest.find(',');
  const std::string_view element = trimmed(rest.substr(0, comma));
  rest = comma == std::string_view::npos ? std::string_view{} : rest.substr(comma + 1);
  return element;
}

}  // namespace penstock::http1
