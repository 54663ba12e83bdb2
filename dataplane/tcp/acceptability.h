// acceptability.h - is a segment within the receive window, and which part of it is new (RFC 9293 s3.10.7.4).
//
// Model     pure functions of sequence numbers.
// Units     octets of sequence space.
// Errors    none.
#pragma once
#include "dataplane/core/seq_num.h"

namespace penstock::tcp {

/// The table in s3.10.7.4, with its "special allowance" made general: a segment that begins anywhere in
/// [rcv_nxt, edge] is acceptable, so an acknowledgement from a peer that has filled the window, and one that comes
/// with data ahead of a closed window, still count. The payload beyond the edge is cut by trim().
[[nodiscard]] constexpr bool is_acceptable(SeqNum seq, SeqSpan span, SeqNum rcv_nxt, SeqNum edge) {
  if (rcv_nxt.at_most(seq)) return seq.at_most(later_of(edge, rcv_nxt));
  return rcv_nxt.precedes(seq + span);  // begins before: something of it must be new
}

/// The part of a segment's payload inside [rcv_nxt, edge).
struct Trimmed {
  SeqNum seq;
  std::uint32_t front{};  ///< octets cut off in front: old data
  std::uint32_t octets{};
  bool fin{};  ///< the FIN is still there
};
[[nodiscard]] constexpr Trimmed trim(SeqNum seq, std::uint32_t octets, bool fin, SeqNum rcv_nxt, SeqNum edge) {
  Trimmed out{seq, 0, octets, fin};
  if (seq.precedes(rcv_nxt)) {
    const std::uint32_t old = rcv_nxt.since(seq).octets;
    out.front = old < octets ? old : octets;
    if (old > octets) out.fin = false;  // the FIN itself is old
    out.seq = rcv_nxt;
    out.octets = octets - out.front;
  }
  const SeqNum end = out.seq + SeqSpan{out.octets};
  if (edge.precedes(end)) {
    const std::uint32_t beyond = end.since(edge).octets;
    out.octets = beyond < out.octets ? out.octets - beyond : 0;
    out.fin = false;
  } else if (end == edge) {
    out.fin = false;  // the FIN's own number is outside
  }
  return out;
}

}  // namespace penstock::tcp
