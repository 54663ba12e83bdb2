// reject.h - the one list of why an HTTP/1.1 message is refused.
//
// Model     one enum, one table in enum order: name, status to answer, section, meaning. Metrics and the table of
//           docs/architecture/http1.md come from it. A refused message ends its connection; nothing is repaired.
// Units     status codes of RFC 9110 s15. A malformed response is always the client's 502.
// Errors    none.
// Rule      append only, before `count`.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace penstock::http1 {

enum class RejectReason : std::uint8_t {
  none,
  // the octets of a head
  control_octet,
  bare_cr,
  bare_lf,
  leading_empty_line,
  head_too_large,
  too_many_fields,
  // the request line
  request_line_malformed,
  method_too_long,
  target_malformed,
  target_too_long,
  target_form,
  percent_encoding,
  encoded_nul,
  encoded_slash,
  encoded_backslash,
  dot_segment,
  userinfo,
  version_malformed,
  version_unsupported,
  // field lines
  obs_fold,
  space_before_colon,
  name_empty,
  name_malformed,
  name_underscore,
  // Host
  host_missing,
  host_repeated,
  host_malformed,
  host_mismatch,
  // framing
  content_length_malformed,
  content_length_repeated,
  content_length_overflow,
  content_length_with_transfer_encoding,
  transfer_encoding_malformed,
  transfer_encoding_repeated,
  transfer_encoding_unsupported,
  transfer_encoding_in_http10,
  body_not_allowed,
  // connection management
  connection_malformed,
  connection_options,
  connection_names_framing,
  connection_names_end_to_end,
  upgrade_malformed,
  expect_unsupported,
  connect_refused,
  // chunked bodies
  chunk_size_malformed,
  chunk_size_overflow,
  chunk_end_malformed,
  chunk_extension_malformed,
  chunk_extension_too_long,
  trailer_too_large,
  // responses
  status_line_malformed,
  status_code_invalid,
  too_many_interim,
  switch_unexpected,
  switch_mismatch,
  body_truncated,
  octets_after_response,
  count
};
inline constexpr std::size_t kRejectReasonCount = static_cast<std::size_t>(RejectReason::count);

/// One row per RejectReason, in enum order.
struct RejectInfo {
  RejectReason reason;
  std::string_view name;
  std::uint16_t status;  ///< the answer to a refused request; 502 where only responses can have the fault
  std::string_view section;
  std::string_view meaning;
};
inline constexpr std::array kRejectReasons{
    RejectInfo{RejectReason::none, "none", 0, "", "not refused"},
    RejectInfo{RejectReason::control_octet, "control_octet", 400, "9110 5.5",
               "NUL, DEL or another control octet in the head"},
    RejectInfo{RejectReason::bare_cr, "bare_cr", 400, "9112 2.2", "CR that no LF follows"},
    RejectInfo{RejectReason::bare_lf, "bare_lf", 400, "9112 2.2", "LF without CR before it"},
    RejectInfo{RejectReason::leading_empty_line, "leading_empty_line", 400, "9112 2.2",
               "more than one empty line before a request line, or any before a status line"},
    RejectInfo{RejectReason::head_too_large, "head_too_large", 431, "6585 5",
               "head longer than HeadLimits::head_octets"},
    RejectInfo{RejectReason::too_many_fields, "too_many_fields", 431, "6585 5",
               "more field lines than HeadLimits::fields"},
    RejectInfo{RejectReason::request_line_malformed, "request_line_malformed", 400, "9112 3",
               "not method, one space, target, one space, version"},
    RejectInfo{RejectReason::method_too_long, "method_too_long", 501, "9112 3", "method longer than 32 octets"},
    RejectInfo{
        RejectReason::target_malformed, "target_malformed", 400, "9112 3.2",
        "an octet in the request target that no URI may have, such as a fragment, a quote or anything above 0x7e"},
    RejectInfo{RejectReason::target_too_long, "target_too_long", 414, "9110 15.5.15",
               "request target longer than HeadLimits::target_octets"},
    RejectInfo{RejectReason::target_form, "target_form", 400, "9112 3.2",
               "target in a form that this method or the policy does not permit"},
    RejectInfo{RejectReason::percent_encoding, "percent_encoding", 400, "3986 2.1", "% without two hexadecimal digits"},
    RejectInfo{RejectReason::encoded_nul, "encoded_nul", 400, "3986 7.3", "%00 in the request target"},
    RejectInfo{RejectReason::encoded_slash, "encoded_slash", 400, "3986 7.3", "%2f in the path (policy)"},
    RejectInfo{RejectReason::encoded_backslash, "encoded_backslash", 400, "3986 7.3", "%5c in the path (policy)"},
    RejectInfo{RejectReason::dot_segment, "dot_segment", 400, "3986 6.2.2.3",
               "/./ or /../ in the path, encoded or not (policy)"},
    RejectInfo{RejectReason::userinfo, "userinfo", 400, "9110 4.2.4", "user information in the authority"},
    RejectInfo{RejectReason::version_malformed, "version_malformed", 400, "9112 2.3",
               "version is not HTTP/digit.digit"},
    RejectInfo{RejectReason::version_unsupported, "version_unsupported", 505, "9110 15.6.6",
               "neither HTTP/1.0 nor HTTP/1.1"},
    RejectInfo{RejectReason::obs_fold, "obs_fold", 400, "9112 5.2", "field line that begins with white space"},
    RejectInfo{RejectReason::space_before_colon, "space_before_colon", 400, "9112 5.1",
               "white space between name and colon"},
    RejectInfo{RejectReason::name_empty, "name_empty", 400, "9110 5.1", "field line that begins with a colon"},
    RejectInfo{RejectReason::name_malformed, "name_malformed", 400, "9110 5.1",
               "field name that is no token, or no colon"},
    RejectInfo{RejectReason::name_underscore, "name_underscore", 400, "9110 5.1",
               "underscore in a field name, which applications read as a dash (policy)"},
    RejectInfo{RejectReason::host_missing, "host_missing", 400, "9112 3.2", "no Host"},
    RejectInfo{RejectReason::host_repeated, "host_repeated", 400, "9112 3.2", "more than one Host"},
    RejectInfo{RejectReason::host_malformed, "host_malformed", 400, "9112 3.2",
               "Host is no host with an optional port"},
    RejectInfo{RejectReason::host_mismatch, "host_mismatch", 400, "9112 3.2",
               "Host differs from the target's authority"},
    RejectInfo{RejectReason::content_length_malformed, "content_length_malformed", 400, "9110 8.6",
               "Content-Length is not digits only"},
    RejectInfo{RejectReason::content_length_repeated, "content_length_repeated", 400, "9112 6.3",
               "more than one Content-Length"},
    RejectInfo{RejectReason::content_length_overflow, "content_length_overflow", 413, "9110 8.6",
               "Content-Length above 2^63-1"},
    RejectInfo{RejectReason::content_length_with_transfer_encoding, "content_length_with_transfer_encoding", 400,
               "9112 6.3", "both Content-Length and Transfer-Encoding"},
    RejectInfo{RejectReason::transfer_encoding_malformed, "transfer_encoding_malformed", 400, "9112 6.1",
               "Transfer-Encoding is not exactly chunked"},
    RejectInfo{RejectReason::transfer_encoding_repeated, "transfer_encoding_repeated", 400, "9112 6.1",
               "more than one Transfer-Encoding"},
    RejectInfo{RejectReason::transfer_encoding_unsupported, "transfer_encoding_unsupported", 501, "9112 6.1",
               "a registered transfer coding other than chunked before it"},
    RejectInfo{RejectReason::transfer_encoding_in_http10, "transfer_encoding_in_http10", 400, "9112 6.1",
               "Transfer-Encoding in an HTTP/1.0 message"},
    RejectInfo{RejectReason::body_not_allowed, "body_not_allowed", 400, "9110 9.3.6",
               "framing header on CONNECT or TRACE, or on a request that asks for an upgrade"},
    RejectInfo{RejectReason::connection_malformed, "connection_malformed", 400, "9110 7.6.1",
               "Connection is no list of tokens"},
    RejectInfo{RejectReason::connection_options, "connection_options", 400, "9110 7.6.1",
               "more than 16 connection options"},
    RejectInfo{RejectReason::connection_names_framing, "connection_names_framing", 400, "9110 7.6.1",
               "Connection names Host, Content-Length, Transfer-Encoding or Trailer"},
    RejectInfo{RejectReason::connection_names_end_to_end, "connection_names_end_to_end", 400, "9110 7.6.1",
               "Connection names a field meant for the endpoint, so that we would strip it (policy)"},
    RejectInfo{RejectReason::upgrade_malformed, "upgrade_malformed", 400, "9110 7.8",
               "Upgrade is no list of protocols"},
    RejectInfo{RejectReason::expect_unsupported, "expect_unsupported", 417, "9110 10.1.1",
               "Expect is not 100-continue"},
    RejectInfo{RejectReason::connect_refused, "connect_refused", 403, "9110 9.3.6",
               "CONNECT to what is not on the allow-list"},
    RejectInfo{RejectReason::chunk_size_malformed, "chunk_size_malformed", 400, "9112 7.1",
               "chunk size is not hexadecimal digits"},
    RejectInfo{RejectReason::chunk_size_overflow, "chunk_size_overflow", 413, "9112 7.1",
               "chunk size of more than 16 digits or above 2^63-1"},
    RejectInfo{RejectReason::chunk_end_malformed, "chunk_end_malformed", 400, "9112 7.1",
               "chunk data without CRLF behind it"},
    RejectInfo{RejectReason::chunk_extension_malformed, "chunk_extension_malformed", 400, "9112 7.1.1",
               "control octet, bare CR or bare LF in a chunk extension"},
    RejectInfo{RejectReason::chunk_extension_too_long, "chunk_extension_too_long", 400, "9112 7.1.1",
               "chunk extensions longer than BodyLimits allow"},
    RejectInfo{RejectReason::trailer_too_large, "trailer_too_large", 431, "6585 5",
               "trailer section longer than its buffer"},
    RejectInfo{RejectReason::status_line_malformed, "status_line_malformed", 502, "9112 4",
               "not version, one space, three digits, one space, reason"},
    RejectInfo{RejectReason::status_code_invalid, "status_code_invalid", 502, "9110 15", "status code outside 100-599"},
    RejectInfo{RejectReason::too_many_interim, "too_many_interim", 502, "9110 15.2",
               "more 1xx responses than the limit"},
    RejectInfo{RejectReason::switch_unexpected, "switch_unexpected", 502, "9110 7.8",
               "101 although no upgrade was forwarded"},
    RejectInfo{RejectReason::switch_mismatch, "switch_mismatch", 502, "9110 7.8",
               "101 to a protocol that was not forwarded"},
    RejectInfo{RejectReason::body_truncated, "body_truncated", 502, "9112 8",
               "connection closed before the body was complete"},
    RejectInfo{RejectReason::octets_after_response, "octets_after_response", 502, "9112 9.2",
               "octets on an upstream connection that has no request open"},
};
static_assert(kRejectReasons.size() == kRejectReasonCount);
static_assert([] {
  for (std::size_t i = 0; i < kRejectReasons.size(); ++i)
    if (static_cast<std::size_t>(kRejectReasons[i].reason) != i) return false;
  return true;
}());

[[nodiscard]] constexpr std::string_view name_of(RejectReason reason) {
  return kRejectReasons[static_cast<std::size_t>(reason)].name;
}
/// What a client is told: the row's status for its own fault, 502 for the upstream's.
[[nodiscard]] constexpr std::uint16_t status_of(RejectReason reason, bool in_response = false) {
  return in_response ? 502 : kRejectReasons[static_cast<std::size_t>(reason)].status;
}

}  // namespace penstock::http1
