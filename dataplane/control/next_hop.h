// next_hop.h - where a packet for an endpoint goes on the link layer.
//
// Model     the dataplane's control thread learns routes and neighbours from the kernel (netlink) and hands
//           workers an immutable table; flows hold an index that stays with an address for its lifetime.
// Shape     16 octets.
#pragma once
#include <cstdint>

#include "dataplane/core/addresses.h"
#include "dataplane/core/frame.h"

namespace penstock::control {

using NextHopIndex = std::uint16_t;
inline constexpr NextHopIndex kNoNextHop = 0xffff;

struct NextHop {
  MacAddress destination;    ///< link address of the endpoint or of the gateway towards it
  MacAddress source;         ///< link address of the port
  PortIndex port{kNoPort};   ///< kNoPort: not resolved, or not by a port of ours
  std::uint16_t vlan_tci{};  ///< tag to put on the frame (host order), 0 = untagged
  [[nodiscard]] bool resolved() const { return port != kNoPort; }
  friend bool operator==(const NextHop&, const NextHop&) = default;
};
static_assert(sizeof(NextHop) == 16);

}  // namespace penstock::control
