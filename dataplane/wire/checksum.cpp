#include "dataplane/wire/checksum.h"

#include <immintrin.h>

#include <algorithm>
#include <cstring>

namespace penstock::wire {
namespace {

template <typename T>
T load(const std::byte* at) {
  T word;
  std::memcpy(&word, at, sizeof word);
  return word;
}

constexpr std::size_t kWideFrom = 256;  // below this the set-up costs what the wide loop saves (wire_bench)

constexpr std::size_t kBlocksAtOnce = 1024;  // lanes of 32 bits hold that many

/// Sum of whole blocks of 64 octets, at most kBlocksAtOnce. A word less 0x8000 is a signed number, and one instruction
/// adds such numbers up in pairs; what was taken off is given back at the end.
[[gnu::target("avx2")]] std::uint64_t sum_wide(const std::byte* at, std::size_t blocks) {
  const __m256i bias = _mm256_set1_epi16(static_cast<short>(0x8000)), ones = _mm256_set1_epi16(1);
  __m256i a = _mm256_setzero_si256(), b = a;
  const std::uint64_t taken_off = std::uint64_t{blocks} * 32 * 0x8000;
  for (; blocks > 0; --blocks, at += 64) {
    const __m256i x = _mm256_xor_si256(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(at)), bias);
    const __m256i y = _mm256_xor_si256(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(at + 32)), bias);
    a = _mm256_add_epi32(a, _mm256_madd_epi16(x, ones));
    b = _mm256_add_epi32(b, _mm256_madd_epi16(y, ones));
  }
  const __m256i lanes = _mm256_add_epi32(a, b);
  __m128i four = _mm_add_epi32(_mm256_castsi256_si128(lanes), _mm256_extracti128_si256(lanes, 1));
  four = _mm_add_epi32(four, _mm_shuffle_epi32(four, 0x4e));
  four = _mm_add_epi32(four, _mm_shuffle_epi32(four, 0xb1));
  return taken_off + static_cast<std::uint64_t>(std::int64_t{_mm_cvtsi128_si32(four)});
}

}  // namespace

std::uint64_t sum_of(ByteView bytes) {
  const std::byte* at = bytes.data();
  std::size_t left = bytes.size();
  std::uint64_t wide = 0;
  while (left >= kWideFrom && __builtin_cpu_supports("avx2")) {
    const std::size_t blocks = std::min(left / 64, kBlocksAtOnce);
    wide += sum_wide(at, blocks);
    at += blocks * 64;
    left -= blocks * 64;
  }
  // Four accumulators: an add with carry depends on the one before it, so one chain would wait on itself.
  std::uint64_t a = wide, b = 0, c = 0, d = 0;
  for (; left >= 32; left -= 32, at += 32) {
    a = add_sums(a, load<std::uint64_t>(at));
    b = add_sums(b, load<std::uint64_t>(at + 8));
    c = add_sums(c, load<std::uint64_t>(at + 16));
    d = add_sums(d, load<std::uint64_t>(at + 24));
  }
  for (; left >= 8; left -= 8, at += 8) a = add_sums(a, load<std::uint64_t>(at));
  // The tail in fixed steps: a memcpy of unknown length would be a call.
  if ((left & 4) != 0) {
    b = add_sums(b, load<std::uint32_t>(at));
    at += 4;
  }
  if ((left & 2) != 0) {
    c = add_sums(c, load<std::uint16_t>(at));
    at += 2;
  }
  if ((left & 1) != 0) {
    const std::byte padded[2] = {*at, std::byte{0}};
    d = add_sums(d, load<std::uint16_t>(padded));
  }
  return add_sums(add_sums(a, b), add_sums(c, d));
}

}  // namespace penstock::wire
