#include "mgmt/decide/decider.h"

#include <algorithm>

namespace penstock::decide {
namespace {

std::uint8_t family_bits(const IpAddress& address) { return address.is_v4() ? 32 : 128; }

bool overlaps(const IpPrefix& a, const IpPrefix& b) {
  if (a.address.family() != b.address.family()) return false;
  return a.bits <= b.bits ? a.contains(b.address) : b.contains(a.address);
}

/// The widest prefix around `source` inside `bound` that meets none of the first `count` rules.
IpPrefix widest_clear(const IpAddress& source, const IpPrefix& bound, const std::vector<Rule>& rules,
                      std::size_t count) {
  const std::uint8_t host = family_bits(source);
  for (std::uint8_t bits = bound.bits; bits < host; ++bits) {
    const IpPrefix candidate{masked(source, bits), bits};
    const auto meets = [&](const Rule& rule) { return overlaps(candidate, rule.source); };
    if (std::none_of(rules.begin(), rules.begin() + static_cast<std::ptrdiff_t>(count), meets)) return candidate;
  }
  return {source, host};
}

}  // namespace

Ruling rule_on(const RuleSet& set, const IpAddress& source) {
  for (std::size_t i = 0; i < set.rules.size(); ++i) {
    const Rule& rule = set.rules[i];
    if (rule.source.address.family() != source.family() || !rule.source.contains(source)) continue;
    return {rule.decision, rule.lifetime_ms, widest_clear(source, rule.source, set.rules, i)};
  }
  const IpPrefix everything{masked(source, 0), 0};
  return {set.fallback, set.fallback_lifetime_ms, widest_clear(source, everything, set.rules, set.rules.size())};
}

control::Answer answer(const RuleBook& book, const control::Question& question) {
  control::Answer out{};
  out.question_id = question.id;
  out.listener_id = question.listener_id;
  const auto found = book.find(question.listener_id);
  const Ruling ruling = found != book.end()
                            ? rule_on(found->second, question.source)
                            : Ruling{control::Decision::deny, 0, {question.source, family_bits(question.source)}};
  out.decision = ruling.decision;
  out.lifetime_ms = ruling.lifetime_ms;
  out.source = ruling.holds_for.address;
  out.source_bits = ruling.holds_for.bits;
  return out;
}

}  // namespace penstock::decide
