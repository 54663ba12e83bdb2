// Redirect targets on real interfaces: who is one, how that changes, and frames that cross with no dataplane at all.
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <gtest/gtest.h>
#include <net/if.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>
#include <filesystem>

#include "mgmt/kernel/bpffs.h"
#include "mgmt/kernel/links.h"
#include "mgmt/kernel/netns_bed.h"
#include "mgmt/kernel/steering.h"
#include "mgmt/kernel/xdp_features.h"

namespace penstock::kernel {
namespace {

constexpr const char* kClient = "10.1.0.2";
constexpr const char* kServer = "10.2.0.2";
constexpr const char* kVip = "10.96.0.10";
constexpr const char* kNode = "10.10.2.1";
constexpr std::uint16_t kServicePort = 53;
constexpr std::uint16_t kServerPort = 5353;
constexpr std::uint16_t kNodePort = 16384;

class RedirectTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(mount_bpffs(bed_.directory() + "/bpf").ok());
    bed_.connect("veth0", "client");
    bed_.connect("veth1", "server");
    reopen();
  }
  void reopen() {
    steering_.reset();
    auto opened = Steering::open(bed_.directory() + "/bpf");
    ASSERT_TRUE(opened.ok()) << opened.error().text();
    steering_.emplace(std::move(opened).value());
  }
  PortStatus attach(const char* name, std::uint32_t index, bool large_frames = false) {
    auto status = steering_->attach_port({name, if_nametoindex(name), index, -1, large_frames});
    EXPECT_TRUE(status.ok()) << status.error().text();
    return status.ok() ? *status : PortStatus{};
  }
  void gro(const std::string& role, bool on) {
    ASSERT_EQ(bed_.in(role, std::string{"ethtool -K eth0 gro "} + (on ? "on" : "off")), 0);
  }
  /// True when the fd tells of a change within a second, and ports() differ afterwards.
  bool refreshed() {
    pollfd events{steering_->redirect_events_fd(), POLLIN, 0};
    return ::poll(&events, 1, 1000) == 1 && steering_->refresh_redirect_targets();
  }
  PortStatus port(std::uint32_t index) {
    for (const PortStatus& each : steering_->ports())
      if (each.port_index == index) return each;
    return {};
  }
  /// What steer_devices holds for a port; 0 = nothing.
  std::uint32_t device(std::uint32_t index) {
    const UniqueFd map{bpf_obj_get((bed_.directory() + "/bpf/v1/steer_devices").c_str())};
    __u32 ifindex = 0;
    (void)bpf_map_lookup_elem(map.get(), &index, &ifindex);
    return ifindex;
  }
  /// The program looks into steer_forwards at all.
  bool looks() {
    const UniqueFd map{bpf_obj_get((bed_.directory() + "/bpf/v1/steer_config").c_str())};
    const __u32 zero = 0;
    penstock_steer_config config{};
    (void)bpf_map_lookup_elem(map.get(), &zero, &config);
    return (config.flags & PENSTOCK_CONFIG_HAS_DEVICES) != 0;
  }
  test::NetnsBed bed_;
  std::optional<Steering> steering_;
};

TEST_F(RedirectTest, veth_port_is_a_target_while_its_other_end_polls) {
  PortStatus status = attach("veth0", 4);
  EXPECT_FALSE(status.redirect_target);
  EXPECT_NE(status.redirect_obstacle.find("gro on"), std::string::npos) << status.redirect_obstacle;
  EXPECT_EQ(device(4), 0u);
  EXPECT_FALSE(looks());
  EXPECT_FALSE(steering_->refresh_redirect_targets()) << "nothing happened";

  gro("client", true);
  EXPECT_TRUE(refreshed());
  EXPECT_TRUE(port(4).redirect_target);
  EXPECT_EQ(port(4).redirect_obstacle, "");
  EXPECT_EQ(device(4), if_nametoindex("veth0"));
  EXPECT_TRUE(looks());
  ASSERT_TRUE(steering_->apply({}).ok());
  EXPECT_TRUE(looks()) << "another configuration leaves it";

  gro("client", false);
  EXPECT_TRUE(refreshed());
  EXPECT_FALSE(port(4).redirect_target);
  EXPECT_EQ(device(4), 0u);
  EXPECT_FALSE(looks());
}

TEST_F(RedirectTest, target_is_known_at_attach_and_found_again_by_a_successor) {
  gro("client", true);
  EXPECT_TRUE(attach("veth0", 4).redirect_target);
  EXPECT_FALSE(attach("veth1", 5).redirect_target) << "each port by itself";
  reopen();
  EXPECT_EQ(device(4), if_nametoindex("veth0")) << "flows go on while nobody manages";
  EXPECT_TRUE(looks());
  const PortStatus again = attach("veth0", 4);
  EXPECT_TRUE(again.adopted && again.redirect_target);
}

TEST_F(RedirectTest, predecessor_that_knew_no_such_maps_is_adopted) {
  gro("client", true);
  attach("veth0", 4);
  ASSERT_TRUE(steering_->set_enabled(4, true).ok());
  steering_.reset();
  const std::string pins = bed_.directory() + "/bpf/v1/";
  for (const char* map : {"steer_forwards", "steer_forward_slots", "steer_devices"})
    ASSERT_TRUE(std::filesystem::remove(pins + map)) << map;
  // Another program stands in for the older build: it passes everything.
  LIBBPF_OPTS(bpf_prog_load_opts, options, .expected_attach_type = BPF_XDP);
  const bpf_insn code[2] = {{BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, XDP_PASS}, {BPF_JMP | BPF_EXIT, 0, 0, 0, 0}};
  const UniqueFd older{bpf_prog_load(BPF_PROG_TYPE_XDP, "older", "GPL", code, 2, &options)};
  const auto port = std::filesystem::directory_iterator { pins + "ports" } -> path().string();
  const UniqueFd link{bpf_obj_get((port + "/link").c_str())};
  ASSERT_EQ(bpf_link_update(link.get(), older.get(), nullptr), 0);
  reopen();
  EXPECT_FALSE(looks()) << "the map is new and empty";
  const PortStatus status = attach("veth0", 4);
  EXPECT_TRUE(status.adopted && status.replaced && status.enabled && status.redirect_target);
  EXPECT_EQ(device(4), if_nametoindex("veth0"));
  EXPECT_TRUE(looks());
  steering_.reset();
  ASSERT_TRUE(Steering::remove_all(bed_.directory() + "/bpf").ok());
  EXPECT_FALSE(std::filesystem::exists(pins));
}

TEST_F(RedirectTest, port_that_goes_leaves_the_map) {
  for (const char* role : {"client", "server"}) gro(role, true);
  attach("veth0", 4);
  attach("veth1", 5);
  ASSERT_TRUE(steering_->detach_port(4).ok());
  EXPECT_EQ(device(4), 0u);
  EXPECT_TRUE(looks()) << "the other one is there";
  gro("server", false);
  EXPECT_TRUE(refreshed()) << "the namespace is still watched";
  gro("server", true);
  EXPECT_TRUE(refreshed());
  reopen();
  EXPECT_EQ(steering_->detach_unclaimed(), 1u);
  EXPECT_EQ(device(5), 0u);
  EXPECT_FALSE(looks());
}

TEST_F(RedirectTest, vanished_interface_is_no_target) {
  gro("client", true);
  attach("veth0", 4);
  ASSERT_EQ(test::shell("ip link del veth0"), 0);
  EXPECT_EQ(device(4), 0u) << "the kernel itself takes it out";
  EXPECT_TRUE(refreshed());
  EXPECT_FALSE(port(4).redirect_target);
  EXPECT_TRUE(steering_->detach_port(4).ok());
}

TEST_F(RedirectTest, port_for_large_frames_is_never_a_target) {
  gro("client", true);
  const PortStatus status = attach("veth0", 4, true);
  EXPECT_FALSE(status.redirect_target);
  EXPECT_NE(status.redirect_obstacle.find("large_frames"), std::string::npos) << status.redirect_obstacle;
  EXPECT_EQ(device(4), 0u);
}

TEST_F(RedirectTest, port_of_another_namespace_is_looked_up_and_watched_there) {
  auto other = open_netns(bed_.ns("pod"));
  ASSERT_TRUE(other.ok());
  ASSERT_EQ(test::shell("ip -n " + bed_.ns("pod") + " link add far type veth peer name near && ip -n " +
                        bed_.ns("pod") + " link set far up && ip -n " + bed_.ns("pod") + " link set near up"),
            0);
  PortSpec spec{"far", 0, 6, other->get()};
  {
    auto visit = NamespaceVisit::enter(other->get());
    spec.ifindex = if_nametoindex("far");
  }
  auto status = steering_->attach_port(spec);
  ASSERT_TRUE(status.ok()) << status.error().text();
  EXPECT_FALSE(status->redirect_target);
  ASSERT_EQ(bed_.in("pod", "ethtool -K near gro on"), 0);
  EXPECT_TRUE(refreshed());
  EXPECT_TRUE(port(6).redirect_target);
  EXPECT_EQ(device(6), spec.ifindex);
}

TEST(XdpFeatures, of_what_is_no_device_are_a_problem) {
  auto watch = XdpFeatureWatch::open();
  ASSERT_TRUE(watch.ok()) << watch.error().text();
  EXPECT_TRUE(watch->features(1).ok()) << "loopback";
  const auto none = watch->features(0x7fffffff);
  ASSERT_FALSE(none.ok());
  EXPECT_NE(none.error().what.find("XDP features"), std::string::npos) << none.error().text();
}

// --- a flow that the program forwards by itself: there is no dataplane, no heartbeat, no socket

penstock_addr abi(const char* text) {
  penstock_addr out{};
  const IpAddress address = *IpAddress::parse(text);
  std::memcpy(out.octets, address.octets.data(), sizeof out.octets);
  return out;
}
__u16 wire(std::uint16_t port) { return Be16::from_host(port).wire(); }

/// Addresses and ports of a packet.
struct Direction {
  const char *src, *dst;
  std::uint16_t src_port, dst_port;
};

/// What a checksum's sum gains when `from` becomes `to`, by plain code.
std::uint16_t delta_of(const Direction& from, const Direction& to) {
  std::uint32_t sum = 0;
  const auto add = [&](const Direction& each, bool complement) {
    for (const char* text : {each.src, each.dst}) {
      const penstock_addr address = abi(text);
      for (std::size_t i = 12; i < 16; i += 2) {
        std::uint16_t word;
        std::memcpy(&word, address.octets + i, sizeof word);
        sum += complement ? static_cast<std::uint16_t>(~word) : word;
      }
    }
    for (const std::uint16_t port : {each.src_port, each.dst_port})
      sum += complement ? static_cast<std::uint16_t>(~wire(port)) : wire(port);
  };
  add(from, true);
  add(to, false);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<std::uint16_t>(sum);
}

class ForwardedTest : public RedirectTest {
 protected:
  void SetUp() override {
    RedirectTest::SetUp();
    const auto prepare = [&](const char* role, const char* address, const char* peer) {
      ASSERT_EQ(bed_.in(role, std::string{"sh -c 'ethtool -K eth0 gro on; ip address add "} + address +
                                  "/24 dev eth0; ip route add default dev eth0; ip neigh add " + peer +
                                  " lladdr 02:00:00:00:00:99 dev eth0'"),
                0);
    };
    prepare("client", kClient, kVip);
    prepare("server", kServer, kNode);
    for (const auto& [name, index] : {std::pair{"veth0", 0u}, std::pair{"veth1", 1u}}) {
      EXPECT_TRUE(attach(name, index).redirect_target);
      ASSERT_TRUE(steering_->set_enabled(index, true).ok());
    }
    SteerState state;
    state.settings.worker_count = 1;
    state.services = {{*IpAddress::parse(kVip), Be16::from_host(kServicePort), IpProto::udp, 1}};
    state.nodes = {{*IpAddress::parse(kNode), kNodePort, kNodePort}};
    ASSERT_TRUE(steering_->apply(state).ok());
    client_ = socket_in("client", kClient, 0);
    server_ = socket_in("server", kServer, kServerPort);
    sockaddr_in self{};
    socklen_t octets = sizeof self;
    ASSERT_EQ(::getsockname(client_.get(), reinterpret_cast<sockaddr*>(&self), &octets), 0);
    client_port_ = ntohs(self.sin_port);
  }
  UniqueFd socket_in(const std::string& role, const char* address, std::uint16_t port) {
    auto netns = open_netns(bed_.ns(role));
    auto visit = NamespaceVisit::enter(netns->get());
    UniqueFd out{::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
    sockaddr_in self{};
    self.sin_family = AF_INET;
    self.sin_port = htons(port);
    inet_pton(AF_INET, address, &self.sin_addr);
    EXPECT_EQ(::bind(out.get(), reinterpret_cast<const sockaddr*>(&self), sizeof self), 0);
    const timeval patience{1, 0};
    ::setsockopt(out.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    return out;
  }
  MacAddress mac_of(const std::string& role) {
    auto netns = open_netns(bed_.ns(role));
    return find_link("eth0", netns->get())->mac;
  }
  void forward(std::uint32_t slot_index, const Direction& in, const Direction& out, std::uint16_t out_port,
               const MacAddress& to) {
    penstock_flow_key key{};
    key.src = abi(in.src), key.dst = abi(in.dst);
    key.src_port.wire = wire(in.src_port), key.dst_port.wire = wire(in.dst_port);
    key.ip_proto = 17;
    penstock_forward_slot slot{};
    slot.generation = 1;
    slot.out_port = out_port;
    slot.mtu = 1500;
    slot.src = abi(out.src), slot.dst = abi(out.dst);
    slot.src_port.wire = wire(out.src_port), slot.dst_port.wire = wire(out.dst_port);
    std::copy(to.octets.begin(), to.octets.end(), slot.dst_mac);
    slot.src_mac[0] = 2;
    slot.l4_delta = delta_of(in, out);
    const auto [forwards, slots] = steering_->forward_fds();
    const penstock_forward entry{slot_index, 1};
    ASSERT_EQ(bpf_map_update_elem(slots, &slot_index, &slot, BPF_ANY), 0);
    ASSERT_EQ(bpf_map_update_elem(forwards, &key, &entry, BPF_ANY), 0);
  }
  static void send(const UniqueFd& from, const char* to, std::uint16_t port, const std::string& text) {
    sockaddr_in peer{};
    peer.sin_family = AF_INET;
    peer.sin_port = htons(port);
    inet_pton(AF_INET, to, &peer.sin_addr);
    ASSERT_EQ(::sendto(from.get(), text.data(), text.size(), 0, reinterpret_cast<const sockaddr*>(&peer), sizeof peer),
              static_cast<ssize_t>(text.size()));
  }
  /// "text from address:port", or "" when nothing comes.
  static std::string received(const UniqueFd& by) {
    char text[2048];
    sockaddr_in peer{};
    socklen_t octets = sizeof peer;
    const ssize_t got = ::recvfrom(by.get(), text, sizeof text, 0, reinterpret_cast<sockaddr*>(&peer), &octets);
    if (got < 0) return {};
    char address[INET_ADDRSTRLEN];
    inet_ntop(AF_INET, &peer.sin_addr, address, sizeof address);
    return std::string{text, static_cast<std::size_t>(got)} + " from " + address + ":" +
           std::to_string(ntohs(peer.sin_port));
  }
  UniqueFd client_, server_;
  std::uint16_t client_port_{};
};

TEST_F(ForwardedTest, datagrams_cross_from_pod_to_pod_and_back_without_a_dataplane) {
  // The kernels of the pods leave checksums partial, and verify what comes in: it was completed, or nothing arrives.
  forward(0, {kClient, kVip, client_port_, kServicePort}, {kNode, kServer, kNodePort, kServerPort}, 1,
          mac_of("server"));
  forward(1, {kServer, kNode, kServerPort, kNodePort}, {kVip, kClient, kServicePort, client_port_}, 0,
          mac_of("client"));
  std::string large(1400, 'x');
  for (const std::string& text : {std::string{"question"}, std::string{"odd"}, large}) {
    send(client_, kVip, kServicePort, text);
    EXPECT_EQ(received(server_), text + " from " + kNode + ":" + std::to_string(kNodePort));
    send(server_, kNode, kNodePort, "answer to " + text);
    EXPECT_EQ(received(client_), "answer to " + text + " from " + kVip + ":" + std::to_string(kServicePort));
  }
  EXPECT_EQ((*steering_->counters(0))[PENSTOCK_STEER_FORWARDED], 3u);
  EXPECT_EQ((*steering_->counters(1))[PENSTOCK_STEER_FORWARDED], 3u);
}

}  // namespace
}  // namespace penstock::kernel
