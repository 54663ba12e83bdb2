// fill_depth.h - how many buffers a receive queue gives its device ahead, between what a load needs and all that it
// may.
//
// Model     a fill ring is first in, first out: every buffer in it is written before one is written again. A deep ring
//           survives a pause of the worker; under load it is memory that no cache holds, a miss for each line the
//           kernel writes and for each that the worker reads. So a busy queue is kept as deep as twice the largest
//           backlog that was seen lately and kSlack, and an idle one as deep as allowed: what comes then comes without
//           warning.
// Units     buffers.
// Limits    kFillDepthMin; a backlog never seen before that is larger than the ring is deep loses frames
// (rx_fill_empty),
//           which are repeated by their sender, and deepens it at once.
#pragma once
#include <algorithm>
#include <cstdint>

namespace penstock::io {

inline constexpr std::uint32_t kFillDepthMin = 512;

class FillDepth {
 public:
  /// `full`: what may be given ahead.
  explicit FillDepth(std::uint32_t full) : full_{full}, depth_{full} {}
  [[nodiscard]] std::uint32_t depth() const { return depth_; }

  /// One look into the receive ring found `backlog` buffers, and took `taken` of them.
  void looked(std::uint32_t backlog, std::uint32_t taken) {
    most_ = std::max(most_, backlog);
    depth_ = std::max(depth_, wanted(backlog));
    used_ += taken;
    if (used_ < kPeriod * full_) return;
    depth_ = wanted(most_);
    used_ = most_ = 0;
  }
  /// Nothing came for long.
  void idle() {
    depth_ = full_;
    used_ = most_ = 0;
  }

 private:
  static constexpr std::uint32_t kPeriod = 8;  ///< rings' worth of buffers over which a backlog is remembered
  static constexpr std::uint32_t kSlack = 256;

  [[nodiscard]] std::uint32_t wanted(std::uint32_t backlog) const {
    return std::min(full_, std::max(kFillDepthMin, 2 * backlog + kSlack));
  }

  std::uint32_t full_;
  std::uint32_t depth_;
  std::uint32_t used_{};  ///< since the last judgement
  std::uint32_t most_{};  ///< largest backlog since then
};

}  // namespace penstock::io
