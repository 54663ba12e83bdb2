#include "dataplane/control/channel.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace penstock::control {
namespace {

constexpr int kBacklog = 16;

Problem system_problem(const std::string& place, const std::string& what, int error) {
  return {place, what + ": " + std::strerror(error), ""};
}

Result<sockaddr_un> address_of(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof address.sun_path)
    return Problem{path, "socket path is empty or longer than 107 octets", "choose a shorter runtime directory"};
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

const sockaddr* generic(const sockaddr_un& address) { return reinterpret_cast<const sockaddr*>(&address); }

Result<Fd> new_socket(const std::string& path) {
  Fd fd{::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0)};
  if (!fd) return system_problem(path, "cannot create a socket", errno);
  return fd;
}

/// Room for the descriptors of one message.
union ControlBuffer {
  cmsghdr align;
  std::array<char, CMSG_SPACE(sizeof(int) * kChannelFdsMax)> octets;
};

void collect_fds(msghdr& header, std::vector<Fd>& into) {
  for (cmsghdr* part = CMSG_FIRSTHDR(&header); part != nullptr; part = CMSG_NXTHDR(&header, part)) {
    if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; ++i) {
      int fd;
      std::memcpy(&fd, CMSG_DATA(part) + i * sizeof(int), sizeof fd);
      into.emplace_back(fd);
    }
  }
}

/// True when somebody accepts connections at `address`.
bool is_live(const sockaddr_un& address) {
  Fd probe{::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
  if (!probe) return true;
  if (::connect(probe.get(), generic(address), sizeof address) == 0) return true;
  return errno == EAGAIN || errno == EINPROGRESS;
}

/// Removes what a dead listener left behind.
Status clear_stale(const std::string& path, const sockaddr_un& address) {
  struct stat info {};
  if (::lstat(path.c_str(), &info) != 0) return Done{};
  if (!S_ISSOCK(info.st_mode)) return Problem{path, "exists and is not a socket", "remove it"};
  if (is_live(address)) return Problem{path, "another process listens there", "stop it, or use another socket path"};
  if (::unlink(path.c_str()) != 0 && errno != ENOENT)
    return system_problem(path, "cannot remove the stale socket", errno);
  return Done{};
}

}  // namespace

Result<Channel> Channel::adopt(Fd socket, std::string name) {
  Channel channel;
  ucred credentials{};
  socklen_t length = sizeof credentials;
  if (::getsockopt(socket.get(), SOL_SOCKET, SO_PEERCRED, &credentials, &length) != 0)
    return system_problem(name, "cannot read the peer's credentials", errno);
  channel.peer_ = {credentials.pid, credentials.uid, credentials.gid};
  channel.socket_ = std::move(socket);
  channel.name_ = std::move(name);
  return channel;
}

Result<Channel> Channel::connect(const std::string& path) {
  auto address = address_of(path);
  if (!address) return address.error();
  auto fd = new_socket(path);
  if (!fd) return fd.error();
  if (::connect(fd->get(), generic(*address), sizeof *address) != 0)
    return system_problem(path, "cannot connect", errno);
  return adopt(std::move(*fd), path);
}

Result<std::pair<Channel, Channel>> Channel::pair() {
  std::array<int, 2> fds{};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds.data()) != 0)
    return system_problem("socketpair", "cannot create channels", errno);
  Fd first{fds[0]};
  Fd second{fds[1]};
  auto left = adopt(std::move(first), "pair");
  if (!left) return left.error();
  auto right = adopt(std::move(second), "pair");
  if (!right) return right.error();
  return std::pair<Channel, Channel>{std::move(*left), std::move(*right)};
}

std::string protocol_text(std::uint32_t major, std::uint32_t minor) {
  return std::to_string(major) + "." + std::to_string(minor);
}

void Channel::set_blocking(bool blocking) {
  const int flags = ::fcntl(socket_.get(), F_GETFL);
  ::fcntl(socket_.get(), F_SETFL, blocking ? flags & ~O_NONBLOCK : flags | O_NONBLOCK);
}

Status Channel::send(const v1::Envelope& envelope, std::span<const int> fds) {
  if (!open()) return Problem{name_, "channel is closed", ""};
  if (fds.size() > kChannelFdsMax) return Problem{name_, "too many descriptors for one message", ""};
  const std::size_t octets = envelope.ByteSizeLong();
  if (octets > kChannelOctetsMax)
    return Problem{name_, "message of " + std::to_string(octets) + " octets exceeds the limit of 65536", ""};
  // An empty packet would read as end of stream.
  if (octets == 0) return Problem{name_, "message is empty", ""};
  buffer_.resize(octets);
  if (!envelope.SerializeToArray(buffer_.data(), static_cast<int>(octets)))
    return Problem{name_, "message cannot be serialised", ""};
  iovec part{buffer_.data(), octets};
  ControlBuffer control{};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  if (!fds.empty()) {
    header.msg_control = control.octets.data();
    header.msg_controllen = CMSG_SPACE(fds.size_bytes());
    cmsghdr* rights = CMSG_FIRSTHDR(&header);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(fds.size_bytes());
    std::memcpy(CMSG_DATA(rights), fds.data(), fds.size_bytes());
  }
  ssize_t sent;
  do {
    sent = ::sendmsg(socket_.get(), &header, MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  if (sent >= 0) return Done{};
  if (errno == EAGAIN || errno == EWOULDBLOCK) return Problem{name_, "the peer does not read its messages", ""};
  return system_problem(name_, "cannot send", errno);
}

Result<Received> Channel::receive() {
  if (!open()) return Problem{name_, "channel is closed", ""};
  buffer_.resize(kChannelOctetsMax);
  iovec part{buffer_.data(), buffer_.size()};
  ControlBuffer control{};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  header.msg_control = control.octets.data();
  header.msg_controllen = control.octets.size();
  ssize_t octets;
  do {
    octets = ::recvmsg(socket_.get(), &header, MSG_CMSG_CLOEXEC);
  } while (octets < 0 && errno == EINTR);
  Received received;
  if (octets < 0) {
    if (errno == EAGAIN || errno == EWOULDBLOCK) return received;
    if (errno == ECONNRESET) {
      received.arrival = Arrival::closed;
      return received;
    }
    return system_problem(name_, "cannot receive", errno);
  }
  collect_fds(header, received.fds);
  if (octets == 0) {
    received.arrival = Arrival::closed;
    received.fds.clear();
    return received;
  }
  if ((header.msg_flags & MSG_TRUNC) != 0) return Problem{name_, "message exceeds the limit of 65536 octets", ""};
  if ((header.msg_flags & MSG_CTRUNC) != 0)
    return Problem{name_, "descriptors of a message were lost", "raise the limit of open files"};
  if (!received.envelope.ParseFromArray(buffer_.data(), static_cast<int>(octets)))
    return Problem{name_, "message is not an Envelope of this protocol", ""};
  received.arrival = Arrival::message;
  return received;
}

Result<Received> Channel::receive_within(std::chrono::milliseconds at_most) {
  pollfd waiting{socket_.get(), POLLIN, 0};
  const auto end = std::chrono::steady_clock::now() + at_most;
  for (;;) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(end - std::chrono::steady_clock::now()).count();
    const int ready = ::poll(&waiting, 1, left > 0 ? static_cast<int>(left) : 0);
    if (ready > 0) return receive();
    if (ready == 0) return Received{};
    if (errno != EINTR) return system_problem(name_, "cannot wait for a message", errno);
  }
}

ChannelListener& ChannelListener::operator=(ChannelListener&& other) noexcept {
  std::swap(socket_, other.socket_);
  std::swap(path_, other.path_);
  std::swap(inode_, other.inode_);
  return *this;
}

ChannelListener::~ChannelListener() {
  if (!socket_) return;
  struct stat info {};
  if (::lstat(path_.c_str(), &info) == 0 && info.st_ino == inode_) ::unlink(path_.c_str());
}

Result<ChannelListener> ChannelListener::listen(const std::string& path, mode_t mode) {
  auto address = address_of(path);
  if (!address) return address.error();
  if (auto cleared = clear_stale(path, *address); !cleared) return cleared.error();
  ChannelListener listener;
  auto fd = new_socket(path);
  if (!fd) return fd.error();
  ::fcntl(fd->get(), F_SETFL, ::fcntl(fd->get(), F_GETFL) | O_NONBLOCK);
  // The file must never be more open than asked for, not even between bind() and chmod().
  const mode_t umask_before = ::umask(0777 & ~mode);
  const int bound = ::bind(fd->get(), generic(*address), sizeof *address);
  const int bind_error = errno;
  ::umask(umask_before);
  if (bound != 0) return system_problem(path, "cannot bind", bind_error);
  struct stat info {};
  if (::chmod(path.c_str(), mode) != 0 || ::lstat(path.c_str(), &info) != 0)
    return system_problem(path, "cannot set the mode of the socket", errno);
  if (::listen(fd->get(), kBacklog) != 0) return system_problem(path, "cannot listen", errno);
  listener.socket_ = std::move(*fd);
  listener.path_ = path;
  listener.inode_ = info.st_ino;
  return listener;
}

Result<Channel> ChannelListener::accept() {
  Fd fd{::accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC)};
  if (!fd) {
    if (errno == EAGAIN || errno == EWOULDBLOCK || errno == ECONNABORTED || errno == EINTR) return Channel{};
    return system_problem(path_, "cannot accept a connection", errno);
  }
  return Channel::adopt(std::move(fd), path_);
}

}  // namespace penstock::control
