// Listeners of HTTP and the policies of clusters: what a whole text becomes, and one row per problem.
#include "mgmt/config/http_checks.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "mgmt/config/loader.h"

namespace penstock::config {
namespace {

const std::string kHead =
    "apiVersion: penstock/v1\n"
    "node: {addresses: [10.0.2.1]}\n"
    "clusters:\n"
    "  - {name: web, endpoints: [{address: 10.0.1.1, port: 80}]}\n"
    "  - {name: api, endpoints: [{address: 10.0.1.2, port: 80}]}\n"
    "listeners:\n";

/// Everything that can be said about a route, once.
const std::string kWhole = kHead + R"yaml(  - name: shop
    address: 10.96.0.1
    port: 80
    protocol: http
    http: {header_timeout: 2s, idle_timeout: 3s, stream_idle_timeout: 4s, max_requests_per_connection: 5, access_log_samples: 6,
           x_forwarded_for: replace, forwarded: append, xff_num_trusted_hops: 7, trace_context: false, trace_samples: 8, max_request_body: 2KiB, via: edge-1,
           connect: {allow: ["db.example:1", "*:2"], cluster: web}}
    virtual_hosts:
      - name: all
        domains: ["*.example", shop.example]
        routes:
          - name: first
            match:
              regex: /v[0-9]+/.*
              methods: [GET, POST]
              headers:
                - {name: x-env, exact: canary, ignore_case: true}
                - {name: x-n, range: {start: -1, end: 10}, invert: true}
                - {name: x-p, prefix: a, missing_as_empty: true}
              query_parameters: [{name: q, regex: "[a-z]+"}, {name: p, present: true}]
            weighted_clusters: [{name: web, weight: 90}, {name: api, weight: 10}]
            regex_rewrite: {pattern: "^/v([0-9]+)", substitution: /\1}
            host_rewrite: inner.example
            timeout: 1s
            idle_timeout: 2s
            retry_policy: {on: [5xx, reset, retriable-status-codes], num_retries: 2, per_try_timeout: 100ms, status_codes: [429]}
            max_request_body: 3KiB
            request_headers: {remove: [x-a], set: {x-b: "1"}, add: {x-c: two words}}
            response_headers: {add_if_absent: {x-d: d}, set_if_present: {x-e: e}}
          - {match: {path: /exact}, cluster: web, prefix_rewrite: /other}
          - {match: {path_separated_prefix: /old, ignore_case: true}, redirect: {scheme: https, port: 8443, code: 308, strip_query: true}}
          - {match: {prefix: /}, direct_response: {status: 404, body: no such page}}
)yaml";

TEST(HttpConfig, a_whole_listener_becomes_the_values_that_it_says) {
  const auto loaded = load_text(kWhole, "f", Machine{{0, 1}});
  ASSERT_TRUE(loaded.ok()) << loaded.error().front().text();
  const Listener& l = loaded->listeners[0];
  EXPECT_EQ(l.application, Application::http);
  EXPECT_EQ(l.protocol, IpProto::tcp);
  EXPECT_EQ(l.mode, control::ListenerMode::proxy) << "implied";
  EXPECT_EQ(l.cluster, "");
  EXPECT_EQ(l.http, (Http{seconds{2},
                          seconds{3},
                          seconds{4},
                          5,
                          6,
                          control::SenderList::replace,
                          control::SenderList::append,
                          7,
                          false,
                          8,
                          2048,
                          "edge-1",
                          {},
                          {},
                          Connect{{"db.example:1", "*:2"}, "web"}}));
  EXPECT_EQ(clusters_of(l), (std::vector<std::string_view>{"web", "api"}));
  ASSERT_EQ(l.virtual_hosts.size(), 1u);
  ASSERT_EQ(l.virtual_hosts[0].routes.size(), 4u);

  route::Route first;
  first.name = "first";
  first.match.path = {route::PathKind::regex, "/v[0-9]+/.*", false};
  first.match.methods = {"GET", "POST"};
  first.match.headers = {{.name = "x-env", .kind = route::ValueKind::exact, .value = "canary", .ignore_case = true},
                         {.name = "x-n", .kind = route::ValueKind::range, .low = -1, .high = 10, .invert = true},
                         {.name = "x-p", .kind = route::ValueKind::prefix, .value = "a", .missing_as_empty = true}};
  first.match.query_params = {{.name = "q", .kind = route::ValueKind::regex, .value = "[a-z]+"}, {.name = "p"}};
  route::Forward forward;
  forward.clusters = {{"web", 90}, {"api", 10}};
  forward.rewrite.regex = route::RegexRewrite{"^/v([0-9]+)", "/\\1"};
  forward.host_rewrite = "inner.example";
  forward.timeout_ms = 1000;
  forward.idle_timeout_ms = 2000;
  forward.retry = {route::kRetry5xx | route::kRetryReset | route::kRetryStatuses, 2, 100, {429}};
  first.action = forward;
  using Mode = route::HeaderEditMode;
  first.request = {{"x-a"}, {{"x-b", "1", Mode::set}, {"x-c", "two words", Mode::add}}};
  first.response = {{}, {{"x-d", "d", Mode::add_if_absent}, {"x-e", "e", Mode::set_if_present}}};
  first.policy.max_request_body = 3072;
  EXPECT_EQ(l.virtual_hosts[0].routes[0], first);

  const auto& second = std::get<route::Forward>(l.virtual_hosts[0].routes[1].action);
  EXPECT_EQ(second.rewrite.prefix, "/other");
  EXPECT_EQ(second.timeout_ms, 15'000u);
  const auto& redirect = std::get<route::Redirect>(l.virtual_hosts[0].routes[2].action);
  EXPECT_EQ(redirect, (route::Redirect{308, "https", "", 8443, {}, {}, true}));
  EXPECT_EQ(std::get<route::DirectResponse>(l.virtual_hosts[0].routes[3].action),
            (route::DirectResponse{404, "no such page"}));
}

TEST(HttpConfig, policies_of_a_cluster_become_the_values_that_they_say) {
  const auto loaded = load_text(R"(apiVersion: penstock/v1
clusters:
  - name: web
    endpoints: [{address: 10.0.1.1, port: 80}]
    lb_policy: ring_hash
    ring_size: 100
    hash_policy: [{header: X-User, terminal: true}, {cookie: Session}, {source_ip: true}]
    connect_timeout: 1s
    idle_timeout: 2s
    max_requests_per_connection: 3
    circuit_breakers: {max_connections: 4, max_pending_requests: 5, max_requests: 6, retry_budget: {budget_percent: 7}}
    outlier_detection: {consecutive_5xx: 8, base_ejection_time: 9s}
    session_affinity: {cookie: at, ttl: 1m, path: /shop, key: k}
    proxy_protocol: v2
    panic_threshold: 11
    health_checks:
      - {protocol: tcp, port: 12}
      - {protocol: http, interval: 13s, path: /health, host: h, expected_statuses: 200-399}
)",
                                "f", Machine{{0}});
  ASSERT_TRUE(loaded.ok()) << loaded.error().front().text();
  Cluster want;
  want.name = "web";
  want.endpoints = {{IpAddress::v4(10, 0, 1, 1), 80, 1}};
  want.lb_policy = control::LbPolicy::ring_hash;
  want.ring_size = 100;
  using control::HashSource;
  want.hash_policy = {{HashSource::header, "x-user", true}, {HashSource::cookie, "Session", false}, {}};
  want.connect_timeout = seconds{1};
  want.idle_timeout = seconds{2};
  want.max_requests_per_connection = 3;
  want.circuit_breakers = {4, 5, 6, 3, RetryBudget{7, 3}};
  want.outlier_detection = OutlierDetection{.consecutive_5xx = 8, .base_ejection_time = seconds{9}};
  want.session_affinity = SessionAffinity{"at", seconds{60}, "/shop", "k"};
  want.proxy_protocol = control::ProxyProtocol::v2;
  want.panic_threshold = 11;
  want.health_checks = {{.kind = CheckKind::tcp, .port = 12},
                        {.kind = CheckKind::http,
                         .interval = seconds{13},
                         .path = "/health",
                         .host = "h",
                         .expected_statuses = {200, 399}}};
  EXPECT_EQ(loaded->clusters[0], want);
}

TEST(HttpConfig, a_slow_start_has_a_window_and_an_aggression) {
  const auto loaded = load_text(
      "apiVersion: penstock/v1\nclusters:\n- {name: a, endpoints: [], slow_start: {window: 10s, aggression: 1.5, "
      "min_weight_percent: 20}}\n- {name: b, endpoints: [], slow_start: {window: 1s, aggression: 2}}\n",
      "f", Machine{{0}});
  ASSERT_TRUE(loaded.ok()) << loaded.error().front().text();
  EXPECT_EQ(loaded->clusters[0].slow_start, (SlowStart{seconds{10}, 150, 20}));
  EXPECT_EQ(loaded->clusters[1].slow_start, (SlowStart{seconds{1}, 200, 10}));
}

std::string told(const std::string& text) {
  const auto result = load_text(text, "f", Machine{{0, 1}});
  std::string out;
  if (!result.ok())
    for (const Problem& problem : result.error()) out += (out.empty() ? "" : "\n") + problem.text();
  return out;
}

/// A listener with these routes; they begin in line 9.
std::string routes(const std::string& lines) {
  return kHead +
         "  - {name: shop, address: 10.96.0.1, port: 80, protocol: http, virtual_hosts: [{name: all, domains: "
         "[\"*\"], routes: [\n  \n" +
         lines + "]}]}\n";
}
/// A listener with this behind its fixed keys.
std::string listener(const std::string& rest) {
  return kHead + "  - {name: shop, address: 10.96.0.1, port: 80, protocol: http, " + rest + "}\n";
}
/// A cluster with this behind its fixed keys, in line 3.
std::string cluster(const std::string& rest) {
  return "apiVersion: penstock/v1\nclusters:\n- {name: web, endpoints: [], " + rest + "}\n";
}

struct Row {
  const char* name;
  std::string text;
  const char* problems;
};
class HttpProblem : public testing::TestWithParam<Row> {};
TEST_P(HttpProblem, is_told_with_place_and_remedy) { EXPECT_EQ(told(GetParam().text), GetParam().problems); }
std::string row_name(const testing::TestParamInfo<Row>& info) { return info.param.name; }

const Row kRouteRows[] = {
    {"no_action", routes("{match: {prefix: /}}"),
     "f:9:1: route has none of cluster, weighted_clusters, redirect, direct_response (give one)"},
    {"two_actions", routes("{match: {prefix: /}, cluster: web, direct_response: {status: 200}}"),
     "f:9:1: route has several of cluster and direct_response (keep one)"},
    {"two_paths", routes("{match: {prefix: /, path: /a}, cluster: web}"),
     "f:9:9: match has several of path and prefix (keep one)"},
    {"two_conditions", routes("{match: {headers: [{name: a, exact: b, regex: c}]}, cluster: web}"),
     "f:9:20: condition has several of exact and regex (keep one)"},
    {"path_without_slash", routes("{match: {prefix: a}, cluster: web}"),
     "f:9:9: match.path: \"a\" does not begin with '/' (paths do)"},
    {"bad_expression", routes("{match: {regex: \"/a(?=b)\"}, cluster: web}"),
     "f:9:9: match.path: expression \"/a(?=b)\": look-around cannot be decided in one pass over the path at offset 2 "
     "(write it without; several routes, or `invert` of a condition, often do the same)"},
    {"broken_expression", routes("{match: {regex: \"/a(b\"}, cluster: web}"),
     "f:9:9: match.path: expression \"/a(b\": missing ')' at offset 4 (write it in RE2's syntax)"},
    {"large_expression", routes("{match: {regex: \"/(a{1,1000}){1,1000}\"}, cluster: web}"),
     "f:9:9: match.path: expression \"/(a{1,1000}){1,1000}\": needs more than 4096 states (lower the counts, or match "
     "part of it by prefix)"},
    {"method_in_lower_case", routes("{match: {prefix: /, methods: [GET, post]}, cluster: web}"),
     "f:9:9: match.methods: \"post\" is never asked for (did you mean POST? case matters)"},
    {"zero_without_unit", routes("{match: {prefix: /}, cluster: web, timeout: 0}"),
     "f:9:45: `timeout` has no unit (write ms, s, m or h behind the number, as 0s)"},
    {"timeout_of_redirect", routes("{match: {prefix: /}, redirect: {host: a}, timeout: 1s}"),
     "f:9:52: `timeout` does not go with `redirect` (it is for routes with a cluster)"},
    {"unknown_retry_condition", routes("{match: {prefix: /}, cluster: web, retry_policy: {on: [6xx]}}"),
     "f:9:56: `on` cannot be `6xx` (did you mean `5xx`?)"},
    {"framing_header", routes("{match: {prefix: /}, cluster: web, request_headers: {set: {connection: close}}}"),
     "f:9:53: request headers \"connection\": delimits messages or connections and cannot be edited (leave it to the "
     "proxy)"},
    {"unknown_cluster", routes("{match: {prefix: /}, cluster: wep}"),
     "f:9:31: cluster `wep` does not exist (did you mean `web`?)"},
    {"unknown_weighted_cluster", routes("{match: {prefix: /}, weighted_clusters: [{name: web}, {name: x1}]}"),
     "f:9:62: cluster `x1` does not exist (add it to `clusters`)"},
    {"weighted_cluster_twice", routes("{match: {prefix: /}, weighted_clusters: [{name: web}, {name: web}]}"),
     "f:9:62: cluster `web` is listed twice (add the weights up)"},
    {"weights_of_0", routes("{match: {prefix: /}, weighted_clusters: [{name: web, weight: 0}]}"),
     "f:9:41: clusters: weights add up to 0: no request could go anywhere (give one a weight above 0)"},
    {"unknown_key", routes("{match: {prefix: /}, clutser: web}"),
     "f:9:22: unknown key `clutser` in route (did you mean `cluster`?)"},
    {"all_at_once", routes("{match: {prefix: a}, cluster: web},\n{match: {path: b}, redirect: {code: 305, host: a}}"),
     "f:9:9: match.path: \"a\" does not begin with '/' (paths do)\n"
     "f:10:9: match.path: \"b\" does not begin with '/' (paths do)\n"
     "f:10:30: redirect.status: 305 does not redirect (301, 302, 303, 307 or 308)"},
};
INSTANTIATE_TEST_SUITE_P(Routes, HttpProblem, testing::ValuesIn(kRouteRows), row_name);

const Row kListenerRows[] = {
    {"no_hosts", listener("cluster: web"),
     "f:7:5: protocol http without `virtual_hosts` (add `virtual_hosts: [{name: all, domains: [\"*\"], routes: "
     "[...]}]`)"},
    {"empty_hosts", listener("virtual_hosts: []"), "f:7:79: no virtual host: every request would get 404 (add one)"},
    {"domains_are_no_list", listener("virtual_hosts: [{name: a, domains: \"*\", routes: []}]"),
     "f:7:99: `domains` must be a list (write [a, b] or one `- item` per line)"},
    {"time_of_0", listener("http: {header_timeout: 0s}, virtual_hosts: [{name: a, domains: [b], routes: []}]"),
     "f:7:87: `header_timeout` is 0s, out of range (use 100ms to 10m)"},
    {"mode_l4", listener("mode: l4, virtual_hosts: [{name: a, domains: [b], routes: []}]"),
     "f:7:70: protocol http ends connections, but the mode is l4 (write `mode: proxy`, or leave it out)"},
    {"host_name_twice",
     listener("virtual_hosts: [{name: a, domains: [b], routes: []}, {name: a, domains: [c], routes: []}]"),
     "f:7:117: virtual host \"a\": a second virtual host of this name (rename one)"},
    {"domain_twice",
     listener("virtual_hosts: [{name: a, domains: [x.y], routes: []}, {name: b, domains: [X.y], routes: []}]"),
     "f:7:138: virtual host \"b\": domain \"X.y\" belongs to virtual host \"a\" already (remove one of the two)"},
    {"via", listener("http: {via: a b}, virtual_hosts: [{name: a, domains: [b], routes: []}]"),
     "f:7:76: via `a b` is no name (letters, digits, - and .)"},
    {"connect_target",
     listener("virtual_hosts: [{name: a, domains: [b], routes: []}], \nhttp: {connect: {allow: [a, \"a:65536\", "
              "\"*.:1\", \"*:*\", \"[::1]:80\"], cluster: web}}"),
     "f:8:26: `a` is no target of CONNECT (write host:port, with * or *.suffix for the host, * for the port)\n"
     "f:8:29: `a:65536` is no target of CONNECT (write host:port, with * or *.suffix for the host, * for the port)\n"
     "f:8:40: `*.:1` is no target of CONNECT (write host:port, with * or *.suffix for the host, * for the port)"},
    {"connect_to_nobody",
     listener("virtual_hosts: [{name: a, domains: [b], routes: []}], \nhttp: {connect: {allow: [], cluster: wep}}"),
     "f:8:17: `connect` allows nothing (list targets, or remove it)\n"
     "f:8:38: cluster `wep` does not exist (did you mean `web`?)"},
    {"proxy_headers_of_l4",
     kHead + "  - {name: a, address: 10.96.0.1, port: 80, protocol: tcp, cluster: web, proxy_protocol: accept}\n",
     "f:7:90: PROXY headers are for connections that end here, but the mode is l4 (write `mode: proxy`, or remove it)"},
    {"tiers_of_http",
     listener("xdp_forwarding: true, virtual_hosts: [{name: a, domains: [b], routes: []}], splice: true"),
     "f:7:80: `xdp_forwarding` is for connections that pass through, but the mode is proxy (remove it)\n"
     "f:7:148: `splice` joins two TCP connections for good, but protocol http routes every request (write `protocol: "
     "tcp`, or remove it)"},
    {"hosts_of_tcp",
     kHead + "  - {name: a, address: 10.96.0.1, port: 80, protocol: tcp, cluster: web, virtual_hosts: []}\n",
     "f:7:89: `virtual_hosts` is given, but the protocol is not http (write `protocol: http`, or remove it)"},
    {"tcp_without_cluster", kHead + "  - {name: a, address: 10.96.0.1, port: 80, protocol: tcp}\n",
     "f:7:5: listener has no `cluster` (add `cluster: ...`)"},
};
INSTANTIATE_TEST_SUITE_P(Listeners, HttpProblem, testing::ValuesIn(kListenerRows), row_name);

/// What `penstock check` says about a text without problems, on a kernel of this version.
std::string advised(const std::string& text, KernelVersion kernel = {6, 8}) {
  Advice advice;
  const auto loaded = load_text(text, "f", Machine{{0, 1}, kernel}, &advice);
  if (!loaded.ok()) return "refused: " + loaded.error().front().text();
  std::string out;
  for (const Problem& warning : advice.warnings) out += "warning: " + warning.text() + "\n";
  for (const Problem& note : advice.notes) out += "note: " + note.text() + "\n";
  return out;
}

TEST(HttpAdvice, a_route_behind_one_that_takes_all_of_its_requests_is_warned_of) {
  EXPECT_EQ(advised(routes("{match: {path: /a}, cluster: web}, {match: {prefix: /}, cluster: web}")), "");
  EXPECT_EQ(
      advised(routes("{name: all, match: {prefix: /}, cluster: web},\n{match: {path: /a}, cluster: api},\n"
                     "{name: b, match: {regex: /b.*}, cluster: api}")),
      "warning: f:10:1: route #1 of virtual host `all` is never used: route `all` in line 9 comes first and takes "
      "all of its requests (move it in front of that one, or remove it)\n"
      "warning: f:11:1: route `b` of virtual host `all` is never used: route `all` in line 9 comes first and takes "
      "all of its requests (move it in front of that one, or remove it)\n");
}

TEST(HttpAdvice, large_frames_are_recommended_where_they_are_possible_and_undecided) {
  const std::string http = routes("{match: {prefix: /}, cluster: web}");
  const std::string note =
      "every listener ends its connections, and port `a` does not say `large_frames` (on a veth, `large_frames: true` "
      "about halves the CPU time of bodies of 16 KiB and more (docs/adr/0019); false keeps it off)\n";
  const auto with = [&](const std::string& ports) { return http + "ports:\n" + ports; };
  const std::string line = std::to_string(std::count(http.begin(), http.end(), '\n') + 2);
  EXPECT_EQ(advised(with("  - {name: a}\n"), {6, 9}), "note: f:" + line + ":5: " + note);
  EXPECT_EQ(advised(with("  - {name: a}\n"), {7, 0}), "note: f:" + line + ":5: " + note);
  EXPECT_EQ(advised(with("  - {name: a}\n"), {6, 8}), "");
  EXPECT_EQ(advised(with("  - {name: a, large_frames: false}\n"), {6, 9}), "");
  EXPECT_EQ(advised(http, {6, 9}), "") << "no port";
  EXPECT_NE(advised(with("  - {name: a}\n  - {name: b}\n"), {6, 9}).find("port `a` and 1 other do not say"),
            std::string::npos);
  const std::string passed_on = "  - {name: t, address: 10.96.0.9, port: 81, protocol: tcp, cluster: web}\n";
  EXPECT_EQ(advised(http + passed_on + "ports: [{name: a}]\n", {6, 9}).find("large_frames"), std::string::npos);
}

TEST(HttpAdvice, gro_is_recommended_where_packets_are_passed_on_and_nobody_decided) {
  const auto text = [](const std::string& more, const std::string& ports) {
    return kHead + "  - {name: t, address: 10.96.0.9, port: 81, protocol: tcp, cluster: web" + more + "}\n" + ports;
  };
  const std::string ports = "ports: [{name: a}]\n";
  EXPECT_EQ(advised(text("", ports), {6, 3}),
            "note: f:7:5: listeners of mode l4 leave hot flows to the XDP program, which can send to a veth only while "
            "its other end has GRO (`ethtool -K eth0 gro on` in the pods (`penstock ports` says which; "
            "docs/guide/tiers.md); `xdp_forwarding` of a listener says true or false to it)\n");
  EXPECT_EQ(advised(text("", ports), {6, 2}), "") << "nobody could tell";
  EXPECT_EQ(advised(text("", ""), {6, 3}), "") << "no port";
  EXPECT_EQ(advised(text(", xdp_forwarding: true", ports), {6, 3}), "");
  EXPECT_EQ(advised(text(", mode: proxy", ports), {6, 3}), "");
}

const Row kPolicyRows[] = {
    {"no_default", listener("virtual_hosts: [{name: all, domains: [\"*\"], routes: [], \nauthorization: {rules: []}}]"),
     "f:8:16: authorization has no `default` (add `default: ...`)"},
    {"path",
     routes("{match: {prefix: /}, cluster: web, \nauthorization: {rules: [{action: deny, prefixes: [a, /b%61]}], "
            "default: allow}}"),
     "f:10:51: `a` is no path (begins with '/')\nf:10:54: `/b%61` has one of % ? # (write the path decoded and "
     "without a query)"},
    {"method",
     routes("{match: {prefix: /}, cluster: web, \nauthorization: {rules: [{action: deny, methods: [\"a "
            "b\"]}], default: allow}}"),
     "f:10:50: `a b` is no method (such as GET)"},
    {"method_in_lower_case",
     routes("{match: {prefix: /}, cluster: web, \nauthorization: {rules: [{action: deny, methods: [delete]}], default: "
            "allow}}"),
     "f:10:50: `delete` is never asked for (did you mean DELETE? case matters)"},
    {"headers",
     routes("{match: {prefix: /}, cluster: web, \nfault: {headers: [{name: x, exact: a, prefix: b}, {name: "
            "\"a b\"}]}}"),
     "f:10:19: header has several of exact, prefix and present (keep one)\nf:10:51: `a b` is not the name of a header "
     "(letters, digits and -)"},
    {"asks_nobody",
     routes("{match: {prefix: /}, cluster: web, \nauthorization: {rules: [{action: ask}, {action: "
            "external}], default: allow}}"),
     "f:10:25: rule asks, but there is no `ask` (add `ask: {...}` beside the rules)\nf:10:40: rule asks, but there is "
     "no "
     "`external` (add `external: {...}` beside the rules)"},
    {"unasked",
     routes("{match: {prefix: /}, cluster: web, \nauthorization: {rules: [], default: allow, \nexternal: "
            "{address: 127.0.0.1, port: 1}}}"),
     "f:11:11: `external` is given, but no rule asks it (add a rule with `action: external`, or remove it)"},
    {"authorizer",
     routes("{match: {prefix: /}, cluster: web, \nauthorization: {rules: [{action: external}], default: "
            "allow, \nexternal: {address: 127.0.0.1, port: 1, headers: [Host], path_prefix: a}}}"),
     "f:11:51: `host` cannot be passed on (remove it)\nf:11:71: path_prefix `a` is no path (begins with '/', "
     "percent-encoded, without a query)"},
    {"no_fault", routes("{match: {prefix: /}, cluster: web, \nfault: {}}"),
     "f:10:8: fault has none of delay, abort (give one, or remove it)"},
    {"burst", routes("{match: {prefix: /}, cluster: web, \nrate_limit: {requests: 1, per: 1h, burst: 1000}}"),
     "f:10:13: a burst of 1000 takes more than a week to come back (lower `burst`)"},
    {"mirror", routes("{match: {prefix: /}, cluster: web, \nmirror: {cluster: wep}}"),
     "f:10:9: cluster `wep` does not exist (did you mean `web`?)"},
    {"mirror_of_a_redirect", routes("{match: {prefix: /}, redirect: {host: a}, \nmirror: {cluster: web}}"),
     "f:10:9: `mirror` does not go with `redirect` (it is for routes with a cluster)"},
    {"body_of_a_redirect", routes("{match: {prefix: /}, redirect: {host: a}, \nmax_request_body: 2KiB}"),
     "f:10:19: `max_request_body` does not go with `redirect` (it is for routes with a cluster)"},
    {"large_body", routes("{match: {prefix: /}, cluster: web, \nmax_request_body: 4096MiB}"),
     "f:10:19: `max_request_body` is 4096MiB, out of range (use 1KiB to 4095MiB)"},
};
INSTANTIATE_TEST_SUITE_P(Policies, HttpProblem, testing::ValuesIn(kPolicyRows), row_name);

const Row kClusterRows[] = {
    {"hash_without_hashing", cluster("hash_policy: [{source_ip: true}]"),
     "f:3:43: `hash_policy` is given, but lb_policy does not hash (write `lb_policy: maglev` or `ring_hash`)"},
    {"hash_of_nothing", cluster("lb_policy: maglev, hash_policy: [{terminal: true}]"),
     "f:3:63: hash policy has none of header, cookie, source_ip (give one)"},
    {"hash_name", cluster("lb_policy: maglev, hash_policy: [{header: a b}]"),
     "f:3:63: `a b` is not the name of a header (letters, digits and -)"},
    {"words_of_another_product", cluster("lb_policy: LEAST_REQUEST"),
     "f:3:41: `lb_policy` cannot be `LEAST_REQUEST` (did you mean `least_request`?)"},
    {"slow_start_of_hashing", cluster("lb_policy: maglev, slow_start: {window: 1s}"),
     "f:3:61: `slow_start` is for lb_policy round_robin and least_request (remove it)"},
    {"aggression", cluster("slow_start: {window: 1s, aggression: 1.555}"),
     "f:3:67: `aggression` must be a number, not `1.555` (write at most two digits behind the point, within 0.1..100)"},
    {"aggression_range", cluster("slow_start: {window: 1s, aggression: 0.05}"),
     "f:3:67: `aggression` is 0.05, out of range (use 0.1..100)"},
    {"affinity_cookie", cluster("session_affinity: {cookie: a b}"),
     "f:3:57: `a b` is not the name of a cookie (letters, digits and -)"},
    {"affinity_path", cluster("session_affinity: {cookie: a, path: x}"),
     "f:3:66: path `x` is no path (begins with '/', percent-encoded)"},
    {"choices", cluster("choice_count: 3"), "f:3:44: `choice_count` is for lb_policy least_request (remove it)"},
    {"ring", cluster("ring_size: 30"), "f:3:41: `ring_size` is for lb_policy ring_hash (remove it)"},
    {"ejection", cluster("outlier_detection: {base_ejection_time: 10m}"),
     "f:3:49: max_ejection_time is below base_ejection_time (raise it)"},
    {"path_of_tcp_check", cluster("health_checks: [{protocol: tcp, path: /a}]"),
     "f:3:68: `path` is for checks with protocol http (write `protocol: http`, or remove it)"},
    {"path", cluster("health_checks: [{protocol: http, path: a}]"),
     "f:3:69: path `a` is no path (begins with '/', percent-encoded)"},
    {"timeout", cluster("health_checks: [{protocol: tcp, timeout: 6s}]"),
     "f:3:71: timeout 6s is above the interval 5s (lower it: one check ends before the next begins)"},
    {"statuses", cluster("health_checks: [{protocol: http, expected_statuses: 2xx}]"),
     "f:3:82: `expected_statuses` must be a status or range of statuses, not `2xx` (write 200 or 200-299, within 100 "
     "to 599)"},
};
INSTANTIATE_TEST_SUITE_P(Clusters, HttpProblem, testing::ValuesIn(kClusterRows), row_name);

}  // namespace
}  // namespace penstock::config
