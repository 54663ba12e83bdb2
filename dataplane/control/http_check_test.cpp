#include <gtest/gtest.h>

#include <functional>

#include "dataplane/control/http_stats.h"
#include "dataplane/control/limits.h"
#include "dataplane/control/snapshot_seed_test_support.h"
#include "dataplane/control/snapshot_view.h"
#include "dataplane/control/snapshot_writer.h"

namespace penstock::control {
namespace {

IpAddress ip(const char* text) { return IpAddress::parse(text).value(); }

EndpointRecord endpoint(const char* address, std::uint32_t number) {
  return {ip(address), Be16::from_host(8080), 1, 200 + number, 50 + number};
}

/// One listener whose routes know two clusters, the second with a ring and two hash policies.
SnapshotContent example() {
  SnapshotContent c;
  c.node = default_node_record();
  c.node_addresses = {ip("10.10.2.1")};
  c.endpoints = {endpoint("10.10.2.11", 0), endpoint("10.10.2.12", 1)};
  c.clusters = {{1, 0, 1, 0, 3, 0}, {2, 1, 1, 3, 3, 0}};
  c.maglev = {0, 0, 0, 0, 0, 0};
  ListenerRecord listener{};
  listener.address = ip("10.96.0.10");
  listener.port = Be16::from_host(80);
  listener.proto = IpProto::tcp;
  listener.mode = ListenerMode::proxy;
  listener.id = 100;
  listener.cluster = kNoIndex;
  listener.http = 0;
  c.listeners = {listener};
  HttpListenerRecord http{0, 0, 0, 2, 0, 3, 1, 10'000, 60'000, 300'000, 0, kPerMillion};
  const std::vector<std::byte> image(100, std::byte{7});
  add_route_image(c, image, http);
  c.http_listeners = {http};
  c.route_clusters = {1, 0};
  c.route_slots = {2, 3, 0};
  c.cluster_policies.resize(2);
  c.cluster_policies[1].lb_policy = LbPolicy::ring_hash;
  c.cluster_policies[1].hash_policy_count = 2;
  c.cluster_policies[1].ring_point_count = 2;
  c.hash_policies = {{HashSource::header, kHashTerminal, 0, add_text(c, "x-user")}, {HashSource::source_ip, 0, 0, {}}};
  c.rings = {{5, 0}, {9, 0}};
  const IpAddress none{};
  c.policy_terms = {{TermKind::source, 0, 8, 0, {}, {}, ip("10.0.0.0")},
                    {TermKind::header_exact, kTermInvert, 0, 0, add_text(c, "x-a"), add_text(c, "b"), none}};
  c.authorization_rules = {{0, 2, PolicyAction::deny, {}}};
  c.rate_limits = {{7, 1000, 10, 0}};
  c.http_policies = {{.rule_count = 1, .client_rate_limit = 0}, {.first_fault_term = 1, .fault_term_count = 1}};
  c.http_policies[1].delay_millionths = c.http_policies[1].abort_millionths = 10;
  c.http_policies[1].delay_ms = 5;
  c.http_policies[1].abort_status = 503;
  c.http_policies[1].mirror_cluster = 1;
  c.question_headers = {add_text(c, "cookie")};
  c.question_targets = {{5, 100, PolicyAction::deny, kFactPath, 0, 0, 1}};
  c.http_policies[0].ask = 0;
  c.route_policies = {kNoPolicy, 0, 1};
  c.http_listeners[0].policy = 0;
  return c;
}

std::string error_of(const SnapshotContent& content) {
  const std::vector<std::byte> bytes = write_snapshot(content, 1);
  const auto view = SnapshotView::open(bytes);
  return view.ok() ? "" : view.error().text();
}

TEST(HttpSnapshot, a_listener_of_http_reads_back_as_it_was) {
  const std::vector<std::byte> bytes = write_snapshot(example(), 1);
  const auto opened = SnapshotView::open(bytes);
  ASSERT_TRUE(opened.ok()) << opened.error().text();
  const SnapshotView& view = *opened;
  ASSERT_EQ(view.http_listeners().size(), 1u);
  const HttpListenerRecord& http = view.http_listeners()[view.listeners()[0].http];
  EXPECT_EQ(view.route_image_of(http).size(), 100u);
  EXPECT_EQ(view.route_image_of(http)[99], std::byte{7});
  EXPECT_EQ(view.route_clusters_of(http)[0], 1u);
  EXPECT_EQ(view.route_slots_of(http)[1], 3u);
  EXPECT_EQ(view.policy_of(0).lb_policy, LbPolicy::round_robin);
  const ClusterPolicyRecord& ring = view.policy_of(1);
  ASSERT_EQ(view.hash_policies_of(ring).size(), 2u);
  EXPECT_EQ(view.text(view.hash_policies_of(ring)[0].name), "x-user");
  EXPECT_EQ(view.ring_of(ring)[1].hash, 9u);
}

TEST(HttpSnapshot, seeds_of_the_fuzzer_have_todays_records) {
  SnapshotContent c = example();
  test::expect_seed("http", c);
  c.http_listeners[0].max_body_octets = 1000;
  c.http_listeners[0].connect_allow = add_text(c, "*.db.example:5432\n");
  c.http_listeners[0].connect_cluster = 1;
  c.http_policies[1].max_body_octets = 5000;
  c.cluster_policies[0].slow_start = {30'000, 150, 20};
  c.cluster_policies[1].affinity = {add_text(c, "at"), add_text(c, "/"), 60};
  c.endpoints[1].affinity = 0xa1;
  test::expect_seed("http_sessions", c);
}

TEST(HttpSnapshot, clusters_without_a_policy_get_the_defaults) {
  SnapshotContent c = example();
  c.cluster_policies.clear();
  c.rings.clear();
  const std::vector<std::byte> bytes = write_snapshot(c, 1);
  const auto view = SnapshotView::open(bytes);
  ASSERT_TRUE(view.ok()) << view.error().text();
  EXPECT_EQ(view->policy_of(1).max_requests, 1024u);
}

struct Row {
  const char* name;
  std::function<void(SnapshotContent&)> damage;
  const char* error;
};
const Row kRows[] = {
    {"no such http", [](auto& c) { c.listeners[0].http = 1; }, "snapshot: listeners[0]: http 1 does not exist"},
    {"l4", [](auto& c) { c.listeners[0].mode = ListenerMode::l4; }, "snapshot: listeners[0]: HTTP without mode proxy"},
    {"no cluster, no http", [](auto& c) { c.listeners[0].http = kNoIndex; },
     "snapshot: listeners[0]: cluster 4294967295 does not exist"},
    {"table offset", [](auto& c) { c.http_listeners[0].table_offset = 32; },
     "snapshot: http_listeners[0]: route table is not at a multiple of 64"},
    {"table empty", [](auto& c) { c.http_listeners[0].table_octets = 0; },
     "snapshot: http_listeners[0]: route table is empty or ends behind its section"},
    {"table wraps", [](auto& c) { c.http_listeners[0].table_offset = ~std::uint64_t{63}; },
     "snapshot: http_listeners[0]: route table is empty or ends behind its section"},
    {"clusters", [](auto& c) { c.http_listeners[0].cluster_count = 3; },
     "snapshot: http_listeners[0]: clusters of the route table end behind their section"},
    {"cluster", [](auto& c) { c.route_clusters[1] = 2; }, "snapshot: http_listeners[0]: cluster 2 does not exist"},
    {"routes", [](auto& c) { c.http_listeners[0].first_route = 1; },
     "snapshot: http_listeners[0]: routes end behind their section"},
    {"route slot", [](auto& c) { c.route_slots[2] = kHttpSlotMax; }, "snapshot: route_slots[2]: is not below 2048"},
    {"slot", [](auto& c) { c.http_listeners[0].http_slot = kHttpSlotMax; },
     "snapshot: http_listeners[0]: http_slot is not below 2048"},
    {"time", [](auto& c) { c.http_listeners[0].header_timeout_ms = 0; },
     "snapshot: http_listeners[0]: a time is not 1..604800000 ms"},
    {"samples", [](auto& c) { c.http_listeners[0].access_log_samples = kPerMillion + 1; },
     "snapshot: http_listeners[0]: access_log_samples is above a million"},
    {"senders", [](auto& c) { c.http_listeners[0].forwarded = SenderList{3}; },
     "snapshot: http_listeners[0]: rule for a list of senders is unknown"},
    {"hops", [](auto& c) { c.http_listeners[0].trusted_hops = 17; },
     "snapshot: http_listeners[0]: trusted_hops is above 16"},
    {"listener flag", [](auto& c) { c.http_listeners[0].flags = 0x80; },
     "snapshot: http_listeners[0]: flag is unknown"},
    {"trace samples", [](auto& c) { c.http_listeners[0].trace_samples = kPerMillion + 1; },
     "snapshot: http_listeners[0]: trace_samples is above a million"},
    {"via",
     [](auto& c) {
       c.http_listeners[0].via = {3, 400};
     },
     "snapshot: http_listeners[0]: via ends behind its section"},
    {"CONNECT without a cluster",
     [](auto& c) {
       c.http_listeners[0].connect_allow = {0, 1};
       c.http_listeners[0].connect_cluster = 2;
     },
     "snapshot: http_listeners[0]: cluster 2 of CONNECT does not exist"},
    {"CONNECT beyond the texts",
     [](auto& c) {
       c.http_listeners[0].connect_allow = {1, kConnectAllowMax};
     },
     "snapshot: http_listeners[0]: targets of CONNECT are too long or end behind their section"},
    {"CONNECT to the other family",
     [](auto& c) {
       c.endpoints.push_back(endpoint("fd10::1", 2));
       c.clusters.push_back({3, 2, 1, 0, 0, 0});
       c.endpoints[2].weight = 0;
       c.http_listeners[0].connect_allow = {0, 1};
       c.http_listeners[0].connect_cluster = 2;
       c.cluster_policies.resize(3);
     },
     "snapshot: listeners[0]: a cluster that it uses has endpoints of the other address family"},
    {"listener's reserve", [](auto& c) { c.http_listeners[0].zero = 1; },
     "snapshot: http_listeners[0]: reserved field is not 0"},
    {"slow start", [](auto& c) { c.cluster_policies[0].slow_start.aggression_percent = 0; },
     "snapshot: cluster_policies[0]: slow start with a wrong time, aggression or weight"},
    {"cookie",
     [](auto& c) {
       c.cluster_policies[1].affinity.cookie = {0, kAffinityTextMax + 1};
     },
     "snapshot: cluster_policies[1]: text of affinity is too long or ends behind its section"},
    {"policies", [](auto& c) { c.cluster_policies.resize(3); },
     "snapshot: cluster_policies[0]: are not as many as there are clusters"},
    {"lb policy", [](auto& c) { c.cluster_policies[0].lb_policy = LbPolicy{5}; },
     "snapshot: cluster_policies[0]: lb_policy is unknown"},
    {"proxy protocol", [](auto& c) { c.cluster_policies[0].proxy_protocol = ProxyProtocol{3}; },
     "snapshot: cluster_policies[0]: proxy_protocol is unknown"},
    {"tunnel with HTTP", [](auto& c) { c.listeners[0].flags = kListenerTunnel; },
     "snapshot: listeners[0]: a tunnel without mode proxy, or with HTTP"},
    {"headers of nobody",
     [](auto& c) {
       c.listeners[0].http = kNoIndex;
       c.listeners[0].cluster = 0;
       c.listeners[0].flags = kListenerProxyProtocol;
     },
     "snapshot: listeners[0]: PROXY headers without HTTP or a tunnel"},
    {"choices", [](auto& c) { c.cluster_policies[0].choice_count = 1; },
     "snapshot: cluster_policies[0]: choice_count is below 2"},
    {"budget", [](auto& c) { c.cluster_policies[0].retry_budget_percent = 101; },
     "snapshot: cluster_policies[0]: retry_budget_percent is above 100"},
    {"connect", [](auto& c) { c.cluster_policies[0].connect_timeout_ms = 0; },
     "snapshot: cluster_policies[0]: a time is not 1..604800000 ms"},
    {"outlier",
     [](auto& c) {
       c.cluster_policies[0].outlier = {5, 0, 1000, 10, 10};
     },
     "snapshot: cluster_policies[0]: outlier detection with wrong times or percentage"},
    {"hash policies", [](auto& c) { c.cluster_policies[1].first_hash_policy = 1; },
     "snapshot: cluster_policies[1]: hash policies are too many or end behind their section"},
    {"hash source", [](auto& c) { c.hash_policies[0].source = HashSource{3}; },
     "snapshot: hash_policies[0]: source is unknown"},
    {"hash name", [](auto& c) { c.hash_policies[0].name.octets = 100; },
     "snapshot: hash_policies[0]: name ends behind its section"},
    {"hash without name", [](auto& c) { c.hash_policies[0].name.octets = 0; },
     "snapshot: hash_policies[0]: a header or cookie has a name, the source address has none"},
    {"no ring", [](auto& c) { c.cluster_policies[1].ring_point_count = 0; },
     "snapshot: cluster_policies[1]: ring_hash without a ring"},
    {"ring of nobody", [](auto& c) { c.cluster_policies[1].lb_policy = LbPolicy::random; },
     "snapshot: cluster_policies[1]: a ring without ring_hash or endpoints"},
    {"ring order", [](auto& c) { c.rings[1].hash = 4; }, "snapshot: rings[1]: is not in ascending order"},
    {"ring endpoint", [](auto& c) { c.rings[0].endpoint = 1; },
     "snapshot: rings[0]: is no endpoint that takes flows of clusters[1]"},
    {"family", [](auto& c) { c.endpoints[1].address = ip("fd10::1"); },
     "snapshot: listeners[0]: a cluster that it uses has endpoints of the other address family"},
    {"node address", [](auto& c) { c.node_addresses.clear(); },
     "snapshot: listeners[0]: HTTP without a node address of its family"},
    {"shared",
     [](auto& c) {
       c.listeners.push_back(c.listeners[0]);
       c.listeners[1].port = Be16::from_host(81);
       c.listeners[1].id = 101;
       c.listeners[1].stat_slot = 9;
     },
     "snapshot: listeners[1]: shares its http with another listener"},
};

const Row kPolicyRows[] = {
    {"kind", [](auto& c) { c.policy_terms[0].kind = TermKind{7}; }, "snapshot: policy_terms[0]: kind is unknown"},
    {"flag", [](auto& c) { c.policy_terms[0].flags = kTermInvert; },
     "snapshot: policy_terms[0]: flag is unknown, or not for this kind"},
    {"text", [](auto& c) { c.policy_terms[1].value.octets = 100; },
     "snapshot: policy_terms[1]: a text ends behind its section"},
    {"name", [](auto& c) { c.policy_terms[1].name.octets = 0; },
     "snapshot: policy_terms[1]: a header has a name, nothing else has"},
    {"bits", [](auto& c) { c.policy_terms[0].source_bits = 33; },
     "snapshot: policy_terms[0]: prefix is longer than an address"},
    {"host bits", [](auto& c) { c.policy_terms[0].source_bits = 4; },
     "snapshot: policy_terms[0]: prefix has bits beyond its length"},
    {"action", [](auto& c) { c.authorization_rules[0].action = PolicyAction{9}; },
     "snapshot: authorization_rules[0]: action is unknown"},
    {"terms", [](auto& c) { c.authorization_rules[0].term_count = 3; },
     "snapshot: authorization_rules[0]: terms end behind their section"},
    {"token", [](auto& c) { c.rate_limits[0].token_ns = 0; },
     "snapshot: rate_limits[0]: token_ns is not 1..3600000000000"},
    {"burst", [](auto& c) { c.rate_limits[0].burst = 0; }, "snapshot: rate_limits[0]: burst is not 1..1000000"},
    {"week",
     [](auto& c) {
       c.rate_limits[0] = {7, kTokenNsMax, 1000, 0};
     },
     "snapshot: rate_limits[0]: takes more than a week to fill"},
    {"rules", [](auto& c) { c.http_policies[0].first_rule = 1; },
     "snapshot: http_policies[0]: rules end behind their section"},
    {"deadline", [](auto& c) { c.question_targets[0].deadline_ms = 0; },
     "snapshot: question_targets[0]: deadline is not 1..604800000 ms"},
    {"default", [](auto& c) { c.question_targets[0].by_default = PolicyAction::ask; },
     "snapshot: question_targets[0]: default is unknown"},
    {"fact", [](auto& c) { c.question_targets[0].facts = 16; }, "snapshot: question_targets[0]: fact is unknown"},
    {"headers", [](auto& c) { c.question_targets[0].header_count = 2; },
     "snapshot: question_targets[0]: headers end behind their section"},
    {"header", [](auto& c) { c.question_headers[0].octets = 100; },
     "snapshot: question_targets[0]: a header's name ends behind its section"},
    {"target", [](auto& c) { c.http_policies[0].ask = 1; }, "snapshot: http_policies[0]: whom it asks does not exist"},
    {"nobody", [](auto& c) { c.authorization_rules[0].action = PolicyAction::external; },
     "snapshot: http_policies[0]: a rule asks nobody"},
    {"limit", [](auto& c) { c.http_policies[0].rate_limit = 1; },
     "snapshot: http_policies[0]: a rate limit does not exist"},
    {"fault terms", [](auto& c) { c.http_policies[1].first_fault_term = 2; },
     "snapshot: http_policies[1]: terms of the fault end behind their section"},
    {"fault term", [](auto& c) { c.http_policies[1].first_fault_term = 0; },
     "snapshot: http_policies[1]: a fault depends on something else than a header"},
    {"share", [](auto& c) { c.http_policies[1].mirror_millionths = kPerMillion + 1; },
     "snapshot: http_policies[1]: a share is above a million"},
    {"delay", [](auto& c) { c.http_policies[1].delay_ms = 0; },
     "snapshot: http_policies[1]: delay is not 1..604800000 ms"},
    {"status", [](auto& c) { c.http_policies[1].abort_status = 199; },
     "snapshot: http_policies[1]: status of the fault is not 200..599"},
    {"mirror", [](auto& c) { c.http_policies[1].mirror_cluster = 2; },
     "snapshot: http_policies[1]: the cluster of its mirror does not exist"},
    {"mirror of the other family",
     [](auto& c) {
       c.endpoints[1].address = ip("fd10::1");
       c.route_clusters = {0, 0};
     },
     "snapshot: listeners[0]: a mirror has endpoints of the other address family"},
    {"routes", [](auto& c) { c.route_policies.push_back(0); },
     "snapshot: route_policies[0]: are not as many as there are routes"},
    {"policy", [](auto& c) { c.route_policies[1] = 2; }, "snapshot: route_policies[1]: does not exist"},
    {"listener's policy", [](auto& c) { c.http_listeners[0].policy = 2; },
     "snapshot: http_listeners[0]: policy does not exist"},
};

TEST(HttpSnapshot, refuses_records_that_break_a_rule_and_names_them) {
  ASSERT_EQ(error_of(example()), "");
  for (const auto rows : {std::span<const Row>{kRows}, std::span<const Row>{kPolicyRows}})
    for (const Row& row : rows) {
      SnapshotContent c = example();
      row.damage(c);
      EXPECT_EQ(error_of(c), row.error) << row.name;
    }
}

TEST(HttpStats, buckets_are_powers_of_two) {
  EXPECT_EQ(latency_bucket(0), 0u);
  EXPECT_EQ(latency_bucket(1), 1u);
  EXPECT_EQ(latency_bucket(1023), 10u);
  EXPECT_EQ(latency_bucket(1024), 11u);
  EXPECT_EQ(latency_bucket(~std::uint64_t{0}), kLatencyBuckets - 1);
}

TEST(HttpStats, details_stand_in_the_order_of_their_numbers) {
  for (std::size_t i = 0; i < kResponseDetails.size(); ++i)
    EXPECT_EQ(static_cast<std::size_t>(kResponseDetails[i].detail), i);
}

TEST(HttpLimits, a_share_is_rounded_up_and_never_0) {
  EXPECT_EQ(share_of_limit(10, 4), 3u);
  EXPECT_EQ(share_of_limit(1, 16), 1u);
  EXPECT_EQ(share_of_limit(0, 4), 0u);
  EXPECT_EQ(share_of_limit(0xffffffff, 1), 0xffffffffu);
}

}  // namespace
}  // namespace penstock::control
