// Thousands of random reloads: ids and slots stay with what they name, no slot is given away while somebody counts in
// it, unchanged clusters keep their table, and the dataplane takes every snapshot.
#include <gtest/gtest.h>

#include <map>
#include <random>
#include <set>

#include "dataplane/control/snapshot_view.h"
#include "mgmt/compile/compiler.h"
#include "mgmt/compile/test_config.h"

namespace penstock::compile {
namespace {

class Random {
 public:
  explicit Random(std::uint64_t seed) : engine_{seed} {}
  std::uint32_t below(std::uint32_t n) { return static_cast<std::uint32_t>(engine_() % n); }
  bool one_in(std::uint32_t n) { return below(n) == 0; }

 private:
  std::mt19937_64 engine_;
};

IpAddress endpoint_address(std::uint32_t n) {
  return IpAddress::v4(10, 20, static_cast<std::uint8_t>(n >> 8), static_cast<std::uint8_t>(n));
}

void change_cluster(Random& random, config::Cluster& cluster) {
  auto& endpoints = cluster.endpoints;
  switch (random.below(4)) {
    case 0:
      if (!endpoints.empty())
        endpoints.erase(endpoints.begin() + random.below(static_cast<std::uint32_t>(endpoints.size())));
      break;
    case 1:
      if (!endpoints.empty())
        endpoints[random.below(static_cast<std::uint32_t>(endpoints.size()))].weight =
            static_cast<std::uint16_t>(random.below(4));
      break;
    case 2:
      std::reverse(endpoints.begin(), endpoints.end());
      break;
    default: {
      const config::Endpoint fresh{endpoint_address(random.below(40)), 80, static_cast<std::uint16_t>(random.below(5))};
      const bool there = std::any_of(endpoints.begin(), endpoints.end(),
                                     [&](const auto& e) { return e.address == fresh.address && e.port == fresh.port; });
      if (!there) endpoints.push_back(fresh);
    }
  }
}

/// A configuration a few edits away, as valid as the loader's.
config::Config changed(Random& random, config::Config config) {
  const std::uint32_t name = random.below(8);
  const std::string cluster_name = "c" + std::to_string(name);
  if (config::find_cluster(config, cluster_name) == nullptr) config.clusters.push_back({cluster_name, 251, {}});
  for (config::Cluster& cluster : config.clusters)
    if (random.one_in(3)) change_cluster(random, cluster);
  if (random.one_in(2)) {
    const std::uint32_t number = random.below(12);  // one draw per statement: every compiler plays the same game
    const auto port = static_cast<std::uint16_t>(1 + random.below(20));
    config::Listener fresh = make_listener("l" + std::to_string(number), "10.96.0.1", port, cluster_name);
    if (random.one_in(3))
      fresh.forwarding = control::Forwarding::dnat;
    else if (random.one_in(2))
      fresh.mode = control::ListenerMode::proxy;
    std::erase_if(config.listeners, [&](const auto& l) { return l.name == fresh.name || l.port == fresh.port; });
    config.listeners.push_back(fresh);
  }
  if (!config.listeners.empty() && random.one_in(3))
    config.listeners.erase(config.listeners.begin() +
                           random.below(static_cast<std::uint32_t>(config.listeners.size())));
  if (random.one_in(4))  // drop clusters that nobody uses
    std::erase_if(config.clusters, [&](const auto& cluster) {
      return std::none_of(config.listeners.begin(), config.listeners.end(),
                          [&](const auto& l) { return l.cluster == cluster.name; });
    });
  return config;
}

struct Identity {
  std::uint32_t id;
  std::uint32_t slot;
  friend bool operator==(const Identity&, const Identity&) = default;
};
using Identities = std::map<std::string, Identity>;

Identities identities_of(const Compiled& c) {
  Identities out;
  for (const auto& l : c.listeners) out["listener " + l.name + " " + std::to_string(l.port)] = {l.id, l.stat_slot};
  for (const auto& e : c.endpoints)
    out["endpoint " + e.cluster + " " + e.address.text() + " " + std::to_string(e.port)] = {e.id, e.stat_slot};
  return out;
}

/// Plays the daemon and the dataplane's gauges: slots that left the snapshot stay busy for a while.
class World {
 public:
  explicit World(std::uint64_t seed) : random_{seed} { config_.node.addresses = {ip("10.10.2.1")}; }

  void reload() {
    const config::Config before = config_;
    config_ = changed(random_, config_);
    merge(draining_, removed_between(before, config_));
    drop_returned(draining_, config_);
    forget_some();
    auto result = compiler_.compile(config_, draining_);
    ASSERT_TRUE(result.ok()) << result.error()[0].text();
    check(*result);
    release_some();
  }

 private:
  void forget_some() {
    std::erase_if(draining_.listeners, [&](const auto&) { return random_.one_in(4); });
    std::erase_if(draining_.endpoints, [&](const auto&) { return random_.one_in(4); });
    std::erase_if(draining_.sources, [&](const auto&) { return random_.one_in(4); });
  }

  void check(const Compiled& c) {
    const auto bytes = control::write_snapshot(c.content, 1);
    const auto view = control::SnapshotView::open(bytes);
    ASSERT_TRUE(view.ok()) << view.error().text();
    const Identities now = identities_of(c);
    for (const auto& [key, identity] : now) {
      const auto known = known_.find(key);
      if (known != known_.end()) {
        ASSERT_EQ(known->second, identity) << key << " changed";
        continue;
      }
      ASSERT_TRUE(ids_.insert(identity.id).second) << key << " has the id of another";
      ASSERT_TRUE(slots_.insert(identity.slot).second) << key << " has a slot in use";
      known_.emplace(key, identity);
    }
    check_tables(c);
    for (const auto& source : c.steering.sources)
      ASSERT_TRUE(std::is_sorted(c.steering.sources.begin(), c.steering.sources.end())) << source.address.text();
  }

  void check_tables(const Compiled& c) {
    std::map<std::string, std::pair<std::vector<config::Endpoint>, std::vector<std::uint16_t>>> tables;
    for (std::size_t i = 0; i < config_.clusters.size(); ++i) {
      const auto& record = c.content.clusters[i];
      const auto begin = c.content.maglev.begin() + record.maglev_offset;
      const config::Cluster& cluster = config_.clusters[i];
      const auto before = tables_.find(cluster.name);
      std::vector<std::uint16_t> table{begin, begin + record.maglev_size};
      if (before != tables_.end() && before->second.first == cluster.endpoints) {
        ASSERT_EQ(before->second.second, table) << cluster.name << " did not change, its table did";
      }
      tables[cluster.name] = {cluster.endpoints, std::move(table)};
    }
    tables_ = std::move(tables);
  }

  /// Some gauges of retired slots reach 0: from now on these may be given to others.
  void release_some() {
    for (const IdRegistry::Entry& entry : compiler_.retired()) {
      ASSERT_TRUE(slots_.contains(entry.stat_slot));
      if (!random_.one_in(3)) continue;
      compiler_.release(entry.stat_slot);
      slots_.erase(entry.stat_slot);
      std::erase_if(known_, [&](const auto& known) { return known.second.id == entry.id; });
    }
  }

  Random random_;
  Compiler compiler_;
  config::Config config_;
  Draining draining_;
  Identities known_;               ///< everything whose slot is not released
  std::set<std::uint32_t> ids_;    ///< ever given to a listener or endpoint
  std::set<std::uint32_t> slots_;  ///< in use or retired
  std::map<std::string, std::pair<std::vector<config::Endpoint>, std::vector<std::uint16_t>>> tables_;
};

TEST(Reload, identities_slots_and_tables_hold_over_thousands_of_random_reloads) {
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    World world{seed};
    for (int i = 0; i < 300; ++i) {
      SCOPED_TRACE("seed " + std::to_string(seed) + ", reload " + std::to_string(i));
      world.reload();
      if (testing::Test::HasFatalFailure()) return;
    }
  }
}

}  // namespace
}  // namespace penstock::compile
