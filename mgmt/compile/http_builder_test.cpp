// Listeners of HTTP and endpoint health, from Config to a snapshot that the dataplane takes and routes by.
#include "mgmt/compile/http_builder.h"

#include <gtest/gtest.h>

#include "dataplane/control/snapshot_view.h"
#include "l7/route/listener_tables.h"
#include "l7/route/match.h"
#include "mgmt/compile/compiler.h"
#include "mgmt/compile/ring.h"
#include "mgmt/compile/test_config.h"

namespace penstock::compile {
namespace {

route::Route route_to(const std::string& prefix, const std::string& cluster) {
  route::Route out;
  out.match.path = {route::PathKind::prefix, prefix, false};
  route::Forward forward;
  forward.clusters = {{cluster, 1}};
  out.action = std::move(forward);
  return out;
}

/// Two clusters of two endpoints; listener "shop" routes /api to one, the rest to the other.
config::Config shop_config() {
  config::Config out;
  out.node.addresses = {ip("10.10.2.1")};
  out.clusters = {{"web", std::nullopt, {{ip("10.10.2.11"), 8080, 1}, {ip("10.10.2.12"), 8080, 1}}},
                  {"api", std::nullopt, {{ip("10.10.2.21"), 8080, 1}, {ip("10.10.2.22"), 8080, 3}}}};
  config::Listener shop = make_listener("shop", "10.96.0.20", 80, "");
  shop.mode = control::ListenerMode::proxy;
  shop.application = config::Application::http;
  shop.virtual_hosts = {{"all", {"*"}, {route_to("/api", "api"), route_to("/", "web")}}};
  shop.virtual_hosts[0].routes[0].name = "api";
  out.listeners = {shop};
  return out;
}

Compiled compiled(Compiler& compiler, const config::Config& config, const Draining& draining = {},
                  const Health& health = {}) {
  auto result = compiler.compile(config, draining, health);
  if (!result.ok())
    for (const Problem& problem : result.error()) ADD_FAILURE() << problem.text();
  return result.ok() ? std::move(result).value() : Compiled{};
}

/// The snapshot as the dataplane has it.
struct Taken {
  explicit Taken(const Compiled& c) : image{ByteView{control::write_snapshot(c.content, 1)}} {
    auto opened = control::SnapshotView::open(image.bytes());
    EXPECT_TRUE(opened.ok()) << opened.error().text();
    if (opened.ok()) view = *opened;
    auto loaded = route::ListenerTables::load(view);
    EXPECT_TRUE(loaded.ok()) << loaded.error().text();
    if (loaded.ok()) tables = std::move(*loaded);
  }
  route::Image image;
  control::SnapshotView view;
  route::ListenerTables tables;
};

TEST(HttpCompile, requests_reach_the_clusters_that_the_configuration_names) {
  Compiler compiler;
  const Taken taken{compiled(compiler, shop_config())};
  const control::ListenerRecord& listener = taken.view.listeners()[0];
  EXPECT_EQ(listener.cluster, control::kNoIndex);
  const auto& http = taken.view.http_listeners()[listener.http];
  route::Scratch scratch;
  ASSERT_TRUE(route::grow(scratch, taken.tables).ok());
  const auto cluster_of = [&](std::string_view path) {
    const auto found = route::match(taken.tables[listener.http], {"h", path, "", "GET", "http", {}}, scratch, 0);
    return taken.view.route_clusters_of(http)[found.cluster];
  };
  EXPECT_EQ(cluster_of("/api/v1"), 1u);
  EXPECT_EQ(cluster_of("/index"), 0u);
}

TEST(HttpCompile, policies_and_times_reach_the_snapshot) {
  config::Config config = shop_config();
  config.listeners[0].http = {config::seconds{1},
                              config::seconds{2},
                              config::seconds{3},
                              4,
                              5,
                              control::SenderList::replace,
                              control::SenderList::append,
                              6,
                              true,
                              7,
                              4096,
                              "edge"};
  config::Cluster& web = config.clusters[0];
  web.lb_policy = control::LbPolicy::ring_hash;
  web.ring_size = 64;
  web.hash_policy = {{control::HashSource::header, "x-user", true}, {control::HashSource::source_ip, "", false}};
  web.circuit_breakers = {1, 2, 3, 4, config::RetryBudget{5, 6}};
  web.outlier_detection = config::OutlierDetection{7, 8, config::seconds{9}, config::seconds{10}, 11};
  web.max_requests_per_connection = 12;
  web.idle_timeout = config::seconds{13};
  web.connect_timeout = config::seconds{14};
  web.slow_start = config::SlowStart{config::seconds{15}, 150, 20};
  Compiler compiler;
  const Taken taken{compiled(compiler, config)};
  const auto& http = taken.view.http_listeners()[0];
  EXPECT_EQ(http.header_timeout_ms, 1000u);
  EXPECT_EQ(http.idle_timeout_ms, 2000u);
  EXPECT_EQ(http.stream_idle_ms, 3000u);
  EXPECT_EQ(http.requests_max, 4u);
  EXPECT_EQ(http.access_log_samples, 5u);
  EXPECT_EQ(http.x_forwarded_for, control::SenderList::replace);
  EXPECT_EQ(http.forwarded, control::SenderList::append);
  EXPECT_EQ(http.trusted_hops, 6u);
  EXPECT_EQ(http.flags, control::kHttpTrace);
  EXPECT_EQ(http.trace_samples, 7u);
  EXPECT_EQ(http.max_body_octets, 4096u);
  EXPECT_EQ(taken.view.text(http.via), "edge");
  const auto& policy = taken.view.policy_of(0);
  EXPECT_EQ(policy.lb_policy, control::LbPolicy::ring_hash);
  ASSERT_EQ(taken.view.hash_policies_of(policy).size(), 2u);
  EXPECT_EQ(taken.view.text(taken.view.hash_policies_of(policy)[0].name), "x-user");
  EXPECT_EQ(taken.view.ring_of(policy).size(), 64u);
  EXPECT_EQ(policy.max_pending_requests, 2u);
  EXPECT_EQ(policy.retry_budget_percent, 5u);
  EXPECT_EQ(policy.retry_min_concurrency, 6u);
  EXPECT_EQ(policy.max_requests_per_connection, 12u);
  EXPECT_EQ(policy.idle_timeout_ms, 13'000u);
  EXPECT_EQ(policy.connect_timeout_ms, 14'000u);
  EXPECT_EQ(policy.slow_start.window_ms, 15'000u);
  EXPECT_EQ(policy.slow_start.aggression_percent, 150u);
  EXPECT_EQ(policy.slow_start.min_weight_percent, 20u);
  EXPECT_EQ(policy.outlier.consecutive_gateway_failure, 8u);
  EXPECT_EQ(policy.outlier.max_ejection_percent, 11u);
  EXPECT_EQ(taken.view.policy_of(1).lb_policy, control::LbPolicy::round_robin);
}

TEST(HttpCompile, policies_of_requests_reach_the_snapshot) {
  config::Config config = shop_config();
  config.clusters.push_back({"copies", std::nullopt, {{ip("10.10.2.31"), 8080, 1}}});
  config::Listener& shop = config.listeners[0];
  route::VirtualHost& host = shop.virtual_hosts[0];
  host.routes.insert(host.routes.begin(), route_to("/bare", "web"));
  shop.http.client_rate_limit = route::RateLimit{.requests = 10, .per_ms = 2000, .burst = 7};
  host.authorization = route::Authorization{{{.action = control::PolicyAction::allow,
                                              .sources = {*IpPrefix::parse("10.0.0.0/8")},
                                              .methods = {"GET"},
                                              .paths = {"/a"},
                                              .prefixes = {"/b"},
                                              .headers = {{control::TermKind::header_exact, "x-a", "1", true}}}},
                                            control::PolicyAction::deny};
  host.routes[1].policy.rate_limit = route::RateLimit{.requests = 4};
  host.routes[2].policy = {.authorization = route::Authorization{{}, control::PolicyAction::allow},
                           .fault = route::Fault{100, 25, 500, 50, {{control::TermKind::header_present, "x-f"}}},
                           .mirror = route::Mirror{"copies", 10},
                           .max_request_body = 5000};
  host.authorization->rules.push_back({.action = control::PolicyAction::ask});
  host.authorization->ask = route::AskPolicy{
      .rules = {{{.action = control::PolicyAction::allow, .paths = {"/x"}, .headers = {{.name = "x-b"}}}, 5}},
      .deadline_ms = 70};
  Compiler compiler;
  const Taken taken{compiled(compiler, config)};
  const control::PolicyTables& tables = taken.view.policies();
  const auto& http = taken.view.http_listeners()[0];
  const auto routes = taken.view.route_policies_of(http);
  ASSERT_EQ(routes.size(), 3u);
  const auto& bare = tables.policies[routes[0]];
  const auto& limited = tables.policies[routes[1]];
  const auto& own = tables.policies[routes[2]];
  for (const auto* policy : {&bare, &limited}) {
    EXPECT_EQ(policy->otherwise, control::PolicyAction::deny);
    ASSERT_EQ(policy->rule_count, 2u);
    const auto& target = tables.question_targets[policy->ask];
    EXPECT_EQ(target.id, question_id(*host.authorization->ask));
    EXPECT_EQ(target.deadline_ms, 70u);
    EXPECT_EQ(target.facts, control::kFactPath);
    ASSERT_EQ(target.header_count, 1u);
    EXPECT_EQ(tables.text(tables.question_headers[target.first_header]), "x-b");
    EXPECT_EQ(tables.rules[policy->first_rule].term_count, 5u);
  }
  const auto& term = tables.terms[tables.rules[bare.first_rule].first_term + 4];
  EXPECT_EQ(tables.text(term.name), "x-a");
  EXPECT_EQ(term.flags, control::kTermInvert);
  EXPECT_EQ(tables.rate_limits[limited.rate_limit].token_ns, 250'000'000u);
  EXPECT_EQ(tables.rate_limits[limited.rate_limit].burst, 4u);
  EXPECT_EQ(own.rule_count, 0u);
  EXPECT_EQ(own.delay_millionths, 250'000u);
  EXPECT_EQ(own.abort_status, 500u);
  EXPECT_EQ(own.fault_term_count, 1u);
  EXPECT_EQ(own.mirror_cluster, 2u);
  EXPECT_EQ(own.mirror_millionths, 100'000u);
  EXPECT_EQ(own.max_body_octets, 5000u);
  EXPECT_EQ(limited.max_body_octets, 0u) << "the listener's holds";
  EXPECT_EQ(tables.rate_limits[tables.policies[http.policy].client_rate_limit].burst, 7u);
}

TEST(HttpCompile, proxy_headers_take_a_tcp_connection_through_the_http_proxy) {
  config::Config config = shop_config();
  config::Listener tcp = make_listener("tcp", "10.96.0.21", 80, "web");
  tcp.mode = control::ListenerMode::proxy;
  config.listeners.push_back(tcp);
  Compiler compiler;
  const auto flags = [&](std::size_t listener) {
    return Taken{compiled(compiler, config)}.view.listeners()[listener].flags;
  };
  EXPECT_EQ(flags(1), 0u);
  config.listeners[1].proxy_protocol = config.listeners[0].proxy_protocol = true;
  EXPECT_EQ(flags(0), control::kListenerProxyProtocol);
  EXPECT_EQ(flags(1), control::kListenerProxyProtocol | control::kListenerTunnel);
  config.listeners[1].proxy_protocol = config.listeners[0].proxy_protocol = false;
  config.clusters[0].proxy_protocol = control::ProxyProtocol::v1;
  EXPECT_EQ(flags(0), 0u) << "its requests tell";
  EXPECT_EQ(flags(1), control::kListenerTunnel);
}

TEST(HttpCompile, a_listener_says_how_deep_its_connections_may_sink) {
  config::Config config = shop_config();
  config.listeners.push_back(make_listener("tcp", "10.96.0.21", 80, "web"));
  Compiler compiler;
  const auto flags = [&](std::size_t listener) {
    return Taken{compiled(compiler, config)}.view.listeners()[listener].flags;
  };
  EXPECT_EQ(flags(0), 0u) << "requests are routed one by one";
  EXPECT_EQ(flags(1), control::kListenerForward);
  config.listeners[1].xdp_forwarding = false;
  EXPECT_EQ(flags(1), 0u);
  config.listeners[1].mode = control::ListenerMode::proxy;
  config.listeners[1].splice = config.listeners[1].xdp_forwarding = true;
  EXPECT_EQ(flags(1), control::kListenerSplice);
}

TEST(HttpCompile, cookies_name_endpoints_by_a_secret) {
  config::Config config = shop_config();
  config.clusters[0].session_affinity = config::SessionAffinity{"at", config::milliseconds{1500}, "/x", ""};
  Compiler compiler, other;
  const auto named = [&](Compiler& by) { return compiled(by, config).content.endpoints; };
  const auto mine = named(compiler);
  EXPECT_NE(mine[0].affinity, 0u);
  EXPECT_NE(mine[0].affinity, mine[1].affinity);
  EXPECT_EQ(mine[2].affinity, 0u) << "another cluster";
  EXPECT_NE(named(other)[0].affinity, mine[0].affinity) << "each daemon has its secret";
  ASSERT_TRUE(other.restore_ids(compiler.save_ids()).ok());
  EXPECT_EQ(named(other)[0].affinity, mine[0].affinity);
  config.clusters[0].endpoints.erase(config.clusters[0].endpoints.begin());
  EXPECT_EQ(named(compiler)[0].affinity, mine[1].affinity) << "it stays with the endpoint";
  config.clusters[0].session_affinity->key = "shared";
  Compiler third;
  EXPECT_EQ(named(third)[0].affinity, named(compiler)[0].affinity) << "nodes with one key agree";
  const Taken taken{compiled(compiler, config)};
  const control::AffinityRecord& rule = taken.view.policy_of(0).affinity;
  EXPECT_EQ(taken.view.text(rule.cookie), "at");
  EXPECT_EQ(taken.view.text(rule.path), "/x");
  EXPECT_EQ(rule.ttl_s, 2u);
}

TEST(HttpCompile, counter_blocks_stay_with_their_names) {
  config::Config config = shop_config();
  Compiler compiler;
  const Compiled first = compiled(compiler, config);
  ASSERT_EQ(first.http_slots.size(), 6u) << "shared, two clusters, two routes, the listener";
  EXPECT_EQ(first.http_slots[0], HttpSlotInfo{});
  auto& routes = config.listeners[0].virtual_hosts[0].routes;
  routes.insert(routes.begin(), route_to("/new", "web"));
  const Compiled second = compiled(compiler, config);
  EXPECT_EQ(second.content.route_slots[1], first.content.route_slots[0]) << "the route named api";
  EXPECT_NE(second.content.route_slots[1], 0u);
  EXPECT_EQ(second.content.http_listeners[0].http_slot, first.content.http_listeners[0].http_slot);

  Compiler successor;
  ASSERT_TRUE(successor.restore_ids(compiler.save_ids()).ok());
  EXPECT_EQ(compiled(successor, config).content.route_slots, second.content.route_slots);
  EXPECT_FALSE(successor.restore_ids(compiler.save_ids() + "nonsense\n").ok());
}

TEST(HttpCompile, saved_ids_that_are_not_whole_change_nothing) {
  config::Config config = shop_config();
  config.clusters[0].session_affinity = config::SessionAffinity{"at", config::milliseconds{0}, "/", ""};
  auto& routes = config.listeners[0].virtual_hosts[0].routes;
  for (const char* name : {"+++", "---"}) routes.push_back(route_to("/" + std::string{name}, "web"));
  routes[routes.size() - 2].name = "+++";  // as the lines between the parts
  routes.back().name = "---";
  Compiler compiler, successor;
  const auto cookie_of = [&](Compiler& by) { return compiled(by, config).content.endpoints[0].affinity; };
  const std::uint64_t mine = cookie_of(compiler), its_own = cookie_of(successor);
  ASSERT_NE(mine, its_own);
  const std::string saved = compiler.save_ids();
  for (std::size_t octets = 0; octets < saved.size(); ++octets)
    EXPECT_FALSE(successor.restore_ids(saved.substr(0, octets)).ok()) << "cut at " << octets;
  for (std::size_t at = 0; at < saved.size(); ++at) {
    std::string changed = saved;
    changed[at] = static_cast<char>(changed[at] ^ 1);
    EXPECT_FALSE(successor.restore_ids(changed).ok()) << "changed at " << at;
  }
  EXPECT_FALSE(successor.restore_ids(saved + saved).ok());
  EXPECT_EQ(cookie_of(successor), its_own) << "sessions go on by the secret that it has";
  ASSERT_TRUE(successor.restore_ids(saved).ok());
  EXPECT_EQ(cookie_of(successor), mine);
}

TEST(HttpCompile, more_names_than_counter_blocks_share_the_first) {
  config::Config config = shop_config();
  for (std::size_t i = 0; i < control::kHttpSlotMax; ++i)
    config.listeners[0].virtual_hosts[0].routes.insert(config.listeners[0].virtual_hosts[0].routes.begin(),
                                                       route_to("/" + std::to_string(i), "web"));
  Compiler compiler;
  const Compiled c = compiled(compiler, config);
  EXPECT_EQ(c.http_slots.size(), control::kHttpSlotMax);
  EXPECT_EQ(c.content.route_slots.back(), 0u);
  EXPECT_EQ(control::SnapshotView::open(control::write_snapshot(c.content, 1)).ok(), true);
}

TEST(HttpCompile, a_table_that_did_not_change_is_not_compiled_again) {
  RouteTables tables;
  config::Config config = shop_config();
  const auto first = tables.get(config.listeners[0]);
  ASSERT_TRUE(first.ok());
  config.listeners[0].http.idle_timeout = config::seconds{1};
  EXPECT_EQ(*tables.get(config.listeners[0]), *first);
  EXPECT_EQ(tables.compiled(), 1u);
  config.listeners[0].virtual_hosts[0].domains = {"a.example"};
  EXPECT_NE(*tables.get(config.listeners[0]), *first);
  EXPECT_EQ(tables.compiled(), 2u);
}

TEST(HttpCompile, only_hosts_whose_expressions_changed_are_compiled_again) {
  config::Config config = shop_config();
  config::Listener other = config.listeners[0];
  config::Listener& shop = config.listeners[0];
  other.name = "other";
  for (const char* expression : {"/a[0-9]+/b(c|d)+", "/x[a-f]*y"}) {
    route::Route route = route_to("/", "web");
    route.match.path = {route::PathKind::regex, expression, false};
    shop.virtual_hosts.push_back({expression, {"h" + std::to_string(shop.virtual_hosts.size())}, {route}});
  }
  other.virtual_hosts.push_back(shop.virtual_hosts[1]);
  RouteTables tables;
  ASSERT_TRUE(tables.get(shop).ok());
  ASSERT_TRUE(tables.get(other).ok());
  tables.forget_unused();
  const std::size_t before = tables.databases();
  EXPECT_EQ(before, 3u) << "two hosts of the one listener, one of the other";
  shop.virtual_hosts[2].routes[0].match.path.value = "/x[a-f]*z";
  ASSERT_TRUE(tables.get(shop).ok());
  ASSERT_TRUE(tables.get(other).ok());
  EXPECT_EQ(tables.databases(), before + 1);
}

TEST(HttpCompile, a_table_that_the_router_refuses_is_a_problem_of_its_listener) {
  config::Config config = shop_config();
  config.listeners[0].virtual_hosts[0].routes[0].match.path.value = "no slash";
  Compiler compiler;
  const auto result = compiler.compile(config);
  ASSERT_FALSE(result.ok());
  EXPECT_NE(result.error()[0].text().find("listener `shop`: virtual host \"all\": route 0"), std::string::npos)
      << result.error()[0].text();
}

TEST(HttpCompile, a_removed_listener_of_http_drains_with_its_routes) {
  const config::Config before = shop_config();
  config::Config after = before;
  after.listeners.clear();
  after.clusters.clear();
  Compiler compiler;
  compiled(compiler, before);
  const Compiled c = compiled(compiler, after, removed_between(before, after));
  const Taken taken{c};
  ASSERT_EQ(taken.view.listeners().size(), 1u);
  EXPECT_EQ(taken.view.listeners()[0].flags, control::kListenerDraining);
  EXPECT_EQ(taken.tables[0].view().route_count(), 2u);
  EXPECT_TRUE(c.fallback.services.empty());
}

TEST(HttpCompile, the_kernel_path_has_the_cluster_that_the_listener_names) {
  config::Config config = shop_config();
  Compiler compiler;
  EXPECT_TRUE(compiled(compiler, config).fallback.services[0].endpoints.empty());
  config.listeners[0].cluster = "api";
  const Compiled c = compiled(compiler, config);
  EXPECT_EQ(c.fallback.services[0].endpoints.size(), 2u);
  EXPECT_EQ(c.content.listeners[0].cluster, 1u);
}

Health unhealthy(const std::vector<std::pair<const char*, const char*>>& endpoints) {
  Health out;
  for (const auto& [cluster, address] : endpoints) out.unhealthy.emplace(cluster, ip(address), 8080);
  return out;
}
std::vector<std::uint16_t> table_of(const Compiled& c, std::size_t cluster) {
  const control::ClusterRecord& record = c.content.clusters[cluster];
  return {c.content.maglev.begin() + record.maglev_offset,
          c.content.maglev.begin() + record.maglev_offset + record.maglev_size};
}

TEST(HealthCompile, an_unhealthy_endpoint_leaves_the_table_and_keeps_its_weight) {
  config::Config config = shop_config();
  config.listeners[0].cluster = "api";
  Compiler compiler;
  const Compiled all = compiled(compiler, config);
  const Compiled c = compiled(compiler, config, {}, unhealthy({{"api", "10.10.2.21"}}));
  EXPECT_EQ(c.content.endpoints[2].health, control::EndpointHealth::unhealthy);
  EXPECT_EQ(c.content.endpoints[2].weight, 1u);
  EXPECT_FALSE(c.endpoints[2].healthy);
  EXPECT_EQ(c.content.clusters[1].flags, 0u);
  const auto table = table_of(c, 1);
  EXPECT_EQ(table.size(), table_of(all, 1).size());
  EXPECT_EQ(std::count(table.begin(), table.end(), 0), 0);
  EXPECT_EQ(table_of(c, 0), table_of(all, 0)) << "the other cluster is as it was";
  ASSERT_EQ(c.fallback.services[0].endpoints.size(), 1u) << "nor does the kernel path use it";
  const Taken taken{c};
}

TEST(HealthCompile, below_the_panic_threshold_all_endpoints_are_used) {
  config::Config config = shop_config();
  Compiler compiler;
  const Compiled c = compiled(compiler, config, {}, unhealthy({{"api", "10.10.2.22"}}));
  EXPECT_EQ(c.content.clusters[1].flags, control::kClusterPanic) << "3 of 4 of the weight";
  const auto table = table_of(c, 1);
  EXPECT_GT(std::count(table.begin(), table.end(), 1), 0);
  const Taken taken{c};
  config.clusters[1].panic_threshold = 0;
  const Compiled strict = compiled(compiler, config, {}, unhealthy({{"api", "10.10.2.21"}, {"api", "10.10.2.22"}}));
  EXPECT_EQ(strict.content.clusters[1].flags, 0u);
  EXPECT_TRUE(table_of(strict, 1).empty());
  const Taken taken_strict{strict};
}

TEST(Ring, points_are_shared_by_weight_and_leave_with_their_endpoint) {
  std::vector<config::Endpoint> endpoints{{ip("10.0.0.1"), 80, 1}, {ip("10.0.0.2"), 80, 3}, {ip("10.0.0.3"), 80, 0}};
  const auto ring = build_ring(endpoints, 1000);
  EXPECT_EQ(ring.size(), 1000u);
  EXPECT_EQ(std::count_if(ring.begin(), ring.end(), [](const auto& p) { return p.endpoint == 0; }), 250);
  EXPECT_TRUE(std::is_sorted(ring.begin(), ring.end(), [](const auto& a, const auto& b) { return a.hash < b.hash; }));
  endpoints[0].weight = 0;
  const auto without = build_ring(endpoints, 750);
  std::size_t at = 0;
  for (const auto& point : ring) {
    if (point.endpoint == 0) continue;
    ASSERT_LT(at, without.size());
    EXPECT_EQ(without[at++].hash, point.hash);
  }
  EXPECT_TRUE(build_ring({}, 100).empty());
}

}  // namespace
}  // namespace penstock::compile
