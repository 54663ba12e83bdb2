#include "mgmt/kernel/redirect_targets.h"

#include <sys/epoll.h>

#include <algorithm>

#include "mgmt/kernel/links.h"
#include "mgmt/kernel/netns.h"
#include "mgmt/kernel/system_problem.h"

namespace penstock::kernel {
namespace {

bool is_veth(const PortStatus& port, int netns_fd) {
  const auto links = list_links(netns_fd);
  return links && std::any_of(links->begin(), links->end(),
                              [&](const LinkInfo& link) { return link.ifindex == port.ifindex && link.is_veth(); });
}

}  // namespace

Result<RedirectTargets> RedirectTargets::create() {
  RedirectTargets out;
  out.events_ = UniqueFd{::epoll_create1(EPOLL_CLOEXEC)};
  if (!out.events_) return system_problem("epoll", "cannot create", errno);
  return out;
}

Result<XdpFeatureWatch*> RedirectTargets::watch_of(const SteerPort& port) {
  const std::uint64_t netns = port.pin().netns_inode;
  if (const auto found = watches_.find(netns); found != watches_.end()) return &found->second;
  auto opened = XdpFeatureWatch::open(port.netns_fd());
  if (!opened) return opened.error();
  epoll_event event{.events = EPOLLIN, .data = {}};
  if (::epoll_ctl(events_.get(), EPOLL_CTL_ADD, opened->fd(), &event) != 0)
    return system_problem("epoll", "cannot watch XDP features", errno);
  return &watches_.emplace(netns, std::move(opened).value()).first->second;
}

std::string RedirectTargets::obstacle(const SteerPort& port) {
  const PortStatus status = port.status();
  if (port.has_large_frames()) return "large_frames: its frames are not redirected; remove large_frames from the port";
  if (status.generic) return "attached in generic mode; needs a driver with native XDP";
  auto watch = watch_of(port);
  if (!watch) return watch.error().text();
  const auto features = (*watch)->features(status.ifindex);
  if (!features) return features.error().text();
  if ((*features & kXdpTakesRedirects) != 0) return {};
  if (is_veth(status, port.netns_fd()))
    return "its other end takes no redirected frames; `ethtool -K <device> gro on` there, inside the pod";
  return "its driver takes no redirected frames; flows towards it stay with the dataplane";
}

bool RedirectTargets::update(SteerPort& port, SteerMaps& maps) {
  std::string why = obstacle(port);
  auto visit = NamespaceVisit::enter(port.netns_fd());  // the kernel looks the interface up where the caller is
  if (!visit && why.empty()) why = visit.error().text();
  const PortStatus before = port.status();
  auto written = maps.set_device(before.port_index, why.empty() ? before.ifindex : 0);
  if (!written && why.empty()) {
    why = written.error().text();
    (void)maps.set_device(before.port_index, 0);
  }
  port.set_redirect_obstacle(why);
  return before.redirect_target != why.empty();
}

Status RedirectTargets::forget(const SteerPort& port, const std::map<std::uint32_t, SteerPort>& ports,
                               SteerMaps& maps) {
  const std::uint64_t netns = port.pin().netns_inode;
  const bool others = std::any_of(ports.begin(), ports.end(), [&](const auto& each) {
    return &each.second != &port && each.second.pin().netns_inode == netns;
  });
  if (!others) watches_.erase(netns);  // closing its sockets takes them out of the epoll set
  return maps.set_device(port.status().port_index, 0);
}

std::vector<std::pair<std::uint64_t, std::uint32_t>> RedirectTargets::changed() {
  std::vector<std::pair<std::uint64_t, std::uint32_t>> out;
  for (auto& [netns, watch] : watches_) {
    const XdpFeatureChanges changes = watch.drain();
    for (const std::uint32_t ifindex : changes.ifindexes) out.emplace_back(netns, ifindex);
    if (changes.lost) out.emplace_back(netns, 0);
  }
  return out;
}

}  // namespace penstock::kernel
