#include "mgmt/compile/compiler.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <map>
#include <random>
#include <set>
#include <tuple>

#include "bpf/abi/steer.h"
#include "dataplane/control/hash.h"
#include "dataplane/control/limits.h"
#include "mgmt/compile/derive.h"
#include "mgmt/compile/table_cache.h"

namespace penstock::compile {
namespace {

using Kind = IdRegistry::Kind;
/// Line that parts the saved ids of listeners, clusters and endpoints from those of counter blocks of HTTP.
constexpr std::string_view kHttpIds = "\n---\n";
/// And these from the secret of cookies.
constexpr std::string_view kSecret = "\n+++\n";
/// Begins the last line, which has the hash of everything before it: a text that was cut or changed has another.
constexpr std::string_view kSeal = "seal ";

std::string seal_of(std::string_view saved) {
  std::array<char, 24> out{};
  std::snprintf(out.data(), out.size(), "%016llx\n",
                static_cast<unsigned long long>(control::hash64(std::as_bytes(std::span{saved}))));
  return std::string{kSeal} + out.data();
}
constexpr std::string_view kDrainRemedy =
    "those that were removed count until their connections have ended: apply again later, or lower node.drain_timeout";

/// A cluster as it goes into the snapshot: what is configured, then what drains.
struct EffectiveCluster {
  std::string name;
  std::vector<config::Endpoint> endpoints;
  std::size_t configured{};  ///< of the endpoints, from the front
};
struct EffectiveListener {
  const config::Listener* listener;
  bool draining;
  bool steered;
};

std::string service_text(const config::Listener& listener) {
  const std::string address = listener.address.text();
  return (listener.address.is_v4() ? address : "[" + address + "]") + ":" + std::to_string(listener.port) +
         (listener.protocol == IpProto::udp ? "/udp" : "/tcp");
}
// Keys of the registry. Names have no blanks.
std::string key_of(const config::Listener& listener) { return listener.name + " " + service_text(listener); }
std::string key_of(const std::string& cluster, const config::Endpoint& endpoint) {
  return cluster + " " + endpoint.address.text() + " " + std::to_string(endpoint.port);
}

/// The configuration, with the clusters behind it that left it with their listener.
config::Config with_gone_clusters(const config::Config& config, const Draining& draining) {
  config::Config out = config;
  for (const config::Cluster& gone : draining.clusters)
    if (config::find_cluster(config, gone.name) == nullptr) out.clusters.push_back(gone);
  return out;
}

/// Clusters of `config` in its order (the first `configured` are not gone), then those that only something draining
/// needs.
std::vector<EffectiveCluster> effective_clusters(const config::Config& config, std::size_t configured,
                                                 const Draining& draining) {
  std::vector<EffectiveCluster> out;
  std::map<std::string_view, std::size_t> by_name;
  std::set<std::tuple<std::string_view, IpAddress, std::uint16_t>> present;
  for (const config::Cluster& cluster : config.clusters) {
    by_name.emplace(cluster.name, out.size());
    out.push_back({cluster.name, cluster.endpoints, out.size() < configured ? cluster.endpoints.size() : 0});
    for (const config::Endpoint& endpoint : cluster.endpoints)
      present.emplace(cluster.name, endpoint.address, endpoint.port);
  }
  const auto cluster_named = [&](std::string_view name) -> EffectiveCluster& {
    const auto [at, fresh] = by_name.emplace(name, out.size());
    if (fresh) out.push_back({std::string{name}, {}, 0});
    return out[at->second];
  };
  const auto add = [&](const std::string& cluster, config::Endpoint endpoint) {
    if (!present.emplace(cluster, endpoint.address, endpoint.port).second) return;
    endpoint.weight = 0;
    cluster_named(cluster).endpoints.push_back(endpoint);
  };
  for (const DrainingListener& gone : draining.listeners)
    for (const std::string_view name : config::clusters_of(gone.listener)) (void)cluster_named(name);
  for (const DrainingEndpoint& gone : draining.endpoints) add(gone.cluster, gone.endpoint);
  return out;
}

/// Listeners of the configuration, then draining ones whose service no other has taken over.
std::vector<EffectiveListener> effective_listeners(const config::Config& config, const Draining& draining) {
  std::vector<EffectiveListener> out;
  std::set<std::tuple<IpAddress, std::uint16_t, IpProto>> services;
  for (const config::Listener& listener : config.listeners) {
    services.emplace(listener.address, listener.port, listener.protocol);
    out.push_back({&listener, false, true});
  }
  for (const DrainingListener& gone : draining.listeners)
    if (services.emplace(gone.listener.address, gone.listener.port, gone.listener.protocol).second)
      out.push_back({&gone.listener, true, gone.steered});
  return out;
}

std::uint32_t count_ms(std::chrono::milliseconds value) { return static_cast<std::uint32_t>(value.count()); }

control::NodeRecord node_record(const config::Node& node) {
  control::NodeRecord out{};
  out.source_port_low = node.source_ports.low;
  out.source_port_high = node.source_ports.high;
  out.flow_max = node.limits.flows_per_worker;
  out.tcp_syn_ms = count_ms(node.timeouts.tcp_syn);
  out.tcp_established_ms = count_ms(node.timeouts.tcp_established);
  out.tcp_fin_ms = count_ms(node.timeouts.tcp_fin);
  out.tcp_closed_ms = count_ms(node.timeouts.tcp_closed);
  out.udp_unreplied_ms = count_ms(node.timeouts.udp_unreplied);
  out.udp_stream_ms = count_ms(node.timeouts.udp_stream);
  out.parked_max = node.limits.parked_flows;
  out.proxy_connections_max = node.proxy.connections_per_worker;
  out.proxy_half_open_max = node.proxy.half_open_max;
  out.proxy_idle_ms = count_ms(node.proxy.idle_timeout);
  out.proxy_connect_ms = count_ms(node.proxy.connect_timeout);
  out.proxy_keepalive_ms = count_ms(node.proxy.keepalive);
  out.proxy_buffer_octets = node.proxy.buffer_octets;
  out.proxy_time_wait_ms = count_ms(node.proxy.time_wait);
  out.proxy_congestion = node.proxy.congestion;
  return out;
}

/// Bounds that depend on the whole, draining parts included.
Problems check_totals(const config::Config& config, const std::vector<EffectiveCluster>& clusters,
                      const std::vector<EffectiveListener>& listeners) {
  Problems out;
  const auto bound = [&](std::string what, std::size_t count, std::size_t max, std::string_view remedy) {
    if (count > max)
      out.push_back({"", std::to_string(count) + " " + what + ", at most " + std::to_string(max) + " are possible",
                     std::string{remedy}});
  };
  std::size_t endpoints = 0;
  for (const EffectiveCluster& cluster : clusters) {
    endpoints += cluster.endpoints.size();
    bound("endpoints of cluster `" + cluster.name + "`", cluster.endpoints.size(), control::kClusterEndpointMax,
          kDrainRemedy);
  }
  std::size_t slots = 0;
  for (const config::Cluster& cluster : config.clusters) slots += table_size(cluster);
  bound("listeners", listeners.size(), control::kListenerMax, kDrainRemedy);
  bound("clusters", clusters.size(), control::kClusterMax, kDrainRemedy);
  bound("endpoints", endpoints, control::kEndpointMax, kDrainRemedy);
  bound("Maglev slots", slots, control::kMaglevTotalMax, "lower maglev_table_size");
  return out;
}

/// Fills a Compiled record by record; one use.
class Builder {
 public:
  Builder(IdRegistry& ids, const Health& health, Compiled& out) : ids_{ids}, health_{health}, out_{out} {}

  void add_cluster(const EffectiveCluster& cluster, const std::vector<std::uint16_t>* table, bool panic) {
    control::SnapshotContent& content = out_.content;
    control::ClusterRecord record{};
    record.flags = panic ? std::uint32_t{control::kClusterPanic} : 0;
    record.id = acquire(Kind::cluster, cluster.name).id;
    record.first_endpoint = static_cast<std::uint32_t>(content.endpoints.size());
    record.endpoint_count = static_cast<std::uint32_t>(cluster.endpoints.size());
    record.maglev_offset = static_cast<std::uint32_t>(content.maglev.size());
    if (table != nullptr) {
      record.maglev_size = static_cast<std::uint32_t>(table->size());
      content.maglev.insert(content.maglev.end(), table->begin(), table->end());
    }
    indices_.emplace(cluster.name, static_cast<std::uint32_t>(content.clusters.size()));
    content.clusters.push_back(record);
    out_.clusters.push_back({cluster.name, record.id});
    for (std::size_t i = 0; i < cluster.endpoints.size(); ++i)
      add_endpoint(cluster, cluster.endpoints[i], i >= cluster.configured);
  }

  void add_listener(const EffectiveListener& effective, HttpBuilder& http) {
    const config::Listener& listener = *effective.listener;
    const IdRegistry::Ids ids = acquire(Kind::listener, key_of(listener));
    control::ListenerRecord record{};
    record.address = listener.address;
    record.port = Be16::from_host(listener.port);
    record.proto = listener.protocol;
    record.policy = listener.policy;
    record.forwarding = listener.forwarding;
    record.mode = listener.mode;
    if (effective.draining) record.flags = control::kListenerDraining;
    record.ask_default = listener.ask.default_decision;
    record.id = ids.id;
    record.stat_slot = ids.stat_slot;
    const auto index_of = [this](const std::string& cluster) { return indices_.at(cluster); };
    record.cluster = listener.cluster.empty() ? control::kNoIndex : index_of(listener.cluster);
    if (listener.application == config::Application::http) record.http = http.add_listener(listener, index_of);
    record.flags = static_cast<std::uint8_t>(record.flags | served_flags(listener, record) | tier_flags(listener));
    record.ask_deadline_ms = count_ms(listener.ask.deadline);
    out_.content.listeners.push_back(record);
    out_.listeners.push_back({listener.name, listener.cluster, listener.address, listener.port, listener.protocol,
                              ids.id, ids.stat_slot, effective.draining});
  }

  /// Listeners and endpoints that got no counter slot.
  [[nodiscard]] std::size_t without_slot() const { return without_slot_; }

 private:
  /// PROXY headers, before or behind us, take a TCP connection through the HTTP proxy.
  [[nodiscard]] unsigned served_flags(const config::Listener& listener, const control::ListenerRecord& record) const {
    if (listener.mode != control::ListenerMode::proxy) return 0;
    const unsigned accept = listener.proxy_protocol ? unsigned{control::kListenerProxyProtocol} : 0u;
    if (listener.application == config::Application::http) return accept;
    const bool tells = out_.content.cluster_policies[record.cluster].proxy_protocol != control::ProxyProtocol::off;
    return accept | (accept != 0 || tells ? unsigned{control::kListenerTunnel} : 0u);
  }

  /// How deep its connections may sink.
  [[nodiscard]] static unsigned tier_flags(const config::Listener& listener) {
    if (listener.mode == control::ListenerMode::l4)
      return listener.xdp_forwarding ? unsigned{control::kListenerForward} : 0u;
    return listener.splice ? unsigned{control::kListenerSplice} : 0u;
  }

  void add_endpoint(const EffectiveCluster& cluster, const config::Endpoint& endpoint, bool draining) {
    const IdRegistry::Ids ids = acquire(Kind::endpoint, key_of(cluster.name, endpoint));
    const bool healthy = health_.is_healthy(cluster.name, endpoint);
    out_.content.endpoints.push_back({endpoint.address, Be16::from_host(endpoint.port), endpoint.weight, ids.id,
                                      ids.stat_slot,
                                      healthy ? control::EndpointHealth::healthy : control::EndpointHealth::unhealthy});
    out_.endpoints.push_back(
        {cluster.name, endpoint.address, endpoint.port, endpoint.weight, ids.id, ids.stat_slot, draining, healthy});
  }
  IdRegistry::Ids acquire(Kind kind, const std::string& key) {
    if (const auto ids = ids_.acquire(kind, key)) return *ids;
    ++without_slot_;
    return {0, IdRegistry::kNoSlot};
  }

  IdRegistry& ids_;
  const Health& health_;
  Compiled& out_;
  std::map<std::string, std::uint32_t, std::less<>> indices_;
  std::size_t without_slot_{};
};

/// The listeners that steering is to know.
std::vector<ListenerInfo> steered_listeners(const std::vector<EffectiveListener>& effective,
                                            const std::vector<ListenerInfo>& infos) {
  std::vector<ListenerInfo> out;
  for (std::size_t i = 0; i < infos.size(); ++i)
    if (effective[i].steered) out.push_back(infos[i]);
  return out;
}

/// Sizes by what is configured: an endpoint that is unhealthy for a while does not change them.
std::vector<std::uint32_t> table_sizes(const config::Config& config, const config::Config& effective) {
  std::vector<std::uint32_t> out;
  for (std::size_t i = 0; i < config.clusters.size(); ++i)
    out.push_back(table_size(effective.clusters[i]) == 0 ? 0 : table_size(config.clusters[i]));
  return out;
}

Problems check_steering(const SteeringState& steering) {
  Problems out;
  if (steering.sources.size() > PENSTOCK_SERVICE_MAX)
    out.push_back({"",
                   std::to_string(steering.sources.size()) + " endpoints behind DNAT listeners, at most " +
                       std::to_string(PENSTOCK_SERVICE_MAX) + " are possible",
                   "use forwarding fullnat for some"});
  return out;
}

}  // namespace

Compiler::Compiler() : secret_{random_secret()}, tables_{std::make_unique<TableCache>()} {}
Compiler::~Compiler() = default;
Compiler::Compiler(Compiler&&) noexcept = default;
Compiler& Compiler::operator=(Compiler&&) noexcept = default;

Result<Compiled, Problems> Compiler::compile(const config::Config& present, const Draining& draining,
                                             const Health& health) {
  const config::Config config = with_gone_clusters(present, draining);
  const std::vector<EffectiveCluster> clusters = effective_clusters(config, present.clusters.size(), draining);
  const std::vector<EffectiveListener> listeners = effective_listeners(config, draining);
  if (Problems problems = check_totals(config, clusters, listeners); !problems.empty()) return problems;

  config::Config effective = config;  // as new flows see it
  for (config::Cluster& cluster : effective.clusters) cluster = usable(cluster, health);
  const std::vector<MaglevTable> tables = tables_->build(effective.clusters, table_sizes(config, effective));
  ids_.begin();
  http_slots_.begin();
  Compiled out;
  out.content.node = node_record(config.node);
  out.content.node_addresses = config.node.addresses;
  Builder builder{ids_, health, out};
  HttpBuilder http{http_slots_, routes_, secret_, out.content, out.http_slots};
  for (std::size_t i = 0; i < clusters.size(); ++i) {
    const bool configured = i < config.clusters.size();
    builder.add_cluster(clusters[i], configured ? tables[i].get() : nullptr,
                        configured && in_panic(config.clusters[i], health));
    if (configured) http.add_policy(config.clusters[i], effective.clusters[i].endpoints);
  }
  out.content.cluster_policies.resize(out.content.clusters.size());
  for (const EffectiveListener& listener : listeners) builder.add_listener(listener, http);
  out.steering = derive_steering(present, draining, steered_listeners(listeners, out.listeners));
  out.fallback = derive_fallback(effective);

  Problems problems = check_steering(out.steering);
  for (Problem& problem : http.take_problems()) problems.push_back(std::move(problem));
  if (builder.without_slot() != 0)
    problems.push_back({"",
                        "listeners and endpoints need " + std::to_string(builder.without_slot()) +
                            " more counter slots than the " + std::to_string(control::kStatSlotMax) + " there are",
                        std::string{kDrainRemedy}});
  if (!problems.empty()) {
    ids_.rollback();
    http_slots_.rollback();
    return problems;
  }
  ids_.commit();
  http_slots_.commit();
  // Nothing but counters depends on these blocks: they may be given away at once, unused ones first.
  for (const IdRegistry::Entry& entry : http_slots_.retired()) http_slots_.release(entry.stat_slot);
  routes_.forget_unused();
  return out;
}

std::vector<IdRegistry::Entry> Compiler::retired() const { return ids_.retired(); }
void Compiler::release(std::uint32_t stat_slot) { ids_.release(stat_slot); }

std::string Compiler::save_ids() const {
  // Both end their last line, which the parting line brings again.
  std::string saved = ids_.save();
  saved.pop_back();
  saved.append(kHttpIds).append(http_slots_.save());
  saved.pop_back();
  saved.append(kSecret).append(secret_text(secret_)).append("\n");
  return saved + seal_of(saved);
}
void Compiler::begin_ids_anew() {
  std::random_device device;  // the kernel's
  ids_.begin_anew(std::uniform_int_distribution<std::uint32_t>{kAnewIdMin, kAnewIdMax}(device));
}

Status Compiler::restore_ids(std::string_view saved) {
  const auto bad = [](std::string what) {
    return Problem{"saved ids", std::move(what), "remove the file; ids begin anew"};
  };
  const std::size_t body = saved.size() - std::min(saved.size(), seal_of({}).size());
  if (saved.substr(body) != seal_of(saved.substr(0, body)))
    return bad("is damaged or cut short: the seal is missing or wrong");
  saved = saved.substr(0, body);
  const std::size_t at = saved.find(kSecret);
  const std::size_t end = saved.find(kHttpIds);
  if (at == std::string_view::npos || end == std::string_view::npos || end > at) return bad("parts are missing");
  const std::string_view line = saved.substr(at + kSecret.size());
  const std::optional<policy::Hash128> secret = read_secret(line.substr(0, line.empty() ? 0 : line.size() - 1));
  if (!secret) return bad("the secret of cookies is no secret");
  saved = saved.substr(0, at + 1);
  IdRegistry http{control::kHttpSlotMax};
  if (Status restored = http.restore(saved.substr(end + kHttpIds.size())); !restored) return restored;
  if (Status restored = ids_.restore(saved.substr(0, end + 1)); !restored) return restored;
  http_slots_ = std::move(http);
  secret_ = *secret;
  return Done{};
}

}  // namespace penstock::compile
