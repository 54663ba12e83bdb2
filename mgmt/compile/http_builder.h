// http_builder.h - listeners of HTTP and cluster policies as snapshot records.
//
// Model     used by the compiler once per compile, after the clusters stand in the snapshot. Counter blocks belong to
//           names ("listener shop", "cluster web", "route shop/all/checkout") and stay over reloads; routes of one
//           name in one host share a block, and so do all that found none free: block 0.
// Errors    problems of route tables.
// Limits    control/limits.h: what does not fit is told as a problem, but for counter blocks.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "dataplane/control/snapshot_writer.h"
#include "mgmt/compile/affinity.h"
#include "mgmt/compile/health.h"
#include "mgmt/compile/id_registry.h"
#include "mgmt/compile/policy_builder.h"
#include "mgmt/compile/route_tables.h"
#include "mgmt/config/config.h"

namespace penstock::compile {

/// What a counter block of HTTP counts.
struct HttpSlotInfo {
  enum class Kind : std::uint8_t { other, listener, cluster, route };
  Kind kind{Kind::other};
  std::string listener;  ///< of a listener or route
  std::string host;      ///< virtual host of a route
  std::string route;     ///< its name, or "#" and its number in the host
  std::string cluster;   ///< of a cluster
  std::uint32_t slot{};
  friend bool operator==(const HttpSlotInfo&, const HttpSlotInfo&) = default;
};

/// What a route is called: its name, or "#" and its number in the host.
[[nodiscard]] std::string route_name(const route::VirtualHost& host, std::size_t route);

class HttpBuilder {
 public:
  /// `secret` is behind the cookies of clusters that have none of their own.
  HttpBuilder(IdRegistry& slots, RouteTables& tables, const policy::Hash128& secret, control::SnapshotContent& content,
              std::vector<HttpSlotInfo>& infos);

  /// The policy of the cluster that was added last. `usable` are its endpoints, with weight 0 where nothing new may go.
  void add_policy(const config::Cluster& cluster, const std::vector<config::Endpoint>& usable);
  /// Index of the listener's record in http_listeners. `cluster_index` finds a cluster by name.
  [[nodiscard]] std::uint32_t add_listener(const config::Listener& listener,
                                           const std::function<std::uint32_t(const std::string&)>& cluster_index);
  /// What was found, at the end.
  [[nodiscard]] Problems take_problems();

 private:
  [[nodiscard]] std::uint32_t slot_of(const std::string& key, HttpSlotInfo info);
  void count_cluster(std::uint32_t index, const std::string& name);
  void add_connect(const config::Connect& connect,
                   const std::function<std::uint32_t(const std::string&)>& cluster_index,
                   control::HttpListenerRecord& record);
  void add_affinity(const config::Cluster& cluster, control::ClusterPolicyRecord& record);
  void add_route_slots(const config::Listener& listener);
  void add_forwarding(const config::Http& http, control::HttpListenerRecord& record);

  IdRegistry& slots_;
  RouteTables& tables_;
  const policy::Hash128 secret_;
  control::SnapshotContent& content_;
  std::vector<HttpSlotInfo>& infos_;
  PolicyBuilder policies_;
  std::map<std::string, std::uint32_t, std::less<>> seen_;
  Problems problems_;
};

}  // namespace penstock::compile
