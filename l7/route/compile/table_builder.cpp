#include "l7/route/compile/table_builder.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "l7/route/text_fold.h"

namespace penstock::route {
namespace {

constexpr std::size_t index_of(TableSection section) { return static_cast<std::size_t>(section); }

struct Domains {
  TableFacts facts{0, kNoHost};
  std::vector<DomainRecord> exact;
  std::vector<std::uint32_t> slots;
  std::vector<TrieNode> nodes;
  std::vector<Fanout> fanouts;
};

/// At most half full, so that probes stay short.
void fill_slots(Domains& domains) {
  domains.slots.assign(std::bit_ceil(2 * domains.exact.size() + 1), kEmptySlot);
  const std::size_t mask = domains.slots.size() - 1;
  for (std::size_t i = 0; i < domains.exact.size(); ++i) {
    std::size_t at = domains.exact[i].hash & mask;
    while (domains.slots[at] != kEmptySlot) at = (at + 1) & mask;
    domains.slots[at] = static_cast<std::uint32_t>(i);
  }
}

Domains build_domains(const RouteTable& table, TextPool& texts) {
  Domains domains;
  TrieBuilder prefixes, suffixes;
  for (std::size_t i = 0; i < table.virtual_hosts.size(); ++i) {
    const auto host = static_cast<std::uint32_t>(i);
    for (std::string name : table.virtual_hosts[i].domains) {
      std::transform(name.begin(), name.end(), name.begin(), fold);
      if (name == "*")
        domains.facts.any_host = host;
      else if (name.starts_with('*'))
        suffixes.add_plain({name.rbegin(), name.rend() - 1}, host);
      else if (name.ends_with('*'))
        prefixes.add_plain(name.substr(0, name.size() - 1), host);
      else
        domains.exact.push_back({texts.add(name), folded_hash(name), host});
    }
  }
  ListBuilder no_lists;
  prefixes.build(no_lists, domains.nodes, domains.fanouts);
  domains.facts.suffix_root = suffixes.build(no_lists, domains.nodes, domains.fanouts);
  fill_slots(domains);
  return domains;
}

}  // namespace

ClusterNames number_clusters(const RouteTable& table) {
  ClusterNames names;
  for (const VirtualHost& host : table.virtual_hosts)
    for (const Route& route : host.routes)
      if (const auto* forward = std::get_if<Forward>(&route.action))
        for (const WeightedCluster& cluster : forward->clusters)
          if (cluster.weight != 0) names.emplace(cluster.name, 0);
  std::uint32_t next = 0;
  for (auto& [name, number] : names) number = next++;
  return names;
}

Image build_table(const RouteTable& table, const ClusterNames& clusters, const std::vector<Image>& hosts) {
  TextPool texts;
  const Domains domains = build_domains(table, texts);
  std::vector<Text> names;
  for (const auto& [name, number] : clusters) names.push_back(texts.add(name));
  std::vector<HostRecord> records;
  std::size_t octets = 0;
  std::uint32_t first_route = 0;
  for (std::size_t i = 0; i < hosts.size(); ++i) {
    const auto routes = static_cast<std::uint32_t>(table.virtual_hosts[i].routes.size());
    records.push_back({octets, hosts[i].bytes().size(), first_route, routes});
    octets = aligned_up(octets + hosts[i].bytes().size());
    first_route += routes;
  }
  std::vector<std::byte> images(octets);
  for (std::size_t i = 0; i < hosts.size(); ++i)
    std::memcpy(images.data() + records[i].image, hosts[i].bytes().data(), hosts[i].bytes().size());

  ImageWriter<static_cast<std::size_t>(TableSection::count)> writer;
  writer.put<TableFacts>(index_of(TableSection::facts), {&domains.facts, 1});
  writer.put<HostRecord>(index_of(TableSection::hosts), records);
  writer.put<DomainRecord>(index_of(TableSection::domains), domains.exact);
  writer.put<std::uint32_t>(index_of(TableSection::slots), domains.slots);
  writer.put<TrieNode>(index_of(TableSection::nodes), domains.nodes);
  writer.put<Fanout>(index_of(TableSection::fanouts), domains.fanouts);
  writer.put<Text>(index_of(TableSection::clusters), names);
  writer.put<char>(index_of(TableSection::text), {texts.octets().data(), texts.octets().size()});
  writer.put<std::byte>(index_of(TableSection::images), images);
  return writer.finish(kTableMagic);
}

}  // namespace penstock::route
