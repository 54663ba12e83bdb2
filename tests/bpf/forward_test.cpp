// Tier X in the kernel, packet by packet: what is forwarded, what not, and every octet of what is sent.
#include <gtest/gtest.h>
#include <linux/bpf.h>

#include <algorithm>
#include <array>
#include <cstdlib>

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

// --- every octet, on random packets

/// A random flow to a service of the bed; the far side is anywhere.
FlowPair random_flow(Seeded& random) {
  const bool v4 = random.coin();
  const bool is_tcp = random.coin();
  const Side client{random.address(v4), Be16::from_host(random.u16())};
  const Side service = side(v4 ? kVip4 : kVip6, is_tcp ? kServicePort : kDnsPort);
  const Side source{random.address(v4), Be16::from_host(random.u16())};
  const Side endpoint{random.address(v4), Be16::from_host(random.u16())};
  return flow_pair(client, service, source, endpoint, is_tcp ? IpProto::tcp : IpProto::udp);
}

Bytes random_packet(Seeded& random, const control::FlowDirection& in) {
  PacketBuilder out;
  out.from_to(in.src, in.dst).ttl(static_cast<std::uint8_t>(2 + random.below(254)));
  if (in.src.is_v4() && random.below(4) == 0) out.ip_options(4 * random.below(11));
  const bool udp = in.proto == IpProto::udp;
  if (udp) {
    out.udp(in.src_port.host(), in.dst_port.host());
  } else {
    constexpr std::array kFlags{"A", "PA", "P", "UA", "EA", "CA"};
    out.tcp(in.src_port.host(), in.dst_port.host(), kFlags[random.below(kFlags.size())]);
    out.seq(random.u32()).ack(random.u32()).window(random.u16());
    if (random.coin()) out.tcp_options(random.bytes(4 * random.below(11)));
  }
  out.payload(random.bytes(random.below(random.coin() ? 40 : 1380)));
  if (random.below(4) == 0) out.padding(random.below(20));
  constexpr std::array kModes{ChecksumMode::full, ChecksumMode::partial, ChecksumMode::bad, ChecksumMode::zero};
  return out.checksum(kModes[random.below(udp ? 4 : 3)]).build();
}

TEST_F(Forward, random_packets_become_what_the_worker_makes_of_them) {
  Seeded random{29};
  for (int round = 0; round < 4000; ++round) {
    const FlowPair flow = random_flow(random);
    install(flow.forward, flow.reverse, kSlot);
    const Bytes frame = random_packet(random, flow.forward);
    const SteerOutcome got = bed_->run(frame);
    ASSERT_EQ(got.action, std::uint32_t{XDP_REDIRECT}) << round << dump(frame);
    ASSERT_EQ(got.reason, __u32{PENSTOCK_STEER_FORWARDED}) << round << dump(frame);
    const Bytes wanted = rewritten(frame, flow.forward, flow.reverse);
    ASSERT_EQ(bed_->output(), wanted) << round << "\n" << dump(bed_->output()) << dump(wanted);
  }
}

TEST_F(Forward, datagram_that_is_shorter_than_its_packet_is_summed_as_far_as_it_goes) {
  const FlowPair flow = flow_of(true, false);
  install(flow.forward, flow.reverse, kSlot);
  Bytes frame = PacketBuilder{}.ipv4(kClient4, kVip4).udp(40000, kDnsPort).payload("12345678").build();
  frame.at(14 + 20 + 5) = std::byte{8 + 3};
  // Its checksum over 11 octets: partial, so that it is completed.
  const auto info = wire::parse_packet(frame);
  const auto pseudo = wire::pseudo_header_sum(info->src, info->dst, IpProto::udp, 11);
  store_be(ByteSpan{frame}, 14 + 20 + 6, Be16::from_wire(wire::fold(pseudo)));
  expect(frame, PENSTOCK_STEER_FORWARDED, "eleven octets");
  EXPECT_EQ(bed_->output(), rewritten(frame, flow.forward, flow.reverse));
}

// --- who is forwarded, and when

TEST_F(Forward, data_needs_no_dataplane) {
  bed_->never_beat(0);
  expect(tcp("A").build(), PENSTOCK_STEER_FORWARDED, "no heartbeat");
  bed_->unbind_queue(0);
  expect(tcp("A").build(), PENSTOCK_STEER_FORWARDED, "no socket");
  auto config = bed_->config();
  config.worker_count = 0;
  bed_->set_config(config);
  expect(tcp("A").build(), PENSTOCK_STEER_FORWARDED, "no workers");
  bed_->set_enabled(false);
  expect(tcp("A").build(), PENSTOCK_STEER_PORT_DISABLED, "but the port must be enabled");
}

TEST_F(Forward, the_end_of_a_connection_is_the_workers_while_it_lives) {
  unsigned seen = 0;
  for (const char* flags : {"FA", "R", "RA", "FPA"}) {
    const Bytes frame = tcp(flags).build();
    bed_->beat(0, 0);
    expect(frame, PENSTOCK_STEER_REDIRECTED_SERVICE, flags);
    EXPECT_EQ(bed_->slot(kSlot).ended, seen) << flags << ": the worker saw it";
    bed_->beat(0, 20 * static_cast<std::int64_t>(kSecond));
    expect(frame, PENSTOCK_STEER_FORWARDED, std::string{flags} + ", the worker is dead");
    EXPECT_EQ(bed_->output(), rewritten(frame, flow_.forward, flow_.reverse)) << flags;
    seen |= flags[0] == 'F' ? wire::kTcpFin : wire::kTcpRst;
    EXPECT_EQ(bed_->slot(kSlot).ended, seen) << flags;
    EXPECT_EQ(bed_->slot(kSlot + 1).ended, 0u) << flags;
  }
  expect(tcp("A").build(), PENSTOCK_STEER_FORWARDED, "data ends nothing");
  EXPECT_EQ(bed_->slot(kSlot).ended, seen);
}

TEST_F(Forward, a_syn_is_never_forwarded) {
  for (const char* flags : {"S", "SA", "SF", "SR"}) {
    bed_->beat(0, 0);
    expect(tcp(flags).build(), PENSTOCK_STEER_REDIRECTED_SERVICE, flags);
  }
  EXPECT_EQ(bed_->forwards(), 2u);
  bed_->never_beat(0);
  expect(tcp("SA").build(), PENSTOCK_STEER_STALE_HEARTBEAT, "opens nothing");
  EXPECT_EQ(bed_->forwards(), 2u);
}

TEST_F(Forward, a_connection_that_opens_on_the_kernel_path_ends_the_one_of_the_same_key) {
  bed_->never_beat(0);
  expect(tcp("S").build(), PENSTOCK_STEER_STALE_HEARTBEAT, "a new connection");
  EXPECT_EQ(bed_->forwards(), 1u) << "the other direction stays";
  expect(tcp("A").build(), PENSTOCK_STEER_STALE_HEARTBEAT, "it is the kernel's");
  bed_->beat(0, 0);
  expect(tcp("A").build(), PENSTOCK_STEER_KERNEL_FLOW, "and stays there");
  install(flow_.forward, flow_.reverse, kSlot);
  expect(tcp("A").build(), PENSTOCK_STEER_KERNEL_FLOW, "whoever may say otherwise");
  bed_->age_kernel_flows(3601 * kSecond);
  expect(tcp("A").build(), PENSTOCK_STEER_REDIRECTED_SERVICE, "an idle record is the worker's affair");
  expect(tcp("A").build(), PENSTOCK_STEER_FORWARDED, "which removed it");
}

TEST_F(Forward, a_datagram_that_opens_on_the_kernel_path_takes_its_flow_along) {
  const FlowPair flow = flow_of(true, false);
  install(flow.forward, flow.reverse, kSlot);
  bed_->never_beat(0);
  const auto datagram = [](std::size_t octets) {
    return PacketBuilder{}.ipv4(kClient4, kVip4).udp(40000, kDnsPort).payload_octets(octets).build();
  };
  expect(datagram(100), PENSTOCK_STEER_FORWARDED, "fits");
  expect(datagram(1473), PENSTOCK_STEER_STALE_HEARTBEAT, "too large, and nobody else is there");
  expect(datagram(100), PENSTOCK_STEER_STALE_HEARTBEAT, "the kernel has the flow");
}

TEST_F(Forward, a_slot_that_is_not_live_is_as_good_as_none) {
  const penstock_forward_slot live = bed_->slot(kSlot);
  penstock_forward_slot changed = live;
  for (const __u32 generation : {0u, live.generation + 1}) {
    changed.generation = generation;
    bed_->set_slot(kSlot, changed);
    expect(tcp("A").build(), PENSTOCK_STEER_REDIRECTED_SERVICE, "generation " + std::to_string(generation));
  }
  bed_->set_slot(kSlot, live);
  expect(tcp("A").build(), PENSTOCK_STEER_FORWARDED, "live again");
  for (const penstock_forward entry : {penstock_forward{kSlot, 0}, penstock_forward{PENSTOCK_FORWARD_MAX, 5}}) {
    bed_->set_entry(key_of(flow_.forward), entry);
    changed.generation = entry.generation;
    bed_->set_slot(kSlot, changed);
    expect(tcp("A").build(), PENSTOCK_STEER_REDIRECTED_SERVICE, "slot " + std::to_string(entry.slot));
  }
}

TEST_F(Forward, a_port_that_is_no_target_is_the_workers) {
  bed_->set_device(kOutPort, false);
  expect(tcp("A").build(), PENSTOCK_STEER_REDIRECTED_SERVICE, "not in the map");
  bed_->set_device(kOutPort, true);
  auto config = bed_->config();
  config.flags &= ~__u32{PENSTOCK_CONFIG_HAS_DEVICES};
  bed_->set_config(config);
  expect(tcp("A").build(), PENSTOCK_STEER_REDIRECTED_SERVICE, "nobody looks");
  penstock_forward_slot slot = bed_->slot(kSlot);
  slot.out_port = PENSTOCK_PORT_MAX;
  bed_->set_slot(kSlot, slot);
  bed_->set_device(0, true);
  expect(tcp("A").build(), PENSTOCK_STEER_REDIRECTED_SERVICE, "no such port");
}

TEST_F(Forward, what_the_program_cannot_send_is_the_workers) {
  expect(tcp("A").ttl(2).build(), PENSTOCK_STEER_FORWARDED, "one hop left");
  expect(tcp("A").ttl(1).build(), PENSTOCK_STEER_REDIRECTED_SERVICE, "no hop left");
  expect(tcp("A").ttl(0).build(), PENSTOCK_STEER_REDIRECTED_SERVICE, "none at all");
  expect(tcp("A").payload_octets(1460).build(), PENSTOCK_STEER_FORWARDED, "1500 octets");
  expect(tcp("A").payload_octets(1461).build(), PENSTOCK_STEER_REDIRECTED_SERVICE, "1501 octets");
  expect(tcp("A").payload_octets(1460).padding(8).build(), PENSTOCK_STEER_FORWARDED, "padding does not count");
  expect(tcp("A").vlan(5).build(), PENSTOCK_STEER_REDIRECTED_SERVICE, "tagged");
  expect(tcp("A").vlan(0).build(), PENSTOCK_STEER_REDIRECTED_SERVICE, "tagged for its priority");
}

TEST_F(Forward, the_same_over_ipv6) {
  const FlowPair flow = flow_of(false, true);
  install(flow.forward, flow.reverse, kSlot);
  const auto packet = [](const char* flags) {
    return PacketBuilder{}.ipv6(kClient6, kVip6).tcp(40000, kServicePort, flags);
  };
  expect(packet("A").payload_octets(1440).build(), PENSTOCK_STEER_FORWARDED, "1500 octets");
  EXPECT_TRUE(problems_of(bed_->output()).empty()) << dump(bed_->output());
  expect(packet("A").payload_octets(1441).build(), PENSTOCK_STEER_REDIRECTED_SERVICE, "1501 octets");
  expect(packet("A").ttl(1).build(), PENSTOCK_STEER_REDIRECTED_SERVICE, "no hop left");
  expect(packet("FA").build(), PENSTOCK_STEER_REDIRECTED_SERVICE, "its end");
  expect(packet("A").vlan(5).build(), PENSTOCK_STEER_REDIRECTED_SERVICE, "tagged");
  penstock_forward_slot slot = bed_->slot(kSlot);
  slot.flags = 0;
  bed_->set_slot(kSlot, slot);
  expect(packet("A").build(), PENSTOCK_STEER_REDIRECTED_SERVICE, "the slot is of the other family");
  slot.flags = PENSTOCK_FORWARD_V6;
  install(flow_.forward, flow_.reverse, kSlot);
  slot.generation = bed_->slot(kSlot).generation;
  bed_->set_slot(kSlot, slot);
  expect(tcp("A").build(), PENSTOCK_STEER_REDIRECTED_SERVICE, "and the other way round");
}

TEST_F(Forward, a_frame_of_several_buffers_is_the_workers) {
  auto created = SteerBed::create(true);
  ASSERT_TRUE(created.ok()) << created.error().text();
  bed_.emplace(std::move(created).value());
  bed_->set_device(kOutPort, true);
  install(flow_.forward, flow_.reverse, kSlot);
  penstock_forward_slot slot = bed_->slot(kSlot);
  slot.mtu = 65'535;
  bed_->set_slot(kSlot, slot);
  expect(tcp("A").payload_octets(3000).build(), PENSTOCK_STEER_FORWARDED, "one buffer");
  expect(tcp("A").payload_octets(3000).checksum(ChecksumMode::partial).build(), PENSTOCK_STEER_FORWARDED,
         "to complete");
  EXPECT_TRUE(problems_of(bed_->output()).empty());
  expect(tcp("A").payload_octets(16'384).build(), PENSTOCK_STEER_REDIRECTED_SERVICE, "several");
}

TEST_F(Forward, icmp_errors_about_a_forwarded_flow_are_the_workers) {
  const Bytes error = PacketBuilder{}
                          .ipv4("10.1.0.1", kVip4)
                          .icmp(3, 4)
                          .payload(PacketBuilder{}.ipv4(kVip4, kClient4).tcp(kServicePort, 40000, "A").quote(28))
                          .build();
  expect(error, PENSTOCK_STEER_REDIRECTED_ICMP, "packet too big");
}

// --- DNAT: the service's client must stay known while its packets are forwarded

class ForwardDnat : public Forward {
 protected:
  void SetUp() override {
    Forward::SetUp();
    bed_->clear_dnat_flows();
    install(dnat_.forward, dnat_.reverse, kSlot);
    install(dnat_.reverse, dnat_.forward, kSlot + 1);
  }
  static Bytes reply() {
    return PacketBuilder{}.ipv4(kEndpoint4, kClient4).tcp(kEndpointPort, 40000, "A").payload("x").build();
  }
  const FlowPair dnat_ = flow_pair(side(kClient4, 40000), side(kVip4, kServicePort), side(kClient4, 40000),
                                   side(kEndpoint4, kEndpointPort));
};

TEST_F(ForwardDnat, forwarded_packets_keep_their_client_recorded) {
  expect(reply(), PENSTOCK_STEER_NOT_MESH, "evicted");
  expect(tcp("A").build(), PENSTOCK_STEER_FORWARDED, "the client's");
  EXPECT_EQ(bed_->dnat_flows(), 1u);
  expect(reply(), PENSTOCK_STEER_FORWARDED, "known again");
  EXPECT_EQ(bed_->output(), rewritten(reply(), dnat_.reverse, dnat_.forward));
}

TEST_F(ForwardDnat, reply_that_may_be_of_a_direct_connection_is_not_forwarded) {
  expect(tcp("A").build(), PENSTOCK_STEER_FORWARDED, "of the service");
  expect(PacketBuilder{}.ipv4(kClient4, kEndpoint4).tcp(40000, kEndpointPort, "A").build(), PENSTOCK_STEER_NOT_MESH,
         "same client port, to the endpoint itself");
  expect(reply(), PENSTOCK_STEER_NOT_MESH, "nobody can tell");
  expect(tcp("A").build(), PENSTOCK_STEER_FORWARDED, "the service's side is clear");
}

// --- spliced flows: sequence numbers, window and timestamps

/// A segment in words, so that the expected one is built from nothing.
struct Segment {
  std::string flags{"A"};
  std::uint32_t seq{}, ack{};
  std::uint16_t window{};
  bool timestamps{};
  std::uint32_t tsval{}, tsecr{};
  Bytes payload{};
  ChecksumMode checksum{ChecksumMode::full};
};

Bytes timestamp_option(std::uint32_t tsval, std::uint32_t tsecr) {
  Bytes out = bytes_of("\x01\x01\x08\x0a");
  for (const std::uint32_t number : {tsval, tsecr})
    for (int shift = 24; shift >= 0; shift -= 8) out.push_back(static_cast<std::byte>(number >> shift & 0xff));
  return out;
}

Bytes frame_of(const Segment& s, const Side& from, const Side& to, PacketBuilder out = {}) {
  out.from_to(from.address, to.address).tcp(from.port.host(), to.port.host(), s.flags);
  out.seq(s.seq).ack(s.ack).window(s.window).payload(s.payload).checksum(s.checksum);
  if (s.timestamps) out.tcp_options(timestamp_option(s.tsval, s.tsecr));
  return out.build();
}

class ForwardSplice : public Forward {
 protected:
  void splice(const FlowPair& flow, const penstock_forward_slot& numbers) {
    penstock_forward_slot slot = slot_of(flow.forward, flow.reverse, kLink);
    slot.flags = static_cast<__u16>(slot.flags | PENSTOCK_FORWARD_SPLICE);
    slot.seq_delta = numbers.seq_delta;
    slot.ack_delta = numbers.ack_delta;
    slot.tsval_delta = numbers.tsval_delta;
    slot.tsecr_delta = numbers.tsecr_delta;
    slot.window_shift = numbers.window_shift;
    bed_->forward(key_of(flow.forward), kSlot, slot);
  }
  static Segment translated(Segment s, const penstock_forward_slot& numbers) {
    const std::uint64_t factor = std::uint64_t{1} << std::abs(numbers.window_shift);
    s.seq += numbers.seq_delta;
    if (s.flags.find('A') != std::string::npos) s.ack += numbers.ack_delta;
    s.tsval += numbers.tsval_delta;
    if (s.tsecr != 0) s.tsecr += numbers.tsecr_delta;
    s.window = static_cast<std::uint16_t>(
        std::min<std::uint64_t>(numbers.window_shift < 0 ? s.window / factor : s.window * factor, 65'535));
    s.checksum = ChecksumMode::full;
    return s;
  }
  /// Runs the segment in the flow and compares with the one built from the translated words.
  void check(const Segment& segment, const FlowPair& flow, const penstock_forward_slot& numbers) {
    const Bytes frame =
        frame_of(segment, {flow.forward.src, flow.forward.src_port}, {flow.forward.dst, flow.forward.dst_port});
    const SteerOutcome got = bed_->run(frame);
    ASSERT_EQ(got.reason, __u32{PENSTOCK_STEER_FORWARDED}) << dump(frame);
    PacketBuilder link;
    link.eth(kLink.source.text(), kLink.destination.text()).ttl(63);
    const Bytes wanted = frame_of(translated(segment, numbers), {flow.reverse.dst, flow.reverse.dst_port},
                                  {flow.reverse.src, flow.reverse.src_port}, link);
    ASSERT_EQ(bed_->output(), wanted) << dump(frame) << dump(bed_->output()) << dump(wanted);
  }
};

TEST_F(ForwardSplice, random_segments_have_their_numbers_translated) {
  Seeded random{31};
  for (int round = 0; round < 2000; ++round) {
    SCOPED_TRACE(round);
    FlowPair flow = flow_of(random.coin(), true);
    penstock_forward_slot numbers{};
    numbers.seq_delta = random.u32();
    numbers.ack_delta = random.u32();
    numbers.tsval_delta = random.u32();
    numbers.tsecr_delta = random.u32();
    numbers.window_shift = static_cast<__s8>(static_cast<int>(random.below(29)) - 14);
    splice(flow, numbers);
    constexpr std::array kFlags{"A", "PA", "P", "UA"};
    check({.flags = kFlags[random.below(kFlags.size())],
           .seq = random.u32(),
           .ack = random.u32(),
           .window = random.u16(),
           .timestamps = random.coin(),
           .tsval = random.u32(),
           .tsecr = random.coin() ? random.u32() : 0,
           .payload = random.bytes(random.below(100)),
           .checksum = random.coin() ? ChecksumMode::full : ChecksumMode::partial},
          flow, numbers);
    if (HasFatalFailure()) return;
  }
}

TEST_F(ForwardSplice, window_saturates_and_rounds_down) {
  for (const auto& [window, shift] : {std::pair{0xffff, 1},
                                      {0x8000, 1},
                                      {0x7fff, 1},
                                      {1, 14},
                                      {4, 14},
                                      {0, 14},
                                      {0xffff, -14},
                                      {0x3fff, -14},
                                      {1, -1},
                                      {0xffff, 0}}) {
    penstock_forward_slot numbers{};
    numbers.window_shift = static_cast<__s8>(shift);
    splice(flow_, numbers);
    check({.window = static_cast<std::uint16_t>(window)}, flow_, numbers);
  }
}

TEST_F(ForwardSplice, a_reset_of_a_dead_worker_has_its_number_translated) {
  penstock_forward_slot numbers{};
  numbers.seq_delta = 0x80000001;
  numbers.ack_delta = 77;
  splice(flow_, numbers);
  bed_->never_beat(0);
  check({.flags = "R", .seq = 0xffffffff, .ack = 0}, flow_, numbers);
  check({.flags = "FA", .seq = 5, .ack = 0xfffffff0}, flow_, numbers);
}

TEST_F(ForwardSplice, segments_with_other_options_are_the_workers) {
  splice(flow_, {});
  const Bytes nops(12, std::byte{1});
  Bytes reordered = timestamp_option(1, 2);
  std::rotate(reordered.begin(), reordered.begin() + 2, reordered.end());
  Bytes longer = timestamp_option(1, 2);
  longer.resize(16, std::byte{1});
  Bytes wrong_length = timestamp_option(1, 2);
  wrong_length.at(3) = std::byte{9};
  const Bytes sack = bytes_of(std::string_view{"\x01\x01\x05\x0a\x00\x00\x00\x01\x00\x00\x00\x02", 12});
  for (const Bytes& options : {nops, reordered, longer, wrong_length, sack, Bytes(4, std::byte{1})})
    expect(tcp("A").tcp_options(options).build(), PENSTOCK_STEER_REDIRECTED_SERVICE, dump(options));
  expect(tcp("A").tcp_options(timestamp_option(1, 2)).build(), PENSTOCK_STEER_FORWARDED, "timestamps alone");
  expect(tcp("A").build(), PENSTOCK_STEER_FORWARDED, "none");
  install(flow_.forward, flow_.reverse, kSlot);
  expect(tcp("A").tcp_options(sack).build(), PENSTOCK_STEER_FORWARDED,
         "in a flow that is not spliced they do not matter");
}

}  // namespace
}  // namespace penstock::test
