// verify.h - the compiled table against the reference, before it is published.
//
// Model     requests are made from the table itself: every literal, a little more and a little less of it, in another
//           case; examples of every expression, and near misses; with conditions fulfilled and not; on every domain.
//           The compiled table must answer each as the linear one does. This is what finds a wrong database, a
//           wrong library and a wrong compiler on the machine where it matters.
// Units     requests compared.
// Errors    the first request that is answered differently, as a Problem: do not publish.
// Limits    kVerifyWork routes looked at by the reference, so that 10,000 routes on one host take seconds, not minutes;
//           beyond, requests are a sample spread evenly over the routes.
#pragma once
#include "dataplane/core/result.h"
#include "l7/route/loaded_table.h"
#include "l7/route/route_config.h"

namespace penstock::route {

/// About 20 to 50 ns each.
inline constexpr std::size_t kVerifyWork = 20'000'000;

struct Verified {
  std::size_t requests{0};
  std::size_t found{0};  ///< of these, answered with a route
};
/// `seed` varies what is random in the requests.
[[nodiscard]] Result<Verified> verify(const RouteTable& table, const LoadedTable& loaded, std::uint64_t seed,
                                      std::size_t work = kVerifyWork);

}  // namespace penstock::route
