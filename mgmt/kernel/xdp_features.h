// xdp_features.h - what the kernel says of devices' XDP features, once and as it changes.
//
// Model     generic netlink family "netdev" (Linux 6.3 and newer), one object per namespace: it tells of the devices
//           in it alone. A veth device takes redirected frames (kXdpTakesRedirects) only while its *other end* polls:
//           by GRO or a program of its own there; switching that sends a notification.
// Errors    Problem; open() says so when the kernel has no such family.
// Threads   one thread at a time; fd() is for the caller's event loop.
#pragma once
#include <cstdint>
#include <vector>

#include "dataplane/core/result.h"
#include "mgmt/kernel/netlink.h"

namespace penstock::kernel {

/// Frames can be redirected to the device: NETDEV_XDP_ACT_NDO_XMIT of linux/netdev.h, which Debian 12 has not.
inline constexpr std::uint64_t kXdpTakesRedirects = 1u << 2;

struct XdpFeatureChanges {
  std::vector<std::uint32_t> ifindexes;
  bool lost{false};  ///< notifications overflowed: any device may have changed
};

class XdpFeatureWatch {
 public:
  [[nodiscard]] static Result<XdpFeatureWatch> open(int netns_fd = -1);
  /// NETDEV_XDP_ACT_* bits of a device.
  [[nodiscard]] Result<std::uint64_t> features(std::uint32_t ifindex);
  [[nodiscard]] int fd() const { return notifications_.fd(); }  ///< readable when drain() has something
  [[nodiscard]] XdpFeatureChanges drain();                      ///< never blocks

 private:
  XdpFeatureWatch() = default;
  NetlinkSocket requests_;
  NetlinkSocket notifications_;
  std::uint16_t family_{0};
};

}  // namespace penstock::kernel
