#include "l7/policy/authorize.h"

#include <algorithm>

#include "l7/route/text_fold.h"

namespace penstock::policy {
namespace {

using control::PolicyTerm;
using control::TermKind;

/// Terms of one group hold together when any of them does; headers are no group: each has to.
enum Group : unsigned { kSources = 1, kMethods = 2, kPaths = 4 };

constexpr unsigned group_of(TermKind kind) {
  switch (kind) {
    case TermKind::source:
      return kSources;
    case TermKind::method:
      return kMethods;
    case TermKind::path:
    case TermKind::path_prefix:
      return kPaths;
    case TermKind::header_present:
    case TermKind::header_exact:
    case TermKind::header_prefix:
      break;
  }
  return 0;
}

/// The value of a hexadecimal digit; -1.
constexpr int digit_of(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

bool line_fulfils(TermKind kind, std::string_view line, std::string_view value) {
  if (kind == TermKind::header_exact) return line == value;
  return kind == TermKind::header_present || line.starts_with(value);
}

bool holds(const control::PolicyTables& tables, const PolicyTerm& term, const Facts& facts) {
  const std::string_view value = tables.text(term.value);
  switch (term.kind) {
    case TermKind::source:
      return term.source.is_v4() == facts.client.is_v4() &&
             IpPrefix{term.source, term.source_bits}.contains(facts.client);
    case TermKind::method:
      return facts.request.method == value;
    case TermKind::path:
      return path_begins(facts.request.path, value, true);
    case TermKind::path_prefix:
      return path_begins(facts.request.path, value, false);
    case TermKind::header_present:
    case TermKind::header_exact:
    case TermKind::header_prefix:
      break;
  }
  const std::string_view name = tables.text(term.name);
  const bool any = std::any_of(facts.request.headers.begin(), facts.request.headers.end(), [&](const auto& field) {
    return route::equals_folded(field.name, name) && line_fulfils(term.kind, field.value, value);
  });
  return any != ((term.flags & control::kTermInvert) != 0);
}

}  // namespace

bool path_begins(std::string_view path, std::string_view value, bool whole) {
  std::size_t at = 0;
  for (const char wanted : value) {
    if (at >= path.size()) return false;
    char c = path[at];
    std::size_t octets = 1;
    if (c == '%' && path.size() - at > 2) {
      const int high = digit_of(path[at + 1]), low = digit_of(path[at + 2]);
      if (high >= 0 && low >= 0) c = static_cast<char>(high << 4 | low), octets = 3;
    }
    if (c != wanted) return false;
    at += octets;
  }
  return !whole || at == path.size();
}

bool hold(const control::PolicyTables& tables, std::uint32_t first_term, std::uint32_t term_count, const Facts& facts) {
  unsigned named = 0, held = 0;
  for (const PolicyTerm& term : tables.terms.subspan(first_term, term_count)) {
    const unsigned group = group_of(term.kind);
    named |= group;
    if (group != 0 && (held & group) != 0) continue;
    const bool yes = holds(tables, term, facts);
    if (group == 0 && !yes) return false;
    if (yes) held |= group;
  }
  return held == named;
}

control::PolicyAction authorize(const control::PolicyTables& tables, const control::HttpPolicyRecord& policy,
                                const Facts& facts) {
  for (const control::AuthorizationRule& rule : tables.rules.subspan(policy.first_rule, policy.rule_count))
    if (hold(tables, rule.first_term, rule.term_count, facts)) return rule.action;
  return policy.otherwise;
}

}  // namespace penstock::policy
