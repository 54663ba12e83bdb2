// rewrite.h - turn a received frame into the one that goes to the other side of its flow, in place.
//
// Model     the translation of a direction is its partner's key reversed (control/flow_layout.h): out.src =
//           partner.dst, out.dst = partner.src, ports alike. Both keys are of one family.
// Checksums IPv4 header and transport checksum are updated, not recomputed (RFC 1624), so damage on the way in
//           stays visible at the end. Exception: a transport checksum that is only the pseudo-header sum (partial,
//           left by a local kernel for a device to finish) is computed in full.
// Errors    on any DropReason but `none` the frame is unchanged.
// Not here  which flow (dataplane/flow), MTU test and answer (icmp.h), counters (worker).
#pragma once
#include "dataplane/control/flow_layout.h"
#include "dataplane/control/next_hop.h"
#include "dataplane/core/frame.h"
#include "dataplane/wire/packet_info.h"

namespace penstock::l4 {

/// Link layer of an outgoing frame.
struct Link {
  MacAddress destination;
  MacAddress source;
  std::uint16_t vlan_tci{};  ///< host order; 0 = untagged. Tags are written as 802.1Q (0x8100)
};
[[nodiscard]] inline Link link_of(const control::NextHop& hop) { return {hop.destination, hop.source, hop.vlan_tci}; }
/// Towards downstream: what `reverse` remembered of the first frame; `port_mac` is the outgoing port's own address.
[[nodiscard]] inline Link link_of(const control::FlowDirection& reverse, const MacAddress& port_mac) {
  return {reverse.next_mac, port_mac, reverse.vlan_tci};
}

/// The l4_delta of packets received in direction `in`, whose partner is `partner`.
[[nodiscard]] std::uint16_t compute_delta(const control::FlowDirection& in, const control::FlowDirection& partner);

struct Rewritten {
  DropReason reason{DropReason::none};  ///< none, ttl_expired or no_headroom
  bool checksum_completed{};            ///< a partial checksum was computed in full
};

/// Rewrites `frame`, which `info` describes (kind transport) and which matched `in`. Afterwards `info` no longer
/// describes it. The frame's port is left to the caller.
[[nodiscard]] Rewritten rewrite(Frame& frame, const wire::PacketInfo& info, const control::FlowDirection& in,
                                const control::FlowDirection& partner, const Link& link);

/// Only the link layer: MAC addresses and the VLAN tag. False when there is no headroom; nothing is changed then.
[[nodiscard]] bool rewrite_link(Frame& frame, bool tagged_now, const Link& link);

}  // namespace penstock::l4
