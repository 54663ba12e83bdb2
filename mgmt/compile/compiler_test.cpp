#include "mgmt/compile/compiler.h"

#include <gtest/gtest.h>

#include <set>

#include "bpf/abi/steer.h"
#include "dataplane/control/snapshot_view.h"
#include "mgmt/compile/test_config.h"

namespace penstock::compile {
namespace {

Compiled compiled(Compiler& compiler, const config::Config& config, const Draining& draining = {}) {
  auto result = compiler.compile(config, draining);
  if (!result.ok())
    for (const Problem& problem : result.error()) ADD_FAILURE() << problem.text();
  return result.ok() ? std::move(result).value() : Compiled{};
}

/// What the dataplane would say about the snapshot; "" when it takes it.
std::string refusal(const Compiled& c) {
  const auto bytes = control::write_snapshot(c.content, 1);
  const auto view = control::SnapshotView::open(bytes);
  return view.ok() ? "" : view.error().text();
}
std::uint64_t hash_of(const Compiled& c) {
  const auto bytes = control::write_snapshot(c.content, 1);
  return control::SnapshotView::open(bytes)->content_hash();
}
std::vector<std::uint16_t> table_of(const Compiled& c, std::size_t cluster) {
  const control::ClusterRecord& record = c.content.clusters[cluster];
  return {c.content.maglev.begin() + record.maglev_offset,
          c.content.maglev.begin() + record.maglev_offset + record.maglev_size};
}

TEST(Compiler, a_configuration_becomes_a_snapshot_that_the_dataplane_takes) {
  Compiler compiler;
  const Compiled c = compiled(compiler, example_config());
  EXPECT_EQ(refusal(c), "");
  ASSERT_EQ(c.content.listeners.size(), 3u);
  EXPECT_EQ(c.content.listeners[1].policy, control::Policy::ask);
  EXPECT_EQ(c.content.listeners[1].ask_deadline_ms, 200u);
  EXPECT_EQ(c.content.listeners[2].cluster, 1u);
  EXPECT_EQ(c.content.clusters[0].maglev_size, 1021u);
  EXPECT_EQ(c.content.node.tcp_established_ms, 3'600'000u);
  EXPECT_EQ(c.listeners[2].name, "dns");
  EXPECT_EQ(c.listeners[2].stat_slot, c.content.listeners[2].stat_slot);
  EXPECT_EQ(c.endpoints[3].address, ip("fd10:2::54"));
}

TEST(Compiler, defaults_of_the_configuration_are_those_of_the_snapshot) {
  Compiler compiler;
  const control::NodeRecord made = compiled(compiler, config::Config{}).content.node;
  const control::NodeRecord documented = control::default_node_record();
  EXPECT_EQ(std::memcmp(&made, &documented, sizeof made), 0);
}

TEST(Compiler, proxy_values_and_modes_reach_the_snapshot) {
  config::Config config = example_config();
  config.node.proxy = {2000,
                       100,
                       config::seconds{1},
                       config::seconds{2},
                       config::seconds{3},
                       1 << 16,
                       config::seconds{4},
                       control::Congestion::reno};
  config.listeners[0].mode = control::ListenerMode::proxy;
  Compiler compiler;
  const Compiled c = compiled(compiler, config);
  EXPECT_EQ(refusal(c), "");
  const control::NodeRecord& node = c.content.node;
  EXPECT_EQ(node.proxy_connections_max, 2000u);
  EXPECT_EQ(node.proxy_half_open_max, 100u);
  EXPECT_EQ(node.proxy_idle_ms, 1000u);
  EXPECT_EQ(node.proxy_connect_ms, 2000u);
  EXPECT_EQ(node.proxy_keepalive_ms, 3000u);
  EXPECT_EQ(node.proxy_buffer_octets, 65536u);
  EXPECT_EQ(node.proxy_time_wait_ms, 4000u);
  EXPECT_EQ(node.proxy_congestion, control::Congestion::reno);
  EXPECT_EQ(c.content.listeners[0].mode, control::ListenerMode::proxy);
  EXPECT_EQ(c.content.listeners[1].mode, control::ListenerMode::l4);
}

TEST(Compiler, a_changed_mode_drains_nothing_and_keeps_identity_and_steering) {
  const config::Config before = example_config();
  config::Config after = before;
  after.listeners[0].mode = control::ListenerMode::proxy;
  EXPECT_EQ(removed_between(before, after), Draining{});
  Compiler compiler;
  const Compiled first = compiled(compiler, before);
  const Compiled second = compiled(compiler, after);
  EXPECT_EQ(second.content.listeners[0].id, first.content.listeners[0].id);
  EXPECT_EQ(second.content.listeners[0].stat_slot, first.content.listeners[0].stat_slot);
  EXPECT_EQ(second.steering, first.steering) << "packets of both kinds of connections reach the worker";
  EXPECT_EQ(second.fallback, first.fallback);
  EXPECT_NE(hash_of(second), hash_of(first));
}

TEST(Compiler, replies_to_dnat_flows_are_steered_on_when_their_listener_becomes_a_proxy) {
  config::Config before = example_config();
  before.listeners[0].forwarding = control::Forwarding::dnat;
  config::Config after = before;
  after.listeners[0].forwarding = control::Forwarding::fullnat;
  after.listeners[0].mode = control::ListenerMode::proxy;
  const Draining draining = removed_between(before, after);
  EXPECT_TRUE(draining.listeners.empty());
  EXPECT_EQ(draining.sources.size(), 2u) << "the endpoints of its cluster";
  Compiler compiler;
  compiled(compiler, before);
  EXPECT_EQ(compiled(compiler, after, draining).steering.sources.size(), 4u);
}

TEST(Compiler, a_removed_proxy_listener_and_endpoint_drain_like_others) {
  config::Config before = example_config();
  before.listeners[0].mode = before.listeners[1].mode = control::ListenerMode::proxy;
  config::Config after = before;
  after.listeners.erase(after.listeners.begin());
  after.clusters[0].endpoints.pop_back();
  const Draining draining = removed_between(before, after);
  ASSERT_EQ(draining.listeners.size(), 1u);
  ASSERT_EQ(draining.endpoints.size(), 1u);
  EXPECT_TRUE(draining.sources.empty());
  Compiler compiler;
  const Compiled first = compiled(compiler, before);
  const Compiled c = compiled(compiler, after, draining);
  EXPECT_EQ(refusal(c), "");
  ASSERT_EQ(c.content.listeners.size(), 3u);
  EXPECT_EQ(c.content.listeners[2].flags, control::kListenerDraining);
  EXPECT_EQ(c.content.listeners[2].mode, control::ListenerMode::proxy);
  EXPECT_EQ(c.content.listeners[2].id, first.content.listeners[0].id);
  EXPECT_EQ(c.content.endpoints[1].weight, 0) << "no new connections";
  EXPECT_EQ(c.content.endpoints[1].id, first.content.endpoints[1].id);
}

TEST(Compiler, a_cluster_that_leaves_with_its_proxy_listener_serves_until_that_has_drained) {
  config::Config before = example_config();
  before.listeners[2].mode = control::ListenerMode::proxy;
  before.listeners[2].forwarding = control::Forwarding::fullnat;
  before.listeners[2].protocol = IpProto::tcp;
  config::Config after = before;
  after.listeners.erase(after.listeners.begin() + 2);
  after.clusters.erase(after.clusters.begin() + 1);
  Draining draining = removed_between(before, after);
  ASSERT_EQ(draining.clusters.size(), 1u);
  Compiler compiler;
  const Compiled first = compiled(compiler, before);
  const Compiled c = compiled(compiler, after, draining);
  EXPECT_EQ(refusal(c), "");
  EXPECT_EQ(c.content.endpoints[2].weight, first.content.endpoints[2].weight) << "its kept connections still ask";
  EXPECT_GT(c.content.endpoints[2].weight, 0);
  EXPECT_EQ(c.content.clusters[1].maglev_size, first.content.clusters[1].maglev_size);
  EXPECT_TRUE(c.endpoints[2].draining);
  EXPECT_EQ(c.fallback.services.size(), 2u);

  config::Config between = before;  // the listener first, its cluster later
  between.listeners.erase(between.listeners.begin() + 2);
  Draining step = removed_between(before, between);
  EXPECT_TRUE(step.clusters.empty());
  merge(step, removed_between(between, after, step));
  EXPECT_EQ(step.clusters, draining.clusters);

  Draining again = draining;
  drop_returned(again, before);
  EXPECT_TRUE(again.clusters.empty()) << "it is back";
  draining.listeners.clear();
  drop_unused_clusters(draining);
  EXPECT_TRUE(draining.clusters.empty());
  const Compiled last = compiled(compiler, after, draining);
  EXPECT_EQ(last.content.endpoints[2].weight, 0) << "its endpoints drain by themselves";
}

TEST(Compiler, endpoints_share_the_table_by_weight) {
  Compiler compiler;
  const auto table = table_of(compiled(compiler, example_config()), 0);
  const auto second = std::count(table.begin(), table.end(), 1);
  EXPECT_NEAR(static_cast<double>(second) / static_cast<double>(table.size()), 2.0 / 3, 0.01);
}

TEST(Compiler, the_same_configuration_has_the_same_hash_in_every_compiler) {
  Compiler a;
  Compiler b;
  const auto first = hash_of(compiled(a, example_config()));
  EXPECT_EQ(first, hash_of(compiled(a, example_config())));
  EXPECT_EQ(first, hash_of(compiled(b, example_config())));
}

TEST(Compiler, steering_is_services_sources_addresses_and_node_ranges) {
  Compiler compiler;
  const Compiled c = compiled(compiler, example_config());
  const SteeringState& s = c.steering;
  ASSERT_EQ(s.services.size(), 3u);
  EXPECT_EQ(s.services[0], (SteeringState::Service{ip("10.96.0.10"), 80, IpProto::tcp, c.listeners[0].id}));
  EXPECT_EQ(s.services[2], (SteeringState::Service{ip("fd96::10"), 53, IpProto::udp, c.listeners[2].id, true}));
  EXPECT_EQ(s.sources, (std::vector<SteeringState::Source>{{ip("fd10:2::53"), 53, IpProto::udp},
                                                           {ip("fd10:2::54"), 53, IpProto::udp}}))
      << "drained endpoints still answer";
  const std::uint32_t flags = PENSTOCK_ADDRESS_NEIGHBOR | PENSTOCK_ADDRESS_ECHO;
  EXPECT_EQ(s.addresses, (std::vector<SteeringState::Address>{{ip("10.96.0.10"), flags}, {ip("fd96::10"), flags}}));
  EXPECT_EQ(s.nodes,
            (std::vector<SteeringState::NodeRange>{{ip("10.10.2.1"), 16384, 29999}, {ip("fd10:2::1"), 16384, 29999}}));
}

TEST(Compiler, an_address_of_the_node_itself_stays_with_the_kernel) {
  config::Config config = example_config();
  config.listeners = {make_listener("web", "10.10.2.1", 80, "web")};
  Compiler compiler;
  const SteeringState s = compiled(compiler, config).steering;
  EXPECT_EQ(s.services.size(), 1u);
  EXPECT_TRUE(s.addresses.empty());
}

TEST(Compiler, fallback_has_services_with_weights_and_the_rules_of_ask) {
  config::Config config = example_config();
  config.listeners[0].policy = control::Policy::deny;
  Compiler compiler;
  const FallbackState f = compiled(compiler, config).fallback;
  ASSERT_EQ(f.services.size(), 3u);
  EXPECT_EQ(f.services[0].default_decision, control::Decision::deny);
  EXPECT_EQ(f.services[0].endpoints[1], (FallbackState::Endpoint{ip("10.10.2.12"), 8080, 20}));
  EXPECT_EQ(f.services[1].default_decision, control::Decision::deny);
  ASSERT_EQ(f.services[1].rules.size(), 1u);
  EXPECT_EQ(f.services[1].rules[0].decision, control::Decision::allow);
  EXPECT_EQ(f.services[2].default_decision, control::Decision::allow);
  EXPECT_EQ(f.services[2].endpoints.size(), 1u) << "endpoints of weight 0 take no new connections";
  EXPECT_EQ(f.node_addresses, config.node.addresses);
}

TEST(Compiler, a_removed_listener_drains_then_loses_its_steering_then_goes) {
  const config::Config before = example_config();
  config::Config after = before;
  after.listeners.erase(after.listeners.begin() + 2);
  after.clusters.erase(after.clusters.begin() + 1);
  Compiler compiler;
  const Compiled first = compiled(compiler, before);

  Draining draining = removed_between(before, after);
  const Compiled second = compiled(compiler, after, draining);
  EXPECT_EQ(refusal(second), "");
  ASSERT_EQ(second.content.listeners.size(), 3u);
  EXPECT_EQ(second.content.listeners[2].flags, control::kListenerDraining | control::kListenerForward);
  EXPECT_EQ(second.content.listeners[2].id, first.content.listeners[2].id);
  EXPECT_EQ(second.steering, first.steering);
  EXPECT_EQ(second.fallback.services.size(), 2u) << "the kernel takes no new connections for it";
  ASSERT_EQ(second.endpoints.size(), 4u);
  EXPECT_TRUE(second.endpoints[2].draining);
  EXPECT_EQ(second.content.endpoints[2].weight, 0);
  EXPECT_EQ(second.content.endpoints[2].stat_slot, first.content.endpoints[2].stat_slot);

  draining.listeners[0].steered = false;
  const Compiled third = compiled(compiler, after, draining);
  EXPECT_EQ(third.content.listeners.size(), 3u);
  EXPECT_EQ(third.steering.services.size(), 2u);

  const Compiled fourth = compiled(compiler, after);
  EXPECT_EQ(refusal(fourth), "");
  EXPECT_EQ(fourth.content.listeners.size(), 2u);
  EXPECT_EQ(fourth.content.clusters.size(), 1u);
  EXPECT_TRUE(fourth.steering.sources.empty());
  EXPECT_EQ(compiler.retired().size(), 3u) << "one listener, two endpoints";
}

TEST(Compiler, a_service_taken_over_by_another_listener_does_not_drain) {
  const config::Config before = example_config();
  config::Config after = before;
  after.listeners[0].name = "renamed";
  const Draining draining = removed_between(before, after);
  EXPECT_EQ(draining, Draining{});
  Compiler compiler;
  compiled(compiler, before);
  // Even if the caller still lists it.
  const Compiled c = compiled(compiler, after, {{{before.listeners[0], true}}, {}, {}});
  EXPECT_EQ(refusal(c), "");
  EXPECT_EQ(c.content.listeners.size(), 3u);
}

TEST(Compiler, replies_are_steered_on_when_a_dnat_listener_leaves_a_cluster_that_stays) {
  const config::Config before = example_config();
  config::Config after = before;
  after.listeners[2].forwarding = control::Forwarding::fullnat;
  const Draining draining = removed_between(before, after);
  EXPECT_TRUE(draining.listeners.empty());
  EXPECT_TRUE(draining.endpoints.empty());
  ASSERT_EQ(draining.sources.size(), 2u);
  Compiler compiler;
  const Compiled c = compiled(compiler, after, draining);
  EXPECT_EQ(refusal(c), "");
  EXPECT_EQ(c.steering.sources.size(), 2u);
  EXPECT_TRUE(c.steering.services[2].dnat) << "its flows go on as DNAT";
  EXPECT_FALSE(c.steering.services[0].dnat) << "another protocol";
  EXPECT_FALSE(compiled(compiler, after).steering.services[2].dnat) << "they have ended";
  EXPECT_EQ(c.content.endpoints[2].weight, 1) << "the endpoint itself goes on";
}

TEST(Compiler, replies_of_draining_endpoints_behind_dnat_are_steered_as_long_as_they_drain) {
  const config::Config before = example_config();
  config::Config after = before;
  after.clusters[1].endpoints.pop_back();
  Draining draining = removed_between(before, after);
  draining.sources.clear();  // the endpoint alone says it, as long as its cluster has a DNAT listener
  Compiler compiler;
  EXPECT_EQ(compiled(compiler, after, draining).steering.sources.size(), 2u);
  EXPECT_EQ(compiled(compiler, after).steering.sources.size(), 1u);
}

TEST(Draining, merging_keeps_each_once_and_returned_ones_leave) {
  const config::Config before = example_config();
  config::Config after;
  after.node = before.node;
  Draining draining = removed_between(before, after);
  EXPECT_EQ(draining.listeners.size(), 3u);
  EXPECT_EQ(draining.endpoints.size(), 4u);
  EXPECT_EQ(draining.sources.size(), 2u);
  const Draining once = draining;
  merge(draining, once);
  EXPECT_EQ(draining, once);
  drop_returned(draining, before);
  EXPECT_EQ(draining, Draining{});
}

TEST(Compiler, what_does_not_fit_is_told_and_changes_nothing) {
  Compiler compiler;
  compiled(compiler, example_config());
  const std::string ids = compiler.save_ids();
  const auto too_many = compiler.compile(large_config(4000, 4));
  ASSERT_FALSE(too_many.ok());
  ASSERT_EQ(too_many.error().size(), 1u);
  EXPECT_EQ(too_many.error()[0].what, "listeners and endpoints need 3623 more counter slots than the 16384 there are");
  EXPECT_EQ(compiler.save_ids(), ids);
  config::Config wide = large_config(1025, 1);
  for (config::Cluster& cluster : wide.clusters) cluster.maglev_table_size = 65537;
  const auto too_wide = compiler.compile(wide);
  ASSERT_FALSE(too_wide.ok());
  EXPECT_EQ(too_wide.error()[0].what, "67175425 Maglev slots, at most 67108864 are possible");
}

TEST(Compiler, draining_endpoints_count_towards_the_bound_of_a_cluster) {
  config::Config config = large_config(1, 1);
  Draining draining;
  for (std::uint16_t i = 0; i < 1024; ++i)
    draining.endpoints.push_back({"service-0", {ip("10.200.0.1"), static_cast<std::uint16_t>(i + 1), 1}});
  Compiler compiler;
  const auto result = compiler.compile(config, draining);
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error()[0].what, "1025 endpoints of cluster `service-0`, at most 1024 are possible");
}

TEST(Compiler, a_successor_with_the_saved_ids_makes_the_same_snapshot) {
  Compiler compiler;
  compiled(compiler, large_config(3, 2));
  const Compiled before = compiled(compiler, example_config());
  Compiler successor;
  ASSERT_TRUE(successor.restore_ids(compiler.save_ids()).ok());
  EXPECT_EQ(hash_of(compiled(successor, example_config())), hash_of(before));
}

TEST(Compiler, a_successor_without_saved_ids_gives_none_that_was_given_before) {
  Compiler compiler, successor;
  const Compiled before = compiled(compiler, example_config());
  successor.begin_ids_anew();
  const Compiled after = compiled(successor, example_config());
  const auto ids_of = [](const Compiled& from) {
    std::set<std::uint32_t> out;
    for (const ListenerInfo& info : from.listeners) out.insert(info.id);
    for (const ClusterInfo& info : from.clusters) out.insert(info.id);
    for (const EndpointInfo& info : from.endpoints) out.insert(info.id);
    return out;
  };
  const std::set<std::uint32_t> old = ids_of(before), fresh = ids_of(after);
  ASSERT_EQ(old.size(), fresh.size());
  EXPECT_GE(*fresh.begin(), Compiler::kAnewIdMin);
  EXPECT_LT(*old.rbegin(), *fresh.begin());
  EXPECT_LT(*fresh.rbegin() - *fresh.begin(), fresh.size()) << "in a row: none wrapped";
}

}  // namespace
}  // namespace penstock::compile
