#include "dataplane/app/next_hop_watch.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "dataplane/control/limits.h"

namespace penstock::app {

using control::kNoNextHop;
using control::NextHop;
using control::NextHopIndex;

/// A network namespace that has a port of ours.
struct NextHopWatch::Space {
  dev_t device{};
  ino_t inode{};
  std::unique_ptr<Netlink> netlink;
  std::map<unsigned, LinkAnswer> links;  // forgotten when anything about links changes
};

NextHopWatch::NextHopWatch() = default;

NextHopWatch::~NextHopWatch() {
  for (Entry& entry : entries_) release(entry);
}

Result<std::size_t> NextHopWatch::space_of(int netns) {
  Fd own;
  if (netns < 0) own = Fd{::open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC)};
  struct stat info {};
  if (::fstat(netns < 0 ? own.get() : netns, &info) != 0)
    return Problem{"network namespace", std::string{"cannot be identified: "} + std::strerror(errno), ""};
  for (std::size_t i = 0; i < spaces_.size(); ++i)
    if (spaces_[i] && spaces_[i]->device == info.st_dev && spaces_[i]->inode == info.st_ino) return i;
  auto netlink = Netlink::open(netns);
  if (!netlink) return netlink.error();
  auto space = std::make_unique<Space>();
  space->device = info.st_dev;
  space->inode = info.st_ino;
  space->netlink = std::move(*netlink);
  auto place = std::find(spaces_.begin(), spaces_.end(), nullptr);
  if (place == spaces_.end()) place = spaces_.emplace(place);
  *place = std::move(space);
  return static_cast<std::size_t>(place - spaces_.begin());
}

Status NextHopWatch::add_port(PortIndex port, unsigned interface, int netns) {
  const auto space = space_of(netns);
  if (!space) return space.error();
  ports_.push_back({port, interface, *space});
  std::sort(ports_.begin(), ports_.end(), [](const Port& a, const Port& b) { return a.index < b.index; });
  mark_all();
  return Done{};
}

void NextHopWatch::remove_port(PortIndex port) {
  std::erase_if(ports_, [port](const Port& p) { return p.index == port; });
  leave_unused_spaces();
  mark_all();
}

void NextHopWatch::leave_unused_spaces() {
  for (std::size_t space = 0; space < spaces_.size(); ++space) {
    if (std::any_of(ports_.begin(), ports_.end(), [space](const Port& p) { return p.space == space; })) continue;
    for (Entry& entry : entries_)
      if (entry.space == space) release(entry);
    spaces_[space].reset();
  }
}

void NextHopWatch::mark_all() {
  for (Entry& entry : entries_) entry.stale = true;
  for (const auto& space : spaces_)
    if (space) space->links.clear();
  dirty_ = true;
}

NextHopIndex NextHopWatch::index_of(const IpAddress& address) {
  if (const auto known = by_address_.find(address); known != by_address_.end()) return known->second;
  std::size_t index = entries_.size();
  if (index < control::kNextHopMax) {
    entries_.emplace_back();
    hops_.emplace_back();
  } else {
    const auto oldest = std::min_element(entries_.begin(), entries_.end(),
                                         [](const Entry& a, const Entry& b) { return a.wanted_in < b.wanted_in; });
    if (oldest->wanted_in == wants_) return kNoNextHop;  // all of them are needed now
    index = static_cast<std::size_t>(oldest - entries_.begin());
    release(*oldest);
    by_address_.erase(oldest->address);
    hops_[index] = {};
  }
  entries_[index] = Entry{};
  entries_[index].address = address;
  dirty_ = true;
  by_address_.emplace(address, static_cast<NextHopIndex>(index));
  return static_cast<NextHopIndex>(index);
}

std::vector<NextHopIndex> NextHopWatch::want(std::span<const IpAddress> addresses) {
  ++wants_;
  for (Entry& entry : entries_) entry.wanted = false;
  // First mark what is known, so that it is not the victim of what is new.
  for (const IpAddress& address : addresses)
    if (const auto known = by_address_.find(address); known != by_address_.end())
      entries_[known->second].wanted_in = wants_;
  std::vector<NextHopIndex> indexes;
  indexes.reserve(addresses.size());
  for (const IpAddress& address : addresses) {
    const NextHopIndex index = index_of(address);
    indexes.push_back(index);
    if (index == kNoNextHop) continue;
    entries_[index].wanted = true;
    entries_[index].wanted_in = wants_;
  }
  return indexes;
}

const LinkAnswer* NextHopWatch::link_of(std::size_t space, unsigned interface) {
  Space& in = *spaces_[space];
  const auto known = in.links.find(interface);
  if (known != in.links.end()) return &known->second;
  const auto answer = in.netlink->link(interface);
  if (!answer) return nullptr;
  return &in.links.emplace(interface, *answer).first->second;
}

const NextHopWatch::Port* NextHopWatch::port_of(std::size_t space, const LinkAnswer& link) const {
  for (const Port& port : ports_)
    if (port.space == space && (port.interface == link.interface || port.interface == link.parent)) return &port;
  return nullptr;
}

void NextHopWatch::release(Entry& entry) {
  if (!entry.kept) return;
  entry.kept = false;
  const bool shared = std::any_of(entries_.begin(), entries_.end(), [&](const Entry& other) {
    return other.kept && other.space == entry.space && other.interface == entry.interface && other.via == entry.via;
  });
  if (!shared) spaces_[entry.space]->netlink->release(entry.interface, entry.via);
}

NextHop NextHopWatch::look_up(Entry& entry) {
  entry.routed = false;
  for (std::size_t space = 0; space < spaces_.size(); ++space) {
    if (!spaces_[space]) continue;
    Netlink& netlink = *spaces_[space]->netlink;
    const auto route = netlink.route_to(entry.address);
    if (!route) continue;
    const LinkAnswer* link = link_of(space, route->interface);
    const Port* port = link == nullptr ? nullptr : port_of(space, *link);
    if (port == nullptr) continue;
    if (entry.kept && (entry.space != space || entry.interface != route->interface || entry.via != route->via))
      release(entry);
    entry.routed = true;
    entry.space = space;
    entry.interface = route->interface;
    entry.via = route->via;
    auto neighbor = netlink.neighbor(route->interface, route->via);
    if (!entry.kept && !(neighbor && neighbor->permanent)) {
      entry.kept = netlink.keep_resolved(route->interface, route->via);
      neighbor = netlink.neighbor(route->interface, route->via);
    }
    if (!neighbor || !neighbor->usable) return {};
    return {neighbor->mac, link->mac, port->index, link->vlan_id};
  }
  release(entry);
  return {};
}

bool NextHopWatch::ask_again(std::size_t index) {
  entries_[index].stale = false;
  const NextHop now = look_up(entries_[index]);
  if (now == hops_[index]) return false;
  hops_[index] = now;
  return true;
}

bool NextHopWatch::resolve() {
  bool changed = false;
  for (std::size_t i = 0; i < entries_.size(); ++i)
    if (entries_[i].stale) changed |= ask_again(i);
  dirty_ = false;
  return changed;
}

bool NextHopWatch::refresh(std::size_t entries) {
  bool changed = false;
  for (std::size_t i = 0; i < std::min(entries, entries_.size()); ++i) {
    refresh_at_ = refresh_at_ + 1 < entries_.size() ? refresh_at_ + 1 : 0;
    changed |= ask_again(refresh_at_);
  }
  return changed;
}

bool NextHopWatch::pending() const {
  for (std::size_t i = 0; i < entries_.size(); ++i)
    if (entries_[i].wanted && (entries_[i].stale || (entries_[i].routed && !hops_[i].resolved()))) return true;
  return false;
}

std::vector<int> NextHopWatch::event_fds() const {
  std::vector<int> fds;
  for (const auto& space : spaces_)
    if (space) fds.push_back(space->netlink->event_fd());
  return fds;
}

std::vector<PortIndex> NextHopWatch::read_events() {
  std::vector<PortIndex> gone;
  for (std::size_t space = 0; space < spaces_.size(); ++space) {
    if (!spaces_[space]) continue;
    NetlinkChanges changes = spaces_[space]->netlink->changes();
    if (!changes.any()) continue;
    dirty_ = true;
    if (changes.routes) mark_all();
    std::sort(changes.neighbors.begin(), changes.neighbors.end());
    for (Entry& entry : entries_)
      if (std::binary_search(changes.neighbors.begin(), changes.neighbors.end(), entry.via)) entry.stale = true;
    for (const Port& port : ports_)
      if (port.space == space &&
          std::find(changes.gone.begin(), changes.gone.end(), port.interface) != changes.gone.end())
        gone.push_back(port.index);
  }
  return gone;
}

}  // namespace penstock::app
