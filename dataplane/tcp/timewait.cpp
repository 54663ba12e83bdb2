#include "dataplane/tcp/timewait.h"

#include "dataplane/tcp/stamp.h"

namespace penstock::tcp {
namespace {

// Replies to segments without data are limited to one in this time, so that two ends cannot echo each other.
constexpr std::int32_t kReplyIntervalMs = 500;

bool timestamp_is_old(const TimeWait& record, const SegmentIn& segment) {
  return record.timestamps != 0 && segment.options.has_timestamps &&
         static_cast<std::int32_t>(segment.options.ts_value - record.ts_recent) < 0;
}

/// RFC 6191 s2: a later timestamp, or a later sequence number, cannot be the old connection's.
bool starts_anew(const TimeWait& record, const SegmentIn& segment) {
  if (record.timestamps != 0 && segment.options.has_timestamps)
    return static_cast<std::int32_t>(segment.options.ts_value - record.ts_recent) > 0 ||
           (segment.options.ts_value == record.ts_recent && record.rcv_nxt.precedes(segment.seq));
  return record.rcv_nxt.precedes(segment.seq);
}

}  // namespace

TimeWaitVerdict receive(TimeWait& record, const SegmentIn& segment, Instant now) {
  if (segment.is(kTcpRst)) return TimeWaitVerdict::ignore;  // RFC 1337
  if (segment.is(kTcpSyn) && !segment.is(kTcpAck) && starts_anew(record, segment)) return TimeWaitVerdict::reuse;
  if (segment.is(kTcpFin) && !timestamp_is_old(record, segment) && segment.end() == record.rcv_nxt) {
    record.until = CoarseMs{CoarseMs::of(now).ms + record.lifetime_ms};  // the last ACK was lost
    return TimeWaitVerdict::reply;
  }
  if (segment.span().octets == 0 && segment.seq == record.rcv_nxt && !timestamp_is_old(record, segment))
    return TimeWaitVerdict::ignore;  // an ordinary old ACK
  const CoarseMs stamp = CoarseMs::of(now);
  if (record.replied != 0 && stamp.since(record.last_reply) < kReplyIntervalMs) return TimeWaitVerdict::ignore;
  record.replied = 1;
  record.last_reply = stamp;
  return TimeWaitVerdict::reply;
}

SegmentOut time_wait_ack(const TimeWait& record, Instant now) {
  SegmentOut out;
  out.seq = record.snd_nxt;
  out.ack = record.rcv_nxt;
  out.flags = kTcpAck;
  out.window = record.window;
  Options options;
  options.has_timestamps = record.timestamps != 0;
  options.ts_value = milliseconds_of(now) + record.ts_offset;
  options.ts_echo = record.ts_recent;
  out.options = write_options(options);
  return out;
}

}  // namespace penstock::tcp
