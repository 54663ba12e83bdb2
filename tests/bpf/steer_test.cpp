// The steering program in the kernel, packet by packet.
#include <bpf/bpf.h>
#include <gtest/gtest.h>
#include <linux/bpf.h>
#include <net/if.h>
#include <sched.h>

#include <array>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <set>
#include <thread>

#include "bpf/abi/steer_reasons.h"
#include "tests/bpf/plain_parse.h"
#include "tests/bpf/steer_bed.h"
#include "tests/support/seeded.h"

namespace penstock::test {
namespace {

constexpr std::uint64_t kSecond = 1'000'000'000;

std::string name_or_none(const std::optional<__u32>& reason) {
  return reason ? std::string{kSteerReasons.at(*reason).name} : "none or several";
}

bool goes_to_dataplane(__u32 reason) { return kSteerReasons.at(reason).to == SteeredTo::dataplane; }
std::uint32_t action_of(__u32 reason) {
  return kSteerReasons.at(reason).to == SteeredTo::kernel ? XDP_PASS : XDP_REDIRECT;
}

class Steer : public testing::Test {
 protected:
  void SetUp() override {
    auto created = SteerBed::create();
    ASSERT_TRUE(created.ok()) << created.error().text();
    bed_.emplace(std::move(created).value());
  }
  void expect(const Bytes& frame, penstock_steer_reason reason, const std::string& when, std::uint32_t queue = 0) {
    const SteerOutcome got = bed_->run(frame, queue);
    EXPECT_EQ(got.counted, 1u) << when;
    ASSERT_TRUE(got.reason.has_value()) << when;
    EXPECT_EQ(name_or_none(got.reason), name_of(reason)) << when << "\n" << dump(frame);
    EXPECT_EQ(got.action, action_of(reason)) << when;
  }
  static Bytes tcp(const char* flags, std::uint16_t client_port = 40000) {
    return PacketBuilder{}.ipv4(kClient4, kVip4).tcp(client_port, kServicePort, flags).build();
  }
  static Bytes udp(std::uint16_t client_port = 40000) {
    return PacketBuilder{}.ipv4(kClient4, kVip4).udp(client_port, kDnsPort).payload("q").build();
  }
  static Bytes endpoint_reply(std::uint16_t client_port = 40000) {
    return PacketBuilder{}.ipv4(kEndpoint4, kClient4).tcp(kEndpointPort, client_port, "SA").build();
  }
  static Bytes udp_reply(std::uint16_t client_port = 40000) {
    return PacketBuilder{}.ipv4(kEndpoint4, kClient4).udp(kDnsPort, client_port).payload("a").build();
  }
  std::optional<SteerBed> bed_;
};

TEST_F(Steer, every_case_counts_its_reason_and_nothing_else) {
  for (const SteerCase& each : steer_cases()) {
    SCOPED_TRACE(each.name);
    bed_->record_dnat_flows();
    expect(each.frame, each.reason, each.name);
  }
}

/// What a frame alone cannot bring about.
struct Situation {
  penstock_steer_reason reason;
  void (*arrange)(SteerBed&);
};
constexpr std::array kSituations{
    Situation{PENSTOCK_STEER_STALE_HEARTBEAT, [](SteerBed& bed) { bed.never_beat(0); }},
    Situation{PENSTOCK_STEER_NO_SOCKET, [](SteerBed& bed) { bed.unbind_queue(0); }},
    Situation{PENSTOCK_STEER_PORT_DISABLED, [](SteerBed& bed) { bed.set_enabled(false); }},
    Situation{PENSTOCK_STEER_KERNEL_FLOW,
              [](SteerBed& bed) {
                bed.never_beat(0);
                (void)bed.run(PacketBuilder{}.ipv4(kClient4, kVip4).tcp(40000, kServicePort, "S").build());
                bed.beat(0, 0);
              }},
    Situation{PENSTOCK_STEER_FORWARDED,
              [](SteerBed& bed) {
                penstock_flow_key flow{};
                std::memcpy(flow.src.octets, ip(kClient4).octets.data(), sizeof flow.src.octets);
                std::memcpy(flow.dst.octets, ip(kVip4).octets.data(), sizeof flow.dst.octets);
                flow.src_port.wire = port(40000).wire();
                flow.dst_port.wire = port(kServicePort).wire();
                flow.ip_proto = static_cast<__u8>(IpProto::tcp);
                penstock_forward_slot slot{};
                slot.mtu = 1500;
                bed.set_device(0, true);
                bed.forward(flow, 0, slot);
              }},
};

TEST_F(Steer, every_reason_has_a_row_that_counts_exactly_it) {
  std::set<__u32> driven;
  for (const SteerCase& each : steer_cases()) driven.insert(each.reason);  // counted by the test above
  for (const Situation& each : kSituations) {
    SetUp();
    each.arrange(*bed_);
    expect(tcp("A"), each.reason, std::string{name_of(each.reason)});
    EXPECT_TRUE(driven.insert(each.reason).second) << name_of(each.reason) << " has a frame already";
  }
  for (const SteerReasonInfo& info : kSteerReasons)
    EXPECT_TRUE(driven.contains(info.reason)) << info.name << " has neither a row in steer_cases() nor a situation";
}

TEST_F(Steer, disabled_port_passes_everything) {
  bed_->set_enabled(false);
  for (const SteerCase& each : steer_cases()) expect(each.frame, PENSTOCK_STEER_PORT_DISABLED, each.name);
}

TEST_F(Steer, whatever_would_be_redirected_passes_while_the_heartbeat_is_stale) {
  bed_->beat(0, 20 * static_cast<std::int64_t>(kSecond));
  for (const SteerCase& each : steer_cases()) {
    bed_->record_dnat_flows();  // cases that open a flow took its client out
    expect(each.frame, goes_to_dataplane(each.reason) ? PENSTOCK_STEER_STALE_HEARTBEAT : each.reason, each.name);
  }
}

TEST_F(Steer, heartbeat_that_never_came_is_stale) {
  bed_->never_beat(0);
  expect(tcp("S"), PENSTOCK_STEER_STALE_HEARTBEAT, "never");
}

TEST_F(Steer, heartbeat_of_the_near_future_is_fresh) {
  bed_->beat(0, -static_cast<std::int64_t>(kSecond));
  expect(tcp("S"), PENSTOCK_STEER_REDIRECTED_SERVICE, "another CPU's clock is ahead");
}

TEST_F(Steer, heartbeat_ages_with_the_clock) {
  auto config = bed_->config();
  config.heartbeat_limit_ns = kSecond / 5;
  bed_->set_config(config);
  bed_->beat(0, 0);
  expect(tcp("S"), PENSTOCK_STEER_REDIRECTED_SERVICE, "fresh");
  std::this_thread::sleep_for(std::chrono::milliseconds{250});
  expect(tcp("S"), PENSTOCK_STEER_STALE_HEARTBEAT, "stale");
}

TEST_F(Steer, no_workers_pass_everything) {
  auto config = bed_->config();
  config.worker_count = 0;
  bed_->set_config(config);
  expect(tcp("S"), PENSTOCK_STEER_STALE_HEARTBEAT, "no workers");
}

TEST_F(Steer, queue_without_socket_passes) {
  bed_->unbind_queue(0);
  for (const SteerCase& each : steer_cases()) {
    bed_->clear_kernel_flows();
    bed_->record_dnat_flows();
    expect(each.frame, goes_to_dataplane(each.reason) ? PENSTOCK_STEER_NO_SOCKET : each.reason, each.name);
  }
}

TEST_F(Steer, large_frames_are_steered_whole) {
  const auto large = [](std::size_t octets) {
    return PacketBuilder{}.ipv4(kClient4, kVip4).tcp(40000, kServicePort, "A").payload(Bytes(octets)).build();
  };
  auto created = SteerBed::create(true);
  ASSERT_TRUE(created.ok()) << created.error().text();
  bed_.emplace(std::move(created).value());
  for (const std::size_t octets : {std::size_t{100}, std::size_t{1460}, std::size_t{16'384}, std::size_t{60'000}})
    expect(large(octets), PENSTOCK_STEER_REDIRECTED_SERVICE, std::to_string(octets) + " octets");
  Bytes cut = large(16'384);
  cut.resize(cut.size() - 1);
  expect(cut, PENSTOCK_STEER_TRUNCATED, "an octet less than the header promises");
  expect(PacketBuilder{}.ipv6(kClient6, kVip6).tcp(40000, kServicePort, "A").payload(Bytes(30'000)).build(),
         PENSTOCK_STEER_REDIRECTED_SERVICE, "IPv6");
}

TEST_F(Steer, sources_are_looked_up_only_when_there_are_some) {
  auto config = bed_->config();
  config.flags = 0;
  bed_->set_config(config);
  expect(endpoint_reply(), PENSTOCK_STEER_NOT_MESH, "flag is clear");
}

TEST_F(Steer, queue_belongs_to_the_worker_of_its_remainder) {
  ASSERT_EQ(unshare(CLONE_NEWNET), 0);  // the test program's own namespace; ends with it
  ASSERT_EQ(std::system("ip link add psk0 numrxqueues 4 numtxqueues 4 type veth peer name psk1 numrxqueues 4 "
                        "numtxqueues 4 && ip link set psk0 up"),
            0);
  bed_->receive_by(if_nametoindex("psk0"));
  auto config = bed_->config();
  config.worker_count = 2;
  bed_->set_config(config);
  bed_->beat(0, 0);
  bed_->never_beat(1);
  for (const std::uint32_t queue : {0u, 1u, 2u, 3u}) bed_->bind_queue(queue);
  for (const std::uint32_t queue : {0u, 2u})
    expect(tcp("A"), PENSTOCK_STEER_REDIRECTED_SERVICE, "worker 0 lives", queue);
  for (const std::uint32_t queue : {1u, 3u})
    expect(tcp("A"), PENSTOCK_STEER_STALE_HEARTBEAT, "worker 1 is dead", queue);
  bed_->unbind_queue(2);
  expect(tcp("A"), PENSTOCK_STEER_NO_SOCKET, "each queue has its own socket", 2);
  expect(tcp("A"), PENSTOCK_STEER_REDIRECTED_SERVICE, "the other queue's socket stays", 0);
}

std::vector<std::uint8_t> octets_of(const std::filesystem::path& path) {
  std::ifstream file{path, std::ios::binary};
  const std::vector<char> bytes{std::istreambuf_iterator<char>{file}, {}};
  return {bytes.begin(), bytes.end()};
}

TEST_F(Steer, whole_corpus_is_counted_once_each_and_as_the_plain_parser_says) {
  std::size_t frames = 0;
  for (const auto& entry : std::filesystem::directory_iterator{"tests/corpus/parse_fuzz"}) {
    const auto octets = octets_of(entry.path());
    if (octets.size() < 14) continue;  // the kernel's test-run takes no shorter frame
    const auto bytes = std::as_bytes(std::span{octets});
    const SteerOutcome got = bed_->run({bytes.begin(), bytes.end()});
    ++frames;
    EXPECT_EQ(got.counted, 1u) << entry.path();
    ASSERT_TRUE(got.reason.has_value()) << entry.path();
    const PlainPacket plain = plain_parse(octets);
    if (plain.reason != PENSTOCK_PARSED)
      EXPECT_EQ(*got.reason, plain.reason) << entry.path();
    else
      EXPECT_LE(*got.reason, __u32{PENSTOCK_STEER_NOT_MESH}) << entry.path() << " " << name_or_none(got.reason);
    EXPECT_EQ(got.action, action_of(*got.reason)) << entry.path();
  }
  EXPECT_GE(frames, 60u);
}

// The fuzz target runs the parser in user space; this is the whole program, as the verifier admitted it, on damaged
// frames of every kind.
TEST_F(Steer, damaged_frames_are_counted_once_each_and_as_the_plain_parser_says) {
  const std::vector<SteerCase> cases = steer_cases();
  Seeded random{11};
  std::set<__u32> seen;
  for (int round = 0; round < 20'000; ++round) {
    Bytes frame = cases[random.below(cases.size())].frame;
    for (std::size_t i = 1 + random.below(3); i > 0; --i)
      frame[random.below(frame.size())] = std::byte(random.u16() & 0xff);
    if (random.below(4) == 0) frame.resize(14 + random.below(frame.size() - 13));
    const SteerOutcome got = bed_->run(frame);
    ASSERT_EQ(got.counted, 1u) << dump(frame);
    ASSERT_TRUE(got.reason.has_value()) << dump(frame);
    const auto octets = std::span{reinterpret_cast<const std::uint8_t*>(frame.data()), frame.size()};
    const PlainPacket plain = plain_parse(octets);
    if (plain.reason != PENSTOCK_PARSED)
      ASSERT_EQ(name_or_none(got.reason), name_or_none(plain.reason)) << dump(frame);
    else
      ASSERT_LE(*got.reason, __u32{PENSTOCK_STEER_NOT_MESH}) << name_or_none(got.reason) << dump(frame);
    ASSERT_EQ(got.action, action_of(*got.reason)) << dump(frame);
    seen.insert(*got.reason);
  }
  EXPECT_GE(seen.size(), 15u) << "the damage reaches most reasons";
}

TEST(SteerCorpus, holds_every_case) {
  for (const SteerCase& each : steer_cases()) {
    const auto octets = octets_of("tests/corpus/parse_fuzz/" + each.name);
    const auto bytes = std::as_bytes(std::span{octets});
    EXPECT_TRUE(std::equal(bytes.begin(), bytes.end(), each.frame.begin(), each.frame.end()))
        << each.name << ": run write_corpus";
  }
}

// --- replies of endpoints behind DNAT listeners

class DnatReply : public Steer {
 protected:
  void SetUp() override {
    Steer::SetUp();
    bed_->clear_dnat_flows();
  }
  static Bytes direct(const char* flags, std::uint16_t client_port = 40000) {
    return PacketBuilder{}.ipv4(kClient4, kEndpoint4).tcp(client_port, kEndpointPort, flags).build();
  }
};

TEST_F(DnatReply, of_a_direct_connection_passes) {
  expect(direct("S"), PENSTOCK_STEER_NOT_MESH, "to the endpoint itself");
  expect(endpoint_reply(), PENSTOCK_STEER_NOT_MESH, "back");
  expect(direct("A"), PENSTOCK_STEER_NOT_MESH, "data");
  expect(endpoint_reply(), PENSTOCK_STEER_NOT_MESH, "data back");
  EXPECT_EQ(bed_->dnat_flows() + bed_->kernel_flows(), 0u) << "direct traffic leaves no trace";
}

TEST_F(DnatReply, of_a_connection_to_the_service_is_redirected_whatever_port_of_the_client_talks_directly) {
  expect(tcp("S"), PENSTOCK_STEER_REDIRECTED_SERVICE, "to the service");
  expect(direct("S", 40001), PENSTOCK_STEER_NOT_MESH, "to the endpoint");
  expect(endpoint_reply(), PENSTOCK_STEER_REDIRECTED_SOURCE, "of the service");
  expect(endpoint_reply(40001), PENSTOCK_STEER_NOT_MESH, "of the endpoint");
  EXPECT_EQ(bed_->dnat_flows(), 1u);
}

TEST_F(DnatReply, of_another_client_protocol_or_family_passes) {
  expect(tcp("S"), PENSTOCK_STEER_REDIRECTED_SERVICE, "to the service");
  expect(PacketBuilder{}.ipv4(kEndpoint4, "10.1.0.3").tcp(kEndpointPort, 40000, "A").build(), PENSTOCK_STEER_NOT_MESH,
         "another client");
  expect(udp_reply(), PENSTOCK_STEER_NOT_MESH, "another protocol");
  expect(PacketBuilder{}.ipv6(kEndpoint6, kClient6).tcp(kEndpointPort, 40000, "A").build(), PENSTOCK_STEER_NOT_MESH,
         "another family");
}

TEST_F(DnatReply, in_datagrams_follows_the_same_rule) {
  expect(udp_reply(), PENSTOCK_STEER_NOT_MESH, "nobody asked the service");
  expect(udp(), PENSTOCK_STEER_REDIRECTED_SERVICE, "a question");
  expect(udp_reply(), PENSTOCK_STEER_REDIRECTED_SOURCE, "its answer");
  expect(udp_reply(40001), PENSTOCK_STEER_NOT_MESH, "somebody else's");
}

TEST_F(DnatReply, over_ipv6_follows_the_same_rule) {
  const auto reply = [](std::uint16_t client_port) {
    return PacketBuilder{}.ipv6(kEndpoint6, kClient6).tcp(kEndpointPort, client_port, "A").build();
  };
  expect(reply(40000), PENSTOCK_STEER_NOT_MESH, "direct");
  expect(PacketBuilder{}.ipv6(kClient6, kVip6).tcp(40000, kServicePort, "S").build(), PENSTOCK_STEER_REDIRECTED_SERVICE,
         "to the service");
  expect(reply(40000), PENSTOCK_STEER_REDIRECTED_SOURCE, "of the service");
  expect(reply(40001), PENSTOCK_STEER_NOT_MESH, "still direct");
}

TEST_F(DnatReply, to_the_node_itself_passes) {
  const auto reply = [](std::uint16_t node_port) {
    return PacketBuilder{}.ipv4(kEndpoint4, kNode4).tcp(kEndpointPort, node_port, "SA").build();
  };
  expect(reply(40000), PENSTOCK_STEER_NOT_MESH, "a health check");
  // Even if somebody out there spoofs the node's address.
  (void)bed_->run(PacketBuilder{}.ipv4(kNode4, kVip4).tcp(40000, kServicePort, "S").build());
  expect(reply(40000), PENSTOCK_STEER_NOT_MESH, "a health check, still");
  expect(reply(kRangeLow), PENSTOCK_STEER_REDIRECTED_NODE, "our own port");
}

TEST_F(DnatReply, passes_after_eviction_until_the_client_sends_anything) {
  expect(tcp("S"), PENSTOCK_STEER_REDIRECTED_SERVICE, "to the service");
  bed_->clear_dnat_flows();
  expect(endpoint_reply(), PENSTOCK_STEER_NOT_MESH, "forgotten");
  expect(tcp("A"), PENSTOCK_STEER_REDIRECTED_SERVICE, "recorded again");
  expect(endpoint_reply(), PENSTOCK_STEER_REDIRECTED_SOURCE, "known again");
}

TEST_F(DnatReply, client_of_a_service_without_dnat_is_not_recorded) {
  auto key = penstock_steer_key{{}, {port(kServicePort).wire()}, 6, 0};
  const IpAddress vip = ip(kVip4);
  std::copy(vip.octets.begin(), vip.octets.end(), key.addr.octets);
  const penstock_steer_value plain{};
  ASSERT_EQ(bpf_map_update_elem(bed_->map("steer_services"), &key, &plain, BPF_EXIST), 0);
  expect(tcp("S"), PENSTOCK_STEER_REDIRECTED_SERVICE, "FullNAT");
  EXPECT_EQ(bed_->dnat_flows(), 0u);
  expect(endpoint_reply(), PENSTOCK_STEER_NOT_MESH, "so this is no reply to it");
}

TEST_F(DnatReply, only_packets_to_the_service_record_their_client) {
  for (const SteerCase& each : steer_cases())
    if (each.reason != PENSTOCK_STEER_REDIRECTED_SERVICE) (void)bed_->run(each.frame);
  EXPECT_EQ(bed_->dnat_flows(), 0u);
}

TEST_F(DnatReply, icmp_error_about_a_direct_connection_passes) {
  const Bytes error = PacketBuilder{}
                          .ipv4("10.10.2.254", kClient4)
                          .icmp(3, 1)
                          .payload(PacketBuilder{}.ipv4(kClient4, kEndpoint4).tcp(40000, kEndpointPort, "A").quote(28))
                          .build();
  expect(error, PENSTOCK_STEER_NOT_MESH, "direct");
  expect(tcp("S"), PENSTOCK_STEER_REDIRECTED_SERVICE, "to the service");
  expect(error, PENSTOCK_STEER_REDIRECTED_ICMP, "about what we sent to the endpoint");
}

TEST_F(DnatReply, of_a_direct_connection_from_a_port_that_the_service_knows_passes_too) {
  expect(tcp("S"), PENSTOCK_STEER_REDIRECTED_SERVICE, "to the service, balanced to another endpoint");
  expect(direct("S"), PENSTOCK_STEER_NOT_MESH, "same client port, to the endpoint");
  expect(endpoint_reply(), PENSTOCK_STEER_NOT_MESH, "of the direct connection");
  expect(tcp("A"), PENSTOCK_STEER_REDIRECTED_SERVICE, "the service's goes on");
  expect(endpoint_reply(), PENSTOCK_STEER_NOT_MESH, "and both stay apart");
}

TEST_F(DnatReply, of_an_older_direct_connection_passes_from_its_next_packet_on) {
  expect(direct("S"), PENSTOCK_STEER_NOT_MESH, "to the endpoint");
  expect(tcp("S"), PENSTOCK_STEER_REDIRECTED_SERVICE, "same client port, to the service");
  expect(direct("A"), PENSTOCK_STEER_NOT_MESH, "the older goes on");
  expect(endpoint_reply(), PENSTOCK_STEER_NOT_MESH, "with its replies");
}

TEST_F(DnatReply, of_a_new_connection_to_the_service_is_ours_though_its_port_once_talked_directly) {
  expect(tcp("S"), PENSTOCK_STEER_REDIRECTED_SERVICE, "to the service");
  expect(direct("S"), PENSTOCK_STEER_NOT_MESH, "same client port, to the endpoint");
  expect(tcp("S"), PENSTOCK_STEER_REDIRECTED_SERVICE, "to the service anew, perhaps to the same endpoint");
  expect(endpoint_reply(), PENSTOCK_STEER_REDIRECTED_SOURCE, "nobody talked directly since");
}

TEST_F(DnatReply, is_ours_again_when_the_direct_connection_of_its_client_port_is_idle) {
  auto config = bed_->config();
  config.kernel_flow_idle_ns = 10 * kSecond;
  bed_->set_config(config);
  bed_->record_dnat_flows(30 * kSecond);
  expect(direct("S"), PENSTOCK_STEER_NOT_MESH, "same client port, to the endpoint");
  bed_->age_kernel_flows(5 * kSecond);
  expect(endpoint_reply(), PENSTOCK_STEER_NOT_MESH, "of the direct connection");
  bed_->age_kernel_flows(6 * kSecond);
  expect(endpoint_reply(), PENSTOCK_STEER_REDIRECTED_SOURCE, "idle");
}

// --- flows that the kernel path served

class KernelFlow : public Steer {
 protected:
  void SetUp() override {
    Steer::SetUp();
    bed_->never_beat(0);
  }
  void recover() { bed_->beat(0, 0); }
};

TEST_F(KernelFlow, connection_that_began_while_away_stays_with_the_kernel_after_recovery) {
  expect(tcp("S"), PENSTOCK_STEER_STALE_HEARTBEAT, "opens on the kernel path");
  recover();
  expect(tcp("A"), PENSTOCK_STEER_KERNEL_FLOW, "its data stays there");
  expect(tcp("FA"), PENSTOCK_STEER_KERNEL_FLOW, "its end too");
  expect(tcp("A", 40001), PENSTOCK_STEER_REDIRECTED_SERVICE, "other flows are ours");
}

TEST_F(KernelFlow, connection_that_began_without_a_socket_stays_with_the_kernel) {
  recover();
  bed_->unbind_queue(0);
  expect(tcp("S"), PENSTOCK_STEER_NO_SOCKET, "opens on the kernel path");
  bed_->bind_queue(0);
  expect(tcp("A"), PENSTOCK_STEER_KERNEL_FLOW, "stays there");
}

TEST_F(KernelFlow, fresh_syn_takes_the_flow_back) {
  expect(tcp("S"), PENSTOCK_STEER_STALE_HEARTBEAT, "opens on the kernel path");
  recover();
  expect(tcp("S"), PENSTOCK_STEER_REDIRECTED_SERVICE, "the port is used anew");
  expect(tcp("A"), PENSTOCK_STEER_REDIRECTED_SERVICE, "and stays ours");
  EXPECT_EQ(bed_->kernel_flows(), 0u);
}

TEST_F(KernelFlow, connection_of_the_fast_path_is_not_remembered) {
  expect(tcp("A"), PENSTOCK_STEER_STALE_HEARTBEAT, "began on the fast path");
  expect(tcp("SA"), PENSTOCK_STEER_STALE_HEARTBEAT, "not an opening segment");
  recover();
  expect(tcp("A"), PENSTOCK_STEER_REDIRECTED_SERVICE, "comes back");
  EXPECT_EQ(bed_->kernel_flows(), 0u);
}

TEST_F(KernelFlow, datagrams_are_remembered_too) {
  expect(udp(), PENSTOCK_STEER_STALE_HEARTBEAT, "kernel path");
  recover();
  expect(udp(), PENSTOCK_STEER_KERNEL_FLOW, "stays there");
  expect(udp(40001), PENSTOCK_STEER_REDIRECTED_SERVICE, "other flows are ours");
}

TEST_F(KernelFlow, idle_record_is_forgotten) {
  expect(tcp("S"), PENSTOCK_STEER_STALE_HEARTBEAT, "opens on the kernel path");
  recover();
  bed_->age_kernel_flows(3601 * kSecond);
  expect(tcp("A"), PENSTOCK_STEER_REDIRECTED_SERVICE, "idle for more than an hour");
}

TEST_F(KernelFlow, traffic_keeps_the_record_alive) {
  expect(tcp("S"), PENSTOCK_STEER_STALE_HEARTBEAT, "opens on the kernel path");
  recover();
  for (int hour = 0; hour < 3; ++hour) {
    bed_->age_kernel_flows(3000 * kSecond);
    expect(tcp("A"), PENSTOCK_STEER_KERNEL_FLOW, "used every 50 minutes");
  }
}

TEST_F(KernelFlow, traffic_while_away_keeps_the_record_alive) {
  expect(tcp("S"), PENSTOCK_STEER_STALE_HEARTBEAT, "opens on the kernel path");
  bed_->age_kernel_flows(3000 * kSecond);
  expect(tcp("A"), PENSTOCK_STEER_STALE_HEARTBEAT, "still away");
  bed_->age_kernel_flows(3000 * kSecond);
  recover();
  expect(tcp("A"), PENSTOCK_STEER_KERNEL_FLOW, "was used in between");
}

TEST_F(KernelFlow, no_flow_is_looked_up_when_the_newest_is_idle) {
  expect(tcp("S"), PENSTOCK_STEER_STALE_HEARTBEAT, "opens on the kernel path");
  recover();
  bed_->age_newest_kernel_flow(3601 * kSecond);
  expect(tcp("A"), PENSTOCK_STEER_REDIRECTED_SERVICE, "the record is there but nobody asks");
  EXPECT_GT(bed_->kernel_flows(), 0u);
}

TEST_F(KernelFlow, reply_of_a_dnat_endpoint_follows_its_connection) {
  expect(tcp("S"), PENSTOCK_STEER_STALE_HEARTBEAT, "opens on the kernel path");
  expect(endpoint_reply(), PENSTOCK_STEER_NOT_MESH, "the kernel translates it back");
  recover();
  expect(endpoint_reply(), PENSTOCK_STEER_NOT_MESH, "after recovery too");
  expect(tcp("A"), PENSTOCK_STEER_KERNEL_FLOW, "its data stays there");
  expect(endpoint_reply(), PENSTOCK_STEER_NOT_MESH, "and does not draw the replies away");
  expect(tcp("S"), PENSTOCK_STEER_REDIRECTED_SERVICE, "a fresh connection");
  expect(endpoint_reply(), PENSTOCK_STEER_REDIRECTED_SOURCE, "takes its replies along");
}

TEST_F(KernelFlow, datagram_flow_of_a_dnat_endpoint_changes_to_the_kernel_path_whole) {
  recover();
  expect(udp(), PENSTOCK_STEER_REDIRECTED_SERVICE, "began on the fast path");
  bed_->never_beat(0);
  expect(udp(), PENSTOCK_STEER_STALE_HEARTBEAT, "the kernel balances it anew");
  recover();
  expect(udp_reply(), PENSTOCK_STEER_NOT_MESH, "the kernel translates it back");
  expect(udp(), PENSTOCK_STEER_KERNEL_FLOW, "stays there");
}

TEST_F(KernelFlow, connection_of_the_fast_path_keeps_its_replies_over_an_outage) {
  recover();
  expect(tcp("S"), PENSTOCK_STEER_REDIRECTED_SERVICE, "opens on the fast path");
  bed_->never_beat(0);
  expect(tcp("A"), PENSTOCK_STEER_STALE_HEARTBEAT, "away");
  expect(endpoint_reply(), PENSTOCK_STEER_STALE_HEARTBEAT, "ours, but away");
  recover();
  expect(endpoint_reply(), PENSTOCK_STEER_REDIRECTED_SOURCE, "back");
}

TEST_F(KernelFlow, icmp_error_follows_its_connection) {
  const Bytes error = PacketBuilder{}
                          .ipv4("10.1.0.1", kVip4)
                          .icmp(3, 4)
                          .payload(PacketBuilder{}.ipv4(kVip4, kClient4).tcp(kServicePort, 40000, "A").quote(28))
                          .build();
  expect(tcp("S"), PENSTOCK_STEER_STALE_HEARTBEAT, "opens on the kernel path");
  recover();
  expect(error, PENSTOCK_STEER_KERNEL_FLOW, "about a flow of the kernel");
}

TEST_F(KernelFlow, echo_and_neighbour_requests_are_not_remembered) {
  for (const SteerCase& each : steer_cases())
    if (each.reason != PENSTOCK_STEER_REDIRECTED_SERVICE) (void)bed_->run(each.frame);
  EXPECT_EQ(bed_->kernel_flows(), 0u);
}

// --- layout

TEST_F(Steer, loaded_maps_have_the_sizes_of_the_abi) {
  struct Row {
    const char* name;
    std::uint32_t key, value, entries;
  };
  const std::array rows{
      Row{"xsks_map", 4, 4, PENSTOCK_QUEUE_MAX},
      Row{"steer_counters", 4, 8, PENSTOCK_STEER_REASON_MAX},
      Row{"port_config", 4, sizeof(penstock_port_config), 1},
      Row{"steer_services", sizeof(penstock_steer_key), sizeof(penstock_steer_value), PENSTOCK_SERVICE_MAX},
      Row{"steer_sources", sizeof(penstock_steer_key), sizeof(penstock_steer_value), PENSTOCK_SERVICE_MAX},
      Row{"steer_addresses", sizeof(penstock_addr), sizeof(penstock_address_value), PENSTOCK_ADDRESS_MAX},
      Row{"steer_nodes", sizeof(penstock_addr), sizeof(penstock_port_range), PENSTOCK_NODE_ADDRESS_MAX},
      Row{"steer_config", 4, sizeof(penstock_steer_config), 1},
      Row{"steer_runtime", 4, sizeof(penstock_steer_runtime), 1},
      Row{"steer_heartbeat", 4, sizeof(penstock_heartbeat), PENSTOCK_WORKER_MAX},
      Row{"steer_kernel_flows", sizeof(penstock_flow_key), sizeof(penstock_kernel_flow), PENSTOCK_KERNEL_FLOW_MAX},
      Row{"steer_dnat_flows", sizeof(penstock_steer_key), sizeof(penstock_dnat_flow), PENSTOCK_DNAT_FLOW_MAX},
      Row{"steer_forwards", sizeof(penstock_flow_key), sizeof(penstock_forward), PENSTOCK_FORWARD_MAX},
      Row{"steer_forward_slots", 4, sizeof(penstock_forward_slot), PENSTOCK_FORWARD_MAX},
      Row{"steer_devices", 4, 4, PENSTOCK_PORT_MAX},
  };
  for (const Row& row : rows) {
    bpf_map_info info{};
    __u32 octets = sizeof info;
    ASSERT_EQ(bpf_obj_get_info_by_fd(bed_->map(row.name), &info, &octets), 0) << row.name;
    EXPECT_EQ(info.key_size, row.key) << row.name;
    EXPECT_EQ(info.value_size, row.value) << row.name;
    EXPECT_EQ(info.max_entries, row.entries) << row.name;
  }
}

}  // namespace
}  // namespace penstock::test
