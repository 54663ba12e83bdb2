#include "mgmt/compile/diff.h"

#include <gtest/gtest.h>

#include "mgmt/compile/test_config.h"

namespace penstock::compile {
namespace {

TEST(Diff, equal_configurations_have_none) { EXPECT_TRUE(diff(example_config(), example_config()).empty()); }

TEST(Diff, every_kind_of_change_is_named) {
  const config::Config before = example_config();
  config::Config after = before;
  after.node.workers = 2;
  after.node.timeouts.udp_stream = config::seconds{90};
  after.node.proxy.buffer_octets = 1 << 20;
  after.node.proxy.connections_per_worker = 8192;
  after.node.addresses.pop_back();
  after.ports = {{"eth0", "blue", std::nullopt, config::VerifyChecksums::automatic, false}};
  after.clusters[0].endpoints[0].weight = 0;
  after.clusters[0].endpoints[1].port = 8081;
  after.clusters[1].maglev_table_size.reset();
  after.listeners[1].ask.rules.clear();
  after.listeners[1].policy = control::Policy::deny;
  after.listeners[0].mode = control::ListenerMode::proxy;
  after.listeners[0].splice = true;
  after.listeners[2].name = "dns2";
  EXPECT_EQ(text(diff(before, after)),
            "~ node workers 1 -> 2, timeouts.udp_stream 2m -> 90s, proxy.connections_per_worker 16384 -> 8192, "
            "proxy.buffer 256KiB -> 1MiB, addresses\n"
            "+ port eth0 in blue\n"
            "~ cluster dns maglev_table_size 1021 -> unset\n"
            "~ endpoint web 10.10.2.11:8080 weight 10 -> 0\n"
            "+ endpoint web 10.10.2.12:8081\n"
            "- endpoint web 10.10.2.12:8080\n"
            "~ listener web mode l4 -> proxy, splice false -> true\n"
            "~ listener admin policy ask -> deny, ask.rules\n"
            "+ listener dns2\n"
            "- listener dns\n");
  EXPECT_EQ(restart_needed(before, after),
            (std::vector<std::string>{"node.workers", "node.proxy.connections_per_worker"}));
}

TEST(Diff, a_new_configuration_is_all_additions) {
  const auto changes = diff(config::Config{}, example_config());
  EXPECT_EQ(changes.front().what, "node");
  for (std::size_t i = 1; i < changes.size(); ++i) EXPECT_EQ(changes[i].kind, ChangeKind::added) << changes[i].what;
  EXPECT_EQ(changes.size(), 1u + 2 + 4 + 3);
}

}  // namespace
}  // namespace penstock::compile
