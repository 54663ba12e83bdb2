// What policies make of a request: let through, answered here, or held for a while.
#include <array>

#include "dataplane/control/limits.h"
#include "l7/policy/authorize.h"
#include "l7/proxy/proxy.h"

namespace penstock::proxy {

using control::ResponseDetail;
using http1::ExchangeState;

const control::HttpPolicyRecord* HttpProxy::policy_at(std::uint32_t policy) const {
  return policy == control::kNoPolicy ? nullptr : &config_->policies.policies[policy];
}

bool HttpProxy::chance(std::uint32_t millionths) {
  return millionths != 0 && (random() >> 32) * control::kPerMillion >> 32 < millionths;
}

/// The client's own bucket first: who asks too often must not empty that of all.
bool HttpProxy::within_rates(std::uint32_t index, const control::HttpPolicyRecord& policy, bool of_listener) {
  const IpAddress& client = connections_[index].client;
  ResponseDetail detail = ResponseDetail::client_rate_limited;
  Duration wait{};
  if (policy.client_rate_limit != control::kNoPolicy) {
    const std::uint64_t before = rates_.evicted();
    wait = rates_.take(policy.client_rate_limit, client, now_);
    counters_.http.rate_evicted.add(rates_.evicted() - before);
  }
  if (wait == Duration{} && policy.rate_limit != control::kNoPolicy) {
    wait = rates_.take(policy.rate_limit, now_);
    detail = of_listener ? ResponseDetail::rate_limited : ResponseDetail::route_rate_limited;
  }
  if (wait == Duration{}) return true;
  std::array<char, 24> text;
  stream::Writer seconds{text};
  seconds.put_decimal(static_cast<std::uint64_t>(std::chrono::ceil<std::chrono::seconds>(wait).count()));
  answer(index, 429, detail, {}, {}, seconds.text());
  return false;
}

/// False: the request was answered, or waits.
bool HttpProxy::admit(std::uint32_t index, const control::HttpPolicyRecord& policy, const route::RequestView& view) {
  Connection& c = connections_[index];
  if ((c.hold.passed & Hold::kAuthorized) == 0) {
    if (!within_rates(index, policy, false)) return false;
    const policy::Facts facts{view, c.client};
    const control::PolicyAction action = policy::authorize(config_->policies, policy, facts);
    if (action == control::PolicyAction::deny) {
      answer(index, 403, ResponseDetail::authorization_denied);
      return false;
    }
    if (action != control::PolicyAction::allow) {
      const std::uint32_t target = action == control::PolicyAction::ask ? policy.ask : policy.external;
      if (!ask(index, config_->policies.question_targets[target], view)) return false;
    }
    c.hold.passed |= Hold::kAuthorized;
  }
  return inject_fault(index, policy, view);
}

bool HttpProxy::inject_fault(std::uint32_t index, const control::HttpPolicyRecord& policy,
                             const route::RequestView& view) {
  Connection& c = connections_[index];
  if (policy.delay_millionths == 0 && policy.abort_millionths == 0) return true;
  const policy::Facts facts{view, c.client};
  if (!policy::hold(config_->policies, policy.first_fault_term, policy.fault_term_count, facts)) return true;
  if ((c.hold.passed & Hold::kDelayed) == 0 && chance(policy.delay_millionths)) {
    counters_.http.delayed.add();
    hold(index, Hold::Reason::delay, policy.delay_ms);
    return false;
  }
  if (!chance(policy.abort_millionths)) return true;
  answer(index, static_cast<std::uint16_t>(policy.abort_status), ResponseDetail::fault_abort);
  return false;
}

/// Nothing more is read until resume(); the caller notes how much of the head lies in front.
void HttpProxy::hold(std::uint32_t index, Hold::Reason reason, std::uint32_t ms) {
  Connection& c = connections_[index];
  c.hold.reason = reason;
  c.hold.until = {now_ms_.ms + ms};
  c.request = Phase::none;
  counters_.http.held.add();
}

void HttpProxy::end_hold(std::uint32_t index) {
  Connection& c = connections_[index];
  c.hold.reason = Hold::Reason::none;
  counters_.http.held.sub();
}

/// The wait is over by itself: a delay is done, a question has no answer.
void HttpProxy::hold_expired(std::uint32_t index) {
  const Hold& hold = connections_[index].hold;
  if (hold.reason == Hold::Reason::delay) return resume(index, Hold::kDelayed);
  counters_.http.questions_late.add();
  if (hold.by_default == control::PolicyAction::allow) return resume(index, Hold::kAuthorized);
  refuse_held(index, 403, ResponseDetail::authorization_timeout);
}

/// Answers a request that waited, whose head still lies in front.
void HttpProxy::refuse_held(std::uint32_t index, std::uint16_t status, ResponseDetail detail) {
  Connection& c = connections_[index];
  end_hold(index);
  legs_.skip(c.leg, c.hold.head_octets);
  c.gathered[0] = 0;
  free_buffer(c.request_gather);
  answer(index, status, detail);
}

/// The request goes on behind what it has `passed`. Its head is read again, and routed by the snapshot of now.
void HttpProxy::resume(std::uint32_t index, std::uint8_t passed) {
  Connection& c = connections_[index];
  const ListenerView* const listener = listener_for_request(c);
  if (listener == nullptr) return refuse_held(index, 503, ResponseDetail::shutdown);
  end_hold(index);
  c.hold.passed |= passed;
  const bool has_body = c.exchange.state() == ExchangeState::sending || c.exchange.state() == ExchangeState::expecting;
  c.request = has_body ? Phase::body : Phase::none;
  c.request_since = c.moved = now_ms_;
  const std::string_view text = gather(c.request_gather, c.gathered[0], legs_.front(c.leg));
  const http1::ParseStatus status = c.request_parser.parse(text, marks_of(c.request_gather), request_head_);
  if (status != http1::ParseStatus::complete) {
    // Legs do not take back what they showed; whoever does loses the request.
    c.detail = ResponseDetail::overflow;
    legs_.reset(c.leg);
    return forget_connection(index);
  }
  c.request_parser.reset();
  const std::uint32_t of_front = c.hold.head_octets;
  choose_route(index, *listener, view_of_request(request_head_));
  if (c.leg == kNoLeg || c.hold.reason != Hold::Reason::none) return;
  legs_.skip(c.leg, of_front);
  c.gathered[0] = 0;
  free_buffer(c.request_gather);
}

}  // namespace penstock::proxy
