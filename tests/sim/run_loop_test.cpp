// The run loop itself: real clock, real threads, sleeping and waking, no allocation.
#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <cstdlib>
#include <ctime>
#include <mutex>
#include <new>
#include <thread>

#include "dataplane/worker/arrivals.h"
#include "tests/sim/world.h"

namespace {
thread_local bool allocation_is_forbidden = false;
std::atomic<std::uint64_t> forbidden_allocations{};
void* allocate(std::size_t octets) {
  if (allocation_is_forbidden) ++forbidden_allocations;
  return std::malloc(octets == 0 ? 1 : octets);
}
}  // namespace
void* operator new(std::size_t octets) { return allocate(octets); }
void* operator new[](std::size_t octets) { return allocate(octets); }
void operator delete(void* p) noexcept { std::free(p); }
void operator delete[](void* p) noexcept { std::free(p); }
void operator delete(void* p, std::size_t) noexcept { std::free(p); }
void operator delete[](void* p, std::size_t) noexcept { std::free(p); }

namespace penstock::sim {
namespace {

using namespace std::chrono_literals;

/// One port that plays a fixed set of frames once and counts what comes back; never allocates.
class TapIo final : public io::PacketIo {
 public:
  static constexpr std::size_t kFrames = 256;
  /// Copies the frames in; they arrive from now on.
  void arrive(const std::vector<test::Bytes>& frames, PortIndex port) {
    const std::lock_guard lock{mutex_};
    require(frames.size() <= kFrames && next_ == count_, "tap still busy");
    for (std::size_t i = 0; i < frames.size(); ++i) {
      std::copy(frames[i].begin(), frames[i].end(), memory_[i].begin() + 128);
      sizes_[i] = static_cast<std::uint16_t>(frames[i].size());
    }
    count_ = frames.size();
    next_ = 0;
    port_ = port;
    woken_ = true;
    changed_.notify_all();
  }
  std::size_t receive(std::span<Frame> into) override {
    const std::lock_guard lock{mutex_};
    std::size_t n = 0;
    for (; n < into.size() && next_ < count_; ++n, ++next_) {
      std::byte* const at = memory_[next_].data();
      into[n] = Frame{RawFrame{at + 128, at, sizes_[next_], 128, 1000, port_}};
    }
    return n;
  }
  std::size_t transmit(PortIndex, std::span<Frame> frames) override {
    drop(frames);
    transmitted += frames.size();
    return frames.size();
  }
  void drop(std::span<Frame> frames) override {
    for (Frame& f : frames) static_cast<void>(std::move(f).release());
  }
  bool can_transmit(PortIndex) const override { return true; }
  void wait(Duration at_most) override {
    std::unique_lock lock{mutex_};
    changed_.wait_for(lock, at_most, [this] { return woken_; });
    woken_ = false;
  }
  void wake() override {
    const std::lock_guard lock{mutex_};
    woken_ = true;
    changed_.notify_all();
  }
  std::atomic<std::uint64_t> transmitted{};

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::array<std::byte, 2048>> memory_{kFrames};
  std::array<std::uint16_t, kFrames> sizes_{};
  std::size_t count_{}, next_{};
  PortIndex port_{};
  bool woken_{};
};

struct Running {
  explicit Running(const worker::WorkerView& like) {
    auto view = std::make_unique<worker::WorkerView>(like);
    publisher.publish(std::move(view));
    thread = std::thread{[this] {
      allocation_is_forbidden = true;
      worker.run(stop);
      clock_gettime(CLOCK_THREAD_CPUTIME_ID, &cpu);
      allocation_is_forbidden = false;
    }};
  }
  ~Running() { finish(); }
  void finish() {
    if (!thread.joinable()) return;
    stop = true;
    io.wake();
    thread.join();
  }
  bool eventually(const std::function<bool()>& condition) {
    for (int i = 0; i < 500; ++i, std::this_thread::sleep_for(10ms))
      if (condition()) return true;
    return false;
  }
  TapIo io;
  flow::TestArena arena{1024};
  std::unique_ptr<control::WorkerBlock> block = std::make_unique<control::WorkerBlock>();
  worker::ViewExchange views;
  worker::ViewPublisher publisher{views, 1};
  worker::Worker worker{{}, {.io = &io, .block = block.get(), .flow_arena = arena.bytes(), .views = &views}};
  std::atomic<bool> stop{};
  std::thread thread;
  timespec cpu{};
};

std::vector<test::Bytes> syns() {
  std::vector<test::Bytes> out;
  for (std::uint16_t i = 0; i < 200; ++i) out.push_back(from_client({}, 40000 + i, "S").build());
  return out;
}

TEST(RunLoop, forwards_without_allocating_and_wakes_from_sleep) {
  World world;
  world.listeners = {make_listener({}, 2)};
  world.publish();
  Running running{*world.publisher->newest()};
  const std::vector<test::Bytes> frames = syns();
  for (std::uint64_t round = 1; round <= 3; ++round) {
    running.io.arrive(frames, kDownstream);
    EXPECT_TRUE(running.eventually([&] { return running.io.transmitted == 200 * round; }));
    std::this_thread::sleep_for(60ms);
  }
  running.finish();
  EXPECT_EQ(forbidden_allocations, 0u);
  EXPECT_GT(running.block->counters.sleeps.read(), 2u);
  EXPECT_EQ(running.block->counters.flows_created.read(), 200u);
}

TEST(RunLoop, an_idle_worker_costs_little_and_keeps_its_heartbeat_young) {
  World world;
  world.publish();
  Running running{*world.publisher->newest()};
  std::atomic<std::uint64_t> beat{};
  running.worker.set_heartbeat(&beat);
  std::uint64_t oldest = 0;
  ASSERT_TRUE(running.eventually([&] { return beat != 0; }));
  for (int i = 0; i < 100; ++i) {
    std::this_thread::sleep_for(10ms);
    timespec now{};
    clock_gettime(CLOCK_MONOTONIC, &now);
    const auto ns = static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(now.tv_nsec);
    oldest = std::max(oldest, ns - std::min(ns, beat.load()));
  }
  running.finish();
  const double cpu_ms = static_cast<double>(running.cpu.tv_sec) * 1e3 + static_cast<double>(running.cpu.tv_nsec) / 1e6;
  EXPECT_LT(cpu_ms, 30.0) << "about 1 s of idling: above 3 % of a core";
  EXPECT_LT(oldest, 100'000'000u) << "the steering program would have failed open";
  RecordProperty("idle_cpu_ms_per_s", std::to_string(cpu_ms));
}

/// Rounds of `frames` each, `apart` from each other, for `length`; when they were fast first, behind the begin.
Duration fast_after(worker::Arrivals& arrivals, Instant& now, std::size_t frames, Duration apart, Duration length) {
  const Instant begin = now;
  for (; now - begin < length; now += apart) {
    arrivals.count(frames, now);
    if (arrivals.fast()) return now - begin;
  }
  return Duration::max();
}

TEST(Arrivals, many_that_gather_are_fast_until_they_do_not) {
  worker::Arrivals arrivals;
  Instant now{100ms};
  EXPECT_EQ(fast_after(arrivals, now, 1, 20us, 50ms), Duration::max()) << "50 frames a millisecond";
  EXPECT_LE(fast_after(arrivals, now, 1, 10us, 50ms), 10ms) << "100 frames a millisecond";
  for (int i = 0; i < 1000; ++i) arrivals.count(10, now += 70us);
  EXPECT_TRUE(arrivals.fast()) << "rests gather ten at once";
  for (int i = 0; i < 100; ++i) arrivals.count(0, now += 70us);
  EXPECT_FALSE(arrivals.fast()) << "nobody sends any more";
}

TEST(Arrivals, few_that_wait_for_answers_are_left_in_peace_for_a_while) {
  worker::Arrivals arrivals;
  Instant now{100ms};
  ASSERT_LE(fast_after(arrivals, now, 1, 10us, 50ms), 10ms);
  for (int i = 0; i < 8; ++i) arrivals.count(4, now += 70us);
  EXPECT_FALSE(arrivals.fast()) << "half a millisecond of rests shows that they gather too little";
  const Duration again = fast_after(arrivals, now, 1, 10us, 50ms);
  EXPECT_GE(again, 10ms);
  EXPECT_LE(again, 26ms);
}

TEST(Arrivals, whom_rests_slow_down_is_tried_ever_more_seldom) {
  worker::Arrivals arrivals;
  Instant now{100ms};
  Duration last{};
  for (int vain = 0; vain < 5; ++vain) {
    const Duration until = fast_after(arrivals, now, 2, 10us, 1s);  // 200 a millisecond
    ASSERT_NE(until, Duration::max());
    EXPECT_GT(until, last);
    last = until;
    for (int i = 0; i < 100; ++i) arrivals.count(8, now += 80us);  // 100: eight at once, but each waited for the rest
    ASSERT_FALSE(arrivals.fast());
  }
  EXPECT_LE(fast_after(arrivals, now, 2, 10us, 1s), worker::Arrivals::kPauseMax + 10ms);
}

TEST(Arrivals, full_bursts_need_no_rest) {
  worker::Arrivals arrivals;
  Instant now{100ms};
  EXPECT_EQ(fast_after(arrivals, now, 64, 400us, 1s), Duration::max())
      << "the worker is busy all the time, and they gather meanwhile";
  EXPECT_LE(fast_after(arrivals, now, 16, 100us, 50ms), 10ms);
}

TEST(Arrivals, a_load_that_grows_to_full_bursts_ends_rests_that_seemed_to_pay) {
  worker::Arrivals arrivals;
  Instant now{100ms};
  ASSERT_LE(fast_after(arrivals, now, 1, 10us, 50ms), 10ms);
  const Instant grown = now;
  while (arrivals.fast() && now - grown < 2s) arrivals.count(64, now += 600us);
  EXPECT_FALSE(arrivals.fast()) << "as many as before the rests, and yet less than without them";
  EXPECT_EQ(fast_after(arrivals, now, 64, 400us, 1s), Duration::max());
}

TEST(Arrivals, a_small_loss_ends_rests_only_when_it_lasts) {
  worker::Arrivals arrivals;
  Instant now{100ms};
  ASSERT_LE(fast_after(arrivals, now, 1, 10us, 50ms), 10ms);
  for (int i = 0; i < 300; ++i) arrivals.count(i % 100 < 50 ? 7 : 8, now += 77us);  // 91 and 104 a millisecond in turns
  EXPECT_TRUE(arrivals.fast()) << "98 on average of 100 before";
  bool ended = false;
  for (int i = 0; i < 450 && !ended; ++i) {
    arrivals.count(7, now += 77us);
    ended = !arrivals.fast();
  }
  EXPECT_TRUE(ended) << "91 of 100, for long";
}

}  // namespace
}  // namespace penstock::sim
