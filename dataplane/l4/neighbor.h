// neighbor.h - answers to "who has this address", in place.
//
// Model     the caller has decided that the address asked for (PacketInfo::dst) is served here; these functions
//           turn the question into the answer, to leave by the port that it came in on.
// RFCs      826 and 5227 (ARP), 4861 s7.1.1 and s7.2.4 (neighbour solicitation and advertisement), 4862 s5.4 (a
//           solicitation from :: is somebody's duplicate address detection and is answered to all nodes).
// Errors    neighbor_invalid for messages that those RFCs tell to discard; the frame is unchanged then.
#pragma once
#include "dataplane/core/frame.h"
#include "dataplane/wire/packet_info.h"

namespace penstock::l4 {

/// Turns an ARP request into the reply "info.dst is at `ours`". An announcement (sender asks for its own
/// address) is nobody's question: neighbor_invalid.
[[nodiscard]] DropReason make_arp_reply(Frame& frame, const wire::PacketInfo& info, const MacAddress& ours);

/// Turns a neighbour solicitation into the advertisement "info.dst is at `ours`" (override; solicited unless it
/// answers duplicate address detection).
[[nodiscard]] DropReason make_neighbor_advertisement(Frame& frame, const wire::PacketInfo& info,
                                                     const MacAddress& ours);

/// The two above, chosen by info.kind.
[[nodiscard]] DropReason answer_neighbor(Frame& frame, const wire::PacketInfo& info, const MacAddress& ours);

}  // namespace penstock::l4
