// worker_fuzz: a worker under any sequence of frames, time, snapshot changes and answers.
//
// Input     operations of one octet and operands: raw frame, well-formed TCP, UDP, ICMP error, time, reload, answer.
// Rule      no crash, no sanitizer report, every frame one disposition, every buffer back. Checksums are not verified
//           (a veth's port), so that the fuzzer reaches what lies behind them.
#include <gtest/gtest.h>

#include <cstdlib>

#include "tests/sim/world.h"

namespace {

using namespace penstock;       // a test program, not a header
using namespace penstock::sim;  // NOLINT(google-build-using-namespace)

class Input {
 public:
  Input(const std::uint8_t* data, std::size_t size) : data_{data}, left_{size} {}
  [[nodiscard]] bool empty() const { return left_ == 0; }
  std::uint8_t octet() {
    if (left_ == 0) return 0;
    --left_;
    return *data_++;
  }
  test::Bytes octets(std::size_t n) {
    test::Bytes out;
    for (; n > 0 && left_ > 0; --n) out.push_back(std::byte{octet()});
    return out;
  }

 private:
  const std::uint8_t* data_;
  std::size_t left_;
};

void conserve(const World& world) {
  if (!world.conserved()) std::abort();
  if (testing::UnitTest::GetInstance()->ad_hoc_test_result().Failed()) std::abort();  // a bad frame was sent
}

void operate(World& world, Input& in, std::optional<control::Question>& question) {
  const std::uint8_t op = in.octet();
  const std::uint8_t a = in.octet();
  const PortIndex port = (op & 0x80) != 0 ? kUpstream : kDownstream;
  const std::size_t queue = (op & 0x40) != 0 ? 1 : 0;
  const auto client_port = static_cast<std::uint16_t>(40000 + a % 16);
  constexpr std::array<const char*, 8> kFlags{"S", "A", "FA", "R", "SA", "PA", "", "SFRPAU"};
  const Shape shape{(a & 0x10) != 0 ? IpProto::udp : IpProto::tcp, (a & 0x20) != 0 ? IpFamily::v6 : IpFamily::v4, {}};
  switch (op & 0x07) {
    case 0:
      return world.inject(port, in.octets(a), queue);
    case 1:
      return world.inject(kDownstream, from_client(shape, client_port, kFlags[in.octet() % 8]).build(), queue);
    case 2: {
      test::PacketBuilder b;
      b.from_to(endpoint_address(shape.family, static_cast<std::uint8_t>(1 + a % 2)), node_address(shape.family));
      const auto node_port = static_cast<std::uint16_t>(20000 + in.octet() % 8);
      if (shape.proto == IpProto::tcp)
        b.tcp(8080, node_port, kFlags[in.octet() % 8]);
      else
        b.udp(8080, node_port).payload("x");
      return world.inject(kUpstream, b.build(), queue);
    }
    case 3: {
      test::PacketBuilder quoted;
      quoted.from_to(node_address(shape.family), endpoint_address(shape.family, 1))
          .udp(static_cast<std::uint16_t>(20000 + a % 8), 8080);
      test::PacketBuilder b;
      const bool v4 = shape.family == IpFamily::v4;
      b.from_to(endpoint_address(shape.family, 99), node_address(shape.family))
          .icmp(v4 ? 3 : 2, v4 ? 4 : 0, 1280)
          .payload(quoted.quote(8 + in.octet() % 64));
      return world.inject(kUpstream, b.build(), queue);
    }
    case 4:
      return world.advance(std::chrono::milliseconds{std::int64_t{1} << (a % 18)});
    case 5:
      world.listeners[a % 4].draining = (op & 0x08) != 0;
      world.listeners[a % 4].policy = static_cast<control::Policy>(in.octet() % 3);
      world.listeners[a % 4].endpoints[0].weight = in.octet() % 4;
      world.listeners[a % 4].endpoints[1].resolved = (op & 0x10) != 0;
      world.ports[1].present = (op & 0x20) == 0;
      world.ports[a % 2].mtu = static_cast<std::uint16_t>(600 + 4 * in.octet());
      world.publish();
      return;
    case 6: {
      auto newer = world.next_question(queue);
      if (newer) question = newer;
      if (!question) return;
      control::Answer answer{};
      answer.question_id = question->id + ((op & 0x20) != 0 ? 1 : 0);
      answer.listener_id = question->listener_id;
      answer.lifetime_ms = a;
      answer.source = question->source;
      answer.source_bits = in.octet();
      answer.decision = (op & 0x10) != 0 ? control::Decision::deny : control::Decision::allow;
      return world.answer(answer, queue);
    }
    case 7:
      if (a < 8) world.crash_and_restore();
      static_cast<void>(world.settle());
      return;
    default:
      return;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  World world{{.workers = 2, .queues = 2, .flows = 8, .buffers = 256, .parked = 4}};
  world.node.source_port_low = 20000;
  world.node.source_port_high = 20007;
  std::uint32_t id = 1;
  for (const IpProto proto : {IpProto::tcp, IpProto::udp})
    for (const IpFamily family : {IpFamily::v4, IpFamily::v6})
      world.listeners.push_back(make_listener(
          {proto, family, id % 2 == 0 ? control::Forwarding::dnat : control::Forwarding::fullnat}, 2, id)),
          ++id;
  if (world.publish() == 0) std::abort();  // the fuzzer's own configuration must be accepted
  Input in{data, size};
  std::optional<control::Question> question;
  for (int steps = 0; !in.empty() && steps < 400; ++steps) {
    operate(world, in, question);
    if (steps % 8 != 7) continue;
    static_cast<void>(world.settle());
    conserve(world);
  }
  static_cast<void>(world.settle());
  conserve(world);
  return 0;
}
