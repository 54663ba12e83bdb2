#include "mgmt/telemetry/sampler.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>

#include "mgmt/telemetry/segment_reader.h"

namespace penstock::telemetry {
namespace {

// A segment in plain memory, written as a worker would.
class SamplerTest : public ::testing::Test {
 protected:
  SamplerTest() : octets_{control::segment_octets(1)}, memory_{std::aligned_alloc(4096, (octets_ + 4095) & ~4095ul)} {
    const ByteSpan bytes{static_cast<std::byte*>(memory_), octets_};
    std::fill(bytes.begin(), bytes.end(), std::byte{});
    control::format_segment(bytes, 1, 5);
    auto view = control::SegmentView::open(bytes);
    EXPECT_TRUE(view.ok());
    segment_ = *view;
  }
  ~SamplerTest() override { std::free(memory_); }
  control::WorkerCounters& worker() { return segment_.block(0).counters; }

  std::size_t octets_;
  void* memory_;
  control::SegmentView segment_;
};

constexpr Instant at(std::int64_t ms) { return Instant{std::chrono::milliseconds{ms}}; }

TEST_F(SamplerTest, one_point_gives_no_rate) {
  Sampler sampler;
  sampler.sample(segment_, ::getpid(), at(1000));
  const auto workers = sampler.workers(segment_, at(1000));
  ASSERT_EQ(workers.size(), 1u);
  EXPECT_FALSE(workers[0].busy_percent.has_value());
}

TEST_F(SamplerTest, rates_are_of_the_time_between_two_points) {
  Sampler sampler;
  sampler.sample(segment_, ::getpid(), at(1000));
  worker().sleep_ns.add(750'000'000);
  worker().busy_ns.add(60'000);
  worker().frames.add(100);
  worker().beat_ns.set(to_nanoseconds(at(1990)));
  sampler.sample(segment_, ::getpid(), at(2000));
  const auto workers = sampler.workers(segment_, at(2000));
  EXPECT_DOUBLE_EQ(*workers[0].busy_percent, 25.0);
  EXPECT_DOUBLE_EQ(*workers[0].nanoseconds_per_frame, 600.0);
  EXPECT_EQ(workers[0].beat_age_ns, 10'000'000u);
  EXPECT_FALSE(workers[0].thread_cpu_percent.has_value()) << "this process has no worker thread";
}

TEST_F(SamplerTest, a_quiet_interval_keeps_the_cost_of_the_last_busy_one) {
  Sampler sampler;
  sampler.sample(segment_, ::getpid(), at(0));
  worker().busy_ns.add(300);
  worker().frames.add(3);
  sampler.sample(segment_, ::getpid(), at(1000));
  sampler.sample(segment_, ::getpid(), at(2000));
  EXPECT_DOUBLE_EQ(*sampler.workers(segment_, at(2000))[0].nanoseconds_per_frame, 100.0);
}

TEST_F(SamplerTest, slots_ports_and_drops_are_summed_out_of_the_segment) {
  worker().slots[7].active.set(3);
  worker().ports[2].rx_frames.add(9);
  worker().drops[static_cast<std::size_t>(DropReason::no_flow)].add(2);
  EXPECT_EQ(slot_values(segment_, 7)[kSlotActive], 3u);
  EXPECT_EQ(port_values(segment_, 2)[0], 9u);
  EXPECT_EQ(drop_values(segment_)[static_cast<std::size_t>(DropReason::no_flow)], 2u);
  EXPECT_EQ(slot_values(segment_, 0xffffffff)[kSlotActive], 0u);
}

}  // namespace
}  // namespace penstock::telemetry
