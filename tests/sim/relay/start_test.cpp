// Many connections that begin at once towards endpoints that answer faster than the worker: the receive rings are
// short, and nobody may pay for that with a connection.
#include <gtest/gtest.h>

#include "tests/sim/relay/relay_world.h"

namespace penstock::sim {
namespace {

using control::ProxyCounters;

constexpr std::uint32_t kConnections = 256;
constexpr std::size_t kRing = 1024;

/// All at once, over short links: `up` and `down` octets each.
tcpsim::Scenario crowd(std::uint64_t up, std::uint64_t down) {
  tcpsim::Scenario out;
  out.seed = 1;
  for (tcpsim::LinkPlan& link : out.link) link.delay_us = 50;
  for (std::uint32_t i = 0; i < kConnections; ++i) {
    tcpsim::ConnectionPlan plan;
    plan.app[0].total = up;
    plan.app[1].total = down;
    plan.client_port = static_cast<std::uint16_t>(20000 + i);
    plan.opens_at_us = i;
    out.connections.push_back(plan);
  }
  return out;
}

/// A worker that takes 32 frames in 2 ms is slower than everybody round it.
RelayRunOptions slow_worker() {
  return {.lent = 2048,
          .buffers = 16384,
          .half_open_max = kConnections,
          .connect_ms = 5000,
          .ring = kRing,
          .burst_us = 2000,
          .alike = true};
}

void all_get_through(std::uint64_t up, std::uint64_t down) {
  const tcpsim::Scenario scenario = crowd(up, down);
  RelayWorld run{scenario, slow_worker()};
  EXPECT_EQ(run.run(), "");
  EXPECT_EQ(run.octets(), kConnections * (up + down));
  EXPECT_EQ(run.world().proxied(&ProxyCounters::connect_failed), 0u);
  EXPECT_EQ(run.world().proxied(&ProxyCounters::closed), kConnections);
  const io::SimDevice& device = *run.world().device;
  EXPECT_LT(device.ring_full() * 200, device.delivered()) << device.ring_full() << " of " << device.delivered();
}

TEST(Crowd, downloads_that_begin_together_all_connect_and_fit_the_ring) { all_get_through(100, 100'000); }
TEST(Crowd, uploads_that_begin_together_all_connect_and_fit_the_ring) { all_get_through(100'000, 100); }

}  // namespace
}  // namespace penstock::sim
