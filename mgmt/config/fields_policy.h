// fields_policy.h - the keys of policies of routes, virtual hosts and listeners (see fields.h).
#pragma once
#include <array>

#include "dataplane/control/limits.h"
#include "l7/route/limits.h"
#include "l7/route/policy_config.h"
#include "mgmt/config/convert.h"
#include "mgmt/config/loader.h"
#include "mgmt/config/values.h"

namespace penstock::config {

using enum Presence;

inline constexpr Text kRouteName{route::kNameOctetsMax};
inline constexpr Text kRouteText{route::kTextOctetsMax};
inline constexpr Span kRequestTime{0, control::kTimeoutMsMax};
inline constexpr Integer kPercent{0, 100};
inline constexpr std::size_t kRuleTermMax = 64;         ///< values of one kind in a rule
inline constexpr std::size_t kAuthorizationMax = 1024;  ///< rules of one authorization

struct HeaderTermText {
  std::string name;
  std::optional<std::string> exact, prefix;
  bool present{false}, invert{false};
};
template <>
struct Table<HeaderTermText> {
  static constexpr std::string_view name = "header";
  static constexpr std::array fields{
      field<&HeaderTermText::name, kRouteName>("name", required, "of the header; any of its lines may hold"),
      field<&HeaderTermText::exact, Maybe<kRouteText>{}>("exact", optional, "the whole value"),
      field<&HeaderTermText::prefix, Maybe<kRouteText>{}>("prefix", optional, "its beginning"),
      field<&HeaderTermText::present, Flag{}>("present", optional, "any value; also when none of these is given"),
      field<&HeaderTermText::invert, Flag{}>("invert", optional, "no line holds, also since there is none"),
  };
};
inline constexpr List<Converted<HeaderTermText, route::HeaderTerm>{}> kHeaderTerms{kRuleTermMax};

inline constexpr std::array kPolicyActions{
    ChoiceName<control::PolicyAction>{control::PolicyAction::allow, "allow"},
    ChoiceName<control::PolicyAction>{control::PolicyAction::deny, "deny"},
    ChoiceName<control::PolicyAction>{control::PolicyAction::ask, "ask"},
    ChoiceName<control::PolicyAction>{control::PolicyAction::external, "external"}};
inline constexpr std::array kPolicyAnswers{ChoiceName<control::PolicyAction>{control::PolicyAction::allow, "allow"},
                                           ChoiceName<control::PolicyAction>{control::PolicyAction::deny, "deny"}};

template <>
struct Table<route::AuthorizationRule> {
  static constexpr std::string_view name = "authorization rule";
  static constexpr std::array fields{
      field<&route::AuthorizationRule::action, Choice<&kPolicyActions>{}>("action", required,
                                                                          "when all that the rule names holds"),
      field<&route::AuthorizationRule::sources, List<Prefix{}>{kRuleTermMax}>("sources", optional,
                                                                              "the client's address is in one"),
      field<&route::AuthorizationRule::methods, List<kRouteName>{kRuleTermMax}>("methods", optional, "one of these"),
      field<&route::AuthorizationRule::paths, List<kRouteText>{kRuleTermMax}>(
          "paths", optional, "the path, its escapes decoded, is one of these"),
      field<&route::AuthorizationRule::prefixes, List<kRouteText>{kRuleTermMax}>("prefixes", optional,
                                                                                 "... or begins with one of these"),
      field<&route::AuthorizationRule::headers, kHeaderTerms>("headers", optional, "all of these"),
  };
};
struct AskRuleText {
  control::PolicyAction action{control::PolicyAction::deny};
  std::vector<IpPrefix> sources;
  std::vector<std::string> methods, paths, prefixes;
  std::vector<route::HeaderTerm> headers;
  milliseconds lifetime{60'000};
};
template <>
struct Table<AskRuleText> {
  static constexpr std::string_view name = "ask rule";
  static constexpr std::array fields{
      field<&AskRuleText::action, Choice<&kPolicyAnswers>{}>("action", required, "the answer"),
      field<&AskRuleText::sources, List<Prefix{}>{kRuleTermMax}>("sources", optional, "as in a rule"),
      field<&AskRuleText::methods, List<kRouteName>{kRuleTermMax}>("methods", optional, "as in a rule"),
      field<&AskRuleText::paths, List<kRouteText>{kRuleTermMax}>("paths", optional, "as in a rule"),
      field<&AskRuleText::prefixes, List<kRouteText>{kRuleTermMax}>("prefixes", optional, "as in a rule"),
      field<&AskRuleText::headers, kHeaderTerms>("headers", optional, "as in a rule"),
      field<&AskRuleText::lifetime, kRequestTime>("lifetime", optional,
                                                  "how long workers reuse the answer; 0s answers one request only"),
  };
};
struct AskPolicyText {
  std::vector<route::AskRule> rules;
  control::PolicyAction otherwise{control::PolicyAction::deny};
  milliseconds deadline{200};
};
template <>
struct Table<AskPolicyText> {
  static constexpr std::string_view name = "ask policy";
  static constexpr std::array fields{
      field<&AskPolicyText::rules, List<Converted<AskRuleText, route::AskRule>{}>{kAuthorizationMax}>(
          "rules", required, "of the daemon; the first that matches decides"),
      field<&AskPolicyText::otherwise, Choice<&kPolicyAnswers>{}>(
          "default", required, "when no rule matches, and when no answer comes before the deadline"),
      field<&AskPolicyText::deadline, Span{1, 60'000}>("deadline", optional, "how long a request waits"),
  };
};
struct ExternalText {
  IpAddress address;
  std::uint16_t port{};
  std::string path_prefix;
  milliseconds timeout{200}, lifetime{0};
  std::vector<std::string> headers;
  control::PolicyAction failure_mode{control::PolicyAction::deny};
};
template <>
struct Table<ExternalText> {
  static constexpr std::string_view name = "external authorizer";
  static constexpr std::array fields{
      field<&ExternalText::address, Address{true}>("address", required, "of a server that speaks HTTP/1.1"),
      field<&ExternalText::port, kPortNumber>("port", required, "of the same"),
      field<&ExternalText::path_prefix, kRouteText>("path_prefix", optional, "stands before the request's own path"),
      field<&ExternalText::timeout, Span{1, 60'000}>("timeout", optional, "of the whole call"),
      field<&ExternalText::headers, List<kRouteName>{kRuleTermMax}>("headers", optional,
                                                                    "of the request that it gets to see"),
      field<&ExternalText::lifetime, kRequestTime>(
          "lifetime", optional, "how long workers reuse an answer for the same facts; 0s: for one request only"),
      field<&ExternalText::failure_mode, Choice<&kPolicyAnswers>{}>("failure_mode", optional,
                                                                    "when it gives no answer in time"),
  };
};
struct AuthorizationText {
  std::vector<route::AuthorizationRule> rules;
  control::PolicyAction otherwise{control::PolicyAction::deny};
  std::optional<route::AskPolicy> ask;
  std::optional<route::ExternalAuthorizer> external;
};
template <>
struct Table<AuthorizationText> {
  static constexpr std::string_view name = "authorization";
  static constexpr std::array fields{
      field<&AuthorizationText::rules, List<Map<route::AuthorizationRule>{}>{kAuthorizationMax}>(
          "rules", required, "in order: the first that matches decides"),
      field<&AuthorizationText::otherwise, Choice<&kPolicyAnswers>{}>("default", required, "when no rule matches"),
      field<&AuthorizationText::ask, Maybe<Converted<AskPolicyText, route::AskPolicy>{}>{}>(
          "ask", optional, "what the daemon decides by; required by `action: ask`"),
      field<&AuthorizationText::external, Maybe<Converted<ExternalText, route::ExternalAuthorizer>{}>{}>(
          "external", optional, "whom the daemon asks; required by `action: external`"),
  };
};
inline constexpr Maybe<Converted<AuthorizationText, route::Authorization>{}> kAuthorization{};

struct RateLimitText {
  std::uint32_t requests{1};
  milliseconds per{1000};
  std::optional<std::uint32_t> burst;
};
template <>
struct Table<RateLimitText> {
  static constexpr std::string_view name = "rate limit";
  static constexpr std::array fields{
      field<&RateLimitText::requests, Integer{1, control::kPerMillion}>("requests", required, "so many"),
      field<&RateLimitText::per, Span{1, 3600 * 1000}>("per", optional, "in this time"),
      field<&RateLimitText::burst, Maybe<Integer{1, control::kPerMillion}>{}>(
          "burst", optional, "so many at once after a pause; without it as many as `requests`"),
  };
};
inline constexpr Maybe<Converted<RateLimitText, route::RateLimit>{}> kRateLimit{};

struct FaultDelayText {
  milliseconds fixed{0};
  std::uint32_t percent{100};
};
template <>
struct Table<FaultDelayText> {
  static constexpr std::string_view name = "delay";
  static constexpr std::array fields{
      field<&FaultDelayText::fixed, Span{1, 10 * 60 * 1000}>("fixed", required, "requests wait so long"),
      field<&FaultDelayText::percent, kPercent>("percent", optional, "of the requests"),
  };
};
struct FaultAbortText {
  std::uint16_t status{503};
  std::uint32_t percent{100};
};
template <>
struct Table<FaultAbortText> {
  static constexpr std::string_view name = "abort";
  static constexpr std::array fields{
      field<&FaultAbortText::status, Integer{200, 599}>("status", required, "requests are answered with this"),
      field<&FaultAbortText::percent, kPercent>("percent", optional, "of the requests that the delay left"),
  };
};
struct FaultText {
  std::optional<FaultDelayText> delay;
  std::optional<FaultAbortText> abort;
  std::vector<route::HeaderTerm> headers;
};
template <>
struct Table<FaultText> {
  static constexpr std::string_view name = "fault";
  static constexpr std::array fields{
      field<&FaultText::delay, Maybe<Map<FaultDelayText>{}>{}>("delay", optional, "before anything else happens"),
      field<&FaultText::abort, Maybe<Map<FaultAbortText>{}>{}>("abort", optional, "instead of the route's action"),
      field<&FaultText::headers, kHeaderTerms>("headers", optional, "only to requests with all of these"),
  };
};
inline constexpr Maybe<Converted<FaultText, route::Fault>{}> kFault{};

template <>
struct Table<route::Mirror> {
  static constexpr std::string_view name = "mirror";
  static constexpr std::array fields{
      field<&route::Mirror::cluster, Name{kConfigNameMax}>("cluster", required, "gets a copy of the request"),
      field<&route::Mirror::percent, kPercent>("percent", optional, "of the requests"),
  };
};
inline constexpr Maybe<Map<route::Mirror>{}> kMirror{};

}  // namespace penstock::config
