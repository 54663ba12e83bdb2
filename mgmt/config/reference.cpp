#include "mgmt/config/reference.h"

#include "mgmt/config/fields.h"

namespace penstock::config {
namespace {

template <typename T>
std::string section(std::string_view title, std::string_view introduction) {
  std::string out = "\n## " + std::string{title} + "\n";
  if (!introduction.empty()) out += std::string{introduction} + "\n";
  out += "\n| key | value | default | meaning |\n|---|---|---|---|\n";
  const T defaults{};
  for (const Field<T>& field : Table<T>::fields) {
    const std::string shown = field.required ? "**required**" : field.show(defaults);
    out += "| `" + std::string{field.key} + "` | " + field.type() + " | " + (shown.empty() ? "-" : shown) + " | " +
           std::string{field.meaning} + " |\n";
  }
  return out;
}

std::string policy_sections() {
  std::string out;
  out += section<AuthorizationText>("`virtual_hosts[].authorization`, `routes[].authorization`",
                                    "What it does: [policies](policies.md).");
  out += section<route::AuthorizationRule>(
      "`authorization.rules[]`",
      "Any of a list's values; of the headers all. What is left out holds for every request.");
  out += section<AskPolicyText>("`authorization.ask`", "");
  out += section<AskRuleText>("`authorization.ask.rules[]`", "");
  out += section<ExternalText>("`authorization.external`", "");
  out += section<HeaderTermText>("`headers[]` of rules and faults", "At most one kind of value.");
  out += section<RateLimitText>("`rate_limit`, `client_rate_limit`", "Of the node, shared evenly by its workers.");
  out += section<FaultText>("`routes[].fault`", "");
  out += section<FaultDelayText>("`routes[].fault.delay`", "");
  out += section<FaultAbortText>("`routes[].fault.abort`", "");
  out += section<route::Mirror>("`routes[].mirror`", "Routes with a cluster only.");
  return out;
}

std::string http_sections() {
  std::string out;
  out += section<Http>("`listeners[].http`", "");
  out += section<Connect>("`listeners[].http.connect`", "What it does: [HTTP](http.md#connect).");
  out += section<route::VirtualHost>("`listeners[].virtual_hosts[]`", "");
  out += section<RouteText>("`listeners[].virtual_hosts[].routes[]`", "");
  out += section<MatchText>("`routes[].match`", "At most one of the four kinds of path.");
  out += section<ValueMatchText>("`routes[].match.headers[]`, `query_parameters[]`", "At most one kind of value.");
  out += section<RangeText>("`range`", "");
  out += section<route::WeightedCluster>("`routes[].weighted_clusters[]`", "");
  out += section<RedirectText>("`routes[].redirect`", "");
  out += section<route::DirectResponse>("`routes[].direct_response`", "");
  out += section<route::RegexRewrite>("`regex_rewrite`", "");
  out += section<RetryText>("`routes[].retry_policy`", "");
  out += section<HeaderEditsText>("`routes[].request_headers`, `response_headers`", "");
  out += policy_sections();
  return out;
}

constexpr std::string_view kIntroduction =
    R"(# Configuration reference

Made by `config_reference` from the table that reads the file (`mgmt/config/fields.h`); do not edit.

`penstockd` reads one YAML document. `penstock check FILE` tells every problem at once, with its place; a file with
any problem changes nothing. Durations carry a unit: `ms`, `s`, `m` or `h`. IPv6 addresses inside `[ ]` or `{ }` need
quotes. Anchors, aliases and tags are refused. Examples: [example.yaml](example.yaml) as the demo runs it,
[config_example.yaml](config_example.yaml) with every section, [http_example.yaml](http_example.yaml) with HTTP,
[policies_example.yaml](policies_example.yaml) with policies of requests.

Beyond the bounds of single values these must hold:
- names of listeners and of clusters are unique; so are ports by name and network namespace, endpoints by address and
  port within a cluster, and services by address, port and protocol;
- a listener's cluster exists, has endpoints of the listener's address family only, and none of them is a service
  of this node;
- `forwarding: fullnat` needs a node address of the listener's family;
- a listener, or the monitoring endpoint, on a node address keeps out of `source_ports`; these hold at least 256
  ports per worker;
- `cpus`, when given, lists one available CPU per worker; `workers` is at most the number of CPUs;
- `memory_mib` holds the packet buffers (2.5 KiB each) of all workers; `watchdog` is above `heartbeat_limit`;
- `mode: proxy` goes with `protocol: tcp` or `http` and `forwarding: fullnat`; `protocol: http` goes with `mode: proxy`, which
  it implies, and has `virtual_hosts`, which no other protocol has;
- `xdp_forwarding` goes with `mode: l4`; `splice` with `mode: proxy`, `protocol: tcp` and no PROXY headers, neither the
  listener's nor its cluster's;
- clusters that routes name exist, and what holds for a listener's cluster holds for them; names of virtual hosts are unique
  within their listener, and so are domains; a route has exactly one of `cluster`, `weighted_clusters`, `redirect` and
  `direct_response`;
- `hash_policy` goes with `lb_policy: maglev` or `ring_hash`; `timeout` of a health check is at most its `interval`;
- `proxy.connections_per_worker` is at most `limits.flows_per_worker`, `proxy.half_open_max` at most
  `connections_per_worker`; left out, both follow a lower bound by themselves;
- `policy: ask` comes with an `ask` section that has rules of the listener's family, each source once; other policies
  come without one.
)";

}  // namespace

std::string config_page() {
  std::string out{kIntroduction};
  out += section<Config>("Top level", "");
  out += section<Node>("`node`", "");
  out += section<Metrics>("`node.metrics`", "");
  out += section<Limits>("`node.limits`", "Changes take effect when the dataplane restarts.");
  out += section<Timeouts>("`node.timeouts`", "");
  out += section<Proxy>("`node.proxy`", "All numbers are per worker. What the mode does: [proxy](proxy.md).");
  out += section<AccessLog>("`node.access_log`", "");
  out += section<Port>("`ports[]`", "");
  out += section<Cluster>("`clusters[]`", "");
  out += section<Endpoint>("`clusters[].endpoints[]`", "");
  out += section<HashPolicyText>("`clusters[].hash_policy[]`", "One of the three sources each.");
  out += section<CircuitBreakers>("`clusters[].circuit_breakers`", "");
  out += section<RetryBudget>("`clusters[].circuit_breakers.retry_budget`", "");
  out += section<OutlierDetection>("`clusters[].outlier_detection`", "");
  out += section<SlowStart>("`clusters[].slow_start`",
                            "What it does: [load balancing](load_balancing.md#new-endpoints-begin-slowly).");
  out += section<SessionAffinity>("`clusters[].session_affinity`",
                                  "What it does: [load balancing](load_balancing.md#sessions-that-stay).");
  out += section<HealthCheck>("`clusters[].health_checks[]`", "");
  out += section<Listener>("`listeners[]`", "");
  out += section<Ask>("`listeners[].ask`", "");
  out += section<AskRule>("`listeners[].ask.rules[]`", "");
  out += http_sections();
  return out;
}

}  // namespace penstock::config
