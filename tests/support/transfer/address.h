// address.h - "10.0.0.1:80" or "[fd00::1]:80" as a socket address.
#pragma once
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <charconv>
#include <cstring>
#include <optional>
#include <string>

#include "dataplane/core/fd.h"

namespace penstock::transfer {

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t length{};

  static std::optional<SocketAddress> parse(const std::string& text) {
    const std::size_t colon = text.rfind(':');
    if (colon == std::string::npos || colon == 0) return std::nullopt;
    std::uint16_t port = 0;
    const char* end = text.data() + text.size();
    const auto parsed = std::from_chars(text.data() + colon + 1, end, port);
    if (parsed.ec != std::errc{} || parsed.ptr != end) return std::nullopt;
    const bool v6 = text.front() == '[' && text[colon - 1] == ']';
    const std::string host = v6 ? text.substr(1, colon - 2) : text.substr(0, colon);
    SocketAddress out;
    if (v6) {
      sockaddr_in6 address{};
      address.sin6_family = AF_INET6;
      address.sin6_port = htons(port);
      if (::inet_pton(AF_INET6, host.c_str(), &address.sin6_addr) != 1) return std::nullopt;
      out.length = sizeof address;
      std::memcpy(&out.storage, &address, sizeof address);
    } else {
      sockaddr_in address{};
      address.sin_family = AF_INET;
      address.sin_port = htons(port);
      if (::inet_pton(AF_INET, host.c_str(), &address.sin_addr) != 1) return std::nullopt;
      out.length = sizeof address;
      std::memcpy(&out.storage, &address, sizeof address);
    }
    return out;
  }
  [[nodiscard]] const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
  /// A non-blocking TCP socket of its family, without Nagle's delay.
  [[nodiscard]] Fd socket() const {
    Fd fd{::socket(storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)};
    const int on = 1;
    if (fd) ::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return fd;
  }
};

}  // namespace penstock::transfer
