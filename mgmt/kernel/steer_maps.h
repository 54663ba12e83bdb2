// steer_maps.h - the maps that all ports share: open or adopt, and make equal to a desired state.
//
// Model     pinned at <dir>/v1/<map>. apply() compares with what the maps hold, so it repairs as well as updates.
// Errors    Problem naming the map; the state is checked whole before the first write.
#pragma once
#include <string>

#include "mgmt/kernel/steer_loader.h"
#include "mgmt/kernel/steering.h"
#include "mgmt/kernel/unique_fd.h"

namespace penstock::kernel {

class SteerMaps {
 public:
  /// Adopts pinned maps after comparing layout and ABI version; creates and pins the missing ones.
  [[nodiscard]] static Result<SteerMaps> open(const std::string& pin_dir);
  [[nodiscard]] Result<SteerChange> apply(const SteerState& wanted);
  [[nodiscard]] Status set_settings(const SteerSettings& settings);
  /// Frames can be redirected to a port by this interface of the caller's namespace; 0 = they cannot.
  [[nodiscard]] Status set_device(std::uint32_t port_index, std::uint32_t ifindex);
  [[nodiscard]] Status clear_kernel_flows();
  [[nodiscard]] Result<std::uint64_t> last_kernel_flow_ns() const;
  [[nodiscard]] int fd(std::string_view name) const;
  [[nodiscard]] MapFds fds() const;

 private:
  [[nodiscard]] Status write_config(const SteerSettings& settings, bool has_sources);
  [[nodiscard]] bool has_devices() const;
  [[nodiscard]] Status update_device_flag();
  std::map<std::string, UniqueFd, std::less<>> maps_;
};

}  // namespace penstock::kernel
