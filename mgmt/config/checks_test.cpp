// One row per problem: the text, and everything that is told about it.
#include <gtest/gtest.h>

#include <string>

#include "mgmt/config/loader.h"

namespace penstock::config {
namespace {

/// `text` stands behind the version, so its first line is line 2.
std::string told(const std::string& text) {
  const auto result = load_text("apiVersion: penstock/v1\n" + text, "f", Machine{{0, 1}});
  std::string out;
  if (!result.ok())
    for (const Problem& problem : result.error()) out += (out.empty() ? "" : "\n") + problem.text();
  return out;
}

struct Row {
  const char* name;
  std::string text;
  const char* problems;
};
class ConfigProblem : public testing::TestWithParam<Row> {};
TEST_P(ConfigProblem, is_told_with_place_and_remedy) { EXPECT_EQ(told(GetParam().text), GetParam().problems); }
std::string row_name(const testing::TestParamInfo<Row>& info) { return info.param.name; }

const Row kValueRows[] = {
    {"unknown_key_with_a_near_one", "nod: {}\n", "f:2:1: unknown key `nod` in configuration (did you mean `node`?)"},
    {"unknown_key", "colour: red\n",
     "f:2:1: unknown key `colour` in configuration (known keys: apiVersion, node, ports, clusters, listeners)"},
    {"unknown_key_below", "node: {limits: {flows: 5}}\n",
     "f:2:17: unknown key `flows` in limits (known keys: flows_per_worker, parked_flows, buffers_per_worker, "
     "receive_ring)"},
    {"key_twice", "node:\n  workers: 1\n  workers: 1\n",
     "f:4:3: key `workers` stands here a second time (keep one; the first is in line 3)"},
    {"map_expected", "node: 5\n", "f:2:7: node must be a map of keys and values (write `key: value` lines)"},
    {"list_expected", "ports: {name: a}\n", "f:2:8: `ports` must be a list (write [a, b] or one `- item` per line)"},
    {"value_expected", "node: {workers: [1]}\n",
     "f:2:17: `workers` must be one value, not a list (write an integer 1..16)"},
    {"no_value", "node:\n  workers:\n  fallback: true\n",
     "f:3:3: `workers` has no value (write an integer 1..16, or remove the key)"},
    {"required_key_missing", "ports:\n  - {queues: 1}\n", "f:3:5: port has no `name` (add `name: ...`)"},
    {"empty_item", "ports:\n  - {name: a}\n  -\n", "f:5:1: port is empty (give it its keys, or remove it)"},
    {"integer_expected", "node: {workers: two}\n",
     "f:2:17: `workers` must be an integer, not `two` (write a decimal number 1..16)"},
    {"integer_in_quotes", "node: {workers: \"1\"}\n",
     "f:2:17: `workers` must be an integer, not text in quotes (remove the quotes)"},
    {"integer_out_of_range", "node: {workers: 17}\n", "f:2:17: `workers` is 17, out of range (use 1..16)"},
    {"integer_beyond_64_bits", "node: {memory_mib: 99999999999999999999}\n",
     "f:2:20: `memory_mib` must be an integer, not `99999999999999999999` (write a decimal number 64..1048576)"},
    {"flag_expected", "node: {fallback: yes}\n",
     "f:2:18: `fallback` must be true or false, not `yes` (write true or false)"},
    {"duration_without_unit", "node: {watchdog: 10}\n",
     "f:2:18: `watchdog` has no unit (write ms, s, m or h behind the number, as 10s)"},
    {"duration_expected", "node: {watchdog: soon}\n",
     "f:2:18: `watchdog` must be a duration, not `soon` (write a whole number and ms, s, m or h, as 10s)"},
    {"duration_of_unknown_unit", "node: {watchdog: 10d}\n",
     "f:2:18: `watchdog` must be a duration, not `10d` (write a whole number and ms, s, m or h, as 10s)"},
    {"duration_too_long", "node: {watchdog: 2h}\n", "f:2:18: `watchdog` is 2h, out of range (use 1s to 1h)"},
    {"duration_too_short", "node: {heartbeat_limit: 1ms}\n",
     "f:2:25: `heartbeat_limit` is 1ms, out of range (use 10ms to 10s)"},
    {"duration_beyond_64_bits", "node: {watchdog: 9223372036854775807h}\n",
     "f:2:18: `watchdog` is 9223372036854775807h, out of range (use 1s to 1h)"},
    {"memory_without_unit", "node: {proxy: {buffer: 256}}\n",
     "f:2:24: `buffer` has no unit (write KiB or MiB behind the number, as 256KiB)"},
    {"memory_expected", "node: {proxy: {buffer: much}}\n",
     "f:2:24: `buffer` must be an amount of memory, not `much` (write a whole number and KiB or MiB, as 256KiB)"},
    {"memory_of_unknown_unit", "node: {proxy: {buffer: 1GiB}}\n",
     "f:2:24: `buffer` must be an amount of memory, not `1GiB` (write a whole number and KiB or MiB, as 256KiB)"},
    {"memory_too_small", "node: {proxy: {buffer: 15KiB}}\n",
     "f:2:24: `buffer` is 15KiB, out of range (use 16KiB to 16MiB)"},
    {"memory_too_large", "node: {proxy: {buffer: 17MiB}}\n",
     "f:2:24: `buffer` is 17MiB, out of range (use 16KiB to 16MiB)"},
    {"memory_beyond_64_bits", "node: {proxy: {buffer: 9223372036854775807MiB}}\n",
     "f:2:24: `buffer` is 9223372036854775807MiB, out of range (use 16KiB to 16MiB)"},
    {"unknown_key_of_proxy", "node: {proxy: {connections: 5}}\n",
     "f:2:16: unknown key `connections` in proxy (known keys: connections_per_worker, half_open_max, idle_timeout, "
     "connect_timeout, keepalive, buffer, time_wait, congestion)"},
    {"congestion", "node: {proxy: {congestion: bbr}}\n",
     "f:2:28: `congestion` cannot be `bbr` (use one of reno, cubic)"},
    {"choice_with_a_near_one", "node: {hugepages: of}\n", "f:2:19: `hugepages` cannot be `of` (did you mean `off`?)"},
    {"choice", "node: {hugepages: sometimes}\n",
     "f:2:19: `hugepages` cannot be `sometimes` (use one of auto, off, required)"},
    {"address_expected", "node: {addresses: [10.0.0.256]}\n",
     "f:2:20: `addresses`: `10.0.0.256` is no IP address (write it as 10.0.0.1 or \"fd00::1\")"},
    {"address_with_prefix", "node: {addresses: [10.0.0.1/24]}\n",
     "f:2:20: `addresses`: `10.0.0.1/24` is no IP address (leave out the prefix length)"},
    {"address_loopback", "node: {addresses: [127.0.0.1]}\n",
     "f:2:20: `addresses`: `127.0.0.1` cannot be reached from other hosts (use a unicast address that is neither "
     "loopback nor link-local)"},
    {"address_link_local", "node: {addresses: [\"fe80::1\"]}\n",
     "f:2:20: `addresses`: `fe80::1` cannot be reached from other hosts (use a unicast address that is neither "
     "loopback nor link-local)"},
    {"ports_expected", "node: {source_ports: 20000}\n",
     "f:2:22: `source_ports` must be a port range, not `20000` (write it as 16384-29999)"},
    {"ports_reversed", "node: {source_ports: 30000-20000}\n",
     "f:2:22: `source_ports` begins behind its end (write the lower port first)"},
    {"ports_privileged", "node: {source_ports: 80-20000}\n",
     "f:2:22: `source_ports` is 80-20000, out of range (use ports 1024 to 65535)"},
    {"ports_beyond", "node: {source_ports: 20000-70000}\n",
     "f:2:22: `source_ports` is 20000-70000, out of range (use ports 1024 to 65535)"},
    {"path_relative", "node: {runtime_dir: run/penstock}\n",
     "f:2:21: `runtime_dir` is `run/penstock`, not an absolute path (begin with '/')"},
    {"path_too_long", "node: {runtime_dir: /" + std::string(80, 'x') + "}\n",
     "f:2:21: `runtime_dir` has 81 characters (use at most 80)"},
    {"netns_relative", "ports: [{name: a, netns: ./b}]\n",
     "f:2:26: `netns` is `./b`, not a name or absolute path (begin with '/')"},
    {"interface_too_long", "ports: [{name: abcdefghijklmnop}]\n",
     "f:2:16: `abcdefghijklmnop` cannot be the name of an interface (use 1 to 15 characters without '/', ':' and "
     "blanks)"},
    {"queues_word", "ports: [{name: a, queues: all}]\n",
     "f:2:27: `queues` must be an integer, not `all` (write a decimal number 1..64)"},
    {"name_empty", "clusters: [{name: \"\", endpoints: []}]\n", "f:2:19: `name` is empty (write a name)"},
    {"name_too_long", "clusters: [{name: " + std::string(64, 'x') + ", endpoints: []}]\n",
     "f:2:19: `name` has 64 characters (use at most 63)"},
    {"name_with_blank", "clusters: [{name: a b, endpoints: []}]\n",
     "f:2:19: `name` has a character that names may not have: `a b` (use letters, digits, '.', '_' and '-')"},
    {"weight_out_of_range", "clusters: [{name: a, endpoints: [{address: 10.0.0.1, port: 1, weight: 1001}]}]\n",
     "f:2:71: `weight` is 1001, out of range (use 0..1000)"},
    {"port_zero", "clusters: [{name: a, endpoints: [{address: 10.0.0.1, port: 0}]}]\n",
     "f:2:60: `port` is 0, out of range (use 1..65535)"},
    {"alias", "clusters: [{name: a, endpoints: [{address: 10.0.0.1, port: *p}]}]\n",
     "f:2:60: YAML syntax: the referenced anchor is not defined (look at quotes, brackets and the indentation "
     "(spaces, no tabs) here and above)"},
};
INSTANTIATE_TEST_SUITE_P(Value, ConfigProblem, testing::ValuesIn(kValueRows), row_name);

const std::string kNode = "node: {addresses: [10.0.0.1, \"fd00::1\"]}\n";
/// Lines 3 to 5; listeners begin in line 6.
const std::string kServed = kNode +
                            "clusters:\n"
                            "  - {name: web, endpoints: [{address: 10.0.1.1, port: 80}]}\n"
                            "  - {name: web6, endpoints: [{address: \"fd00:1::1\", port: 80}]}\n";
std::string listener(const std::string& name, const std::string& rest) {
  return "  - {name: " + name + ", protocol: tcp, " + rest + "}\n";
}
const std::string kWeb = "address: 10.9.0.1, port: 80, cluster: web";

const Row kRelationRows[] = {
    {"no_problem", kServed + "listeners:\n" + listener("a", kWeb), ""},
    {"node_address_twice", "node: {addresses: [10.0.0.1, 10.0.0.1]}\n",
     "f:2:30: node address 10.0.0.1 is listed twice (keep one)"},
    {"cpu_twice", "node: {workers: 2, cpus: [0, 0]}\n",
     "f:2:30: CPU 0 is listed twice (give every worker a CPU of its own)"},
    {"cpu_not_there", "node: {cpus: [7]}\n",
     "f:2:15: CPU 7 is not there or not allowed (this process may use 2 CPUs, 0 to 1)"},
    {"cpus_and_workers", "node: {workers: 1, cpus: [0, 1]}\n",
     "f:2:26: 2 CPUs for 1 workers (list one CPU per worker, or none)"},
    {"workers_and_machine", "node: {workers: 3}\n", "f:2:17: 3 workers on 2 CPUs (use at most one worker per CPU)"},
    {"few_source_ports", "node: {source_ports: 20000-20100}\n",
     "f:2:22: 101 source ports for 1 workers (reserve at least 256 per worker)"},
    {"little_memory", "node: {memory_mib: 64, limits: {buffers_per_worker: 65536}}\n",
     "f:2:20: packet buffers need 160 MiB, memory_mib is 64 (raise memory_mib or lower limits.buffers_per_worker)"},
    {"ring_of_no_power_of_two", "node: {limits: {receive_ring: 3000}}\n",
     "f:2:31: a ring of 3000 frames is no power of two (use 2048 or 4096)"},
    {"little_memory_by_default", "node:\n  limits: {buffers_per_worker: 262144}\n",
     "f:3:3: packet buffers need 640 MiB, memory_mib is 256 (raise memory_mib or lower limits.buffers_per_worker)"},
    {"watchdog_before_heartbeat", "node: {watchdog: 1s, heartbeat_limit: 2s}\n",
     "f:2:18: watchdog 1s is not above heartbeat_limit 2s (raise watchdog: failing open comes first, the restart "
     "after)"},
    {"metrics_in_source_ports", "node: {metrics: {address: 0.0.0.0, port: 20000}}\n",
     "f:2:42: metrics port 20000 lies in source_ports, which the fast path owns (choose a port outside of "
     "16384-29999)"},
    {"more_proxied_connections_than_flows",
     "node: {limits: {flows_per_worker: 2048}, proxy: {connections_per_worker: 4096}}\n",
     "f:2:74: 4096 proxied connections, but limits.flows_per_worker is 2048 (raise limits.flows_per_worker: every "
     "proxied connection takes a flow)"},
    {"more_half_open_than_connections", "node: {proxy: {connections_per_worker: 64, half_open_max: 65}}\n",
     "f:2:59: half_open_max 65 is above connections_per_worker 64 (lower it: SYN cookies come before the table is "
     "full)"},
    {"hasty_keepalive", "node: {proxy: {keepalive: 500ms}}\n",
     "f:2:27: keepalive 500ms is below 1s (use 1s or more, or 0s for no probes)"},
    {"no_keepalive_and_few_of_everything_are_fine",
     "node: {limits: {flows_per_worker: 1024}, proxy: {keepalive: 0s, connections_per_worker: 16}}\n", ""},
    {"port_twice", "ports:\n  - {name: a}\n  - {name: a, netns: b}\n  - {name: a}\n",
     "f:5:12: port `a` is listed twice (keep one; the first is in line 3)"},
    {"large_frames_passed_on", kServed + "ports: [{name: a, large_frames: true}]\nlisteners:\n" + listener("a", kWeb),
     "f:6:33: listener `a` passes packets on, which large frames do not allow (give every listener `mode: proxy` or "
     "`protocol: http`, or remove `large_frames`)"},
    {"large_frames_that_end_here",
     kServed + "ports: [{name: a, large_frames: true}]\nlisteners:\n" + listener("a", kWeb + ", mode: proxy"), ""},
    {"cluster_twice", "clusters:\n  - {name: a, endpoints: []}\n  - {name: a, endpoints: []}\n",
     "f:4:12: cluster name `a` is used twice (rename one; the first is in line 3)"},
    {"endpoint_twice",
     "clusters:\n  - name: a\n    endpoints:\n      - {address: 10.0.0.1, port: 1}\n"
     "      - {address: 10.0.0.1, port: 1, weight: 2}\n",
     "f:6:19: endpoint 10.0.0.1:1 is listed twice in its cluster (keep one; the first is in line 5)"},
    {"maglev_size_not_prime", "clusters: [{name: a, maglev_table_size: 1000, endpoints: []}]\n",
     "f:2:41: maglev_table_size 1000 is not a prime (use a prime, as 1009)"},
    {"maglev_size_too_small",
     "clusters: [{name: a, maglev_table_size: 2, endpoints: [{address: 10.0.0.1, port: 1}, {address: 10.0.0.1, "
     "port: 2}, {address: 10.0.0.1, port: 3}]}]\n",
     "f:2:41: maglev_table_size 2 is below the 3 endpoints with weight (leave it out, or use about 100 slots per "
     "endpoint)"},
    {"listener_twice",
     kServed + "listeners:\n" + listener("a", kWeb) + listener("a", "address: 10.9.0.1, port: 81, cluster: web"),
     "f:8:12: listener name `a` is used twice (rename one; the first is in line 7)"},
    {"service_twice", kServed + "listeners:\n" + listener("a", kWeb) + listener("b", kWeb),
     "f:8:39: service tcp 10.9.0.1:80 already belongs to listener `a` (change address, port or protocol; the first is "
     "in line 7)"},
    {"same_port_of_another_protocol_is_fine",
     kServed + "listeners:\n" + listener("a", kWeb) + "  - {name: b, protocol: udp, " + kWeb + "}\n", ""},
    {"unknown_cluster_with_a_near_one",
     kServed + "listeners:\n" + listener("a", "address: 10.9.0.1, port: 80, cluster: wbe6"),
     "f:7:68: cluster `wbe6` does not exist (did you mean `web6`?)"},
    {"unknown_cluster", kServed + "listeners:\n" + listener("a", "address: 10.9.0.1, port: 80, cluster: mail"),
     "f:7:68: cluster `mail` does not exist (add it to `clusters`)"},
    {"families_differ", kServed + "listeners:\n" + listener("a", "address: 10.9.0.1, port: 80, cluster: web6"),
     "f:7:68: listener is IPv4, but cluster `web6` has the IPv6 endpoint [fd00:1::1]:80 (point it to a cluster of its "
     "own address family)"},
    {"endpoint_is_a_service", kServed + "listeners:\n" + listener("a", "address: 10.0.1.1, port: 80, cluster: web"),
     "f:7:68: endpoint 10.0.1.1:80 of cluster `web` is itself a service of this node (point the cluster to the servers "
     "behind that service)"},
    {"no_node_address",
     "node: {addresses: [\"fd00::1\"]}\nclusters: [{name: web, endpoints: []}]\nlisteners:\n" + listener("a", kWeb),
     "f:5:39: forwarding fullnat needs an IPv4 address of this node (add one to node.addresses, or use forwarding "
     "dnat)"},
    {"no_node_address_is_fine_with_dnat",
     "clusters: [{name: web, endpoints: []}]\nlisteners:\n" + listener("a", kWeb + ", forwarding: dnat"), ""},
    {"proxy", kServed + "listeners:\n" + listener("a", kWeb + ", mode: proxy"), ""},
    {"proxy_of_udp", kServed + "listeners:\n  - {name: a, protocol: udp, " + kWeb + ", mode: proxy}\n",
     "f:7:79: mode proxy ends TCP connections, but the protocol is udp (write `mode: l4`, or leave it out)"},
    {"proxy_with_dnat", kServed + "listeners:\n" + listener("a", kWeb + ", mode: proxy, forwarding: dnat"),
     "f:7:79: mode proxy connects to endpoints from a node address, but the forwarding is dnat (write `forwarding: "
     "fullnat`, or `mode: l4`)"},
    {"tiers",
     kServed + "listeners:\n" + listener("a", kWeb + ", xdp_forwarding: false") +
         "  - {name: b, protocol: tcp, address: 10.9.0.2, port: 80, cluster: web, mode: proxy, splice: true}\n",
     ""},
    {"xdp_forwarding_of_proxy", kServed + "listeners:\n" + listener("a", kWeb + ", mode: proxy, xdp_forwarding: false"),
     "f:7:102: `xdp_forwarding` is for connections that pass through, but the mode is proxy (write `mode: l4`, or "
     "remove it)"},
    {"splice_of_l4", kServed + "listeners:\n" + listener("a", kWeb + ", splice: true"),
     "f:7:81: `splice` is for connections that end here, but the mode is l4 (write `mode: proxy`, or remove it)"},
    {"splice_with_proxy_headers",
     kServed + "listeners:\n" + listener("a", kWeb + ", mode: proxy, proxy_protocol: accept, splice: true"),
     "f:7:118: `splice` does not go with PROXY headers, and `proxy_protocol` is accept (keep one of them)"},
    {"mode", kServed + "listeners:\n" + listener("a", kWeb + ", mode: prox"),
     "f:7:79: `mode` cannot be `prox` (did you mean `proxy`?)"},
    {"listener_in_source_ports",
     kServed + "listeners:\n" + listener("a", "address: 10.0.0.1, port: 20000, cluster: web"),
     "f:7:55: port 20000 on node address 10.0.0.1 lies in source_ports, which the fast path owns (choose a port "
     "outside of 16384-29999, or another address)"},
    {"ask_without_section", kServed + "listeners:\n" + listener("a", kWeb + ", policy: ask"),
     "f:7:81: policy ask without an `ask` section (add `ask: {default: deny, rules: [...]}`)"},
    {"ask_without_default_and_rules", kServed + "listeners:\n" + listener("a", kWeb + ", policy: ask, ask: {}"),
     "f:7:91: ask has no `default` (add `default: ...`)\nf:7:91: ask has no `rules` (add `rules: ...`)"},
    {"ask_with_empty_rules",
     kServed + "listeners:\n" + listener("a", kWeb + ", policy: ask, ask: {default: deny, rules: []}"),
     "f:7:114: policy ask without any rule (add a rule, or write the default as `policy`)"},
    {"ask_section_without_policy",
     kServed + "listeners:\n" +
         listener("a", kWeb + ", ask: {default: deny, rules: [{source: 10.0.0.0/8, decision: allow}]}"),
     "f:7:78: `ask` is given, but the policy is not ask (write `policy: ask`, or remove it)"},
    {"rule_with_host_bits",
     kServed + "listeners:\n" +
         listener("a", kWeb + ", policy: ask, ask: {default: deny, rules: [{source: 10.0.0.1/8, decision: allow}]}"),
     "f:7:124: `source`: `10.0.0.1/8` is no IP prefix (write it as 10.0.0.0/8 or \"fd00::/64\", without bits behind "
     "the prefix)"},
    {"rule_of_another_family",
     kServed + "listeners:\n" +
         listener("a", kWeb + ", policy: ask, ask: {default: deny, rules: [{source: \"fd00::/8\", decision: allow}]}"),
     "f:7:124: source fd00::/8 is not of the listener's address family (use IPv4 prefixes)"},
    {"rule_twice",
     kServed + "listeners:\n" +
         listener("a", kWeb + ", policy: ask, ask: {default: deny, rules: [{source: 10.0.0.0/8, decision: allow}, "
                              "{source: 10.0.0.0/8, decision: deny}]}"),
     "f:7:163: source 10.0.0.0/8 already has a rule (keep one: the first decides)"},
    {"several_at_once_in_order_of_place", "ports: 5\nnode: {workers: 0, hugepages: maybe}\n",
     "f:2:8: `ports` must be a list (write [a, b] or one `- item` per line)\n"
     "f:3:17: `workers` is 0, out of range (use 1..16)\n"
     "f:3:31: `hugepages` cannot be `maybe` (use one of auto, off, required)"},
    {"one_mistake_makes_one_problem",
     kServed + "listeners:\n" + listener("a", "address: 10.9.0.x, port: 80, cluster: web") +
         listener("b", "address: 10.9.0.x, port: 80, cluster: web"),
     "f:7:39: `address`: `10.9.0.x` is no IP address (write it as 10.0.0.1 or \"fd00::1\")\n"
     "f:8:39: `address`: `10.9.0.x` is no IP address (write it as 10.0.0.1 or \"fd00::1\")"},
};
INSTANTIATE_TEST_SUITE_P(Relation, ConfigProblem, testing::ValuesIn(kRelationRows), row_name);

TEST(ConfigBound, too_many_items_are_refused_by_their_number) {
  std::string text = "clusters: [{name: a, endpoints: [";
  for (int i = 0; i <= 1024; ++i) text += "{address: 10.0.0.1, port: " + std::to_string(i + 1) + "},";
  EXPECT_EQ(told(text + "]}]\n"),
            "f:2:33: `endpoints` has 1025 items, at most 1024 are possible (see docs/guide/limits.md)");
}

TEST(ConfigBound, too_many_endpoints_in_all_are_told_once) {
  std::string text = "clusters:\n";
  for (int c = 0; c < 34; ++c) {
    text += "  - {name: c" + std::to_string(c) + ", endpoints: [";
    for (int i = 0; i < 1000; ++i) text += "{address: 10.0.0.1, port: " + std::to_string(i + 1) + "},";
    text += "]}\n";
  }
  EXPECT_EQ(told(text), "f:35:28: more than 32768 endpoints in all (see docs/guide/limits.md)");
}

}  // namespace
}  // namespace penstock::config
