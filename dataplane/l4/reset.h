// reset.h - the RST that a TCP segment of no known connection earns, in place.
//
// Model     RFC 9293 s3.10.7.1 (state CLOSED): with ACK: <SEQ=SEG.ACK><CTL=RST>; without: <SEQ=0>
//           <ACK=SEG.SEQ+SEG.LEN><CTL=RST,ACK>. It leaves by the port that the segment came in on.
// Errors    no_flow when nothing may be answered: the segment is a RST itself, or comes from or went to a group or
//           unspecified address. The frame is unchanged then.
// Not here  how many are sent per second (worker).
#pragma once
#include "dataplane/core/frame.h"
#include "dataplane/wire/packet_info.h"

namespace penstock::l4 {

[[nodiscard]] DropReason make_reset(Frame& frame, const wire::PacketInfo& info);

}  // namespace penstock::l4
