// derive.h - what the kernel side is to do for a configuration: pure functions beside the snapshot.
#pragma once
#include <vector>

#include "mgmt/compile/compiler.h"

namespace penstock::compile {

/// `listeners` are those of the snapshot, with their ids; draining ones that lost their steering are left out before.
[[nodiscard]] SteeringState derive_steering(const config::Config& config, const Draining& draining,
                                            const std::vector<ListenerInfo>& listeners);
[[nodiscard]] FallbackState derive_fallback(const config::Config& config);

}  // namespace penstock::compile
