// congestion.h - NewReno: how much may be in the network (RFC 5681, RFC 6582, RFC 6928).
//
// Model     slow start below ssthresh, one segment per window above it (octet counting, RFC 3465; L is in Limits).
//           Growth only while the window was what limited sending (RFC 7661's idea in its plain form).
// Units     octets; `mss` is the payload of a full segment.
// Shape     12 octets.
// Errors    none.
// Not here  which segment is lost (recovery.h); CUBIC.
#pragma once
#include <algorithm>
#include <cstdint>

#include "dataplane/tcp/limits.h"

namespace penstock::tcp {

class Congestion {
 public:
  /// RFC 6928 s2: the initial window; one segment when the SYN was lost more than once.
  void start(std::uint32_t mss, const Limits& limits, bool syn_lost) {
    cwnd_ = syn_lost ? mss : initial_window(mss, limits);
  }
  static std::uint32_t initial_window(std::uint32_t mss, const Limits& limits) {
    const std::uint32_t segments = limits.initial_window_segments;
    return std::min(segments * mss, std::max(2 * mss, segments * 1460));
  }
  /// New data was acknowledged outside recovery; slow start grows by at most `growth_max`.
  void acked(std::uint32_t octets, std::uint32_t mss, bool was_limited, std::uint32_t growth_max) {
    if (!was_limited) return;
    if (cwnd_ < ssthresh_) {
      cwnd_ += std::min(octets, growth_max);
      return;
    }
    credit_ += octets;
    if (credit_ >= cwnd_) {
      credit_ -= cwnd_;
      cwnd_ += mss;
    }
  }
  /// RFC 5681 s3.2, equation 4.
  void halve(std::uint32_t flight, std::uint32_t mss) {
    ssthresh_ = std::max(flight / 2, 2 * mss);
    cwnd_ = ssthresh_;
    credit_ = 0;
  }
  void recovered() { cwnd_ = ssthresh_; }
  /// RFC 5681 s3.1: after a timeout; `first` when the segment had not timed out before.
  void timed_out(std::uint32_t flight, std::uint32_t mss, bool first) {
    if (first) ssthresh_ = std::max(flight / 2, 2 * mss);
    cwnd_ = mss;
    credit_ = 0;
  }
  /// RFC 5681 s4.1: nothing was sent for longer than a timeout.
  void idled(std::uint32_t mss, const Limits& limits) { cwnd_ = std::min(cwnd_, initial_window(mss, limits)); }

  [[nodiscard]] std::uint32_t cwnd() const { return cwnd_; }
  [[nodiscard]] std::uint32_t ssthresh() const { return ssthresh_; }

 private:
  std::uint32_t cwnd_{};
  std::uint32_t ssthresh_{0x7fffffff};
  std::uint32_t credit_{};
};
static_assert(sizeof(Congestion) == 12);

}  // namespace penstock::tcp
