// policy_config.h - what is done with requests beside routing them, as configuration.
//
// Model     plain values beside a route or a virtual host; nothing here is checked (mgmt/config does).
// Units     times in milliseconds, shares in percent.
// Errors    none.
// Not here  how they are carried out: control/policy_layout.h, l7/policy.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "dataplane/control/policy_layout.h"
#include "dataplane/core/addresses.h"

namespace penstock::route {

struct HeaderTerm {
  control::TermKind kind{control::TermKind::header_present};
  std::string name{};  ///< lower case
  std::string value{};
  bool invert{false};
  friend bool operator==(const HeaderTerm&, const HeaderTerm&) = default;
};

/// Holds when any of the sources, any of the methods, any of the paths or prefixes and all of the headers hold; what is
/// empty holds.
struct AuthorizationRule {
  control::PolicyAction action{control::PolicyAction::deny};
  std::vector<IpPrefix> sources{};
  std::vector<std::string> methods{};
  std::vector<std::string> paths{};
  std::vector<std::string> prefixes{};
  std::vector<HeaderTerm> headers{};
  friend bool operator==(const AuthorizationRule&, const AuthorizationRule&) = default;
};

/// What the daemon decides by when a rule says ask.
struct AskRule {
  AuthorizationRule match{};  ///< allow or deny
  std::uint32_t lifetime_ms{60'000};
  friend bool operator==(const AskRule&, const AskRule&) = default;
};
struct AskPolicy {
  std::vector<AskRule> rules{};                                  ///< the first that holds decides
  control::PolicyAction otherwise{control::PolicyAction::deny};  ///< no rule holds, or no answer in time
  std::uint32_t deadline_ms{200};
  friend bool operator==(const AskPolicy&, const AskPolicy&) = default;
};
/// Whom the daemon asks when a rule says external.
struct ExternalAuthorizer {
  IpAddress address{};
  std::uint16_t port{};
  std::string path_prefix{};  ///< before the request's own path
  std::uint32_t timeout_ms{200};
  std::uint32_t lifetime_ms{0};  ///< of its answers
  std::vector<std::string> headers{};
  control::PolicyAction on_failure{control::PolicyAction::deny};
  friend bool operator==(const ExternalAuthorizer&, const ExternalAuthorizer&) = default;
};

struct Authorization {
  std::vector<AuthorizationRule> rules{};  ///< the first that holds decides
  control::PolicyAction otherwise{control::PolicyAction::deny};
  std::optional<AskPolicy> ask{};
  std::optional<ExternalAuthorizer> external{};
  friend bool operator==(const Authorization&, const Authorization&) = default;
};

/// `requests` per `per_ms`; `burst` at once after a pause.
struct RateLimit {
  std::uint32_t requests{1};
  std::uint32_t per_ms{1000};
  std::uint32_t burst{0};  ///< 0 = as many as `requests`
  friend bool operator==(const RateLimit&, const RateLimit&) = default;
};

struct Fault {
  std::uint32_t delay_ms{0};
  std::uint32_t delay_percent{0};
  std::uint16_t abort_status{0};
  std::uint32_t abort_percent{0};
  std::vector<HeaderTerm> headers{};  ///< all must hold
  friend bool operator==(const Fault&, const Fault&) = default;
};

struct Mirror {
  std::string cluster{};
  std::uint32_t percent{100};
  friend bool operator==(const Mirror&, const Mirror&) = default;
};

struct RoutePolicy {
  std::optional<Authorization> authorization{};  ///< instead of the virtual host's
  std::optional<RateLimit> rate_limit{};
  std::optional<RateLimit> client_rate_limit{};
  std::optional<Fault> fault{};
  std::optional<Mirror> mirror{};
  std::optional<std::uint32_t> max_request_body{};  ///< octets, instead of the listener's
  friend bool operator==(const RoutePolicy&, const RoutePolicy&) = default;
};

}  // namespace penstock::route
