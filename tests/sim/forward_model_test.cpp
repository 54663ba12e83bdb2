// Two workers, one with tier X and one without: whatever happens, clients and endpoints see the same octets, the same
// flows live, and everything is counted the same. Every seed is a test; a failing one prints itself.
#include <gtest/gtest.h>

#include "tests/sim/fake_xdp.h"
#include "tests/support/seeded.h"

namespace penstock::sim {
namespace {

using std::chrono::milliseconds;

struct Twins {
  explicit Twins(std::uint64_t seed) : random{seed} {
    constexpr std::array kShapes{Shape{IpProto::tcp, IpFamily::v4, control::Forwarding::fullnat},
                                 Shape{IpProto::tcp, IpFamily::v6, control::Forwarding::dnat},
                                 Shape{IpProto::udp, IpFamily::v4, control::Forwarding::fullnat},
                                 Shape{IpProto::udp, IpFamily::v6, control::Forwarding::fullnat}};
    shape = kShapes[random.below(kShapes.size())];
    for (World* world : {&plain, &sunk}) {
      world->listeners = {make_listener(shape, 3)};
      world->listeners[0].forward = true;
      world->node.udp_stream_ms = 4000;
      world->node.tcp_established_ms = 8000;
    }
    plain.publish();
    xdp.open();
  }

  /// The same frame in both worlds. What comes out must be the same; returns it.
  std::vector<Seen> feed(PortIndex port, const test::Bytes& frame) {
    std::vector<Seen> expected = plain.feed(port, frame);
    std::vector<Seen> got;
    if (auto forwarded = xdp.forward(frame)) {
      ++by_program;
      got.push_back(std::move(*forwarded));
    } else {
      got = sunk.feed(port, frame);
    }
    EXPECT_EQ(got.size(), expected.size()) << test::describe(frame);
    for (std::size_t i = 0; i < std::min(got.size(), expected.size()); ++i) {
      EXPECT_EQ(got[i].port, expected[i].port);
      EXPECT_TRUE(got[i].bytes == expected[i].bytes)
          << test::describe(frame) << "\nbecomes  " << test::describe(got[i].bytes) << "\nshould   "
          << test::describe(expected[i].bytes);
    }
    return expected;
  }

  void client_sends(std::uint16_t port, std::string_view flags, std::size_t payload) {
    const auto out = feed(kDownstream, from_client(shape, port, flags).payload_octets(payload).build());
    if (out.size() == 1 && out[0].port == kUpstream) last[port] = out[0];
  }
  void endpoint_sends(std::uint16_t port, std::string_view flags, std::size_t payload) {
    const auto known = last.find(port);
    if (known != last.end()) feed(kUpstream, reply_to(known->second, flags).payload_octets(payload).build());
  }
  void talk(std::uint16_t port) {
    for (std::size_t i = 0; i < 6; ++i) {
      client_sends(port, "A", random.below(1460));
      endpoint_sends(port, "A", random.below(1460));
    }
  }
  /// Something that a view says, in both worlds.
  void reconfigure() {
    const std::size_t what = random.below(5), endpoint = random.below(3);
    const bool coin = random.coin();
    const auto mtu = static_cast<std::uint16_t>(coin ? 1500 : 1400);
    for (World* world : {&plain, &sunk}) {
      if (what == 0) world->listeners[0].forward = coin;
      if (what == 1) world->listeners[0].endpoints[endpoint].resolved = coin;
      if (what == 2) world->ports[kUpstream].redirect_target = coin;
      if (what == 3) world->ports[kDownstream].mtu = mtu;
      world->publish();
    }
  }
  void step() {
    const auto port = static_cast<std::uint16_t>(40000 + random.below(8));
    const std::size_t op = random.below(100);
    const std::string_view flags = std::array{"S", "FA", "R", "SA"}[random.below(4)];
    if (op < 40) return talk(port);
    if (op < 50) return client_sends(port, "S", 0), endpoint_sends(port, "SA", 0);
    if (op < 55) return client_sends(port, flags, 0);
    if (op < 60) return endpoint_sends(port, flags, 0);
    if (op < 75) return xdp.serve();
    if (op < 78) return xdp.refuse_insertions(random.below(2));
    if (op < 85) return reconfigure();
    const milliseconds by{random.below(op < 97 ? 1500 : 12'000)};
    plain.advance(by);
    sunk.advance(by);
  }

  void compare_counts() {
    using control::SlotCounters;
    EXPECT_EQ(plain.flows(), sunk.flows());
    EXPECT_EQ(plain.drops_text(), sunk.drops_text());
    std::vector<std::uint32_t> slots{plain.listener_slot(1)};
    for (const SimEndpoint& endpoint : plain.listeners[0].endpoints) slots.push_back(plain.endpoint_slot(endpoint));
    for (const std::uint32_t slot : slots)
      for (const auto counter : {&SlotCounters::active, &SlotCounters::flows, &SlotCounters::rx_packets,
                                 &SlotCounters::rx_octets, &SlotCounters::tx_packets, &SlotCounters::tx_octets})
        EXPECT_EQ(plain.slot_sum(slot, counter), sunk.slot_sum(slot, counter)) << "slot " << slot;
  }

  test::Seeded random;
  Shape shape;
  World plain{{.flows = 64}};
  World sunk{{.flows = 64, .forward_pairs = 4}};  // fewer than there are clients
  FakeXdp xdp{sunk};
  std::map<std::uint16_t, Seen> last;  // by client's port: its newest packet as the endpoint got it
  std::uint64_t by_program{};
};

TEST(ForwardModel, nothing_but_the_cost_differs_from_a_worker_without_tier_x) {
  std::uint64_t by_program = 0, full = 0, failed = 0;
  for (std::uint64_t seed = 1; seed <= 24 && !testing::Test::HasFailure(); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Twins twins{seed};
    for (int i = 0; i < 300 && !testing::Test::HasFailure(); ++i) twins.step();
    for (int i = 0; i < 3; ++i) {
      twins.xdp.serve();
      twins.plain.advance(milliseconds{700});
      twins.sunk.advance(milliseconds{700});
    }
    twins.compare_counts();
    by_program += twins.by_program;
    full += twins.sunk.sum(&control::WorkerCounters::forward_full);
    failed += twins.sunk.sum(&control::WorkerCounters::forward_failed);
    EXPECT_EQ(twins.sunk.sum(&control::WorkerCounters::forwards_begun),
              twins.sunk.sum(&control::WorkerCounters::forwards_ended) +
                  twins.sunk.sum(&control::WorkerCounters::forwards_active));
  }
  EXPECT_GT(by_program, 1000u) << "the program has something to do";
  EXPECT_GT(full, 0u);
  EXPECT_GT(failed, 0u);
}

}  // namespace
}  // namespace penstock::sim
