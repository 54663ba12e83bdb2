#include "mgmt/config/loader.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <fstream>
#include <string>

namespace penstock::config {
namespace {

const Machine kTwoCpus{{0, 1}};

Config loaded(const std::string& text) {
  auto result = load_text("apiVersion: penstock/v1\n" + text, "f", kTwoCpus);
  if (!result.ok())
    for (const Problem& problem : result.error()) ADD_FAILURE() << problem.text();
  return result.ok() ? std::move(result).value() : Config{};
}

std::string problems(std::string_view text) {
  const auto result = load_text(text, "f", kTwoCpus);
  std::string out;
  if (!result.ok())
    for (const Problem& problem : result.error()) out += problem.text() + "\n";
  return out;
}

TEST(Loader, the_version_alone_is_a_configuration_of_defaults) { EXPECT_EQ(loaded(""), Config{}); }

TEST(Loader, sections_without_content_are_defaults) {
  EXPECT_EQ(loaded("node:\nports:\nclusters: []\nlisteners:\n"), Config{});
}

TEST(Loader, every_field_arrives_in_its_member) {
  const auto result = load_file("tests/corpus/config_fuzz/example.yaml", kTwoCpus);
  ASSERT_TRUE(result.ok()) << result.error().front().text();
  const Config& c = *result;
  EXPECT_EQ(c.node.addresses, (std::vector{*IpAddress::parse("10.10.2.1"), *IpAddress::parse("fd10:2::1")}));
  EXPECT_EQ(c.node.source_ports, (PortRange{16384, 29999}));
  EXPECT_EQ(c.node.cpus, std::vector<std::uint16_t>{1});
  EXPECT_EQ(c.node.kernel_flow_idle, std::chrono::hours{1});
  EXPECT_EQ(c.node.metrics.port, 9464);
  EXPECT_EQ(c.node.limits, Limits{});
  EXPECT_EQ(c.node.timeouts, Timeouts{});
  EXPECT_EQ(c.node.proxy, (Proxy{8192, 512, minutes{30}, seconds{3}, milliseconds{0}, 1 << 20, seconds{30},
                                 control::Congestion::reno}));
  ASSERT_EQ(c.ports.size(), 3u);
  EXPECT_EQ(c.ports[0], (Port{"veth-client", std::nullopt, std::nullopt, VerifyChecksums::automatic, false}));
  EXPECT_EQ(c.ports[1], (Port{"eth1", "blue", 4, VerifyChecksums::yes, true, false}));
  ASSERT_EQ(c.clusters.size(), 2u);
  EXPECT_EQ(c.clusters[0].maglev_table_size, 65537u);
  EXPECT_EQ(c.clusters[0].endpoints[1], (Endpoint{*IpAddress::parse("10.10.2.12"), 8080, 0}));
  EXPECT_EQ(c.clusters[1].endpoints[0].weight, 1);
  ASSERT_EQ(c.listeners.size(), 3u);
  EXPECT_EQ(c.listeners[2].mode, control::ListenerMode::proxy);
  const Listener& web = c.listeners[0];
  EXPECT_EQ(web.mode, control::ListenerMode::l4);
  EXPECT_EQ(web.policy, control::Policy::ask);
  EXPECT_EQ(web.ask.default_decision, control::Decision::deny);
  EXPECT_EQ(web.ask.deadline, milliseconds{200});
  ASSERT_EQ(web.ask.rules.size(), 1u);
  EXPECT_EQ(web.ask.rules[0], (AskRule{*IpPrefix::parse("10.1.0.0/16"), control::Decision::allow, seconds{60}}));
  const Listener& dns = c.listeners[1];
  EXPECT_EQ(dns.protocol, IpProto::udp);
  EXPECT_EQ(dns.forwarding, control::Forwarding::dnat);
  EXPECT_EQ(find_cluster(c, dns.cluster), &c.clusters[1]);
  EXPECT_EQ(find_listener(c, "dns"), &dns);
  EXPECT_EQ(find_listener(c, "nothing"), nullptr);
}

TEST(Loader, durations_of_all_units_are_kept_in_milliseconds) {
  const Config c = loaded("node: {heartbeat_limit: 20ms, watchdog: 3s, kernel_flow_idle: 2m, drain_timeout: 0s}\n");
  EXPECT_EQ(c.node.heartbeat_limit, milliseconds{20});
  EXPECT_EQ(c.node.watchdog, milliseconds{3000});
  EXPECT_EQ(c.node.kernel_flow_idle, milliseconds{120000});
  EXPECT_EQ(c.node.drain_timeout, milliseconds{0});
}

TEST(Loader, workers_are_as_many_as_the_cpus_when_only_those_are_given) {
  EXPECT_EQ(loaded("node: {cpus: [0, 1]}\n").node.workers, 2);
}

TEST(Loader, proxied_connections_follow_lower_bounds_that_are_given) {
  EXPECT_EQ(loaded("node: {limits: {flows_per_worker: 2048}}\n").node.proxy.connections_per_worker, 2048u);
  const Node node = loaded("node: {proxy: {connections_per_worker: 100}}\n").node;
  EXPECT_EQ(node.proxy.connections_per_worker, 100u);
  EXPECT_EQ(node.proxy.half_open_max, 100u);
  EXPECT_EQ(loaded("node: {proxy: {half_open_max: 0}}\n").node.proxy.half_open_max, 0u);
}

TEST(Loader, memory_is_kept_in_octets) {
  EXPECT_EQ(loaded("node: {proxy: {buffer: 16KiB}}\n").node.proxy.buffer_octets, 16384u);
  EXPECT_EQ(loaded("node: {proxy: {buffer: 16MiB}}\n").node.proxy.buffer_octets, 16u << 20);
}

TEST(Loader, a_file_that_cannot_be_read_is_a_problem_of_its_path) {
  const auto missing = load_file("/nonexistent/penstock.yaml", kTwoCpus);
  ASSERT_FALSE(missing.ok());
  EXPECT_EQ(missing.error().front().text(),
            "/nonexistent/penstock.yaml: cannot be opened: No such file or directory (check the path and its rights)");
  EXPECT_FALSE(load_file("/tmp", kTwoCpus).ok());
}

TEST(Loader, another_version_is_the_only_problem_told) {
  EXPECT_EQ(problems("apiVersion: penstock/v2\nfuture: 1\n"),
            "f:1:13: apiVersion `penstock/v2` is not known to this version (write `apiVersion: penstock/v1`)\n");
}

TEST(Loader, what_yaml_cannot_mean_is_told_with_its_place) {
  struct Row {
    const char* text;
    const char* start;
  };
  const Row rows[] = {
      {"", "f:1:1: the file is empty"},
      {"# nothing\n", "f:1:1: the file is empty"},
      {"~\n", "f:1:1: the file is empty"},
      {"- a\n", "f:1:1: configuration must be a map"},
      {"apiVersion: penstock/v1\nnode: [1\n", "f:3:1: YAML syntax: "},
      {"apiVersion: penstock/v1\nnode:\n\tworkers: 1\n", "f:3:9: YAML syntax: "},
      {"apiVersion: penstock/v1\n---\na: b\n", "f:2:1: a second document begins here"},
      {"apiVersion: penstock/v1\nports: &p []\n", "f:2:8: anchors (&name) are not supported"},
      {"apiVersion: penstock/v1\nports: !!seq []\n", "f:2:8: tags (tag:yaml.org,2002:seq) are not supported"},
      {"apiVersion: penstock/v1\n? [a]\n: b\n", "f:2:3: a key must be plain text"},
  };
  for (const Row& row : rows) {
    const std::string told = problems(row.text);
    EXPECT_TRUE(told.starts_with(row.start)) << row.text << "\ntold: " << told << "\nexpected: " << row.start;
  }
}

TEST(Loader, aliases_cannot_multiply_the_text) {
  std::string bomb = "apiVersion: penstock/v1\na0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 30; ++i) {
    const std::string before = "*a" + std::to_string(i - 1);
    bomb += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [" + before;
    for (int k = 0; k < 9; ++k) bomb += ", " + before;
    bomb += "]\n";
  }
  EXPECT_NE(problems(bomb).find("aliases (*name) are not supported"), std::string::npos);
}

TEST(Loader, size_nesting_and_number_of_values_are_bounded) {
  EXPECT_TRUE(problems(std::string(kConfigOctetsMax + 1, ' ')).starts_with("f:1:1: larger than 8388608 octets"));
  EXPECT_NE(problems("a: " + std::string(1000, '[')).find("nested deeper than 32 levels"), std::string::npos);
  std::string many = "a: [";
  for (std::size_t i = 0; i < kConfigNodesMax; ++i) many += "1,";
  EXPECT_NE(problems(many + "]\n").find("more than 1048576 values"), std::string::npos);
}

TEST(Loader, problems_beyond_the_hundredth_are_counted) {
  std::string text = "apiVersion: penstock/v1\n";
  for (int i = 0; i < 150; ++i) text += "unknown" + std::to_string(i) + ": 1\n";
  const auto result = load_text(text, "f", kTwoCpus);
  ASSERT_FALSE(result.ok());
  ASSERT_EQ(result.error().size(), kProblemMax + 1);
  EXPECT_EQ(result.error().back().what, "50 more problems");
}

TEST(Loader, this_machine_has_a_cpu) { EXPECT_FALSE(this_machine().cpus.empty()); }

}  // namespace
}  // namespace penstock::config
