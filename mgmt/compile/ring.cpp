#include "mgmt/compile/ring.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "dataplane/control/hash.h"
#include "dataplane/lb/maglev.h"

namespace penstock::compile {

std::vector<control::RingPoint> build_ring(const std::vector<config::Endpoint>& endpoints, std::uint32_t points) {
  std::uint64_t total = 0;
  for (const config::Endpoint& endpoint : endpoints) total += endpoint.weight;
  struct Placed {
    std::uint64_t hash;
    control::RingPoint point;
  };
  std::vector<Placed> placed;
  for (std::uint32_t e = 0; e < endpoints.size(); ++e) {
    if (endpoints[e].weight == 0) continue;
    const std::uint64_t identity = lb::member_identity(endpoints[e].address, Be16::from_host(endpoints[e].port));
    const std::uint64_t share =
        std::max<std::uint64_t>(1, (points * std::uint64_t{endpoints[e].weight} + total / 2) / total);
    for (std::uint64_t i = 0; i < share; ++i) {
      const std::array<std::uint64_t, 2> name{identity, i};
      const std::uint64_t hash = control::hash64(std::as_bytes(std::span{name}));
      placed.push_back({hash, {static_cast<std::uint32_t>(hash >> 32), e}});
    }
  }
  std::sort(placed.begin(), placed.end(), [](const Placed& a, const Placed& b) { return a.hash < b.hash; });
  std::vector<control::RingPoint> out;
  out.reserve(placed.size());
  for (const Placed& p : placed) out.push_back(p.point);
  return out;
}

}  // namespace penstock::compile
