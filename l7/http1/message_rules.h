// message_rules.h - what the fields of a head mean together: framing, connection management, Host.
//
// Model     one function per rule; each reads the FieldTable and either sets its part of the head or names the reason.
//           The order of the calls is the order in which reasons win.
// Units     octets.
// Errors    a RejectReason each.
// Limits    kConnectionOptionMax options, kUpgradeTokenMax protocols.
// Not here  field syntax (field_parser.h); the order of messages (exchange.h).
#pragma once
#include <string_view>

#include "l7/http1/head.h"
#include "l7/http1/reject.h"

namespace penstock::http1 {

/// Content-Length and Transfer-Encoding alone (RFC 9112 s6): kind none, content_length or chunked.
[[nodiscard]] RejectReason framing_of(std::string_view text, const FieldTable& fields, std::uint8_t minor,
                                      const HttpValidationPolicy& policy, Framing& out);

/// What Connection says (RFC 9110 s7.6.1). Fields that it names get kHopByHop.
struct ConnectionOptions {
  bool close{}, keep_alive{}, upgrade{}, te{};
};
[[nodiscard]] RejectReason read_connection(std::string_view text, FieldTable& fields,
                                           const HttpValidationPolicy& policy, ConnectionOptions& out);

/// 1 + index of the first protocol of Upgrade that the policy allows, 0 when there is none (RFC 9110 s7.8).
[[nodiscard]] RejectReason read_upgrade(std::string_view text, const FieldTable& fields,
                                        const HttpValidationPolicy& policy, std::uint8_t& out);

/// All rules of a request; its line and fields are parsed.
[[nodiscard]] RejectReason apply_request_rules(const HttpValidationPolicy& policy, RequestHead& head);
/// Content-Length digits of RFC 9110 s8.6, at most 2^63-1.
[[nodiscard]] RejectReason parse_content_length(std::string_view value, std::uint64_t& out);

}  // namespace penstock::http1
