// shadow.h - routes of a host that no request can ever reach, since an earlier one takes them all.
//
// Model     route B is shadowed by an earlier A when A's path takes every path of B, A's methods include B's, and
//           each of A's conditions follows from one of B's. All three are decided by form: whatever is told is
//           unreachable, but not everything unreachable is told (two earlier routes that take one half each;
//           overlapping expressions).
// Units     routes are numbers within their host.
// Errors    none: the host was validated.
// Limits    of one path's routes the first kShadowRivals with conditions are compared, twice as many in all; so time is
//           linear in the text.
#pragma once
#include <cstdint>
#include <vector>

#include "l7/route/route_config.h"

namespace penstock::route {

inline constexpr std::size_t kShadowRivals = 32;

struct Shadowed {
  std::uint32_t route;
  std::uint32_t by;  ///< an earlier one
  friend bool operator==(const Shadowed&, const Shadowed&) = default;
};
/// In order of `route`, each once.
[[nodiscard]] std::vector<Shadowed> shadowed_routes(const VirtualHost& host);

}  // namespace penstock::route
