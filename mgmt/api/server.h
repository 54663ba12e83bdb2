// server.h - HTTP/1.1 on a Unix socket and on TCP.
//
// Model     one Asio event loop, no threads. Each listener has one Handler. Keep-alive connections; a request that
//           is still being answered holds its connection only.
// Errors    listening fails with a Problem that names the socket and who has it; a broken connection is closed.
// Limits    kConnectionMax connections per listener, kBodyOctetsMax per request, kIdleTimeout between requests.
#pragma once
#include <sys/stat.h>

#include <boost/asio/io_context.hpp>
#include <chrono>
#include <memory>
#include <string>

#include "dataplane/core/addresses.h"
#include "dataplane/core/result.h"
#include "mgmt/api/http.h"

namespace penstock::api {

inline constexpr std::size_t kConnectionMax = 128;
inline constexpr std::size_t kBodyOctetsMax = 16u << 20;
inline constexpr std::chrono::seconds kIdleTimeout{30};
/// A reply may take this long; applying a configuration waits for the dataplane.
inline constexpr std::chrono::seconds kReplyTimeout{60};

class Server {
 public:
  explicit Server(boost::asio::io_context& loop);
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  /// Replaces a stale socket file; one on which somebody answers is a Problem. The file gets `mode`.
  [[nodiscard]] Status listen_unix(const std::string& path, mode_t mode, Handler handler);
  /// Port 0 takes any; port() tells which.
  [[nodiscard]] Status listen_tcp(const IpAddress& address, std::uint16_t port, Handler handler);
  [[nodiscard]] std::uint16_t tcp_port() const;
  /// Stops listening, closes connections, removes the socket file.
  void close();

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

/// Somebody accepts connections on this socket file.
[[nodiscard]] bool unix_socket_is_alive(const std::string& path);
/// Whether this address and port could be listened on now; the Problem says why not.
[[nodiscard]] Status tcp_port_is_free(const IpAddress& address, std::uint16_t port);

}  // namespace penstock::api
