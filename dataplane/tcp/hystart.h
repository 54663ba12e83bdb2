// hystart.h - leaving the first slow start before it overshoots (RFC 9406, HyStart++).
//
// Model     round-trip times are compared round by round. When this round's minimum is clearly above the last one's, a
//           queue is building: growth continues at a quarter of the speed (conservative slow start), and ends after
//           five such rounds, unless the round trip falls again, which proves it a false alarm.
// Units     microseconds; rounds end when what was sent at their start is acknowledged.
// Shape     20 octets.
// Errors    none.
#pragma once
#include <algorithm>
#include <cstdint>

#include "dataplane/core/seq_num.h"

namespace penstock::tcp {

struct HyStart {
  // RFC 9406 s4.3: recommended values.
  static constexpr std::uint32_t kThresholdMinUs = 4000, kThresholdMaxUs = 16000, kThresholdDivisor = 8;
  static constexpr std::uint8_t kSamples = 8, kConservativeRounds = 5;
  static constexpr std::uint32_t kGrowthDivisor = 4;
  static constexpr std::uint32_t kBurstSegments = 8;  ///< L, for a sender that does not pace

  SeqNum round_end;
  std::uint32_t last_min_us{};     ///< of the round before; zero: none
  std::uint32_t current_min_us{};  ///< zero: no sample yet
  std::uint32_t baseline_us{};     ///< when conservative slow start began
  std::uint8_t samples{};
  std::uint8_t conservative_rounds{};  ///< rounds left; zero: plain slow start
  bool started{};

  [[nodiscard]] bool conservative() const { return conservative_rounds > 0; }
  /// One acknowledgement; `rtt_us` zero when it gave no sample. True: slow start ends here.
  bool acknowledged(SeqNum una, SeqNum nxt, std::uint32_t rtt_us) {
    bool over = false;
    if (!started || round_end.at_most(una)) over = next_round(nxt);
    if (rtt_us == 0) return over;
    current_min_us = current_min_us == 0 ? rtt_us : std::min(current_min_us, rtt_us);
    if (samples < kSamples) ++samples;
    if (samples < kSamples) return over;
    if (conservative()) {
      if (current_min_us < baseline_us) conservative_rounds = 0;
      return over;
    }
    if (last_min_us == 0) return over;
    const std::uint32_t threshold = std::clamp(last_min_us / kThresholdDivisor, kThresholdMinUs, kThresholdMaxUs);
    if (current_min_us >= last_min_us + threshold) {
      baseline_us = current_min_us;
      conservative_rounds = kConservativeRounds;
    }
    return over;
  }

 private:
  bool next_round(SeqNum nxt) {
    started = true;
    round_end = nxt;
    last_min_us = current_min_us;
    current_min_us = 0;
    samples = 0;
    return conservative() && --conservative_rounds == 0;
  }
};
static_assert(sizeof(HyStart) == 20);

}  // namespace penstock::tcp
