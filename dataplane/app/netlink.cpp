#include "dataplane/app/netlink.h"

#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <netlink/socket.h>

#include <cstring>
#include <initializer_list>
#include <string_view>

#include "dataplane/io/dpdk/netns_scope.h"

namespace penstock::app {
namespace {

constexpr int kAnswerTimeoutMs = 500;
constexpr int kEventBufferOctets = 1 << 20;

struct MessageOwner {
  explicit MessageOwner(int type, int flags) : message{nlmsg_alloc_simple(type, flags)} {
    require(message != nullptr, "no memory for a netlink message");
  }
  ~MessageOwner() { nlmsg_free(message); }
  MessageOwner(const MessageOwner&) = delete;
  MessageOwner& operator=(const MessageOwner&) = delete;
  nl_msg* message;
};

int family_of(const IpAddress& address) { return address.is_v4() ? AF_INET : AF_INET6; }

void put_address(nl_msg* message, int type, const IpAddress& address) {
  const bool v4 = address.is_v4();
  require(nla_put(message, type, v4 ? 4 : 16, address.octets.data() + (v4 ? 12 : 0)) == 0, "netlink message overflows");
}

std::optional<IpAddress> read_address(const void* octets, int length) {
  IpAddress address;
  if (length == 4) {
    address = IpAddress::v4(0, 0, 0, 0);
    std::memcpy(address.octets.data() + 12, octets, 4);
  } else if (length == 16) {
    std::memcpy(address.octets.data(), octets, 16);
  } else {
    return std::nullopt;
  }
  return address;
}

std::optional<IpAddress> read_address(nlattr* attribute) {
  return attribute == nullptr ? std::nullopt : read_address(nla_data(attribute), nla_len(attribute));
}

MacAddress read_mac(nlattr* attribute) {
  MacAddress mac;
  if (attribute != nullptr && nla_len(attribute) == 6) std::memcpy(mac.octets.data(), nla_data(attribute), 6);
  return mac;
}

template <std::size_t N>
bool attributes_of(const nlmsghdr* header, int fixed, std::array<nlattr*, N>& into) {
  return nlmsg_parse(const_cast<nlmsghdr*>(header), fixed, into.data(), static_cast<int>(N) - 1, nullptr) == 0;
}

void parse_route(const nlmsghdr* header, void* into) {
  if (header->nlmsg_type != RTM_NEWROUTE) return;
  const auto* route = static_cast<const rtmsg*>(nlmsg_data(header));
  std::array<nlattr*, RTA_MAX + 1> found{};
  if (!attributes_of(header, sizeof *route, found) || route->rtm_type != RTN_UNICAST || found[RTA_OIF] == nullptr)
    return;
  RouteAnswer answer{nla_get_u32(found[RTA_OIF]), {}};
  if (const auto gateway = read_address(found[RTA_GATEWAY])) {
    answer.via = *gateway;
  } else if (found[RTA_VIA] != nullptr && nla_len(found[RTA_VIA]) > 2) {  // IPv4 by an IPv6 gateway (RFC 5549)
    const auto* via = static_cast<const std::uint8_t*>(nla_data(found[RTA_VIA]));
    if (const auto address = read_address(via + sizeof(rtvia), nla_len(found[RTA_VIA]) - 2)) answer.via = *address;
  }
  *static_cast<std::optional<RouteAnswer>*>(into) = answer;
}

void parse_neighbor(const nlmsghdr* header, void* into) {
  if (header->nlmsg_type != RTM_NEWNEIGH) return;
  const auto* entry = static_cast<const ndmsg*>(nlmsg_data(header));
  std::array<nlattr*, NDA_MAX + 1> found{};
  if (!attributes_of(header, sizeof *entry, found)) return;
  constexpr int kUsable = NUD_REACHABLE | NUD_STALE | NUD_DELAY | NUD_PROBE | NUD_PERMANENT;
  NeighborAnswer answer;
  answer.mac = read_mac(found[NDA_LLADDR]);
  answer.permanent = (entry->ndm_state & NUD_PERMANENT) != 0;
  answer.usable = (entry->ndm_state & kUsable) != 0 && answer.mac != MacAddress{};
  *static_cast<std::optional<NeighborAnswer>*>(into) = answer;
}

void parse_link(const nlmsghdr* header, void* into) {
  if (header->nlmsg_type != RTM_NEWLINK) return;
  const auto* link = static_cast<const ifinfomsg*>(nlmsg_data(header));
  std::array<nlattr*, IFLA_MAX + 1> found{};
  if (!attributes_of(header, sizeof *link, found)) return;
  LinkAnswer answer;
  answer.interface = static_cast<unsigned>(link->ifi_index);
  answer.mac = read_mac(found[IFLA_ADDRESS]);
  answer.up = (link->ifi_flags & IFF_UP) != 0;
  if (found[IFLA_LINKINFO] != nullptr) {
    std::array<nlattr*, IFLA_INFO_MAX + 1> info{};
    std::array<nlattr*, IFLA_VLAN_MAX + 1> vlan{};
    if (nla_parse_nested(info.data(), IFLA_INFO_MAX, found[IFLA_LINKINFO], nullptr) == 0 &&
        info[IFLA_INFO_KIND] != nullptr && std::string_view{nla_get_string(info[IFLA_INFO_KIND])} == "vlan" &&
        info[IFLA_INFO_DATA] != nullptr &&
        nla_parse_nested(vlan.data(), IFLA_VLAN_MAX, info[IFLA_INFO_DATA], nullptr) == 0 &&
        vlan[IFLA_VLAN_ID] != nullptr && found[IFLA_LINK] != nullptr) {
      answer.parent = nla_get_u32(found[IFLA_LINK]);
      answer.vlan_id = nla_get_u16(vlan[IFLA_VLAN_ID]);
    }
  }
  *static_cast<std::optional<LinkAnswer>*>(into) = answer;
}

nl_sock* open_socket() {
  nl_sock* socket = nl_socket_alloc();
  if (socket == nullptr) return nullptr;
  if (nl_connect(socket, NETLINK_ROUTE) == 0) return socket;
  nl_socket_free(socket);
  return nullptr;
}

struct Question {
  std::uint32_t sequence{};
  void* into;
  void (*parse)(const nlmsghdr*, void*);
};

int on_answer(nl_msg* message, void* argument) {
  const auto* question = static_cast<const Question*>(argument);
  question->parse(nlmsg_hdr(message), question->into);
  return NL_OK;
}

int on_event(nl_msg* message, void* argument) {
  auto& changes = *static_cast<NetlinkChanges*>(argument);
  const nlmsghdr* header = nlmsg_hdr(message);
  switch (header->nlmsg_type) {
    case RTM_NEWNEIGH:
    case RTM_DELNEIGH: {
      std::array<nlattr*, NDA_MAX + 1> found{};
      if (!attributes_of(header, sizeof(ndmsg), found)) return NL_OK;
      if (const auto address = read_address(found[NDA_DST])) changes.neighbors.push_back(*address);
      return NL_OK;
    }
    case RTM_DELLINK: {
      const auto* link = static_cast<const ifinfomsg*>(nlmsg_data(header));
      if (link->ifi_family == AF_UNSPEC) changes.gone.push_back(static_cast<unsigned>(link->ifi_index));
      changes.routes = true;
      return NL_OK;
    }
    default:
      changes.routes = true;
      return NL_OK;
  }
}

}  // namespace

Result<std::unique_ptr<Netlink>> Netlink::open(int netns) {
  const io::NetnsScope scope{netns};
  if (!scope.ok()) return Problem{"netlink", "cannot enter the network namespace", "it needs CAP_SYS_ADMIN"};
  std::unique_ptr<Netlink> out{new Netlink};  // check_layers: allow(banned) private constructor
  out->questions_ = open_socket();
  out->events_ = open_socket();
  if (out->questions_ == nullptr || out->events_ == nullptr)
    return Problem{"netlink", "cannot open a route socket", "raise the limit of open files"};
  timeval timeout{0, kAnswerTimeoutMs * 1000};
  ::setsockopt(nl_socket_get_fd(out->questions_), SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
  nl_socket_disable_seq_check(out->events_);
  nl_socket_set_buffer_size(out->events_, kEventBufferOctets, 0);
  nl_socket_set_nonblocking(out->events_);
  for (const rtnetlink_groups group : {RTNLGRP_LINK, RTNLGRP_NEIGH, RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE,
                                       RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR, RTNLGRP_IPV4_RULE, RTNLGRP_IPV6_RULE})
    if (nl_socket_add_membership(out->events_, group) != 0)
      return Problem{"netlink", "cannot subscribe to changes of routes and neighbours", ""};
  return out;
}

Netlink::~Netlink() {
  nl_socket_free(questions_);
  nl_socket_free(events_);
}

int Netlink::event_fd() const { return nl_socket_get_fd(events_); }

int Netlink::ask(nl_msg* message, void* into, void (*parse)(const nlmsghdr*, void*)) {
  Question question{0, into, parse};
  nl_cb* callbacks = nl_cb_alloc(NL_CB_DEFAULT);
  require(callbacks != nullptr, "no memory for a netlink question");
  int done = 0;
  nl_cb_set(callbacks, NL_CB_VALID, NL_CB_CUSTOM, on_answer, &question);
  nl_cb_set(
      callbacks, NL_CB_ACK, NL_CB_CUSTOM,
      [](nl_msg*, void* flag) -> int {
        *static_cast<int*>(flag) = 1;
        return NL_STOP;
      },
      &done);
  // An answer that came too late for its question must not be taken for this one's.
  nl_cb_set(
      callbacks, NL_CB_SEQ_CHECK, NL_CB_CUSTOM,
      [](nl_msg* answer, void* argument) -> int {
        return nlmsg_hdr(answer)->nlmsg_seq == static_cast<const Question*>(argument)->sequence ? NL_OK : NL_SKIP;
      },
      &question);
  int result = nl_send_auto(questions_, message);
  question.sequence = nlmsg_hdr(message)->nlmsg_seq;
  while (result >= 0 && done == 0) {
    result = nl_recvmsgs(questions_, callbacks);
    if (result < 0) break;
  }
  nl_cb_put(callbacks);
  return result < 0 ? result : 0;
}

std::optional<RouteAnswer> Netlink::route_to(const IpAddress& destination) {
  const MessageOwner owner{RTM_GETROUTE, NLM_F_REQUEST | NLM_F_ACK};
  rtmsg route{};
  route.rtm_family = static_cast<unsigned char>(family_of(destination));
  route.rtm_dst_len = destination.is_v4() ? 32 : 128;
  nlmsg_append(owner.message, &route, sizeof route, NLMSG_ALIGNTO);
  put_address(owner.message, RTA_DST, destination);
  std::optional<RouteAnswer> answer;
  if (ask(owner.message, &answer, parse_route) != 0) return std::nullopt;
  if (answer && answer->via == IpAddress{}) answer->via = destination;
  return answer;
}

std::optional<NeighborAnswer> Netlink::neighbor(unsigned interface, const IpAddress& address) {
  const MessageOwner owner{RTM_GETNEIGH, NLM_F_REQUEST | NLM_F_ACK};
  ndmsg entry{};
  entry.ndm_family = static_cast<unsigned char>(family_of(address));
  entry.ndm_ifindex = static_cast<int>(interface);
  nlmsg_append(owner.message, &entry, sizeof entry, NLMSG_ALIGNTO);
  put_address(owner.message, NDA_DST, address);
  std::optional<NeighborAnswer> answer;
  if (ask(owner.message, &answer, parse_neighbor) != 0) return std::nullopt;
  return answer;
}

std::optional<LinkAnswer> Netlink::link(unsigned interface) {
  const MessageOwner owner{RTM_GETLINK, NLM_F_REQUEST | NLM_F_ACK};
  ifinfomsg link{};
  link.ifi_index = static_cast<int>(interface);
  nlmsg_append(owner.message, &link, sizeof link, NLMSG_ALIGNTO);
  std::optional<LinkAnswer> answer;
  if (ask(owner.message, &answer, parse_link) != 0) return std::nullopt;
  return answer;
}

int Netlink::change_neighbor(unsigned interface, const IpAddress& address, std::uint16_t type, std::uint8_t flags,
                             std::uint32_t extended) {
  const int create = type == RTM_NEWNEIGH ? NLM_F_CREATE | NLM_F_REPLACE : 0;
  const MessageOwner owner{type, NLM_F_REQUEST | NLM_F_ACK | create};
  ndmsg entry{};
  entry.ndm_family = static_cast<unsigned char>(family_of(address));
  entry.ndm_ifindex = static_cast<int>(interface);
  entry.ndm_state = NUD_NONE;
  entry.ndm_flags = flags;
  nlmsg_append(owner.message, &entry, sizeof entry, NLMSG_ALIGNTO);
  put_address(owner.message, NDA_DST, address);
  if (extended != 0) nla_put_u32(owner.message, NDA_FLAGS_EXT, extended);
  return ask(owner.message, nullptr, [](const nlmsghdr*, void*) {});
}

bool Netlink::keep_resolved(unsigned interface, const IpAddress& address) {
  if (managed_ && change_neighbor(interface, address, RTM_NEWNEIGH, 0, NTF_EXT_MANAGED) == 0) return true;
  // Either the kernel does not know managed entries, or this one cannot be (the interface just went).
  if (change_neighbor(interface, address, RTM_NEWNEIGH, NTF_USE, 0) == 0) managed_ = false;
  return false;
}

void Netlink::release(unsigned interface, const IpAddress& address) {
  static_cast<void>(change_neighbor(interface, address, RTM_DELNEIGH, 0, 0));
}

NetlinkChanges Netlink::changes() {
  NetlinkChanges changes;
  nl_cb* callbacks = nl_cb_alloc(NL_CB_DEFAULT);
  require(callbacks != nullptr, "no memory for netlink events");
  nl_cb_set(callbacks, NL_CB_VALID, NL_CB_CUSTOM, on_event, &changes);
  nl_cb_set(
      callbacks, NL_CB_SEQ_CHECK, NL_CB_CUSTOM, [](nl_msg*, void*) -> int { return NL_OK; }, nullptr);
  for (;;) {
    const int result = nl_recvmsgs(events_, callbacks);
    if (result == 0) continue;
    if (result != -NLE_AGAIN) changes.routes = true;  // overrun: something was lost
    if (result == -NLE_NOMEM) continue;
    break;
  }
  nl_cb_put(callbacks);
  return changes;
}

}  // namespace penstock::app
