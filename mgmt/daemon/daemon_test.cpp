// penstockd as a whole: client --- node --- servers in namespaces, real sockets, the real dataplane. Needs root.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>
#include <thread>

#include "dataplane/core/fd.h"
#include "mgmt/api/client.h"
#include "mgmt/daemon/process.h"
#include "mgmt/kernel/netns.h"

namespace penstock::daemon {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using Json = nlohmann::json;

int shell(const std::string& command) { return std::system((command + " 2>&1").c_str()); }

bool eventually(milliseconds at_most, const std::function<bool()>& condition) {
  const auto end = std::chrono::steady_clock::now() + at_most;
  while (!condition()) {
    if (std::chrono::steady_clock::now() >= end) return false;
    std::this_thread::sleep_for(milliseconds{20});
  }
  return true;
}

sockaddr_in address_of(const char* text, std::uint16_t port) {
  sockaddr_in out{};
  out.sin_family = AF_INET;
  out.sin_port = htons(port);
  ::inet_pton(AF_INET, text, &out.sin_addr);
  return out;
}

/// A TCP socket that lives in the named namespace.
Fd socket_in(const std::string& netns) {
  const auto space = kernel::open_netns(netns);
  if (!space) return Fd{};
  const auto visit = kernel::NamespaceVisit::enter(space->get());
  return visit ? Fd{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)} : Fd{};
}

/// Echoes lines on one address until it is destroyed.
class EchoServer {
 public:
  EchoServer(const std::string& netns, const char* address, std::uint16_t port) : listener_{socket_in(netns)} {
    const sockaddr_in local = address_of(address, port);
    const int on = 1;
    ::setsockopt(listener_.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    EXPECT_EQ(::bind(listener_.get(), reinterpret_cast<const sockaddr*>(&local), sizeof local), 0);
    EXPECT_EQ(::listen(listener_.get(), 64), 0);
    thread_ = std::thread{[this] { serve(); }};
  }
  ~EchoServer() {
    stop_ = true;
    thread_.join();
  }

 private:
  void serve() {
    std::vector<Fd> peers;
    while (!stop_) {
      std::vector<pollfd> waiting{{listener_.get(), POLLIN, 0}};
      for (const Fd& peer : peers) waiting.push_back({peer.get(), POLLIN, 0});
      if (::poll(waiting.data(), waiting.size(), 50) <= 0) continue;
      for (std::size_t i = waiting.size() - 1; i > 0; --i) {
        if (waiting[i].revents == 0) continue;
        std::array<char, 256> text;
        const ssize_t n = ::recv(peers[i - 1].get(), text.data(), text.size(), 0);
        if (n <= 0 || ::send(peers[i - 1].get(), text.data(), static_cast<std::size_t>(n), MSG_NOSIGNAL) != n)
          peers.erase(peers.begin() + static_cast<std::ptrdiff_t>(i - 1));
      }
      if (waiting[0].revents != 0) peers.emplace_back(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    }
  }
  Fd listener_;
  std::atomic<bool> stop_{};
  std::thread thread_;
};

class Client {
 public:
  Client(const std::string& netns, const char* address, std::uint16_t port, int seconds_max = 3)
      : socket_{socket_in(netns)} {
    const timeval limit{seconds_max, 0};
    ::setsockopt(socket_.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    ::setsockopt(socket_.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    const sockaddr_in there = address_of(address, port);
    connected_ = ::connect(socket_.get(), reinterpret_cast<const sockaddr*>(&there), sizeof there) == 0;
  }
  [[nodiscard]] bool connected() const { return connected_; }
  [[nodiscard]] bool echo() {
    std::array<char, 5> text{};
    return ::send(socket_.get(), "hello", 5, MSG_NOSIGNAL) == 5 &&
           ::recv(socket_.get(), text.data(), 5, MSG_WAITALL) == 5 && std::string_view{text.data(), 5} == "hello";
  }

 private:
  Fd socket_;
  bool connected_{};
};

class DaemonTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root";
    shell("ip netns add " + client_ + " && ip netns add " + node_ + " && ip netns add " + servers_);
    link("pc0", client_, "10.10.1");
    link("ps0", servers_, "10.10.2");
    shell("ip -n " + servers_ + " addr add 10.10.2.11/24 dev eth0");
    std::filesystem::create_directories(directory_);
    server_ = std::make_unique<EchoServer>(servers_, "10.10.2.11", 7000);
  }
  void TearDown() override {
    if (::geteuid() != 0) return;
    if (daemon_.running()) {
      send_signal(daemon_, SIGTERM);
      if (!ended(daemon_, seconds{15})) send_signal(daemon_, SIGKILL);
    }
    server_.reset();
    // A dataplane that outlived its daemon after a failed test is in the node's namespace, and only it.
    shell("ip netns pids " + node_ + " | xargs -r kill -9");
    for (const std::string& name : {client_, node_, servers_}) shell("ip netns del " + name);
    shell("umount -l " + directory_ + "/run/bpf >/dev/null");
    std::filesystem::remove_all(directory_);
  }
  void link(const std::string& name, const std::string& peer, const std::string& net) {
    const std::string in_node = "ip -n " + node_ + " ";
    const std::string in_peer = "ip -n " + peer + " ";
    shell(in_node + "link add " + name + " type veth peer name eth0 netns " + peer + " && " + in_node +
          "link set lo up && " + in_node + "addr add " + net + ".1/24 dev " + name + " && " + in_node + "link set " +
          name + " up && " + in_peer + "addr add " + net + ".2/24 dev eth0 && " + in_peer + "link set eth0 up && " +
          in_peer + "route add default via " + net + ".1");
  }
  [[nodiscard]] std::string config(const std::string& more_listeners = "") const {
    return "apiVersion: penstock/v1\nnode:\n  runtime_dir: " + directory_ +
           "/run\n  addresses: [10.10.2.1]\n  memory_mib: 128\n  drain_timeout: 1s\n"
           "  limits: {flows_per_worker: 4096, buffers_per_worker: 8192}\n"
           "ports: [{name: pc0, optional: true}, {name: ps0}]\n"
           "clusters: [{name: echo, endpoints: [{address: 10.10.2.11, port: 7000}]}]\n"
           "listeners:\n  - {name: full, address: 10.96.0.10, port: 7000, protocol: tcp, cluster: echo}\n"
           "  - {name: dnat, address: 10.96.0.10, port: 7001, protocol: tcp, cluster: echo, forwarding: dnat}\n" +
           more_listeners;
  }
  void start(const std::vector<std::string>& options = {}) {
    std::ofstream{directory_ + "/penstock.yaml"} << config();
    std::vector<std::string> words{
        "--net=/run/netns/" + node_,  PENSTOCKD_PATH, "--dataplane", DATAPLANE_PATH, "--config",
        directory_ + "/penstock.yaml"};
    words.insert(words.end(), options.begin(), options.end());
    auto process = spawn("/usr/bin/nsenter", words);
    ASSERT_TRUE(process.ok()) << process.error().text();
    daemon_ = std::move(*process);
    ASSERT_TRUE(eventually(seconds{40}, [&] { return get("/readyz").status == 200; })) << get("/readyz").body;
  }
  static bool ended(Process& process, milliseconds at_most) {
    pollfd waiting{process.pidfd.get(), POLLIN, 0};
    return ::poll(&waiting, 1, static_cast<int>(at_most.count())) > 0;
  }
  [[nodiscard]] api::Response get(const std::string& path) const { return call("GET", path, ""); }
  [[nodiscard]] api::Response call(const std::string& method, const std::string& path, const std::string& body) const {
    auto response = api::call(directory_ + "/run/penstockd.sock", {method, path, {}, body, std::nullopt}, seconds{15});
    return response ? *response : api::Response{0, "", response.error().text};
  }
  [[nodiscard]] Json status() const { return Json::parse(get("/v1/status").body, nullptr, false); }
  [[nodiscard]] std::string verdict() const {
    const Json now = status();
    return now.is_discarded() ? "" : now["verdict"].get<std::string>() + now["reasons"].dump();
  }

  const std::string tag_{std::to_string(::getpid())};
  const std::string client_{"psk-dc" + tag_};
  const std::string node_{"psk-dn" + tag_};
  const std::string servers_{"psk-ds" + tag_};
  const std::string directory_{"/run/psk-d" + tag_};
  std::unique_ptr<EchoServer> server_;
  Process daemon_;
};

TEST_F(DaemonTest, a_connection_runs_over_the_fast_path_and_a_stop_leaves_nothing) {
  ASSERT_NO_FATAL_FAILURE(start());
  for (const std::uint16_t port : {std::uint16_t{7000}, std::uint16_t{7001}}) {
    Client client{client_, "10.96.0.10", port};
    ASSERT_TRUE(client.connected()) << port;
    EXPECT_TRUE(client.echo()) << port;
  }
  const Json now = status();
  EXPECT_EQ(now["verdict"], "ok") << now["reasons"];
  for (const Json& listener : now["listeners"]) EXPECT_EQ(listener["flows_total"], 1) << listener["name"];
  send_signal(daemon_, SIGTERM);
  ASSERT_TRUE(ended(daemon_, seconds{15}));
  EXPECT_EQ(reap(daemon_), "exited with 0");
  EXPECT_NE(shell("ip -n " + node_ + " link show | grep -q xdp"), 0);
  EXPECT_NE(shell("nsenter --net=/run/netns/" + node_ + " nft list tables | grep -q penstock"), 0);
  EXPECT_NE(shell("grep -q " + directory_ + " /proc/mounts"), 0);
  EXPECT_TRUE(std::filesystem::is_empty(directory_ + "/run"));
}

TEST_F(DaemonTest, a_killed_dataplane_comes_back_with_its_connections) {
  ASSERT_NO_FATAL_FAILURE(start());
  Client client{client_, "10.96.0.10", 7000, 20};
  ASSERT_TRUE(client.echo());
  const pid_t first = status()["dataplane"]["pid"].get<pid_t>();
  ASSERT_EQ(::kill(first, SIGKILL), 0);
  ASSERT_TRUE(eventually(seconds{30}, [&] {
    const Json now = status();
    return !now.is_discarded() && now["verdict"] == "ok" && now["dataplane"]["pid"] != first;
  })) << verdict();
  EXPECT_TRUE(client.echo()) << "the connection of before";
  EXPECT_EQ(status()["dataplane"]["restarts"], 1);
  EXPECT_EQ(status()["workers"][0]["flows_restored_total"], 1);
}

TEST_F(DaemonTest, a_killed_daemon_is_replaced_without_touching_the_traffic) {
  ASSERT_NO_FATAL_FAILURE(start());
  Client client{client_, "10.96.0.10", 7000};
  ASSERT_TRUE(client.echo());
  const Json before = status();
  send_signal(daemon_, SIGKILL);
  ASSERT_TRUE(ended(daemon_, seconds{5}));
  (void)reap(daemon_);
  EXPECT_TRUE(client.echo());
  ASSERT_NO_FATAL_FAILURE(start());
  const Json after = status();
  EXPECT_EQ(after["dataplane"]["pid"], before["dataplane"]["pid"]);
  EXPECT_TRUE(after["dataplane"]["adopted"].get<bool>());
  EXPECT_EQ(after["epochs"]["active"], before["epochs"]["active"]) << "nothing was published anew";
  EXPECT_EQ(after["listeners"][0]["flows_total"], before["listeners"][0]["flows_total"]) << "same counters slot";
  EXPECT_TRUE(client.echo());
}

TEST_F(DaemonTest, damaged_ids_are_told_and_replaced_and_the_dataplane_goes_on) {
  ASSERT_NO_FATAL_FAILURE(start());
  Client client{client_, "10.96.0.10", 7000};
  ASSERT_TRUE(client.echo());
  const Json before = status();
  send_signal(daemon_, SIGKILL);
  ASSERT_TRUE(ended(daemon_, seconds{5}));
  (void)reap(daemon_);
  const std::string ids = directory_ + "/run/ids";
  const auto whole = std::filesystem::file_size(ids);
  std::filesystem::resize_file(ids, whole / 2);
  ASSERT_NO_FATAL_FAILURE(start());
  const Json after = status();
  EXPECT_EQ(after["dataplane"]["pid"], before["dataplane"]["pid"]);
  EXPECT_EQ(after["verdict"], "ok") << after["reasons"];
  EXPECT_NE(after["warnings"].dump().find("ids: is damaged or cut short"), std::string::npos) << after["warnings"];
  EXPECT_GT(std::filesystem::file_size(ids), whole) << "whole again, with ids that have more digits";
  std::ifstream saved{ids};
  std::string title, version;
  std::uint32_t next_id{};
  saved >> title >> version >> next_id;
  EXPECT_GT(next_id, 1u << 30) << "what the dataplane kept must not take the new ids for its own";
  EXPECT_EQ(std::filesystem::status(ids).permissions(), std::filesystem::perms{0640});
  EXPECT_TRUE(client.echo()) << "the connection of before";
  EXPECT_TRUE((Client{client_, "10.96.0.10", 7000}.echo()));
}

TEST_F(DaemonTest, listeners_come_and_drain_by_apply_and_a_wrong_configuration_changes_nothing) {
  ASSERT_NO_FATAL_FAILURE(start());
  const std::string more = "  - {name: more, address: 10.96.0.11, port: 7000, protocol: tcp, cluster: echo}\n";
  ASSERT_EQ(call("POST", "/v1/apply", config(more)).status, 200u);
  Client client{client_, "10.96.0.11", 7000};
  ASSERT_TRUE(client.echo());
  EXPECT_EQ(call("POST", "/v1/apply", config("  - {name: bad, address: 10.96.0.12, cluster: none}\n")).status, 422u);
  EXPECT_TRUE(client.echo());
  ASSERT_EQ(call("POST", "/v1/apply", config()).status, 200u);
  EXPECT_TRUE(client.echo()) << "draining";
  EXPECT_TRUE(eventually(seconds{5}, [&] { return status()["listeners"].size() == 2; })) << status()["listeners"];
  std::string larger = config();
  larger.replace(larger.find("memory_mib: 128"), 15, "memory_mib: 160");
  EXPECT_EQ(call("POST", "/v1/apply", larger).status, 409u) << "needs a restart";
}

TEST_F(DaemonTest, an_interface_that_vanishes_and_returns_is_served_again) {
  ASSERT_NO_FATAL_FAILURE(start());
  shell("ip -n " + node_ + " link del pc0");
  ASSERT_TRUE(eventually(seconds{5}, [&] { return !status()["ports"][0]["attached"].get<bool>(); }));
  EXPECT_TRUE(status()["ports"][1]["steering"].get<bool>()) << "the other port is not disturbed";
  link("pc0", client_, "10.10.1");
  ASSERT_TRUE(eventually(seconds{10}, [&] { return status()["ports"][0]["steering"].get<bool>(); })) << verdict();
  Client client{client_, "10.96.0.10", 7000};
  EXPECT_TRUE(client.connected() && client.echo());
}

}  // namespace
}  // namespace penstock::daemon
