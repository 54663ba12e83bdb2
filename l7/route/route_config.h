// route_config.h - routing as configuration: what any source (file, xDS, Gateway API) is translated into.
//
// Model     table -> virtual hosts -> routes in declared order; the first route whose match holds wins. Plain values
//           in the words of xDS; nothing here is checked (compile/validate.h does, all problems at once).
// Units     times in milliseconds; weights relative to their sum; ports and statuses as numbers.
// Errors    none.
// Limits    limits.h.
// Not here  precedence of the Gateway API: its translator orders the routes.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "l7/route/policy_config.h"

namespace penstock::route {

enum class PathKind : std::uint8_t {
  exact,           ///< the path, octet by octet
  prefix,          ///< begins with value, anywhere in an element ("/a" matches "/ab")
  segment_prefix,  ///< value, alone or followed by '/' ("/a" matches "/a" and "/a/b", not "/ab")
  regex            ///< RE2 syntax, must match the whole path
};
/// Compared with the path without query, as it stands on the wire: nothing is decoded or normalised.
struct PathMatch {
  PathKind kind{PathKind::prefix};
  std::string value{"/"};
  bool ignore_case{false};  ///< ASCII only; not for regex, which has (?i)
  friend bool operator==(const PathMatch&, const PathMatch&) = default;
};

enum class ValueKind : std::uint8_t { present, exact, prefix, regex, range };
/// A condition on one header or query parameter. Lines of one header name are joined by ','; of a repeated query
/// parameter the first counts, undecoded. A missing one fulfils nothing, not even an inverted condition; only
/// inverted `present` demands that it is missing.
struct ValueMatch {
  std::string name{};  ///< header: any case; query parameter: exact
  ValueKind kind{ValueKind::present};
  std::string value{};  ///< exact, prefix, regex (whole value)
  std::int64_t low{0};  ///< range: low <= value < high, a decimal integer and nothing else
  std::int64_t high{0};
  bool ignore_case{false};  ///< exact and prefix
  bool invert{false};
  bool missing_as_empty{false};  ///< a missing one counts as present and empty
  friend bool operator==(const ValueMatch&, const ValueMatch&) = default;
};

struct RouteMatch {
  PathMatch path{};
  std::vector<ValueMatch> headers{};
  std::vector<ValueMatch> query_params{};
  std::vector<std::string> methods{};  ///< any of these; empty = every method
  friend bool operator==(const RouteMatch&, const RouteMatch&) = default;
};

struct WeightedCluster {
  std::string name{};
  std::uint32_t weight{1};
  friend bool operator==(const WeightedCluster&, const WeightedCluster&) = default;
};

/// Replaces every occurrence of `pattern` in the path; \0 to \9 in the substitution are captures, \\ a backslash.
struct RegexRewrite {
  std::string pattern{};
  std::string substitution{};
  friend bool operator==(const RegexRewrite&, const RegexRewrite&) = default;
};
/// At most one of the two. `prefix` replaces what the literal matched; the whole path of exact and regex routes.
struct PathRewrite {
  std::optional<std::string> prefix{};
  std::optional<RegexRewrite> regex{};
  friend bool operator==(const PathRewrite&, const PathRewrite&) = default;
};

enum RetryOn : std::uint32_t {
  kRetry5xx = 1,
  kRetryGatewayError = 2,  ///< 502, 503, 504
  kRetryConnectFailure = 4,
  kRetryReset = 8,
  kRetryRefusedStream = 16,
  kRetryRetriable4xx = 32,  ///< 409
  kRetryStatuses = 64       ///< those listed
};
inline constexpr std::uint32_t kRetryOnAll = 127;
struct RetryPolicy {
  std::uint32_t on{0};  ///< RetryOn bits; 0 = never
  std::uint8_t retries{1};
  std::uint32_t per_try_timeout_ms{0};  ///< 0 = none of its own
  std::vector<std::uint16_t> statuses{};
  friend bool operator==(const RetryPolicy&, const RetryPolicy&) = default;
};

/// Sends the request to one of the clusters.
struct Forward {
  std::vector<WeightedCluster> clusters{};
  PathRewrite rewrite{};
  std::string host_rewrite{};        ///< empty = unchanged
  std::uint32_t timeout_ms{15'000};  ///< whole response; 0 = none
  std::uint32_t idle_timeout_ms{0};  ///< no octet either way; 0 = the listener's
  RetryPolicy retry{};
  friend bool operator==(const Forward&, const Forward&) = default;
};
/// Answers with a location; what is empty or absent stays as in the request.
struct Redirect {
  std::uint16_t status{301};
  std::string scheme{};
  std::string host{};
  std::uint16_t port{0};              ///< 0 = as in the request
  std::optional<std::string> path{};  ///< whole path; with '?' it brings its own query. Excludes `rewrite`
  PathRewrite rewrite{};
  bool strip_query{false};
  friend bool operator==(const Redirect&, const Redirect&) = default;
};
/// Answers without asking anybody.
struct DirectResponse {
  std::uint16_t status{200};
  std::string body{};
  friend bool operator==(const DirectResponse&, const DirectResponse&) = default;
};

enum class HeaderEditMode : std::uint8_t {
  add,            ///< one more line
  set,            ///< exactly this line
  add_if_absent,  ///< unless there is one
  set_if_present  ///< only if there is one
};
struct HeaderEdit {
  std::string name{};
  std::string value{};  ///< literal: nothing is expanded
  HeaderEditMode mode{HeaderEditMode::set};
  friend bool operator==(const HeaderEdit&, const HeaderEdit&) = default;
};
/// Removals come first, then the edits in declared order.
struct HeaderEdits {
  std::vector<std::string> remove{};
  std::vector<HeaderEdit> edits{};
  friend bool operator==(const HeaderEdits&, const HeaderEdits&) = default;
};

struct Route {
  std::string name{};  ///< for logs and messages; may be empty
  RouteMatch match{};
  std::variant<Forward, Redirect, DirectResponse> action{};
  HeaderEdits request{};
  HeaderEdits response{};
  RoutePolicy policy{};  ///< not the router's: it carries them to whoever compiles the rest
  friend bool operator==(const Route&, const Route&) = default;
};

/// Domains: "a.example", "a.example:8080", "*.example", "*-b.example", "a.*", "*". Exact wins, then the longest
/// "*suffix", then the longest "prefix*", then "*". A wildcard stands for at least one octet. Any case.
struct VirtualHost {
  std::string name{};
  std::vector<std::string> domains{};
  std::vector<Route> routes{};
  std::optional<Authorization> authorization{};  ///< of routes without one of their own
  friend bool operator==(const VirtualHost&, const VirtualHost&) = default;
};
struct RouteTable {
  std::vector<VirtualHost> virtual_hosts{};
  friend bool operator==(const RouteTable&, const RouteTable&) = default;
};

}  // namespace penstock::route
