// window.h - both windows of a connection: what we offer, and what the peer offers.
//
// Model     ReceiveWindow offers budget minus what the application has not consumed, and at most `limit`, which bounds
//           what the peer may have under way, read or not. The right edge that was ever
//           offered stays acceptable (RFC 7323 s2.4), so rounding by the scale never loses data; it moves only by
//           steps worth a segment (RFC 9293 s3.8.6.2.2). SendWindow follows RFC 9293 s3.10.7.4 (wl1, wl2).
// Units     octets; `field` is the 16-bit value on the wire.
// Errors    none.
#pragma once
#include <algorithm>
#include <cstdint>

#include "dataplane/core/seq_num.h"

namespace penstock::tcp {

inline constexpr std::uint32_t kNoWindowLimit = (1u << 28) - 1;  ///< above every budget

class ReceiveWindow {
 public:
  void open(SeqNum rcv_nxt, std::uint8_t shift) {
    edge_ = rcv_nxt;
    shift_ = shift & 0xfu;
  }
  /// At most this much is offered from now on; what was promised stays promised.
  void set_limit(std::uint32_t octets) { limit_ = std::min(octets, kNoWindowLimit) & kNoWindowLimit; }
  [[nodiscard]] std::uint32_t limit() const { return limit_; }
  /// The most that may ever be offered with this budget.
  [[nodiscard]] std::uint32_t most(std::uint32_t budget) const { return std::min<std::uint32_t>(budget, limit_); }
  /// The window field of a segment sent now. `scaled` is false on a SYN.
  std::uint16_t offer(SeqNum rcv_nxt, std::uint32_t budget, std::uint32_t mss, bool scaled = true) {
    const SeqNum target = rcv_nxt + SeqSpan{free_of(budget)};
    SeqNum edge = later_of(edge_, rcv_nxt);
    if (edge.precedes(target) && target.since(edge).octets >= std::min(most(budget) / 2, mss)) edge = target;
    const std::uint32_t shift = scaled ? shift_ : 0u;
    const auto field = static_cast<std::uint16_t>(std::min<std::uint32_t>(edge.since(rcv_nxt).octets >> shift, 0xffff));
    edge_ = later_of(edge_, rcv_nxt + SeqSpan{std::uint32_t{field} << shift});
    return field;
  }
  /// The window may grow by enough to tell the peer unasked.
  [[nodiscard]] bool update_due(SeqNum rcv_nxt, std::uint32_t budget, std::uint32_t mss) const {
    const SeqNum edge = later_of(edge_, rcv_nxt);
    const SeqNum target = rcv_nxt + SeqSpan{std::min(free_of(budget), std::uint32_t{0xffff} << shift_)};
    // A peer that has plenty of window left needs no segment of its own to learn of more (RFC 9293 s3.8.6.2.2 gives
    // the least step, not the best one): acknowledgements of what it sends tell it.
    const std::uint32_t whole = most(budget);
    const bool plenty = edge.since(rcv_nxt).octets >= whole / 2;
    return edge.precedes(target) && target.since(edge).octets >= (plenty ? whole / 4 : std::min(whole / 2, 2 * mss));
  }
  void delivered(std::uint32_t octets) { unconsumed_ += octets; }
  void consumed(std::uint32_t octets) { unconsumed_ -= std::min(octets, unconsumed_); }

  /// First sequence number that is not acceptable.
  [[nodiscard]] SeqNum edge() const { return edge_; }
  [[nodiscard]] std::uint32_t size(SeqNum rcv_nxt) const {
    return rcv_nxt.precedes(edge_) ? edge_.since(rcv_nxt).octets : 0;
  }
  [[nodiscard]] std::uint32_t unconsumed() const { return unconsumed_; }
  [[nodiscard]] std::uint8_t shift() const { return static_cast<std::uint8_t>(shift_); }

 private:
  [[nodiscard]] std::uint32_t free_of(std::uint32_t budget) const {
    return budget > unconsumed_ ? std::min<std::uint32_t>(budget - unconsumed_, limit_) : 0;
  }
  SeqNum edge_;
  std::uint32_t unconsumed_{};
  std::uint32_t limit_ : 28 {kNoWindowLimit};
  std::uint32_t shift_ : 4 {};  // 14 at most
};
static_assert(sizeof(ReceiveWindow) == 12);

class SendWindow {
 public:
  /// From a SYN: never scaled (RFC 7323 s2.2).
  void open(std::uint16_t field, std::uint8_t shift, SeqNum seq, SeqNum ack) {
    shift_ = shift;
    octets_ = max_octets_ = field;
    wl1_ = seq;
    wl2_ = ack;
  }
  /// From an acceptable segment whose ACK is at least una. `advanced`: the ACK is new.
  void update(std::uint16_t field, SeqNum seq, SeqNum ack, bool advanced) {
    const bool newer = advanced || wl1_.precedes(seq) || (wl1_ == seq && wl2_.at_most(ack));
    if (!newer) return;
    octets_ = std::uint32_t{field} << shift_;
    max_octets_ = std::max(max_octets_, octets_);
    wl1_ = seq;
    wl2_ = ack;
  }
  [[nodiscard]] std::uint32_t octets() const { return octets_; }
  [[nodiscard]] std::uint32_t max_octets() const { return max_octets_; }
  [[nodiscard]] std::uint8_t shift() const { return shift_; }

 private:
  std::uint32_t octets_{};
  std::uint32_t max_octets_{};
  SeqNum wl1_;
  SeqNum wl2_;
  std::uint8_t shift_{};
};
static_assert(sizeof(SendWindow) == 20);

}  // namespace penstock::tcp
