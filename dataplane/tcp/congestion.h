// congestion.h - how much may be in the network: CUBIC (RFC 9438) or NewReno (RFC 5681, RFC 6928).
//
// Model     slow start below ssthresh, for CUBIC watched by HyStart++ the first time; above it Reno's segment per
//           window, or CUBIC's curve. Growth only while the window was what limited sending; in slow start
//           also while more than half of it was in use within the round trip (RFC 7661 s4.2). A loss reduces ssthresh
//           once and the window by and by (prr.h). What a stage needs is kept only during that stage.
//
//               slow start (HyStart) --> avoidance (CubicEpoch) --loss--> repair (Prr) --> avoidance
//                      ^------------------------ timeout ------------------------'
//
// Units     octets; milliseconds; `mss` is the payload of a full segment.
// Shape     52 octets.
// Errors    none.
// Not here  which segment is lost (recovery.h).
#pragma once
#include <algorithm>
#include <cstdint>
#include <variant>

#include "dataplane/tcp/cubic.h"
#include "dataplane/tcp/hystart.h"
#include "dataplane/tcp/limits.h"
#include "dataplane/tcp/prr.h"

namespace penstock::tcp {

/// New data was acknowledged outside recovery.
struct Growth {
  std::uint32_t octets{};
  std::uint32_t mss{};
  std::uint32_t flight{};           ///< outstanding before this acknowledgement
  bool was_limited{};               ///< by the congestion window
  std::uint8_t growth_segments{1};  ///< of slow start, at most (RFC 3465)
  std::uint32_t now_ms{};
  std::uint32_t srtt_us{};
  std::uint32_t rtt_us{};  ///< of this acknowledgement; zero when it gave no sample
  SeqNum una;
  SeqNum nxt;
};

/// A round trip of slow start that HyStart does not watch.
struct UsageRound {
  SeqNum end;
};

class Congestion {
 public:
  /// RFC 6928 s2: the initial window; one segment when the SYN was lost more than once.
  void start(std::uint32_t mss, const Limits& limits, bool syn_lost);
  static std::uint32_t initial_window(std::uint32_t mss, const Limits& limits) {
    const std::uint32_t segments = limits.initial_window_segments;
    return std::min(segments * mss, std::max(2 * mss, segments * 1460));
  }
  void acked(const Growth& growth);
  /// A loss was found with `flight` octets outstanding: ssthresh falls now, the window with repaired().
  void lost(std::uint32_t flight, std::uint32_t mss);
  /// The same when nothing has to be repaired any more: the window falls at once.
  void lost_and_repaired(std::uint32_t flight, std::uint32_t mss);
  /// The beginning of recovery, or an acknowledgement that delivered something. `delivered` octets left the network
  /// with it, `pipe` are still in it.
  void repair(std::uint32_t delivered, std::uint32_t pipe, std::uint32_t mss, bool safe);
  /// Octets were sent; only recovery counts them.
  void sent(std::uint32_t octets) {
    if (Prr* prr = std::get_if<Prr>(&stage_)) prr->out += octets;
  }
  void recovered();
  /// The last reduction was needless: growth resumes where it was, in the end. The window itself opens to what was
  /// there before, but by no more than an initial window at once (RFC 4015 s3).
  void undo(std::uint32_t pipe, std::uint32_t mss);
  /// RFC 5681 s3.1: after a timeout; `first` when the segment had not timed out before.
  void timed_out(std::uint32_t flight, std::uint32_t mss, bool first);
  /// RFC 5681 s4.1: nothing was sent for longer than a timeout.
  void idled(std::uint32_t mss, const Limits& limits);

  [[nodiscard]] std::uint32_t cwnd() const { return cwnd_; }
  [[nodiscard]] std::uint32_t ssthresh() const { return ssthresh_; }
  [[nodiscard]] CongestionControl control() const { return control_; }
  [[nodiscard]] bool in_slow_start() const { return cwnd_ < ssthresh_; }

 private:
  static constexpr std::uint32_t kUnknown = 0x7fffffff;  ///< ssthresh before the first reduction
  static constexpr std::uint32_t kCwndMax = 0x3fffffff;  ///< no TCP window is larger (RFC 7323 s2.3)
  void slow_start(const Growth& growth);
  /// More than half of the window was in use within this round trip.
  [[nodiscard]] bool half_used(const Growth& growth);
  void avoid_reno(const Growth& growth);
  void avoid_cubic(const Growth& growth);
  void reduce(std::uint32_t flight, std::uint32_t mss);
  void grow(std::uint32_t octets) { cwnd_ = std::min(cwnd_ + std::min(octets, kCwndMax), kCwndMax); }

  std::uint32_t cwnd_{};
  std::uint32_t ssthresh_{kUnknown};
  std::uint32_t credit_{};          ///< slow start: most in flight within the round trip; then Reno: octets
                                    ///< acknowledged in this window; CUBIC: remainder of a division
  std::uint32_t w_max_{};           ///< CUBIC: where the curve's plateau is
  std::uint32_t cwnd_prior_{};      ///< before the last reduction
  std::uint32_t ssthresh_prior_{};  ///< likewise
  std::variant<std::monostate, UsageRound, HyStart, CubicEpoch, Prr> stage_;
  CongestionControl control_{CongestionControl::reno};
  bool hystart_{};
};
static_assert(sizeof(Congestion) <= 52);

}  // namespace penstock::tcp
