#include "mgmt/daemon/clock.h"

#include <time.h>

namespace penstock::daemon {

Instant now() {
  timespec t{};
  ::clock_gettime(CLOCK_MONOTONIC, &t);
  return Instant{std::chrono::seconds{t.tv_sec} + std::chrono::nanoseconds{t.tv_nsec}};
}

std::uint64_t unix_seconds() { return static_cast<std::uint64_t>(::time(nullptr)); }

}  // namespace penstock::daemon
