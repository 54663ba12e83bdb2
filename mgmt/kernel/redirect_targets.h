// redirect_targets.h - keeps steer_devices: the ports that the steering program can send frames to by itself.
//
// Model     update() asks the kernel about a port's device and puts it into the map or takes it out. One watch per
//           namespace with ports tells which ones to ask about again. In generic mode, and with large frames, a port
//           is never a target: the program sends what the driver gave it, and these come as the kernel's own packets.
// Errors    a port that cannot be one carries the reason in its status; the flows towards it stay with the dataplane.
// Threads   one thread at a time; fd() is for the caller's event loop.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "mgmt/kernel/steer_maps.h"
#include "mgmt/kernel/steer_port.h"
#include "mgmt/kernel/xdp_features.h"

namespace penstock::kernel {

class RedirectTargets {
 public:
  [[nodiscard]] static Result<RedirectTargets> create();
  [[nodiscard]] int fd() const { return events_.get(); }  ///< readable when changed_ports() has something
  /// Brings the map and the port's status up to date; true when the port became a target or ceased to be one.
  bool update(SteerPort& port, SteerMaps& maps);
  /// The port is going: the map forgets it, and its namespace is let go when no other port is in it.
  [[nodiscard]] Status forget(const SteerPort& port, const std::map<std::uint32_t, SteerPort>& ports, SteerMaps& maps);
  /// Namespace and index of the devices that changed since the last call; never blocks. Index 0: any of that namespace.
  [[nodiscard]] std::vector<std::pair<std::uint64_t, std::uint32_t>> changed();

 private:
  RedirectTargets() = default;
  [[nodiscard]] Result<XdpFeatureWatch*> watch_of(const SteerPort& port);
  /// Why the port is none, with the remedy; empty when it is one.
  [[nodiscard]] std::string obstacle(const SteerPort& port);
  UniqueFd events_;                                   // epoll over the watches
  std::map<std::uint64_t, XdpFeatureWatch> watches_;  // by namespace inode
};

}  // namespace penstock::kernel
