#include "dataplane/io/sim/sim_io.h"

#include <gtest/gtest.h>

namespace penstock::io {
namespace {

std::vector<std::byte> bytes(int first) { return {std::byte(first), std::byte{2}, std::byte{3}}; }

TEST(SimIo, a_frame_travels_from_inject_to_take_sent_and_its_buffer_comes_back) {
  SimDevice device{{.ports = 2}};
  device.inject(0, bytes(7));
  std::array<Frame, kBurstMax> burst;
  ASSERT_EQ(device.io(0).receive(burst), 1u);
  EXPECT_EQ(device.outstanding(), 1u);
  burst[0].set_port(1);
  ASSERT_EQ(device.io(0).transmit(1, {burst.data(), 1}), 1u);
  EXPECT_EQ(device.outstanding(), 0u);
  const auto sent = device.take_sent();
  ASSERT_EQ(sent.size(), 1u);
  EXPECT_EQ(sent[0].port, 1);
  EXPECT_EQ(sent[0].bytes, bytes(7));
}

TEST(SimIo, ports_are_served_in_turn) {
  SimDevice device{{.ports = 2}};
  for (int i = 0; i < 4; ++i) device.inject(0, bytes(i));
  device.inject(1, bytes(9));
  std::array<Frame, 2> burst;
  ASSERT_EQ(device.io(0).receive(burst), 2u);
  device.io(0).drop(burst);
  ASSERT_EQ(device.io(0).receive(burst), 2u);
  device.io(0).drop(burst);
  ASSERT_EQ(device.io(0).receive(burst), 1u);
  device.io(0).drop({burst.data(), 1});
}

TEST(SimIo, a_port_with_much_does_not_starve_the_others) {
  SimDevice device{{.ring = 100}};
  const std::array<std::byte, 60> frame{};
  for (int i = 0; i < 200; ++i) device.inject(0, frame);
  device.inject(1, frame);
  EXPECT_EQ(device.ring_full(), 100u) << "a ring holds what it is said to hold";
  std::array<Frame, kBurstMax> burst;
  ASSERT_EQ(device.io(0).receive(burst), kBurstMax);
  device.io(0).drop(burst);
  ASSERT_EQ(device.io(0).receive(burst), kBurstMax);
  EXPECT_EQ(burst[0].port(), 1);
  device.io(0).drop(burst);
}

TEST(SimIo, a_worker_receives_its_own_queues_only) {
  SimDevice device{{.workers = 2, .ports = 1, .queues = 2}};
  device.inject(0, bytes(1), 1);
  std::array<Frame, kBurstMax> burst;
  EXPECT_EQ(device.io(0).receive(burst), 0u);
  ASSERT_EQ(device.io(1).receive(burst), 1u);
  device.io(1).drop({burst.data(), 1});
  EXPECT_EQ(device.outstanding(), 0u);
}

TEST(SimIo, faults_are_seeded_and_account_for_every_frame) {
  const auto run = [](std::uint32_t seed) {
    SimDevice device{{.ports = 1, .seed = seed, .faults = {.loss_percent = 20, .duplicate_percent = 10}}};
    for (int i = 0; i < 1000; ++i) device.inject(0, bytes(i));
    EXPECT_EQ(device.waiting(), device.delivered());
    EXPECT_GT(device.lost(), 100u);
    return std::pair{device.lost(), device.delivered()};
  };
  EXPECT_EQ(run(3), run(3));
  EXPECT_NE(run(3), run(4));
}

TEST(SimIo, an_empty_pool_loses_frames_and_counts_them) {
  SimDevice device{{.ports = 1, .buffers = 2}};
  for (int i = 0; i < 3; ++i) device.inject(0, bytes(i));
  EXPECT_EQ(device.no_buffer(), 1u);
}

}  // namespace
}  // namespace penstock::io
