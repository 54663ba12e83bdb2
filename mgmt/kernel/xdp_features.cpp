#include "mgmt/kernel/xdp_features.h"

#include <linux/genetlink.h>

#include <cstring>
#include <optional>

#include "mgmt/kernel/netns.h"
#include "mgmt/kernel/system_problem.h"

namespace penstock::kernel {
namespace {

// Of linux/netdev.h (Linux 6.3).
constexpr const char* kFamily = "netdev";
constexpr const char* kGroup = "mgmt";
constexpr std::uint8_t kDevGet = 1;        // NETDEV_CMD_DEV_GET
constexpr std::uint16_t kIfindex = 1;      // NETDEV_A_DEV_IFINDEX
constexpr std::uint16_t kXdpFeatures = 3;  // NETDEV_A_DEV_XDP_FEATURES
constexpr std::uint8_t kFamilyVersion = 1;

struct Family {
  std::uint16_t id{0};
  std::uint32_t group{0};
};

Family family_of(const nlmsghdr* message) {
  const NetlinkAttributes attributes{message, sizeof(genlmsghdr)};
  Family out;
  if (const auto id = attributes.get(CTRL_ATTR_FAMILY_ID); id.size() >= sizeof out.id)
    std::memcpy(&out.id, id.data(), sizeof out.id);
  const NetlinkAttributes groups{attributes.get(CTRL_ATTR_MCAST_GROUPS)};
  for (std::uint16_t i = 1; !groups.get(i).empty(); ++i) {  // a list: types are its indices
    const NetlinkAttributes group{groups.get(i)};
    if (group.text(CTRL_ATTR_MCAST_GRP_NAME) == kGroup) out.group = group.u32(CTRL_ATTR_MCAST_GRP_ID);
  }
  return out;
}

}  // namespace

Result<XdpFeatureWatch> XdpFeatureWatch::open(int netns_fd) {
  auto visit = NamespaceVisit::enter(netns_fd);
  if (!visit) return visit.error();
  auto requests = NetlinkSocket::open(0, NETLINK_GENERIC);
  if (!requests) return requests.error();
  auto notifications = NetlinkSocket::open(0, NETLINK_GENERIC);
  if (!notifications) return notifications.error();
  XdpFeatureWatch out;
  out.requests_ = std::move(requests).value();
  out.notifications_ = std::move(notifications).value();
  NetlinkRequest request{GENL_ID_CTRL, 0, genlmsghdr{CTRL_CMD_GETFAMILY, kFamilyVersion, 0}};
  request.attribute(CTRL_ATTR_FAMILY_NAME, kFamily, std::strlen(kFamily) + 1);
  Family family;
  const int error = out.requests_.ask(request, [&](const nlmsghdr* message) { family = family_of(message); });
  if (error != 0 || family.id == 0 || family.group == 0)
    return system_problem("generic netlink", "the kernel does not tell XDP features of devices",
                          error != 0 ? error : ENOENT, "needs Linux 6.3 or newer");
  out.family_ = family.id;
  if (const int refused = out.notifications_.join(family.group); refused != 0)
    return system_problem("generic netlink", "cannot join the group of XDP features", refused);
  return out;
}

Result<std::uint64_t> XdpFeatureWatch::features(std::uint32_t ifindex) {
  NetlinkRequest request{family_, 0, genlmsghdr{kDevGet, kFamilyVersion, 0}};
  request.attribute_u32(kIfindex, ifindex);
  std::optional<std::uint64_t> out;
  const int error = requests_.ask(request, [&](const nlmsghdr* message) {
    const NetlinkAttributes attributes{message, sizeof(genlmsghdr)};
    const auto bits = attributes.get(kXdpFeatures);
    if (attributes.u32(kIfindex) != ifindex || bits.size() < sizeof(std::uint64_t)) return;
    out.emplace();
    std::memcpy(&*out, bits.data(), sizeof *out);
  });
  if (error == 0 && out) return *out;
  return system_problem("interface " + std::to_string(ifindex), "the kernel does not tell its XDP features",
                        error != 0 ? error : ENODATA);
}

XdpFeatureChanges XdpFeatureWatch::drain() {
  XdpFeatureChanges out;
  out.lost = !notifications_.drain([&](const nlmsghdr* message) {
    if (message->nlmsg_type != family_) return;
    if (const std::uint32_t ifindex = NetlinkAttributes{message, sizeof(genlmsghdr)}.u32(kIfindex); ifindex != 0)
      out.ifindexes.push_back(ifindex);
  });
  return out;
}

}  // namespace penstock::kernel
