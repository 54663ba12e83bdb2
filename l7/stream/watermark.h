// watermark.h - when to stop reading, and when to go on.
//
// Model     two marks with a gap between them: above `high` the source is paused, and only at `low` it resumes, so
//           that one octet more or less does not make it flap. The answer is given once per crossing.
// Units     octets.
// Errors    none.
// Limits    low <= high; defaults fit a TCP leg's 256 KiB budget.
// Not here  how a source is paused: a TCP window, an HTTP/2 window.
#pragma once
#include <cstdint>

#include "dataplane/core/require.h"

namespace penstock::stream {

struct Marks {
  std::uint64_t high{256 * 1024};
  std::uint64_t low{64 * 1024};
};

enum class Flow : std::uint8_t { unchanged, pause, resume };

class Watermark {
 public:
  explicit Watermark(Marks marks = {}) : marks_{marks} { require(marks.low <= marks.high, "low mark above high"); }
  /// What is queued is now `queued` octets.
  [[nodiscard]] Flow update(std::uint64_t queued) {
    if (!paused_ && queued > marks_.high) {
      paused_ = true;
      return Flow::pause;
    }
    if (paused_ && queued <= marks_.low) {
      paused_ = false;
      return Flow::resume;
    }
    return Flow::unchanged;
  }
  [[nodiscard]] bool paused() const { return paused_; }

 private:
  Marks marks_;
  bool paused_{};
};

}  // namespace penstock::stream
