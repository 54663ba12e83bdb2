// classify.h - stage 1: which octet is what, 64 at a time, in one of three builds with identical results.
//
// Model     64 octets become one bit each in a few masks; everything behind works on the masks. The build (AVX-512BW,
//           AVX2, scalar) is chosen once at start by what the processor has, never by compiler flags for the file.
// Units     bit i of a mask is octet i of the block; bits beyond the last octet are 0.
// Errors    none.
// Not here  what the masks mean for a head (head_scan.h) or a target (target.h).
#pragma once
#include <cstddef>
#include <cstdint>

namespace penstock::http1 {

enum class SimdLevel : std::uint8_t { scalar, avx2, avx512 };

/// Classes that a head needs.
struct HeadMasks {
  std::uint64_t lf;
  std::uint64_t cr;
  std::uint64_t control;  ///< below 0x20 except HTAB, CR, LF; and 0x7f
  std::uint64_t token;    ///< RFC 9110 s5.6.2 tchar, without _ : a name or method that has one takes the slow way
};
/// Classes that a request target needs.
struct TargetMasks {
  std::uint64_t uri;       ///< kUriChar
  std::uint64_t question;  ///< ?
  std::uint64_t special;   ///< %, backslash, and a dot behind a slash (or first in its block): worth a closer look
};

struct Classifier {
  SimdLevel level;
  /// Masks of ceil(octets / 64) blocks; reads nothing beyond `octets`.
  void (*head)(const char* text, std::size_t octets, HeadMasks* out);
  void (*target)(const char* text, std::size_t octets, TargetMasks* out);
};

/// The classifier of a level; nullptr when this processor cannot run it.
[[nodiscard]] const Classifier* classifier_of(SimdLevel level);
/// The fastest that this processor can run. Asks the processor: call it at start, not per message.
[[nodiscard]] const Classifier& best_classifier();

}  // namespace penstock::http1
