// socket.h - what a simulated application may do with its connection, whatever TCP carries it.
//
// Model     the application's half of tcp::Engine's interface, without engine and endpoint.
// Errors    write() takes less, or nothing.
#pragma once
#include "dataplane/core/be.h"
#include "dataplane/tcp/engine.h"

namespace penstock::tcpsim {

class Socket {
 public:
  /// The application still has business with it.
  [[nodiscard]] virtual bool is_open() const = 0;
  virtual std::size_t write(ByteView bytes) = 0;
  /// The send budget has room, even if memory has not.
  [[nodiscard]] virtual bool writable() const = 0;
  virtual void consume(std::uint32_t octets) = 0;
  virtual void shutdown() = 0;
  virtual tcp::Events close() = 0;
  virtual tcp::Events abort() = 0;

 protected:
  ~Socket() = default;
};

}  // namespace penstock::tcpsim
