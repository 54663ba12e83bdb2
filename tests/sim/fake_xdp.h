// fake_xdp.h - the XDP program and the control thread of tier X, played over a World.
//
// Model     plain memory for the slots, an ordered map for steer_forwards. serve() carries out the workers' orders as
// the
//           control thread does; forward() does what the program does with a frame, by octets and rules of its own.
// Example   FakeXdp xdp{world}; xdp.open(); ... xdp.serve(); auto sent = xdp.forward(frame);
// Not here  the program's match before the lookup, partial checksums, splices: tests/bpf has the real program.
#pragma once
#include <array>
#include <map>
#include <optional>
#include <vector>

#include "tests/sim/world.h"

namespace penstock::sim {

class FakeXdp {
 public:
  explicit FakeXdp(World& world, std::size_t workers = 1)
      : world_{world}, workers_{workers}, slots_(PENSTOCK_FORWARD_MAX) {}

  /// Gives the slots to the workers and publishes, after clearing them as the control thread must.
  void open();
  /// Carries out all orders and lets the workers see the answers; without `answer` nobody is told.
  void serve(bool answer = true);
  /// How many insertions the kernel refuses from now on.
  void refuse_insertions(std::size_t count) { refused_ = count; }

  /// No worker beats any more: FIN and RST are forwarded.
  void miss_heartbeats() { beats_ = false; }
  /// What the program sends in the frame's place, and by which port; nothing: the frame goes to the worker. Counts.
  std::optional<Seen> forward(const test::Bytes& frame);

  [[nodiscard]] std::size_t entries() const { return entries_.size(); }
  [[nodiscard]] penstock_forward_slot& slot(std::uint32_t index) { return slots_[index]; }
  [[nodiscard]] const penstock_forward* find(const wire::PacketInfo& info) const;

 private:
  using Key = std::array<std::byte, sizeof(penstock_flow_key)>;
  [[nodiscard]] static Key key_of(const penstock_flow_key& key);
  World& world_;
  std::size_t workers_;
  std::size_t refused_{};
  bool beats_{true};
  std::vector<penstock_forward_slot> slots_;
  std::map<Key, penstock_forward> entries_;
};

}  // namespace penstock::sim
