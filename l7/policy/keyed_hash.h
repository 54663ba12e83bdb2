// keyed_hash.h - a hash that nobody who does not know its key can aim at: SipHash-2-4 with 128 bits.
//
// Model     Aumasson and Bernstein, "SipHash: a fast short-input PRF" (2012), with the output of the reference's
// 128-bit
//           variant. Equal texts under one key have equal hashes; others differ but for chance.
// Units     octets in, two words out.
// Errors    none.
#pragma once
#include <cstdint>
#include <string_view>

namespace penstock::policy {

struct Hash128 {
  std::uint64_t low{};
  std::uint64_t high{};
  friend bool operator==(const Hash128&, const Hash128&) = default;
};

[[nodiscard]] Hash128 keyed_hash(const Hash128& key, std::string_view text);

}  // namespace penstock::policy
