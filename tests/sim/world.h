// world.h - a node in a box: workers over simulated ports, a configuration, virtual time.
//
// Model     port 0 is downstream (clients), port 1 upstream (endpoints). Configuration is edited as plain lists and
//           published as a snapshot; every endpoint has a resolved next hop on port 1 unless told otherwise.
// Rule      every frame that comes out is checked (lengths, checksums); check() demands that every frame that went in
//           had exactly one disposition and that no buffer is missing.
// Example   World w; w.add_listener(...); w.publish();
//           const Seen out = w.pass(kDownstream, PacketBuilder{}...build());
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "dataplane/control/segment.h"
#include "dataplane/control/snapshot_writer.h"
#include "dataplane/flow/test_arena.h"
#include "dataplane/io/sim/sim_io.h"
#include "dataplane/wire/packet_info.h"
#include "dataplane/worker/worker.h"
#include "tests/support/packet_builder.h"

namespace penstock::sim {

inline constexpr PortIndex kDownstream = 0;
inline constexpr PortIndex kUpstream = 1;
/// Slots below it are listeners'.
inline constexpr std::uint32_t kFirstEndpointSlot = 4096;

struct SimEndpoint {
  IpAddress address;
  std::uint16_t port{8080};
  std::uint16_t weight{10};
  bool resolved{true};
};

struct SimListener {
  std::uint32_t id{1};
  IpAddress address;
  std::uint16_t port{80};
  IpProto proto{IpProto::tcp};
  control::Forwarding forwarding{control::Forwarding::fullnat};
  control::Policy policy{control::Policy::allow};
  control::ListenerMode mode{control::ListenerMode::l4};
  control::Decision ask_default{control::Decision::deny};
  std::uint32_t ask_deadline_ms{200};
  bool draining{};
  bool forward{};  ///< hot flows may sink into the XDP program
  bool splice{};   ///< of mode proxy: pairs at rest become spliced flows
  std::vector<SimEndpoint> endpoints;
};

struct WorldOptions {
  std::uint16_t workers{1};
  std::size_t queues{1};
  std::uint32_t flows{256};
  std::size_t buffers{4096};
  std::size_t ring{};  ///< frames per receive queue; 0: no bound
  std::uint32_t seed{1};
  std::uint32_t parked{64};
  std::uint32_t proxy_connections{64};
  std::uint32_t lent{64};
  std::uint32_t forward_pairs{};  ///< pairs of slots of each worker for tier X
  std::uint32_t splices{64};
  std::uint32_t rests_before_splice{};
  bool cuts{};  ///< devices cut what is above their MTU
  io::SimFaults faults{};
};

/// What came out, read back.
struct Seen {
  PortIndex port{kNoPort};
  std::size_t worker{};
  test::Bytes bytes;
  wire::PacketInfo info{};
  [[nodiscard]] std::uint16_t src_port() const { return info.src_port.host(); }
  [[nodiscard]] std::uint16_t dst_port() const { return info.dst_port.host(); }
  [[nodiscard]] MacAddress dst_mac() const;
  [[nodiscard]] MacAddress src_mac() const;
};

class World {
 public:
  explicit World(const WorldOptions& options = {});
  ~World();

  // Configuration, in force after publish().
  control::NodeRecord node = control::default_node_record();
  std::vector<IpAddress> node_addresses;
  std::vector<SimListener> listeners;
  /// Changes a snapshot's content before it is written: what the lists above cannot say.
  std::function<void(control::SnapshotContent&)> adjust;
  std::array<worker::WorkerPort, 2> ports;
  /// Publishes under the next epoch and lets every worker adopt it. Returns the epoch.
  std::uint64_t publish();

  // Time and traffic.
  void inject(PortIndex port, const test::Bytes& frame, std::size_t queue = 0) { device->inject(port, frame, queue); }
  /// Steps all workers until nothing is left to do; everything sent since, checked.
  std::vector<Seen> settle();
  /// inject() and settle().
  std::vector<Seen> feed(PortIndex port, const test::Bytes& frame, std::size_t queue = 0);
  /// feed() that must yield exactly one frame.
  Seen pass(PortIndex port, const test::Bytes& frame, std::size_t queue = 0);
  /// feed() that must yield nothing and count `reason` once.
  void refuse(PortIndex port, const test::Bytes& frame, DropReason reason, std::size_t queue = 0);
  void advance(Duration by);
  /// Sets the clock of publish() and settle() for whoever steps the workers by a clock of his own.
  void move_to(Instant now) { now_ = now; }
  [[nodiscard]] Instant now() const { return now_; }

  // Questions and answers of worker 0, as the daemon sees them.
  std::optional<control::Question> next_question(std::size_t worker = 0);
  void answer(const control::Answer& answer, std::size_t worker = 0);

  // Counters, summed over workers.
  [[nodiscard]] std::uint64_t drops(DropReason reason) const;
  [[nodiscard]] std::uint64_t total_drops() const;
  /// "no_flow=3 truncated=1 "
  [[nodiscard]] std::string drops_text() const;
  [[nodiscard]] std::uint64_t sum(control::Counter control::WorkerCounters::*counter) const;
  [[nodiscard]] const control::WorkerCounters& counters(std::size_t worker) const { return blocks_[worker]->counters; }
  [[nodiscard]] control::WorkerBlock& block(std::size_t worker) { return *blocks_[worker]; }
  [[nodiscard]] std::uint64_t proxied(control::Counter control::ProxyCounters::*counter) const;
  [[nodiscard]] std::uint64_t slot_sum(std::uint32_t slot, control::Counter control::SlotCounters::*counter) const;
  [[nodiscard]] std::uint32_t listener_slot(std::uint32_t id) const { return id; }
  [[nodiscard]] std::uint32_t endpoint_slot(const SimEndpoint& endpoint, std::uint32_t listener = 1) const;
  [[nodiscard]] std::uint32_t flows() const;
  [[nodiscard]] ByteView arena(std::size_t worker) const { return arenas_[worker]->bytes(); }
  /// Conservation of frames and buffers; call at any settled moment.
  void check() const;
  /// The same without a test framework's failure.
  [[nodiscard]] bool conserved() const;

  /// Replaces all workers by new ones that take over the flows, as after a crash.
  std::vector<worker::RestoreReport> crash_and_restore();

  std::unique_ptr<io::SimDevice> device;
  std::vector<std::unique_ptr<worker::Worker>> workers;
  worker::ViewExchange views;
  std::unique_ptr<worker::ViewPublisher> publisher;
  [[nodiscard]] worker::HandoffMesh& mesh() { return *mesh_; }
  /// Of WorldOptions::forward_pairs, for whoever plays the control thread and the program.
  [[nodiscard]] worker::ForwardExchange& forwards(std::size_t worker) { return *forwards_[worker]; }

 private:
  void start_workers();
  [[nodiscard]] std::array<std::uint64_t, 2> balance() const;
  [[nodiscard]] std::vector<std::byte> snapshot_bytes();
  [[nodiscard]] Seen read(io::SentFrame&& frame) const;

  WorldOptions options_;
  Instant now_{std::chrono::seconds{1000}};
  std::uint64_t epoch_{};
  std::vector<std::unique_ptr<flow::TestArena>> arenas_, old_arenas_;
  std::vector<std::unique_ptr<control::WorkerBlock>> blocks_;
  std::unique_ptr<worker::HandoffMesh> mesh_;
  std::vector<std::unique_ptr<worker::ForwardExchange>> forwards_;
  std::vector<SpscRing<control::Question>> questions_;
  std::vector<SpscRing<control::Answer>> answers_;
  std::map<IpAddress, control::NextHopIndex> next_hops_;
  mutable std::map<std::tuple<std::uint32_t, IpAddress, std::uint16_t>, std::uint32_t> endpoint_slots_;
};

/// A world with one listener "1" at 10.96.0.10:80 (or fd10:96::10) and `endpoints` endpoints.
struct Shape {
  IpProto proto{IpProto::tcp};
  IpFamily family{IpFamily::v4};
  control::Forwarding forwarding{control::Forwarding::fullnat};
};
[[nodiscard]] IpAddress service_address(IpFamily family);
[[nodiscard]] IpAddress endpoint_address(IpFamily family, std::uint8_t n);
[[nodiscard]] IpAddress client_address(IpFamily family, std::uint8_t n = 2);
[[nodiscard]] IpAddress node_address(IpFamily family, std::uint8_t n = 1);
[[nodiscard]] SimListener make_listener(const Shape& shape, std::size_t endpoints, std::uint32_t id = 1);
[[nodiscard]] MacAddress endpoint_mac(const IpAddress& address);

/// A client's packet to the service.
[[nodiscard]] test::PacketBuilder from_client(const Shape& shape, std::uint16_t port, std::string_view flags = "A",
                                              std::uint8_t client = 2);
/// The endpoint's reply to `request` as the endpoint received it.
[[nodiscard]] test::PacketBuilder reply_to(const Seen& request, std::string_view flags = "A");
/// Handshake from SYN to ACK; returns the SYN as the endpoint saw it.
Seen connect(World& world, const Shape& shape, std::uint16_t port, std::size_t queue = 0);

}  // namespace penstock::sim
