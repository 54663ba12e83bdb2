// start_check.h - everything that can be known to fail before anything is touched.
//
// Errors    all problems at once, each with its remedy.
#pragma once
#include <string>

#include "dataplane/core/result.h"
#include "mgmt/config/config.h"

namespace penstock::daemon {

struct MemoryNeed {
  std::uint64_t pool_octets;   ///< packet buffers, inside memory_mib
  std::uint64_t flow_octets;   ///< flow tables of all workers, beside it
  std::uint64_t total_octets;  ///< memory_mib and flow tables
};
[[nodiscard]] MemoryNeed memory_need(const config::Node& node);
/// Against what is available, in octets.
[[nodiscard]] Problems memory_problems(const config::Node& node, std::uint64_t available_octets);

/// The whole check. `dataplane_binary`: as found, empty when there is none.
[[nodiscard]] Problems start_problems(const config::Config& config, const std::string& dataplane_binary,
                                      const std::string& api_socket);

}  // namespace penstock::daemon
