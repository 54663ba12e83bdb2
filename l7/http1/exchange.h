// exchange.h - one request and its response on a pair of connections, as a table of rules.
//
// Model     events of both legs go in, actions come out; the caller (l7/proxy) does them in the order of the enum. One
//           exchange at a time: the next request of a pipeline is not read before this one is done, so responses stay
//           in order and no request is ever put behind an unread body (RFC 9112 s9.3).
//
//             idle -> expecting -> sending -> awaiting -> responding -> done -> idle
//                                     |           +-----> tunnel
//                                     +-> early --+-----> responding        (response before the request's end)
//                                           +-----------> closing           (it ended before the request did)
//
// Shape     16 octets; reads no bytes and no clock.
// Errors    an event without a rule is a violation of the upstream's: its reason is in Step.
// Limits    kInterimMax 1xx responses to one request.
// Not here  what heads say (request_parser.h), where bodies end (body.h).
#pragma once
#include <array>
#include <cstdint>

#include "l7/http1/head.h"
#include "l7/http1/reject.h"

namespace penstock::http1 {

inline constexpr std::uint8_t kInterimMax = 16;

enum class ExchangeState : std::uint8_t {
  idle,        ///< no request
  expecting,   ///< head forwarded, client waits for 100 before it sends the body
  sending,     ///< body of the request under way, no final response yet
  awaiting,    ///< request complete
  early,       ///< final response under way, request incomplete
  responding,  ///< final response under way, request complete
  done,        ///< both complete: next() or close
  tunnel,      ///< octets both ways, no messages any more
  closing,     ///< the last response is on its way out; nothing more is read as a message
  closed,      ///< nothing can be saved
  count
};
enum class ExchangeEvent : std::uint8_t {
  request_bodiless,
  request_with_body,
  request_expecting,    ///< with body and Expect: 100-continue
  request_body_begins,  ///< first octet of it
  request_complete,
  interim_100,
  interim_other,  ///< 1xx but 100 and 101
  final_with_body,
  final_bodiless,
  switched,  ///< 101, or 2xx to CONNECT
  response_complete,
  request_refused,   ///< reject.h, in the head or the body
  response_refused,  ///< reject.h
  downstream_lost,
  upstream_lost,  ///< closed when that was not the end of a body
  count
};
enum ExchangeAction : std::uint16_t {
  kNothing = 0,
  kForwardRequest = 1 << 0,
  kForwardInterim = 1 << 1,  ///< left out for HTTP/1.0 clients
  kForwardResponse = 1 << 2,
  kAnswerError = 1 << 3,  ///< a response of our own: status_of(reason), 502 when the upstream was lost
  kBeginTunnel = 1 << 4,
  kFinish = 1 << 5,           ///< resolved into the four below
  kReleaseUpstream = 1 << 6,  ///< back to the pool
  kCloseUpstream = 1 << 7,
  kNextRequest = 1 << 8,
  kLingerDownstream = 1 << 9,  ///< close after everything was sent; read and discard for a while (RFC 9112 s9.6)
  kAbortDownstream = 1 << 10,  ///< reset, so that a truncated body does not look complete (RFC 9112 s8)
};

struct ExchangeRule {
  ExchangeState from;
  ExchangeEvent on;
  ExchangeState to;
  std::uint16_t actions;
};
/// The rule for this pair; nullptr when there is none.
[[nodiscard]] const ExchangeRule* rule_for(ExchangeState state, ExchangeEvent event);

class Exchange {
 public:
  struct Step {
    std::uint16_t actions{};
    RejectReason reason{};  ///< why, when the answer is an error
  };
  /// A request head was parsed. Only in state idle.
  [[nodiscard]] Step request(const RequestHead& head);
  /// A response head was parsed.
  [[nodiscard]] Step response(const ResponseHead& head);
  /// Anything else. `reason` for the two *_refused.
  [[nodiscard]] Step on(ExchangeEvent event, RejectReason reason = RejectReason::none);
  /// After kNextRequest.
  void next();
  /// The client's connection is to end with this exchange. Before response(), so that its head says so.
  void be_last() { downstream_keep_alive_ = false; }

  [[nodiscard]] ExchangeState state() const { return state_; }
  [[nodiscard]] bool may_read_request() const { return state_ == ExchangeState::idle; }
  /// For the response that is forwarded now: may the client send another request? Then write_response says so.
  [[nodiscard]] bool downstream_keep_alive() const { return downstream_keep_alive_; }
  [[nodiscard]] std::uint8_t client_minor() const { return client_minor_; }
  [[nodiscard]] Method method() const { return method_; }

 private:
  [[nodiscard]] Step apply(ExchangeEvent event, RejectReason reason);
  [[nodiscard]] std::uint16_t resolve(std::uint16_t actions) const;

  ExchangeState state_{ExchangeState::idle};
  Method method_{};
  std::uint8_t client_minor_{1};
  std::uint8_t upgrade_{};  // token asked for, as in RequestHead
  std::uint8_t interims_{};
  bool downstream_keep_alive_{true};
  bool upstream_keep_alive_{true};
};

}  // namespace penstock::http1
