// compiler.h - Config to everything that is published: snapshot records, steering state, fallback state.
//
// Model     a Compiler lives as long as the daemon. Ids and stat slots belong to names (IdRegistry) and stay over
//           reloads; Maglev tables of unchanged clusters are reused, the others are built in parallel. Same inputs
//           and same registry, same content_hash.
// Errors    all problems at once; a failed compile changes nothing, neither ids nor the table cache.
// Units     ports of SteeringState and FallbackState are host order, as in Config.
// Not here  order of publication and who is drained when (mgmt/publish), map and nftables writes (mgmt/kernel).
//
// The daemon's loop: on reload
//   draining = still_draining + removed_between(before, after, still_draining); compile(after, draining); publish.
// Now and then: a listener of `draining` whose gauge is 0, or whose time is up, first loses its steering
// (steered = false), then its place in `draining`; a slot of retired() whose gauges are 0 is released.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "dataplane/control/snapshot_writer.h"
#include "dataplane/core/result.h"
#include "mgmt/compile/affinity.h"
#include "mgmt/compile/health.h"
#include "mgmt/compile/http_builder.h"
#include "mgmt/compile/id_registry.h"
#include "mgmt/config/config.h"

namespace penstock::compile {

class TableCache;

/// A listener that left the configuration and still serves its established flows.
struct DrainingListener {
  config::Listener listener;
  bool steered{true};  ///< false: out of the steering state, still in the snapshot
  friend bool operator==(const DrainingListener&, const DrainingListener&) = default;
};
/// An endpoint that left its cluster and still serves its established flows. It stays in the snapshot with weight 0
/// (next hops and counters).
struct DrainingEndpoint {
  std::string cluster;
  config::Endpoint endpoint;
  friend bool operator==(const DrainingEndpoint&, const DrainingEndpoint&) = default;
};
/// An endpoint whose DNAT listeners left it (removed, moved to another cluster, or FullNAT now), or that left itself:
/// its replies to established flows are steered by source until its flows have ended. The endpoint may still be in
/// the configuration; its gauge is that of {cluster, endpoint} in Compiled::endpoints, draining or not.
struct DrainingSource {
  std::string cluster;
  config::Endpoint endpoint;
  IpProto protocol{IpProto::tcp};
  friend bool operator==(const DrainingSource&, const DrainingSource&) = default;
};
struct Draining {
  std::vector<DrainingListener> listeners;
  std::vector<DrainingEndpoint> endpoints;
  std::vector<DrainingSource> sources;
  /// Left the configuration together with proxy listeners that drain, whose connections still ask for them: as they
  /// were, with their weights, for as long as one of those is there.
  std::vector<config::Cluster> clusters{};
  friend bool operator==(const Draining&, const Draining&) = default;
};

/// Listeners, endpoints and DNAT sources of `before` that are not in `after`. A listener that changed its address, port
/// or protocol counts as removed and added; one whose service another listener took over does not drain.
/// `already`: what drained before; its proxy listeners keep clusters that leave now.
[[nodiscard]] Draining removed_between(const config::Config& before, const config::Config& after,
                                       const Draining& already = {});
/// Adds `more` to `to`; of two listeners with one service the later stays.
void merge(Draining& to, const Draining& more);
/// Takes out what `config` has again, and clusters that no draining listener names.
void drop_returned(Draining& draining, const config::Config& config);
/// Takes out clusters that no draining listener names.
void drop_unused_clusters(Draining& draining);

/// What XDP is to steer (mgmt/kernel writes it to the maps). Sorted and without doubles.
struct SteeringState {
  struct Service {  ///< steer_services
    IpAddress address;
    std::uint16_t port;
    IpProto protocol;
    std::uint32_t listener_id;
    bool dnat{false};  ///< may have DNAT flows: its clients are recorded, so that their replies are told from others
    friend auto operator<=>(const Service&, const Service&) = default;
  };
  struct Source {  ///< steer_sources: endpoints behind DNAT listeners
    IpAddress address;
    std::uint16_t port;
    IpProto protocol;
    friend auto operator<=>(const Source&, const Source&) = default;
  };
  struct Address {  ///< steer_addresses
    IpAddress address;
    std::uint32_t flags;  ///< penstock_address_flags; addresses of the node itself stay with the kernel
    friend auto operator<=>(const Address&, const Address&) = default;
  };
  struct NodeRange {  ///< steer_nodes
    IpAddress address;
    std::uint16_t low;
    std::uint16_t high;
    friend auto operator<=>(const NodeRange&, const NodeRange&) = default;
  };
  std::vector<Service> services;
  std::vector<Source> sources;
  std::vector<Address> addresses;
  std::vector<NodeRange> nodes;
  friend bool operator==(const SteeringState&, const SteeringState&) = default;
};

/// What the kernel is to do for services while the fast path is away (mgmt/kernel writes nftables).
struct FallbackState {
  struct Endpoint {
    IpAddress address;
    std::uint16_t port;
    std::uint16_t weight;  ///< above 0
    friend bool operator==(const Endpoint&, const Endpoint&) = default;
  };
  struct Rule {  ///< first match decides
    IpPrefix source;
    control::Decision decision;
    friend bool operator==(const Rule&, const Rule&) = default;
  };
  /// A service that takes new connections. `endpoints` may be empty: then nothing can serve it.
  struct Service {
    std::string name;
    IpAddress address;
    std::uint16_t port;
    IpProto protocol;
    control::Forwarding forwarding;
    std::vector<Rule> rules;             ///< of policy ask; empty otherwise
    control::Decision default_decision;  ///< when no rule matches; deny for policy deny
    std::vector<Endpoint> endpoints;
    friend bool operator==(const Service&, const Service&) = default;
  };
  bool enabled{true};
  std::vector<Service> services;          ///< draining listeners are not among them
  std::vector<IpAddress> node_addresses;  ///< guarded: mid-stream packets to the range below are dropped
  config::PortRange source_ports;
  friend bool operator==(const FallbackState&, const FallbackState&) = default;
};

/// Names behind the ids of a snapshot, for telemetry, the API and the decider. Same order as the records.
struct ListenerInfo {
  std::string name;
  std::string cluster;
  IpAddress address;
  std::uint16_t port;
  IpProto protocol;
  std::uint32_t id;
  std::uint32_t stat_slot;
  bool draining;
};
struct EndpointInfo {
  std::string cluster;
  IpAddress address;
  std::uint16_t port;
  std::uint16_t weight;
  std::uint32_t id;
  std::uint32_t stat_slot;
  bool draining;
  bool healthy;
};

struct ClusterInfo {
  std::string name;
  std::uint32_t id;
};

struct Compiled {
  control::SnapshotContent content;
  SteeringState steering;
  FallbackState fallback;
  std::vector<ListenerInfo> listeners;
  std::vector<ClusterInfo> clusters;
  std::vector<EndpointInfo> endpoints;
  std::vector<HttpSlotInfo> http_slots;  ///< beside the shared block 0, which comes first
};

class Compiler {
 public:
  Compiler();
  ~Compiler();
  Compiler(Compiler&&) noexcept;
  Compiler& operator=(Compiler&&) noexcept;

  [[nodiscard]] Result<Compiled, Problems> compile(const config::Config& config, const Draining& draining = {},
                                                   const Health& health = {});

  /// Ids and slots that the last successful compile() no longer uses; their slots are still reserved.
  [[nodiscard]] std::vector<IdRegistry::Entry> retired() const;
  /// The caller has seen all gauges of this retired slot at 0: the slot may be given away.
  void release(std::uint32_t stat_slot);

  /// Ids, slots and the secret of cookies as text, for a successor daemon that adopts the running dataplane. A text
  /// that is not whole is refused, and nothing changes.
  [[nodiscard]] std::string save_ids() const;
  [[nodiscard]] Status restore_ids(std::string_view saved);
  /// In place of restore_ids(), before the first compile(), when there is no such text: ids begin at a random number of
  /// at least kAnewIdMin. A first daemon begins at 1; what a running dataplane kept (connections, decisions) names
  /// nothing of the new ones.
  void begin_ids_anew();
  static constexpr std::uint32_t kAnewIdMin = 1u << 30;
  static constexpr std::uint32_t kAnewIdMax = 3u << 30;  ///< leaves 2^30 to count on

 private:
  IdRegistry ids_;
  IdRegistry http_slots_{control::kHttpSlotMax};
  RouteTables routes_;
  policy::Hash128 secret_;  ///< of cookies (affinity.h)
  std::unique_ptr<TableCache> tables_;
};

}  // namespace penstock::compile
