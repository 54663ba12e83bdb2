// tun_echo.h - our TCP behind a TUN device, echoing: a host for another stack to talk to.
//
// Model     one thread owns the device, the engine and every connection; real time. Echoes each stream and closes
//           after the peer. Loses packets of both directions by a seeded draw.
// Errors    ok() is false when the device cannot be made (no privileges).
#pragma once
#include <atomic>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "dataplane/core/fd.h"
#include "dataplane/tcp/engine.h"
#include "tests/support/seeded.h"

namespace penstock::conformance {

class TunEcho {
 public:
  /// Makes `device` in the calling thread's network namespace. `loss` in 1/1000 of packets each way.
  TunEcho(const std::string& device, std::uint32_t loss);
  ~TunEcho();
  [[nodiscard]] bool ok() const { return static_cast<bool>(device_); }
  void start();
  /// Ends the thread; afterwards the members below may be read.
  void stop();
  [[nodiscard]] const tcp::Counters& counters() const { return engine_.counters(); }
  [[nodiscard]] std::size_t open_connections() const;
  [[nodiscard]] const std::string& failure() const { return failure_; }

 private:
  struct Connection final : tcp::Delivery {
    tcp::ConnectionKey key;
    tcp::Endpoint ep;
    std::vector<std::byte> to_echo;
    bool peer_closed{}, freed{};
    void deliver(const tcp::Piece& piece) override {
      to_echo.insert(to_echo.end(), piece.bytes.begin(), piece.bytes.end());
    }
  };
  void run();
  void read_packets();
  void on_packet(const tcp::PacketIn& packet);
  void expire();
  void pump(Connection& connection);
  void send(const tcp::ConnectionKey& key, const tcp::SegmentOut& segment);
  [[nodiscard]] Instant next_deadline() const;
  [[nodiscard]] bool loses() { return random_.below(1000) < loss_; }

  Fd device_;
  std::uint32_t loss_;
  test::Seeded random_{1};
  tcp::Pools pools_{65536, 32768};
  tcp::Engine engine_{tcp::Limits{}, tcp::Secrets{{1, 2}, {3, 4}, {5, 6}}, pools_};
  std::map<std::string, std::unique_ptr<Connection>> connections_;
  std::vector<std::byte> buffer_ = std::vector<std::byte>(65536);
  std::atomic<bool> stopping_{};
  std::thread thread_;
  std::string failure_;
};

}  // namespace penstock::conformance
