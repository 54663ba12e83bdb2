// clock.h - the daemon's clocks, read in one place.
#pragma once
#include "dataplane/core/clock.h"

namespace penstock::daemon {

/// CLOCK_MONOTONIC, the clock of heartbeats and flow stamps.
[[nodiscard]] Instant now();
[[nodiscard]] std::uint64_t unix_seconds();

}  // namespace penstock::daemon
