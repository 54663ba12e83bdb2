// relay_world.h - clients and endpoints with TCP of their own, and a whole worker that proxies between them.
//
// Model     two hosts (all clients, all endpoints) over tcp::Engine, four lossy links, and a sim::World's worker on
//           virtual time. Applications, plans and faults are those of tests/sim/tcp.
// Limits    one connection per run, since an endpoint cannot see which client's it is; with `alike` many of one plan.
// Checks    every delivered octet is the right one at its position; a connection whose plan loses nothing delivers
//           everything and both ends of stream; after every event the relay's sums hold; at the end no pair, no flow
//           and no buffer is left.
// Units     virtual microseconds.
// Errors    the first thing that is wrong ends the run and is told in failure().
#pragma once
#include <memory>
#include <queue>
#include <string>
#include <vector>

#include "tests/sim/tcp/app.h"
#include "tests/sim/tcp/link.h"
#include "tests/sim/tcp/pcapng.h"
#include "tests/sim/world.h"

namespace penstock::sim {

struct RelayRunOptions {
  std::uint32_t lent{64};         ///< device buffers that payload may wait in
  std::size_t buffers{2048};      ///< of the device
  bool hold_sent{};               ///< the device owns transmitted buffers for a while, as AF_XDP does
  std::uint32_t half_open_max{};  ///< 0: the default
  std::uint32_t connect_ms{600'000};
  std::size_t ring{};        ///< frames that a receive queue of the node holds; 0: no bound
  std::uint32_t burst_us{};  ///< what a round of the worker takes; 0: nothing, it is never behind
  bool alike{};              ///< many connections of one plan
  bool splice{};             ///< the listener's pairs may become spliced flows
  std::uint32_t rests_before_splice{};
  tcpsim::Pcapng* capture{};  ///< gets every packet of both sides
};

class RelayWorld {
 public:
  RelayWorld(const tcpsim::Scenario& scenario, const RelayRunOptions& options = {});
  /// Runs to the end; empty when everything held.
  [[nodiscard]] std::string run();
  [[nodiscard]] Instant now() const { return from_nanoseconds(now_us_ * 1000); }
  [[nodiscard]] World& world() { return *world_; }
  [[nodiscard]] std::uint64_t octets() const { return octets_; }

 private:
  enum class Kind : std::uint8_t { to_host, to_node, timer, wake, open, node };
  struct Event {
    std::uint64_t at_us, order;
    Kind kind;
    std::uint8_t host;
    std::uint16_t connection;
    std::shared_ptr<std::vector<std::byte>> packet;
  };
  struct Later {
    bool operator()(const Event& a, const Event& b) const {
      return a.at_us != b.at_us ? a.at_us > b.at_us : a.order > b.order;
    }
  };
  struct Connection {
    tcp::ConnectionKey key;
    tcp::Endpoint ep;
    std::unique_ptr<tcpsim::App> app;
    tcp::TimeWait record;
    bool opened{}, freed{}, waiting{};
    std::uint64_t timer_at_us{}, wake_at_us{};
  };
  struct Host {
    std::unique_ptr<tcp::Pools> pools;
    std::unique_ptr<tcp::Engine> engine;
    std::vector<std::unique_ptr<Connection>> connections;
  };

  void push(std::uint64_t at_us, Kind kind, std::size_t host, std::size_t connection,
            std::shared_ptr<std::vector<std::byte>> packet = nullptr);
  void handle(const Event& event);
  void make_hosts();
  void endpoint_accepts(const tcp::ConnectionKey& key, const tcp::SegmentIn& syn);
  void host_receives(std::size_t host, ByteView packet);
  void host_sends(std::size_t host, const tcp::ConnectionKey& key, const tcp::SegmentOut& segment);
  void pump(std::size_t host, std::size_t index);
  void node_turns();
  void node_round();
  void carry_sent();
  void audit();
  void travel(tcpsim::Link& link, Kind to, std::size_t host, std::vector<std::byte> bytes, std::size_t ip_at);
  void fail(const std::string& what);
  void check_end();
  [[nodiscard]] Connection* find(std::size_t host, const tcp::ConnectionKey& key);

  const tcpsim::Scenario& scenario_;
  RelayRunOptions options_;
  test::Seeded random_;
  std::unique_ptr<World> world_;
  std::vector<tcpsim::Link> links_;  // client -> node, node -> client, node -> endpoint, endpoint -> node
  std::vector<Host> hosts_;
  std::priority_queue<Event, std::vector<Event>, Later> heap_;
  std::uint64_t now_us_{2'000'000'000}, start_us_{2'000'000'000}, order_{}, events_{}, octets_{};
  std::uint64_t node_at_us_{}, node_free_at_us_{};
  std::string failure_;
};

}  // namespace penstock::sim
