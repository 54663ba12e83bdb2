#include "mgmt/telemetry/sampler.h"

#include <algorithm>

#include "mgmt/telemetry/segment_reader.h"
#include "mgmt/telemetry/thread_times.h"

namespace penstock::telemetry {
namespace {

/// Worker threads are called "psk-worker-N" by the dataplane.
std::optional<std::uint64_t> thread_ns_of(const std::vector<ThreadTime>& threads, std::size_t worker) {
  const std::string name = "psk-worker-" + std::to_string(worker);
  for (const ThreadTime& thread : threads)
    if (thread.name == name) return thread.cpu_ns;
  return std::nullopt;
}

double percent(std::uint64_t part, double whole) { return whole <= 0 ? 0 : 100.0 * static_cast<double>(part) / whole; }

}  // namespace

void Sampler::sample(const control::SegmentView& segment, pid_t pid, Instant now) {
  const auto threads = thread_times(pid);
  std::vector<Point> points(segment.worker_count());
  for (std::size_t w = 0; w < points.size(); ++w) {
    const auto& counters = segment.counters(w);
    const auto thread_ns = thread_ns_of(threads, w);
    points[w] = {counters.busy_ns.read(), counters.sleep_ns.read(), counters.frames.read(), thread_ns.value_or(0),
                 thread_ns.has_value()};
  }
  if (last_.size() == points.size()) {
    const auto elapsed = static_cast<double>((now - at_).count());
    rates_.resize(points.size());
    for (std::size_t w = 0; w < points.size(); ++w) {
      const std::uint64_t slept = points[w].sleep_ns - last_[w].sleep_ns;
      const std::uint64_t frames = points[w].frames - last_[w].frames;
      // A sleep is counted when it ends, so one that began before the interval may exceed it.
      rates_[w].busy_percent = std::max(0.0, 100.0 - percent(slept, elapsed));
      if (points[w].has_thread && last_[w].has_thread)
        rates_[w].thread_cpu_percent = percent(points[w].thread_ns - last_[w].thread_ns, elapsed);
      if (frames > 0)
        rates_[w].nanoseconds_per_frame =
            static_cast<double>(points[w].busy_ns - last_[w].busy_ns) / static_cast<double>(frames);
    }
  }
  last_ = std::move(points);
  at_ = now;
}

std::vector<WorkerReport> Sampler::workers(const control::SegmentView& segment, Instant now) const {
  std::vector<WorkerReport> out(segment.worker_count());
  for (std::size_t w = 0; w < out.size(); ++w) {
    out[w].index = static_cast<std::uint32_t>(w);
    out[w].values = worker_values(segment, w);
    out[w].proxy = proxy_values(segment, w);
    const std::uint64_t beat = segment.counters(w).beat_ns.read();
    const std::uint64_t at = to_nanoseconds(now);
    out[w].beat_age_ns = beat < at ? at - beat : 0;
    if (w >= rates_.size()) continue;
    out[w].busy_percent = rates_[w].busy_percent;
    out[w].thread_cpu_percent = rates_[w].thread_cpu_percent;
    out[w].nanoseconds_per_frame = rates_[w].nanoseconds_per_frame;
  }
  return out;
}

}  // namespace penstock::telemetry
