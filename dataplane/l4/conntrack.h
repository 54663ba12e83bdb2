// conntrack.h - what a segment or datagram does to the state of its flow.
//
// Model     a rule table over control::FlowState; the packet is an event made of its TCP flags and its direction.
//           This follows the end hosts, it does not police them: windows and sequence numbers are theirs.
// Rules     RFC 9293 s3.3.2 seen from the middle. A SYN on a flow that is over starts a new flow. A RST only
//           shortens the timeout, because it may be forged (RFC 5961 s3): later segments from downstream keep the flow
//           and one from the endpoint revives it. Before the endpoint's SYN-ACK it changes nothing: it answers a
//           challenge, and the SYN that follows belongs to the same flow (and source port).
// Errors    TCP events on a UDP flow and the reverse have no rule: FlowAction::refuse.
// Not here  flow storage and timers (dataplane/flow).
#pragma once
#include <cstdint>

#include "dataplane/control/flow_layout.h"
#include "dataplane/control/snapshot_layout.h"
#include "dataplane/wire/packet_info.h"

namespace penstock::l4 {

using control::FlowState;

enum class FlowEvent : std::uint8_t {
  forward_syn,      ///< from downstream: SYN without ACK
  forward_syn_ack,  ///< SYN with ACK
  forward_segment,  ///< neither SYN, FIN nor RST
  forward_fin,      ///< FIN
  forward_rst,      ///< RST, whatever else is set
  reverse_syn,      ///< from the endpoint
  reverse_syn_ack,
  reverse_segment,
  reverse_fin,
  reverse_rst,
  forward_datagram,  ///< UDP
  reverse_datagram,
  count
};
inline constexpr std::size_t kFlowEventCount = static_cast<std::size_t>(FlowEvent::count);
inline constexpr std::size_t kFlowStateCount = static_cast<std::size_t>(FlowState::count);

enum class FlowAction : std::uint8_t {
  refresh,  ///< forward it; the idle time starts anew
  hold,     ///< forward it; the idle time goes on, so strays and retries keep nothing alive
  restart,  ///< it begins a new connection on these addresses: release this flow and treat it as a flow's first
  refuse    ///< no such pair; drop it
};

struct FlowTransition {
  FlowState to;
  FlowAction action;
  friend constexpr bool operator==(FlowTransition, FlowTransition) = default;
};

/// The event that a packet of kind `transport` is. `reverse`: it matched the endpoint's direction.
[[nodiscard]] FlowEvent event_of(const wire::PacketInfo& info, bool reverse);

/// What `event` does to a flow in `state`. Total: every pair has an answer.
[[nodiscard]] FlowTransition transition(FlowState state, FlowEvent event);

/// True for a packet that may begin a flow: a datagram, or a SYN with neither ACK, FIN nor RST.
[[nodiscard]] inline bool opens_flow(const wire::PacketInfo& info) {
  constexpr auto kMask = static_cast<std::uint8_t>(wire::kTcpSyn | wire::kTcpAck | wire::kTcpFin | wire::kTcpRst);
  return info.proto == IpProto::udp || (info.tcp_flags & kMask) == wire::kTcpSyn;
}

/// State of a flow after its first packet.
[[nodiscard]] inline FlowState first_state(IpProto proto) {
  return proto == IpProto::tcp ? FlowState::syn_sent : FlowState::udp_unreplied;
}

/// How long a flow in `state` may be idle, milliseconds; 0 for `free`.
[[nodiscard]] std::uint32_t idle_timeout_ms(FlowState state, const control::NodeRecord& node);

[[nodiscard]] const char* name_of(FlowEvent event);
[[nodiscard]] const char* name_of(FlowAction action);

}  // namespace penstock::l4
