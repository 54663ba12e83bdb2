// sampler.h - rates out of counters: how busy each worker is, and what a frame costs it.
//
// Model     sample() once a second keeps two points; rates are of the time between them. A worker without frames
//           keeps its last cost per frame.
// Units     percent of one core; nanoseconds per received frame.
#pragma once
#include <sys/types.h>

#include <optional>
#include <vector>

#include "dataplane/control/segment.h"
#include "dataplane/core/clock.h"
#include "mgmt/telemetry/report.h"

namespace penstock::telemetry {

class Sampler {
 public:
  void sample(const control::SegmentView& segment, pid_t pid, Instant now);
  void reset() { *this = Sampler{}; }
  /// Values and rates of every worker.
  [[nodiscard]] std::vector<WorkerReport> workers(const control::SegmentView& segment, Instant now) const;

 private:
  struct Point {
    std::uint64_t busy_ns{}, sleep_ns{}, frames{}, thread_ns{};
    bool has_thread{};
  };
  struct Rates {
    std::optional<double> busy_percent, thread_cpu_percent, nanoseconds_per_frame;
  };
  std::vector<Point> last_;
  std::vector<Rates> rates_;
  Instant at_{};
};

}  // namespace penstock::telemetry
