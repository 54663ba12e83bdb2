#include "mgmt/config/config.h"

#include <algorithm>

namespace penstock::config {
namespace {

template <typename T>
const T* find_named(const std::vector<T>& items, std::string_view name) {
  const auto at = std::find_if(items.begin(), items.end(), [&](const T& item) { return item.name == name; });
  return at == items.end() ? nullptr : &*at;
}

}  // namespace

const Cluster* find_cluster(const Config& config, std::string_view name) { return find_named(config.clusters, name); }
const Listener* find_listener(const Config& config, std::string_view name) {
  return find_named(config.listeners, name);
}

std::vector<std::string_view> clusters_of(const Listener& listener) {
  std::vector<std::string_view> out;
  const auto add = [&](std::string_view name) {
    if (!name.empty() && std::find(out.begin(), out.end(), name) == out.end()) out.push_back(name);
  };
  add(listener.cluster);
  if (listener.http.connect) add(listener.http.connect->cluster);
  for (const route::VirtualHost& host : listener.virtual_hosts)
    for (const route::Route& route : host.routes) {
      if (const auto* forward = std::get_if<route::Forward>(&route.action))
        for (const route::WeightedCluster& cluster : forward->clusters) add(cluster.name);
      if (route.policy.mirror) add(route.policy.mirror->cluster);
    }
  return out;
}

}  // namespace penstock::config
