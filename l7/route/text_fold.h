// text_fold.h - hashes and comparisons of ASCII texts, with and without regard to case.
//
// Model     the hash is a multiply-and-fold over words with the case bit set, so equal texts of any case have equal
//           hashes. Keys come from the configuration; a peer chooses only what is looked up.
// Units     32 bits out.
// Errors    none.
#pragma once
#include <cstdint>
#include <cstring>
#include <string_view>

namespace penstock::route {

namespace detail {
inline constexpr std::uint64_t kCaseBits = 0x2020'2020'2020'2020;
inline std::uint64_t load_64(const char* at) {
  std::uint64_t word;
  std::memcpy(&word, at, sizeof word);
  return word;
}
inline std::uint64_t load_32(const char* at) {
  std::uint32_t word;
  std::memcpy(&word, at, sizeof word);
  return word;
}
/// Any text of less than 8 octets as one word; together with its length it is unambiguous.
inline std::uint64_t load_short(const char* at, std::size_t octets) {
  if (octets >= 4) return load_32(at) | load_32(at + octets - 4) << 32;
  if (octets == 0) return 0;
  const auto octet = [&](std::size_t i) { return std::uint64_t{static_cast<std::uint8_t>(at[i])}; };
  return octet(0) | octet(octets / 2) << 8 | octet(octets - 1) << 16;
}
}  // namespace detail

[[nodiscard]] inline std::uint32_t folded_hash(std::string_view text) {
  constexpr std::uint64_t kPrime = 0x9e37'79b1'85eb'ca87;
  std::uint64_t hash = text.size() * kPrime;
  const auto mix = [&](std::uint64_t word) {
    hash = (hash ^ (word | detail::kCaseBits)) * kPrime;
    hash ^= hash >> 29;
  };
  if (text.size() < 8) {
    mix(detail::load_short(text.data(), text.size()));
  } else {
    for (std::size_t at = 0; at + 8 < text.size(); at += 8) mix(detail::load_64(text.data() + at));
    mix(detail::load_64(text.data() + text.size() - 8));
  }
  return static_cast<std::uint32_t>(hash >> 32);
}

/// fold() of eight octets at once. Without their high bits no sum reaches the next octet: 0x7f + 0x3f is below 0x100.
[[nodiscard]] constexpr std::uint64_t fold_word(std::uint64_t word) {
  constexpr std::uint64_t kOnes = 0x0101'0101'0101'0101, kHighs = kOnes * 0x80;
  const std::uint64_t low = word & ~kHighs, from_a = low + kOnes * (0x80 - 'A'), behind_z = low + kOnes * (0x7f - 'Z');
  return word | (from_a & ~behind_z & ~word & kHighs) >> 2;
}
[[nodiscard]] constexpr char fold(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

/// `lower` is in lower case already. In words: a copy would be read back across its stores, which stalls.
[[nodiscard]] inline bool equals_folded(std::string_view any, std::string_view lower) {
  if (any.size() != lower.size()) return false;
  std::uint64_t differs = 0;
  const auto compare = [&](std::uint64_t word, std::uint64_t wanted) { differs |= fold_word(word) ^ wanted; };
  if (any.size() < 8) {
    compare(detail::load_short(any.data(), any.size()), detail::load_short(lower.data(), lower.size()));
  } else {
    for (std::size_t at = 0; at + 8 < any.size(); at += 8)
      compare(detail::load_64(any.data() + at), detail::load_64(lower.data() + at));
    const std::size_t last = any.size() - 8;
    compare(detail::load_64(any.data() + last), detail::load_64(lower.data() + last));
  }
  return differs == 0;
}

/// Header lines and host names are looked up by this; a caller that parses anyway computes it then.
[[nodiscard]] inline std::uint32_t header_name_hash(std::string_view name) { return folded_hash(name); }

}  // namespace penstock::route
