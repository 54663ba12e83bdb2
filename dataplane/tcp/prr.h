// prr.h - how fast to send while a loss is being repaired (RFC 6937, proportional rate reduction).
//
// Model     for every octet that the receiver got, ssthresh/flight of an octet may be sent, so that the reduction is
//           spread over the round trip instead of a pause and a burst. When more was lost than the reduction wanted,
//           slow start towards ssthresh (the SSRB bound), only while repairs arrive without new loss.
// Units     octets.
// Shape     12 octets.
// Errors    none.
#pragma once
#include <algorithm>
#include <cstdint>

namespace penstock::tcp {

struct Prr {
  std::uint32_t recover_flight{};  ///< in flight when the loss was found
  std::uint32_t delivered{};       ///< since then
  std::uint32_t out{};             ///< sent since then

  /// Octets that may be sent now. `fresh` were delivered by this acknowledgement; `safe`: it advanced and showed no
  /// new loss.
  std::uint32_t allowance(std::uint32_t fresh, std::uint32_t pipe, std::uint32_t ssthresh, std::uint32_t mss,
                          bool safe) {
    delivered += fresh;
    const std::uint32_t surplus = delivered > out ? delivered - out : 0;
    if (pipe > ssthresh) {
      const std::uint32_t divisor = std::max(recover_flight, 1u);
      const std::uint64_t due = (std::uint64_t{delivered} * ssthresh + divisor - 1) / divisor;
      return due > out ? static_cast<std::uint32_t>(due - out) : 0;
    }
    const std::uint32_t bound = std::max(surplus, fresh) + (safe ? mss : 0);
    return std::min(ssthresh - pipe, bound);
  }
};

}  // namespace penstock::tcp
