// kernel_state.h - what the compiler wants, in the words of mgmt/kernel.
//
// Model     pure. The kernel path knows no policy rules: a service whose listener asks or denies gets endpoints there
//           only if everybody is allowed without a question; otherwise new connections end in a drop.
#pragma once
#include <string>
#include <vector>

#include "mgmt/compile/compiler.h"
#include "mgmt/kernel/fallback.h"
#include "mgmt/kernel/steering.h"

namespace penstock::publish {

[[nodiscard]] kernel::SteerState steer_state(const compile::SteeringState& wanted, const config::Node& node,
                                             std::uint32_t worker_count);
/// `interfaces`: ports in the daemon's own namespace.
[[nodiscard]] kernel::FallbackState fallback_state(const compile::FallbackState& wanted,
                                                   std::vector<std::string> interfaces);

}  // namespace penstock::publish
