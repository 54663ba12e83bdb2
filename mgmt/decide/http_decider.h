// http_decider.h - answers questions about requests: by rules of the configuration, or as an authorizer says.
//
// Model     a question names its target by an id that is a hash of what the target says; the book holds those of the
//           configuration in force. Rules are read by the same code as those on the workers (l7/policy).
// Units     lifetimes in milliseconds.
// Errors    a question to a target that is not in the book is not answered: its asker has a deadline and a default.
// Not here  draining the rings (mgmt/daemon), the call itself (authorizer_call.h).
#pragma once
#include <optional>
#include <string>
#include <unordered_map>
#include <variant>
#include <vector>

#include "dataplane/control/http_question.h"
#include "dataplane/control/question.h"
#include "dataplane/control/snapshot_writer.h"
#include "mgmt/config/config.h"
#include "mgmt/decide/decider.h"

namespace penstock::decide {

struct HttpRules {
  control::SnapshotContent tables;                               ///< rules and their terms
  std::vector<std::uint32_t> lifetimes_ms{};                     ///< of the rules
  control::PolicyAction otherwise{control::PolicyAction::deny};  ///< for kDefaultLifetimeMs
};
using HttpTarget = std::variant<HttpRules, route::ExternalAuthorizer>;
using HttpBook = std::unordered_map<std::uint64_t, HttpTarget>;

/// All targets of a configuration.
[[nodiscard]] HttpBook http_book(const config::Config& config);

[[nodiscard]] control::Answer answer(const HttpRules& rules, const control::HttpQuestion& question);
/// By the status of an authorizer's answer; without one (nullopt) by what holds then, for this request alone.
[[nodiscard]] control::Answer answer(const route::ExternalAuthorizer& external, const control::HttpQuestion& question,
                                     std::optional<int> status);
/// What an authorizer is asked: the request's own method, host, path and chosen headers, without its body.
[[nodiscard]] std::string authorizer_request(const route::ExternalAuthorizer& external,
                                             const control::HttpQuestion& question);

}  // namespace penstock::decide
