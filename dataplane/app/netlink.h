// netlink.h - routes, neighbours and links of one network namespace, asked from the kernel.
//
// Model     one socket for questions (answered before the call returns), one for events. Opened in the namespace,
//           they stay in it, so the caller's namespace does not matter later.
// Errors    an unanswered question reads as "there is none"; losing events reads as "everything changed".
// Threads   control thread.
// Not here  what the answers mean for packets (next_hop_watch.h).
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "dataplane/core/addresses.h"
#include "dataplane/core/fd.h"
#include "dataplane/core/result.h"

struct nl_msg;
struct nlmsghdr;
struct nl_sock;

namespace penstock::app {

struct RouteAnswer {
  unsigned interface {};
  IpAddress via;  ///< the gateway, or the destination itself when it is on the link
};

struct NeighborAnswer {
  MacAddress mac;
  bool usable{};     ///< the kernel would send to it now
  bool permanent{};  ///< set by an administrator: never touched
};

struct LinkAnswer {
  unsigned interface {};
  unsigned parent{};        ///< of a VLAN interface, else 0
  std::uint16_t vlan_id{};  ///< of a VLAN interface, else 0
  MacAddress mac;
  bool up{};
};

/// What changed since the last look.
struct NetlinkChanges {
  bool routes{};                     ///< routes, addresses or links, or events were lost
  std::vector<IpAddress> neighbors;  ///< whose entry changed
  std::vector<unsigned> gone;        ///< interfaces that were deleted or left the namespace
  [[nodiscard]] bool any() const { return routes || !neighbors.empty() || !gone.empty(); }
};

class Netlink {
 public:
  /// `netns` -1: our own namespace.
  [[nodiscard]] static Result<std::unique_ptr<Netlink>> open(int netns);
  ~Netlink();
  Netlink(const Netlink&) = delete;
  Netlink& operator=(const Netlink&) = delete;

  [[nodiscard]] std::optional<RouteAnswer> route_to(const IpAddress& destination);
  [[nodiscard]] std::optional<NeighborAnswer> neighbor(unsigned interface, const IpAddress& address);
  [[nodiscard]] std::optional<LinkAnswer> link(unsigned interface);
  /// Makes the kernel resolve the address and keep it resolved. False when it only resolved it once (kernels before
  /// 5.16): ask again from time to time.
  bool keep_resolved(unsigned interface, const IpAddress& address);
  /// Ends that.
  void release(unsigned interface, const IpAddress& address);

  [[nodiscard]] int event_fd() const;
  [[nodiscard]] NetlinkChanges changes();

 private:
  Netlink() = default;
  int ask(nl_msg* message, void* into, void (*parse)(const nlmsghdr*, void*));
  int change_neighbor(unsigned interface, const IpAddress& address, std::uint16_t type, std::uint8_t flags,
                      std::uint32_t extended);

  nl_sock* questions_{};
  nl_sock* events_{};
  bool managed_{true};
};

}  // namespace penstock::app
