// slow_start.h - how much of its weight an endpoint gets that became usable a while ago.
//
// Model     weight * max(min_weight_percent / 100, (elapsed / window) ^ (1 / aggression)), as Envoy documents it.
//           With aggression 1 the share grows evenly, above 1 quickly at first, below 1 slowly at first.
// Units     shares in 1/kShareOne; times in milliseconds, handed in.
// Errors    none.
// Not here  when it began (HttpProxy::begin_slow_start).
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>

#include "dataplane/control/http_layout.h"

namespace penstock::proxy {

inline constexpr std::uint32_t kShareOne = 256;

/// Above 0, so that every endpoint gets something.
[[nodiscard]] inline std::uint32_t slow_start_share(const control::SlowStartRecord& rule, std::uint32_t elapsed_ms) {
  if (elapsed_ms >= rule.window_ms) return kShareOne;
  const double passed = static_cast<double>(std::max(elapsed_ms, 1u)) / rule.window_ms;
  // Nearly everybody leaves it at 1.
  const double grown = rule.aggression_percent == 100 ? passed : std::pow(passed, 100.0 / rule.aggression_percent);
  const double share = std::max(grown, rule.min_weight_percent / 100.0);
  return std::max(1u, static_cast<std::uint32_t>(share * kShareOne));
}

}  // namespace penstock::proxy
