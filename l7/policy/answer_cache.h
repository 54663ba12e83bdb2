// answer_cache.h - answers to questions about requests, for as long as they hold.
//
// Model     by the keyed hash of the facts that were asked about. Sets of eight; a full set gives up the entry that
//           ends first. A target's id changes with what it says, so answers of old rules are never found again.
// Shape     memory is taken at construction.
// Errors    none: a miss means asking again.
// Limits    kAnswerCacheSlots of one worker.
#pragma once
#include <cstdint>
#include <optional>
#include <vector>

#include "dataplane/core/clock.h"
#include "l7/policy/keyed_hash.h"

namespace penstock::policy {

inline constexpr std::size_t kAnswerCacheSlots = 8192;
/// What an answer says: 0 = allowed, else the status of the refusal.
using Verdict = std::uint16_t;

class AnswerCache {
 public:
  AnswerCache() : entries_(kAnswerCacheSlots) {}
  void put(const Hash128& facts, Verdict verdict, Instant until);
  [[nodiscard]] std::optional<Verdict> find(const Hash128& facts, Instant now) const;

 private:
  static constexpr std::size_t kWays = 8;
  struct Entry {
    Hash128 facts;
    Instant until{};
    Verdict verdict{};
  };
  [[nodiscard]] static std::size_t set_of(const Hash128& facts) {
    return facts.low % (kAnswerCacheSlots / kWays) * kWays;
  }
  std::vector<Entry> entries_;
};

}  // namespace penstock::policy
