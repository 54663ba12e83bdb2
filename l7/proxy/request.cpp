// From the client: heads, what the route makes of them, and bodies.
#include <algorithm>
#include <cstring>

#include "dataplane/core/require.h"
#include "l7/http1/serialise.h"
#include "l7/http1/target.h"
#include "l7/proxy/proxy.h"

namespace penstock::proxy {

using control::ResponseDetail;
using http1::ExchangeEvent;
using http1::ExchangeState;

bool HttpProxy::read_request(std::uint32_t index) {
  Connection& c = connections_[index];
  switch (c.request) {
    case Phase::preface:
      return read_preface(index);
    case Phase::head:
      return read_request_head(index);
    case Phase::body:
      return relay_request_body(index);
    case Phase::tunnel:
      return c.upstream != kNone && relay_tunnel(index, c.leg, upstreams_[c.upstream].leg, c.client_closed);
    case Phase::none:
    case Phase::drain:
      break;
  }
  return false;
}

std::string_view HttpProxy::gather(std::uint32_t& buffer, std::uint32_t held, std::string_view text) {
  if (held == 0) return text;
  const std::size_t taken = std::min(text.size(), kHeadTextOctets - held);
  std::memcpy(this->buffer(buffer) + held, text.data(), taken);
  return {this->buffer(buffer), held + taken};
}

/// The head goes on in a later segment. What lies beyond the buffer lies beyond the parser's limit too.
bool HttpProxy::keep_gathered(std::uint32_t& buffer, std::uint32_t& held, std::string_view text) {
  if (buffer == kNone) {
    buffer = take_buffer();
    if (buffer == kNone) return false;
    std::memcpy(this->buffer(buffer), text.data(), std::min(text.size(), kHeadTextOctets));
    marks_of(buffer) = marks_;
  }
  held += static_cast<std::uint32_t>(text.size());
  return held <= kHeadTextOctets;
}

bool HttpProxy::read_request_head(std::uint32_t index) {
  Connection& c = connections_[index];
  if (!c.exchange.may_read_request()) return false;
  const std::string_view text = legs_.front(c.leg);
  if (text.empty()) {
    if (!c.client_closed) return false;
    // An incomplete head, or none: nobody waits for an answer.
    legs_.finish(c.leg);
    forget_connection(index);
    return false;
  }
  if (legs_.queued(c.leg) > kPipelineQueuedMax) {
    legs_.await_room(c.leg);
    return false;
  }
  std::uint32_t& held = c.gathered[0];
  if (held == 0) {
    c.head_since = now_ms_;
    c.began = now_;
  }
  const std::string_view view = gather(c.request_gather, held, text);
  const http1::ParseStatus status = c.request_parser.parse(view, marks_of(c.request_gather), request_head_);
  if (status == http1::ParseStatus::more) {
    const bool kept = keep_gathered(c.request_gather, held, text);
    legs_.skip(c.leg, text.size());
    if (kept) return true;
    legs_.reset(c.leg);
    forget_connection(index);
    return false;
  }
  const ListenerView* const listener = listener_for_request(c);
  if (listener == nullptr) {
    refuse_homeless(index);
    return false;
  }
  begin_account(c, *listener);
  c.request_since = now_ms_;
  c.moved = now_ms_;
  c.timeout_ms = c.try_ms = 0;
  c.idle_ms = listener->http->stream_idle_ms;
  if (status == http1::ParseStatus::rejected) {
    route::RequestView refused;
    refused.path = view.substr(0, view.find_first_of("\r\n"));
    begin_access(c, *listener, refused);
    c.detail = ResponseDetail::bad_request;
    reject(index, ExchangeEvent::request_refused, c.request_parser.reason());
    return false;
  }
  c.request_parser.reset();
  const std::size_t of_front = request_head_.octets - held;
  route_request(index, *listener);
  if (c.leg == kNoLeg) return false;
  if (c.hold.reason != Hold::Reason::none) {
    c.hold.head_octets = static_cast<std::uint32_t>(of_front);
    return false;
  }
  legs_.skip(c.leg, of_front);
  held = 0;
  free_buffer(c.request_gather);
  return true;
}

route::RequestView HttpProxy::view_of_request(const http1::RequestHead& head) {
  for (std::uint32_t i = 0; i < head.fields.count; ++i) {
    const http1::Field& field = head.fields.fields[i];
    fields_[i] = route::HeaderField::of(field.name.in(head.text), field.value.in(head.text));
  }
  std::string_view path = head.path.in(head.text);
  if (head.path_needs_normalising) path = http1::normalise_path(path, policy_, path_);
  if (path.empty() && head.form == http1::TargetForm::absolute) path = "/";
  if (head.form == http1::TargetForm::asterisk) path = "*";
  return {.host = head.authority.in(head.text),
          .path = path,
          .query = head.query.in(head.text),
          .method = head.method_text.in(head.text),
          .scheme = "http",
          .headers = {fields_.data(), head.fields.count}};
}

void HttpProxy::begin_access(Connection& c, const ListenerView& listener, const route::RequestView& view) {
  if (access_log_ == nullptr || listener.http->access_log_samples == 0) return;
  c.tries = 0;
  c.access = access_log_->begin(listener.http->access_log_samples, random(), view.method, view.host, view.path);
  if (c.access == kNone) return;
  control::AccessRecord& record = (*access_log_)[c.access];
  record.listener_id = listener.id;
  record.epoch = config_->snapshot.epoch();
  record.client = c.client;
  record.client_port = c.client == c.ends.client ? c.ends.client_port : std::uint16_t{0};
  record.http_minor = request_head_.minor;
}

void HttpProxy::route_request(std::uint32_t index, const ListenerView& listener) {
  Connection& c = connections_[index];
  const bool worn = listener.http->requests_max != 0 && c.requests + 1 >= listener.http->requests_max;
  if (worn || c.leaving || listener.draining) request_head_.keep_alive = false;
  const http1::Exchange::Step step = c.exchange.request(request_head_);
  require((step.actions & http1::kForwardRequest) != 0, "a request that is not forwarded");
  ++c.requests;
  start_body(c.up, request_head_.framing, request_head_.framing);
  const bool has_body = c.exchange.state() == ExchangeState::sending || c.exchange.state() == ExchangeState::expecting;
  c.request = has_body ? Phase::body : Phase::none;
  const route::RequestView view = view_of_request(request_head_);
  find_client(c, listener);
  begin_access(c, listener, view);
  if (const control::HttpPolicyRecord* const policy = policy_at(listener.http->policy))
    if (!within_rates(index, *policy, true)) return;
  choose_route(index, listener, view);
}

void HttpProxy::choose_route(std::uint32_t index, const ListenerView& listener, const route::RequestView& view) {
  Connection& c = connections_[index];
  if (c.exchange.method() == http1::Method::connect) return begin_connect(index, listener, view);
  const route::MatchResult found = route::match(*listener.table, view, *scratch_, random());
  switch (found.status) {
    case route::MatchStatus::found:
      break;
    case route::MatchStatus::bad_path:
      return answer(index, 400, ResponseDetail::bad_request);
    case route::MatchStatus::no_host:
    case route::MatchStatus::no_route:
      return answer(index, 404, ResponseDetail::no_route);
  }
  const route::MatchedRoute matched = route::matched_route(*listener.table, found);
  const std::uint32_t number = matched.host.record.first_route + found.route;
  if (c.route_slot != kNone) counters_.http_slots[c.route_slot].active.sub();  // of a request that waited
  c.route_slot = listener.route_slots[number];
  counters_.http_slots[c.route_slot].active.add();
  if (c.access != kNone) (*access_log_)[c.access].route = number;
  keep_response_edits(c, matched);
  const control::HttpPolicyRecord* const policy =
      listener.route_policies.empty() ? nullptr : policy_at(listener.route_policies[number]);
  if (policy != nullptr && !admit(index, *policy, view)) return;
  switch (route::ActionKind{matched.route.action}) {
    case route::ActionKind::redirect: {
      const route::Written written = route::write_location(matched, view, target_, *scratch_);
      if (written.status != route::WriteStatus::written) return answer(index, 400, ResponseDetail::bad_rewrite);
      return answer(index, matched.route.status, ResponseDetail::redirect, {target_.data(), written.octets});
    }
    case route::ActionKind::direct_response: {
      const route::DirectView direct = route::direct_response(matched);
      return answer(index, direct.status, ResponseDetail::direct_response, {}, direct.body);
    }
    case route::ActionKind::forward:
      if (!within_hops(index)) return;
      return forward_request(index, listener, view, found, policy);
  }
}

void HttpProxy::take_policy(Connection& c, const route::RouteRecord& record, const ListenerView& listener) {
  c.timeout_ms = record.timeout_ms;
  c.idle_ms = record.idle_timeout_ms != 0 ? record.idle_timeout_ms : listener.http->stream_idle_ms;
  c.try_ms = record.per_try_timeout_ms;
  c.retry_on = record.retry_on;
  c.retries_left = record.retry_on != 0 ? record.retries : std::uint8_t{0};
  c.retry_status_count = std::min(record.retry_status_count, std::uint32_t{route::kRetryStatusMax});
  std::copy_n(record.retry_statuses.begin(), c.retry_status_count, c.retry_statuses.begin());
  c.tries = 0;
  c.failed_count = 0;
}

bool HttpProxy::write_request_head(Connection& c, const ListenerView& listener, const route::MatchedRoute& matched,
                                   const route::RequestView& view, std::uint16_t& refused) {
  std::string_view target;
  const bool rewrites = (matched.route.flags & (route::kPrefixRewrite | route::kRegexRewrite)) != 0;
  if (rewrites) {
    const route::Written written = route::write_target(matched, view, target_, *scratch_);
    if (written.status != route::WriteStatus::written) {
      refused = 400;
      return false;
    }
    target = {target_.data(), written.octets};
  }
  const std::string_view host = route::upstream_host(matched, view);
  const std::size_t edit_count = request_edits(c, listener, matched, view);
  if (edit_count == kNone) {
    refused = 500;
    return false;
  }
  stream::Writer out{{buffer(c.replay), kBufferOctets}};
  const http1::WriteStatus status = http1::write_request(request_head_, policy_,
                                                         {.edits = {edits_.data(), edit_count},
                                                          .target = target,
                                                          .host = host == view.host ? std::string_view{} : host,
                                                          .via = via_of(&listener)},
                                                         out);
  if (status != http1::WriteStatus::ok) {
    refused = status == http1::WriteStatus::no_room ? 431 : 400;
    return false;
  }
  c.replay_octets = static_cast<std::uint32_t>(out.text().size());
  c.replay_whole = true;
  return true;
}

void HttpProxy::forward_request(std::uint32_t index, const ListenerView& listener, const route::RequestView& view,
                                const route::MatchResult& found, const control::HttpPolicyRecord* policy) {
  Connection& c = connections_[index];
  const route::MatchedRoute matched = route::matched_route(*listener.table, found);
  take_policy(c, matched.route, listener);
  c.cluster = cluster_state(config_->clusters[listener.clusters[found.cluster]].id);
  if (c.cluster == kNone) return answer(index, 503, ResponseDetail::overflow);
  const ClusterView& cluster = config_->clusters[clusters_[c.cluster].view];
  c.cluster_slot = cluster.policy->http_slot;
  counters_.http_slots[c.cluster_slot].active.add();
  c.up.limit =
      policy != nullptr && policy->max_body_octets != 0 ? policy->max_body_octets : listener.http->max_body_octets;
  if (c.up.limit != 0 && request_head_.framing.content_length > c.up.limit)
    return answer(index, 413, ResponseDetail::body_too_large);
  c.hash = hash_of_request(c, cluster, view);
  c.affinity = affinity_of_request(cluster);
  c.replay = take_buffer();
  if (c.replay == kNone) return answer(index, 503, ResponseDetail::overflow);
  std::uint16_t refused = 0;
  if (!write_request_head(c, listener, matched, view, refused)) {
    drop_replay(c);
    return answer(index, refused, refused == 400 ? ResponseDetail::bad_rewrite : ResponseDetail::bad_request);
  }
  if (policy != nullptr && policy->mirror_cluster != control::kNoPolicy) begin_mirror(c, *policy);
  if (c.request == Phase::none) send_mirror(c);
  dispatch(index);
}

void HttpProxy::start_body(BodyRelay& body, const http1::Framing& in, const http1::Framing& out) {
  body.encoder = http1::ChunkedEncoder{};
  body.chunked = out.kind == http1::BodyKind::chunked;
  body.run = body.octets = body.limit = 0;
  body.held_octets = 0;
  if (in.kind == http1::BodyKind::chunked && body.trailer == kNone) body.trailer = take_buffer();
  const std::span<char> trailers =
      body.trailer == kNone ? std::span<char>{} : std::span<char>{buffer(body.trailer), kTrailerOctets};
  body.reader = http1::BodyReader{bodies_, classifier_, trailers};
  body.reader.start(in);
}

void HttpProxy::keep_for_replay(Connection& c, std::string_view text) {
  if (!c.replay_whole) return;
  if (c.replay_octets + text.size() > kBufferOctets) return drop_replay(c);
  std::memcpy(buffer(c.replay) + c.replay_octets, text.data(), text.size());
  c.replay_octets += static_cast<std::uint32_t>(text.size());
}

void HttpProxy::drop_replay(Connection& c) {
  free_buffer(c.replay);
  c.replay_octets = 0;
  c.replay_whole = false;
}

/// Judges the trailers, and writes what stands behind the last octet of a body that leaves in chunks. Never `moved`.
HttpProxy::Flow HttpProxy::end_body(BodyRelay& body, Leg to, Connection* replay) {
  const bool trailers = body.reader.framing().kind == http1::BodyKind::chunked;
  if (trailers) {
    body.refused = body.reader.chunked().parse_trailers(marks_of(body.trailer), policy_.underscore_in_names, trailers_);
    if (body.refused != http1::RejectReason::none) return Flow::rejected;
  }
  if (!body.chunked) return Flow::done;
  stream::Writer out{out_};
  http1::ChunkedEncoder encoder = body.encoder;  // again, when there is no room now
  encoder.last_chunk(out);
  if (trailers)
    http1::write_trailers(body.reader.chunked().trailer_text(), trailers_, out);
  else
    out.put("\r\n");
  if (!legs_.write(to, out.text())) return Flow::waits;
  if (replay != nullptr) {
    keep_for_replay(*replay, out.text());
    keep_for_mirror(*replay, out.text());
  }
  return Flow::done;
}

HttpProxy::Flow HttpProxy::relay_body(BodyRelay& body, Leg from, Leg to, Connection* replay) {
  bool moved = false;
  const auto so_far = [&] { return moved ? Flow::moved : Flow::waits; };
  for (;;) {
    if (body.held_octets != 0) {
      const std::string_view held{body.held.data(), body.held_octets};
      if (!legs_.write(to, held)) return so_far();
      if (replay != nullptr) {
        keep_for_replay(*replay, held);
        keep_for_mirror(*replay, held);
      }
      body.held_octets = 0;
      moved = true;
    }
    const std::string_view text = legs_.front(from);
    if (body.run > 0) {
      if (text.empty()) return so_far();
      const auto octets = static_cast<std::size_t>(std::min<std::uint64_t>(body.run, text.size()));
      const std::uint32_t before = replay != nullptr ? replay->replay_octets : 0;
      const std::uint32_t mirror_before = replay != nullptr ? replay->mirror_octets : 0;
      if (replay != nullptr) {
        keep_for_replay(*replay, text.substr(0, octets));
        keep_for_mirror(*replay, text.substr(0, octets));
      }
      const std::size_t passed = legs_.pass(from, to, octets);
      if (replay != nullptr && replay->replay_whole)
        replay->replay_octets = before + static_cast<std::uint32_t>(passed);
      if (replay != nullptr && replay->mirror != kNone)
        replay->mirror_octets = mirror_before + static_cast<std::uint32_t>(passed);
      body.run -= passed;
      body.octets += passed;
      moved |= passed > 0;
      if (passed < octets) return so_far();
      continue;
    }
    if (body.reader.complete()) {
      const Flow end = end_body(body, to, replay);
      return end == Flow::waits ? so_far() : end;
    }
    if (text.empty()) return so_far();
    const http1::BodyReader::Step step = body.reader.feed({text, 0}, marks_of(body.trailer));
    legs_.skip(from, step.consumed - static_cast<std::size_t>(step.data.octets));
    moved |= step.consumed > 0;
    if (step.status == http1::BodyStatus::rejected) {
      body.refused = body.reader.reason();
      return Flow::rejected;
    }
    if (step.status != http1::BodyStatus::data) continue;
    body.run = step.data.octets;
    if (body.limit != 0 && body.octets + body.run > body.limit) return Flow::too_large;
    if (!body.chunked) continue;
    stream::Writer out{body.held};
    body.encoder.begin_chunk(body.run, out);
    require(out.ok(), "the head of a chunk is longer than its place");
    body.held_octets = static_cast<std::uint8_t>(out.text().size());
  }
}

bool HttpProxy::relay_request_body(std::uint32_t index) {
  Connection& c = connections_[index];
  if (c.upstream == kNone) return false;
  const std::string_view text = legs_.front(c.leg);
  if (text.empty() && c.client_closed && !c.up.reader.complete()) {
    // The request will never be whole.
    c.detail = ResponseDetail::downstream_reset;
    drop_upstream(index);
    legs_.reset(c.leg);
    forget_connection(index);
    return false;
  }
  if (c.exchange.state() == ExchangeState::expecting && !text.empty())
    static_cast<void>(c.exchange.on(ExchangeEvent::request_body_begins));
  const Flow flow = relay_body(c.up, c.leg, upstreams_[c.upstream].leg, &c);
  if (flow == Flow::rejected) {
    c.detail = ResponseDetail::bad_request;
    reject(index, ExchangeEvent::request_refused, c.up.refused);
    return false;
  }
  if (flow == Flow::too_large) {
    c.detail = ResponseDetail::body_too_large;
    apply(index, c.exchange.on(ExchangeEvent::request_refused));
    return false;
  }
  if (flow == Flow::done) {
    c.request = Phase::none;
    c.request_since = now_ms_;  // from here on the endpoint has what it answers
    send_mirror(c);
    static_cast<void>(c.exchange.on(ExchangeEvent::request_complete));
    return true;
  }
  return flow == Flow::moved;
}

bool HttpProxy::relay_tunnel(std::uint32_t index, Leg from, Leg to, bool ended) {
  Connection& c = connections_[index];
  BodyRelay& body = from == c.leg ? c.up : c.down;
  bool moved = false;
  for (std::string_view text = legs_.front(from); !text.empty(); text = legs_.front(from)) {
    const std::size_t passed = legs_.pass(from, to, text.size());
    body.octets += passed;
    moved |= passed > 0;
    if (passed < text.size()) return moved;
  }
  if (!ended) return moved;
  Phase& phase = from == c.leg ? c.request : c.response;
  legs_.shut_down(to);
  phase = Phase::none;
  if (c.request != Phase::none || c.response != Phase::none) return true;
  const std::uint32_t upstream = c.upstream;
  end_try(index);
  legs_.finish(upstreams_[upstream].leg);
  free_upstream(upstream);
  legs_.finish(c.leg);
  forget_connection(index);
  return false;
}

}  // namespace penstock::proxy
