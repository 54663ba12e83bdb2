// authorize.h - what the rules of a policy say about a request.
//
// Model     rules in order; the first whose terms all hold decides, else the policy's own answer. Paths are compared
//           with their percent-escapes decoded, so that a letter cannot be hidden from a rule; nothing else of them is
//           changed. Of a header that comes in several lines any line may fulfil a term.
// Units     indices into control::PolicyTables.
// Shape     no allocation; time linear in rules, terms and header lines.
// Errors    none: the tables were checked (control/policy_check.cpp).
// Limits    control/limits.h bounds the rules of a snapshot.
// Not here  what is answered, counted and logged (l7/proxy).
#pragma once
#include "dataplane/control/policy_layout.h"
#include "l7/route/request_view.h"

namespace penstock::policy {

/// What a policy sees of a request.
struct Facts {
  const route::RequestView& request;
  IpAddress client;
};

/// Do all of these terms hold, by the rules of control::AuthorizationRule?
[[nodiscard]] bool hold(const control::PolicyTables& tables, std::uint32_t first_term, std::uint32_t term_count,
                        const Facts& facts);

[[nodiscard]] control::PolicyAction authorize(const control::PolicyTables& tables,
                                              const control::HttpPolicyRecord& policy, const Facts& facts);

/// Is `value` the beginning of `path` when its escapes are decoded, and, if `whole`, all of it?
[[nodiscard]] bool path_begins(std::string_view path, std::string_view value, bool whole);

}  // namespace penstock::policy
