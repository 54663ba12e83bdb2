// net.h - what the lab's small programs share: sockets, addresses, a clean end.
//
// Model     a Route is where a proxy listens and where it connects to.
// Units     ports in host order.
// Shape     plain functions over file descriptors; the caller owns them.
// Errors    fail() says what and why, and ends the program: these are programs of one job.
// Limits    IPv4 only.
// Not here  command lines (words.h); anything of Penstock: these are peers, measured beside it.
#pragma once

#include <netinet/in.h>

#include <array>
#include <cstdint>
#include <string>

namespace penstock::lab {

struct Route {
  std::uint16_t listen_port;
  sockaddr_in to;
};

/// Prints `what` with errno and exits with 1.
[[noreturn]] void fail(const std::string& what);

sockaddr_in address_of(const std::string& host, std::uint16_t port);

/// An IPv4 address in host order.
std::uint32_t host_address(const std::string& text);
/// The link address of one of the namespace's interfaces.
std::array<std::uint8_t, 6> mac_of_interface(const char* name);

/// A listening socket on every address of the machine; not blocking.
int listen_on(std::uint16_t port);
/// Small messages go at once.
void no_delay(int fd);
/// A socket whose connect has begun; not blocking.
int begin_connect(const sockaddr_in& to);

/// SIGTERM and SIGINT make stopped() true; SIGPIPE is ignored.
void stop_on_signals();
bool stopped();

}  // namespace penstock::lab
