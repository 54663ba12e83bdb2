// What a request tells its endpoint about where it came from: senders, request number, trace.
#include <algorithm>

#include "l7/proxy/proxy.h"
#include "l7/proxy/sender_list.h"
#include "l7/proxy/trace_context.h"

namespace penstock::proxy {

using control::SenderList;
using http1::KnownField;
using route::HeaderEditMode;

/// Whom the request is from: the peer, or whom the trusted proxies in front of us name.
void HttpProxy::find_client(Connection& c, const ListenerView& listener) {
  c.client = c.ends.client;
  std::uint32_t hops = listener.http->trusted_hops;
  const http1::FieldTable& fields = request_head_.fields;
  if (hops == 0 || !fields.has(KnownField::x_forwarded_for)) return;
  for (std::uint32_t i = fields.count; i-- > 0;) {
    if (fields.fields[i].known != KnownField::x_forwarded_for) continue;
    std::string_view list = fields.fields[i].value.in(request_head_.text);
    for (std::string_view element = take_last(list); !element.empty(); element = take_last(list)) {
      if (--hops != 0) continue;
      // Nobody else says who it is: then it is the peer, as when there are too few.
      if (const auto address = sender_address(element)) c.client = *address;
      return;
    }
  }
}

/// Writes the list that the request came with, and adds an element to it. Longer than its room: the element alone.
std::string_view HttpProxy::sender_list(KnownField field, bool append, std::string_view element, std::span<char> room) {
  const auto write = [&](bool whole) {
    stream::Writer out{room};
    const http1::FieldTable& fields = request_head_.fields;
    for (std::uint32_t i = 0; whole && i < fields.count; ++i) {
      if (fields.fields[i].known != field) continue;
      out.put(fields.fields[i].value.in(request_head_.text));
      out.put(", ");
    }
    out.put(element);
    return out.ok() ? out.text() : std::string_view{};
  };
  const std::string_view list = write(append);
  return list.empty() ? write(false) : list;
}

void HttpProxy::sender_edits(const Connection& c, const control::HttpListenerRecord& http, std::string_view host,
                             std::size_t& count) {
  const std::span<char> room{forwarded_};
  stream::Writer address{client_text_};
  put_address(c.ends.client, address);
  if (http.x_forwarded_for != SenderList::off)
    add_edit(count, HeaderEditMode::set, "x-forwarded-for",
             sender_list(KnownField::x_forwarded_for, http.x_forwarded_for == SenderList::append, address.text(),
                         room.first(kSenderListOctets)),
             true);
  const bool known = request_head_.fields.has(KnownField::x_forwarded_proto);
  const bool anew = http.x_forwarded_for == SenderList::replace;
  add_edit(count, anew ? HeaderEditMode::set : HeaderEditMode::add_if_absent, "x-forwarded-proto", "http", known);
  if (http.forwarded == SenderList::off) return;
  stream::Writer element{room.subspan(2 * kSenderListOctets)};
  put_forwarded(c.ends.client, host, element);
  if (!element.ok()) return;
  add_edit(count, HeaderEditMode::set, "forwarded",
           sender_list(KnownField::forwarded, http.forwarded == SenderList::append, element.text(),
                       room.subspan(kSenderListOctets, kSenderListOctets)),
           true);
}

/// A trace that the request belongs to is passed on; else one begins here (W3C Trace Context s4.2).
void HttpProxy::trace_edits(const control::HttpListenerRecord& http, std::size_t& count) {
  if ((http.flags & control::kHttpTrace) == 0) return;
  const http1::FieldTable& fields = request_head_.fields;
  const std::string_view text = request_head_.text;
  const bool known = fields.has(KnownField::traceparent) &&
                     (fields.repeated & http1::bit(KnownField::traceparent)) == 0 &&
                     is_traceparent(fields.at(KnownField::traceparent).value.in(text));
  // Several lines of tracestate are one list.
  const bool good =
      known && std::all_of(fields.fields.begin(), fields.fields.begin() + fields.count, [&](const auto& f) {
        return f.known != KnownField::tracestate || is_tracestate(f.value.in(text));
      });
  if (fields.has(KnownField::tracestate) && !good && count != kNone) {
    if (count == edits_.size()) {
      count = kNone;
      return;
    }
    edits_[count++] = {http1::HeaderEdit::Op::remove, "tracestate"};
  }
  if (known) return;
  const bool sampled = (random() >> 32) * control::kPerMillion >> 32 < http.trace_samples;
  write_traceparent({random(), random(), random()}, sampled, traceparent_);
  add_edit(count, HeaderEditMode::set, "traceparent", {traceparent_.data(), traceparent_.size()}, true);
}

void HttpProxy::request_number_edit(std::size_t& count) {
  if (request_head_.fields.has(KnownField::x_request_id)) return;
  const std::span<char, 2 * kHexOctets> id{request_id_};
  put_hex(random(), id.first<kHexOctets>());
  put_hex(random(), id.last<kHexOctets>());
  add_edit(count, HeaderEditMode::add, "x-request-id", {request_id_.data(), 32}, false);
}

/// Our pseudonym for Via; empty: none.
std::string_view HttpProxy::via_of(const ListenerView* listener) const {
  return listener == nullptr ? std::string_view{} : config_->snapshot.text(listener->http->via);
}

}  // namespace penstock::proxy
