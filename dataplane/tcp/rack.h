// rack.h - loss by time, and the tail probe (RFC 8985).
//
// Model     a segment is lost when one sent later has been delivered and a reordering window has passed. The window is
//           zero until reordering was seen, a quarter of the minimum round trip afterwards, more when DSACKs show that
//           it was too small, until 16 recoveries did without (s6.2). When acknowledgements stop, one probe goes out
//           before the timeout would (s7); if only the probe filled the hole, that was a loss and counts as one.
//           Beyond the RFC, probes go out during recovery too: a repetition that is lost with all that was sent after
//           it would wait for the timeout otherwise, and on a path with small windows that happens often.
// Units     microseconds and sequence numbers.
// Shape     28 octets, one per connection; used only when SACK was negotiated.
// Errors    none.
// Not here  the timers (engine_timer.cpp); the marks are in the send queue.
#pragma once
#include "dataplane/tcp/rto.h"
#include "dataplane/tcp/send_queue.h"

namespace penstock::tcp {

class Rack {
 public:
  /// An acknowledgement delivered something (s6.2 steps 1 to 4).
  void delivered(const Delivered& delivered, Stamp now, const Rto& rto);
  /// The peer reported a duplicate: the reordering window was too small (step 4), once per round trip.
  void duplicate_reported(SeqNum una, SeqNum nxt);
  /// Marks what is lost now (step 5); returns microseconds until another look, 0: none needed.
  std::uint32_t detect(Pools& pools, SendQueue& queue, Stamp now, const Rto& rto, std::uint32_t mss, bool recovering);

  // Tail loss probe.
  [[nodiscard]] bool probing() const { return probing_; }
  /// One at a time, and no second before a round trip was measured (s7.3).
  [[nodiscard]] bool may_probe() const { return !probing_ && measured_; }
  void round_trip_measured() { measured_ = true; }
  void probed(SeqNum nxt, bool repeated, bool recovering) {
    probing_ = true;
    measured_ = false;
    probe_repeated_ = repeated;
    probe_in_recovery_ = recovering;
    probe_end_ = nxt;
  }
  /// True when the probe repaired a loss: the congestion window is to be reduced (s7.4).
  [[nodiscard]] bool probe_answered(SeqNum una, const Delivered& delivered, bool duplicate_reported);
  void timed_out() { probing_ = false; }
  /// Recovery has ended.
  void recovered() {
    if (persist_ > 0 && --persist_ == 0) widening_ = 1;
  }

 private:
  [[nodiscard]] std::uint32_t reordering_window_us(const SendQueue& queue, const Rto& rto, std::uint32_t mss,
                                                   bool recovering) const;
  Stamp sent_;              ///< RACK.xmit_ts
  SeqNum end_;              ///< RACK.end_seq
  SeqNum forward_;          ///< RACK.fack
  std::uint32_t rtt_us_{};  ///< RACK.rtt
  SeqNum widened_until_;    ///< no second widening before this is acknowledged
  SeqNum probe_end_;
  std::uint8_t widening_{1};
  std::uint8_t persist_{};  ///< recoveries for which the window stays widened
  bool valid_ : 1 {};
  bool reordering_seen_ : 1 {};
  bool probing_ : 1 {};
  bool probe_repeated_ : 1 {};
  bool probe_in_recovery_ : 1 {};
  bool measured_ : 1 {};  ///< a round trip, since the last probe
};
static_assert(sizeof(Rack) == 28);

}  // namespace penstock::tcp
