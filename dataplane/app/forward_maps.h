// forward_maps.h - the steering program's maps of tier X: entries by system calls, slots as memory.
//
// Model     steer_forwards and steer_forward_slots (bpf/abi/steer.h). What a predecessor left is taken out by clear();
//           then orders of the workers (worker/forwards.h) are carried out one by one. The slots stay mapped for the
//           life of the object.
// Shape     an insertion or deletion is a system call per direction, about a microsecond.
// Errors    maps that are not those of this version are refused. An insertion that fails leaves nothing behind.
// Threads   control thread; the slots are also the workers'.
#pragma once
#include <cstdint>
#include <span>

#include "dataplane/core/fd.h"
#include "dataplane/core/result.h"
#include "dataplane/worker/forwards.h"

namespace penstock::app {

class ForwardMaps {
 public:
  [[nodiscard]] static Result<ForwardMaps> open(Fd entries, Fd slots);
  ForwardMaps() = default;
  ForwardMaps(ForwardMaps&& other) noexcept;
  ForwardMaps& operator=(ForwardMaps&& other) noexcept;
  ~ForwardMaps();

  /// No slot is live and no entry is there afterwards: the flows are the workers' again.
  [[nodiscard]] Status clear();
  /// Both directions or none; false when the kernel does not take them. Deletions are always done: what is not there
  /// was deleted by the program, which does so when a connection of that key begins on the kernel path.
  [[nodiscard]] bool carry_out(const worker::ForwardOrder& order);

  [[nodiscard]] penstock_forward_slot* slots() const { return reinterpret_cast<penstock_forward_slot*>(bytes_.data()); }
  /// The same maps, however they came here.
  [[nodiscard]] bool same(const ForwardMaps& other) const {
    return entries_id_ == other.entries_id_ && slots_id_ == other.slots_id_;
  }

 private:
  Fd entries_;
  std::span<std::byte> bytes_;
  std::uint32_t entries_id_{};
  std::uint32_t slots_id_{};
};

}  // namespace penstock::app
