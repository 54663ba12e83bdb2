#include "mgmt/config/checks.h"

#include <algorithm>
#include <bit>
#include <map>
#include <set>
#include <tuple>

#include "dataplane/control/limits.h"
#include "dataplane/control/snapshot_check.h"
#include "mgmt/config/http_checks.h"
#include "mgmt/config/locator.h"
#include "mgmt/config/values.h"

namespace penstock::config {
namespace {

// Below, a worker's share of the source ports is used up by a handful of busy endpoints.
constexpr std::uint32_t kWorkerPortsMin = 256;
// What one packet buffer takes: 2 KiB of data, headroom and bookkeeping.
constexpr std::uint64_t kBufferOctets = 2560;

const char* family_name(const IpAddress& address) { return address.is_v4() ? "IPv4" : "IPv6"; }
const char* proto_name(IpProto proto) { return proto == IpProto::udp ? "udp" : "tcp"; }
bool is_unspecified(const IpAddress& address) { return address == IpAddress{} || address == IpAddress::v4(0, 0, 0, 0); }
/// "10.0.0.1:80", "[fd00::1]:80"
std::string socket_text(const IpAddress& address, std::uint16_t port) {
  const std::string text = address.text();
  return (address.is_v4() ? text : "[" + text + "]") + ":" + std::to_string(port);
}
std::string in_line(Place place) { return "line " + std::to_string(place.line); }

class Checks {
 public:
  Checks(const Config& config, const YamlNode& root, const Machine& machine, Reader& reader)
      : config_{config}, at_{root}, machine_{machine}, reader_{reader} {}
  void run() {
    node_addresses();
    workers();
    node_sizes();
    proxy();
    ports();
    clusters();
    listeners();
  }

 private:
  using Path = Locator::Path;
  void problem(Path path, std::string what, std::string remedy) {
    reader_.problem(at_.place(path), std::move(what), std::move(remedy));
  }
  /// False when the text has a value there that was already found wrong.
  [[nodiscard]] bool good(Path path) const {
    const YamlNode* node = at_.find(path);
    return node == nullptr || !reader_.is_bad(*node);
  }
  [[nodiscard]] bool is_node_address(const IpAddress& address) const {
    const auto& all = config_.node.addresses;
    return std::find(all.begin(), all.end(), address) != all.end();
  }

  void node_addresses();
  void workers();
  void node_sizes();
  void proxy();
  void ports();
  void large_frames(std::size_t i);
  void clusters();
  void cluster(std::size_t i);
  void listeners();
  void listener(std::size_t i);
  void listener_mode(std::size_t i);
  void listener_tiers(std::size_t i);
  void listener_clusters(std::size_t i);
  void listener_cluster(std::size_t i, const Cluster& cluster);
  void listener_node_address(std::size_t i);
  void ask(std::size_t i);

  const Config& config_;
  Locator at_;
  const Machine& machine_;
  Reader& reader_;
  std::map<std::string_view, std::size_t> cluster_names_;
  std::vector<std::string_view> cluster_list_;
  std::set<std::tuple<IpAddress, std::uint16_t, IpProto>> services_;
};

void Checks::node_addresses() {
  std::map<IpAddress, std::size_t> seen;
  const auto& addresses = config_.node.addresses;
  for (std::size_t i = 0; i < addresses.size(); ++i) {
    if (addresses[i] == IpAddress{}) continue;
    const auto [first, fresh] = seen.emplace(addresses[i], i);
    if (!fresh)
      problem({"node", "addresses", i}, "node address " + addresses[i].text() + " is listed twice", "keep one");
  }
  const Node& node = config_.node;
  const bool shared = is_unspecified(node.metrics.address) || is_node_address(node.metrics.address);
  if (shared && node.source_ports.contains(node.metrics.port))
    problem({"node", "metrics", "port"},
            "metrics port " + std::to_string(node.metrics.port) + " lies in source_ports, which the fast path owns",
            "choose a port outside of " + std::to_string(node.source_ports.low) + "-" +
                std::to_string(node.source_ports.high));
}

void Checks::workers() {
  const Node& node = config_.node;
  const auto& available = machine_.cpus;
  std::set<std::uint16_t> seen;
  for (std::size_t i = 0; i < node.cpus.size(); ++i) {
    if (!good({"node", "cpus", i})) continue;
    if (!seen.insert(node.cpus[i]).second)
      problem({"node", "cpus", i}, "CPU " + std::to_string(node.cpus[i]) + " is listed twice",
              "give every worker a CPU of its own");
    else if (std::find(available.begin(), available.end(), node.cpus[i]) == available.end())
      problem({"node", "cpus", i}, "CPU " + std::to_string(node.cpus[i]) + " is not there or not allowed",
              available.empty() ? ""
                                : "this process may use " + std::to_string(available.size()) + " CPUs, " +
                                      std::to_string(available.front()) + " to " + std::to_string(available.back()));
  }
  if (!good({"node", "workers"}) || !good({"node", "cpus"})) return;
  if (!node.cpus.empty() && node.cpus.size() != node.workers)
    problem({"node", "cpus"},
            std::to_string(node.cpus.size()) + " CPUs for " + std::to_string(node.workers) + " workers",
            "list one CPU per worker, or none");
  else if (node.cpus.empty() && node.workers > available.size() && !available.empty())
    problem({"node", "workers"},
            std::to_string(node.workers) + " workers on " + std::to_string(available.size()) + " CPUs",
            "use at most one worker per CPU");
}

void Checks::node_sizes() {
  const Node& node = config_.node;
  if (good({"node", "source_ports"})) {
    const std::uint32_t count = std::uint32_t{node.source_ports.high} - node.source_ports.low + 1;
    if (count < kWorkerPortsMin * node.workers)
      problem({"node", "source_ports"},
              std::to_string(count) + " source ports for " + std::to_string(node.workers) + " workers",
              "reserve at least " + std::to_string(kWorkerPortsMin) + " per worker");
  }
  const std::uint64_t needed = std::uint64_t{node.workers} * node.limits.buffers_per_worker * kBufferOctets;
  const std::uint64_t needed_mib = (needed + (1u << 20) - 1) >> 20;
  if (needed_mib > node.memory_mib)
    problem(
        {"node", "memory_mib"},
        "packet buffers need " + std::to_string(needed_mib) + " MiB, memory_mib is " + std::to_string(node.memory_mib),
        "raise memory_mib or lower limits.buffers_per_worker");
  if (good({"node", "limits", "receive_ring"}) && !std::has_single_bit(node.limits.receive_ring))
    problem({"node", "limits", "receive_ring"},
            "a ring of " + std::to_string(node.limits.receive_ring) + " frames is no power of two",
            "use " + std::to_string(std::bit_floor(node.limits.receive_ring)) + " or " +
                std::to_string(std::bit_ceil(node.limits.receive_ring)));
  if (node.watchdog <= node.heartbeat_limit)
    problem({"node", "watchdog"},
            "watchdog " + duration_text(node.watchdog) + " is not above heartbeat_limit " +
                duration_text(node.heartbeat_limit),
            "raise watchdog: failing open comes first, the restart after");
}

void Checks::proxy() {
  const Proxy& p = config_.node.proxy;
  const bool counted = good({"node", "proxy", "connections_per_worker"});
  if (counted && good({"node", "limits", "flows_per_worker"}) &&
      p.connections_per_worker > config_.node.limits.flows_per_worker)
    problem({"node", "proxy", "connections_per_worker"},
            std::to_string(p.connections_per_worker) + " proxied connections, but limits.flows_per_worker is " +
                std::to_string(config_.node.limits.flows_per_worker),
            "raise limits.flows_per_worker: every proxied connection takes a flow");
  if (counted && good({"node", "proxy", "half_open_max"}) && p.half_open_max > p.connections_per_worker)
    problem({"node", "proxy", "half_open_max"},
            "half_open_max " + std::to_string(p.half_open_max) + " is above connections_per_worker " +
                std::to_string(p.connections_per_worker),
            "lower it: SYN cookies come before the table is full");
  if (p.keepalive.count() != 0 && p.keepalive < seconds{1})
    problem({"node", "proxy", "keepalive"}, "keepalive " + duration_text(p.keepalive) + " is below 1s",
            "use 1s or more, or 0s for no probes");
}

void Checks::ports() {
  std::map<std::pair<std::string, std::string>, std::size_t> seen;
  for (std::size_t i = 0; i < config_.ports.size(); ++i) {
    const Port& port = config_.ports[i];
    if (port.name.empty()) continue;
    const auto [first, fresh] = seen.emplace(std::pair{port.netns.value_or(""), port.name}, i);
    if (!fresh)
      problem({"ports", i, "name"}, "port `" + port.name + "` is listed twice",
              "keep one; the first is in " + in_line(at_.place({"ports", first->second, "name"})));
    large_frames(i);
  }
}

// How long the sender wanted each piece of a large frame is not known here; only who ends the connection needs not
// know.
void Checks::large_frames(std::size_t i) {
  const auto& all = config_.listeners;
  const auto through =
      std::find_if(all.begin(), all.end(), [](const Listener& l) { return l.mode != control::ListenerMode::proxy; });
  if (config_.ports[i].large_frames && through != all.end())
    problem({"ports", i, "large_frames"},
            "listener `" + through->name + "` passes packets on, which large frames do not allow",
            "give every listener `mode: proxy` or `protocol: http`, or remove `large_frames`");
}

void Checks::clusters() {
  // Services first: an endpoint must not be one.
  for (std::size_t i = 0; i < config_.listeners.size(); ++i) {
    const Listener& l = config_.listeners[i];
    if (l.address != IpAddress{} && l.port != 0 && good({"listeners", i, "protocol"}))
      services_.emplace(l.address, l.port, l.protocol);
  }
  std::size_t endpoints = 0;
  for (std::size_t i = 0; i < config_.clusters.size(); ++i) {
    const Cluster& c = config_.clusters[i];
    if (!c.name.empty()) {
      const auto [first, fresh] = cluster_names_.emplace(c.name, i);
      if (fresh)
        cluster_list_.push_back(c.name);
      else
        problem({"clusters", i, "name"}, "cluster name `" + c.name + "` is used twice",
                "rename one; the first is in " + in_line(at_.place({"clusters", first->second, "name"})));
    }
    const bool fitted = endpoints <= control::kEndpointMax;
    endpoints += c.endpoints.size();
    if (fitted && endpoints > control::kEndpointMax)
      problem({"clusters", i, "endpoints"}, "more than " + std::to_string(control::kEndpointMax) + " endpoints in all",
              "see docs/guide/limits.md");
    cluster(i);
  }
}

void Checks::cluster(std::size_t i) {
  const Cluster& c = config_.clusters[i];
  std::map<std::pair<IpAddress, std::uint16_t>, std::size_t> seen;
  std::size_t weighted = 0;
  for (std::size_t k = 0; k < c.endpoints.size(); ++k) {
    const Endpoint& e = c.endpoints[k];
    if (e.weight > 0) ++weighted;
    if (e.address == IpAddress{} || e.port == 0) continue;
    const auto [first, fresh] = seen.emplace(std::pair{e.address, e.port}, k);
    if (!fresh)
      problem({"clusters", i, "endpoints", k, "address"},
              "endpoint " + socket_text(e.address, e.port) + " is listed twice in its cluster",
              "keep one; the first is in " + in_line(at_.place({"clusters", i, "endpoints", first->second})));
  }
  if (const YamlNode* text = at_.find({"clusters", i})) check_cluster_policies(c, *text, reader_);
  if (!c.maglev_table_size || !good({"clusters", i, "maglev_table_size"})) return;
  const std::uint32_t size = *c.maglev_table_size;
  if (!control::is_prime(size)) {
    std::uint32_t prime = size;
    while (!control::is_prime(prime)) ++prime;  // ends at kMaglevSizeMax, itself a prime
    problem({"clusters", i, "maglev_table_size"}, "maglev_table_size " + std::to_string(size) + " is not a prime",
            "use a prime, as " + std::to_string(prime));
  } else if (size < weighted) {
    problem({"clusters", i, "maglev_table_size"},
            "maglev_table_size " + std::to_string(size) + " is below the " + std::to_string(weighted) +
                " endpoints with weight",
            "leave it out, or use about 100 slots per endpoint");
  }
}

void Checks::listeners() {
  std::map<std::string_view, std::size_t> names;
  std::map<std::tuple<IpAddress, std::uint16_t, IpProto>, std::size_t> services;
  for (std::size_t i = 0; i < config_.listeners.size(); ++i) {
    const Listener& l = config_.listeners[i];
    if (!l.name.empty()) {
      const auto [first, fresh] = names.emplace(l.name, i);
      if (!fresh)
        problem({"listeners", i, "name"}, "listener name `" + l.name + "` is used twice",
                "rename one; the first is in " + in_line(at_.place({"listeners", first->second, "name"})));
    }
    if (l.address != IpAddress{} && l.port != 0 && good({"listeners", i, "protocol"})) {
      const auto [first, fresh] = services.emplace(std::tuple{l.address, l.port, l.protocol}, i);
      if (!fresh)
        problem(
            {"listeners", i, "address"},
            std::string{"service "} + proto_name(l.protocol) + " " + socket_text(l.address, l.port) +
                " already belongs to listener `" + config_.listeners[first->second].name + "`",
            "change address, port or protocol; the first is in " + in_line(at_.place({"listeners", first->second})));
    }
    listener(i);
  }
}

void Checks::listener(std::size_t i) {
  const Listener& l = config_.listeners[i];
  if (l.port != 0 && is_node_address(l.address) && config_.node.source_ports.contains(l.port))
    problem({"listeners", i, "port"},
            "port " + std::to_string(l.port) + " on node address " + l.address.text() +
                " lies in source_ports, which the fast path owns",
            "choose a port outside of " + std::to_string(config_.node.source_ports.low) + "-" +
                std::to_string(config_.node.source_ports.high) + ", or another address");
  listener_clusters(i);
  listener_mode(i);
  listener_tiers(i);
  ask(i);
}

void Checks::listener_clusters(std::size_t i) {
  const Listener& l = config_.listeners[i];
  const YamlNode* text = at_.find({"listeners", i});
  if (text == nullptr) return;
  const auto known = [this](std::string_view name) { return cluster_names_.contains(name); };
  if (good({"listeners", i, "protocol"})) {
    check_http_listener(l, *text, reader_, known, cluster_list_);
    if (l.application == Application::none && text->kind == YamlNode::Kind::map && text->find("cluster") == nullptr)
      problem({"listeners", i}, "listener has no `cluster`", "add `cluster: ...`");
  }
  if (!l.cluster.empty() && !known(l.cluster))
    problem({"listeners", i, "cluster"}, "cluster `" + l.cluster + "` does not exist",
            hint(l.cluster, cluster_list_, "add it to `clusters`"));
  bool any = false;
  for (const std::string_view name : clusters_of(l)) {
    if (!known(name)) continue;
    listener_cluster(i, config_.clusters[cluster_names_.find(name)->second]);
    any = true;
  }
  if (any) listener_node_address(i);
}

void Checks::listener_mode(std::size_t i) {
  const Listener& l = config_.listeners[i];
  if (l.application == Application::http && l.mode != control::ListenerMode::proxy && good({"listeners", i, "mode"}))
    problem({"listeners", i, "mode"}, "protocol http ends connections, but the mode is l4",
            "write `mode: proxy`, or leave it out");
  if (l.mode != control::ListenerMode::proxy) {
    const Cluster* const cluster = find_cluster(config_, l.cluster);
    if (l.proxy_protocol && good({"listeners", i, "mode"}))
      problem({"listeners", i, "proxy_protocol"}, "PROXY headers are for connections that end here, but the mode is l4",
              "write `mode: proxy`, or remove it");
    if (cluster != nullptr && cluster->proxy_protocol != control::ProxyProtocol::off && good({"listeners", i, "mode"}))
      problem({"listeners", i, "cluster"}, "cluster `" + l.cluster + "` has proxy_protocol, but the mode is l4",
              "write `mode: proxy`, or point it to another cluster");
    return;
  }
  if (good({"listeners", i, "protocol"}) && l.protocol != IpProto::tcp)
    problem({"listeners", i, "mode"},
            "mode proxy ends TCP connections, but the protocol is " + std::string{proto_name(l.protocol)},
            "write `mode: l4`, or leave it out");
  if (good({"listeners", i, "forwarding"}) && l.forwarding != control::Forwarding::fullnat)
    problem({"listeners", i, "mode"},
            "mode proxy connects to endpoints from a node address, but the forwarding is dnat",
            "write `forwarding: fullnat`, or `mode: l4`");
}

void Checks::listener_tiers(std::size_t i) {
  const Listener& l = config_.listeners[i];
  if (!good({"listeners", i, "mode"}) || !good({"listeners", i, "protocol"})) return;
  const bool ends_here = l.mode == control::ListenerMode::proxy;
  if (ends_here && at_.find({"listeners", i, "xdp_forwarding"}) != nullptr)
    problem({"listeners", i, "xdp_forwarding"},
            "`xdp_forwarding` is for connections that pass through, but the mode is proxy",
            l.application == Application::http ? "remove it" : "write `mode: l4`, or remove it");
  if (!l.splice) return;
  const Cluster* const cluster = find_cluster(config_, l.cluster);
  if (l.application == Application::http)
    problem({"listeners", i, "splice"},
            "`splice` joins two TCP connections for good, but protocol http routes every request",
            "write `protocol: tcp`, or remove it");
  else if (!ends_here)
    problem({"listeners", i, "splice"}, "`splice` is for connections that end here, but the mode is l4",
            "write `mode: proxy`, or remove it");
  else if (l.proxy_protocol)
    problem({"listeners", i, "splice"}, "`splice` does not go with PROXY headers, and `proxy_protocol` is accept",
            "keep one of them");
  else if (cluster != nullptr && cluster->proxy_protocol != control::ProxyProtocol::off)
    problem({"listeners", i, "splice"},
            "`splice` does not go with PROXY headers, and cluster `" + l.cluster + "` has proxy_protocol",
            "keep one of them, or point the listener to another cluster");
}

void Checks::listener_cluster(std::size_t i, const Cluster& cluster) {
  const Listener& l = config_.listeners[i];
  if (l.address == IpAddress{}) return;
  for (const Endpoint& e : cluster.endpoints) {
    if (e.address == IpAddress{} || e.address.is_v4() == l.address.is_v4()) continue;
    problem({"listeners", i, "cluster"},
            std::string{"listener is "} + family_name(l.address) + ", but cluster `" + cluster.name + "` has the " +
                family_name(e.address) + " endpoint " + socket_text(e.address, e.port),
            "point it to a cluster of its own address family");
    break;
  }
  for (const Endpoint& e : cluster.endpoints) {
    if (e.port == 0 || !services_.contains({e.address, e.port, l.protocol})) continue;
    problem({"listeners", i, "cluster"},
            "endpoint " + socket_text(e.address, e.port) + " of cluster `" + cluster.name +
                "` is itself a service of this node",
            "point the cluster to the servers behind that service");
    break;
  }
}

void Checks::listener_node_address(std::size_t i) {
  const Listener& l = config_.listeners[i];
  if (l.address == IpAddress{}) return;
  const auto& nodes = config_.node.addresses;
  const bool family_served = std::any_of(nodes.begin(), nodes.end(), [&](const IpAddress& address) {
    return address == IpAddress{} || address.is_v4() == l.address.is_v4();
  });
  if (l.forwarding == control::Forwarding::fullnat && good({"listeners", i, "forwarding"}) &&
      good({"node", "addresses"}) && !family_served)
    problem({"listeners", i, "address"},
            std::string{"forwarding fullnat needs an "} + family_name(l.address) + " address of this node",
            "add one to node.addresses, or use forwarding dnat");
}

void Checks::ask(std::size_t i) {
  const Listener& l = config_.listeners[i];
  if (!good({"listeners", i, "policy"})) return;
  const YamlNode* section = at_.find({"listeners", i, "ask"});
  if (l.policy != control::Policy::ask) {
    if (section != nullptr)
      problem({"listeners", i, "ask"}, "`ask` is given, but the policy is not ask",
              "write `policy: ask`, or remove it");
    return;
  }
  if (section == nullptr)
    return problem({"listeners", i, "policy"}, "policy ask without an `ask` section",
                   "add `ask: {default: deny, rules: [...]}`");
  if (!good({"listeners", i, "ask"}) || !good({"listeners", i, "ask", "rules"})) return;
  if (section->find("rules") != nullptr && l.ask.rules.empty())
    problem({"listeners", i, "ask", "rules"}, "policy ask without any rule",
            "add a rule, or write the default as `policy`");
  std::map<IpPrefix, std::size_t> seen;
  for (std::size_t k = 0; k < l.ask.rules.size(); ++k) {
    const IpPrefix& source = l.ask.rules[k].source;
    const YamlNode* text = at_.find({"listeners", i, "ask", "rules", k, "source"});
    if (text == nullptr || reader_.is_bad(*text)) continue;
    if (l.address != IpAddress{} && source.address.is_v4() != l.address.is_v4())
      problem({"listeners", i, "ask", "rules", k, "source"},
              "source " + source.text() + " is not of the listener's address family",
              "use " + std::string{family_name(l.address)} + " prefixes");
    else if (!seen.emplace(source, k).second)
      problem({"listeners", i, "ask", "rules", k, "source"}, "source " + source.text() + " already has a rule",
              "keep one: the first decides");
  }
}

}  // namespace

void check_relations(const Config& config, const YamlNode& root, const Machine& machine, Reader& reader) {
  Checks{config, root, machine, reader}.run();
}

}  // namespace penstock::config
