#include "mgmt/compile/policy_builder.h"

#include <algorithm>
#include <utility>

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

/// The daemon's own failure to reach an authorizer is to arrive before the deadline.
constexpr std::uint32_t kAnswerSlackMs = 50;

void add_headers(control::SnapshotContent& content, const std::vector<route::HeaderTerm>& headers) {
  for (const route::HeaderTerm& header : headers)
    content.policy_terms.push_back({header.kind,
                                    static_cast<std::uint8_t>(header.invert ? control::kTermInvert : 0),
                                    0,
                                    0,
                                    control::add_text(content, header.name),
                                    control::add_text(content, header.value),
                                    {}});
}

/// One line per value, so that no two configurations say the same.
class Canonical {
 public:
  Canonical& add(std::string_view text) {
    text_ += std::to_string(text.size()) + ":";
    text_ += text;
    return *this;
  }
  Canonical& add(std::uint64_t number) { return add(std::to_string(number)); }
  [[nodiscard]] std::uint64_t id() const {
    return control::hash64(std::as_bytes(std::span{text_.data(), text_.size()}));
  }

 private:
  std::string text_;
};

std::vector<std::string> headers_of(const route::AskPolicy& ask) {
  std::vector<std::string> out;
  for (const route::AskRule& rule : ask.rules)
    for (const route::HeaderTerm& header : rule.match.headers)
      if (std::find(out.begin(), out.end(), header.name) == out.end()) out.push_back(header.name);
  return out;
}

/// No policy of the route's own.
bool is_plain(const route::RoutePolicy& policy) {
  return !policy.authorization && !policy.rate_limit && !policy.client_rate_limit && !policy.fault && !policy.mirror &&
         !policy.max_request_body;
}

}  // namespace

std::uint64_t question_id(const route::AskPolicy& ask) {
  Canonical out;
  out.add("ask").add(static_cast<std::uint64_t>(ask.otherwise)).add(ask.deadline_ms);
  for (const route::AskRule& rule : ask.rules) {
    out.add("rule").add(static_cast<std::uint64_t>(rule.match.action)).add(rule.lifetime_ms);
    for (const IpPrefix& source : rule.match.sources) out.add("source").add(source.text());
    for (const auto& [key, texts] : {std::pair{"method", &rule.match.methods}, std::pair{"path", &rule.match.paths},
                                     std::pair{"prefix", &rule.match.prefixes}})
      for (const std::string& text : *texts) out.add(key).add(text);
    for (const route::HeaderTerm& header : rule.match.headers)
      out.add("header")
          .add(header.name)
          .add(header.value)
          .add(static_cast<std::uint64_t>(header.kind))
          .add(std::uint64_t{header.invert});
  }
  return out.id();
}

std::uint64_t question_id(const route::ExternalAuthorizer& external) {
  Canonical out;
  out.add("external").add(external.address.text()).add(external.port).add(external.path_prefix);
  out.add(external.timeout_ms).add(external.lifetime_ms).add(static_cast<std::uint64_t>(external.on_failure));
  for (const std::string& header : external.headers) out.add(header);
  return out.id();
}

std::uint8_t facts_of(const route::AskPolicy& ask) {
  unsigned facts = 0;
  for (const route::AskRule& rule : ask.rules) {
    if (!rule.match.methods.empty()) facts |= control::kFactMethod;
    if (!rule.match.paths.empty() || !rule.match.prefixes.empty()) facts |= control::kFactPath;
  }
  return static_cast<std::uint8_t>(facts);
}

void add_rule(control::SnapshotContent& content, const route::AuthorizationRule& rule) {
  const std::uint32_t first_term = size_of(content.policy_terms);
  for (const IpPrefix& source : rule.sources)
    content.policy_terms.push_back({TermKind::source, 0, source.bits, 0, {}, {}, source.address});
  const auto add_texts = [&](TermKind kind, const std::vector<std::string>& texts) {
    for (const std::string& text : texts)
      content.policy_terms.push_back({kind, 0, 0, 0, {}, control::add_text(content, text), {}});
  };
  add_texts(TermKind::method, rule.methods);
  add_texts(TermKind::path, rule.paths);
  add_texts(TermKind::path_prefix, rule.prefixes);
  add_headers(content, rule.headers);
  content.authorization_rules.push_back({first_term, size_of(content.policy_terms) - first_term, rule.action, {}});
}

std::uint32_t PolicyBuilder::add(const control::HttpPolicyRecord& record) {
  content_.http_policies.push_back(record);
  return size_of(content_.http_policies) - 1;
}

std::uint32_t PolicyBuilder::add_target(control::QuestionTargetRecord target, const std::vector<std::string>& headers) {
  target.first_header = size_of(content_.question_headers);
  target.header_count = size_of(headers);
  for (const std::string& name : headers) content_.question_headers.push_back(control::add_text(content_, name));
  content_.question_targets.push_back(target);
  return size_of(content_.question_targets) - 1;
}

void PolicyBuilder::add_authorization(const route::Authorization& authorization, control::HttpPolicyRecord& record) {
  record.otherwise = authorization.otherwise;
  record.first_rule = size_of(content_.authorization_rules);
  for (const route::AuthorizationRule& rule : authorization.rules) add_rule(content_, rule);
  record.rule_count = size_of(content_.authorization_rules) - record.first_rule;
  if (authorization.ask) {
    const route::AskPolicy& ask = *authorization.ask;
    record.ask =
        add_target({question_id(ask), ask.deadline_ms, ask.otherwise, facts_of(ask), 0, 0, 0}, headers_of(ask));
  }
  if (authorization.external) {
    const route::ExternalAuthorizer& external = *authorization.external;
    record.external = add_target({question_id(external), external.timeout_ms + kAnswerSlackMs, external.on_failure,
                                  control::kQuestionFactsAll, 0, 0, 0},
                                 external.headers);
  }
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
    add_headers(content_, policy.fault->headers);
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
  record.max_body_octets = policy.max_request_body.value_or(0);
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
        record.ask = of_host.ask;
        record.external = of_host.external;
      }
      content_.route_policies.push_back(add(record));
    }
  }
}

}  // namespace penstock::compile
