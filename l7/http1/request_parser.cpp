#include "l7/http1/request_parser.h"

#include <cstring>

#include "dataplane/core/require.h"
#include "l7/http1/chars.h"
#include "l7/http1/field_parser.h"
#include "l7/http1/message_rules.h"
#include "l7/http1/target.h"

namespace penstock::http1 {

namespace {

Method method_of(std::string_view text) {
  switch (text.size()) {
    case 3:
      return text == "GET" ? Method::get : text == "PUT" ? Method::put : Method::other;
    case 4:
      return text == "POST" ? Method::post : text == "HEAD" ? Method::head : Method::other;
    case 5:
      return text == "PATCH" ? Method::patch : text == "TRACE" ? Method::trace : Method::other;
    case 6:
      return text == "DELETE" ? Method::delete_ : Method::other;
    case 7:
      return text == "OPTIONS" ? Method::options : text == "CONNECT" ? Method::connect : Method::other;
    default:
      return Method::other;
  }
}

/// "HTTP/1.1" and nothing else up to the CR.
RejectReason read_version(std::string_view text, std::uint8_t& minor) {
  const auto digit = [](char c) { return is(c, kDigit); };
  if (text.size() != 8 || std::memcmp(text.data(), "HTTP/", 5) != 0 || !digit(text[5]) || text[6] != '.' ||
      !digit(text[7]))
    return RejectReason::version_malformed;
  if (text[5] != '1' || text[7] > '1') return RejectReason::version_unsupported;
  minor = static_cast<std::uint8_t>(text[7] - '0');
  return RejectReason::none;
}

}  // namespace

RequestParser::RequestParser(const HeadLimits& limits, const HttpValidationPolicy& policy, const Classifier& classifier)
    : limits_{&limits}, policy_{&policy}, classifier_{&classifier}, scan_{{0, 0}} {
  require(limits.head_octets <= kHeadOctetsMax && limits.fields <= kFieldMax, "limits of a head above the ceilings");
  reset();
}

void RequestParser::reset() {
  scan_ = HeadScan{{limits_->head_octets, limits_->fields + 2}};
  skipped_ = 0;
  reason_ = RejectReason::none;
}

ParseStatus RequestParser::reject(RejectReason reason) {
  reason_ = reason;
  return ParseStatus::rejected;
}

ParseStatus RequestParser::parse(std::string_view text, Marks& marks, RequestHead& head) {
  if (skipped_ == 0 && !text.empty() && text[0] == '\r') [[unlikely]] {
    if (text.size() == 1) return ParseStatus::more;
    if (text[1] == '\n') {
      skipped_ = 2;
      scan_ = HeadScan{{limits_->head_octets - 2, limits_->fields + 2}};
    }
  }
  head.text = text.substr(skipped_);
  const ParseStatus status = scan_.scan(head.text, *classifier_, marks);
  if (status == ParseStatus::more) return status;
  if (status == ParseStatus::rejected) {
    const bool endless_line = scan_.reason() == RejectReason::head_too_large && scan_.in_first_line();
    return reject(endless_line ? RejectReason::target_too_long : scan_.reason());
  }
  head.text = head.text.substr(0, scan_.head_octets());
  head.octets = skipped_ + scan_.head_octets();
  if (scan_.lines() == 0) return reject(RejectReason::leading_empty_line);
  RejectReason reason = read_line(marks, head);
  if (reason == RejectReason::none)
    reason =
        parse_fields(head.text, std::size_t{marks[1]} + 1, {marks.data() + 2, 2 * (scan_.lines() - std::size_t{1})},
                     policy_->underscore_in_names, classifier_->level, head.fields);
  if (reason == RejectReason::none) reason = apply_request_rules(*policy_, head);
  return reason == RejectReason::none ? ParseStatus::complete : reject(reason);
}

RejectReason RequestParser::read_line(const Marks& marks, RequestHead& head) const {
  std::size_t method = marks[0];
  const std::size_t cr = marks[1] - std::size_t{1};
  while (head.text[method] == '_' || (method > marks[0] && is(head.text[method], kTokenChar))) ++method;
  if (method == 0 || head.text[method] != ' ') return RejectReason::request_line_malformed;
  if (method > kMethodOctetsMax) return RejectReason::method_too_long;
  head.method_text = {0, static_cast<std::uint16_t>(method)};
  head.method = method_of(head.method_text.in(head.text));
  const RejectReason reason = split_target(method + 1, cr, *policy_, *classifier_, head);
  if (reason != RejectReason::none) return reason;
  if (head.target.octets > limits_->target_octets) return RejectReason::target_too_long;
  const std::size_t version = std::size_t{head.target.at} + head.target.octets + 1;
  return read_version(head.text.substr(version, cr - version), head.minor);
}

}  // namespace penstock::http1
