// arrival_share.h - how much the peers of one side may have under way towards us, so that a receive ring holds it.
//
// Model     frames wait in a port's ring while the worker is busy or not scheduled; what does not fit is lost. Peers
//           send what our windows let them, so the windows of the legs that send now share the ring: a leg counts as
//           sending for one to two periods after its last payload, and after it began.
//
//               segments per leg = frames of the ring for this side / legs that send, at least kLeastSegments
//
// Units     full segments, which are one frame each; kPeriodMs.
// Shape     O(1) per payload; one octet of a leg's own remembers the period it was counted in.
// Limits    above frames / kLeastSegments senders the windows together exceed the ring: loss and back-off share it
// then.
//           A window is a promise: what a leg was granted while few sent stays granted until it is used.
// Errors    none.
#pragma once
#include <algorithm>
#include <cstdint>

#include "dataplane/core/clock.h"

namespace penstock::relay {

class ArrivalShare {
 public:
  /// Long enough to see everybody who sends over a short round trip, short enough to forget who stopped.
  static constexpr std::uint32_t kPeriodMs = 256;
  /// One would wait for each delayed acknowledgement of its peer (RFC 9293 s3.8.6.3).
  static constexpr std::uint32_t kLeastSegments = 2;

  ArrivalShare(std::uint32_t frames, CoarseMs now) : frames_{frames}, since_{now} { divide(); }

  void begin_round(CoarseMs now) {
    if (now.since(since_) < static_cast<std::int32_t>(kPeriodMs)) [[likely]]
      return;
    const bool gap = now.since(since_) >= static_cast<std::int32_t>(2 * kPeriodMs);
    before_ = gap ? 0 : now_;
    now_ = 0;
    since_ = now;
    if (++period_ == 0) period_ = 1;  // 0 is a leg that was never counted
    divide();
  }
  /// A leg begins, or payload came on it. `counted` is the leg's own, 0 at first.
  void sends(std::uint8_t& counted) {
    if (counted == period_) [[likely]]
      return;
    counted = period_;
    if (++now_ > before_) divide();
  }
  /// What each leg that sends may have under way.
  [[nodiscard]] std::uint32_t segments() const { return segments_; }
  [[nodiscard]] std::uint32_t senders() const { return std::max(before_, now_); }

 private:
  void divide() { segments_ = std::max(kLeastSegments, frames_ / std::max(1u, senders())); }
  std::uint32_t frames_;
  std::uint32_t segments_{};
  std::uint32_t before_{}, now_{};  ///< legs counted in the period before this one, and in this one
  CoarseMs since_;
  std::uint8_t period_{1};
};

}  // namespace penstock::relay
