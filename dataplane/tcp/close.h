// close.h - the states of a connection, and its orderly close as a table (RFC 9293 s3.3.2 figure 5, s3.6).
//
// Model     the table decides, the engine acts. A segment that both acknowledges our FIN and carries one is two
//           events, the acknowledgement first. Resets are decided earlier.
// Errors    a pair without a rule does not move: rule_for() gives nullptr.
#pragma once
#include <array>
#include <cstdint>

namespace penstock::tcp {

enum class State : std::uint8_t {
  closed,
  syn_sent,
  syn_received,
  established,
  fin_wait_1,
  fin_wait_2,
  closing,
  time_wait,
  close_wait,
  last_ack,
};
inline constexpr std::size_t kStateCount = 10;

enum class CloseEvent : std::uint8_t { fin_queued, fin_received, fin_acked };
enum class CloseReply : std::uint8_t { nothing, send_ack };

struct CloseRule {
  State from;
  CloseEvent on;
  State to;
  CloseReply reply;
};
inline constexpr std::array kCloseRules{
    CloseRule{State::established, CloseEvent::fin_queued, State::fin_wait_1, CloseReply::nothing},
    CloseRule{State::established, CloseEvent::fin_received, State::close_wait, CloseReply::send_ack},
    CloseRule{State::fin_wait_1, CloseEvent::fin_acked, State::fin_wait_2, CloseReply::nothing},
    CloseRule{State::fin_wait_1, CloseEvent::fin_received, State::closing, CloseReply::send_ack},
    CloseRule{State::fin_wait_2, CloseEvent::fin_received, State::time_wait, CloseReply::send_ack},
    CloseRule{State::closing, CloseEvent::fin_acked, State::time_wait, CloseReply::nothing},
    CloseRule{State::close_wait, CloseEvent::fin_queued, State::last_ack, CloseReply::nothing},
    CloseRule{State::last_ack, CloseEvent::fin_acked, State::closed, CloseReply::nothing},
};

/// The rule for this pair; nullptr if the event cannot move this state.
[[nodiscard]] constexpr const CloseRule* rule_for(State state, CloseEvent event) {
  for (const CloseRule& rule : kCloseRules)
    if (rule.from == state && rule.on == event) return &rule;
  return nullptr;
}

/// The peer's FIN has arrived.
[[nodiscard]] constexpr bool peer_has_closed(State state) {
  return state == State::close_wait || state == State::last_ack || state == State::closing || state == State::time_wait;
}
/// Our FIN has been queued.
[[nodiscard]] constexpr bool we_have_closed(State state) {
  return state == State::fin_wait_1 || state == State::fin_wait_2 || state == State::closing ||
         state == State::last_ack || state == State::time_wait;
}
[[nodiscard]] constexpr bool is_synchronized(State state) { return state >= State::established; }

}  // namespace penstock::tcp
