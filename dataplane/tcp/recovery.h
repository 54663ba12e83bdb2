// recovery.h - which segments are lost, and when to send again (RFC 5681 s3.2, RFC 6582, RFC 6675).
//
// Model     three phases: open, recovery (entered once per window by duplicate or selective acknowledgements, left when
//           the recovery point is acknowledged), loss (after a timeout, the same recovery point). Without SACK each
//           duplicate acknowledgement counts as one segment that has left the network.
// Units     octets; `mss` is the payload of a full segment.
// Shape     20 octets; the marks are in the send queue, the window in congestion.h.
// Errors    none.
// Not here  timers, and the order of NextSeg() (engine).
#pragma once
#include <algorithm>

#include "dataplane/tcp/congestion.h"
#include "dataplane/tcp/send_queue.h"
#include "dataplane/tcp/undo.h"

namespace penstock::tcp {

enum class Phase : std::uint8_t { open, recovery, loss };

/// One acknowledgement, after the send queue has been told of it.
struct AckFacts {
  std::uint32_t acked_octets{};
  std::uint32_t delivered_octets{};   ///< newly, by either kind of acknowledgement
  std::uint32_t flight_before{};      ///< outstanding before this acknowledgement
  std::uint16_t loss_marks_before{};  ///< SendQueue::loss_marks() before this acknowledgement
  std::uint32_t now_ms{};
  std::uint32_t srtt_us{};
  std::uint32_t rtt_us{};           ///< of this acknowledgement; zero: no sample
  bool sack{};                      ///< SACK was negotiated
  bool rack{};                      ///< lost segments are marked by time (rack.h), not by count
  bool duplicate{};                 ///< RFC 5681 s2: same ACK and window, no data, something in flight
  std::uint8_t growth_segments{1};  ///< of slow start, per acknowledgement
  bool cwnd_limited{};              ///< the congestion window held back data
};

class Recovery {
 public:
  /// True when recovery was entered.
  bool acknowledged(Pools& pools, SendQueue& queue, Congestion& congestion, const AckFacts& facts, std::uint32_t mss);
  /// The retransmission timer expired; `first` when this is not a repetition.
  void timed_out(Pools& pools, SendQueue& queue, Congestion& congestion, std::uint32_t mss, bool first);
  /// The peer has got `range` twice. True when that shows the last reduction needless: it is taken back, and what was
  /// thought to be lost is repaired.
  bool duplicate_reported(const SendQueue& queue, Congestion& congestion, SackBlock range, std::uint32_t mss);
  /// The tail probe has repaired a loss (RFC 8985 s7.4): the window is reduced, and that is not taken back.
  void tail_repaired(Congestion& congestion, std::uint32_t flight, std::uint32_t mss);
  /// Retransmit what is marked lost without touching the congestion window (the path's MTU shrank).
  void force_one() { force_ = true; }

  /// RFC 6675 SetPipe(), with the estimate for peers without SACK.
  [[nodiscard]] std::uint32_t pipe(const SendQueue& queue) const {
    const std::uint32_t counted = queue.pipe();
    return counted - std::min(counted, reno_sacked_);
  }
  /// One retransmission may leave whatever the window says.
  [[nodiscard]] bool forced() const { return force_; }
  void retransmitted() { force_ = false; }
  /// A segment was sent again, for whatever reason.
  void repeated() { undo_.repeated(); }
  /// RFC 6675 s4 NextSeg() rule 4: once per recovery the tail may be sent again although nothing says it was lost.
  [[nodiscard]] bool take_rescue() {
    const bool first = !rescued_;
    rescued_ = true;
    return first;
  }
  [[nodiscard]] Phase phase() const { return phase_; }
  [[nodiscard]] SeqNum recover() const { return recover_; }

 private:
  /// Octets that left the network with this acknowledgement, as far as can be told.
  std::uint32_t count_without_sack(const SendQueue& queue, const AckFacts& facts, std::uint32_t mss);
  static void mark_lost_by_sack(Pools& pools, SendQueue& queue, std::uint32_t mss);
  [[nodiscard]] bool should_enter(const SendQueue& queue, const AckFacts& facts) const;

  SeqNum recover_;
  std::uint32_t reno_sacked_{};
  Undo undo_;
  std::uint16_t duplicates_{};
  Phase phase_ : 2 {Phase::open};
  bool force_ : 1 {};
  bool rescued_ : 1 {};
  bool recover_valid_ : 1 {};  ///< a timeout happened: duplicates below recover_ do not count (RFC 6582 s4)
};
static_assert(sizeof(Recovery) == 20);

}  // namespace penstock::tcp
