// Sessions that stay at their endpoint: a cookie names it by a number that only the daemon can make.
#include <algorithm>

#include "l7/proxy/proxy.h"

namespace penstock::proxy {
namespace {

constexpr std::size_t kAffinityDigits = 16;

/// 0 when it is none of ours.
std::uint64_t read_affinity(std::string_view value) {
  if (value.size() != kAffinityDigits) return 0;
  std::uint64_t out = 0;
  for (const char c : value) {
    const bool digit = c >= '0' && c <= '9';
    if (!digit && !(c >= 'a' && c <= 'f')) return 0;
    out = out << 4 | static_cast<std::uint64_t>(digit ? c - '0' : c - 'a' + 10);
  }
  return out;
}

}  // namespace

/// What the request's cookie says, true or not.
std::uint64_t HttpProxy::affinity_of_request(const ClusterView& cluster) {
  const std::string_view name = config_->snapshot.text(cluster.policy->affinity.cookie);
  const http1::FieldTable& fields = request_head_.fields;
  if (name.empty() || !fields.has(http1::KnownField::cookie)) return 0;
  for (std::uint32_t i = 0; i < fields.count; ++i) {
    if (fields.fields[i].known != http1::KnownField::cookie) continue;
    const std::string_view value = cookie_of(fields.fields[i].value.in(request_head_.text), name);
    if (!value.empty()) return read_affinity(value);
  }
  return 0;
}

/// The endpoint that it names, as long as that takes requests; nullptr: the policy chooses.
const control::EndpointRecord* HttpProxy::bound_endpoint(const Connection& c, ClusterState& cluster,
                                                         const ClusterView& view) {
  if (c.affinity == 0 || view.policy->affinity.cookie.octets == 0) return nullptr;
  const auto at = std::find_if(view.endpoints.begin(), view.endpoints.end(),
                               [&](const auto& endpoint) { return endpoint.affinity == c.affinity; });
  return at != view.endpoints.end() && is_usable(cluster, view, *at) ? &*at : nullptr;
}

/// Tells the client where its session is, unless it knows.
void HttpProxy::affinity_edit(const Connection& c, std::size_t& count) {
  const ClusterState& state = clusters_[c.cluster];
  if (state.view == kNone) return;
  const ClusterView& view = config_->clusters[state.view];
  const control::AffinityRecord& rule = view.policy->affinity;
  if (rule.cookie.octets == 0) return;
  const auto at = std::find_if(view.endpoints.begin(), view.endpoints.end(),
                               [&](const auto& endpoint) { return endpoint.id == upstreams_[c.upstream].endpoint_id; });
  const std::uint64_t affinity = at == view.endpoints.end() ? 0 : at->affinity;
  if (affinity == 0 || affinity == c.affinity) return;
  stream::Writer out{cookie_text_};
  out.put(config_->snapshot.text(rule.cookie));
  out.put('=');
  for (std::size_t digit = kAffinityDigits; digit-- > 0;) out.put("0123456789abcdef"[affinity >> 4 * digit & 15]);
  out.put("; Path=");
  out.put(config_->snapshot.text(rule.path));
  if (rule.ttl_s != 0) {
    out.put("; Max-Age=");
    out.put_decimal(rule.ttl_s);
  }
  out.put("; HttpOnly");
  if (out.ok()) add_edit(count, route::HeaderEditMode::add, "set-cookie", out.text(), true);
}

}  // namespace penstock::proxy
