// fields_http.h - the keys of HTTP listeners, virtual hosts and routes (see fields.h). Names are those of xDS.
#pragma once
#include <array>

#include "dataplane/control/limits.h"
#include "l7/route/limits.h"
#include "l7/route/route_config.h"
#include "mgmt/config/convert.h"
#include "mgmt/config/fields_policy.h"
#include "mgmt/config/loader.h"
#include "mgmt/config/values.h"

namespace penstock::config {

using enum Presence;

inline constexpr Octets kBodyLimit{1024, std::int64_t{4095} << 20};

inline constexpr std::array kSenderLists{ChoiceName<control::SenderList>{control::SenderList::append, "append"},
                                         ChoiceName<control::SenderList>{control::SenderList::replace, "replace"},
                                         ChoiceName<control::SenderList>{control::SenderList::off, "off"}};
template <>
struct Table<Connect> {
  static constexpr std::string_view name = "connect";
  static constexpr std::array fields{
      field<&Connect::allow, List<Text{control::kConnectPatternMax}>{control::kConnectTargetMax}>(
          "allow", required, "`host:port`; the host may be `*` or `*.suffix`, the port `*`; anything else gets 403"),
      field<&Connect::cluster, Name{kConfigNameMax}>("cluster", required, "whose endpoints the tunnels lead to"),
  };
};

template <>
struct Table<Http> {
  static constexpr std::string_view name = "http";
  static constexpr std::array fields{
      field<&Http::header_timeout, Span{100, 10 * 60 * 1000}>("header_timeout", optional,
                                                              "a request's head must be complete in this time; 408"),
      field<&Http::idle_timeout, Span{100, control::kTimeoutMsMax}>(
          "idle_timeout", optional, "a client's connection without a request is closed"),
      field<&Http::stream_idle_timeout, kRequestTime>("stream_idle_timeout", optional,
                                                      "no octet either way during a request ends it; 0s never does"),
      field<&Http::max_requests_per_connection, Integer{0, 1'000'000}>(
          "max_requests_per_connection", optional, "then the client's connection is closed; 0 means any number"),
      field<&Http::access_log_samples, Integer{0, control::kPerMillion}>(
          "access_log_samples", optional, "requests of a million that are logged ([observability](observability.md))"),
      field<&Http::x_forwarded_for, Choice<&kSenderLists>{}>(
          "x_forwarded_for", optional,
          "`append` adds the client's address, `replace` believes nobody, `off` leaves the field as it came"),
      field<&Http::forwarded, Choice<&kSenderLists>{}>("forwarded", optional, "the same for `Forwarded` (RFC 7239)"),
      field<&Http::xff_num_trusted_hops, Integer{0, control::kTrustedHopsMax}>(
          "xff_num_trusted_hops", optional,
          "proxies in front: the client of a request is so far from the right in its `x-forwarded-for`"),
      field<&Http::trace_context, Flag{}>("trace_context", optional,
                                          "a request without a valid `traceparent` gets a new one (W3C)"),
      field<&Http::trace_samples, Integer{0, control::kPerMillion}>(
          "trace_samples", optional, "new traces of a million that are marked as sampled"),
      field<&Http::max_request_body, Maybe<kBodyLimit>{}>(
          "max_request_body", optional, "a request with a longer body gets 413; without it any length is taken"),
      field<&Http::connect, Maybe<Map<Connect>{}>{}>("connect", optional,
                                                     "which CONNECT is answered; without it none is"),
      field<&Http::via, Text{63}>("via", optional, "name for `Via` in both directions; without it none is added"),
      field<&Http::rate_limit, kRateLimit>("rate_limit", optional, "of all requests ([policies](policies.md))"),
      field<&Http::client_rate_limit, kRateLimit>("client_rate_limit", optional, "of the requests of each client"),
  };
};

inline constexpr std::array kAccessFormats{ChoiceName<AccessFormat>{AccessFormat::text, "text"},
                                           ChoiceName<AccessFormat>{AccessFormat::json, "json"}};
template <>
struct Table<AccessLog> {
  static constexpr std::string_view name = "access log";
  static constexpr std::array fields{
      field<&AccessLog::file, Path{200, false}>("file", optional,
                                                "file to append to; without it the daemon's standard output"),
      field<&AccessLog::format, Choice<&kAccessFormats>{}>("format", optional, "one line per request"),
  };
};

struct RangeText {
  std::int64_t start{};
  std::int64_t end{};
};
template <>
struct Table<RangeText> {
  static constexpr std::string_view name = "range";
  static constexpr std::array fields{
      field<&RangeText::start, Integer{-1'000'000'000'000, 1'000'000'000'000}>("start", required, "lowest value"),
      field<&RangeText::end, Integer{-1'000'000'000'000, 1'000'000'000'000}>("end", required, "first value beyond"),
  };
};

struct ValueMatchText {
  std::string name;
  std::optional<std::string> exact, prefix, regex;
  std::optional<RangeText> range;
  bool present{false};
  bool ignore_case{false}, invert{false}, missing_as_empty{false};
};
template <>
struct Table<ValueMatchText> {
  static constexpr std::string_view name = "condition";
  static constexpr std::array fields{
      field<&ValueMatchText::name, kRouteName>("name", required, "of the header or query parameter"),
      field<&ValueMatchText::exact, Maybe<kRouteText>{}>("exact", optional, "the whole value"),
      field<&ValueMatchText::prefix, Maybe<kRouteText>{}>("prefix", optional, "its beginning"),
      field<&ValueMatchText::regex, Maybe<kRouteText>{}>("regex", optional, "matches the whole value; syntax of RE2"),
      field<&ValueMatchText::range, Maybe<Map<RangeText>{}>{}>("range", optional, "a decimal integer within"),
      field<&ValueMatchText::present, Flag{}>("present", optional, "any value; also when none of these is given"),
      field<&ValueMatchText::ignore_case, Flag{}>("ignore_case", optional, "for `exact` and `prefix`"),
      field<&ValueMatchText::invert, Flag{}>("invert", optional, "must not hold; a missing one still fulfils nothing"),
      field<&ValueMatchText::missing_as_empty, Flag{}>("missing_as_empty", optional, "a missing one counts as empty"),
  };
};
inline constexpr List<Converted<ValueMatchText, route::ValueMatch>{}> kConditions{route::kConditionMax};

struct MatchText {
  std::optional<std::string> path, prefix, path_separated_prefix, regex;
  bool ignore_case{false};
  std::vector<std::string> methods;
  std::vector<route::ValueMatch> headers;
  std::vector<route::ValueMatch> query_parameters;
};
template <>
struct Table<MatchText> {
  static constexpr std::string_view name = "match";
  static constexpr std::array fields{
      field<&MatchText::path, Maybe<kRouteText>{}>("path", optional, "the whole path"),
      field<&MatchText::prefix, Maybe<kRouteText>{}>("prefix", optional, "its beginning; `/` when no path is given"),
      field<&MatchText::path_separated_prefix, Maybe<kRouteText>{}>(
          "path_separated_prefix", optional, "whole elements: `/a` matches `/a` and `/a/b`, not `/ab`"),
      field<&MatchText::regex, Maybe<kRouteText>{}>("regex", optional, "matches the whole path; syntax of RE2"),
      field<&MatchText::ignore_case, Flag{}>("ignore_case", optional, "of the path; an expression has `(?i)`"),
      field<&MatchText::methods, List<kRouteName>{route::kMethodMax}>("methods", optional, "any of these"),
      field<&MatchText::headers, kConditions>("headers", optional, "all of these"),
      field<&MatchText::query_parameters, kConditions>("query_parameters", optional, "all of these"),
  };
};

template <>
struct Table<route::WeightedCluster> {
  static constexpr std::string_view name = "weighted cluster";
  static constexpr std::array fields{
      field<&route::WeightedCluster::name, Name{kConfigNameMax}>("name", required, "of a cluster"),
      field<&route::WeightedCluster::weight, Integer{0, route::kClusterWeightMax}>("weight", optional,
                                                                                   "relative to the others"),
  };
};

template <>
struct Table<route::RegexRewrite> {
  static constexpr std::string_view name = "regex rewrite";
  static constexpr std::array fields{
      field<&route::RegexRewrite::pattern, kRouteText>("pattern", required, "every occurrence in the path is replaced"),
      field<&route::RegexRewrite::substitution, kRouteText>("substitution", required, "by this; `\\1` is a group"),
  };
};

struct RedirectText {
  std::uint16_t code{301};
  std::string scheme, host;
  std::optional<std::uint16_t> port;
  std::optional<std::string> path, prefix_rewrite;
  std::optional<route::RegexRewrite> regex_rewrite;
  bool strip_query{false};
};
template <>
struct Table<RedirectText> {
  static constexpr std::string_view name = "redirect";
  static constexpr std::array fields{
      field<&RedirectText::code, Integer{300, 399}>("code", optional, "301, 302, 303, 307 or 308"),
      field<&RedirectText::scheme, Text{8}>("scheme", optional, "`http` or `https`; what is left out stays"),
      field<&RedirectText::host, Text{route::kDomainOctetsMax}>("host", optional, "host of the new location"),
      field<&RedirectText::port, Maybe<kPortNumber>{}>("port", optional, "port of the new location"),
      field<&RedirectText::path, Maybe<kRouteText>{}>("path", optional, "whole path"),
      field<&RedirectText::prefix_rewrite, Maybe<kRouteText>{}>("prefix_rewrite", optional, "as in a route"),
      field<&RedirectText::regex_rewrite, Maybe<Map<route::RegexRewrite>{}>{}>("regex_rewrite", optional,
                                                                               "as in a route"),
      field<&RedirectText::strip_query, Flag{}>("strip_query", optional, "without the query"),
  };
};

template <>
struct Table<route::DirectResponse> {
  static constexpr std::string_view name = "direct response";
  static constexpr std::array fields{
      field<&route::DirectResponse::status, Integer{200, 599}>("status", required, "of the answer"),
      field<&route::DirectResponse::body, kRouteText>("body", optional, "text of the answer"),
  };
};

inline constexpr std::array kRetryConditions{
    ChoiceName<route::RetryOn>{route::kRetry5xx, "5xx"},
    ChoiceName<route::RetryOn>{route::kRetryGatewayError, "gateway-error"},
    ChoiceName<route::RetryOn>{route::kRetryConnectFailure, "connect-failure"},
    ChoiceName<route::RetryOn>{route::kRetryReset, "reset"},
    ChoiceName<route::RetryOn>{route::kRetryRefusedStream, "refused-stream"},
    ChoiceName<route::RetryOn>{route::kRetryRetriable4xx, "retriable-4xx"},
    ChoiceName<route::RetryOn>{route::kRetryStatuses, "retriable-status-codes"}};
struct RetryText {
  std::vector<route::RetryOn> on;
  std::uint8_t num_retries{1};
  milliseconds per_try_timeout{0};
  std::vector<std::uint16_t> status_codes;
};
template <>
struct Table<RetryText> {
  static constexpr std::string_view name = "retry policy";
  static constexpr std::array fields{
      field<&RetryText::on, List<Choice<&kRetryConditions>{}>{8}>("on", required,
                                                                  "any of these; `refused-stream` is of HTTP/2 and "
                                                                  "never happens here"),
      field<&RetryText::num_retries, Integer{1, 100}>("num_retries", optional, "tries after the first"),
      field<&RetryText::per_try_timeout, kRequestTime>("per_try_timeout", optional,
                                                       "of one try; 0s: only the route's `timeout`"),
      field<&RetryText::status_codes, List<Integer{100, 599}>{route::kRetryStatusMax}>("status_codes", optional,
                                                                                       "for `retriable-status-codes`"),
  };
};

struct HeaderEditsText {
  std::vector<std::string> remove;
  std::vector<route::HeaderEdit> set, add, add_if_absent, set_if_present;
};
template <>
struct Table<HeaderEditsText> {
  static constexpr std::string_view name = "header edits";
  static constexpr std::array fields{
      field<&HeaderEditsText::remove, List<kRouteName>{route::kHeaderEditMax}>("remove", optional,
                                                                               "names, taken first"),
      field<&HeaderEditsText::set, Headers{route::HeaderEditMode::set}>("set", optional, "exactly this line"),
      field<&HeaderEditsText::add, Headers{route::HeaderEditMode::add}>("add", optional, "one more line"),
      field<&HeaderEditsText::add_if_absent, Headers{route::HeaderEditMode::add_if_absent}>("add_if_absent", optional,
                                                                                            "unless there is one"),
      field<&HeaderEditsText::set_if_present, Headers{route::HeaderEditMode::set_if_present}>(
          "set_if_present", optional, "only if there is one"),
  };
};
inline constexpr Converted<HeaderEditsText, route::HeaderEdits> kHeaderEdits{};

struct RouteText {
  std::string name;
  route::RouteMatch match;
  std::optional<std::string> cluster;
  std::vector<route::WeightedCluster> weighted_clusters;
  std::optional<route::Redirect> redirect;
  std::optional<route::DirectResponse> direct_response;
  std::optional<std::string> prefix_rewrite;
  std::optional<route::RegexRewrite> regex_rewrite;
  std::string host_rewrite;
  std::optional<milliseconds> timeout, idle_timeout;
  std::optional<route::RetryPolicy> retry_policy;
  route::HeaderEdits request_headers, response_headers;
  route::RoutePolicy policy;
};
/// A field of the route's policies.
template <auto Member, auto Value>
constexpr Field<RouteText> policy_field(std::string_view key, std::string_view meaning) {
  return {key,
          false,
          meaning,
          [] { return Value.type(); },
          [](const RouteText&) { return std::string{}; },
          [](Reader& reader, const YamlNode& node, RouteText& text) { Value.read(reader, node, text.policy.*Member); }};
}
template <>
struct Table<RouteText> {
  static constexpr std::string_view name = "route";
  static constexpr std::array fields{
      field<&RouteText::name, kRouteName>("name", optional, "shown in metrics, logs and messages"),
      field<&RouteText::match, Converted<MatchText, route::RouteMatch>{}>("match", required,
                                                                          "the first route that matches answers"),
      field<&RouteText::cluster, Maybe<Name{kConfigNameMax}>{}>("cluster", optional, "where the request goes"),
      field<&RouteText::weighted_clusters, List<Map<route::WeightedCluster>{}>{route::kWeightedClusterMax}>(
          "weighted_clusters", optional, "or to one of these, by weight"),
      field<&RouteText::redirect, Maybe<Converted<RedirectText, route::Redirect>{}>{}>("redirect", optional,
                                                                                       "or the client elsewhere"),
      field<&RouteText::direct_response, Maybe<Map<route::DirectResponse>{}>{}>("direct_response", optional,
                                                                                "or the answer is this"),
      field<&RouteText::prefix_rewrite, Maybe<kRouteText>{}>(
          "prefix_rewrite", optional, "replaces the matched prefix; of `path` and `regex` routes the whole path"),
      field<&RouteText::regex_rewrite, Maybe<Map<route::RegexRewrite>{}>{}>("regex_rewrite", optional,
                                                                            "changes the path by an expression"),
      field<&RouteText::host_rewrite, Text{route::kDomainOctetsMax}>("host_rewrite", optional, "a new `Host`"),
      field<&RouteText::timeout, Maybe<kRequestTime>{}>("timeout", optional,
                                                        "from the whole request to the whole response, 15s; 0s: none"),
      field<&RouteText::idle_timeout, Maybe<kRequestTime>{}>("idle_timeout", optional,
                                                             "instead of `http.stream_idle_timeout`"),
      field<&RouteText::retry_policy, Maybe<Converted<RetryText, route::RetryPolicy>{}>{}>("retry_policy", optional,
                                                                                           "when to try again"),
      field<&RouteText::request_headers, kHeaderEdits>("request_headers", optional, "edits on the way to the endpoint"),
      field<&RouteText::response_headers, kHeaderEdits>("response_headers", optional, "edits on the way back"),
      policy_field<&route::RoutePolicy::authorization, kAuthorization>(
          "authorization", "who may; instead of the virtual host's ([policies](policies.md))"),
      policy_field<&route::RoutePolicy::rate_limit, kRateLimit>("rate_limit", "of the route's requests"),
      policy_field<&route::RoutePolicy::client_rate_limit, kRateLimit>("client_rate_limit", "of those of each client"),
      policy_field<&route::RoutePolicy::fault, kFault>("fault", "requests delayed or answered on purpose"),
      policy_field<&route::RoutePolicy::mirror, kMirror>("mirror", "another cluster gets a copy"),
      policy_field<&route::RoutePolicy::max_request_body, Maybe<kBodyLimit>{}>("max_request_body",
                                                                               "instead of `http.max_request_body`"),
  };
};

template <>
struct Table<route::VirtualHost> {
  static constexpr std::string_view name = "virtual host";
  static constexpr std::array fields{
      field<&route::VirtualHost::name, kRouteName>("name", required, "unique within the listener"),
      field<&route::VirtualHost::domains, List<Text{route::kDomainOctetsMax}>{1024}>(
          "domains", required, "`a.example`, `*.example`, `a.*`, `*`; with the port when requests have one"),
      field<&route::VirtualHost::routes, List<Converted<RouteText, route::Route>{}>{route::kHostRouteMax}>(
          "routes", required, "in order: the first that matches answers"),
      field<&route::VirtualHost::authorization, kAuthorization>("authorization", optional,
                                                                "who may; of routes without one of their own"),
  };
};

}  // namespace penstock::config
