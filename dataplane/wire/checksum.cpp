#include "dataplane/wire/checksum.h"

#include <immintrin.h>

#include <array>
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

/// Sum of as many whole blocks of 64 octets as there are; 32-bit words in 64-bit lanes, which cannot overflow here.
[[gnu::target("avx2")]] std::uint64_t sum_wide(const std::byte* at, std::size_t blocks) {
  const __m256i low_mask = _mm256_set1_epi64x(0xffffffff);
  __m256i a = _mm256_setzero_si256(), b = a, c = a, d = a;
  for (; blocks > 0; --blocks, at += 64) {
    const __m256i x = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(at));
    const __m256i y = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(at + 32));
    a = _mm256_add_epi64(a, _mm256_and_si256(x, low_mask));
    b = _mm256_add_epi64(b, _mm256_srli_epi64(x, 32));
    c = _mm256_add_epi64(c, _mm256_and_si256(y, low_mask));
    d = _mm256_add_epi64(d, _mm256_srli_epi64(y, 32));
  }
  alignas(32) std::array<std::uint64_t, 4> lanes;
  _mm256_store_si256(reinterpret_cast<__m256i*>(lanes.data()),
                     _mm256_add_epi64(_mm256_add_epi64(a, b), _mm256_add_epi64(c, d)));
  return add_sums(add_sums(lanes[0], lanes[1]), add_sums(lanes[2], lanes[3]));
}

}  // namespace

std::uint64_t sum_of(ByteView bytes) {
  const std::byte* at = bytes.data();
  std::size_t left = bytes.size();
  std::uint64_t wide = 0;
  if (left >= kWideFrom && __builtin_cpu_supports("avx2")) {
    wide = sum_wide(at, left / 64);
    at += left / 64 * 64;
    left %= 64;
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
