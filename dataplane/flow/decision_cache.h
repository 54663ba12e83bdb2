// decision_cache.h - answers that hold for a class of flows: (listener, source prefix) -> decision.
//
// Model     8-way sets; the longest cached prefix that contains the source wins. Only prefix lengths that were ever
//           cached are probed. A full set gives up the entry that ends first.
// Limits    `slots` entries, rounded up to a power of two.
// Errors    none: a miss means asking again.
#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "dataplane/control/snapshot_layout.h"
#include "dataplane/core/addresses.h"
#include "dataplane/core/clock.h"

namespace penstock::flow {

class DecisionCache {
 public:
  DecisionCache(std::uint32_t slots, std::uint64_t seed);
  /// `prefix` in its own family's bits; replaces an equal entry. Bits beyond the family's width are refused.
  bool put(std::uint32_t listener_id, const IpPrefix& prefix, control::Decision decision, Instant until);
  [[nodiscard]] std::optional<control::Decision> find(std::uint32_t listener_id, const IpAddress& source,
                                                      Instant now) const;
  /// Forgets everything (a new snapshot may have changed what the answers would be).
  void clear();

 private:
  static constexpr std::size_t kWays = 8;
  static constexpr std::size_t kLengths = 129;  // in IPv6 bits; IPv4 prefixes are 96 longer
  struct Entry {
    IpAddress prefix;
    Instant until{};
    std::uint32_t listener_id{};
    std::uint8_t bits{};  // in IPv6 bits
    control::Decision decision{};
    bool used{};
  };
  [[nodiscard]] std::size_t set_of(std::uint32_t listener_id, const IpAddress& prefix, std::uint8_t bits) const;

  std::vector<Entry> entries_;
  std::array<std::uint64_t, 3> lengths_{};  // bitmap of prefix lengths in use
  std::uint64_t seed_;
};

}  // namespace penstock::flow
