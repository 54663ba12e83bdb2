// world.h - two hosts, two links, virtual time: one run of one scenario.
//
// Model     an event heap ordered by time and then by creation; whole IP packets travel between two engines. After
//           every event the invariants of the touched connection are checked, and at the end those of the whole.
// Units     virtual microseconds.
// Errors    the first violated invariant ends the run and is told in Result::failure.
#pragma once
#include <memory>
#include <queue>
#include <string>
#include <vector>

#include "dataplane/tcp/engine.h"
#include "tests/sim/tcp/app.h"
#include "tests/sim/tcp/link.h"
#include "tests/sim/tcp/pcapng.h"

namespace penstock::tcpsim {

struct Result {
  std::string failure;  ///< empty: every invariant held
  std::uint64_t events{}, packets{}, lost{}, octets{}, retransmitted{}, timeouts{}, recoveries{};
  std::uint64_t virtual_us{};  ///< until the last thing that happened to an open connection
  std::uint32_t connections{}, handshakes_failed{};
};

class World {
 public:
  explicit World(const Scenario& scenario, Pcapng* capture = nullptr);
  [[nodiscard]] Result run();

 private:
  enum class Kind : std::uint8_t { packet, too_big, timer, wake, open, time_wait_over };
  struct Event {
    std::uint64_t at_us;
    std::uint64_t order;
    Kind kind;
    std::uint8_t host;
    std::uint16_t connection;
    std::uint32_t slot;    ///< of a packet
    std::uint32_t number;  ///< quoted sequence number of too_big
    std::uint16_t mtu;
  };
  struct Later {
    bool operator()(const Event& a, const Event& b) const {
      return a.at_us != b.at_us ? a.at_us > b.at_us : a.order > b.order;
    }
  };
  struct Connection {
    tcp::ConnectionKey key;
    tcp::Endpoint ep;
    std::unique_ptr<App> app;
    bool opened{}, freed{}, waiting{};  ///< waiting: `record` is in force
    tcp::TimeWait record;
    std::uint64_t timer_at_us{}, wake_at_us{};
  };
  struct Host {
    std::unique_ptr<tcp::Pools> pools;
    std::unique_ptr<tcp::Engine> engine;
    std::vector<Connection> connections;
  };

  [[nodiscard]] tcp::Secrets secrets_of(std::size_t host) const;
  void place_clock();
  void build();
  [[nodiscard]] Instant now() const { return from_nanoseconds(now_us_ * 1000); }
  void push(std::uint64_t at_us, Kind kind, std::size_t host, std::size_t connection, std::uint32_t slot = 0,
            std::uint32_t number = 0, std::uint16_t mtu = 0);
  void handle(const Event& event);
  void on_packet(std::size_t host, ByteView packet);
  void on_segment(std::size_t host, std::size_t index, const tcp::SegmentIn& segment);
  void on_stray(std::size_t host, Connection& connection, const tcp::SegmentIn& segment);
  void send(std::size_t host, const tcp::ConnectionKey& key, const tcp::SegmentOut& segment, std::size_t connection);
  void pump(std::size_t host, std::size_t index);
  void schedule(std::size_t host, std::size_t index);
  void check(std::size_t host, std::size_t index);
  void check_sent(const Connection& connection, const tcp::SegmentOut& segment, SeqNum nxt_before,
                  std::uint32_t pipe_before);
  void check_end();
  void fail(std::size_t host, std::size_t index, const std::string& what);

  const Scenario& scenario_;
  Pcapng* capture_;
  Payload payload_;
  test::Seeded random_;
  std::uint64_t now_us_{};
  std::uint64_t start_us_{};
  std::uint64_t order_{};
  std::priority_queue<Event, std::vector<Event>, Later> heap_;
  std::vector<std::vector<std::byte>> packets_;
  std::vector<std::uint32_t> free_packets_;
  std::vector<Link> links_;
  std::vector<Host> hosts_;
  Result result_;
};

}  // namespace penstock::tcpsim
