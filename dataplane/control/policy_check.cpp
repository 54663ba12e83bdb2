// Rules of the records of policies. Clusters, listeners and routes have been checked before.
#include <algorithm>

#include "dataplane/control/limits.h"
#include "dataplane/control/snapshot_check.h"

namespace penstock::control {
namespace {

using Section = SnapshotSection;
using Trouble = std::optional<Problem>;

bool inside(std::uint64_t first, std::uint64_t count, std::size_t size) {
  return first <= size && count <= size - first;
}
bool inside(TextRef ref, std::string_view texts) { return inside(ref.offset, ref.octets, texts.size()); }
bool is_header(TermKind kind) { return kind >= TermKind::header_present; }

Trouble check_term(const PolicyTables& tables, std::size_t index) {
  const PolicyTerm& term = tables.terms[index];
  const auto bad = [&](std::string what) { return snapshot_problem(Section::policy_terms, index, std::move(what)); };
  if (term.kind > TermKind::header_prefix) return bad("kind is unknown");
  if ((term.flags & ~unsigned{kTermInvert}) != 0 || (term.flags != 0 && !is_header(term.kind)))
    return bad("flag is unknown, or not for this kind");
  if (term.zero != 0) return bad("reserved field is not 0");
  if (!inside(term.name, tables.texts) || !inside(term.value, tables.texts))
    return bad("a text ends behind its section");
  if (is_header(term.kind) == (term.name.octets == 0)) return bad("a header has a name, nothing else has");
  if (term.kind != TermKind::source) return std::nullopt;
  if (term.source_bits > (term.source.is_v4() ? 32 : 128)) return bad("prefix is longer than an address");
  if (masked(term.source, term.source_bits) != term.source) return bad("prefix has bits beyond its length");
  return std::nullopt;
}

Trouble check_rule(const PolicyTables& tables, std::size_t index) {
  const AuthorizationRule& rule = tables.rules[index];
  const auto bad = [&](std::string what) {
    return snapshot_problem(Section::authorization_rules, index, std::move(what));
  };
  if (rule.action > PolicyAction::external) return bad("action is unknown");
  if (rule.zero != std::array<std::uint8_t, 3>{}) return bad("reserved field is not 0");
  if (!inside(rule.first_term, rule.term_count, tables.terms.size())) return bad("terms end behind their section");
  return std::nullopt;
}

Trouble check_target(const PolicyTables& tables, std::size_t index) {
  const QuestionTargetRecord& target = tables.question_targets[index];
  const auto bad = [&](std::string what) {
    return snapshot_problem(Section::question_targets, index, std::move(what));
  };
  if (target.deadline_ms == 0 || target.deadline_ms > kTimeoutMsMax)
    return bad("deadline is not 1.." + std::to_string(kTimeoutMsMax) + " ms");
  if (target.by_default > PolicyAction::deny) return bad("default is unknown");
  if ((target.facts & ~unsigned{kQuestionFactsAll}) != 0) return bad("fact is unknown");
  if (target.zero != 0) return bad("reserved field is not 0");
  if (!inside(target.first_header, target.header_count, tables.question_headers.size()))
    return bad("headers end behind their section");
  for (const TextRef& name : tables.question_headers.subspan(target.first_header, target.header_count))
    if (!inside(name, tables.texts)) return bad("a header's name ends behind its section");
  return std::nullopt;
}

/// Whom the policy's rules ask must be there.
Trouble check_asking(const PolicyTables& tables, const HttpPolicyRecord& policy, std::size_t index) {
  const auto bad = [&](std::string what) { return snapshot_problem(Section::http_policies, index, std::move(what)); };
  for (const std::uint32_t target : {policy.ask, policy.external})
    if (target != kNoPolicy && target >= tables.question_targets.size()) return bad("whom it asks does not exist");
  for (const AuthorizationRule& rule : tables.rules.subspan(policy.first_rule, policy.rule_count))
    if ((rule.action == PolicyAction::ask && policy.ask == kNoPolicy) ||
        (rule.action == PolicyAction::external && policy.external == kNoPolicy))
      return bad("a rule asks nobody");
  return std::nullopt;
}

Trouble check_rate_limit(const RateLimitRecord& limit, std::size_t index) {
  const auto bad = [&](std::string what) { return snapshot_problem(Section::rate_limits, index, std::move(what)); };
  if (limit.token_ns == 0 || limit.token_ns > kTokenNsMax)
    return bad("token_ns is not 1.." + std::to_string(kTokenNsMax));
  if (limit.burst == 0 || limit.burst > kPerMillion) return bad("burst is not 1..1000000");
  if (limit.token_ns * limit.burst > kBucketNsMax) return bad("takes more than a week to fill");
  if (limit.zero != 0) return bad("reserved field is not 0");
  return std::nullopt;
}

Trouble check_policy(const SnapshotTables& all, std::size_t index) {
  const PolicyTables& tables = all.http.policies;
  const HttpPolicyRecord& policy = tables.policies[index];
  const auto bad = [&](std::string what) { return snapshot_problem(Section::http_policies, index, std::move(what)); };
  if (policy.otherwise > PolicyAction::deny) return bad("action is unknown");
  if (policy.zero != std::array<std::uint8_t, 3>{}) return bad("reserved field is not 0");
  if (!inside(policy.first_rule, policy.rule_count, tables.rules.size())) return bad("rules end behind their section");
  if (auto trouble = check_asking(tables, policy, index)) return trouble;
  for (const std::uint32_t limit : {policy.rate_limit, policy.client_rate_limit})
    if (limit != kNoPolicy && limit >= tables.rate_limits.size()) return bad("a rate limit does not exist");
  if (!inside(policy.first_fault_term, policy.fault_term_count, tables.terms.size()))
    return bad("terms of the fault end behind their section");
  for (const PolicyTerm& term : tables.terms.subspan(policy.first_fault_term, policy.fault_term_count))
    if (!is_header(term.kind)) return bad("a fault depends on something else than a header");
  for (const std::uint32_t share : {policy.delay_millionths, policy.abort_millionths, policy.mirror_millionths})
    if (share > kPerMillion) return bad("a share is above a million");
  if (policy.delay_millionths != 0 && (policy.delay_ms == 0 || policy.delay_ms > kTimeoutMsMax))
    return bad("delay is not 1.." + std::to_string(kTimeoutMsMax) + " ms");
  if (policy.abort_millionths != 0 && (policy.abort_status < 200 || policy.abort_status > 599))
    return bad("status of the fault is not 200..599");
  if (policy.mirror_cluster == kNoPolicy) return std::nullopt;
  if (policy.mirror_cluster >= all.clusters.size()) return bad("the cluster of its mirror does not exist");
  return std::nullopt;
}

/// A listener's requests, and their copies, go to endpoints of its own family.
Trouble check_mirrors(const SnapshotTables& all) {
  for (std::size_t i = 0; i < all.listeners.size(); ++i) {
    const ListenerRecord& listener = all.listeners[i];
    if (listener.http == kNoIndex || (listener.flags & kListenerDraining) != 0) continue;
    const HttpListenerRecord& http = all.http.listeners[listener.http];
    for (const std::uint32_t index : all.http.route_policies.subspan(http.first_route, http.route_count)) {
      if (index == kNoPolicy || all.http.policies.policies[index].mirror_cluster == kNoPolicy) continue;
      const ClusterRecord& cluster = all.clusters[all.http.policies.policies[index].mirror_cluster];
      for (const EndpointRecord& endpoint : all.endpoints.subspan(cluster.first_endpoint, cluster.endpoint_count))
        if (endpoint.address.is_v4() != listener.address.is_v4())
          return snapshot_problem(Section::listeners, i, "a mirror has endpoints of the other address family");
    }
  }
  return std::nullopt;
}

}  // namespace

Trouble check_policies(const SnapshotTables& tables) {
  const PolicyTables& policies = tables.http.policies;
  for (std::size_t i = 0; i < policies.terms.size(); ++i)
    if (auto trouble = check_term(policies, i)) return trouble;
  for (std::size_t i = 0; i < policies.rules.size(); ++i)
    if (auto trouble = check_rule(policies, i)) return trouble;
  for (std::size_t i = 0; i < policies.rate_limits.size(); ++i)
    if (auto trouble = check_rate_limit(policies.rate_limits[i], i)) return trouble;
  for (std::size_t i = 0; i < policies.question_targets.size(); ++i)
    if (auto trouble = check_target(policies, i)) return trouble;
  for (std::size_t i = 0; i < policies.policies.size(); ++i)
    if (auto trouble = check_policy(tables, i)) return trouble;
  const auto exists = [&](std::uint32_t policy) { return policy == kNoPolicy || policy < policies.policies.size(); };
  if (tables.http.route_policies.size() != tables.http.route_slots.size())
    return snapshot_problem(Section::route_policies, 0, "are not as many as there are routes");
  for (std::size_t i = 0; i < tables.http.route_policies.size(); ++i)
    if (!exists(tables.http.route_policies[i])) return snapshot_problem(Section::route_policies, i, "does not exist");
  for (std::size_t i = 0; i < tables.http.listeners.size(); ++i) {
    const HttpListenerRecord& listener = tables.http.listeners[i];
    if (!exists(listener.policy)) return snapshot_problem(Section::http_listeners, i, "policy does not exist");
  }
  return check_mirrors(tables);
}

}  // namespace penstock::control
