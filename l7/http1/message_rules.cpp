#include "l7/http1/message_rules.h"

#include <utility>

#include "l7/http1/chars.h"
#include "l7/http1/target.h"

namespace penstock::http1 {

namespace {

constexpr RejectReason kOk = RejectReason::none;

/// Calls `use(element)` for each element of all lines of a list field until it answers a reason. Empty elements are
/// passed over (RFC 9110 s5.6.1.2).
template <typename Use>
RejectReason for_each_element(std::string_view text, const FieldTable& fields, KnownField known, Use use) {
  for (std::uint32_t i = fields.first[static_cast<std::size_t>(known)]; i < fields.count; ++i) {
    if (fields.fields[i].known != known) continue;
    for (std::string_view rest = fields.fields[i].value.in(text); !rest.empty();) {
      const std::string_view element = next_element(rest);
      if (element.empty()) continue;
      if (const RejectReason reason = use(element); reason != kOk) return reason;
    }
    if ((fields.repeated & bit(known)) == 0) break;
  }
  return kOk;
}

/// Why a Transfer-Encoding that is not "chunked" is refused: a real coding in front of it is only not implemented.
RejectReason judge_transfer_encoding(std::string_view value) {
  constexpr std::string_view kCodings[] = {"gzip", "x-gzip", "deflate", "compress", "x-compress"};
  bool last_is_chunked = false;
  if (value.ends_with(',')) return RejectReason::transfer_encoding_malformed;
  while (!value.empty()) {
    if (last_is_chunked) return RejectReason::transfer_encoding_malformed;
    const std::string_view coding = next_element(value);
    last_is_chunked = same_folded(coding, "chunked");
    bool known = last_is_chunked;
    for (const std::string_view name : kCodings) known |= same_folded(coding, name);
    if (!known) return RejectReason::transfer_encoding_malformed;
  }
  return last_is_chunked ? RejectReason::transfer_encoding_unsupported : RejectReason::transfer_encoding_malformed;
}

/// "5, 5" and equal lines are one value when the policy says so.
RejectReason identical_lengths(std::string_view text, const FieldTable& fields, std::uint64_t& out) {
  bool any = false;
  const RejectReason reason = for_each_element(text, fields, KnownField::content_length, [&](std::string_view element) {
    std::uint64_t value = 0;
    if (const RejectReason bad = parse_content_length(element, value); bad != kOk) return bad;
    if (any && value != out) return RejectReason::content_length_repeated;
    any = true;
    out = value;
    return kOk;
  });
  return reason == kOk && !any ? RejectReason::content_length_malformed : reason;
}

/// Does Connection name something that we may not strip? Marks the fields that it names.
RejectReason nominate(std::string_view text, std::string_view option, KnownField known, FieldTable& fields,
                      const HttpValidationPolicy& policy) {
  const std::uint8_t use = use_of(known);
  if ((use & kFraming) != 0) return RejectReason::connection_names_framing;
  if ((use & kEndToEnd) != 0 && !policy.allow_connection_naming_end_to_end)
    return RejectReason::connection_names_end_to_end;
  if ((use & kHopByHop) != 0) return kOk;  // stripped in any case
  for (std::uint32_t i = 0; i < fields.count; ++i)
    if (same_folded(fields.fields[i].name.in(text), option)) fields.fields[i].use |= kHopByHop;
  return kOk;
}

/// Is one the other with the port behind it that its scheme has anyway (RFC 9110 s4.2.3)?
bool same_but_port(std::string_view a, std::string_view b, std::string_view target) {
  if (a.size() < b.size()) std::swap(a, b);
  const std::string_view port = target[4] == ':' ? ":80" : ":443";  // of http and https, which are all that there are
  return a.size() == b.size() + port.size() && a.ends_with(port) && same_folded(a.substr(0, b.size()), b);
}

RejectReason apply_host(const HttpValidationPolicy& policy, RequestHead& head) {
  if (!head.fields.has(KnownField::host)) {
    // Without Host and without a target's authority nothing says where the request goes.
    const bool optional = head.minor == 0 && policy.allow_http10_without_host;
    return optional ? kOk : RejectReason::host_missing;
  }
  if ((head.fields.repeated & bit(KnownField::host)) != 0) return RejectReason::host_repeated;
  const Span host = head.fields.at(KnownField::host).value;
  const RejectReason reason = check_authority(host.in(head.text), false, policy.allow_sub_delims_in_host);
  if (reason != kOk) return reason;
  if (head.authority.octets == 0) {
    head.authority = host;
    return kOk;
  }
  const std::string_view authority = head.authority.in(head.text), value = host.in(head.text);
  if (same_folded(authority, value)) return kOk;
  const std::string_view target = head.target.in(head.text);
  if (head.form == TargetForm::absolute && same_but_port(authority, value, target)) return kOk;
  // CONNECT always names a port; Host may leave it out.
  const bool host_only = head.method == Method::connect && authority.size() > value.size() &&
                         same_folded(authority.substr(0, value.size()), value) && authority[value.size()] == ':' &&
                         authority.find(':', value.size() + 1) == std::string_view::npos;
  return host_only ? kOk : RejectReason::host_mismatch;
}

RejectReason apply_connect(const HttpValidationPolicy& policy, const RequestHead& head) {
  const std::string_view authority = head.authority.in(head.text);
  for (const std::string_view allowed : policy.connect_targets) {
    if (allowed == "*" || same_folded(authority, allowed)) return kOk;
    if (allowed.starts_with("*:") && authority.substr(authority.rfind(':')) == allowed.substr(1)) return kOk;
  }
  return RejectReason::connect_refused;
}

RejectReason apply_expect(RequestHead& head) {
  if (!head.fields.has(KnownField::expect)) return kOk;
  const bool repeated = (head.fields.repeated & bit(KnownField::expect)) != 0;
  const Field& field = head.fields.at(KnownField::expect);
  if (repeated || !same_folded(field.value.in(head.text), "100-continue")) return RejectReason::expect_unsupported;
  // An HTTP/1.0 client cannot know it, and without a body there is nothing to continue with (RFC 9110 s10.1.1).
  head.expect_continue = head.minor == 1 && head.framing.kind != BodyKind::none;
  return kOk;
}

}  // namespace

RejectReason parse_content_length(std::string_view value, std::uint64_t& out) {
  if (value.empty() || !all(value, kDigit)) return RejectReason::content_length_malformed;
  if (value.size() > 19) return RejectReason::content_length_overflow;  // 2^63-1 has 19 digits, 10^19 fits 64 bits
  std::uint64_t number = 0;
  for (const char digit : value) number = number * 10 + static_cast<std::uint64_t>(digit - '0');
  if (number > 0x7fffffffffffffffu) return RejectReason::content_length_overflow;
  out = number;
  return kOk;
}

RejectReason framing_of(std::string_view text, const FieldTable& fields, std::uint8_t minor,
                        const HttpValidationPolicy& policy, Framing& out) {
  out = {};
  const bool length = fields.has(KnownField::content_length), coding = fields.has(KnownField::transfer_encoding);
  if (length && coding) return RejectReason::content_length_with_transfer_encoding;
  if (coding) {
    if (minor == 0) return RejectReason::transfer_encoding_in_http10;
    if ((fields.repeated & bit(KnownField::transfer_encoding)) != 0) return RejectReason::transfer_encoding_repeated;
    const std::string_view value = fields.at(KnownField::transfer_encoding).value.in(text);
    if (!same_folded(value, "chunked")) return judge_transfer_encoding(value);
    out.kind = BodyKind::chunked;
  }
  if (length) {
    if (policy.allow_identical_content_lengths) {
      if (const RejectReason reason = identical_lengths(text, fields, out.content_length); reason != kOk) return reason;
    } else {
      if ((fields.repeated & bit(KnownField::content_length)) != 0) return RejectReason::content_length_repeated;
      const std::string_view value = fields.at(KnownField::content_length).value.in(text);
      if (const RejectReason reason = parse_content_length(value, out.content_length); reason != kOk) return reason;
    }
    out.kind = BodyKind::content_length;
    out.has_content_length = true;
  }
  return kOk;
}

RejectReason read_connection(std::string_view text, FieldTable& fields, const HttpValidationPolicy& policy,
                             ConnectionOptions& out) {
  if (!fields.has(KnownField::connection)) return kOk;
  // Nearly always one option: a hop-by-hop name that needs no further look.
  if ((fields.repeated & bit(KnownField::connection)) == 0) {
    const KnownField known = known_field(fields.at(KnownField::connection).value.in(text));
    out.keep_alive = known == KnownField::keep_alive;
    out.upgrade = known == KnownField::upgrade;
    if (out.keep_alive || out.upgrade) return kOk;
  }
  std::size_t options = 0;
  return for_each_element(text, fields, KnownField::connection, [&](std::string_view option) {
    if (++options > kConnectionOptionMax) return RejectReason::connection_options;
    const KnownField known = known_field(option);
    if (known == KnownField::unknown) {
      if (!is_token(option)) return RejectReason::connection_malformed;
      if (same_folded(option, "close")) {
        out.close = true;
        return kOk;
      }
    }
    out.keep_alive |= known == KnownField::keep_alive;
    out.upgrade |= known == KnownField::upgrade;
    out.te |= known == KnownField::te;
    return nominate(text, option, known, fields, policy);
  });
}

RejectReason read_upgrade(std::string_view text, const FieldTable& fields, const HttpValidationPolicy& policy,
                          std::uint8_t& out) {
  out = 0;
  std::size_t protocols = 0;
  return for_each_element(text, fields, KnownField::upgrade, [&](std::string_view protocol) {
    const std::size_t slash = protocol.find('/');
    const bool version = slash != std::string_view::npos;
    if (++protocols > kUpgradeTokenMax || !is_token(protocol.substr(0, slash)) ||
        (version && !is_token(protocol.substr(slash + 1))))
      return RejectReason::upgrade_malformed;
    for (std::size_t i = 0; i < policy.upgrade_tokens.size() && out == 0; ++i)
      if (same_folded(protocol, policy.upgrade_tokens[i])) out = static_cast<std::uint8_t>(i + 1);
    return kOk;
  });
}

RejectReason apply_request_rules(const HttpValidationPolicy& policy, RequestHead& head) {
  if (const RejectReason reason = apply_host(policy, head); reason != kOk) return reason;
  if (const RejectReason reason = framing_of(head.text, head.fields, head.minor, policy, head.framing); reason != kOk)
    return reason;
  ConnectionOptions options;
  if (const RejectReason reason = read_connection(head.text, head.fields, policy, options); reason != kOk)
    return reason;
  head.keep_alive = !options.close && (head.minor == 1 || options.keep_alive);
  head.te_trailers = false;
  if (head.fields.has(KnownField::te) && options.te)
    static_cast<void>(for_each_element(head.text, head.fields, KnownField::te, [&head](std::string_view coding) {
      head.te_trailers |= same_folded(coding, "trailers");
      return kOk;
    }));
  head.upgrade = 0;
  if (head.fields.has(KnownField::upgrade)) {
    if (const RejectReason reason = read_upgrade(head.text, head.fields, policy, head.upgrade); reason != kOk)
      return reason;
    if (!options.upgrade || head.minor == 0) head.upgrade = 0;  // RFC 9110 s7.8: ignored then
  }
  head.expect_continue = false;
  if (const RejectReason reason = apply_expect(head); reason != kOk) return reason;
  const bool no_body = head.method == Method::connect || head.method == Method::trace || head.upgrade != 0;
  const bool empty = head.framing.kind == BodyKind::content_length && head.framing.content_length == 0;
  if (no_body && head.framing.kind != BodyKind::none && !(empty && head.method != Method::connect))
    return RejectReason::body_not_allowed;
  return head.method == Method::connect ? apply_connect(policy, head) : kOk;
}

}  // namespace penstock::http1
