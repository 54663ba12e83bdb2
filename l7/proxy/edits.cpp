// What is added to, set in and removed from heads on their way.
#include <algorithm>
#include <charconv>
#include <cstring>

#include "l7/http1/serialise.h"
#include "l7/proxy/proxy.h"
#include "l7/route/route_config.h"

namespace penstock::proxy {
namespace {

using Op = http1::HeaderEdit::Op;
using route::HeaderEditMode;

constexpr std::uint8_t kRemove = 0xff;

bool has_field(std::string_view text, const http1::FieldTable& fields, std::string_view name) {
  const http1::KnownField known = http1::known_field(name);
  if (known != http1::KnownField::unknown) return fields.has(known);
  for (std::uint32_t i = 0; i < fields.count; ++i)
    if (fields.fields[i].known == known && route::equals_folded(fields.fields[i].name.in(text), name)) return true;
  return false;
}

}  // namespace

/// Edits of one head, in order; what sets a name takes back what added it before.
void HttpProxy::add_edit(std::size_t& count, HeaderEditMode mode, std::string_view name, std::string_view value,
                         bool present) {
  if (count == kNone || (mode == HeaderEditMode::add_if_absent && present) ||
      (mode == HeaderEditMode::set_if_present && !present))
    return;
  const bool set = mode == HeaderEditMode::set || mode == HeaderEditMode::set_if_present;
  if (set) {
    const auto end =
        std::remove_if(edits_.begin(), edits_.begin() + static_cast<std::ptrdiff_t>(count),
                       [&](const auto& e) { return e.op != Op::remove && route::equals_folded(e.name, name); });
    count = static_cast<std::size_t>(end - edits_.begin());
  }
  if (count == edits_.size()) {
    count = kNone;
    return;
  }
  edits_[count++] = {set ? Op::set : Op::add, name, value};
}

/// The route's edits, then what every proxy tells: who asked, how, and a number for the request.
std::size_t HttpProxy::request_edits(const Connection& c, const ListenerView& listener,
                                     const route::MatchedRoute& matched, const route::RequestView& view) {
  std::size_t count = 0;
  const http1::RequestHead& head = request_head_;
  const auto has = [&](std::string_view name) { return has_field(head.text, head.fields, name); };
  for (const route::Text name : route::HostView::part(matched.host.names, matched.route.request.remove)) {
    if (count == edits_.size()) return kNone;
    edits_[count++] = {Op::remove, matched.host.at(name)};
  }
  for (const route::EditRecord& edit : route::HostView::part(matched.host.edits, matched.route.request.edits)) {
    const std::string_view name = matched.host.at(edit.name);
    add_edit(count, HeaderEditMode{static_cast<std::uint8_t>(edit.mode)}, name, matched.host.at(edit.value), has(name));
  }
  hops_edit(c, count);
  sender_edits(c, *listener.http, view.host, count);
  request_number_edit(count);
  trace_edits(*listener.http, count);
  return count;
}

/// The route may be gone when the response comes, so its edits are copied: mode, lengths, texts.
void HttpProxy::keep_response_edits(Connection& c, const route::MatchedRoute& matched) {
  c.edit_octets = 0;
  if (matched.route.response.remove.count == 0 && matched.route.response.edits.count == 0) return;
  if (c.edits == kNone) c.edits = take_buffer();
  if (c.edits == kNone) return;
  stream::Writer out{{buffer(c.edits), kBufferOctets}};
  const auto put = [&](std::uint8_t mode, std::string_view name, std::string_view value) {
    out.put(static_cast<char>(mode));
    for (const std::size_t octets : {name.size(), value.size()}) {
      out.put(static_cast<char>(octets & 0xff));
      out.put(static_cast<char>(octets >> 8));
    }
    out.put(name);
    out.put(value);
  };
  for (const route::Text name : route::HostView::part(matched.host.names, matched.route.response.remove))
    put(kRemove, matched.host.at(name), {});
  for (const route::EditRecord& edit : route::HostView::part(matched.host.edits, matched.route.response.edits))
    put(static_cast<std::uint8_t>(edit.mode), matched.host.at(edit.name), matched.host.at(edit.value));
  if (out.ok()) c.edit_octets = static_cast<std::uint32_t>(out.text().size());
}

std::size_t HttpProxy::response_edits(const Connection& c, const http1::ResponseHead& head) {
  std::size_t count = 0;
  if (c.edit_octets == 0) return 0;
  std::string_view kept{buffer(c.edits), c.edit_octets};
  const auto length = [&](std::size_t at) {
    return std::size_t{static_cast<unsigned char>(kept[at])} | std::size_t{static_cast<unsigned char>(kept[at + 1])}
                                                                   << 8;
  };
  while (!kept.empty()) {
    const auto mode = static_cast<std::uint8_t>(kept[0]);
    const std::size_t name_octets = length(1), value_octets = length(3);
    const std::string_view name = kept.substr(5, name_octets), value = kept.substr(5 + name_octets, value_octets);
    kept.remove_prefix(5 + name_octets + value_octets);
    if (mode != kRemove) {
      add_edit(count, HeaderEditMode{mode}, name, value, has_field(head.text, head.fields, name));
    } else if (count < edits_.size()) {
      edits_[count++] = {Op::remove, name};
    } else {
      count = kNone;
    }
    if (count == kNone) return kNone;
  }
  return count;
}

}  // namespace penstock::proxy
