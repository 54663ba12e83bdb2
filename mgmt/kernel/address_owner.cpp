#include "mgmt/kernel/address_owner.h"

#include <net/if.h>

#include <cstring>
#include <set>

#include "mgmt/kernel/netlink.h"
#include "mgmt/kernel/system_problem.h"

namespace penstock::kernel {
namespace {

struct Proxy {
  std::uint32_t ifindex;
  IpAddress address;
  friend auto operator<=>(const Proxy&, const Proxy&) = default;
};

IpAddress address_of(std::span<const char> octets) {
  IpAddress out;
  if (octets.size() == 4) {
    std::uint32_t wire;
    std::memcpy(&wire, octets.data(), sizeof wire);
    return IpAddress::from_v4(Be32::from_wire(wire));
  }
  if (octets.size() == 16) std::memcpy(out.octets.data(), octets.data(), octets.size());
  return out;
}

void add_address(NetlinkRequest& request, std::uint16_t type, const IpAddress& address) {
  if (address.is_v4())
    request.attribute(type, address.octets.data() + 12, 4);
  else
    request.attribute(type, address.octets.data(), 16);
}

Result<std::set<IpAddress>> our_routes(NetlinkSocket& socket) {
  std::set<IpAddress> out;
  for (const int family : {AF_INET, AF_INET6}) {
    rtmsg fixed{};
    fixed.rtm_family = static_cast<unsigned char>(family);
    NetlinkRequest request{RTM_GETROUTE, 0, fixed};
    auto done = socket.dump(request, [&](const nlmsghdr* message) {
      const auto* route = body_of<rtmsg>(message);
      if (route->rtm_protocol != kRouteProtocol || route->rtm_type != RTN_LOCAL) return;
      const NetlinkAttributes attributes{message, sizeof *route};
      out.insert(address_of(attributes.get(RTA_DST)));
    });
    if (!done) return done.error();
  }
  return out;
}

Result<std::set<Proxy>> our_proxies(NetlinkSocket& socket) {
  std::set<Proxy> out;
  ndmsg fixed{};
  fixed.ndm_family = AF_INET6;
  fixed.ndm_flags = NTF_PROXY;
  NetlinkRequest request{RTM_GETNEIGH, 0, fixed};
  auto done = socket.dump(request, [&](const nlmsghdr* message) {
    const auto* neighbor = body_of<ndmsg>(message);
    const NetlinkAttributes attributes{message, sizeof *neighbor};
    const auto protocol = attributes.get(NDA_PROTOCOL);
    if ((neighbor->ndm_flags & NTF_PROXY) == 0 || protocol.size() != 1) return;
    if (static_cast<std::uint8_t>(protocol[0]) != kRouteProtocol) return;
    out.insert({static_cast<std::uint32_t>(neighbor->ndm_ifindex), address_of(attributes.get(NDA_DST))});
  });
  if (!done) return done.error();
  return out;
}

int change_route(NetlinkSocket& socket, bool add, const IpAddress& address) {
  rtmsg fixed{};
  fixed.rtm_family = address.is_v4() ? AF_INET : AF_INET6;
  fixed.rtm_dst_len = address.is_v4() ? 32 : 128;
  fixed.rtm_table = RT_TABLE_LOCAL;
  fixed.rtm_protocol = kRouteProtocol;
  fixed.rtm_scope = address.is_v4() ? RT_SCOPE_HOST : RT_SCOPE_UNIVERSE;
  fixed.rtm_type = RTN_LOCAL;
  const std::uint16_t flags = add ? NLM_F_CREATE | NLM_F_EXCL : 0;
  NetlinkRequest request{add ? std::uint16_t{RTM_NEWROUTE} : std::uint16_t{RTM_DELROUTE}, flags, fixed};
  add_address(request, RTA_DST, address);
  request.attribute_u32(RTA_OIF, ::if_nametoindex("lo"));
  return socket.request(request);
}

int change_proxy(NetlinkSocket& socket, bool add, const Proxy& proxy) {
  ndmsg fixed{};
  fixed.ndm_family = AF_INET6;
  fixed.ndm_ifindex = static_cast<int>(proxy.ifindex);
  fixed.ndm_flags = NTF_PROXY;
  fixed.ndm_state = NUD_PERMANENT;
  const std::uint16_t flags = add ? NLM_F_CREATE | NLM_F_REPLACE : 0;
  NetlinkRequest request{add ? std::uint16_t{RTM_NEWNEIGH} : std::uint16_t{RTM_DELNEIGH}, flags, fixed};
  add_address(request, NDA_DST, proxy.address);
  if (add) request.attribute(NDA_PROTOCOL, &kRouteProtocol, 1);
  return socket.request(request);
}

Status own_routes(NetlinkSocket& socket, const std::set<IpAddress>& wanted) {
  auto present = our_routes(socket);
  if (!present) return present.error();
  for (const IpAddress& address : wanted) {
    if (present->contains(address)) continue;
    // EEXIST: the node's own address already.
    if (const int error = change_route(socket, true, address); error != 0 && error != EEXIST)
      return system_problem(address.text(), "cannot add the local route", error, "needs CAP_NET_ADMIN and lo to be up");
  }
  for (const IpAddress& address : *present) {
    if (wanted.contains(address)) continue;
    if (const int error = change_route(socket, false, address); error != 0 && error != ESRCH)
      return system_problem(address.text(), "cannot remove the local route", error);
  }
  return Done{};
}

Status own_proxies(NetlinkSocket& socket, const std::set<Proxy>& wanted) {
  auto present = our_proxies(socket);
  if (!present) return present.error();
  for (const Proxy& proxy : wanted) {
    if (present->contains(proxy)) continue;
    // ENODEV: the interface vanished meanwhile.
    if (const int error = change_proxy(socket, true, proxy); error != 0 && error != ENODEV)
      return system_problem(proxy.address.text(), "cannot add the proxy neighbour", error, "needs CAP_NET_ADMIN");
  }
  for (const Proxy& proxy : *present) {
    if (wanted.contains(proxy)) continue;
    if (const int error = change_proxy(socket, false, proxy); error != 0 && error != ENOENT && error != ENODEV)
      return system_problem(proxy.address.text(), "cannot remove the proxy neighbour", error);
  }
  return Done{};
}

}  // namespace

Status own_addresses(const std::vector<IpAddress>& addresses, const std::vector<std::string>& interfaces) {
  auto socket = NetlinkSocket::open();
  if (!socket) return socket.error();
  const std::set<IpAddress> routes{addresses.begin(), addresses.end()};
  std::set<Proxy> proxies;
  for (const std::string& name : interfaces) {
    const std::uint32_t ifindex = ::if_nametoindex(name.c_str());
    if (ifindex == 0) continue;
    for (const IpAddress& address : routes)
      if (!address.is_v4()) proxies.insert({ifindex, address});
  }
  if (auto done = own_routes(*socket, routes); !done) return done;
  return own_proxies(*socket, proxies);
}

}  // namespace penstock::kernel
