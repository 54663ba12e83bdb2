// heartbeat_map.h - the steering program's heartbeat map as memory that workers write.
//
// Model     BPF array of penstock_heartbeat, mapped; slot = worker. Stays mapped for the life of the object.
// Errors    a map that is not that is refused.
#pragma once
#include <atomic>
#include <cstdint>
#include <span>

#include "dataplane/core/fd.h"
#include "dataplane/core/result.h"

namespace penstock::app {

class HeartbeatMap {
 public:
  [[nodiscard]] static Result<HeartbeatMap> open(Fd map, std::size_t workers);
  HeartbeatMap() = default;
  HeartbeatMap(HeartbeatMap&& other) noexcept;
  HeartbeatMap& operator=(HeartbeatMap&& other) noexcept;
  ~HeartbeatMap();
  [[nodiscard]] std::atomic<std::uint64_t>* slot(std::size_t worker) const;
  [[nodiscard]] std::uint32_t id() const { return id_; }

 private:
  std::span<std::byte> bytes_;
  std::uint32_t id_{};
};

}  // namespace penstock::app
