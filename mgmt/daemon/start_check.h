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
  std::uint64_t proxy_octets;  ///< proxied connections of all workers, beside it
  std::uint64_t total_octets;  ///< memory_mib, flow tables, proxied connections
};
/// `proxies`: some listener has mode proxy. Without one the memory of proxied connections is never touched.
[[nodiscard]] MemoryNeed memory_need(const config::Node& node, bool proxies);
/// Against what is available, in octets.
[[nodiscard]] Problems memory_problems(const config::Node& node, bool proxies, std::uint64_t available_octets);

/// What a running dataplane reserved at its start, all workers together.
struct Reserved {
  std::uint64_t workers{};
  std::uint64_t flows{};
  std::uint64_t proxy_connections{};
};
/// What an adopted dataplane has too little of: the lower number holds until it restarts.
[[nodiscard]] Problems reserved_problems(const config::Node& node, const Reserved& reserved);

/// What does not keep the daemon from starting and should be known.
[[nodiscard]] Problems start_warnings(const config::Config& config);

/// Ports that want large frames from a kernel that has none.
[[nodiscard]] Problems large_frames_problems(const config::Config& config);

/// The whole check. `dataplane_binary`: as found, empty when there is none.
[[nodiscard]] Problems start_problems(const config::Config& config, const std::string& dataplane_binary,
                                      const std::string& api_socket);

}  // namespace penstock::daemon
