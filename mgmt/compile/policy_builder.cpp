#include "mgmt/compile/policy_builder.h"

#include "dataplane/control/hash.h"
#include "dataplane/control/limits.h"

namespace penstock::compile {
namespace {

using control::TermKind;

template <typename T>
std::uint32_t size_of(const std::vector<T>& records) {
  return static_cast<std::uint32_t>(records.size());
}

constexpr std::uint32_t kMillionthsPerPercent = 10'000;

/// Nothing else than `authorization` may be there.
bool is_plain(const route::RoutePolicy& policy) {
  return !policy.authorization && !policy.rate_limit && !policy.client_rate_limit && !policy.fault && !policy.mirror;
}

}  // namespace

std::uint32_t PolicyBuilder::add(const control::HttpPolicyRecord& record) {
  content_.http_policies.push_back(record);
  return size_of(content_.http_policies) - 1;
}

void PolicyBuilder::add_headers(const std::vector<route::HeaderTerm>& headers) {
  for (const route::HeaderTerm& header : headers)
    content_.policy_terms.push_back({header.kind,
                                     static_cast<std::uint8_t>(header.invert ? control::kTermInvert : 0),
                                     0,
                                     0,
                                     control::add_text(content_, header.name),
                                     control::add_text(content_, header.value),
                                     {}});
}

void PolicyBuilder::add_authorization(const route::Authorization& authorization, control::HttpPolicyRecord& record) {
  record.otherwise = authorization.otherwise;
  const std::uint32_t first = size_of(content_.authorization_rules);
  for (const route::AuthorizationRule& rule : authorization.rules) {
    const std::uint32_t first_term = size_of(content_.policy_terms);
    for (const IpPrefix& source : rule.sources)
      content_.policy_terms.push_back({TermKind::source, 0, source.bits, 0, {}, {}, source.address});
    const auto add_texts = [&](TermKind kind, const std::vector<std::string>& texts) {
      for (const std::string& text : texts)
        content_.policy_terms.push_back({kind, 0, 0, 0, {}, control::add_text(content_, text), {}});
    };
    add_texts(TermKind::method, rule.methods);
    add_texts(TermKind::path, rule.paths);
    add_texts(TermKind::path_prefix, rule.prefixes);
    add_headers(rule.headers);
    content_.authorization_rules.push_back({first_term, size_of(content_.policy_terms) - first_term, rule.action, {}});
  }
  record.first_rule = first;
  record.rule_count = size_of(content_.authorization_rules) - first;
}

std::uint32_t PolicyBuilder::add_rate_limit(const std::optional<route::RateLimit>& limit, const std::string& key) {
  if (!limit) return control::kNoPolicy;
  const std::uint64_t id = control::hash64(std::as_bytes(std::span{key.data(), key.size()}));
  content_.rate_limits.push_back({id, std::uint64_t{limit->per_ms} * 1'000'000 / limit->requests,
                                  limit->burst != 0 ? limit->burst : limit->requests, 0});
  return size_of(content_.rate_limits) - 1;
}

std::uint32_t PolicyBuilder::add_listener(const config::Listener& listener) {
  if (!listener.http.rate_limit && !listener.http.client_rate_limit) return control::kNoPolicy;
  control::HttpPolicyRecord record;
  record.rate_limit = add_rate_limit(listener.http.rate_limit, "listener " + listener.name);
  record.client_rate_limit = add_rate_limit(listener.http.client_rate_limit, "clients of listener " + listener.name);
  return add(record);
}

control::HttpPolicyRecord PolicyBuilder::route_policy(const route::RoutePolicy& policy, const std::string& key,
                                                      const ClusterIndex& cluster_index) {
  control::HttpPolicyRecord record;
  record.rate_limit = add_rate_limit(policy.rate_limit, "route " + key);
  record.client_rate_limit = add_rate_limit(policy.client_rate_limit, "clients of route " + key);
  if (policy.fault) {
    record.first_fault_term = size_of(content_.policy_terms);
    add_headers(policy.fault->headers);
    record.fault_term_count = size_of(content_.policy_terms) - record.first_fault_term;
    record.delay_ms = policy.fault->delay_ms;
    record.delay_millionths = policy.fault->delay_percent * kMillionthsPerPercent;
    record.abort_status = policy.fault->abort_status;
    record.abort_millionths = policy.fault->abort_percent * kMillionthsPerPercent;
  }
  if (policy.mirror) {
    record.mirror_cluster = cluster_index(policy.mirror->cluster);
    record.mirror_millionths = policy.mirror->percent * kMillionthsPerPercent;
  }
  return record;
}

void PolicyBuilder::add_routes(const config::Listener& listener, const ClusterIndex& cluster_index) {
  for (const route::VirtualHost& host : listener.virtual_hosts) {
    control::HttpPolicyRecord of_host;
    if (host.authorization) add_authorization(*host.authorization, of_host);
    std::uint32_t shared = control::kNoPolicy;
    for (std::size_t i = 0; i < host.routes.size(); ++i) {
      const route::Route& route = host.routes[i];
      if (is_plain(route.policy)) {
        if (host.authorization && shared == control::kNoPolicy) shared = add(of_host);
        content_.route_policies.push_back(shared);
        continue;
      }
      const std::string name = route.name.empty() ? "#" + std::to_string(i) : route.name;
      control::HttpPolicyRecord record =
          route_policy(route.policy, listener.name + "/" + host.name + "/" + name, cluster_index);
      if (route.policy.authorization) {
        add_authorization(*route.policy.authorization, record);
      } else if (host.authorization) {
        record.first_rule = of_host.first_rule;
        record.rule_count = of_host.rule_count;
        record.otherwise = of_host.otherwise;
      }
      content_.route_policies.push_back(add(record));
    }
  }
}

}  // namespace penstock::compile
