#include "mgmt/kernel/links.h"

#include <linux/ethtool.h>
#include <linux/if.h>
#include <linux/if_arp.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <optional>

#include "mgmt/kernel/netlink.h"
#include "mgmt/kernel/netns.h"
#include "mgmt/kernel/system_problem.h"

namespace penstock::kernel {
namespace {

std::optional<LinkInfo> link_of(const nlmsghdr* message) {
  if (message->nlmsg_type != RTM_NEWLINK && message->nlmsg_type != RTM_DELLINK) return std::nullopt;
  const auto* fixed = body_of<ifinfomsg>(message);
  if (fixed->ifi_family != AF_UNSPEC) return std::nullopt;  // a bridge's view of its port
  const NetlinkAttributes attributes{message, sizeof *fixed};
  LinkInfo out;
  out.ifindex = static_cast<std::uint32_t>(fixed->ifi_index);
  out.name = attributes.text(IFLA_IFNAME);
  out.mtu = attributes.u32(IFLA_MTU);
  out.up = (fixed->ifi_flags & IFF_UP) != 0;
  out.running = (fixed->ifi_flags & IFF_RUNNING) != 0;
  out.loopback = (fixed->ifi_flags & IFF_LOOPBACK) != 0;
  if (const auto mac = attributes.get(IFLA_ADDRESS); mac.size() == out.mac.octets.size())
    std::memcpy(out.mac.octets.data(), mac.data(), mac.size());
  if (const auto info = attributes.get(IFLA_LINKINFO); !info.empty())
    out.kind = NetlinkAttributes{info}.text(IFLA_INFO_KIND);
  return out;
}

Result<std::vector<LinkInfo>> dump_links(NetlinkSocket& socket) {
  NetlinkRequest request{RTM_GETLINK, 0, ifinfomsg{}};
  std::vector<LinkInfo> out;
  auto done = socket.dump(request, [&](const nlmsghdr* message) {
    if (auto link = link_of(message)) out.push_back(std::move(*link));
  });
  if (!done) return done.error();
  return out;
}

// Queue count by the driver's ethtool answer; 0 when it has none.
std::uint32_t ethtool_queues(const std::string& name) {
  const UniqueFd socket{::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
  ifreq request{};
  std::strncpy(request.ifr_name, name.c_str(), sizeof request.ifr_name - 1);
  ethtool_channels channels{};
  channels.cmd = ETHTOOL_GCHANNELS;
  request.ifr_data = reinterpret_cast<char*>(&channels);
  if (::ioctl(socket.get(), SIOCETHTOOL, &request) == 0) return channels.rx_count + channels.combined_count;
  ethtool_rxnfc rings{};
  rings.cmd = ETHTOOL_GRXRINGS;
  request.ifr_data = reinterpret_cast<char*>(&rings);
  if (::ioctl(socket.get(), SIOCETHTOOL, &request) == 0) return static_cast<std::uint32_t>(rings.data);
  return 0;
}

}  // namespace

Result<std::vector<LinkInfo>> list_links(int netns_fd) {
  auto visit = NamespaceVisit::enter(netns_fd);
  if (!visit) return visit.error();
  auto socket = NetlinkSocket::open();
  if (!socket) return socket.error();
  return dump_links(*socket);
}

Result<LinkInfo> find_link(const std::string& name, int netns_fd) {
  auto links = list_links(netns_fd);
  if (!links) return links.error();
  std::string names;
  for (const LinkInfo& link : *links) {
    if (link.name == name) return link;
    names += (names.empty() ? "" : ", ") + link.name;
  }
  return Problem{name, "no such interface", "present are: " + names};
}

std::uint32_t rx_queue_count(const std::string& name, int netns_fd) {
  auto visit = NamespaceVisit::enter(netns_fd);
  if (!visit) return 1;
  return std::max(1u, ethtool_queues(name));
}

Result<std::vector<LinkAddress>> list_addresses(int netns_fd) {
  auto visit = NamespaceVisit::enter(netns_fd);
  if (!visit) return visit.error();
  auto socket = NetlinkSocket::open();
  if (!socket) return socket.error();
  NetlinkRequest request{RTM_GETADDR, 0, ifaddrmsg{}};
  std::vector<LinkAddress> out;
  auto done = socket->dump(request, [&](const nlmsghdr* message) {
    const auto* fixed = body_of<ifaddrmsg>(message);
    const NetlinkAttributes attributes{message, sizeof *fixed};
    if ((attributes.u32(IFA_FLAGS, fixed->ifa_flags) & (IFA_F_TENTATIVE | IFA_F_DADFAILED)) != 0) return;
    // On point-to-point links IFA_ADDRESS is the peer; IFA_LOCAL is ours wherever it is there.
    auto octets = attributes.get(IFA_LOCAL);
    if (octets.empty()) octets = attributes.get(IFA_ADDRESS);
    LinkAddress each{.ifindex = fixed->ifa_index, .prefix = {{}, fixed->ifa_prefixlen}};
    if (fixed->ifa_family == AF_INET && octets.size() == 4) {
      std::uint32_t wire;
      std::memcpy(&wire, octets.data(), sizeof wire);
      each.prefix.address = IpAddress::from_v4(Be32::from_wire(wire));
    } else if (fixed->ifa_family == AF_INET6 && octets.size() == 16) {
      std::memcpy(each.prefix.address.octets.data(), octets.data(), octets.size());
    } else {
      return;
    }
    out.push_back(each);
  });
  if (!done) return done.error();
  return out;
}

struct LinkWatch::Impl {
  NetlinkSocket notifications;
  NetlinkSocket requests;  // of the same namespace, for dumps: answers and notifications do not mix
  std::map<std::uint32_t, LinkInfo> known;
  bool dump_due{true};

  void note(const LinkInfo& link, std::vector<LinkEvent>& events) {
    const auto found = known.find(link.ifindex);
    if (found == known.end()) {
      events.push_back({LinkEventKind::appeared, link, {}});
    } else if (found->second.name != link.name) {
      events.push_back({LinkEventKind::renamed, link, found->second.name});
    } else if (found->second != link) {
      events.push_back({LinkEventKind::changed, link, {}});
    }
    known[link.ifindex] = link;
  }
  void forget(std::uint32_t ifindex, std::vector<LinkEvent>& events) {
    const auto found = known.find(ifindex);
    if (found == known.end()) return;
    events.push_back({LinkEventKind::vanished, found->second, {}});
    known.erase(found);
  }
  void compare_with_dump(std::vector<LinkEvent>& events) {
    auto links = dump_links(requests);
    if (!links) return;  // dump_due stays: next time
    dump_due = false;
    std::map<std::uint32_t, LinkInfo> gone = known;
    for (const LinkInfo& link : *links) gone.erase(link.ifindex);
    for (const auto& [ifindex, link] : gone) forget(ifindex, events);
    for (const LinkInfo& link : *links) note(link, events);
  }
};

LinkWatch::LinkWatch(std::unique_ptr<Impl> impl) : impl_{std::move(impl)} {}
LinkWatch::LinkWatch(LinkWatch&&) noexcept = default;
LinkWatch& LinkWatch::operator=(LinkWatch&&) noexcept = default;
LinkWatch::~LinkWatch() = default;

Result<LinkWatch> LinkWatch::open(int netns_fd) {
  auto visit = NamespaceVisit::enter(netns_fd);
  if (!visit) return visit.error();
  auto notifications = NetlinkSocket::open(RTMGRP_LINK);
  if (!notifications) return notifications.error();
  auto requests = NetlinkSocket::open();
  if (!requests) return requests.error();
  auto impl = std::make_unique<Impl>();
  impl->notifications = std::move(notifications).value();
  impl->requests = std::move(requests).value();
  return LinkWatch{std::move(impl)};
}

int LinkWatch::fd() const { return impl_->notifications.fd(); }

std::vector<LinkEvent> LinkWatch::drain() {
  std::vector<LinkEvent> events;
  if (impl_->dump_due) impl_->compare_with_dump(events);
  const bool complete = impl_->notifications.drain([&](const nlmsghdr* message) {
    const auto link = link_of(message);
    if (!link) return;
    if (message->nlmsg_type == RTM_DELLINK)
      impl_->forget(link->ifindex, events);
    else
      impl_->note(*link, events);
  });
  if (!complete) {
    impl_->dump_due = true;
    impl_->compare_with_dump(events);
  }
  return events;
}

}  // namespace penstock::kernel
