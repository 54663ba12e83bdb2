#include "mgmt/kernel/netlink.h"

#include <sys/socket.h>

#include <cstring>

#include "mgmt/kernel/system_problem.h"

namespace penstock::kernel {

void NetlinkRequest::start(std::uint16_t type, std::uint16_t flags, const void* fixed, std::size_t octets) {
  bytes_.resize(NLMSG_SPACE(octets));
  header()->nlmsg_type = type;
  header()->nlmsg_flags = static_cast<std::uint16_t>(NLM_F_REQUEST | flags);
  header()->nlmsg_len = static_cast<std::uint32_t>(bytes_.size());
  std::memcpy(bytes_.data() + NLMSG_HDRLEN, fixed, octets);
}

void NetlinkRequest::attribute(std::uint16_t type, const void* data, std::size_t octets) {
  const std::size_t at = bytes_.size();
  bytes_.resize(at + RTA_SPACE(octets));
  const rtattr head{static_cast<std::uint16_t>(RTA_LENGTH(octets)), type};
  std::memcpy(bytes_.data() + at, &head, sizeof head);
  std::memcpy(bytes_.data() + at + RTA_LENGTH(0), data, octets);
  header()->nlmsg_len = static_cast<std::uint32_t>(bytes_.size());
}

NetlinkAttributes::NetlinkAttributes(const nlmsghdr* message, std::size_t fixed_octets) {
  const std::size_t front = NLMSG_SPACE(fixed_octets);
  if (message->nlmsg_len < front) return;
  parse(reinterpret_cast<const rtattr*>(reinterpret_cast<const char*>(message) + front), message->nlmsg_len - front);
}

NetlinkAttributes::NetlinkAttributes(std::span<const char> nested) {
  parse(reinterpret_cast<const rtattr*>(nested.data()), nested.size());
}

void NetlinkAttributes::parse(const rtattr* first, std::size_t octets) {
  const char* at = reinterpret_cast<const char*>(first);
  while (octets >= sizeof(rtattr)) {
    rtattr head;
    std::memcpy(&head, at, sizeof head);
    if (head.rta_len < sizeof(rtattr) || head.rta_len > octets) return;
    const std::size_t type = head.rta_type & NLA_TYPE_MASK;
    if (type < kTypes) values_[type] = {at + RTA_LENGTH(0), head.rta_len - RTA_LENGTH(0)};
    const std::size_t step = RTA_ALIGN(head.rta_len);
    if (step >= octets) return;
    at += step;
    octets -= step;
  }
}

std::span<const char> NetlinkAttributes::get(std::uint16_t type) const {
  return type < kTypes ? values_[type] : std::span<const char>{};
}

std::uint32_t NetlinkAttributes::u32(std::uint16_t type, std::uint32_t otherwise) const {
  const auto value = get(type);
  if (value.size() < sizeof otherwise) return otherwise;
  std::memcpy(&otherwise, value.data(), sizeof otherwise);
  return otherwise;
}

std::string NetlinkAttributes::text(std::uint16_t type) const {
  const auto value = get(type);
  return {value.data(), strnlen(value.data(), value.size())};
}

Result<NetlinkSocket> NetlinkSocket::open(std::uint32_t groups, int protocol) {
  NetlinkSocket out;
  const char* name = protocol == NETLINK_GENERIC ? "generic netlink" : "rtnetlink";
  out.fd_ = UniqueFd{::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol)};
  if (!out.fd_) return system_problem(name, "cannot create a socket", errno);
  const int receive_octets = 1 << 20;
  ::setsockopt(out.fd_.get(), SOL_SOCKET, SO_RCVBUF, &receive_octets, sizeof receive_octets);
  sockaddr_nl local{};
  local.nl_family = AF_NETLINK;
  local.nl_groups = groups;
  if (::bind(out.fd_.get(), reinterpret_cast<const sockaddr*>(&local), sizeof local) != 0)
    return system_problem(name, "cannot bind the socket", errno);
  return out;
}

int NetlinkSocket::join(std::uint32_t group) {
  return ::setsockopt(fd_.get(), SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof group) == 0 ? 0 : errno;
}

int NetlinkSocket::ask(NetlinkRequest& request, const std::function<void(const nlmsghdr*)>& each) {
  request.header()->nlmsg_flags |= NLM_F_ACK;
  request.header()->nlmsg_seq = ++sequence_;
  if (::send(fd_.get(), request.bytes().data(), request.bytes().size(), 0) < 0) return errno;
  for (;;) {
    const ssize_t got = ::recv(fd_.get(), buffer_.data(), buffer_.size(), 0);
    if (got < 0) {
      if (errno == EINTR) continue;
      return errno;
    }
    auto left = static_cast<unsigned>(got);
    for (auto* message = reinterpret_cast<const nlmsghdr*>(buffer_.data()); NLMSG_OK(message, left);
         message = NLMSG_NEXT(message, left)) {
      if (message->nlmsg_seq != sequence_) continue;
      if (message->nlmsg_type == NLMSG_ERROR) return -body_of<nlmsgerr>(message)->error;
      each(message);
    }
  }
}

int NetlinkSocket::dump_once(NetlinkRequest& request, const std::function<void(const nlmsghdr*)>& each) {
  request.header()->nlmsg_flags |= NLM_F_DUMP;
  request.header()->nlmsg_seq = ++sequence_;
  if (::send(fd_.get(), request.bytes().data(), request.bytes().size(), 0) < 0) return errno;
  bool interrupted = false;
  for (;;) {
    const ssize_t got = ::recv(fd_.get(), buffer_.data(), buffer_.size(), 0);
    if (got < 0) {
      if (errno == EINTR) continue;
      return errno;
    }
    auto left = static_cast<unsigned>(got);
    for (auto* message = reinterpret_cast<const nlmsghdr*>(buffer_.data()); NLMSG_OK(message, left);
         message = NLMSG_NEXT(message, left)) {
      if (message->nlmsg_seq != sequence_) continue;
      if ((message->nlmsg_flags & NLM_F_DUMP_INTR) != 0) interrupted = true;
      if (message->nlmsg_type == NLMSG_DONE) return interrupted ? EINTR : 0;
      if (message->nlmsg_type == NLMSG_ERROR) return -body_of<nlmsgerr>(message)->error;
      each(message);
    }
  }
}

Status NetlinkSocket::dump(NetlinkRequest& request, const std::function<void(const nlmsghdr*)>& each) {
  int error = 0;
  for (int i = 0; i < kDumpTries; ++i) {
    // An interrupted dump may repeat or miss entries, so its messages are held back until it is whole.
    std::vector<std::vector<char>> held;
    error = dump_once(request, [&](const nlmsghdr* message) {
      const char* begin = reinterpret_cast<const char*>(message);
      held.emplace_back(begin, begin + message->nlmsg_len);
    });
    if (error == EINTR) continue;
    if (error != 0) break;
    for (const auto& message : held) each(reinterpret_cast<const nlmsghdr*>(message.data()));
    return Done{};
  }
  return system_problem("rtnetlink", "dump failed", error);
}

bool NetlinkSocket::drain(const std::function<void(const nlmsghdr*)>& each) {
  for (;;) {
    const ssize_t got = ::recv(fd_.get(), buffer_.data(), buffer_.size(), MSG_DONTWAIT);
    if (got < 0) {
      if (errno == EINTR) continue;
      return errno != ENOBUFS;
    }
    auto left = static_cast<unsigned>(got);
    for (auto* message = reinterpret_cast<const nlmsghdr*>(buffer_.data()); NLMSG_OK(message, left);
         message = NLMSG_NEXT(message, left))
      each(message);
  }
}

}  // namespace penstock::kernel
