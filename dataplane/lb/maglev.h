// maglev.h - consistent hashing to weighted endpoints (Eisenbud et al., NSDI 2016, s3.4).
//
// Model     every member walks its own permutation of the table and takes free entries in turns; weights decide how
//           many turns (smallest virtual time first). The table depends on the members' identities and weights
//           alone, not on their order, so every node builds the same one.
// Spread    exact: floor or ceiling of size * weight / total weight entries for each member.
// Change    removing 1 of 100 members of a table of 65537 moves about 1 % of the entries that could have stayed
//           (maglev_test.cpp measures and bounds it).
// Limits    size is prime and at most 65537; at most 65535 members; identities are distinct.
// Not here  which members are healthy: whoever builds it leaves the others out or gives them weight 0.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "dataplane/core/addresses.h"
#include "dataplane/lb/flow_hash.h"

namespace penstock::lb {

struct MaglevMember {
  std::uint64_t identity;  ///< member_identity(), equal on all nodes
  std::uint32_t weight;    ///< 0 takes no entries
};

/// Identity of an endpoint for build_maglev().
[[nodiscard]] inline std::uint64_t member_identity(const IpAddress& address, Be16 port) {
  return endpoint_hash(address, port, IpProto{0});
}

/// Table of indices into `members`. Empty when no weight is above zero.
[[nodiscard]] std::vector<std::uint16_t> build_maglev(std::span<const MaglevMember> members, std::uint32_t size);

/// The member for a flow: `table` is not empty, `hash` from flow_hash().
[[nodiscard]] inline std::uint16_t pick(std::span<const std::uint16_t> table, std::uint64_t hash) {
  return table[share_of(hash, static_cast<std::uint32_t>(table.size()))];
}

/// The documented default: the smallest of {1021, 4093, 16381, 65537} that has 100 entries per endpoint.
[[nodiscard]] std::uint32_t default_table_size(std::size_t endpoints);

[[nodiscard]] bool is_prime(std::uint32_t n);

inline constexpr std::uint32_t kTableSizeMax = 65537;

}  // namespace penstock::lb
