#include "dataplane/l4/conntrack.h"

#include <gtest/gtest.h>

#include <array>
#include <string>

#include "dataplane/control/snapshot_layout.h"
#include "tests/support/packet_builder.h"

namespace penstock::l4 {
namespace {

// Every state x event pair, reviewed by hand against RFC 9293 s3.3.2 and the rules at the top of conntrack.h.
// Columns: forward SYN, SYN-ACK, segment, FIN, RST; the same from the endpoint; datagram forward, reverse.
// A cell is the next state; suffix ! = refresh, nothing = hold, ~ = restart; "-" = refuse.
constexpr const char* kReviewed = R"(
free           -        -    -     -     -    |  -    -      -     -     -    |  -    -
syn_sent       syn!     syn  syn   syn   syn  |  syn  rcvd!  syn   syn   rst  |  -    -
syn_received   rcvd!    rcvd est!  finf! rst  |  rcvd rcvd   rcvd  finr! rst  |  -    -
established    est      est  est!  finf! rst  |  est  est    est!  finr! rst  |  -    -
fin_forward    finf     finf finf! finf! rst  |  finf finf   finf! clo!  rst  |  -    -
fin_reverse    finr     finr finr! clo!  rst  |  finr finr   finr! finr! rst  |  -    -
closing        clo~     clo  clo!  clo!  rst  |  clo  clo    clo!  clo!  rst  |  -    -
reset          rst~     rst  rst!  finf! rst  |  rst  rcvd!  est!  finr! rst  |  -    -
udp_unreplied  -        -    -     -     -    |  -    -      -     -     -    |  new! str!
udp_stream     -        -    -     -     -    |  -    -      -     -     -    |  str! str!
)";

const char* short_name(FlowState state) {
  constexpr const char* kNames[] = {"free", "syn", "rcvd", "est", "finf", "finr", "clo", "rst", "new", "str"};
  return kNames[static_cast<std::size_t>(state)];
}

std::string cell(FlowState state, FlowEvent event) {
  const FlowTransition next = transition(state, event);
  switch (next.action) {
    case FlowAction::refresh:
      return std::string{short_name(next.to)} + "!";
    case FlowAction::hold:
      return short_name(next.to);
    case FlowAction::restart:
      return std::string{short_name(next.to)} + "~";
    case FlowAction::refuse:
      return "-";
  }
  return "?";
}

std::string words(const std::string& text) {
  std::string out;
  bool gap = false;
  for (const char c : text) {
    if (c == ' ' || c == '|') {
      gap = true;
      continue;
    }
    if (gap && !out.empty() && out.back() != '\n') out += ' ';
    gap = false;
    out += c;
  }
  return out;
}

TEST(Conntrack, every_pair_of_state_and_event_is_as_reviewed) {
  std::string printed = "\n";
  for (std::size_t s = 0; s < kFlowStateCount; ++s) {
    const auto state = static_cast<FlowState>(s);
    printed += name_of(state);
    for (std::size_t e = 0; e < kFlowEventCount; ++e) printed += " " + cell(state, static_cast<FlowEvent>(e));
    printed += "\n";
  }
  EXPECT_EQ(printed, words(kReviewed));
}

/// Runs events from the first packet of a flow and returns the state.
FlowState after(std::initializer_list<FlowEvent> events) {
  FlowState state = FlowState::syn_sent;
  for (const FlowEvent event : events) state = transition(state, event).to;
  return state;
}

TEST(Conntrack, an_ordinary_connection_opens_and_closes) {
  using enum FlowEvent;
  EXPECT_EQ(after({reverse_syn_ack}), FlowState::syn_received);
  EXPECT_EQ(after({reverse_syn_ack, forward_segment}), FlowState::established);
  EXPECT_EQ(after({reverse_syn_ack, forward_segment, forward_fin}), FlowState::fin_forward);
  EXPECT_EQ(after({reverse_syn_ack, forward_segment, forward_fin, reverse_segment, reverse_fin, forward_segment}),
            FlowState::closing);
}

TEST(Conntrack, a_simultaneous_close_ends_in_closing) {
  using enum FlowEvent;
  EXPECT_EQ(after({reverse_syn_ack, forward_segment, reverse_fin, forward_fin, reverse_segment, forward_segment}),
            FlowState::closing);
}

TEST(Conntrack, a_forged_reset_does_not_end_a_connection_that_goes_on) {
  using enum FlowEvent;
  EXPECT_EQ(after({reverse_syn_ack, forward_segment, forward_rst}), FlowState::reset);
  EXPECT_EQ(after({reverse_syn_ack, forward_segment, reverse_rst, forward_segment}), FlowState::reset);
  EXPECT_EQ(transition(FlowState::reset, forward_segment).action, FlowAction::refresh);
  EXPECT_EQ(after({reverse_syn_ack, forward_segment, reverse_rst, forward_segment, reverse_segment}),
            FlowState::established);
  EXPECT_EQ(after({forward_rst, reverse_syn_ack, forward_segment}), FlowState::established);
}

TEST(Conntrack, a_challenged_syn_is_reset_and_sent_again_on_the_same_flow) {
  using enum FlowEvent;
  // The ACK comes from the endpoint's older connection (RFC 9293 s3.10.7.4); the client's RST is the answer to it.
  EXPECT_EQ(after({reverse_segment, forward_rst}), FlowState::syn_sent);
  EXPECT_EQ(transition(FlowState::syn_sent, forward_rst).action, FlowAction::hold);
  EXPECT_EQ(transition(FlowState::syn_sent, forward_syn).action, FlowAction::refresh);
  EXPECT_EQ(after({reverse_segment, forward_rst, forward_syn, reverse_syn_ack, forward_segment}),
            FlowState::established);
}

TEST(Conntrack, downstream_alone_never_makes_a_connection_established) {
  // Whatever forged segments say: without a word from the endpoint the long timeout is out of reach.
  std::array<bool, kFlowStateCount> reached{};
  reached[static_cast<std::size_t>(FlowState::syn_sent)] = true;
  for (std::size_t round = 0; round < kFlowStateCount; ++round)
    for (std::size_t s = 0; s < kFlowStateCount; ++s)
      for (std::size_t e = 0; reached[s] && e <= static_cast<std::size_t>(FlowEvent::forward_rst); ++e)
        reached[static_cast<std::size_t>(transition(static_cast<FlowState>(s), static_cast<FlowEvent>(e)).to)] = true;
  EXPECT_FALSE(reached[static_cast<std::size_t>(FlowState::established)]);
}

TEST(Conntrack, a_new_syn_restarts_only_a_flow_that_is_over) {
  for (const FlowState state : {FlowState::closing, FlowState::reset})
    EXPECT_EQ(transition(state, FlowEvent::forward_syn).action, FlowAction::restart);
  for (const FlowState state : {FlowState::established, FlowState::fin_forward, FlowState::fin_reverse})
    EXPECT_EQ(transition(state, FlowEvent::forward_syn), (FlowTransition{state, FlowAction::hold}));
}

TEST(Conntrack, resets_never_lengthen_a_flow) {
  for (std::size_t s = 0; s < kFlowStateCount; ++s)
    for (const FlowEvent event : {FlowEvent::forward_rst, FlowEvent::reverse_rst})
      EXPECT_NE(transition(static_cast<FlowState>(s), event).action, FlowAction::refresh) << s;
}

wire::PacketInfo info_of(const char* flags) {
  return *wire::parse_packet(test::PacketBuilder{}.ipv4("10.0.0.1", "10.0.0.2").tcp(1, 2, flags).build());
}

TEST(Conntrack, reads_the_event_from_flags_and_direction) {
  using enum FlowEvent;
  EXPECT_EQ(event_of(info_of("S"), false), forward_syn);
  EXPECT_EQ(event_of(info_of("SEC"), false), forward_syn);
  EXPECT_EQ(event_of(info_of("SA"), true), reverse_syn_ack);
  EXPECT_EQ(event_of(info_of("SA"), false), forward_syn_ack);
  EXPECT_EQ(event_of(info_of("S"), true), reverse_syn);
  EXPECT_EQ(event_of(info_of("A"), false), forward_segment);
  EXPECT_EQ(event_of(info_of("PA"), true), reverse_segment);
  EXPECT_EQ(event_of(info_of("FA"), false), forward_fin);
  EXPECT_EQ(event_of(info_of("FPA"), true), reverse_fin);
  EXPECT_EQ(event_of(info_of("R"), false), forward_rst);
  EXPECT_EQ(event_of(info_of("RSFA"), true), reverse_rst);
  EXPECT_EQ(event_of(info_of(""), false), forward_segment);
  const auto datagram = *wire::parse_packet(test::PacketBuilder{}.ipv4("10.0.0.1", "10.0.0.2").udp(1, 2).build());
  EXPECT_EQ(event_of(datagram, false), forward_datagram);
  EXPECT_EQ(event_of(datagram, true), reverse_datagram);
}

TEST(Conntrack, only_a_plain_syn_or_a_datagram_opens_a_flow) {
  EXPECT_TRUE(opens_flow(info_of("S")));
  EXPECT_TRUE(opens_flow(info_of("SEC")));
  for (const char* flags : {"", "A", "SA", "SF", "SR", "F", "R", "RA"})
    EXPECT_FALSE(opens_flow(info_of(flags))) << flags;
  EXPECT_TRUE(opens_flow(*wire::parse_packet(test::PacketBuilder{}.ipv4("10.0.0.1", "10.0.0.2").udp(1, 2).build())));
}

TEST(Conntrack, every_state_has_its_own_idle_time) {
  control::NodeRecord node{};
  node.tcp_syn_ms = 1;
  node.tcp_established_ms = 2;
  node.tcp_fin_ms = 3;
  node.tcp_closed_ms = 4;
  node.udp_unreplied_ms = 5;
  node.udp_stream_ms = 6;
  const std::uint32_t expected[] = {0, 1, 1, 2, 3, 3, 4, 4, 5, 6};
  for (std::size_t s = 0; s < kFlowStateCount; ++s)
    EXPECT_EQ(idle_timeout_ms(static_cast<FlowState>(s), node), expected[s]) << name_of(static_cast<FlowState>(s));
}

}  // namespace
}  // namespace penstock::l4
