// ring.h - the hash ring of a cluster with lb_policy ring_hash.
//
// Model     every endpoint has points in proportion to its weight, at least one; a point's place depends on the
//           endpoint's identity and the point's number alone, so every node builds the same ring, and an endpoint that
//           leaves takes only its own points with it.
// Errors    none; empty when no endpoint has weight.
#pragma once
#include <vector>

#include "mgmt/config/cluster.h"

namespace penstock::compile {

[[nodiscard]] std::vector<control::RingPoint> build_ring(const std::vector<config::Endpoint>& endpoints,
                                                         std::uint32_t points);

}  // namespace penstock::compile
