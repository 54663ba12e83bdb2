// restore.h - reads the connections that a predecessor left in its arena.
//
// Model     the process that wrote it is dead, perhaps in the middle of a write. A record counts only when its
//           generation is even, it is in use, and everything in it fits together.
// Errors    torn and implausible records are skipped and counted; a wrong header is a Problem.
// Not here  who owns a flow now, timers and gauges (dataplane/worker).
#pragma once
#include <cstdint>

#include "dataplane/control/flow_layout.h"
#include "dataplane/core/be.h"
#include "dataplane/core/result.h"
#include "dataplane/flow/flow_key.h"

namespace penstock::flow {

/// Both directions are plain (control/flow_layout.h).
struct FlowRecord {
  control::FlowDirection forward;
  control::FlowDirection reverse;
  control::FlowCold cold;
};

/// A checked look into an arena, own or foreign.
class ArenaView {
 public:
  [[nodiscard]] static Result<ArenaView> open(ByteView bytes);
  [[nodiscard]] std::uint32_t capacity() const { return capacity_; }
  /// Records at or beyond were never in use.
  [[nodiscard]] std::uint32_t high_water() const;
  enum class Read : std::uint8_t { valid, unused, torn };
  /// Copies record `index` and checks its generation before and after.
  [[nodiscard]] Read read(std::uint32_t index, FlowRecord& into) const;

 private:
  explicit ArenaView(ByteView bytes, std::uint32_t capacity) : bytes_{bytes}, capacity_{capacity} {}
  ByteView bytes_;
  std::uint32_t capacity_;
};

/// True when keys, flags, protocol and state of the record fit together.
[[nodiscard]] bool plausible(const FlowRecord& record);

}  // namespace penstock::flow
