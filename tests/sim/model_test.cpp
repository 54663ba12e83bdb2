// Random traffic through one or several workers, compared with a plain model of a load-balancing NAT.
//
// Model     two maps. Whatever the worker lets through must be what the model says; a flow that the model knows must
//           be let through. Every seed is a test; a failing one prints itself.
#include <gtest/gtest.h>

#include <random>

#include "tests/sim/world.h"

namespace penstock::sim {
namespace {

using control::Forwarding;

struct Client {
  std::uint8_t host;
  std::uint16_t port;
  friend auto operator<=>(const Client&, const Client&) = default;
};
/// What the endpoint sees: where from, where to.
struct Upstream {
  IpAddress src, dst;
  std::uint16_t src_port{}, dst_port{};
  friend auto operator<=>(const Upstream&, const Upstream&) = default;
};

struct Model {
  std::map<Client, Upstream> flows;
  std::map<Upstream, Client> by_upstream;
  void add(const Client& c, const Upstream& u) {
    EXPECT_TRUE(by_upstream.emplace(u, c).second) << "two clients share one upstream tuple";
    flows[c] = u;
  }
  void clear() {
    flows.clear();
    by_upstream.clear();
  }
};

struct Random {
  explicit Random(std::uint32_t seed) : generator{seed} {}
  std::uint32_t below(std::uint32_t n) { return static_cast<std::uint32_t>(generator() % n); }
  std::mt19937 generator;
};

struct Session {
  Session(std::uint32_t seed, const Shape& s, std::uint16_t workers)
      : random{seed}, shape{s}, world{{.workers = workers, .queues = workers, .flows = 2048, .seed = seed}} {
    world.listeners = {make_listener(shape, 4)};
    world.publish();
  }
  std::size_t queue() { return random.below(static_cast<std::uint32_t>(world.workers.size())); }
  Client client() {
    return {static_cast<std::uint8_t>(2 + random.below(6)), static_cast<std::uint16_t>(40000 + random.below(60))};
  }

  void request(const Client& c) {
    const auto known = model.flows.find(c);
    const Seen out = world.pass(kDownstream, from_client(shape, c.port, "A", c.host).build(), queue());
    ASSERT_EQ(out.port, kUpstream);
    const Upstream u{out.info.src, out.info.dst, out.src_port(), out.dst_port()};
    if (known == model.flows.end()) {
      model.add(c, u);
    } else {
      EXPECT_TRUE(u == known->second) << "a flow changed its translation";
    }
    if (shape.forwarding == Forwarding::dnat) {
      EXPECT_EQ(u.src, client_address(shape.family, c.host));
    }
  }
  void reply(const Client& c) {
    const Upstream u = model.flows.at(c);
    Seen request;
    request.info.src = u.src;
    request.info.dst = u.dst;
    request.info.src_port = test::port(u.src_port);
    request.info.dst_port = test::port(u.dst_port);
    request.info.proto = shape.proto;
    const Seen out = world.pass(kUpstream, reply_to(request).build(), queue());
    EXPECT_EQ(out.info.dst, client_address(shape.family, c.host));
    EXPECT_EQ(out.dst_port(), c.port);
    EXPECT_EQ(out.info.src, service_address(shape.family));
    EXPECT_EQ(out.src_port(), 80);
  }
  void stray() {  // from an endpoint to a port that nobody holds
    const Upstream u{node_address(shape.family), endpoint_address(shape.family, 1), 29999, 8080};
    if (model.by_upstream.contains(u)) return;
    Seen request;
    request.info.src = u.src;
    request.info.dst = u.dst;
    request.info.src_port = test::port(u.src_port);
    request.info.dst_port = test::port(u.dst_port);
    request.info.proto = shape.proto;
    const std::uint64_t before = world.drops(DropReason::no_flow);
    const auto answers = world.feed(kUpstream, reply_to(request).build(), queue());
    EXPECT_LE(answers.size(), shape.proto == IpProto::tcp ? 1u : 0u);  // resets are limited per second
    EXPECT_EQ(world.drops(DropReason::no_flow), before + 1);
  }
  void reconfigure() {
    for (SimEndpoint& e : world.listeners[0].endpoints)
      e.weight = static_cast<std::uint16_t>(random.below(3) == 0 ? 0 : 1 + random.below(20));
    world.listeners[0].endpoints[0].weight = 1;  // someone must take new flows
    world.publish();
  }
  void step() {
    switch (random.below(40)) {
      case 0:
        return reconfigure();
      case 1:
        return stray();
      case 2:
        world.advance(std::chrono::milliseconds{random.below(2000)});
        return;
      case 3:
        if (random.below(10) != 0) return;
        world.advance(std::chrono::minutes{3});  // longer than any idle time of UDP
        EXPECT_EQ(world.flows(), 0u);
        return model.clear();
      case 4:
        if (random.below(4) != 0) return;
        world.crash_and_restore();
        EXPECT_EQ(world.flows(), model.flows.size());
        world.publish();
        return;
      default:
        break;
    }
    const Client c = client();
    if (model.flows.contains(c) && random.below(2) == 0) return reply(c);
    request(c);
  }

  Random random;
  Shape shape;
  World world;
  Model model;
};

class AgainstModel : public testing::TestWithParam<std::uint32_t> {};
INSTANTIATE_TEST_SUITE_P(Seeds, AgainstModel, testing::Range(1u, 25u));

TEST_P(AgainstModel, translations_are_stable_unique_and_reversible) {
  const std::uint32_t seed = GetParam();
  SCOPED_TRACE("seed " + std::to_string(seed));
  const Shape shape{IpProto::udp, seed % 2 == 0 ? IpFamily::v4 : IpFamily::v6,
                    seed % 3 == 0 ? Forwarding::dnat : Forwarding::fullnat};
  Session run{seed, shape, static_cast<std::uint16_t>(1 + seed % 4)};
  for (int i = 0; i < 1500 && !testing::Test::HasFailure(); ++i) run.step();
  run.world.check();
}

class UnderFaults : public testing::TestWithParam<std::uint32_t> {};
INSTANTIATE_TEST_SUITE_P(Seeds, UnderFaults, testing::Range(1u, 13u));

TEST_P(UnderFaults, frames_and_buffers_are_conserved_whatever_is_lost_doubled_or_reordered) {
  const std::uint32_t seed = GetParam();
  SCOPED_TRACE("seed " + std::to_string(seed));
  const auto workers = static_cast<std::uint16_t>(1 + seed % 3);
  World world{{.workers = workers,
               .queues = 1,
               .flows = 32,
               .buffers = 512,
               .seed = seed,
               .parked = 8,
               .faults = {.loss_percent = 10, .duplicate_percent = 10, .reorder_percent = 20}}};
  world.listeners = {make_listener({}, 2)};
  if (seed % 2 == 0) world.listeners[0].policy = control::Policy::ask;
  world.node.source_port_high = static_cast<std::uint16_t>(world.node.source_port_low + 20);
  world.publish();
  Random random{seed};
  constexpr std::array<const char*, 6> kFlags{"S", "A", "FA", "R", "SA", "PA"};
  for (int i = 0; i < 2000; ++i) {
    const char* const flags = kFlags[random.below(kFlags.size())];
    const auto port = static_cast<std::uint16_t>(40000 + random.below(50));
    if (random.below(3) == 0) {
      test::PacketBuilder b;
      b.ipv4("10.10.2.11", "10.10.2.1")
          .tcp(8080, static_cast<std::uint16_t>(world.node.source_port_low + random.below(21)), flags);
      world.inject(kUpstream, b.build());
    } else {
      world.inject(kDownstream, from_client({}, port, flags).build());
    }
    if (random.below(8) == 0) world.advance(std::chrono::milliseconds{random.below(3000)});
    if (random.below(50) == 0) world.device->limit_transmit(kUpstream, random.below(2) == 0 ? 0 : io::kBurstMax);
    if (random.below(4) != 0) continue;
    world.settle();
    world.check();
  }
  world.advance(std::chrono::hours{2});
  EXPECT_EQ(world.flows(), 0u);
  EXPECT_EQ(world.slot_sum(world.listener_slot(1), &control::SlotCounters::active), 0u);
}

}  // namespace
}  // namespace penstock::sim
