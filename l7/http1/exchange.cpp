#include "l7/http1/exchange.h"

#include "dataplane/core/require.h"
#include "l7/http1/serialise.h"

namespace penstock::http1 {

namespace {

using S = ExchangeState;
using E = ExchangeEvent;

constexpr std::uint16_t kEnd = kCloseUpstream | kLingerDownstream;
constexpr std::uint16_t kFail = kAnswerError | kEnd;
constexpr std::uint16_t kAbort = kCloseUpstream | kAbortDownstream;

constexpr std::array kRules{
    ExchangeRule{S::idle, E::request_bodiless, S::awaiting, kForwardRequest},
    ExchangeRule{S::idle, E::request_with_body, S::sending, kForwardRequest},
    ExchangeRule{S::idle, E::request_expecting, S::expecting, kForwardRequest},
    ExchangeRule{S::idle, E::request_refused, S::closing, kAnswerError | kLingerDownstream},
    ExchangeRule{S::idle, E::downstream_lost, S::closed, kNothing},
    ExchangeRule{S::idle, E::upstream_lost, S::idle, kNothing},

    ExchangeRule{S::expecting, E::request_body_begins, S::sending, kNothing},
    ExchangeRule{S::expecting, E::interim_100, S::sending, kForwardInterim},
    ExchangeRule{S::expecting, E::interim_other, S::expecting, kForwardInterim},
    // The client will not send the body now, or has begun to: only closing tells both apart (RFC 9110 s10.1.1).
    ExchangeRule{S::expecting, E::final_with_body, S::early, kForwardResponse},
    ExchangeRule{S::expecting, E::final_bodiless, S::closing, kForwardResponse | kEnd},
    ExchangeRule{S::expecting, E::request_refused, S::closing, kFail},
    ExchangeRule{S::expecting, E::response_refused, S::closing, kFail},
    ExchangeRule{S::expecting, E::downstream_lost, S::closed, kCloseUpstream},
    ExchangeRule{S::expecting, E::upstream_lost, S::closing, kFail},

    ExchangeRule{S::sending, E::request_body_begins, S::sending, kNothing},
    ExchangeRule{S::sending, E::request_complete, S::awaiting, kNothing},
    ExchangeRule{S::sending, E::interim_100, S::sending, kForwardInterim},
    ExchangeRule{S::sending, E::interim_other, S::sending, kForwardInterim},
    ExchangeRule{S::sending, E::final_with_body, S::early, kForwardResponse},
    ExchangeRule{S::sending, E::final_bodiless, S::closing, kForwardResponse | kEnd},
    ExchangeRule{S::sending, E::request_refused, S::closing, kFail},
    ExchangeRule{S::sending, E::response_refused, S::closing, kFail},
    ExchangeRule{S::sending, E::downstream_lost, S::closed, kCloseUpstream},
    ExchangeRule{S::sending, E::upstream_lost, S::closing, kFail},

    ExchangeRule{S::awaiting, E::interim_100, S::awaiting, kForwardInterim},
    ExchangeRule{S::awaiting, E::interim_other, S::awaiting, kForwardInterim},
    ExchangeRule{S::awaiting, E::final_with_body, S::responding, kForwardResponse},
    ExchangeRule{S::awaiting, E::final_bodiless, S::done, kForwardResponse | kFinish},
    ExchangeRule{S::awaiting, E::switched, S::tunnel, kForwardResponse | kBeginTunnel},
    ExchangeRule{S::awaiting, E::response_refused, S::closing, kFail},
    ExchangeRule{S::awaiting, E::downstream_lost, S::closed, kCloseUpstream},
    ExchangeRule{S::awaiting, E::upstream_lost, S::closing, kFail},

    ExchangeRule{S::early, E::request_body_begins, S::early, kNothing},
    ExchangeRule{S::early, E::request_complete, S::responding, kNothing},
    ExchangeRule{S::early, E::response_complete, S::closing, kEnd},
    ExchangeRule{S::early, E::request_refused, S::closed, kAbort},
    ExchangeRule{S::early, E::response_refused, S::closed, kAbort},
    ExchangeRule{S::early, E::downstream_lost, S::closed, kCloseUpstream},
    ExchangeRule{S::early, E::upstream_lost, S::closed, kAbort},

    ExchangeRule{S::responding, E::response_complete, S::done, kFinish},
    ExchangeRule{S::responding, E::response_refused, S::closed, kAbort},
    ExchangeRule{S::responding, E::downstream_lost, S::closed, kCloseUpstream},
    ExchangeRule{S::responding, E::upstream_lost, S::closed, kAbort},

    ExchangeRule{S::done, E::downstream_lost, S::closed, kNothing},
    ExchangeRule{S::done, E::upstream_lost, S::done, kNothing},
    ExchangeRule{S::tunnel, E::downstream_lost, S::closed, kCloseUpstream},
    ExchangeRule{S::tunnel, E::upstream_lost, S::closed, kCloseUpstream | kLingerDownstream},
    ExchangeRule{S::closing, E::request_body_begins, S::closing, kNothing},
    ExchangeRule{S::closing, E::request_complete, S::closing, kNothing},
    ExchangeRule{S::closing, E::request_refused, S::closing, kNothing},
    ExchangeRule{S::closing, E::downstream_lost, S::closed, kNothing},
    ExchangeRule{S::closing, E::upstream_lost, S::closing, kNothing},
};

constexpr std::size_t kStates = static_cast<std::size_t>(S::count), kEvents = static_cast<std::size_t>(E::count);
constexpr std::uint8_t kNoRule = 0xff;
static_assert(kRules.size() < kNoRule);

/// Where the rule of a state and an event stands: looking through all of them takes as long as a short head's parse.
constexpr std::array kRuleAt = [] {
  std::array<std::array<std::uint8_t, kEvents>, kStates> at{};
  for (auto& row : at) row.fill(kNoRule);
  for (std::size_t i = 0; i < kRules.size(); ++i)
    at[static_cast<std::size_t>(kRules[i].from)][static_cast<std::size_t>(kRules[i].on)] = static_cast<std::uint8_t>(i);
  return at;
}();

/// What an upstream did wrong when no rule takes its event.
RejectReason violation_of(ExchangeEvent event) {
  return event == ExchangeEvent::switched ? RejectReason::switch_unexpected : RejectReason::octets_after_response;
}

}  // namespace

const ExchangeRule* rule_for(ExchangeState state, ExchangeEvent event) {
  const std::uint8_t at = kRuleAt[static_cast<std::size_t>(state)][static_cast<std::size_t>(event)];
  return at == kNoRule ? nullptr : &kRules[at];
}

Exchange::Step Exchange::request(const RequestHead& head) {
  require(may_read_request(), "a request while another is open");
  method_ = head.method;
  client_minor_ = head.minor;
  upgrade_ = head.upgrade;
  interims_ = 0;
  downstream_keep_alive_ = head.keep_alive;
  upstream_keep_alive_ = true;
  const bool body = head.framing.kind == BodyKind::chunked ||
                    (head.framing.kind == BodyKind::content_length && head.framing.content_length > 0);
  if (!body) return apply(E::request_bodiless, RejectReason::none);
  return apply(head.expect_continue ? E::request_expecting : E::request_with_body, RejectReason::none);
}

Exchange::Step Exchange::response(const ResponseHead& head) {
  if (head.status == 101) {
    if (upgrade_ == 0) return on(E::response_refused, RejectReason::switch_unexpected);
    if (head.upgrade != upgrade_) return on(E::response_refused, RejectReason::switch_mismatch);
    return apply(E::switched, RejectReason::none);
  }
  if (head.status < 200) {
    if (++interims_ > kInterimMax) return on(E::response_refused, RejectReason::too_many_interim);
    Step step = apply(head.status == 100 ? E::interim_100 : E::interim_other, RejectReason::none);
    if (client_minor_ == 0) step.actions = static_cast<std::uint16_t>(step.actions & ~kForwardInterim);
    return step;
  }
  if (head.framing.kind == BodyKind::tunnel) return apply(E::switched, RejectReason::none);
  upstream_keep_alive_ = head.keep_alive;
  const bool request_open = state_ == S::expecting || state_ == S::sending;
  // The client cannot know where a body ends that only our closing ends; and after an early answer nobody knows how
  // much of the request will still come, so the client is told before the head goes out.
  if (outgoing_framing(head.framing, client_minor_).kind == BodyKind::until_close || request_open)
    downstream_keep_alive_ = false;
  const bool body = head.framing.kind != BodyKind::none &&
                    !(head.framing.kind == BodyKind::content_length && head.framing.content_length == 0);
  return apply(body ? E::final_with_body : E::final_bodiless, RejectReason::none);
}

Exchange::Step Exchange::on(ExchangeEvent event, RejectReason reason) { return apply(event, reason); }

Exchange::Step Exchange::apply(ExchangeEvent event, RejectReason reason) {
  const ExchangeRule* rule = rule_for(state_, event);
  if (rule == nullptr) {
    reason = violation_of(event);
    rule = rule_for(state_, E::response_refused);
    // Octets of an upstream without an open request, or after everything is lost: that connection is of no more use.
    if (rule == nullptr) return {kCloseUpstream, reason};
  }
  state_ = rule->to;
  return {resolve(rule->actions), reason};
}

std::uint16_t Exchange::resolve(std::uint16_t actions) const {
  if ((actions & kFinish) == 0) return actions;
  const int ends = (upstream_keep_alive_ ? kReleaseUpstream : kCloseUpstream) |
                   (downstream_keep_alive_ ? kNextRequest : kLingerDownstream);
  return static_cast<std::uint16_t>((actions & ~kFinish) | ends);
}

void Exchange::next() {
  require(state_ == S::done && downstream_keep_alive_, "the next request before this one is done");
  state_ = S::idle;
}

}  // namespace penstock::http1
