// What of one configuration is not in another, and still serves.
#include <algorithm>
#include <set>
#include <tuple>

#include "mgmt/compile/compiler.h"

namespace penstock::compile {
namespace {

using EndpointKey = std::tuple<std::string, IpAddress, std::uint16_t>;
using SourceKey = std::tuple<std::string, IpAddress, std::uint16_t, IpProto>;

bool same_service(const config::Listener& a, const config::Listener& b) {
  return a.address == b.address && a.port == b.port && a.protocol == b.protocol;
}
bool has_service(const config::Config& config, const config::Listener& listener) {
  return std::any_of(config.listeners.begin(), config.listeners.end(),
                     [&](const config::Listener& other) { return same_service(other, listener); });
}
EndpointKey key_of(const std::string& cluster, const config::Endpoint& endpoint) {
  return {cluster, endpoint.address, endpoint.port};
}
SourceKey key_of(const DrainingSource& source) {
  return {source.cluster, source.endpoint.address, source.endpoint.port, source.protocol};
}

std::set<EndpointKey> endpoints_of(const config::Config& config) {
  std::set<EndpointKey> out;
  for (const config::Cluster& cluster : config.clusters)
    for (const config::Endpoint& endpoint : cluster.endpoints) out.insert(key_of(cluster.name, endpoint));
  return out;
}

/// Endpoints behind DNAT listeners, without doubles.
std::vector<DrainingSource> sources_of(const config::Config& config) {
  std::vector<DrainingSource> out;
  std::set<SourceKey> seen;
  for (const config::Listener& listener : config.listeners) {
    if (listener.forwarding != control::Forwarding::dnat) continue;
    const config::Cluster* cluster = config::find_cluster(config, listener.cluster);
    if (cluster == nullptr) continue;
    for (const config::Endpoint& endpoint : cluster->endpoints) {
      DrainingSource source{cluster->name, endpoint, listener.protocol};
      if (seen.insert(key_of(source)).second) out.push_back(std::move(source));
    }
  }
  return out;
}
std::set<SourceKey> source_keys(const config::Config& config) {
  std::set<SourceKey> out;
  for (const DrainingSource& source : sources_of(config)) out.insert(key_of(source));
  return out;
}

bool names(const DrainingListener& gone, std::string_view cluster) {
  const std::vector<std::string_view> named = config::clusters_of(gone.listener);
  return std::find(named.begin(), named.end(), cluster) != named.end();
}

/// Clusters of `before` that `after` lacks and connections of these listeners may still ask for.
std::vector<config::Cluster> gone_clusters(const std::vector<DrainingListener>& listeners, const config::Config& before,
                                           const config::Config& after) {
  std::vector<config::Cluster> out;
  for (const config::Cluster& cluster : before.clusters)
    if (config::find_cluster(after, cluster.name) == nullptr &&
        std::any_of(listeners.begin(), listeners.end(), [&](const DrainingListener& gone) {
          return gone.listener.mode == control::ListenerMode::proxy && names(gone, cluster.name);
        }))
      out.push_back(cluster);
  return out;
}

}  // namespace

void drop_unused_clusters(Draining& draining) {
  std::erase_if(draining.clusters, [&](const config::Cluster& cluster) {
    return std::none_of(draining.listeners.begin(), draining.listeners.end(),
                        [&](const DrainingListener& gone) { return names(gone, cluster.name); });
  });
}

Draining removed_between(const config::Config& before, const config::Config& after, const Draining& already) {
  Draining out;
  for (const config::Listener& listener : before.listeners)
    if (!has_service(after, listener)) out.listeners.push_back({listener, true});
  std::vector<DrainingListener> drain = already.listeners;
  drain.insert(drain.end(), out.listeners.begin(), out.listeners.end());
  out.clusters = gone_clusters(drain, before, after);
  const std::set<EndpointKey> endpoints = endpoints_of(after);
  for (const config::Cluster& cluster : before.clusters)
    for (const config::Endpoint& endpoint : cluster.endpoints)
      if (!endpoints.contains(key_of(cluster.name, endpoint))) out.endpoints.push_back({cluster.name, endpoint});
  const std::set<SourceKey> sources = source_keys(after);
  for (DrainingSource& source : sources_of(before))
    if (!sources.contains(key_of(source))) out.sources.push_back(std::move(source));
  return out;
}

void merge(Draining& to, const Draining& more) {
  for (const DrainingListener& listener : more.listeners) {
    std::erase_if(to.listeners, [&](const auto& other) { return same_service(other.listener, listener.listener); });
    to.listeners.push_back(listener);
  }
  for (const config::Cluster& cluster : more.clusters) {
    std::erase_if(to.clusters, [&](const config::Cluster& other) { return other.name == cluster.name; });
    to.clusters.push_back(cluster);
  }
  std::set<EndpointKey> endpoints;
  for (const DrainingEndpoint& e : to.endpoints) endpoints.insert(key_of(e.cluster, e.endpoint));
  for (const DrainingEndpoint& e : more.endpoints)
    if (endpoints.insert(key_of(e.cluster, e.endpoint)).second) to.endpoints.push_back(e);
  std::set<SourceKey> sources;
  for (const DrainingSource& s : to.sources) sources.insert(key_of(s));
  for (const DrainingSource& s : more.sources)
    if (sources.insert(key_of(s)).second) to.sources.push_back(s);
}

void drop_returned(Draining& draining, const config::Config& config) {
  std::erase_if(draining.listeners, [&](const auto& gone) { return has_service(config, gone.listener); });
  std::erase_if(draining.clusters,
                [&](const config::Cluster& gone) { return config::find_cluster(config, gone.name) != nullptr; });
  drop_unused_clusters(draining);
  const std::set<EndpointKey> endpoints = endpoints_of(config);
  std::erase_if(draining.endpoints,
                [&](const auto& gone) { return endpoints.contains(key_of(gone.cluster, gone.endpoint)); });
  const std::set<SourceKey> sources = source_keys(config);
  std::erase_if(draining.sources, [&](const auto& gone) { return sources.contains(key_of(gone)); });
}

}  // namespace penstock::compile
