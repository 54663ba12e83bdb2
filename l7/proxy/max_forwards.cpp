// Max-Forwards (RFC 9110 s7.6.2): how many proxies a TRACE or OPTIONS may still pass. Other methods ignore it.
#include <algorithm>
#include <optional>

#include "dataplane/core/require.h"
#include "l7/proxy/proxy.h"

namespace penstock::proxy {
namespace {

using control::ResponseDetail;
using http1::KnownField;
using http1::Method;

/// The largest count that is passed on.
constexpr std::uint32_t kForwardsMax = 65'535;

bool counts_hops(Method method, const http1::FieldTable& fields) {
  return (method == Method::trace || method == Method::options) && fields.has(KnownField::max_forwards);
}

/// What the request says; nullopt when that is no number, or several.
std::optional<std::uint32_t> hops_of(const http1::RequestHead& head) {
  const http1::FieldTable& fields = head.fields;
  const std::string_view text = fields.at(KnownField::max_forwards).value.in(head.text);
  if (text.empty() || (fields.repeated & http1::bit(KnownField::max_forwards)) != 0) return std::nullopt;
  std::uint32_t hops = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') return std::nullopt;
    hops = std::min(hops * 10 + static_cast<std::uint32_t>(c - '0'), kForwardsMax + 1);
  }
  return hops;
}

/// RFC 9110 s9.3.8: what is likely to be secret does not come back.
bool is_secret(KnownField field) {
  return field == KnownField::cookie || field == KnownField::authorization || field == KnownField::proxy_authorization;
}

}  // namespace

/// False: the request goes no further, and was answered.
bool HttpProxy::within_hops(std::uint32_t index) {
  const Method method = connections_[index].exchange.method();
  if (!counts_hops(method, request_head_.fields)) return true;
  const std::optional<std::uint32_t> hops = hops_of(request_head_);
  if (hops.has_value() && *hops > 0) return true;
  if (!hops.has_value())
    answer(index, 400, ResponseDetail::bad_request);
  else if (method == Method::options)
    answer(index, 200, ResponseDetail::direct_response);
  else
    reflect(index);
  return false;
}

/// The answer to a TRACE that ends here: its head as it came.
void HttpProxy::reflect(std::uint32_t index) {
  std::uint32_t room = take_buffer();
  if (room == kNone) return answer(index, 503, ResponseDetail::overflow);
  const http1::RequestHead& head = request_head_;
  stream::Writer out{{buffer(room), kBufferOctets}};
  out.put(head.method_text.in(head.text));
  out.put(' ');
  out.put(head.target.in(head.text));
  out.put(head.minor == 0 ? " HTTP/1.0\r\n" : " HTTP/1.1\r\n");
  for (std::uint32_t i = 0; i < head.fields.count; ++i) {
    const http1::Field& field = head.fields.fields[i];
    if (is_secret(field.known)) continue;
    out.put(field.name.in(head.text));
    out.put(": ");
    out.put(field.value.in(head.text));
    out.put("\r\n");
  }
  out.put("\r\n");
  require(out.ok(), "a head is longer than the room for one");
  answer(index, 200, ResponseDetail::direct_response, {}, out.text(), {}, "message/http");
  free_buffer(room);
}

/// One less for whoever is next, unless the route sets or removes the field itself.
void HttpProxy::hops_edit(const Connection& c, std::size_t& count) {
  if (count == kNone) return;
  const auto edited = std::span{edits_}.first(count);
  if (std::any_of(edited.begin(), edited.end(),
                  [](const http1::HeaderEdit& e) { return route::equals_folded(e.name, "max-forwards"); }))
    return;
  if (!counts_hops(c.exchange.method(), request_head_.fields)) return;
  stream::Writer out{hops_};
  out.put_decimal(hops_of(request_head_).value_or(1) - 1);
  add_edit(count, route::HeaderEditMode::set, "max-forwards", out.text(), true);
}

}  // namespace penstock::proxy
