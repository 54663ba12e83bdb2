// decider.h - answers policy questions from the listener's rules.
//
// Model     the first rule whose prefix holds the source decides; without one the listener's default does. The
//           answer covers the widest prefix around the source in which every address gets the same decision by the
//           same rule, so that one answer serves a whole class of flows.
// Units     lifetimes in milliseconds; 0 = this flow only.
// Errors    a question about an unknown listener is answered with deny for that flow alone.
// Limits    kRuleMax rules per listener; answering is linear in them.
// Not here  draining the rings (mgmt/daemon), caching (the worker).
#pragma once
#include <cstddef>
#include <cstdint>
#include <unordered_map>
#include <vector>

#include "dataplane/control/question.h"
#include "dataplane/core/addresses.h"

namespace penstock::decide {

inline constexpr std::size_t kRuleMax = 1024;
/// How long an answer by the default holds when no rule matched.
inline constexpr std::uint32_t kDefaultLifetimeMs = 10'000;

struct Rule {
  IpPrefix source;
  control::Decision decision{control::Decision::deny};
  std::uint32_t lifetime_ms{};
  friend bool operator==(const Rule&, const Rule&) = default;
};

struct RuleSet {
  std::vector<Rule> rules;  ///< first match decides
  control::Decision fallback{control::Decision::deny};
  std::uint32_t fallback_lifetime_ms{kDefaultLifetimeMs};
  friend bool operator==(const RuleSet&, const RuleSet&) = default;
};

/// The answer for `source` alone: what, for how long, and for which prefix around it.
struct Ruling {
  control::Decision decision{control::Decision::deny};
  std::uint32_t lifetime_ms{};
  IpPrefix holds_for;
  friend bool operator==(const Ruling&, const Ruling&) = default;
};
[[nodiscard]] Ruling rule_on(const RuleSet& rules, const IpAddress& source);

/// All listeners with policy `ask`, by listener id.
using RuleBook = std::unordered_map<std::uint32_t, RuleSet>;

[[nodiscard]] control::Answer answer(const RuleBook& book, const control::Question& question);

}  // namespace penstock::decide
