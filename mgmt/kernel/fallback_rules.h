// fallback_rules.h - the fallback state as text for nft(8).
//
// Model     a pure function; one transaction that replaces the whole table. docs/architecture/fallback.md.
// Errors    Problem for a state that has no ruleset: two services of one key, mixed families, an empty port range.
#pragma once
#include <string>
#include <vector>

#include "mgmt/kernel/fallback.h"

namespace penstock::kernel {

/// `owned`: service addresses that are local only because we made them so; other ports on them are refused.
[[nodiscard]] Result<std::string> fallback_ruleset(const std::string& table, const FallbackState& wanted,
                                                   const std::vector<IpAddress>& owned);
/// Ports that masquerading may use: the larger part outside the reserved range.
struct PortSpan {
  std::uint16_t low;
  std::uint16_t high;
  friend bool operator==(const PortSpan&, const PortSpan&) = default;
};
[[nodiscard]] PortSpan masquerade_ports(std::uint16_t reserved_low, std::uint16_t reserved_high);

}  // namespace penstock::kernel
