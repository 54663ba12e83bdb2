// worker_view.h - the immutable picture of the world that workers forward by, and how it changes.
//
// Model     the control thread builds a WorkerView and publishes one pointer; each worker adopts it between
//           bursts and acknowledges its generation; the control thread frees a view after all have moved on.
// Shape     vectors are sized once, before publication; workers only read.
// Errors    none here: SnapshotView::open() has checked the snapshot, build_view_index() checks the rest.
// Not here  learning next hops (dataplane/app).
#pragma once
#include <array>
#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

#include "dataplane/control/limits.h"
#include "dataplane/control/next_hop.h"
#include "dataplane/control/snapshot_view.h"
#include "dataplane/core/frame.h"
#include "l7/proxy/config.h"

namespace penstock::worker {

/// What a worker must know about a port.
struct WorkerPort {
  bool present{};           ///< false: gone or never added; frames for it are dropped (port_gone)
  bool verify_checksums{};  ///< NICs; veth carries partial checksums and is trusted
  bool redirect_target{};   ///< the XDP program can send frames out by it (tier X)
  bool cuts{};              ///< its device cuts TCP segments that are too large (PacketIo::transmit())
  std::uint16_t mtu{};      ///< L3 octets
  std::uint16_t queues{1};  ///< queue pairs; queue q belongs to worker q % worker_count
  MacAddress mac;
};

struct AddressedNextHop {
  IpAddress address;
  control::NextHopIndex index{control::kNoNextHop};
};

/// What listeners of HTTP need beside the snapshot, made once per snapshot and shared by its views.
struct HttpView {
  route::ListenerTables tables;
  proxy::Config config;
  std::vector<std::unique_ptr<route::Scratch>> scratch;  ///< one per worker, which alone touches it
};

struct WorkerView {
  std::uint64_t generation{};  ///< set by ViewPublisher; rises with every view
  control::SnapshotView snapshot;
  std::vector<control::NextHop> next_hops;                ///< by NextHopIndex
  std::vector<control::NextHopIndex> endpoint_next_hops;  ///< one per endpoint of the snapshot
  std::array<WorkerPort, control::kPortMax> ports{};      ///< by PortIndex
  std::vector<AddressedNextHop> by_address;               ///< made by build_view_index(), sorted
  std::shared_ptr<const HttpView> http;                   ///< nullptr: no listener of HTTP
  std::shared_ptr<const void> storage;                    ///< keeps the snapshot's bytes mapped

  /// The resolved next hop, or nullptr.
  [[nodiscard]] const control::NextHop* next_hop(control::NextHopIndex index) const {
    if (index >= next_hops.size() || !next_hops[index].resolved()) return nullptr;
    return &next_hops[index];
  }
  /// Index of an endpoint's next hop by its address; kNoNextHop when the snapshot does not have it.
  [[nodiscard]] control::NextHopIndex find_next_hop(const IpAddress& address) const;
  /// The port, or nullptr when it is not there.
  [[nodiscard]] const WorkerPort* port(PortIndex index) const {
    return index < ports.size() && ports[index].present ? &ports[index] : nullptr;
  }
};

/// Completes `view` (by_address) from its snapshot and endpoint_next_hops. Call before publishing.
/// endpoint_next_hops is resized to the snapshot's endpoints when shorter (kNoNextHop).
void build_view_index(WorkerView& view);
/// Loads the route tables of the snapshot. What `previous` has loaded already is shared. Call before publishing.
[[nodiscard]] Status build_http_view(WorkerView& view, std::uint32_t workers, const HttpView* previous = nullptr);

/// Where a view is published and adoption acknowledged. One per process.
struct ViewExchange {
  struct alignas(64) Adopted {
    std::atomic<std::uint64_t> generation{};
  };
  alignas(64) std::atomic<const WorkerView*> current{};
  std::array<Adopted, control::kWorkerMax> adopted{};
};

/// The control thread's side: owns views, frees them when nobody can still read them.
class ViewPublisher {
 public:
  ViewPublisher(ViewExchange& exchange, std::size_t worker_count) : exchange_{exchange}, worker_count_{worker_count} {}
  /// Makes `view` current and returns its generation. Waking sleeping workers (PacketIo::wake) is the caller's.
  std::uint64_t publish(std::unique_ptr<WorkerView> view);
  /// True when every worker has adopted `generation` or a later one.
  [[nodiscard]] bool adopted_by_all(std::uint64_t generation) const;
  /// Frees views that no worker reads any more; returns how many are still alive, the current one included.
  std::size_t collect();
  /// The newest view, or nullptr.
  [[nodiscard]] const WorkerView* newest() const { return views_.empty() ? nullptr : views_.back().get(); }

 private:
  ViewExchange& exchange_;
  std::size_t worker_count_;
  std::uint64_t generation_{};
  std::deque<std::unique_ptr<const WorkerView>> views_;  // oldest first
};

}  // namespace penstock::worker
