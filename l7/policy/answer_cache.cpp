#include "l7/policy/answer_cache.h"

#include <algorithm>
#include <span>

namespace penstock::policy {

void AnswerCache::put(const Hash128& facts, Verdict verdict, Instant until) {
  const std::span<Entry> set{entries_.data() + set_of(facts), kWays};
  auto entry = std::find_if(set.begin(), set.end(), [&](const Entry& e) { return e.facts == facts; });
  if (entry == set.end())
    entry = std::min_element(set.begin(), set.end(), [](const Entry& a, const Entry& b) { return a.until < b.until; });
  *entry = {facts, until, verdict};
}

std::optional<Verdict> AnswerCache::find(const Hash128& facts, Instant now) const {
  const std::span<const Entry> set{entries_.data() + set_of(facts), kWays};
  for (const Entry& entry : set)
    if (entry.facts == facts && entry.until > now) return entry.verdict;
  return std::nullopt;
}

}  // namespace penstock::policy
