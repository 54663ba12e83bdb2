#include "l7/http1/classify.h"

#include <immintrin.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "l7/http1/chars.h"

namespace penstock::http1 {

namespace {

constexpr std::size_t kBlock = 64;

constexpr bool is_name_char(unsigned char c) { return is(static_cast<char>(c), kTokenChar) && c != '_'; }
constexpr bool is_uri_char(unsigned char c) { return is(static_cast<char>(c), kUriChar); }
constexpr bool is_control(unsigned char c) { return (c < 0x20 && c != '\t' && c != '\r' && c != '\n') || c == 0x7f; }

// ---- scalar: the plain twin that the others are compared with -------------------------------------------------------

void head_scalar(const char* text, std::size_t octets, HeadMasks* out) {
  for (std::size_t begin = 0; begin < octets; begin += kBlock, ++out) {
    HeadMasks m{};
    const std::size_t count = std::min(kBlock, octets - begin);
    for (std::size_t i = 0; i < count; ++i) {
      const auto c = static_cast<unsigned char>(text[begin + i]);
      m.lf |= std::uint64_t{c == '\n'} << i;
      m.cr |= std::uint64_t{c == '\r'} << i;
      m.control |= std::uint64_t{is_control(c)} << i;
      m.token |= std::uint64_t{is_name_char(c)} << i;
    }
    *out = m;
  }
}

void target_scalar(const char* text, std::size_t octets, TargetMasks* out) {
  for (std::size_t begin = 0; begin < octets; begin += kBlock, ++out) {
    TargetMasks m{};
    const std::size_t count = std::min(kBlock, octets - begin);
    for (std::size_t i = 0; i < count; ++i) {
      const auto c = static_cast<unsigned char>(text[begin + i]);
      m.uri |= std::uint64_t{is_uri_char(c)} << i;
      m.question |= std::uint64_t{c == '?'} << i;
      const bool dot = c == '.' && (i == 0 || text[begin + i - 1] == '/');
      m.special |= std::uint64_t{c == '%' || c == '\\' || dot} << i;
    }
    *out = m;
  }
}

// ---- membership by two nibbles
// ---------------------------------------------------------------------------------------

/// For a set of ASCII octets: low[l] has bit h when octet 16*h+l is in the set; high[h] is that bit. An octet is in
/// the set when low[its low nibble] & high[its high nibble] is not 0. Octets from 0x80 find 0 in both tables.
struct NibbleTables {
  alignas(16) std::array<std::uint8_t, 16> low{}, high{};
};
constexpr NibbleTables nibble_tables(bool (*in_set)(unsigned char)) {
  NibbleTables t;
  for (unsigned c = 0; c < 128; ++c)
    if (in_set(static_cast<unsigned char>(c)))
      t.low[c & 15] = static_cast<std::uint8_t>(t.low[c & 15] | 1u << (c >> 4));
  for (unsigned h = 0; h < 8; ++h) t.high[h] = static_cast<std::uint8_t>(1u << h);
  return t;
}
/// Name octets have no high nibble 0 or 1, control octets (but DEL) no other: one pair of tables tells both.
constexpr NibbleTables kNameNibbles =
    nibble_tables([](unsigned char c) { return is_name_char(c) || (c < 0x20 && is_control(c)); });
constexpr std::uint8_t kControlGroups = 0x03;
constexpr std::uint8_t kNameGroups = 0xfc;
constexpr NibbleTables kUriNibbles = nibble_tables(is_uri_char);

// ---- AVX2: two halves of 32
// ------------------------------------------------------------------------------------------

[[gnu::target("avx2")]] inline __m256i broadcast16(const std::array<std::uint8_t, 16>& table) {
  return _mm256_broadcastsi128_si256(_mm_load_si128(reinterpret_cast<const __m128i*>(table.data())));
}
[[gnu::target("avx2")]] inline std::uint64_t bits(__m256i low, __m256i high) {
  return static_cast<std::uint32_t>(_mm256_movemask_epi8(low)) |
         static_cast<std::uint64_t>(static_cast<std::uint32_t>(_mm256_movemask_epi8(high))) << 32;
}
[[gnu::target("avx2")]] inline __m256i equal(__m256i v, char c) { return _mm256_cmpeq_epi8(v, _mm256_set1_epi8(c)); }
[[gnu::target("avx2")]] inline __m256i either(__m256i a, __m256i b) { return _mm256_or_si256(a, b); }
/// Not 0 where the octet is in the set. A shuffle index with bit 7 gives 0, so octets from 0x80 are in no set.
[[gnu::target("avx2")]] inline __m256i member(__m256i v, __m256i low, __m256i high) {
  const __m256i nibble = _mm256_and_si256(_mm256_srli_epi16(v, 4), _mm256_set1_epi8(0x0f));
  return _mm256_and_si256(_mm256_shuffle_epi8(low, v), _mm256_shuffle_epi8(high, nibble));
}
/// 0xff where `v` has no bit of `group`.
[[gnu::target("avx2")]] inline __m256i none_of(__m256i v, std::uint8_t group) {
  return _mm256_cmpeq_epi8(_mm256_and_si256(v, _mm256_set1_epi8(static_cast<char>(group))), _mm256_setzero_si256());
}

struct Halves {
  __m256i a, b;
};
/// A block of 64, or the last one with zeros behind it.
[[gnu::target("avx2")]] inline Halves load_avx2(const char* text, std::size_t octets) {
  alignas(32) std::array<char, kBlock> padded;
  if (octets < kBlock) {
    padded.fill(0);
    std::memcpy(padded.data(), text, octets);
    text = padded.data();
  }
  return {_mm256_loadu_si256(reinterpret_cast<const __m256i*>(text)),
          _mm256_loadu_si256(reinterpret_cast<const __m256i*>(text + 32))};
}
constexpr std::uint64_t valid_bits(std::size_t octets) {
  return octets >= kBlock ? ~std::uint64_t{0} : (std::uint64_t{1} << octets) - 1;
}

[[gnu::target("avx2")]] void head_avx2(const char* text, std::size_t octets, HeadMasks* out) {
  const __m256i low = broadcast16(kNameNibbles.low), high = broadcast16(kNameNibbles.high);
  for (std::size_t begin = 0; begin < octets; begin += kBlock, ++out) {
    const Halves v = load_avx2(text + begin, octets - begin);
    const __m256i a = member(v.a, low, high), b = member(v.b, low, high);
    out->lf = bits(equal(v.a, '\n'), equal(v.b, '\n'));
    out->cr = bits(equal(v.a, '\r'), equal(v.b, '\r'));
    const std::uint64_t del = bits(equal(v.a, 0x7f), equal(v.b, 0x7f));
    out->control = (~bits(none_of(a, kControlGroups), none_of(b, kControlGroups)) & valid_bits(octets - begin)) | del;
    out->token = ~bits(none_of(a, kNameGroups), none_of(b, kNameGroups));
  }
}

[[gnu::target("avx2")]] void target_avx2(const char* text, std::size_t octets, TargetMasks* out) {
  const __m256i low = broadcast16(kUriNibbles.low), high = broadcast16(kUriNibbles.high);
  for (std::size_t begin = 0; begin < octets; begin += kBlock, ++out) {
    const Halves v = load_avx2(text + begin, octets - begin);
    out->uri = ~bits(none_of(member(v.a, low, high), 0xff), none_of(member(v.b, low, high), 0xff));
    out->question = bits(equal(v.a, '?'), equal(v.b, '?'));
    const std::uint64_t slash = bits(equal(v.a, '/'), equal(v.b, '/')), dot = bits(equal(v.a, '.'), equal(v.b, '.'));
    out->special = bits(either(equal(v.a, '%'), equal(v.a, '\\')), either(equal(v.b, '%'), equal(v.b, '\\'))) |
                   (dot & (slash << 1 | 1));
  }
}

// ---- AVX-512: one register, compares give masks
// ----------------------------------------------------------------------

[[gnu::target("avx512f,avx512bw")]] inline __m512i load_avx512(const char* text, std::size_t octets) {
  return octets >= kBlock ? _mm512_loadu_si512(text) : _mm512_maskz_loadu_epi8(valid_bits(octets), text);
}
[[gnu::target("avx512f,avx512bw")]] inline __m512i broadcast64(const std::array<std::uint8_t, 16>& table) {
  // The unmasked form reads an undefined register in GCC 12's header, which -Wuninitialized reports.
  return _mm512_maskz_broadcast_i32x4(0xffff, _mm_load_si128(reinterpret_cast<const __m128i*>(table.data())));
}
[[gnu::target("avx512f,avx512bw")]] inline std::uint64_t equal64(__m512i v, char c) {
  return _mm512_cmpeq_epi8_mask(v, _mm512_set1_epi8(c));
}
[[gnu::target("avx512f,avx512bw")]] inline __m512i member64(__m512i v, __m512i low, __m512i high) {
  const __m512i nibble = _mm512_and_si512(_mm512_srli_epi16(v, 4), _mm512_set1_epi8(0x0f));
  return _mm512_and_si512(_mm512_shuffle_epi8(low, v), _mm512_shuffle_epi8(high, nibble));
}
[[gnu::target("avx512f,avx512bw")]] inline std::uint64_t any_of64(__m512i v, std::uint8_t group) {
  return _mm512_test_epi8_mask(v, _mm512_set1_epi8(static_cast<char>(group)));
}

[[gnu::target("avx512f,avx512bw")]] void head_avx512(const char* text, std::size_t octets, HeadMasks* out) {
  const __m512i low = broadcast64(kNameNibbles.low), high = broadcast64(kNameNibbles.high);
  for (std::size_t begin = 0; begin < octets; begin += kBlock, ++out) {
    const __m512i v = load_avx512(text + begin, octets - begin);
    const __m512i found = member64(v, low, high);
    out->lf = equal64(v, '\n');
    out->cr = equal64(v, '\r');
    out->control = (any_of64(found, kControlGroups) & valid_bits(octets - begin)) | equal64(v, 0x7f);
    out->token = any_of64(found, kNameGroups);
  }
}

[[gnu::target("avx512f,avx512bw")]] void target_avx512(const char* text, std::size_t octets, TargetMasks* out) {
  const __m512i low = broadcast64(kUriNibbles.low), high = broadcast64(kUriNibbles.high);
  for (std::size_t begin = 0; begin < octets; begin += kBlock, ++out) {
    const __m512i v = load_avx512(text + begin, octets - begin);
    out->uri = any_of64(member64(v, low, high), 0xff);
    out->question = equal64(v, '?');
    out->special = equal64(v, '%') | equal64(v, '\\') | (equal64(v, '.') & (equal64(v, '/') << 1 | 1));
  }
}

constexpr Classifier kScalar{SimdLevel::scalar, head_scalar, target_scalar};
constexpr Classifier kAvx2{SimdLevel::avx2, head_avx2, target_avx2};
constexpr Classifier kAvx512{SimdLevel::avx512, head_avx512, target_avx512};

}  // namespace

const Classifier* classifier_of(SimdLevel level) {
  // Both vector levels stand for BMI and BMI2 too: stage 2 and the mark writer have builds that use them.
  const bool bits = __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("avx2");
  switch (level) {
    case SimdLevel::scalar:
      return &kScalar;
    case SimdLevel::avx2:
      return bits ? &kAvx2 : nullptr;
    case SimdLevel::avx512:
      return bits && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") ? &kAvx512 : nullptr;
  }
  return nullptr;
}

const Classifier& best_classifier() {
  for (const SimdLevel level : {SimdLevel::avx512, SimdLevel::avx2})
    if (const Classifier* found = classifier_of(level)) return *found;
  return kScalar;
}

}  // namespace penstock::http1
