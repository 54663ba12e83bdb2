// undo.h - whether the last reduction of the congestion window was needless (after RFC 3708 s3).
//
// Model     what is sent again since the reduction is counted; each segment of it that the peer reports as a duplicate
//           (DSACK, RFC 2883) had not been lost. When all of them are reported, nothing was: the network had only
//           reordered or delayed.
//
//               idle --begin()--> counting --duplicate(), count falls to 0--> idle, "needless"
//                                    '--begin(): another reduction, forget(): a loss that is certain
//
// Units     segments; sequence numbers.
// Shape     8 octets.
// Errors    none: too many repetitions to count, and the reduction stays.
// Not here  giving the window back (congestion.h).
#pragma once
#include <cstdint>

#include "dataplane/tcp/options.h"

namespace penstock::tcp {

class Undo {
 public:
  /// The window is reduced; nothing before `una` is sent again because of it.
  void begin(SeqNum una) {
    from_ = una;
    repeated_ = 0;
    counting_ = true;
  }
  void forget() { counting_ = false; }
  /// A segment was sent again.
  void repeated() {
    if (repeated_ < 0xffff)
      ++repeated_;
    else
      counting_ = false;
  }
  /// The peer has got `range` twice; true when it was the last repetition that could have been needed.
  [[nodiscard]] bool duplicate(SackBlock range, std::uint32_t mss) {
    if (!counting_ || repeated_ == 0 || range.start.precedes(from_)) return false;
    const std::uint32_t segments = (range.end.since(range.start).octets + mss - 1) / mss;
    repeated_ = segments < repeated_ ? static_cast<std::uint16_t>(repeated_ - segments) : std::uint16_t{0};
    if (repeated_ > 0) return false;
    counting_ = false;
    return true;
  }

 private:
  SeqNum from_;
  std::uint16_t repeated_{};
  bool counting_{};
};
static_assert(sizeof(Undo) == 8);

}  // namespace penstock::tcp
