// rto.h - retransmission timeout from round-trip samples (RFC 6298).
//
// Model     smoothed round-trip time and deviation; the timeout doubles with each expiry and stays doubled until a new
//           sample arrives (RFC 6298 s5.7). Karn's rule (s3) is the caller's duty: sample only what was sent once.
// Units     microseconds inside, Duration outside.
// Shape     16 octets, one per connection.
// Errors    none: samples are clamped to at least one microsecond.
// Not here  the timer itself; give-up counts (engine).
#pragma once
#include <algorithm>
#include <chrono>
#include <cstdint>

#include "dataplane/tcp/limits.h"

namespace penstock::tcp {

class Rto {
 public:
  /// `round_trip_us` of a segment that was sent exactly once.
  void sample(std::int32_t round_trip_us) {
    const auto r = static_cast<std::uint32_t>(std::max(round_trip_us, 1));
    if (srtt_us_ == 0) {
      srtt_us_ = r;
      rttvar_us_ = r / 2;
      min_rtt_us_ = r;
    } else {
      const std::uint32_t error = srtt_us_ > r ? srtt_us_ - r : r - srtt_us_;
      rttvar_us_ = rttvar_us_ - rttvar_us_ / 4 + error / 4;
      srtt_us_ = std::max(srtt_us_ - srtt_us_ / 8 + r / 8, 1u);
      min_rtt_us_ = std::min(min_rtt_us_, r);
    }
    backoff_ = 0;
  }
  [[nodiscard]] Duration timeout(const Limits& limits) const {
    Duration base = conservative_start_ ? std::chrono::seconds{3} : limits.rto_initial;
    if (srtt_us_ != 0)
      base = std::chrono::microseconds{srtt_us_} +
             std::max<Duration>(std::chrono::microseconds{std::max<std::uint64_t>(1, 4ull * rttvar_us_)},
                                limits.rto_deviation_min);
    base = std::max(base, limits.rto_min);
    const bool first = srtt_us_ == 0 && backoff_ == 0;
    return std::min(base * (std::int64_t{1} << backoff_) + (first ? Duration::zero() : limits.rto_slop),
                    limits.rto_max);
  }
  void back_off() { backoff_ = std::min<std::uint8_t>(static_cast<std::uint8_t>(backoff_ + 1), 16); }
  /// A repetition turned out needless: the path was there all the time.
  void forget_back_off() { backoff_ = 0; }
  /// The SYN had to be repeated and gave no sample: data starts at 3 s (RFC 6298 s5.7).
  void syn_was_repeated() {
    conservative_start_ = srtt_us_ == 0;
    backoff_ = 0;
  }
  [[nodiscard]] bool has_sample() const { return srtt_us_ != 0; }
  [[nodiscard]] std::uint32_t srtt_us() const { return srtt_us_; }
  [[nodiscard]] std::uint32_t rttvar_us() const { return rttvar_us_; }
  [[nodiscard]] std::uint32_t min_rtt_us() const { return min_rtt_us_; }
  [[nodiscard]] std::uint8_t backoff() const { return backoff_; }

 private:
  std::uint32_t srtt_us_{};
  std::uint32_t rttvar_us_{};
  std::uint32_t min_rtt_us_{};
  std::uint8_t backoff_{};
  bool conservative_start_{};
};
static_assert(sizeof(Rto) == 16);

}  // namespace penstock::tcp
