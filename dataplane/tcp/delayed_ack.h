// delayed_ack.h - when to acknowledge (RFC 9293 s3.8.6.3, RFC 5681 s4.2).
//
// Model     every second full segment (ack_every) at once, else after a delay; at once out of order, when a gap is
// filled, for a
//           FIN and for old data. Each segment out of order owes one pure duplicate acknowledgement, which must not
//           ride on data, or the peer would not count it.
// Units     octets; deadline as Instant.
// Shape     16 octets.
// Errors    none.
#pragma once
#include <algorithm>
#include <cstdint>

#include "dataplane/tcp/limits.h"
#include "dataplane/tcp/stamp.h"

namespace penstock::tcp {

class DelayedAck {
 public:
  void data_in_order(std::uint32_t octets, Instant now, const Limits& limits) {
    segment_octets_ = std::max(segment_octets_, static_cast<std::uint16_t>(std::min<std::uint32_t>(octets, 0xffff)));
    pending_octets_ += octets;
    if (pending_octets_ >= std::uint32_t{limits.ack_every} * segment_octets_)
      now_ = true;
    else if (deadline_ == kNever)
      deadline_ = now + limits.delayed_ack;
  }
  void ack_now() { now_ = urgent_ = true; }
  /// The window has grown enough to be told.
  void window_grew() { now_ = true; }
  void owe_duplicate() { duplicates_ = std::min<std::uint8_t>(static_cast<std::uint8_t>(duplicates_ + 1), 64); }
  /// What is owed would now repeat a number behind which nothing is missing: the peer would take it for a loss.
  void nothing_missing() {
    if (duplicates_ == 0) return;
    duplicates_ = 0;
    ack_now();
  }
  /// What is owed for data in order, or for the window, waits until `at` for something to ride on; more data ends that.
  void postpone(Instant at) {
    if (!now_ || urgent_ || duplicates_ > 0) return;
    now_ = false;
    deadline_ = std::min(deadline_, at);
  }
  void expire(Instant now) {
    if (now >= deadline_) now_ = true;
  }
  /// A segment with an acknowledgement leaves; `pure` when it carries nothing else.
  void sent(bool pure) {
    if (pure && duplicates_ > 0) --duplicates_;
    now_ = urgent_ = false;
    pending_octets_ = 0;
    deadline_ = kNever;
  }
  [[nodiscard]] bool due() const { return now_; }
  [[nodiscard]] bool duplicate_due() const { return duplicates_ > 0; }
  [[nodiscard]] Instant deadline() const { return now_ ? kNever : deadline_; }

 private:
  Instant deadline_{kNever};
  std::uint32_t pending_octets_{};
  std::uint16_t segment_octets_{1};
  std::uint8_t duplicates_{};
  bool now_ : 1 {};
  bool urgent_ : 1 {};  ///< not for data in order or the window alone
};
static_assert(sizeof(DelayedAck) == 16);

}  // namespace penstock::tcp
