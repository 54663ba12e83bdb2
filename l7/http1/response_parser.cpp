#include "l7/http1/response_parser.h"

#include <cstring>

#include "dataplane/core/require.h"
#include "l7/http1/chars.h"
#include "l7/http1/field_parser.h"
#include "l7/http1/message_rules.h"

namespace penstock::http1 {

ResponseParser::ResponseParser(const HeadLimits& limits, const HttpValidationPolicy& policy,
                               const Classifier& classifier)
    : limits_{&limits}, policy_{&policy}, classifier_{&classifier}, scan_{{0, 0}} {
  require(limits.head_octets <= kHeadOctetsMax && limits.fields <= kFieldMax, "limits of a head above the ceilings");
  reset();
}

void ResponseParser::reset() {
  scan_ = HeadScan{{limits_->head_octets, limits_->fields + 2}};
  reason_ = RejectReason::none;
}

ParseStatus ResponseParser::parse(std::string_view text, Method method, Marks& marks, ResponseHead& head) {
  const ParseStatus status = scan_.scan(text, *classifier_, marks);
  if (status == ParseStatus::more) return status;
  if (status == ParseStatus::rejected) {
    reason_ = scan_.reason();
    return status;
  }
  head.text = text.substr(0, scan_.head_octets());
  head.octets = scan_.head_octets();
  reason_ = scan_.lines() == 0 ? RejectReason::leading_empty_line : read_line(marks, head);
  if (reason_ == RejectReason::none)
    reason_ =
        parse_fields(head.text, std::size_t{marks[1]} + 1, {marks.data() + 2, 2 * (scan_.lines() - std::size_t{1})},
                     policy_->underscore_in_names, classifier_->level, head.fields);
  if (reason_ == RejectReason::none) reason_ = apply_rules(method, head);
  return reason_ == RejectReason::none ? ParseStatus::complete : ParseStatus::rejected;
}

RejectReason ResponseParser::read_line(const Marks& marks, ResponseHead& head) const {
  constexpr std::size_t kReason = 13;  // "HTTP/1.1 200 " is in front of it
  const std::string_view line = head.text.substr(0, marks[1] - std::size_t{1});
  const bool no_space = line.size() == kReason - 1 && policy_->allow_status_line_without_reason_space;
  if ((line.size() < kReason && !no_space) || std::memcmp(line.data(), "HTTP/", 5) != 0 || !is(line[5], kDigit) ||
      line[6] != '.' || !is(line[7], kDigit) || line[8] != ' ')
    return RejectReason::status_line_malformed;
  if (line[5] != '1' || line[7] > '1') return RejectReason::version_unsupported;
  head.minor = static_cast<std::uint8_t>(line[7] - '0');
  if (!all(line.substr(9, 3), kDigit) || (!no_space && line[12] != ' ')) return RejectReason::status_line_malformed;
  head.status = static_cast<std::uint16_t>((line[9] - '0') * 100 + (line[10] - '0') * 10 + (line[11] - '0'));
  if (head.status < 100 || head.status > 599) return RejectReason::status_code_invalid;
  const std::size_t reason = no_space ? line.size() : kReason;
  head.reason = {static_cast<std::uint16_t>(reason), static_cast<std::uint16_t>(line.size() - reason)};
  return RejectReason::none;
}

RejectReason ResponseParser::apply_rules(Method method, ResponseHead& head) const {
  Framing& framing = head.framing;
  const bool interim = head.status < 200;
  const bool tunnel = method == Method::connect && head.status / 100 == 2;
  const bool no_content = interim || head.status == 204;
  const bool foreign = head.fields.has(KnownField::transfer_encoding) && (no_content || tunnel);
  // RFC 9112 s6.3 rules 1 and 2: these end with their head, whatever their fields say.
  if (no_content || tunnel) {
    framing = {.kind = tunnel ? BodyKind::tunnel : BodyKind::none};
  } else {
    const RejectReason reason = framing_of(head.text, head.fields, head.minor, *policy_, framing);
    if (reason != RejectReason::none) return reason;
    if (method == Method::head || head.status == 304)
      framing.kind = BodyKind::none;
    else if (framing.kind == BodyKind::none)
      framing.kind = BodyKind::until_close;
  }
  ConnectionOptions options;
  if (const RejectReason reason = read_connection(head.text, head.fields, *policy_, options);
      reason != RejectReason::none)
    return reason;
  // An upstream that frames what has no body may send one: its connection is not trusted with another request.
  const bool odd_length = no_content && !interim && head.fields.has(KnownField::content_length) &&
                          head.fields.at(KnownField::content_length).value.in(head.text) != "0";
  head.keep_alive = !options.close && (head.minor == 1 || options.keep_alive) && !foreign && !odd_length &&
                    framing.kind != BodyKind::until_close && !tunnel;
  head.upgrade = 0;
  if (head.status == 101) {
    if (!options.upgrade || !head.fields.has(KnownField::upgrade)) return RejectReason::switch_mismatch;
    if (const RejectReason reason = read_upgrade(head.text, head.fields, *policy_, head.upgrade);
        reason != RejectReason::none)
      return reason;
    framing.kind = BodyKind::tunnel;
    return head.upgrade == 0 ? RejectReason::switch_mismatch : RejectReason::none;
  }
  return RejectReason::none;
}

}  // namespace penstock::http1
