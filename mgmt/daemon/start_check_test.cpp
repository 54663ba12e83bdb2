#include "mgmt/daemon/start_check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/personality.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <thread>

#include "dataplane/core/fd.h"
#include "mgmt/api/server.h"
#include "mgmt/daemon/options.h"
#include "mgmt/daemon/sd_notify.h"

namespace penstock::daemon {
namespace {

using ::testing::HasSubstr;

constexpr std::uint64_t kGiB = 1u << 30;

TEST(StartCheck, default_limits_fit_the_default_memory) {
  EXPECT_TRUE(memory_problems(config::Node{}, true, 4 * kGiB).empty());
}

TEST(StartCheck, a_pool_that_is_too_small_is_told_with_the_size_that_would_do) {
  config::Node node;
  node.memory_mib = 64;
  node.limits.buffers_per_worker = 65536;
  const Problems problems = memory_problems(node, false, 8 * kGiB);
  ASSERT_EQ(problems.size(), 1u);
  EXPECT_THAT(problems[0].remedy, HasSubstr("memory_mib to 192"));
}

TEST(StartCheck, flow_tables_count_beside_the_pool) {
  config::Node node;
  node.workers = 4;
  node.limits.flows_per_worker = 4'000'000;
  const Problems problems = memory_problems(node, false, 2 * kGiB);
  ASSERT_FALSE(problems.empty());
  EXPECT_THAT(problems.back().text(), HasSubstr("flow tables"));
}

TEST(StartCheck, what_an_adopted_dataplane_reserved_too_little_of_is_told) {
  config::Node node;
  node.limits.flows_per_worker = 1000;
  node.proxy.connections_per_worker = 100;
  EXPECT_TRUE(reserved_problems(node, {2, 2000, 200}).empty());
  EXPECT_TRUE(reserved_problems(node, {2, 4000, 400}).empty()) << "more is no problem";
  const Problems problems = reserved_problems(node, {2, 1999, 100});
  ASSERT_EQ(problems.size(), 2u);
  EXPECT_THAT(problems[0].text(),
              HasSubstr("node.limits.flows_per_worker: the running dataplane has room for 1999 flows, "
                        "configured are 2000"));
  EXPECT_THAT(problems[1].text(), HasSubstr("room for 100 proxied connections, configured are 200"));
}

TEST(StartCheck, large_frames_are_refused_by_name_of_the_port_where_the_kernel_has_none) {
  config::Config config;
  config.ports.resize(3);
  config.ports[0].name = "eth0";
  config.ports[1].name = "pod1";
  config.ports[2].name = "pod2";
  config.ports[2].netns = "blue";
  config.ports[1].large_frames = config.ports[2].large_frames = true;
  Problems problems;
  std::thread{[&] {
    ASSERT_NE(personality(UNAME26), -1);  // the thread's kernel calls itself 2.6 from here on
    problems = large_frames_problems(config);
  }}.join();
  ASSERT_EQ(problems.size(), 2u);
  EXPECT_THAT(problems[0].text(), HasSubstr("port pod1: Linux 2.6."));
  EXPECT_THAT(problems[0].text(), HasSubstr("has no large frames in generic XDP mode"));
  EXPECT_THAT(problems[0].remedy, HasSubstr("remove large_frames from the port, or run Linux 6.9 or newer"));
  EXPECT_THAT(problems[1].text(), HasSubstr("port pod2 in netns blue: "));
}

TEST(StartCheck, proxied_connections_count_beside_the_pool) {
  config::Node node;
  node.workers = 4;
  const std::uint64_t without = memory_need(node, false).total_octets;
  const std::uint64_t before = memory_need(node, true).total_octets;
  EXPECT_GT(before, without + std::uint64_t{4} * 16384 * 256) << "at least the arenas";
  node.proxy.connections_per_worker *= 2;
  EXPECT_GT(memory_need(node, true).total_octets, before);
  EXPECT_EQ(memory_need(node, false).total_octets, without) << "nobody touches it";
  node.proxy.connections_per_worker = 1 << 20;
  const Problems problems = memory_problems(node, true, kGiB);
  ASSERT_FALSE(problems.empty());
  EXPECT_THAT(problems.back().text(), HasSubstr("proxied connections"));
  EXPECT_THAT(problems.back().remedy, HasSubstr("proxy.connections_per_worker"));
}

TEST(StartCheck, everything_that_is_wrong_is_told_at_once) {
  boost::asio::io_context loop;
  api::Server holder{loop};
  const IpAddress local = IpAddress::v4(127, 0, 0, 1);
  ASSERT_TRUE(holder.listen_tcp(local, 0, [](api::Request, const api::Respond&) {}).ok());
  config::Config config;
  config.node.runtime_dir = ::testing::TempDir() + "penstock-start-" + std::to_string(::getpid());
  config.node.metrics.port = holder.tcp_port();
  config.ports = {{"psk-none-0", std::nullopt, std::nullopt, config::VerifyChecksums::automatic, false},
                  {"psk-none-1", "psk-no-netns", std::nullopt, config::VerifyChecksums::automatic, false},
                  {"psk-none-2", std::nullopt, std::nullopt, config::VerifyChecksums::automatic, true}};
  std::string all;
  for (const Problem& problem : start_problems(config, "", config.node.runtime_dir + "/penstockd.sock"))
    all += problem.text() + "\n";
  for (const char* part : {"psk-none-0", "psk-none-1", "penstock-dataplane", "node.metrics"})
    EXPECT_THAT(all, HasSubstr(part));
  EXPECT_THAT(all, Not(HasSubstr("psk-none-2"))) << "optional";
}

TEST(SdNotify, the_service_manager_gets_the_state_and_nobody_is_no_harm) {
  ::unsetenv("NOTIFY_SOCKET");
  sd_notify("READY=1");
  const std::string path = ::testing::TempDir() + "penstock-notify-" + std::to_string(::getpid());
  const Fd manager{::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
  ASSERT_EQ(::bind(manager.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  ::setenv("NOTIFY_SOCKET", path.c_str(), 1);
  sd_notify("READY=1");
  sd_notify_reloading();
  ::unsetenv("NOTIFY_SOCKET");
  std::array<char, 128> text{};
  EXPECT_EQ(::recv(manager.get(), text.data(), text.size(), 0), 7);
  EXPECT_STREQ(text.data(), "READY=1");
  EXPECT_GT(::recv(manager.get(), text.data(), text.size(), 0), 20);
  EXPECT_THAT(text.data(), HasSubstr("RELOADING=1\nMONOTONIC_USEC="));
  ::unlink(path.c_str());
}

TEST(Options, wrong_usage_ends_with_2_and_help_with_0) {
  const auto exit_code_of = [](std::vector<std::string> words) {
    std::vector<char*> argv;
    for (std::string& word : words) argv.push_back(word.data());
    Options options;
    int code = -1;
    EXPECT_FALSE(parse_options(static_cast<int>(argv.size()), argv.data(), options, code));
    return code;
  };
  EXPECT_EQ(exit_code_of({"penstockd", "--help"}), 0);
  EXPECT_EQ(exit_code_of({"penstockd", "--frobnicate"}), 2);
  EXPECT_EQ(exit_code_of({"penstockd", "--log-level", "loud"}), 2);
}

}  // namespace
}  // namespace penstock::daemon
