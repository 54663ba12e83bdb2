// world.h - two hosts, two links, virtual time: one run of one scenario.
//
// Model     an event heap ordered by time and then by creation; whole IP packets travel between two hosts, our engine
//           on both (engine_host.h) or lwIP on one (lwip_host.h). After every event the invariants of the touched
//           connection are checked, and at the end those of the whole.
// Units     virtual microseconds.
// Errors    the first violated invariant ends the run and is told in Result::failure.
#pragma once
#include <array>
#include <deque>
#include <memory>
#include <queue>
#include <string>
#include <vector>

#include "tests/sim/tcp/host.h"
#include "tests/sim/tcp/link.h"
#include "tests/sim/tcp/pcapng.h"
#include "tests/sim/tcp/pool_shelf.h"

namespace penstock::tcpsim {

struct Result {
  std::string failure;  ///< empty: every invariant held
  std::uint64_t events{}, packets{}, lost{}, octets{};
  HostCounts counts;           ///< of both hosts
  std::uint64_t virtual_us{};  ///< until the last thing that happened to an open connection
  std::uint32_t connections{}, handshakes_failed{};
  std::uint32_t given_up{};  ///< by lwIP, which has less patience than we, after the wire lost everything for long
  std::uint32_t excused{};   ///< lwIP had put its queue in disorder (lwip_host.cpp)
};

/// Looks on after every event, at the end that opened the first connection.
class Watcher {
 public:
  virtual void after(std::uint64_t since_start_us, const Host& client) = 0;

 protected:
  ~Watcher() = default;
};

class World final : private Outside {
 public:
  /// `shelf` keeps pools from run to run; without one they are made and freed.
  explicit World(const Scenario& scenario, Pcapng* capture = nullptr, PoolShelf* shelf = nullptr);
  [[nodiscard]] Result run(Watcher* watcher = nullptr);

 private:
  struct Later {
    bool operator()(const Event& a, const Event& b) const {
      return a.at_us != b.at_us ? a.at_us > b.at_us : a.order > b.order;
    }
  };

  [[nodiscard]] std::uint64_t now_us() const override { return now_us_; }
  [[nodiscard]] bool failed() const override { return !result_.failure.empty(); }
  void send(std::size_t host, std::size_t connection, ByteView packet, SeqNum seq, bool no_payload) override;
  void push(std::uint64_t at_us, Kind kind, std::size_t host, std::size_t connection) override;
  void gave_up(std::size_t host, std::size_t connection, bool patient) override;
  void excuse(std::size_t, std::size_t connection) override { hearing_[connection].excused = true; }
  void fail(std::size_t host, std::size_t connection, const std::string& what) override;

  void place_clock();
  void carry(std::size_t to, ByteView packet, const Passage& passage);
  std::size_t deliver(const Event& event);
  void check_edges(std::size_t connection);
  void check_end();

  const Scenario& scenario_;
  Pcapng* capture_;
  PoolShelf own_shelf_;
  test::Seeded random_;
  std::uint64_t now_us_{};
  std::uint64_t start_us_{};
  std::uint64_t order_{};
  std::priority_queue<Event, std::vector<Event>, Later> heap_;
  std::deque<std::vector<std::byte>> packets_;
  std::vector<std::uint32_t> free_packets_;
  std::vector<Link> links_;
  std::vector<std::unique_ptr<Host>> hosts_;
  struct Hearing {
    std::array<std::uint32_t, 2> lost_since_heard{};  ///< packets of either, since this host was reached
    bool gave_up{};
    bool excused{};
  };
  std::vector<Hearing> hearing_;  ///< by connection
  Result result_;
};

}  // namespace penstock::tcpsim
