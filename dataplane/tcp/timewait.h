// timewait.h - what is left of a connection that closed first (RFC 9293 s3.3.3, RFC 1337, RFC 6191).
//
// Model     answers old segments, ignores resets, and says when a SYN may start a new connection on the same ports.
//           Times out by a wrapping millisecond stamp, right across the wrap.
// Shape     32 octets, in a table of its own.
// Errors    none.
#pragma once
#include "dataplane/core/clock.h"
#include "dataplane/tcp/segment.h"

namespace penstock::tcp {

struct TimeWait {
  SeqNum snd_nxt;
  SeqNum rcv_nxt;
  std::uint32_t ts_recent{};
  std::uint32_t ts_offset{};
  CoarseMs until{};
  CoarseMs last_reply{};
  std::uint16_t window{};
  std::uint8_t timestamps{};
  std::uint8_t replied{};
  std::uint32_t lifetime_ms{};

  [[nodiscard]] bool expired(Instant now) const { return CoarseMs::of(now).since(until) >= 0; }
};
static_assert(sizeof(TimeWait) == 32);

enum class TimeWaitVerdict : std::uint8_t {
  ignore,
  reply,  ///< send time_wait_ack()
  reuse   ///< a SYN that starts a new connection: drop the record and accept it
};
[[nodiscard]] TimeWaitVerdict receive(TimeWait& record, const SegmentIn& segment, Instant now);
[[nodiscard]] SegmentOut time_wait_ack(const TimeWait& record, Instant now);

}  // namespace penstock::tcp
