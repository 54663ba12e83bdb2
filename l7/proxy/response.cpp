// To the client: responses of endpoints, and our own.
#include <algorithm>

#include "dataplane/core/require.h"
#include "l7/http1/serialise.h"
#include "l7/proxy/proxy.h"

namespace penstock::proxy {

using control::ResponseDetail;
using http1::ExchangeEvent;
using http1::ExchangeState;

namespace {

bool is_gateway_error(std::uint16_t status) { return status >= 502 && status <= 504; }

}  // namespace

bool HttpProxy::read_response(std::uint32_t index) {
  Connection& c = connections_[index];
  if (c.upstream == kNone) return false;
  switch (c.response) {
    case Phase::head:
      return read_response_head(index);
    case Phase::body:
      return relay_response_body(index);
    case Phase::tunnel: {
      const Upstream& up = upstreams_[c.upstream];
      return relay_tunnel(index, up.leg, c.leg, up.ended);
    }
    case Phase::none:
    case Phase::preface:
    case Phase::drain:
      break;
  }
  return false;
}

/// The endpoint closed without an answer.
bool HttpProxy::upstream_ended(std::uint32_t index) {
  Connection& c = connections_[index];
  const std::uint32_t upstream = c.upstream;
  Upstream& up = upstreams_[upstream];
  const bool reused = up.requests > 1 && !up.answered;
  legs_.finish(up.leg);
  note_outcome(upstream, 0);
  end_try(index);
  free_upstream(upstream);
  reused_ = reused;
  fail_try(index, Failure::reset, ResponseDetail::upstream_reset);
  return c.leg != kNoLeg;
}

/// The first octets of a response are there.
void HttpProxy::note_answer(Connection& c, Upstream& up) {
  if (c.access != kNone && !up.answered)
    (*access_log_)[c.access].upstream_us =
        static_cast<std::uint32_t>(std::chrono::duration_cast<std::chrono::microseconds>(now_ - c.began).count());
  up.answered = true;
}

bool HttpProxy::read_response_head(std::uint32_t index) {
  Connection& c = connections_[index];
  Upstream& up = upstreams_[c.upstream];
  const std::string_view text = legs_.front(up.leg);
  if (text.empty()) return up.ended && upstream_ended(index);
  if (legs_.queued(c.leg) > kPipelineQueuedMax) {
    legs_.await_room(c.leg);
    return false;
  }
  note_answer(c, up);
  std::uint32_t& held = c.gathered[1];
  const std::string_view view = gather(c.response_gather, held, text);
  const http1::ParseStatus status =
      c.response_parser.parse(view, c.exchange.method(), marks_of(c.response_gather), response_head_);
  if (status == http1::ParseStatus::more) {
    if (keep_gathered(c.response_gather, held, text)) {
      legs_.skip(up.leg, text.size());
      return true;
    }
    c.detail = ResponseDetail::overflow;
    apply(index, c.exchange.on(ExchangeEvent::upstream_lost));
    return false;
  }
  if (status == http1::ParseStatus::rejected) {
    c.detail = ResponseDetail::upstream_protocol;
    note_outcome(c.upstream, 502);
    reject(index, ExchangeEvent::response_refused, c.response_parser.reason());
    return false;
  }
  c.response_parser.reset();
  const std::size_t of_front = response_head_.octets - held;
  if (response_head_.status >= 200) {
    note_outcome(c.upstream, response_head_.status, true);
    c.status = response_head_.status;
    if (may_retry(c, Failure::status, false)) {
      drop_upstream(index);
      held = 0;
      free_buffer(c.response_gather);
      retry(index, false);
      return c.leg != kNoLeg;
    }
  }
  if (c.leaving) c.exchange.be_last();
  const http1::Exchange::Step step = c.exchange.response(response_head_);
  if ((step.actions & (http1::kForwardResponse | http1::kForwardInterim)) == 0) {
    legs_.skip(up.leg, of_front);
    held = 0;
    free_buffer(c.response_gather);
    if (step.reason != http1::RejectReason::none) note_violation(c, step.reason);
    apply(index, step);
    return c.leg != kNoLeg;
  }
  forward_response(index, step);
  if (c.leg == kNoLeg) return false;
  legs_.skip(up.leg, of_front);
  held = 0;
  free_buffer(c.response_gather);
  if ((step.actions & http1::kForwardInterim) != 0) return true;
  apply(index, step);
  return c.leg != kNoLeg;
}

/// The head is well-formed, but not one that may come now.
void HttpProxy::note_violation(Connection& c, http1::RejectReason reason) {
  c.detail = ResponseDetail::upstream_protocol;
  counters_.http.rejected[static_cast<std::size_t>(reason)].add();
}

/// Writes the head anew, and sets up what follows it.
void HttpProxy::forward_response(std::uint32_t index, http1::Exchange::Step step) {
  Connection& c = connections_[index];
  const bool interim = (step.actions & http1::kForwardInterim) != 0;
  const bool tunnel = (step.actions & http1::kBeginTunnel) != 0;
  http1::Framing framing = http1::outgoing_framing(response_head_.framing, c.exchange.client_minor());
  if (tunnel) framing.kind = http1::BodyKind::tunnel;
  std::size_t edit_count = interim ? 0 : response_edits(c, response_head_);
  if (!interim) affinity_edit(c, edit_count);
  stream::Writer out{out_};
  const bool written = edit_count != kNone && http1::write_response(response_head_, policy_,
                                                                    {.edits = {edits_.data(), edit_count},
                                                                     .framing = framing,
                                                                     .via = via_of(listener_of(c)),
                                                                     .date = date_.text(now_),
                                                                     .client_minor = c.exchange.client_minor(),
                                                                     .keep_alive = c.exchange.downstream_keep_alive()},
                                                                    out) == http1::WriteStatus::ok;
  if (!written || !legs_.write(c.leg, out.text())) {
    // A head that cannot be written, or no memory for it: the client learns by a reset.
    c.detail = ResponseDetail::overflow;
    drop_upstream(index);
    legs_.reset(c.leg);
    return forget_connection(index);
  }
  if (interim) return;
  c.status = response_head_.status;
  c.response_begun = true;
  drop_replay(c);
  if (tunnel) {
    if (c.status == 101) note_outcome(c.upstream, c.status, true);  // other answers were noted as they came
    c.request = c.response = Phase::tunnel;
    c.timeout_ms = 0;
    return;
  }
  start_body(c.down, response_head_.framing, framing);
  const bool ends_here = (step.actions & (http1::kFinish | http1::kReleaseUpstream | http1::kCloseUpstream)) != 0;
  c.response = ends_here ? Phase::none : Phase::body;
}

bool HttpProxy::relay_response_body(std::uint32_t index) {
  Connection& c = connections_[index];
  const Upstream& up = upstreams_[c.upstream];
  const Flow flow = relay_body(c.down, up.leg, c.leg, nullptr);
  if (flow == Flow::rejected) {
    c.detail = ResponseDetail::upstream_protocol;
    reject(index, ExchangeEvent::response_refused, c.down.refused);
    return false;
  }
  if (flow == Flow::done) {
    response_complete(index);
    return c.leg != kNoLeg;
  }
  if (!up.ended || !legs_.front(up.leg).empty()) return flow == Flow::moved;
  if (c.down.reader.end_of_stream() == http1::BodyStatus::complete) {
    if (end_body(c.down, c.leg, nullptr) != Flow::done) return false;
    response_complete(index);
    return c.leg != kNoLeg;
  }
  c.detail = ResponseDetail::upstream_reset;
  reject(index, ExchangeEvent::response_refused, http1::RejectReason::body_truncated);
  return false;
}

void HttpProxy::response_complete(std::uint32_t index) {
  Connection& c = connections_[index];
  c.response = Phase::none;
  apply(index, c.exchange.on(ExchangeEvent::response_complete));
}

void HttpProxy::answer(std::uint32_t index, std::uint16_t status, ResponseDetail detail, std::string_view location,
                       std::string_view body, std::string_view retry_after, std::string_view type) {
  Connection& c = connections_[index];
  c.detail = detail;
  const std::string_view phrase = http1::status_phrase(status);
  http1::ResponseHead& head = response_head_;
  head.text = phrase;
  head.status = status;
  head.minor = 1;
  head.keep_alive = true;
  head.upgrade = 0;
  head.reason = {0, static_cast<std::uint16_t>(phrase.size())};
  const bool bodiless = status == 204 || status == 304;
  head.framing = {
      .kind = http1::BodyKind::content_length, .content_length = body.size(), .has_content_length = !bodiless};
  if (c.exchange.method() == http1::Method::head || bodiless) head.framing.kind = http1::BodyKind::none;
  head.fields.count = 0;
  head.fields.seen = head.fields.repeated = 0;
  if (c.leaving) c.exchange.be_last();
  const http1::Exchange::Step step = c.exchange.response(head);
  std::size_t edit_count = response_edits(c, head);
  if (edit_count == kNone) edit_count = 0;
  if (!location.empty()) add_edit(edit_count, route::HeaderEditMode::set, "location", location, false);
  if (!retry_after.empty()) add_edit(edit_count, route::HeaderEditMode::set, "retry-after", retry_after, false);
  if (!body.empty()) add_edit(edit_count, route::HeaderEditMode::add_if_absent, "content-type", type, false);
  stream::Writer out{out_};
  const bool written = edit_count != kNone && http1::write_response(head, policy_,
                                                                    {.edits = {edits_.data(), edit_count},
                                                                     .framing = head.framing,
                                                                     .date = date_.text(now_),
                                                                     .client_minor = c.exchange.client_minor(),
                                                                     .keep_alive = c.exchange.downstream_keep_alive()},
                                                                    out) == http1::WriteStatus::ok;
  if (written && head.framing.kind == http1::BodyKind::content_length) out.put(body);
  if (!written || !out.ok() || !legs_.write(c.leg, out.text())) {
    legs_.reset(c.leg);
    return forget_connection(index);
  }
  c.status = status;
  c.down.octets = body.size();
  c.response_begun = true;
  drop_replay(c);
  const bool more = head.framing.kind == http1::BodyKind::content_length && !body.empty();
  apply(index, more ? c.exchange.on(ExchangeEvent::response_complete) : step);
}

/// The last thing that a client hears; no room for it: it hears the end alone.
void HttpProxy::write_refusal(Connection& c, std::uint16_t status) {
  c.status = status;
  stream::Writer out{out_};
  http1::write_error(status, date_.text(now_), out);
  static_cast<void>(legs_.write(c.leg, out.text()));
}

bool HttpProxy::may_retry(const Connection& c, Failure failure, bool reused) {
  if (c.response_begun || !c.replay_whole || c.tries >= kTriesMax) return false;
  // A kept connection that its endpoint was just closing says nothing about the request (RFC 9110 s9.2.2).
  if (failure == Failure::reset && reused && is_idempotent(c.exchange.method())) return true;
  if (c.retries_left == 0) return false;
  const auto on = [&](std::uint32_t bits) { return (c.retry_on & bits) != 0; };
  bool wanted = false;
  switch (failure) {
    case Failure::connect:
      wanted = on(route::kRetryConnectFailure | route::kRetry5xx | route::kRetryGatewayError);
      break;
    case Failure::reset:
      wanted = on(route::kRetryReset | route::kRetry5xx | route::kRetryGatewayError);
      break;
    case Failure::timeout:
      wanted = on(route::kRetry5xx | route::kRetryGatewayError);
      break;
    case Failure::status: {
      const auto listed =
          std::find(c.retry_statuses.begin(), c.retry_statuses.begin() + c.retry_status_count, c.status);
      wanted = (on(route::kRetry5xx) && c.status >= 500) ||
               (on(route::kRetryGatewayError) && is_gateway_error(c.status)) ||
               (on(route::kRetryRetriable4xx) && c.status == 409) ||
               (on(route::kRetryStatuses) && listed != c.retry_statuses.begin() + c.retry_status_count);
    }
  }
  return wanted && retry_fits(c);
}

}  // namespace penstock::proxy
