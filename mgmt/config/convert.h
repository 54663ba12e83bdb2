// convert.h - values that are written otherwise than they are kept.
//
// Model     a map of the text is read into a struct of its own by that struct's table (Text), then convert() makes the
//           value (T) of it or leaves a finding at the map. One convert() per pair, in convert.cpp.
#pragma once
#include "mgmt/config/config.h"
#include "mgmt/config/reader.h"

namespace penstock::config {

inline constexpr std::int64_t kTimeMax = 24 * 3600 * 1000;

struct HashPolicyText;
struct ValueMatchText;
struct MatchText;
struct RedirectText;
struct RetryText;
struct HeaderEditsText;
struct RouteText;
struct HeaderTermText;
struct AskRuleText;
struct AskPolicyText;
struct ExternalText;
struct AuthorizationText;
struct RateLimitText;
struct FaultText;

void convert(Reader& reader, const YamlNode& node, const HashPolicyText& text, HashPolicy& out);
void convert(Reader& reader, const YamlNode& node, const ValueMatchText& text, route::ValueMatch& out);
void convert(Reader& reader, const YamlNode& node, const MatchText& text, route::RouteMatch& out);
void convert(Reader& reader, const YamlNode& node, const RedirectText& text, route::Redirect& out);
void convert(Reader& reader, const YamlNode& node, const RetryText& text, route::RetryPolicy& out);
void convert(Reader& reader, const YamlNode& node, const HeaderEditsText& text, route::HeaderEdits& out);
void convert(Reader& reader, const YamlNode& node, RouteText& text, route::Route& out);
// policy_convert.cpp
void convert(Reader& reader, const YamlNode& node, const HeaderTermText& text, route::HeaderTerm& out);
void convert(Reader& reader, const YamlNode& node, const AskRuleText& text, route::AskRule& out);
void convert(Reader& reader, const YamlNode& node, const AskPolicyText& text, route::AskPolicy& out);
void convert(Reader& reader, const YamlNode& node, const ExternalText& text, route::ExternalAuthorizer& out);
void convert(Reader& reader, const YamlNode& node, const AuthorizationText& text, route::Authorization& out);
void convert(Reader& reader, const YamlNode& node, const RateLimitText& text, route::RateLimit& out);
void convert(Reader& reader, const YamlNode& node, const FaultText& text, route::Fault& out);

template <typename Text, typename T>
struct Converted {
  [[nodiscard]] std::string type() const { return std::string{Table<Text>::name}; }
  [[nodiscard]] std::string show(const T&) const { return ""; }
  void read(Reader& reader, const YamlNode& node, T& out) const {
    Text text{};
    const std::size_t before = reader.count();
    read_map(reader, node, text);
    // What is half read would only cause further complaints.
    if (reader.count() == before && !reader.is_bad(node)) convert(reader, node, text, out);
    if (reader.count() != before) reader.remember_bad(node);
  }
};

}  // namespace penstock::config
