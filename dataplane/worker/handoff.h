// handoff.h - frames that change worker.
//
// Model     one bounded ring for every ordered pair of workers. `process` frames belong to a flow of the other
//           worker; `transmit` frames are finished and leave by a port whose queue the other worker has.
// Limits    kHandoffRingSlots frames per pair. A full ring drops the newest (handoff_full).
// Errors    none; nothing waits.
#pragma once
#include <cstdint>
#include <memory>
#include <vector>

#include "dataplane/core/frame.h"
#include "dataplane/core/spsc_ring.h"
#include "dataplane/io/packet_io.h"

namespace penstock::worker {

inline constexpr std::size_t kHandoffRingSlots = 1024;

enum class HandoffKind : std::uint8_t { process, transmit };

struct HandoffItem {
  RawFrame frame;
  HandoffKind kind{HandoffKind::process};
};
using HandoffRing = SpscRing<HandoffItem>;

/// Memory of all rings and the way to wake a peer. One per process; built before the workers start.
class HandoffMesh {
 public:
  /// `ios`: one PacketIo per worker, in order; used only to wake() a sleeping consumer.
  explicit HandoffMesh(std::vector<io::PacketIo*> ios, std::size_t slots = kHandoffRingSlots);
  [[nodiscard]] std::size_t worker_count() const { return ios_.size(); }
  /// A fresh handle on the ring `from` -> `to`; each side makes its own once.
  [[nodiscard]] HandoffRing ring(std::size_t from, std::size_t to);
  void wake(std::size_t worker) { ios_[worker]->wake(); }

 private:
  struct Pair {
    RingControl control;
    std::vector<HandoffItem> slots;
  };
  std::vector<io::PacketIo*> ios_;
  std::vector<std::unique_ptr<Pair>> pairs_;
};

}  // namespace penstock::worker
