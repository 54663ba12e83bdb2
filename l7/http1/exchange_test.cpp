// The order of messages: the whole table as reviewed, conversations, and what must hold for any order of events.
#include "l7/http1/exchange.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

namespace penstock::http1 {
namespace {

using E = ExchangeEvent;
using S = ExchangeState;

constexpr std::array<const char*, static_cast<std::size_t>(S::count)> kStates{
    "idle", "expecting", "sending", "awaiting", "early", "responding", "done", "tunnel", "closing", "closed"};

std::string actions_text(std::uint16_t actions) {
  constexpr std::array<const char*, 11> kNames{"request", "interim",  "response", "error",  "tunnel", "finish",
                                               "release", "close-up", "next",     "linger", "abort"};
  std::string out;
  for (std::size_t i = 0; i < kNames.size(); ++i)
    if ((actions >> i & 1) != 0) out += std::string{out.empty() ? "" : "+"} + kNames[i];
  return out.empty() ? "nothing" : out;
}

TEST(ExchangeRules, every_pair_is_as_reviewed) {
  constexpr std::array<const char*, static_cast<std::size_t>(E::count)> kEvents{
      "request_bodiless",  "request_with_body", "request_expecting", "request_body_begins", "request_complete",
      "interim_100",       "interim_other",     "final_with_body",   "final_bodiless",      "switched",
      "response_complete", "request_refused",   "response_refused",  "downstream_lost",     "upstream_lost"};
  std::string table;
  for (std::size_t state = 0; state < kStates.size(); ++state) {
    table += std::string{kStates[state]} + "\n";
    for (std::size_t event = 0; event < kEvents.size(); ++event)
      if (const ExchangeRule* rule = rule_for(static_cast<S>(state), static_cast<E>(event)))
        table += "  " + std::string{kEvents[event]} + " -> " + kStates[static_cast<std::size_t>(rule->to)] + ": " +
                 actions_text(rule->actions) + "\n";
  }
  EXPECT_EQ(table,
            "idle\n"
            "  request_bodiless -> awaiting: request\n"
            "  request_with_body -> sending: request\n"
            "  request_expecting -> expecting: request\n"
            "  request_refused -> closing: error+linger\n"
            "  downstream_lost -> closed: nothing\n"
            "  upstream_lost -> idle: nothing\n"
            "expecting\n"
            "  request_body_begins -> sending: nothing\n"
            "  interim_100 -> sending: interim\n"
            "  interim_other -> expecting: interim\n"
            "  final_with_body -> early: response\n"
            "  final_bodiless -> closing: response+close-up+linger\n"
            "  request_refused -> closing: error+close-up+linger\n"
            "  response_refused -> closing: error+close-up+linger\n"
            "  downstream_lost -> closed: close-up\n"
            "  upstream_lost -> closing: error+close-up+linger\n"
            "sending\n"
            "  request_body_begins -> sending: nothing\n"
            "  request_complete -> awaiting: nothing\n"
            "  interim_100 -> sending: interim\n"
            "  interim_other -> sending: interim\n"
            "  final_with_body -> early: response\n"
            "  final_bodiless -> closing: response+close-up+linger\n"
            "  request_refused -> closing: error+close-up+linger\n"
            "  response_refused -> closing: error+close-up+linger\n"
            "  downstream_lost -> closed: close-up\n"
            "  upstream_lost -> closing: error+close-up+linger\n"
            "awaiting\n"
            "  interim_100 -> awaiting: interim\n"
            "  interim_other -> awaiting: interim\n"
            "  final_with_body -> responding: response\n"
            "  final_bodiless -> done: response+finish\n"
            "  switched -> tunnel: response+tunnel\n"
            "  response_refused -> closing: error+close-up+linger\n"
            "  downstream_lost -> closed: close-up\n"
            "  upstream_lost -> closing: error+close-up+linger\n"
            "early\n"
            "  request_body_begins -> early: nothing\n"
            "  request_complete -> responding: nothing\n"
            "  response_complete -> closing: close-up+linger\n"
            "  request_refused -> closed: close-up+abort\n"
            "  response_refused -> closed: close-up+abort\n"
            "  downstream_lost -> closed: close-up\n"
            "  upstream_lost -> closed: close-up+abort\n"
            "responding\n"
            "  response_complete -> done: finish\n"
            "  response_refused -> closed: close-up+abort\n"
            "  downstream_lost -> closed: close-up\n"
            "  upstream_lost -> closed: close-up+abort\n"
            "done\n"
            "  downstream_lost -> closed: nothing\n"
            "  upstream_lost -> done: nothing\n"
            "tunnel\n"
            "  downstream_lost -> closed: close-up\n"
            "  upstream_lost -> closed: close-up+linger\n"
            "closing\n"
            "  request_body_begins -> closing: nothing\n"
            "  request_complete -> closing: nothing\n"
            "  request_refused -> closing: nothing\n"
            "  downstream_lost -> closed: nothing\n"
            "  upstream_lost -> closing: nothing\n"
            "closed\n");
}

class Conversation : public ::testing::Test {
 protected:
  Conversation() {
    request.method = Method::get;
    request.minor = 1;
    request.keep_alive = true;
    request.expect_continue = false;
    request.upgrade = 0;
    request.framing = {};
    response.status = 200;
    response.keep_alive = true;
    response.upgrade = 0;
    response.framing = {.kind = BodyKind::content_length, .content_length = 5, .has_content_length = true};
  }
  /// "state: actions [reason]".
  std::string text(const Exchange::Step& step) const {
    return std::string{kStates[static_cast<std::size_t>(exchange.state())]} + ": " + actions_text(step.actions) +
           (step.reason == RejectReason::none ? "" : " " + std::string{name_of(step.reason)});
  }
  std::string ask() { return text(exchange.request(request)); }
  std::string answer() { return text(exchange.response(response)); }
  std::string answer(std::uint16_t status, BodyKind kind = BodyKind::none) {
    response.status = status;
    response.framing = {.kind = kind};
    return answer();
  }
  std::string on(E event, RejectReason reason = RejectReason::none) { return text(exchange.on(event, reason)); }
  void with_body() { request.framing = {.kind = BodyKind::chunked}; }
  Exchange exchange;
  RequestHead request;
  ResponseHead response;
};

TEST_F(Conversation, request_and_response_in_turn_keep_both_connections) {
  for (int round = 0; round < 3; ++round) {
    EXPECT_TRUE(exchange.may_read_request());
    EXPECT_EQ(ask(), "awaiting: request");
    EXPECT_FALSE(exchange.may_read_request()) << "a pipelined request waits (RFC 9112 s9.3.2)";
    EXPECT_EQ(answer(), "responding: response");
    EXPECT_EQ(on(E::response_complete), "done: release+next");
    exchange.next();
  }
}

TEST_F(Conversation, each_side_keeps_or_closes_by_itself) {
  request.keep_alive = false;
  ask();
  answer();
  EXPECT_EQ(on(E::response_complete), "done: release+linger");
  exchange = Exchange{};
  request.keep_alive = true;
  response.keep_alive = false;
  ask();
  answer();
  EXPECT_EQ(on(E::response_complete), "done: close-up+next");
}

TEST_F(Conversation, a_bodiless_response_is_done_with_its_head) {
  ask();
  EXPECT_EQ(answer(204), "done: response+release+next");
}

TEST_F(Conversation, a_body_that_only_closing_ends_closes_a_client_of_1_0_only) {
  request.minor = 0;
  ask();
  EXPECT_EQ(answer(200, BodyKind::until_close), "responding: response");
  EXPECT_FALSE(exchange.downstream_keep_alive());
  exchange = Exchange{};
  request.minor = 1;
  ask();
  answer(200, BodyKind::until_close);
  EXPECT_TRUE(exchange.downstream_keep_alive()) << "1.1 gets chunks";
}

TEST_F(Conversation, expectation_waits_and_a_final_status_ends_it) {  // RFC 9110 s10.1.1
  with_body();
  request.expect_continue = true;
  EXPECT_EQ(ask(), "expecting: request");
  EXPECT_EQ(answer(100), "sending: interim");
  EXPECT_EQ(on(E::request_complete), "awaiting: nothing");
  EXPECT_EQ(answer(200, BodyKind::chunked), "responding: response");
  exchange = Exchange{};
  ask();
  EXPECT_EQ(answer(417), "closing: response+close-up+linger");
  EXPECT_FALSE(exchange.downstream_keep_alive());
}

TEST_F(Conversation, an_early_response_closes_unless_the_request_ends_first) {
  with_body();
  ask();
  EXPECT_EQ(answer(200, BodyKind::chunked), "early: response");
  EXPECT_FALSE(exchange.downstream_keep_alive()) << "told before the head goes out";
  EXPECT_EQ(on(E::response_complete), "closing: close-up+linger");
  exchange = Exchange{};
  ask();
  answer(200, BodyKind::chunked);
  EXPECT_EQ(on(E::request_complete), "responding: nothing");
  EXPECT_EQ(on(E::response_complete), "done: release+linger");
}

TEST_F(Conversation, interim_responses_are_bounded_and_not_for_1_0) {  // RFC 9110 s15.2
  ask();
  for (int i = 0; i < kInterimMax; ++i) EXPECT_EQ(answer(103), "awaiting: interim");
  EXPECT_EQ(answer(103), "closing: error+close-up+linger too_many_interim");
  exchange = Exchange{};
  request.minor = 0;
  ask();
  EXPECT_EQ(answer(103), "awaiting: nothing");
}

TEST_F(Conversation, a_switch_must_have_been_asked_for) {  // RFC 9110 s7.8
  ask();
  EXPECT_EQ(answer(101, BodyKind::tunnel), "closing: error+close-up+linger switch_unexpected");
  exchange = Exchange{};
  request.upgrade = 1;
  response.upgrade = 2;
  ask();
  EXPECT_EQ(answer(101, BodyKind::tunnel), "closing: error+close-up+linger switch_mismatch");
  exchange = Exchange{};
  response.upgrade = 1;
  ask();
  EXPECT_EQ(answer(101, BodyKind::tunnel), "tunnel: response+tunnel");
  EXPECT_EQ(on(E::upstream_lost), "closed: close-up+linger");
}

TEST_F(Conversation, a_refused_upgrade_is_an_ordinary_response) {
  request.upgrade = 1;
  ask();
  EXPECT_EQ(answer(426, BodyKind::content_length), "done: response+release+next");
}

TEST_F(Conversation, connect_tunnels_on_2xx_only) {  // RFC 9110 s9.3.6
  request.method = Method::connect;
  ask();
  EXPECT_EQ(answer(200, BodyKind::tunnel), "tunnel: response+tunnel");
  exchange = Exchange{};
  ask();
  EXPECT_EQ(answer(403, BodyKind::chunked), "responding: response");
}

TEST_F(Conversation, octets_without_a_request_condemn_the_upstream_connection) {
  EXPECT_EQ(answer(), "idle: close-up octets_after_response");
  ask();
  answer();
  on(E::response_complete);
  EXPECT_EQ(answer(), "done: close-up octets_after_response");
}

TEST_F(Conversation, a_lost_upstream_is_a_502_before_the_response_and_an_abort_within) {  // RFC 9112 s8
  ask();
  EXPECT_EQ(on(E::upstream_lost), "closing: error+close-up+linger");
  exchange = Exchange{};
  ask();
  answer(200, BodyKind::chunked);
  EXPECT_EQ(on(E::upstream_lost), "closed: close-up+abort");
}

TEST_F(Conversation, a_malformed_request_body_is_answered_if_nothing_was_yet) {
  with_body();
  ask();
  EXPECT_EQ(on(E::request_refused, RejectReason::chunk_size_malformed),
            "closing: error+close-up+linger chunk_size_malformed");
  exchange = Exchange{};
  ask();
  answer(200, BodyKind::chunked);
  EXPECT_EQ(on(E::request_refused, RejectReason::chunk_size_malformed), "closed: close-up+abort chunk_size_malformed");
}

/// What an exchange may do, kept beside it while all orders of events are tried.
struct Ledger {
  bool request_open{}, response_begun{};
};

/// All sequences of `depth` events after a request with a body; each step is checked.
void try_all(const Exchange& before, Ledger ledger, int depth, std::uint64_t& steps) {
  if (depth == 0) return;
  for (int event = static_cast<int>(E::request_body_begins); event < static_cast<int>(E::count); ++event) {
    Exchange exchange = before;
    Ledger now = ledger;
    const Exchange::Step step = exchange.on(static_cast<E>(event));
    ++steps;
    const auto has = [&step](int action) { return (step.actions & action) != 0; };
    const bool own = has(kForwardResponse) || has(kAnswerError);
    ASSERT_FALSE(own && now.response_begun) << "two responses to one request";
    ASSERT_FALSE(has(kReleaseUpstream) && has(kCloseUpstream));
    ASSERT_LE(has(kNextRequest) + has(kLingerDownstream) + has(kAbortDownstream), 1);
    if (static_cast<E>(event) == E::request_complete && exchange.state() != before.state()) now.request_open = false;
    if (own) now.response_begun = true;
    if (has(kReleaseUpstream)) {
      ASSERT_FALSE(now.request_open) << "an upstream with half a request was released";
      ASSERT_EQ(exchange.state(), S::done);
    }
    if (has(kNextRequest)) {
      ASSERT_TRUE(!now.request_open && now.response_begun) << "the next request came too early";
    }
    if (before.state() == S::closed) {
      ASSERT_EQ(exchange.state(), S::closed);
    }
    try_all(exchange, now, depth - 1, steps);
    if (::testing::Test::HasFatalFailure()) return;
  }
}

TEST_F(Conversation, any_order_of_events_keeps_requests_and_responses_paired) {
  std::uint64_t steps = 0;
  for (const bool body : {false, true})
    for (const bool expect : {false, true}) {
      request.framing.kind = body ? BodyKind::chunked : BodyKind::none;
      request.expect_continue = expect && body;
      Exchange start;
      static_cast<void>(start.request(request));
      try_all(start, {.request_open = body}, 5, steps);
    }
  EXPECT_GT(steps, 100'000u);
}

}  // namespace
}  // namespace penstock::http1
