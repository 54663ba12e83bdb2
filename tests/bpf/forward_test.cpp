// Tier X in the kernel, packet by packet: what is forwarded, what not, and every octet of what is sent.
#include <gtest/gtest.h>
#include <linux/bpf.h>

#include <array>

#include "bpf/abi/steer_reasons.h"
#include "dataplane/l4/rewrite.h"
#include "tests/bpf/steer_bed.h"
#include "tests/support/flow_pair.h"
#include "tests/support/seeded.h"

namespace penstock::test {
namespace {

constexpr std::uint64_t kSecond = 1'000'000'000;
constexpr std::uint32_t kSlot = 6;
constexpr std::uint16_t kOutPort = 3;

penstock_addr abi(const IpAddress& address) {
  penstock_addr out{};
  std::copy(address.octets.begin(), address.octets.end(), out.octets);
  return out;
}

penstock_flow_key key_of(const control::FlowDirection& in) {
  penstock_flow_key out{};
  out.src = abi(in.src);
  out.dst = abi(in.dst);
  out.src_port.wire = in.src_port.wire();
  out.dst_port.wire = in.dst_port.wire();
  out.ip_proto = static_cast<__u8>(in.proto);
  return out;
}

/// What the dataplane writes into a slot for packets of `in`, whose partner is `partner`.
penstock_forward_slot slot_of(const control::FlowDirection& in, const control::FlowDirection& partner,
                              const l4::Link& link) {
  penstock_forward_slot out{};
  out.generation = 5;
  out.out_port = kOutPort;
  out.mtu = 1500;
  out.src = abi(partner.dst);
  out.dst = abi(partner.src);
  out.src_port.wire = partner.dst_port.wire();
  out.dst_port.wire = partner.src_port.wire();
  std::copy(link.destination.octets.begin(), link.destination.octets.end(), out.dst_mac);
  std::copy(link.source.octets.begin(), link.source.octets.end(), out.src_mac);
  out.l4_delta = l4::compute_delta(in, partner);
  out.flags = in.src.is_v4() ? 0 : PENSTOCK_FORWARD_V6;
  return out;
}

const l4::Link kLink{mac("02:00:00:00:00:aa"), mac("02:00:00:00:00:bb"), 0};

/// The flows of these tests: to the services of the bed, to an endpoint of it, FullNAT.
FlowPair flow_of(bool v4, bool tcp) {
  const std::uint16_t service = tcp ? kServicePort : kDnsPort;
  const IpProto proto = tcp ? IpProto::tcp : IpProto::udp;
  if (v4)
    return flow_pair(side(kClient4, 40000), side(kVip4, service), side(kNode4, kRangeLow), side("10.10.2.12", 8080),
                     proto);
  return flow_pair(side(kClient6, 40000), side(kVip6, service), side(kNode6, kRangeLow), side("fd10:2::12", 8080),
                   proto);
}

/// What the worker makes of it.
Bytes rewritten(const Bytes& frame, const control::FlowDirection& in, const control::FlowDirection& partner) {
  TestFrame out{frame};
  const auto info = wire::parse_packet(out.frame().bytes());
  require(info.ok(), "a test's frame does not parse");
  const auto done = l4::rewrite(out.frame(), *info, l4::translation_of(in, partner), kLink);
  require(done.reason == DropReason::none, "a test's frame is not rewritten");
  return out.content();
}

class Forward : public testing::Test {
 protected:
  void SetUp() override {
    auto created = SteerBed::create();
    ASSERT_TRUE(created.ok()) << created.error().text();
    bed_.emplace(std::move(created).value());
    bed_->set_device(kOutPort, true);
    install(flow_.forward, flow_.reverse, kSlot);
    install(flow_.reverse, flow_.forward, kSlot + 1);
  }
  void install(const control::FlowDirection& in, const control::FlowDirection& partner, std::uint32_t index) {
    bed_->forward(key_of(in), index, slot_of(in, partner, kLink));
  }
  static PacketBuilder tcp(const char* flags) {
    return PacketBuilder{}.ipv4(kClient4, kVip4).tcp(40000, kServicePort, flags);
  }
  void expect(const Bytes& frame, penstock_steer_reason reason, const std::string& when) {
    const SteerOutcome got = bed_->run(frame);
    EXPECT_EQ(got.counted, 1u) << when;
    ASSERT_TRUE(got.reason.has_value()) << when;
    EXPECT_EQ(kSteerReasons.at(*got.reason).name, name_of(reason)) << when << "\n" << dump(frame);
    EXPECT_EQ(got.action,
              static_cast<std::uint32_t>(kSteerReasons.at(reason).to == SteeredTo::kernel ? XDP_PASS : XDP_REDIRECT))
        << when;
    if (reason != PENSTOCK_STEER_FORWARDED) {
      EXPECT_EQ(bed_->output(), frame) << when << ": must stay untouched";
    }
  }
  const FlowPair flow_ = flow_of(true, true);
  std::optional<SteerBed> bed_;
};

TEST_F(Forward, both_directions_are_translated_as_the_worker_does) {
  const Bytes there = tcp("PA").payload("GET / HTTP/1.1\r\n\r").build();
  expect(there, PENSTOCK_STEER_FORWARDED, "to the service");
  EXPECT_EQ(bed_->output(), rewritten(there, flow_.forward, flow_.reverse));
  EXPECT_TRUE(problems_of(bed_->output()).empty()) << dump(bed_->output());
  const Bytes back = PacketBuilder{}.ipv4("10.10.2.12", kNode4).tcp(8080, kRangeLow, "A").payload("x").build();
  expect(back, PENSTOCK_STEER_FORWARDED, "from the endpoint");
  EXPECT_EQ(bed_->output(), rewritten(back, flow_.reverse, flow_.forward));
  EXPECT_TRUE(problems_of(bed_->output()).empty()) << dump(bed_->output());
}

TEST_F(Forward, slot_counts_packets_octets_and_the_time) {
  const penstock_forward_slot before = bed_->slot(kSlot);
  expect(tcp("A").payload_octets(100).build(), PENSTOCK_STEER_FORWARDED, "one");
  const std::uint64_t first = bed_->slot(kSlot).last_seen_ns;
  EXPECT_GT(first, 0u);
  expect(tcp("A").padding(6).build(), PENSTOCK_STEER_FORWARDED, "two");
  const penstock_forward_slot after = bed_->slot(kSlot);
  EXPECT_EQ(after.packets, before.packets + 2);
  EXPECT_EQ(after.octets, before.octets + 140 + 40) << "layer 3, without link padding";
  EXPECT_GT(after.last_seen_ns, first);
  EXPECT_EQ(after.generation, before.generation);
}

}  // namespace
}  // namespace penstock::test
