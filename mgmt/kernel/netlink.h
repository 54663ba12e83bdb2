// netlink.h - requests, dumps and notifications over rtnetlink and generic netlink.
//
// Model     one socket of the calling thread's namespace at the time of open(); it stays there. Requests wait for the
//           kernel's acknowledgement, dumps restart when the kernel says that they were interrupted.
// Errors    Problem with the errno; dumps give up after kDumpTries interruptions.
#pragma once
#include <linux/netlink.h>
#include <linux/rtnetlink.h>

#include <array>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "dataplane/core/result.h"
#include "mgmt/kernel/unique_fd.h"

namespace penstock::kernel {

inline constexpr int kDumpTries = 5;

/// The fixed struct behind a message's header. The kernel's messages are aligned and complete.
template <typename Fixed>
[[nodiscard]] const Fixed* body_of(const nlmsghdr* message) {
  return reinterpret_cast<const Fixed*>(reinterpret_cast<const char*>(message) + NLMSG_HDRLEN);
}

/// A message under construction: header, a family's fixed struct, attributes.
class NetlinkRequest {
 public:
  template <typename Fixed>
  NetlinkRequest(std::uint16_t type, std::uint16_t flags, const Fixed& fixed) {
    start(type, flags, &fixed, sizeof fixed);
  }
  void attribute(std::uint16_t type, const void* data, std::size_t octets);
  void attribute_u32(std::uint16_t type, std::uint32_t value) { attribute(type, &value, sizeof value); }
  [[nodiscard]] nlmsghdr* header() { return reinterpret_cast<nlmsghdr*>(bytes_.data()); }
  [[nodiscard]] std::span<const char> bytes() const { return bytes_; }

 private:
  void start(std::uint16_t type, std::uint16_t flags, const void* fixed, std::size_t octets);
  std::vector<char> bytes_;
};

/// Attributes of a received message, by type; later duplicates win. Borrows the message.
class NetlinkAttributes {
 public:
  NetlinkAttributes(const nlmsghdr* message, std::size_t fixed_octets);
  /// Nested attributes.
  explicit NetlinkAttributes(std::span<const char> nested);
  [[nodiscard]] std::span<const char> get(std::uint16_t type) const;
  [[nodiscard]] std::uint32_t u32(std::uint16_t type, std::uint32_t otherwise = 0) const;
  [[nodiscard]] std::string text(std::uint16_t type) const;

 private:
  void parse(const rtattr* first, std::size_t octets);
  static constexpr std::size_t kTypes = 80;
  std::array<std::span<const char>, kTypes> values_{};
};

class NetlinkSocket {
 public:
  /// `groups` is a mask of RTMGRP_*; 0 for requests only. `protocol` is NETLINK_ROUTE or NETLINK_GENERIC.
  [[nodiscard]] static Result<NetlinkSocket> open(std::uint32_t groups = 0, int protocol = NETLINK_ROUTE);
  [[nodiscard]] int fd() const { return fd_.get(); }
  /// Sends and waits for the acknowledgement. The errno (positive) comes back as a number: callers often forgive one.
  [[nodiscard]] int request(NetlinkRequest& request) {
    return ask(request, [](const nlmsghdr*) {});
  }
  /// The same for a request with an answer: `each` gets its messages.
  [[nodiscard]] int ask(NetlinkRequest& request, const std::function<void(const nlmsghdr*)>& each);
  /// Notifications of a group by number, as generic netlink has them. The errno, 0 = joined.
  [[nodiscard]] int join(std::uint32_t group);
  /// Sends a dump request and calls `each` for every message of the answer.
  [[nodiscard]] Status dump(NetlinkRequest& request, const std::function<void(const nlmsghdr*)>& each);
  /// Reads what notifications wait, without blocking. False: the kernel lost some (ENOBUFS).
  [[nodiscard]] bool drain(const std::function<void(const nlmsghdr*)>& each);

 private:
  [[nodiscard]] int dump_once(NetlinkRequest& request, const std::function<void(const nlmsghdr*)>& each);
  UniqueFd fd_;
  std::uint32_t sequence_{0};
  std::vector<char> buffer_ = std::vector<char>(64 * 1024);
};

}  // namespace penstock::kernel
