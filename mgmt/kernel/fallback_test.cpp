// The kernel path with real clients and servers.
#include "mgmt/kernel/fallback.h"

#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <thread>

#include "mgmt/kernel/netns_bed.h"
#include "mgmt/kernel/sysctl.h"

namespace penstock::kernel {
namespace {

using penstock::test::output_of;
using penstock::test::shell;

IpAddress address(const char* text) { return *IpAddress::parse(text); }

// Says its name to every connection and datagram, then echoes.
constexpr const char* kServer = R"(
import socket, sys, threading
name = sys.argv[1].encode() + b"\n"
def talk(c):
    try:
        c.sendall(name)
        while True:
            data = c.recv(4096)
            if not data: break
            c.sendall(data)
    except OSError: pass
    c.close()
def tcp(family, port):
    s = socket.socket(family, socket.SOCK_STREAM); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6: s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    s.bind(("", port)); s.listen(256)
    while True:
        c, peer = s.accept()
        threading.Thread(target=talk, args=(c,), daemon=True).start()
def udp(family, port):
    s = socket.socket(family, socket.SOCK_DGRAM)
    if family == socket.AF_INET6: s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    s.bind(("", port))
    while True:
        data, peer = s.recvfrom(4096)
        s.sendto(name.strip() + b" sees " + peer[0].encode() + b" " + str(peer[1]).encode() + b"\n", peer)
for f in (socket.AF_INET, socket.AF_INET6):
    threading.Thread(target=tcp, args=(f, 8080)).start()
    threading.Thread(target=udp, args=(f, 8053)).start()
)";

// "count VIP PORT N": connects N times, prints how often each name answered.
// "udp VIP PORT": one datagram, prints the answer.  "try VIP PORT": ok, refused or timeout.
// "stray SRC VIP PORT": a mid-stream segment of no known connection; "reset", or "silence" after 0.5 s.
// "hold VIP PORT FILE": keeps a connection, echoes every 50 ms until FILE exists, prints how many came back.
constexpr const char* kClient = R"(
import collections, os, socket, struct, sys, time
mode, vip, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
def connect(timeout=2):
    return socket.create_connection((vip, port), timeout)
if mode == "count":
    names = collections.Counter()
    for i in range(int(sys.argv[4])):
        c = connect(); names[c.recv(100).decode().strip()] += 1; c.close()
    print(" ".join("%s=%d" % x for x in sorted(names.items())))
elif mode == "udp":
    s = socket.socket(socket.AF_INET6 if ":" in vip else socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(2)
    s.sendto(b"q", (vip, port)); print(s.recv(100).decode().strip())
elif mode == "try":
    try: connect(1); print("ok")
    except ConnectionRefusedError: print("refused")
    except (socket.timeout, TimeoutError): print("timeout")
elif mode == "stray":
    # A segment with ACK from a port that no socket of ours has; the kernel's own answer would be a reset.
    s = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP); s.settimeout(0.5)
    src = sys.argv[4]
    head = struct.pack("!HHIIBBHHH", 45000, port, 1000, 2000, 0x50, 0x10, 65535, 0, 0)
    pseudo = socket.inet_aton(src) + socket.inet_aton(vip) + struct.pack("!HH", 6, len(head))
    total = sum(struct.unpack("!%dH" % ((len(head) + 12) // 2), pseudo + head))
    while total >> 16: total = (total & 0xffff) + (total >> 16)
    s.sendto(head[:16] + struct.pack("!H", ~total & 0xffff) + head[18:], (vip, 0))
    until = time.time() + 0.5
    answer = "silence"
    while time.time() < until:
        try: packet = s.recv(100)
        except (socket.timeout, TimeoutError): break
        if packet[20:24] == struct.pack("!HH", port, 45000) and packet[33] & 4: answer = "reset"; break
    print(answer)
elif mode == "hold":
    c = connect(); c.recv(100); done = 0
    while not os.path.exists(sys.argv[4]):
        c.sendall(b"x"); assert c.recv(1) == b"x"; done += 1; time.sleep(0.05)
    print("held", done)
)";

class FallbackTest : public testing::Test {
 protected:
  void SetUp() override {
    for (const auto& [port, role, net] :
         {std::tuple{"v-client", "client", 1}, std::tuple{"v-one", "one", 2}, std::tuple{"v-two", "two", 3}}) {
      bed_.connect(port, role);
      const std::string v4 = "10." + std::to_string(net) + ".0.";
      const std::string v6 = "fd10:" + std::to_string(net) + "::";
      ASSERT_EQ(shell("ip address add " + v4 + "1/24 dev " + port + " && ip address add " + v6 + "1/64 dev " + port +
                      " nodad"),
                0);
      ASSERT_EQ(bed_.in(role, "sh -c 'ip address add " + v4 + "2/24 dev eth0; ip address add " + v6 +
                                  "2/64 dev eth0 nodad; ip route add default via " + v4 +
                                  "1; ip route add default via " + v6 + "1'"),
                0);
    }
    std::ofstream{bed_.directory() + "/server.py"} << kServer;
    std::ofstream{bed_.directory() + "/client.py"} << kClient;
    for (const char* role : {"one", "two"}) bed_.start(role, {"python3", bed_.directory() + "/server.py", role});
    for (const char* target : {"10.2.0.2 8080", "10.3.0.2 8080", "fd10:2::2 8080", "fd10:3::2 8080"}) wait_for(target);
    options_.state_file = bed_.directory() + "/fallback.state";
    auto opened = Fallback::open(options_);
    ASSERT_TRUE(opened.ok());
    fallback_.emplace(std::move(opened).value());
  }
  // From the node, until the server is up.
  void wait_for(const std::string& target) {
    for (int i = 0; i < 100; ++i) {
      if (output_of("python3 " + bed_.directory() + "/client.py try " + target) == "ok\n") return;
      std::this_thread::sleep_for(std::chrono::milliseconds{50});
    }
    FAIL() << target << " does not come up";
  }
  std::string client(const std::string& arguments) {
    return bed_.output_in("client", "python3 " + bed_.directory() + "/client.py " + arguments);
  }
  static FallbackState state(std::uint16_t weight_one = 30, std::uint16_t weight_two = 10) {
    FallbackState out;
    const auto add = [&](const char* vip, const char* one, const char* two, bool masquerade) {
      out.services.push_back({address(vip),
                              80,
                              IpProto::tcp,
                              masquerade,
                              {{address(one), 8080, weight_one}, {address(two), 8080, weight_two}}});
      out.services.push_back({address(vip),
                              53,
                              IpProto::udp,
                              masquerade,
                              {{address(one), 8053, weight_one}, {address(two), 8053, weight_two}}});
    };
    add("10.96.0.10", "10.2.0.2", "10.3.0.2", true);
    add("fd00:96::10", "fd10:2::2", "fd10:3::2", true);
    add("10.96.0.11", "10.2.0.2", "10.3.0.2", false);
    out.services.push_back({address("10.96.0.12"), 80, IpProto::tcp, true, {}});
    out.node_addresses = {address("10.2.0.1"), address("10.3.0.1")};
    out.interfaces = {"v-client", "v-one", "v-two"};
    return out;
  }
  void apply(const FallbackState& wanted) {
    const auto done = fallback_->apply(wanted);
    ASSERT_TRUE(done.ok()) << done.error().text();
  }
  penstock::test::NetnsBed bed_;
  FallbackOptions options_;
  std::optional<Fallback> fallback_;
};

TEST_F(FallbackTest, connections_are_balanced_by_weight_in_both_families) {
  apply(state());
  for (const char* vip : {"10.96.0.10", "fd00:96::10", "10.96.0.11"}) {
    int one = 0;
    int two = 0;
    const std::string counted = client(std::string{"count "} + vip + " 80 200");
    ASSERT_EQ(std::sscanf(counted.c_str(), "one=%d two=%d", &one, &two), 2) << vip << ": " << counted;
    EXPECT_EQ(one + two, 200);
    EXPECT_NEAR(one, 150, 35) << vip << ": weights 30 to 10";
  }
}

TEST_F(FallbackTest, fullnat_shows_a_node_address_and_a_port_outside_the_reserved_range) {
  apply(state());
  const std::string seen = client("udp 10.96.0.10 53");
  unsigned net = 0;
  unsigned port = 0;
  char name[8]{};
  ASSERT_EQ(std::sscanf(seen.c_str(), "%7s sees 10.%u.0.1 %u", name, &net, &port), 3) << seen;
  EXPECT_TRUE(port > 29999) << seen;
  EXPECT_NE(client("udp 10.96.0.11 53").find("sees 10.1.0.2"), std::string::npos) << "DNAT keeps the client";
}

TEST_F(FallbackTest, uneven_weights_are_taken_by_the_kernel) {
  apply(state(997, 1));
  EXPECT_NE(client("count 10.96.0.10 80 50").find("one="), std::string::npos);
}

TEST_F(FallbackTest, weight_zero_gets_nothing) {
  apply(state(0, 5));
  EXPECT_EQ(client("count 10.96.0.10 80 30"), "two=30\n");
}

TEST_F(FallbackTest, service_without_endpoints_drops_and_other_ports_are_refused) {
  apply(state());
  EXPECT_EQ(client("try 10.96.0.12 80"), "timeout\n");
  EXPECT_EQ(client("try 10.96.0.10 81"), "refused\n");
}

TEST_F(FallbackTest, own_sockets_of_the_node_are_not_reached_by_a_service_address) {
  apply(state());
  bed_.start("node", {"python3", bed_.directory() + "/server.py", "node"});
  wait_for("10.1.0.1 8080");
  EXPECT_EQ(client("try 10.1.0.1 8080"), "ok\n") << "the node's own address is open";
  EXPECT_EQ(client("try 10.96.0.10 8080"), "refused\n");
}

TEST_F(FallbackTest, node_itself_reaches_services) {
  apply(state());
  EXPECT_EQ(output_of("python3 " + bed_.directory() + "/client.py try 10.96.0.10 80"), "ok\n");
  EXPECT_EQ(output_of("python3 " + bed_.directory() + "/client.py try fd00:96::10 80"), "ok\n");
}

TEST_F(FallbackTest, stray_segments_are_dropped_instead_of_reset) {
  const std::string stray = "stray 10.96.0.10 80 10.1.0.2";
  FallbackState without = state();
  without.services.erase(without.services.begin());
  apply(without);
  EXPECT_EQ(client(stray), "reset\n") << "without the service the kernel answers: the test can fail";
  apply(state());
  EXPECT_EQ(client(stray), "silence\n");
  EXPECT_EQ(client("stray 10.2.0.1 20000 10.1.0.2"), "silence\n") << "reserved range of a node address";
  EXPECT_EQ(client("stray 10.2.0.1 30001 10.1.0.2"), "reset\n") << "outside the range";
  EXPECT_EQ(client("try 10.96.0.10 80"), "ok\n") << "connections of the kernel path go on";
}

TEST_F(FallbackTest, connection_survives_a_reload_of_the_table) {
  apply(state(10, 0));
  const std::string stop = bed_.directory() + "/stop";
  std::string held;
  std::thread holder{[&] {
    held = output_of("ip netns exec " + bed_.ns("client") + " python3 " + bed_.directory() +
                     "/client.py hold 10.96.0.10 80 " + stop);
  }};
  std::this_thread::sleep_for(std::chrono::milliseconds{400});
  apply(state(0, 10));
  std::this_thread::sleep_for(std::chrono::milliseconds{300});
  EXPECT_EQ(client("count 10.96.0.10 80 5"), "two=5\n") << "new connections go elsewhere";
  apply(state(0, 10));
  std::this_thread::sleep_for(std::chrono::milliseconds{300});
  std::ofstream{stop} << "now";
  holder.join();
  int echoes = 0;
  ASSERT_EQ(std::sscanf(held.c_str(), "held %d", &echoes), 1) << held;
  EXPECT_GT(echoes, 10);
}

TEST_F(FallbackTest, kernel_answers_for_service_addresses_on_the_link) {
  apply(state());
  ASSERT_EQ(bed_.in("client", "sh -c 'ip route add 10.96.0.10 dev eth0; ip route add fd00:96::10 dev eth0'"), 0);
  EXPECT_EQ(client("try 10.96.0.10 80"), "ok\n");
  const auto start = std::chrono::steady_clock::now();
  EXPECT_EQ(client("try fd00:96::10 80"), "ok\n");
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::milliseconds{700}) << "no proxy delay";
  EXPECT_NE(bed_.output_in("client", "ip neigh show 10.96.0.10").find("lladdr"), std::string::npos);
  EXPECT_NE(bed_.output_in("client", "ip neigh show fd00:96::10").find("lladdr"), std::string::npos);
}

TEST_F(FallbackTest, remove_leaves_the_machine_as_it_was) {
  ASSERT_TRUE(write_sysctl("net/ipv4/ip_local_reserved_ports", "100,16000-16400").ok());
  const auto snapshot = [] {
    return output_of(
        "nft list ruleset; ip route show table local; ip -6 route show table local; ip neigh show proxy; "
        "cat /proc/sys/net/ipv4/ip_local_reserved_ports /proc/sys/net/ipv4/ip_forward "
        "/proc/sys/net/ipv6/conf/all/forwarding /proc/sys/net/ipv6/conf/v-client/proxy_ndp");
  };
  const std::string before = snapshot();
  apply(state());
  EXPECT_EQ(output_of("cat /proc/sys/net/ipv4/ip_local_reserved_ports"), "100,16000-29999\n");
  EXPECT_NE(snapshot(), before);
  fallback_.reset();
  auto successor = Fallback::open(options_);  // after a crash: another process cleans up
  ASSERT_TRUE(successor.ok());
  const auto removed = successor->remove();
  ASSERT_TRUE(removed.ok()) << removed.error().text();
  EXPECT_EQ(snapshot(), before);
  EXPECT_FALSE(std::filesystem::exists(options_.state_file));
  EXPECT_TRUE(successor->remove().ok()) << "twice is no error";
}

TEST_F(FallbackTest, removed_service_address_is_given_up) {
  apply(state());
  FallbackState less = state();
  std::erase_if(less.services, [](const FallbackService& each) { return each.address.text() != "10.96.0.10"; });
  apply(less);
  EXPECT_EQ(output_of("ip route show table local proto 181"), "local 10.96.0.10 dev lo scope host \n");
  EXPECT_EQ(output_of("ip -6 route show table local proto 181"), "");
  EXPECT_EQ(output_of("ip neigh show proxy"), "");
}

TEST_F(FallbackTest, own_address_of_the_node_may_be_a_service) {
  FallbackState wanted = state();
  wanted.services.push_back({address("10.1.0.1"), 80, IpProto::tcp, true, {{address("10.2.0.2"), 8080, 1}}});
  apply(wanted);
  EXPECT_EQ(client("count 10.1.0.1 80 3"), "one=3\n");
  bed_.start("node", {"python3", bed_.directory() + "/server.py", "node"});
  wait_for("10.1.0.1 8080");
  EXPECT_EQ(client("count 10.1.0.1 8080 1"), "node=1\n") << "its other ports stay the node's";
}

TEST_F(FallbackTest, faulty_state_leaves_the_table_as_it_was) {
  apply(state());
  const std::string before = output_of("nft -s list ruleset");
  FallbackState faulty = state();
  faulty.services.push_back(faulty.services[0]);
  EXPECT_FALSE(fallback_->apply(faulty).ok());
  faulty = state();
  faulty.services[0].endpoints[0].address = address("fd10:2::2");
  EXPECT_FALSE(fallback_->apply(faulty).ok());
  EXPECT_EQ(output_of("nft -s list ruleset"), before);
}

}  // namespace
}  // namespace penstock::kernel
