// target.h - request targets and authorities (RFC 9112 s3.2, RFC 3986).
//
// Model     split_target() takes a target apart by its form; check_authority() judges host and port; normalise_path()
//           rewrites a path as the policy says. Routing must use what is forwarded, so both use the same text.
// Units     octets.
// Errors    a RejectReason each.
// Not here  which authorities may be CONNECTed to (message_rules.h).
#pragma once
#include <cstdint>
#include <span>
#include <string_view>

#include "l7/http1/classify.h"
#include "l7/http1/head.h"
#include "l7/http1/reject.h"

namespace penstock::http1 {

/// Fills form, target, path, query, authority and path_needs_normalising of `head`; its method is known. `begin` is
/// where the target begins in head.text and `limit` where its line's CR stands. The target ends at the first octet
/// that is no URI character, which must be a space.
[[nodiscard]] RejectReason split_target(std::size_t begin, std::size_t limit, const HttpValidationPolicy& policy,
                                        const Classifier& classifier, RequestHead& head);

/// Is this host [":" port]? `port_needed` for CONNECT.
[[nodiscard]] RejectReason check_authority(std::string_view authority, bool port_needed, bool allow_sub_delims);

/// Writes `path` as the policy's normalise rules say; it begins with a slash and came out of split_target(). `out` has
/// at least path.size() octets. Dot segments go as in RFC 3986 s5.2.4: what climbs above the root stays at the root.
[[nodiscard]] std::string_view normalise_path(std::string_view path, const HttpValidationPolicy& policy,
                                              std::span<char> out);

}  // namespace penstock::http1
