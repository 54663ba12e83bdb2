// engine_host.h - a host that runs our engine, and the invariants that hold on it after every event.
//
// Model     after each event of a connection: its application steps, everything sendable is sent, the invariants of
//           engine_host_check.cpp are checked, its deadline becomes an event.
// Errors    Outside::fail().
#pragma once
#include <deque>
#include <memory>
#include <vector>

#include "tests/sim/tcp/host.h"
#include "tests/sim/tcp/lender.h"
#include "tests/sim/tcp/pool_shelf.h"
#include "tests/support/seeded.h"

namespace penstock::tcpsim {

[[nodiscard]] tcp::Secrets secrets_of(std::uint64_t seed, std::size_t host);
[[nodiscard]] tcp::ConnectionKey key_of(const Scenario& scenario, std::size_t host, std::size_t connection);

class EngineHost final : public Host {
 public:
  EngineHost(const Scenario& scenario, std::size_t side, Outside& outside, PoolShelf& shelf);
  ~EngineHost() override;

  std::size_t receive(ByteView packet) override;
  std::size_t handle(const Event& event) override;
  [[nodiscard]] const App& app(std::size_t i) const override { return *connections_[i].app; }
  [[nodiscard]] std::optional<SeqNum> sent_until(std::size_t i) const override;
  [[nodiscard]] std::optional<SeqNum> offered_until(std::size_t i) const override;
  void check_end() override;
  [[nodiscard]] HostCounts counts() const override;
  [[nodiscard]] std::uint32_t cwnd_octets(std::size_t i) const override { return connections_[i].ep.congestion.cwnd(); }

 private:
  /// A part of a block that the application keeps a reference on, and where it belongs in the stream.
  struct Held {
    tcp::Index block;
    std::uint16_t offset, octets;
    std::uint64_t position;
  };
  struct Connection {
    tcp::ConnectionKey key;
    tcp::Endpoint ep;
    std::unique_ptr<App> app;
    bool opened{}, freed{}, waiting{};  ///< waiting: `record` is in force
    tcp::TimeWait record;
    std::uint64_t timer_at_us{}, wake_at_us{};
    std::uint32_t entries{};  ///< of the pool, counted at its last event
    std::deque<Held> held;    ///< delivered, not consumed, and shared
  };
  class EngineSocket;
  class Reader;
  struct Before;

  [[nodiscard]] Instant now() const { return from_nanoseconds(outside_.now_us() * 1000); }
  void on_segment(std::size_t i, const tcp::SegmentIn& segment);
  void on_stray(std::size_t i, const tcp::SegmentIn& segment);
  void send(std::size_t i, const tcp::SegmentOut& segment);
  void send_piece(std::size_t i, const tcp::SegmentOut& segment);
  void pump(std::size_t i);
  std::size_t write_lent(tcp::Endpoint& ep, ByteView bytes);
  void let_go(std::size_t i, std::uint64_t octets);
  void move_budgets(tcp::Endpoint& ep);
  void schedule(std::size_t i);
  // engine_host_check.cpp
  void check(std::size_t i);
  void check_windows(std::size_t i);
  void check_memory();
  void recount(std::size_t i);
  void check_sent(std::size_t i, const tcp::SegmentOut& segment, const Before& before);
  void fail(std::size_t i, const std::string& what) { outside_.fail(side_, i, what); }

  const Scenario& scenario_;
  std::size_t side_;
  Outside& outside_;
  PoolShelf& shelf_;
  static constexpr std::uint16_t kMtu = 1500;
  std::unique_ptr<tcp::Pools> pools_;
  std::unique_ptr<Lender> lender_;
  std::unique_ptr<tcp::Engine> engine_;
  std::vector<Connection> connections_;
  std::uint32_t lent_writes_{};
  test::Seeded budget_draws_;
};

/// What is compared across one transmit().
struct EngineHost::Before {
  SeqNum nxt;
  std::uint32_t pipe;
  std::uint64_t tail_probes;
};

}  // namespace penstock::tcpsim
