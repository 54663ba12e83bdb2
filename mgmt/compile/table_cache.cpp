#include "mgmt/compile/table_cache.h"

#include <tbb/parallel_for.h>

#include <algorithm>

#include "dataplane/lb/maglev.h"

namespace penstock::compile {
namespace {

std::vector<std::uint16_t> make_table(const config::Cluster& cluster, std::uint32_t size) {
  if (size == 0) return {};
  std::vector<lb::MaglevMember> members;
  members.reserve(cluster.endpoints.size());
  for (const config::Endpoint& endpoint : cluster.endpoints)
    members.push_back({lb::member_identity(endpoint.address, Be16::from_host(endpoint.port)), endpoint.weight});
  return lb::build_maglev(members, size);
}

}  // namespace

std::uint32_t table_size(const config::Cluster& cluster) {
  const auto weighted = static_cast<std::size_t>(std::count_if(cluster.endpoints.begin(), cluster.endpoints.end(),
                                                               [](const config::Endpoint& e) { return e.weight > 0; }));
  if (weighted == 0) return 0;
  return cluster.maglev_table_size.value_or(lb::default_table_size(weighted));
}

std::vector<MaglevTable> TableCache::build(const std::vector<config::Cluster>& clusters,
                                           const std::vector<std::uint32_t>& sizes) {
  std::vector<Kept> now(clusters.size());
  std::vector<std::size_t> missing;
  for (std::size_t i = 0; i < clusters.size(); ++i) {
    now[i] = {sizes[i], clusters[i].endpoints, nullptr};
    const auto before = kept_.find(clusters[i].name);
    if (before != kept_.end() && before->second.size == now[i].size && before->second.endpoints == now[i].endpoints)
      now[i].table = before->second.table;
    else
      missing.push_back(i);
  }
  tbb::parallel_for(std::size_t{0}, missing.size(), [&](std::size_t k) {
    Kept& kept = now[missing[k]];
    kept.table = std::make_shared<const std::vector<std::uint16_t>>(make_table(clusters[missing[k]], kept.size));
  });
  built_ = missing.size();
  kept_.clear();
  std::vector<MaglevTable> out;
  out.reserve(clusters.size());
  for (std::size_t i = 0; i < clusters.size(); ++i) {
    out.push_back(now[i].table);
    kept_.emplace(clusters[i].name, std::move(now[i]));
  }
  return out;
}

}  // namespace penstock::compile
