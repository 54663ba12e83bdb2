// run_loop: the one place of the worker that reads a clock and sleeps.
#include <algorithm>
#include <ctime>

#include "dataplane/worker/arrivals.h"
#include "dataplane/worker/worker_state.h"

namespace penstock::worker {
namespace {

Instant clock_now() {
  timespec t{};
  clock_gettime(CLOCK_MONOTONIC, &t);  // check_layers: allow(banned) time enters the worker here alone
  return Instant{std::chrono::seconds{t.tv_sec} + std::chrono::nanoseconds{t.tv_nsec}};
}

}  // namespace

bool Worker::State::prepare_sleep() {
  answers.announce_sleep();
  bool idle = answers.empty();
  for (std::uint32_t w = 0; w < config.worker_count; ++w) {
    if (w == config.index) continue;
    handoff_from[w].announce_sleep();
    idle = idle && handoff_from[w].empty();
  }
  return idle && (views.current.load(std::memory_order_acquire) == view ||
                  views.current.load(std::memory_order_relaxed) == nullptr);
}

void Worker::State::awake() {
  answers.announce_awake();
  for (std::uint32_t w = 0; w < config.worker_count; ++w)
    if (w != config.index) handoff_from[w].announce_awake();
}

void Worker::run(const std::atomic<bool>& stop) {
  State& s = *state_;
  Instant now = clock_now();
  Instant last_work = now;
  Arrivals arrivals;
  while (!stop.load(std::memory_order_relaxed)) {
    const bool worked = s.round(now);
    const Instant after = clock_now();
    if (worked) {
      s.counters.busy_ns.add(static_cast<std::uint64_t>((after - now).count()));
      last_work = after;
    }
    now = after;
    arrivals.count(s.arrived, now);
    if (arrivals.fast() && s.burst.count < kBurstMax && s.next_deadline() - now > kRest) {
      s.io.rest(kRest);
      now = clock_now();
      s.counters.sleeps.add();
      s.counters.sleep_ns.add(static_cast<std::uint64_t>((now - after).count()));
      continue;
    }
    if (worked || now - last_work < s.config.spin) continue;
    const Duration sleep = std::clamp(s.next_deadline() - now, Duration{}, s.config.sleep_max);
    if (sleep > Duration{} && s.prepare_sleep()) {
      s.io.wait(sleep);
      now = clock_now();
      s.counters.sleeps.add();
      s.counters.sleep_ns.add(static_cast<std::uint64_t>((now - after).count()));
    }
    s.awake();
  }
  drain();
}

}  // namespace penstock::worker
