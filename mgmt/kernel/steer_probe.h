// steer_probe.h - the attach self-test.
//
// Model     BPF_PROG_RUN in live-frames mode runs the attached program over a probe frame with the interface as its
//           receive device, queue 0; the redirect is carried out for real, so the frame reaches the dataplane by
//           xsks_map, its socket and its poll loop. What does not reach it is explained by the program's counters.
#pragma once
#include <functional>

#include "mgmt/kernel/steer_port.h"

namespace penstock::kernel {

[[nodiscard]] Status probe_port(const SteerPort& port, const std::function<std::uint64_t()>& probes_seen,
                                Duration at_most);

}  // namespace penstock::kernel
