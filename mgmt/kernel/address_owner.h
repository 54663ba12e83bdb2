// address_owner.h - makes the kernel answer for service addresses.
//
// Model     desired state: a local route to lo per address (the kernel then accepts its packets and answers ARP), and
//           for IPv6 a proxy neighbour per address and interface (a local route alone does not answer solicitations).
//           What we made is marked with kRouteProtocol, so a later process finds and removes it.
// Errors    Problem naming the address. An address that is the node's own already is left alone.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "dataplane/core/addresses.h"
#include "dataplane/core/result.h"

namespace penstock::kernel {

/// Routing protocol number of our routes and proxy neighbours: `ip route show table local proto 181`.
inline constexpr std::uint8_t kRouteProtocol = 181;

/// Makes routes and proxy neighbours of ours equal to the wanted ones. Interfaces that do not exist are skipped.
[[nodiscard]] Status own_addresses(const std::vector<IpAddress>& addresses, const std::vector<std::string>& interfaces);

}  // namespace penstock::kernel
