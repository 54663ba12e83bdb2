// policy_builder.h - policies of requests as snapshot records.
//
// Model     used by HttpBuilder once per listener: add_listener() for what holds for all of its requests, add_routes()
//           for its routes in the table's order. Routes that only have their virtual host's authorization share a
//           record. Rate limits are known by the name of what they limit, so that their buckets stay over reloads.
// Errors    none: what does not fit is told by HttpBuilder::take_problems().
// Limits    control/limits.h.
#pragma once
#include <functional>
#include <string>

#include "dataplane/control/snapshot_writer.h"
#include "mgmt/config/config.h"

namespace penstock::compile {

/// Id of a target of questions: of what it says, so that answers never outlive their rules.
[[nodiscard]] std::uint64_t question_id(const route::AskPolicy& ask);
[[nodiscard]] std::uint64_t question_id(const route::ExternalAuthorizer& external);
/// Facts that deciding by these rules needs, as QuestionFacts.
[[nodiscard]] std::uint8_t facts_of(const route::AskPolicy& ask);
/// The terms of one rule, and the rule.
void add_rule(control::SnapshotContent& content, const route::AuthorizationRule& rule);

class PolicyBuilder {
 public:
  using ClusterIndex = std::function<std::uint32_t(const std::string&)>;
  explicit PolicyBuilder(control::SnapshotContent& content) : content_{content} {}

  /// The listener's own policy: an index, or kNoPolicy.
  [[nodiscard]] std::uint32_t add_listener(const config::Listener& listener);
  /// One index for each route, behind those of the listeners before.
  void add_routes(const config::Listener& listener, const ClusterIndex& cluster_index);

 private:
  [[nodiscard]] std::uint32_t add(const control::HttpPolicyRecord& record);
  void add_authorization(const route::Authorization& authorization, control::HttpPolicyRecord& record);
  [[nodiscard]] std::uint32_t add_rate_limit(const std::optional<route::RateLimit>& limit, const std::string& key);
  [[nodiscard]] std::uint32_t add_target(control::QuestionTargetRecord target, const std::vector<std::string>& headers);
  [[nodiscard]] control::HttpPolicyRecord route_policy(const route::RoutePolicy& policy, const std::string& key,
                                                       const ClusterIndex& cluster_index);

  control::SnapshotContent& content_;
};

}  // namespace penstock::compile
