#include "dataplane/app/next_hop_watch.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <unistd.h>

#include <array>
#include <fstream>
#include <functional>

#include "dataplane/io/dpdk/netns_scope.h"
#include "dataplane/io/dpdk/veth_lab.h"

namespace penstock::app {
namespace {

using io::VethLab;
using std::chrono::milliseconds;

class NextHopWatchTest : public testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root";
  }
  /// The node can reach the peer's network by its interface.
  VethLab::Peer& reachable_peer() {
    VethLab::Peer& peer = lab_.add_peer(1, false);
    const std::string number = std::to_string(next_net_++);
    run("ip -n " + lab_.node() + " addr add 10.88." + number + ".1/24 dev " + peer.near);
    run("ip -n " + peer.netns + " addr add 10.88." + number + ".2/24 dev far");
    return peer;
  }
  static void run(const std::string& command) { ASSERT_EQ(io::run_command(command), 0) << command; }
  [[nodiscard]] Status watch(PortIndex index, const VethLab::Peer& peer) {
    const Fd netns = lab_.node_netns();
    return watch_.add_port(index, peer.near_index, netns.get());
  }
  /// Follows events until `done`; gives up after five seconds (a fresh link-local address needs two).
  bool follow(const std::function<bool()>& done) {
    for (int i = 0; i < 250; ++i) {
      std::vector<pollfd> fds;
      for (const int fd : watch_.event_fds()) fds.push_back({fd, POLLIN, 0});
      ::poll(fds.data(), fds.size(), 20);
      for (const PortIndex port : watch_.read_events()) gone_.push_back(port);
      if (watch_.dirty()) watch_.resolve();
      if (done()) return true;
    }
    return false;
  }
  control::NextHopIndex want(const std::string& address) {
    return watch_.want(std::array{*IpAddress::parse(address)}).front();
  }
  [[nodiscard]] const control::NextHop& hop(control::NextHopIndex index) const { return watch_.table()[index]; }
  [[nodiscard]] MacAddress mac_of(const std::string& netns, const std::string& interface) const {
    const std::string file = "/tmp/psk-D" + std::to_string(::getpid()) + "-mac";
    run("ip netns exec " + netns + " cat /sys/class/net/" + interface + "/address > " + file);
    std::string text;
    std::ifstream{file} >> text;
    ::unlink(file.c_str());
    return *MacAddress::parse(text);
  }
  VethLab lab_;
  NextHopWatch watch_;
  std::vector<PortIndex> gone_;
  int next_net_{1};
};

TEST_F(NextHopWatchTest, a_neighbour_is_resolved_by_the_kernel_and_learned_by_event) {
  auto& peer = reachable_peer();
  ASSERT_TRUE(watch(3, peer));
  const auto index = want("10.88.1.2");
  watch_.resolve();
  EXPECT_TRUE(hop(index).resolved() || watch_.pending());
  ASSERT_TRUE(follow([&] { return hop(index).resolved(); }));
  EXPECT_EQ(hop(index).port, 3);
  EXPECT_EQ(hop(index).destination, mac_of(peer.netns, "far"));
  EXPECT_EQ(hop(index).source, mac_of(lab_.node(), peer.near));
  EXPECT_EQ(hop(index).vlan_tci, 0);
  EXPECT_FALSE(watch_.pending());
}

TEST_F(NextHopWatchTest, ipv6_endpoints_are_resolved_by_neighbour_discovery) {
  auto& peer = reachable_peer();
  run("ip -n " + lab_.node() + " addr add fd88::1/64 dev " + peer.near + " nodad");
  run("ip -n " + peer.netns + " addr add fd88::2/64 dev far nodad");
  ASSERT_TRUE(watch(0, peer));
  const auto index = want("fd88::2");
  watch_.resolve();
  EXPECT_TRUE(follow([&] { return hop(index).resolved(); }));
  EXPECT_EQ(hop(index).destination, mac_of(peer.netns, "far"));
}

TEST_F(NextHopWatchTest, an_address_behind_a_gateway_gets_the_gateways_link_address) {
  auto& peer = reachable_peer();
  ASSERT_TRUE(watch(0, peer));
  const auto index = want("10.99.9.9");
  watch_.resolve();
  EXPECT_FALSE(hop(index).resolved());
  EXPECT_FALSE(watch_.pending()) << "there is no route, so nothing to wait for";
  run("ip -n " + lab_.node() + " route add 10.99.0.0/16 via 10.88.1.2");
  ASSERT_TRUE(follow([&] { return hop(index).resolved(); })) << "the new route is an event";
  EXPECT_EQ(hop(index).destination, mac_of(peer.netns, "far"));
}

TEST_F(NextHopWatchTest, a_vlan_interface_on_a_port_gives_its_tag) {
  auto& peer = reachable_peer();
  if (io::run_command("ip -n " + lab_.node() + " link add tagged link " + peer.near + " type vlan id 42") != 0)
    GTEST_SKIP() << "this kernel has no VLAN interfaces";
  run("ip -n " + lab_.node() + " addr add 10.89.0.1/24 dev tagged");
  run("ip -n " + lab_.node() + " link set tagged up");
  run("ip -n " + peer.netns + " link add tagged link far type vlan id 42");
  run("ip -n " + peer.netns + " addr add 10.89.0.2/24 dev tagged");
  run("ip -n " + peer.netns + " link set tagged up");
  ASSERT_TRUE(watch(1, peer));
  const auto index = want("10.89.0.2");
  watch_.resolve();
  ASSERT_TRUE(follow([&] { return hop(index).resolved(); }));
  EXPECT_EQ(hop(index).vlan_tci, 42);
  EXPECT_EQ(hop(index).port, 1);
}

TEST_F(NextHopWatchTest, a_route_that_moves_to_another_port_moves_the_next_hop) {
  auto& first = reachable_peer();
  auto& second = reachable_peer();
  ASSERT_TRUE(watch(0, first));
  ASSERT_TRUE(watch(1, second));
  run("ip -n " + lab_.node() + " route add 10.99.0.0/16 via 10.88.1.2");
  const auto index = want("10.99.0.1");
  watch_.resolve();
  ASSERT_TRUE(follow([&] { return hop(index).resolved(); }));
  EXPECT_EQ(hop(index).port, 0);
  run("ip -n " + lab_.node() + " route replace 10.99.0.0/16 via 10.88.2.2");
  ASSERT_TRUE(follow([&] { return hop(index).port == 1; }));
  EXPECT_EQ(hop(index).destination, mac_of(second.netns, "far"));
}

TEST_F(NextHopWatchTest, a_changed_link_address_is_followed) {
  auto& peer = reachable_peer();
  ASSERT_TRUE(watch(0, peer));
  const auto index = want("10.88.1.2");
  watch_.resolve();
  ASSERT_TRUE(follow([&] { return hop(index).resolved(); }));
  run("ip -n " + lab_.node() + " neigh replace 10.88.1.2 lladdr 02:00:00:00:00:77 dev " + peer.near);
  const auto wanted = *MacAddress::parse("02:00:00:00:00:77");
  EXPECT_TRUE(follow([&] { return hop(index).destination == wanted; }));
}

TEST_F(NextHopWatchTest, a_deleted_interface_is_reported_and_its_next_hops_are_unresolved) {
  auto& peer = reachable_peer();
  auto& other = reachable_peer();
  ASSERT_TRUE(watch(5, peer));
  ASSERT_TRUE(watch(6, other));
  const std::array addresses{*IpAddress::parse("10.88.1.2"), *IpAddress::parse("10.88.2.2")};
  const auto indexes = watch_.want(addresses);
  watch_.resolve();
  ASSERT_TRUE(follow([&] { return hop(indexes[0]).resolved() && hop(indexes[1]).resolved(); }));
  lab_.delete_near(peer);
  ASSERT_TRUE(follow([&] { return !gone_.empty(); }));
  EXPECT_EQ(gone_.front(), 5);
  watch_.remove_port(5);
  watch_.resolve();
  EXPECT_FALSE(hop(indexes[0]).resolved());
  EXPECT_TRUE(hop(indexes[1]).resolved());
}

TEST_F(NextHopWatchTest, a_namespace_is_let_go_with_its_last_port_and_entered_again_with_the_next) {
  auto& first = reachable_peer();
  auto& second = reachable_peer();
  ASSERT_TRUE(watch(0, first));
  ASSERT_TRUE(watch(1, second));
  EXPECT_EQ(watch_.event_fds().size(), 1u);
  const auto index = want("10.88.1.2");
  watch_.resolve();
  ASSERT_TRUE(follow([&] { return hop(index).resolved(); }));
  watch_.remove_port(1);
  EXPECT_EQ(watch_.event_fds().size(), 1u) << "the other port is still there";
  watch_.remove_port(0);
  EXPECT_TRUE(watch_.event_fds().empty()) << "a socket would keep a deleted namespace alive";
  watch_.resolve();
  EXPECT_FALSE(hop(index).resolved());
  ASSERT_TRUE(watch(0, first));
  watch_.resolve();
  EXPECT_TRUE(follow([&] { return hop(index).resolved(); }));
}

TEST_F(NextHopWatchTest, an_index_stays_with_its_address_even_when_nobody_wants_it_for_a_while) {
  auto& peer = reachable_peer();
  ASSERT_TRUE(watch(0, peer));
  const auto first = want("10.88.1.2");
  const auto second = want("10.88.1.3");
  EXPECT_NE(first, second);
  EXPECT_EQ(want("10.88.1.2"), first);
  const std::array both{*IpAddress::parse("10.88.1.3"), *IpAddress::parse("10.88.1.2")};
  EXPECT_EQ(watch_.want(both), (std::vector<control::NextHopIndex>{second, first}));
}

}  // namespace
}  // namespace penstock::app
