#include "mgmt/decide/http_decider.h"

#include "l7/policy/authorize.h"
#include "mgmt/compile/policy_builder.h"

namespace penstock::decide {
namespace {

using control::Answer;
using control::Decision;
using control::HttpQuestion;
using control::PolicyAction;

HttpRules rules_of(const route::AskPolicy& ask) {
  HttpRules out;
  out.otherwise = ask.otherwise;
  for (const route::AskRule& rule : ask.rules) {
    compile::add_rule(out.tables, rule.match);
    out.lifetimes_ms.push_back(rule.lifetime_ms);
  }
  return out;
}

Answer answer_to(const HttpQuestion& question, PolicyAction action, std::uint32_t lifetime_ms) {
  Answer out{};
  out.question_id = question.id;
  out.decision = action == PolicyAction::allow ? Decision::allow : Decision::deny;
  out.lifetime_ms = lifetime_ms;
  return out;
}

/// The header lines of a question, as the rules look at them.
std::vector<route::HeaderField> fields_of(std::string_view lines) {
  std::vector<route::HeaderField> out;
  while (!lines.empty()) {
    const std::size_t end = std::min(lines.find("\r\n"), lines.size());
    const std::string_view line = lines.substr(0, end);
    lines.remove_prefix(std::min(end + 2, lines.size()));
    const std::size_t colon = line.find(": ");
    if (colon != std::string_view::npos)
      out.push_back(route::HeaderField::of(line.substr(0, colon), line.substr(colon + 2)));
  }
  return out;
}

void add(HttpBook& book, const std::optional<route::Authorization>& authorization) {
  if (!authorization) return;
  if (authorization->ask) book.try_emplace(compile::question_id(*authorization->ask), rules_of(*authorization->ask));
  if (authorization->external)
    book.try_emplace(compile::question_id(*authorization->external), *authorization->external);
}

}  // namespace

HttpBook http_book(const config::Config& config) {
  HttpBook out;
  for (const config::Listener& listener : config.listeners)
    for (const route::VirtualHost& host : listener.virtual_hosts) {
      add(out, host.authorization);
      for (const route::Route& route : host.routes) add(out, route.policy.authorization);
    }
  return out;
}

Answer answer(const HttpRules& rules, const HttpQuestion& question) {
  const std::vector<route::HeaderField> fields = fields_of(question.headers());
  const route::RequestView view{.host = question.host(),
                                .path = question.path(),
                                .query = {},
                                .method = question.method(),
                                .scheme = "http",
                                .headers = fields};
  const control::PolicyTables tables{.rules = rules.tables.authorization_rules,
                                     .terms = rules.tables.policy_terms,
                                     .texts = {rules.tables.texts.data(), rules.tables.texts.size()}};
  const policy::Facts facts{view, question.client};
  for (std::size_t i = 0; i < tables.rules.size(); ++i)
    if (policy::hold(tables, tables.rules[i].first_term, tables.rules[i].term_count, facts))
      return answer_to(question, tables.rules[i].action, rules.lifetimes_ms[i]);
  return answer_to(question, rules.otherwise, kDefaultLifetimeMs);
}

Answer answer(const route::ExternalAuthorizer& external, const HttpQuestion& question, std::optional<int> status) {
  if (!status) return answer_to(question, external.on_failure, 0);
  const bool allowed = *status >= 200 && *status <= 299;
  Answer out = answer_to(question, allowed ? PolicyAction::allow : PolicyAction::deny, external.lifetime_ms);
  if (!allowed) out.status = static_cast<std::uint16_t>(*status);
  return out;
}

std::string authorizer_request(const route::ExternalAuthorizer& external, const HttpQuestion& question) {
  std::string out;
  out.reserve(256 + question.headers().size() + question.path().size());
  out += question.method();
  out += ' ';
  out += external.path_prefix;
  out += question.path().empty() ? "/" : question.path();
  out += " HTTP/1.1\r\nHost: ";
  out += question.host();
  out += "\r\n";
  out += question.headers();
  out += "x-forwarded-for: " + question.client.text();
  out += "\r\nuser-agent: penstock-authorization\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
  return out;
}

}  // namespace penstock::decide
