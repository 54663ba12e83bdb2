// Steering on real interfaces: attach, adopt, replace, detach, self-test.
#include "mgmt/kernel/steering.h"

#include <bpf/bpf.h>
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <net/if.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstring>
#include <ctime>
#include <filesystem>
#include <functional>
#include <thread>

#include "mgmt/kernel/bpffs.h"
#include "mgmt/kernel/netns_bed.h"
#include "mgmt/kernel/steer_loader.h"
#include "tests/bpf/xsk_receiver.h"

namespace penstock::kernel {
namespace {

using test::shell;

IpAddress address(const char* text) { return *IpAddress::parse(text); }
Be16 port(std::uint16_t number) { return Be16::from_host(number); }

SteerState some_state() {
  SteerState state;
  state.settings.worker_count = 1;
  state.services = {{address("10.96.0.10"), port(80), IpProto::tcp, 1},
                    {address("fd00:96::10"), port(53), IpProto::udp, 2}};
  state.sources = {{address("10.10.2.11"), port(8080), IpProto::tcp}};
  state.addresses = {{address("10.96.0.10"), true, true}};
  state.nodes = {{address("10.10.2.1"), 16384, 29999}};
  return state;
}

class SteeringTest : public testing::Test {
 protected:
  void SetUp() override {
    dir_ = bed_.directory() + "/bpf";
    ASSERT_TRUE(mount_bpffs(dir_).ok());
    bed_.connect("veth0", "client");
    reopen();
  }
  void reopen() {
    steering_.reset();
    auto opened = Steering::open(dir_);
    ASSERT_TRUE(opened.ok()) << opened.error().text();
    steering_.emplace(std::move(opened).value());
  }
  PortSpec spec(const char* name = "veth0", std::uint32_t index = 0) { return {name, if_nametoindex(name), index, -1}; }
  PortStatus attach(const PortSpec& wanted) {
    auto status = steering_->attach_port(wanted);
    EXPECT_TRUE(status.ok()) << status.error().text();
    return status.ok() ? *status : PortStatus{};
  }
  static std::string xdp_of(const char* name) { return test::output_of(std::string{"ip link show "} + name); }
  void beat() {
    timespec now{};
    clock_gettime(CLOCK_MONOTONIC, &now);
    penstock_heartbeat value{};
    value.beat_ns = static_cast<__u64>(now.tv_sec) * 1'000'000'000u + static_cast<__u64>(now.tv_nsec);
    const __u32 worker = 0;
    ASSERT_EQ(bpf_map_update_elem(steering_->heartbeat_fd(), &worker, &value, BPF_ANY), 0);
  }
  test::NetnsBed bed_;
  std::string dir_;
  std::optional<Steering> steering_;
};

TEST_F(SteeringTest, attaches_natively_and_starts_disabled) {
  const PortStatus status = attach(spec());
  EXPECT_FALSE(status.enabled || status.generic || status.adopted);
  EXPECT_NE(xdp_of("veth0").find("prog/xdp id"), std::string::npos) << xdp_of("veth0");
  ASSERT_TRUE(steering_->set_enabled(0, true).ok());
  EXPECT_TRUE(steering_->ports().at(0).enabled);
}

TEST_F(SteeringTest, detaching_leaves_nothing_attached_or_pinned) {
  attach(spec());
  ASSERT_TRUE(steering_->detach_port(0).ok());
  EXPECT_EQ(xdp_of("veth0").find("xdp"), std::string::npos);
  EXPECT_TRUE(std::filesystem::is_empty(dir_ + "/v1/ports"));
  EXPECT_TRUE(steering_->detach_port(0).ok()) << "detaching twice is no error";
}

TEST_F(SteeringTest, link_outlives_the_process_and_is_adopted_with_its_setting) {
  attach(spec("veth0", 7));
  ASSERT_TRUE(steering_->set_enabled(7, true).ok());
  const std::string before = xdp_of("veth0");
  reopen();
  EXPECT_EQ(xdp_of("veth0"), before) << "nobody holds it, it is still attached";
  const auto waiting = steering_->unclaimed_ports();
  ASSERT_EQ(waiting.size(), 1u);
  EXPECT_EQ(waiting[0].name, "veth0");
  EXPECT_EQ(waiting[0].port_index, 7u);
  const PortStatus status = attach(spec("veth0", 7));
  EXPECT_TRUE(status.adopted && status.enabled && !status.replaced);
  EXPECT_EQ(xdp_of("veth0"), before) << "same program";
  EXPECT_TRUE(steering_->unclaimed_ports().empty());
}

TEST_F(SteeringTest, renamed_interface_is_adopted_by_its_index) {
  attach(spec());
  ASSERT_EQ(shell("ip link set veth0 down && ip link set veth0 name pod.1 && ip link set pod.1 up"), 0);
  reopen();
  EXPECT_TRUE(attach(spec("pod.1")).adopted);
}

TEST_F(SteeringTest, dots_in_interface_names_are_pinned) {
  ASSERT_EQ(shell("ip link add name pod.100 type veth peer name pod.101"), 0);
  attach(spec("pod.100", 3));
  reopen();
  ASSERT_EQ(steering_->unclaimed_ports().size(), 1u);
  EXPECT_EQ(steering_->unclaimed_ports()[0].name, "pod.100");
}

TEST_F(SteeringTest, adopting_replaces_another_build_of_the_program_in_place) {
  attach(spec());
  ASSERT_TRUE(steering_->set_enabled(0, true).ok());
  steering_.reset();
  // Another program stands in for another build: it passes everything.
  LIBBPF_OPTS(bpf_prog_load_opts, options, .expected_attach_type = BPF_XDP);
  const bpf_insn code[2] = {{BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, XDP_PASS}, {BPF_JMP | BPF_EXIT, 0, 0, 0, 0}};
  const UniqueFd other{bpf_prog_load(BPF_PROG_TYPE_XDP, "other", "GPL", code, 2, &options)};
  ASSERT_TRUE(other);
  const auto directory = std::filesystem::directory_iterator { dir_ + "/v1/ports" } -> path().string();
  const UniqueFd link{bpf_obj_get((directory + "/link").c_str())};
  ASSERT_EQ(bpf_link_update(link.get(), other.get(), nullptr), 0);
  reopen();
  const PortStatus status = attach(spec());
  EXPECT_TRUE(status.adopted && status.replaced && status.enabled);
  ASSERT_TRUE(steering_->apply(some_state()).ok());
  ASSERT_EQ(bed_.in("client", "ip address add 10.1.0.2/24 dev eth0"), 0);
  ASSERT_EQ(bed_.in("client",
                    "python3 -c 'import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM)."
                    "sendto(b\"x\", (\"10.1.0.1\", 9))'"),
            0);
  std::this_thread::sleep_for(std::chrono::milliseconds{50});
  const auto counters = steering_->counters(0);
  ASSERT_TRUE(counters.ok());
  EXPECT_GT((*counters)[PENSTOCK_STEER_NOT_MESH], 0u) << "the new program counts";
}

TEST_F(SteeringTest, foreign_program_is_refused_by_name) {
  LIBBPF_OPTS(bpf_prog_load_opts, options);
  const bpf_insn code[2] = {{BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, XDP_PASS}, {BPF_JMP | BPF_EXIT, 0, 0, 0, 0}};
  const UniqueFd other{bpf_prog_load(BPF_PROG_TYPE_XDP, "other", "GPL", code, 2, &options)};
  const UniqueFd link{bpf_link_create(other.get(), static_cast<int>(if_nametoindex("veth0")), BPF_XDP, nullptr)};
  ASSERT_TRUE(link);
  const auto status = steering_->attach_port(spec());
  ASSERT_FALSE(status.ok());
  EXPECT_NE(status.error().what.find("another XDP program"), std::string::npos) << status.error().text();
  EXPECT_TRUE(std::filesystem::is_empty(dir_ + "/v1/ports")) << "no remains";
}

TEST_F(SteeringTest, driver_without_native_mode_needs_the_option) {
  const auto refused = steering_->attach_port(spec("lo"));  // has none
  ASSERT_FALSE(refused.ok());
  EXPECT_NE(refused.error().what.find("native mode"), std::string::npos) << refused.error().text();
  auto lenient = Steering::open(dir_, {.allow_generic_mode = true});
  ASSERT_TRUE(lenient.ok());
  const auto status = lenient->attach_port(spec("lo"));
  ASSERT_TRUE(status.ok()) << status.error().text();
  EXPECT_TRUE(status->generic);
}

TEST_F(SteeringTest, large_frames_want_generic_mode_and_a_port_changes_to_it) {
  attach(spec());
  EXPECT_FALSE(steering_->ports().at(0).generic);
  kernel::PortSpec large = spec();
  large.large_frames = true;
  reopen();  // as a daemon that starts with another configuration
  auto status = steering_->attach_port(large);
  ASSERT_TRUE(status.ok()) << status.error().text();
  EXPECT_TRUE(status->generic);
  EXPECT_FALSE(status->adopted);
  reopen();
  status = steering_->attach_port(large);
  ASSERT_TRUE(status.ok()) << status.error().text();
  EXPECT_TRUE(status->generic && status->adopted);
  reopen();
  status = steering_->attach_port(spec());
  ASSERT_TRUE(status.ok()) << status.error().text();
  EXPECT_FALSE(status->generic || status->adopted);
}

/// From here on the kernel refuses this system call, or this command of bpf(), to the calling thread, with `error`.
void refuse(long number, std::optional<std::uint32_t> command, std::uint16_t error) {
  constexpr auto kFirstArgument = static_cast<std::uint32_t>(offsetof(seccomp_data, args));
  std::array<sock_filter, 6> code{{
      {BPF_LD | BPF_W | BPF_ABS, 0, 0, static_cast<std::uint32_t>(offsetof(seccomp_data, nr))},
      {BPF_JMP | BPF_JEQ | BPF_K, 0, 3, static_cast<std::uint32_t>(number)},
      {BPF_LD | BPF_W | BPF_ABS, 0, 0, kFirstArgument},
      {BPF_JMP | BPF_JEQ | BPF_K, 0, 1, command.value_or(0)},
      {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ERRNO | error},
      {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW},
  }};
  if (!command) code[2] = {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ERRNO | error};
  const sock_fprog program{code.size(), code.data()};
  ASSERT_EQ(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
  ASSERT_EQ(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), 0);
}

TEST_F(SteeringTest, large_frames_that_the_kernel_has_not_are_told_and_nothing_is_attached) {
  PortSpec large = spec();
  large.large_frames = true;
  const auto refused_by = [&](const std::function<void()>& older_kernel) {
    std::string told = "attached";
    std::thread{[&] {  // what is done to the thread ends with it
      older_kernel();
      if (const auto status = steering_->attach_port(large); !status.ok()) told = status.error().text();
    }}
        .join();
    EXPECT_EQ(xdp_of("veth0").find("xdp"), std::string::npos) << told;
    EXPECT_TRUE(std::filesystem::is_empty(dir_ + "/v1/ports")) << told;
    EXPECT_TRUE(told.starts_with("veth0: ")) << told;
    EXPECT_NE(told.find("remove large_frames from the port"), std::string::npos) << told;
    return told;
  };
  std::string told = refused_by([] { ASSERT_NE(personality(UNAME26), -1); });  // calls itself 2.6
  EXPECT_NE(told.find("Linux 2.6."), std::string::npos) << told;
  told = refused_by([] { refuse(SYS_bind, {}, EINVAL); });
  EXPECT_NE(told.find("refuses AF_XDP sockets for frames of several buffers"), std::string::npos) << told;
  told = refused_by([] { refuse(SYS_bpf, BPF_LINK_CREATE, EOPNOTSUPP); });
  EXPECT_NE(told.find("generic mode, which large_frames needs: Operation not supported"), std::string::npos) << told;
  EXPECT_FALSE(attach(spec()).generic) << "what it can do it does";
}

TEST_F(SteeringTest, a_port_in_generic_mode_for_want_of_a_driver_is_not_taken_for_one_of_large_frames) {
  const auto reopen_lenient = [&] {
    steering_.reset();
    auto opened = Steering::open(dir_, {.allow_generic_mode = true});
    ASSERT_TRUE(opened.ok());
    steering_.emplace(std::move(opened).value());
  };
  PortSpec large = spec("lo");  // has no native mode
  large.large_frames = true;
  for (const PortSpec& wanted : {spec("lo"), large, spec("lo")}) {
    reopen_lenient();
    const PortStatus fresh = attach(wanted);
    EXPECT_TRUE(fresh.generic && !fresh.adopted) << wanted.large_frames;
    ASSERT_TRUE(steering_->set_enabled(0, true).ok());
    reopen_lenient();
    const PortStatus again = attach(wanted);
    EXPECT_TRUE(again.generic && again.adopted && again.enabled && !again.replaced) << wanted.large_frames;
  }
}

TEST_F(SteeringTest, vanished_interface_is_noticed_and_its_pins_are_cleaned) {
  attach(spec());
  ASSERT_EQ(shell("ip link del veth0"), 0);
  EXPECT_FALSE(steering_->ports().at(0).alive);
  EXPECT_TRUE(steering_->detach_port(0).ok());
  EXPECT_TRUE(std::filesystem::is_empty(dir_ + "/v1/ports"));

  bed_.connect("veth1", "client2");
  attach(spec("veth1", 1));
  ASSERT_EQ(shell("ip link del veth1"), 0);
  reopen();
  EXPECT_TRUE(std::filesystem::is_empty(dir_ + "/v1/ports")) << "open() cleans what died meanwhile";
}

TEST_F(SteeringTest, port_in_another_namespace_is_attached_and_adopted) {
  auto other = open_netns(bed_.ns("client"));
  ASSERT_TRUE(other.ok());
  PortSpec far{"eth0", 0, 4, other->get()};
  {
    auto visit = NamespaceVisit::enter(other->get());
    far.ifindex = if_nametoindex("eth0");
  }
  attach(far);
  EXPECT_NE(bed_.output_in("client", "ip link show eth0").find("prog/xdp"), std::string::npos);
  reopen();
  EXPECT_TRUE(attach(far).adopted);
  ASSERT_TRUE(steering_->detach_port(4).ok());
  EXPECT_EQ(bed_.output_in("client", "ip link show eth0").find("prog/xdp"), std::string::npos);
}

TEST_F(SteeringTest, unclaimed_ports_are_detached_on_request) {
  attach(spec());
  reopen();
  EXPECT_EQ(steering_->detach_unclaimed(), 1u);
  EXPECT_EQ(xdp_of("veth0").find("xdp"), std::string::npos);
}

TEST_F(SteeringTest, remove_all_detaches_and_unpins_everything) {
  attach(spec());
  steering_.reset();
  ASSERT_TRUE(Steering::remove_all(dir_).ok());
  EXPECT_FALSE(std::filesystem::exists(dir_ + "/v1"));
  EXPECT_EQ(xdp_of("veth0").find("xdp"), std::string::npos);
}

TEST_F(SteeringTest, apply_writes_the_difference_only) {
  auto first = steering_->apply(some_state());
  ASSERT_TRUE(first.ok()) << first.error().text();
  EXPECT_EQ(first->added, 5u);
  auto again = steering_->apply(some_state());
  EXPECT_EQ(again->added + again->updated + again->removed, 0u);
  SteerState other = some_state();
  other.services[0].listener_id = 9;
  other.services.pop_back();
  other.nodes.push_back({address("fd10:2::1"), 16384, 29999});
  auto third = steering_->apply(other);
  EXPECT_EQ(third->added, 1u);
  EXPECT_EQ(third->updated, 1u);
  EXPECT_EQ(third->removed, 1u);
  reopen();
  auto adopted = steering_->apply(other);
  EXPECT_EQ(adopted->added + adopted->updated + adopted->removed, 0u) << "maps outlived the process";
}

TEST_F(SteeringTest, faulty_state_changes_nothing) {
  ASSERT_TRUE(steering_->apply(some_state()).ok());
  SteerState faulty = some_state();
  faulty.services.push_back(faulty.services[0]);
  faulty.addresses.clear();
  EXPECT_FALSE(steering_->apply(faulty).ok());
  faulty = some_state();
  faulty.nodes[0].high = 1;
  EXPECT_FALSE(steering_->apply(faulty).ok());
  faulty = some_state();
  faulty.settings.worker_count = PENSTOCK_WORKER_MAX + 1;
  EXPECT_FALSE(steering_->apply(faulty).ok());
  auto same = steering_->apply(some_state());
  EXPECT_EQ(same->added + same->updated + same->removed, 0u);
}

TEST_F(SteeringTest, maps_of_another_abi_version_are_refused) {
  steering_.reset();
  const UniqueFd config{bpf_obj_get((dir_ + "/v1/steer_config").c_str())};
  penstock_steer_config value{};
  value.abi_version = PENSTOCK_ABI_VERSION + 1;
  const __u32 zero = 0;
  ASSERT_EQ(bpf_map_update_elem(config.get(), &zero, &value, BPF_ANY), 0);
  const auto opened = Steering::open(dir_);
  ASSERT_FALSE(opened.ok());
  EXPECT_NE(opened.error().what.find("ABI version"), std::string::npos) << opened.error().text();
}

TEST_F(SteeringTest, maps_of_another_layout_are_refused) {
  steering_.reset();
  std::filesystem::remove(dir_ + "/v1/steer_nodes");
  const UniqueFd other{bpf_map_create(BPF_MAP_TYPE_HASH, "steer_nodes", 4, 4, 8, nullptr)};
  ASSERT_EQ(bpf_obj_pin(other.get(), (dir_ + "/v1/steer_nodes").c_str()), 0);
  const auto opened = Steering::open(dir_);
  ASSERT_FALSE(opened.ok());
  EXPECT_NE(opened.error().what.find("another layout"), std::string::npos) << opened.error().text();
}

TEST_F(SteeringTest, missing_shared_map_is_created_anew) {
  ASSERT_TRUE(steering_->apply(some_state()).ok());
  steering_.reset();
  std::filesystem::remove(dir_ + "/v1/steer_nodes");
  reopen();
  auto repaired = steering_->apply(some_state());
  ASSERT_TRUE(repaired.ok()) << repaired.error().text();
  EXPECT_EQ(repaired->added, 1u);
}

TEST_F(SteeringTest, self_test_sees_the_probe_in_the_socket) {
  attach(spec());
  ASSERT_TRUE(steering_->apply(some_state()).ok());
  ASSERT_TRUE(steering_->set_enabled(0, true).ok());
  auto receiver = test::XskReceiver::create("veth0", steering_->xsks_map_fd(0));
  ASSERT_TRUE(receiver.ok()) << receiver.error().text();
  std::uint64_t seen = 0;
  const auto probes = [&] {
    for (const test::Bytes& frame : receiver->take())
      if (frame.at(12) == std::byte{0x88} && frame.at(13) == std::byte{0xb5}) ++seen;
    return seen;
  };
  const auto too_early = steering_->self_test(0, probes, std::chrono::milliseconds{150});
  ASSERT_FALSE(too_early.ok());
  EXPECT_NE(too_early.error().what.find("worker has not been seen"), std::string::npos) << too_early.error().text();
  beat();
  SteerSettings patient{.worker_count = 1, .heartbeat_limit = std::chrono::seconds{60}};
  ASSERT_TRUE(steering_->set_settings(patient).ok());
  const auto passed = steering_->self_test(0, probes);
  EXPECT_TRUE(passed.ok()) << passed.error().text();
  EXPECT_GT(seen, 0u);
}

// What a tagged frame of a veth peer looks like here. A tc program puts the tag on, as a VLAN interface does: into
// the packet's metadata. docs/architecture/steering.md tells the consequences.
class TaggedTest : public SteeringTest, public testing::WithParamInterface<bool> {
 protected:
  static constexpr auto kTcxEgress =
      static_cast<bpf_attach_type>(47);  // BPF_TCX_EGRESS; not in the headers of older libbpf
  static UniqueFd tag_everything_sent_by(const std::string& interface) {
    const bpf_insn code[5] = {{BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_2, 0, 0, 0x0081},  // 0x8100 in network order
                              {BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_3, 0, 0, 5},
                              {BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_skb_vlan_push},
                              {BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_0, 0, 0, -1},  // next program
                              {BPF_JMP | BPF_EXIT, 0, 0, 0, 0}};
    const UniqueFd program{bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "tag", "GPL", code, 5, nullptr)};
    return UniqueFd{
        bpf_link_create(program.get(), static_cast<int>(if_nametoindex(interface.c_str())), kTcxEgress, nullptr)};
  }
};

TEST_P(TaggedTest, tag_of_a_veth_peer_is_in_the_frame_only_without_tag_offload) {
  const bool offload = GetParam();
  attach(spec());
  ASSERT_TRUE(steering_->apply(some_state()).ok());
  ASSERT_TRUE(steering_->set_settings({.worker_count = 1, .heartbeat_limit = std::chrono::seconds{60}}).ok());
  ASSERT_TRUE(steering_->set_enabled(0, true).ok());
  beat();
  auto receiver = test::XskReceiver::create("veth0", steering_->xsks_map_fd(0));
  ASSERT_TRUE(receiver.ok()) << receiver.error().text();
  ASSERT_EQ(bed_.in("client", std::string{"ethtool -K eth0 txvlan "} + (offload ? "on" : "off")), 0);
  ASSERT_EQ(bed_.in("client",
                    "sh -c 'ip address add 10.1.0.2/24 dev eth0; ip route add 10.96.0.10 dev eth0; "
                    "ip neigh add 10.96.0.10 lladdr 02:00:00:00:00:99 dev eth0'"),
            0);
  UniqueFd tagger;
  {
    auto client = open_netns(bed_.ns("client"));
    auto visit = NamespaceVisit::enter(client->get());
    tagger = tag_everything_sent_by("eth0");
  }
  if (!tagger) GTEST_SKIP() << "this kernel has no tc programs: " << std::strerror(errno);
  (void)receiver->take();
  ASSERT_EQ(bed_.in("client",
                    "python3 -c 'import socket; s = socket.socket(); s.setblocking(False); "
                    "s.connect_ex((\"10.96.0.10\", 80))'"),
            0);
  std::this_thread::sleep_for(std::chrono::milliseconds{100});
  std::size_t tagged = 0;
  std::size_t untagged = 0;
  for (const test::Bytes& frame : receiver->take())
    ++(frame.at(12) == std::byte{0x81} && frame.at(13) == std::byte{0x00} ? tagged : untagged);
  EXPECT_EQ(tagged, offload ? 0u : 1u);
  EXPECT_EQ(untagged, offload ? 1u : 0u) << "the program cannot see a tag in the metadata";
  EXPECT_EQ((*steering_->counters(0))[PENSTOCK_STEER_REDIRECTED_SERVICE], 1u);
}
INSTANTIATE_TEST_SUITE_P(Offload, TaggedTest, testing::Bool());

TEST_F(SteeringTest, self_test_names_the_reason_when_nothing_arrives) {
  attach(spec());
  ASSERT_TRUE(steering_->apply(some_state()).ok());
  const auto nobody = [] { return std::uint64_t{0}; };
  const auto disabled = steering_->self_test(0, nobody, std::chrono::milliseconds{150});
  ASSERT_FALSE(disabled.ok());
  EXPECT_NE(disabled.error().what.find("switched off"), std::string::npos) << disabled.error().text();
  ASSERT_TRUE(steering_->set_enabled(0, true).ok());
  ASSERT_TRUE(steering_->set_settings({.worker_count = 1, .heartbeat_limit = std::chrono::seconds{60}}).ok());
  beat();
  const auto unbound = steering_->self_test(0, nobody, std::chrono::milliseconds{150});
  ASSERT_FALSE(unbound.ok());
  EXPECT_NE(unbound.error().what.find("no AF_XDP socket"), std::string::npos) << unbound.error().text();
}

}  // namespace
}  // namespace penstock::kernel
