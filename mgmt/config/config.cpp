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

}  // namespace penstock::config
