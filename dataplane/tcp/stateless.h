// stateless.h - answers to segments that belong to no connection (RFC 9293 s3.10.7.1).
//
// Model     a reset gets nothing; anything else gets a reset that its sender can accept. A listener is more patient
//           (s3.10.7.2): what acknowledges nothing may be ahead of its SYN, and is dropped.
// Errors    none.
#pragma once
#include <optional>

#include "dataplane/tcp/segment.h"

namespace penstock::tcp {

[[nodiscard]] inline std::optional<SegmentOut> reset_for(const SegmentIn& segment) {
  if (segment.is(kTcpRst)) return std::nullopt;
  SegmentOut out;
  if (segment.is(kTcpAck)) {
    out.seq = segment.ack;
    out.flags = kTcpRst;
  } else {
    out.ack = segment.end();
    out.flags = kTcpRst | kTcpAck;
  }
  return out;
}

/// For a segment on a port that is listened on, which neither opens a connection nor belongs to one.
[[nodiscard]] inline std::optional<SegmentOut> listener_reset_for(const SegmentIn& segment) {
  if (!segment.is(kTcpAck)) return std::nullopt;
  return reset_for(segment);
}

/// A SYN that asks for a connection and nothing else.
[[nodiscard]] inline bool opens_connection(const SegmentIn& segment) {
  return segment.is(kTcpSyn) && !segment.is(kTcpAck) && !segment.is(kTcpRst) && !segment.is(kTcpFin);
}

}  // namespace penstock::tcp
