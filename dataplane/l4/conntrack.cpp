#include "dataplane/l4/conntrack.h"

#include <array>

namespace penstock::l4 {
namespace {

// Not `using enum` for both: FlowState and FlowEvent have a `count` each.
using FlowState::closing, FlowState::established, FlowState::fin_forward, FlowState::fin_reverse, FlowState::reset,
    FlowState::syn_received, FlowState::syn_sent, FlowState::udp_stream, FlowState::udp_unreplied;
using enum FlowEvent;
using enum FlowAction;

struct Rule {
  FlowState from;
  FlowEvent on;
  FlowState to;
  FlowAction action;
};

// Pairs that are not here: `hold` without a change for a TCP event on a TCP flow, `refuse` for the rest.
constexpr std::array kRules{
    // A retransmitted SYN keeps the flow; the endpoint's SYN-ACK retries alone do not, so a flood of SYNs from
    // forged sources is gone after one tcp_syn timeout.
    Rule{syn_sent, forward_syn, syn_sent, refresh},
    Rule{syn_sent, reverse_syn_ack, syn_received, refresh},
    // forward_rst: no rule. An endpoint that still holds an older connection of this source port, in TIME_WAIT say,
    // answers a SYN with an ACK; the client's RST clears that, and its next SYN must meet the same port.
    Rule{syn_sent, reverse_rst, reset, hold},

    Rule{syn_received, forward_syn, syn_received, refresh},
    Rule{syn_received, forward_segment, established, refresh},
    Rule{syn_received, forward_fin, fin_forward, refresh},
    Rule{syn_received, reverse_fin, fin_reverse, refresh},
    Rule{syn_received, forward_rst, reset, hold},
    Rule{syn_received, reverse_rst, reset, hold},

    // A SYN here is answered by the endpoint with a challenge ACK (RFC 5961 s4): passed on, but it changes nothing.
    Rule{established, forward_segment, established, refresh},
    Rule{established, reverse_segment, established, refresh},
    Rule{established, forward_fin, fin_forward, refresh},
    Rule{established, reverse_fin, fin_reverse, refresh},
    Rule{established, forward_rst, reset, hold},
    Rule{established, reverse_rst, reset, hold},

    // Half closed: the other side may go on sending for long, and its segments keep the flow.
    Rule{fin_forward, forward_segment, fin_forward, refresh},
    Rule{fin_forward, reverse_segment, fin_forward, refresh},
    Rule{fin_forward, forward_fin, fin_forward, refresh},
    Rule{fin_forward, reverse_fin, closing, refresh},
    Rule{fin_forward, forward_rst, reset, hold},
    Rule{fin_forward, reverse_rst, reset, hold},
    Rule{fin_reverse, forward_segment, fin_reverse, refresh},
    Rule{fin_reverse, reverse_segment, fin_reverse, refresh},
    Rule{fin_reverse, forward_fin, closing, refresh},
    Rule{fin_reverse, reverse_fin, fin_reverse, refresh},
    Rule{fin_reverse, forward_rst, reset, hold},
    Rule{fin_reverse, reverse_rst, reset, hold},

    // Both FINs seen; data that was lost on the way may still be retransmitted.
    Rule{closing, forward_syn, closing, restart},
    Rule{closing, forward_segment, closing, refresh},
    Rule{closing, reverse_segment, closing, refresh},
    Rule{closing, forward_fin, closing, refresh},
    Rule{closing, reverse_fin, closing, refresh},
    Rule{closing, forward_rst, reset, hold},
    Rule{closing, reverse_rst, reset, hold},

    // The RST may have been forged: while downstream still talks the flow stays, and an answer of the endpoint brings
    // it back. Downstream alone does not: SYN, RST, ACK from a forged source would last for tcp_established.
    Rule{reset, forward_syn, reset, restart},
    Rule{reset, reverse_syn_ack, syn_received, refresh},
    Rule{reset, forward_segment, reset, refresh},
    Rule{reset, reverse_segment, established, refresh},
    Rule{reset, forward_fin, fin_forward, refresh},
    Rule{reset, reverse_fin, fin_reverse, refresh},

    Rule{udp_unreplied, forward_datagram, udp_unreplied, refresh},
    Rule{udp_unreplied, reverse_datagram, udp_stream, refresh},
    Rule{udp_stream, forward_datagram, udp_stream, refresh},
    Rule{udp_stream, reverse_datagram, udp_stream, refresh},
};

constexpr bool is_tcp(FlowState state) { return state >= syn_sent && state <= reset; }
constexpr bool is_tcp(FlowEvent event) { return event <= reverse_rst; }

using Table = std::array<std::array<FlowTransition, kFlowEventCount>, kFlowStateCount>;
constexpr Table make_table() {
  Table table{};
  for (std::size_t s = 0; s < kFlowStateCount; ++s)
    for (std::size_t e = 0; e < kFlowEventCount; ++e) {
      const bool both_tcp = is_tcp(static_cast<FlowState>(s)) && is_tcp(static_cast<FlowEvent>(e));
      table[s][e] = {static_cast<FlowState>(s), both_tcp ? hold : refuse};
    }
  for (const Rule& rule : kRules)
    table[static_cast<std::size_t>(rule.from)][static_cast<std::size_t>(rule.on)] = {rule.to, rule.action};
  return table;
}
constexpr Table kTable = make_table();

}  // namespace

FlowEvent event_of(const wire::PacketInfo& info, bool reverse) {
  if (info.proto == IpProto::udp) return reverse ? reverse_datagram : forward_datagram;
  const std::uint8_t flags = info.tcp_flags;
  FlowEvent forward = forward_segment;
  if ((flags & wire::kTcpRst) != 0)
    forward = forward_rst;
  else if ((flags & wire::kTcpSyn) != 0)
    forward = (flags & wire::kTcpAck) != 0 ? forward_syn_ack : forward_syn;
  else if ((flags & wire::kTcpFin) != 0)
    forward = forward_fin;
  constexpr auto kToReverse = static_cast<unsigned>(reverse_syn) - static_cast<unsigned>(forward_syn);
  return static_cast<FlowEvent>(static_cast<unsigned>(forward) + (reverse ? kToReverse : 0));
}

FlowTransition transition(FlowState state, FlowEvent event) {
  require(state < FlowState::count && event < count, "flow state or event out of range");
  return kTable[static_cast<std::size_t>(state)][static_cast<std::size_t>(event)];
}

std::uint32_t idle_timeout_ms(FlowState state, const control::NodeRecord& node) {
  switch (state) {
    case syn_sent:
    case syn_received:
      return node.tcp_syn_ms;
    case established:
      return node.tcp_established_ms;
    case fin_forward:
    case fin_reverse:
      return node.tcp_fin_ms;
    case closing:
    case reset:
      return node.tcp_closed_ms;
    case udp_unreplied:
      return node.udp_unreplied_ms;
    case udp_stream:
      return node.udp_stream_ms;
    case FlowState::free:
    case FlowState::count:
      break;
  }
  return 0;
}

const char* name_of(FlowEvent event) {
  constexpr std::array kNames{"forward_syn", "forward_syn_ack", "forward_segment",  "forward_fin",
                              "forward_rst", "reverse_syn",     "reverse_syn_ack",  "reverse_segment",
                              "reverse_fin", "reverse_rst",     "forward_datagram", "reverse_datagram"};
  static_assert(kNames.size() == kFlowEventCount);
  return kNames[static_cast<std::size_t>(event)];
}

const char* name_of(FlowAction action) {
  constexpr std::array kNames{"refresh", "hold", "restart", "refuse"};
  return kNames[static_cast<std::size_t>(action)];
}

}  // namespace penstock::l4
