#include "mgmt/compile/derive.h"

#include <algorithm>
#include <set>
#include <tuple>

#include "bpf/abi/steer.h"

namespace penstock::compile {
namespace {

template <typename T>
void sort_unique(std::vector<T>& items) {
  std::sort(items.begin(), items.end());
  items.erase(std::unique(items.begin(), items.end()), items.end());
}

FallbackState::Service fallback_service(const config::Config& config, const config::Listener& listener) {
  FallbackState::Service out{listener.name,
                             listener.address,
                             listener.port,
                             listener.protocol,
                             listener.forwarding,
                             {},
                             control::Decision::allow,
                             {}};
  if (listener.policy == control::Policy::deny) out.default_decision = control::Decision::deny;
  if (listener.policy == control::Policy::ask) {
    out.default_decision = listener.ask.default_decision;
    for (const config::AskRule& rule : listener.ask.rules) out.rules.push_back({rule.source, rule.decision});
  }
  if (const config::Cluster* cluster = config::find_cluster(config, listener.cluster))
    for (const config::Endpoint& endpoint : cluster->endpoints)
      if (endpoint.weight > 0) out.endpoints.push_back({endpoint.address, endpoint.port, endpoint.weight});
  return out;
}

using ServiceKey = std::tuple<IpAddress, std::uint16_t, IpProto>;

/// Services whose flows may be DNAT: those of DNAT listeners, and while replies of former DNAT listeners are steered
/// all of that protocol, since a flow keeps its forwarding when its listener changes.
class DnatServices {
 public:
  DnatServices(const config::Config& config, const Draining& draining) {
    const auto add = [&](const config::Listener& listener) {
      if (listener.forwarding == control::Forwarding::dnat)
        services_.emplace(listener.address, listener.port, listener.protocol);
    };
    for (const config::Listener& listener : config.listeners) add(listener);
    for (const DrainingListener& gone : draining.listeners) add(gone.listener);
    for (const DrainingSource& source : draining.sources) protocols_.insert(source.protocol);
  }
  [[nodiscard]] bool contains(const ListenerInfo& listener) const {
    return protocols_.contains(listener.protocol) ||
           services_.contains({listener.address, listener.port, listener.protocol});
  }

 private:
  std::set<ServiceKey> services_;
  std::set<IpProto> protocols_;
};

}  // namespace

SteeringState derive_steering(const config::Config& config, const Draining& draining,
                              const std::vector<ListenerInfo>& listeners) {
  SteeringState out;
  const auto& nodes = config.node.addresses;
  const DnatServices dnat{config, draining};
  for (const ListenerInfo& listener : listeners) {
    out.services.push_back({listener.address, listener.port, listener.protocol, listener.id, dnat.contains(listener)});
    // On an address of the node itself the kernel goes on answering ARP, neighbour discovery and echo.
    if (std::find(nodes.begin(), nodes.end(), listener.address) == nodes.end())
      out.addresses.push_back({listener.address, PENSTOCK_ADDRESS_NEIGHBOR | PENSTOCK_ADDRESS_ECHO});
  }
  const auto add_sources = [&](const config::Listener& listener) {
    if (listener.forwarding != control::Forwarding::dnat) return;
    if (const config::Cluster* cluster = config::find_cluster(config, listener.cluster))
      for (const config::Endpoint& endpoint : cluster->endpoints)
        out.sources.push_back({endpoint.address, endpoint.port, listener.protocol});
    for (const DrainingEndpoint& gone : draining.endpoints)
      if (gone.cluster == listener.cluster)
        out.sources.push_back({gone.endpoint.address, gone.endpoint.port, listener.protocol});
  };
  for (const config::Listener& listener : config.listeners) add_sources(listener);
  for (const DrainingListener& gone : draining.listeners) add_sources(gone.listener);
  for (const DrainingSource& source : draining.sources)
    out.sources.push_back({source.endpoint.address, source.endpoint.port, source.protocol});
  for (const IpAddress& address : nodes)
    out.nodes.push_back({address, config.node.source_ports.low, config.node.source_ports.high});
  sort_unique(out.services);
  sort_unique(out.sources);
  sort_unique(out.addresses);
  sort_unique(out.nodes);
  return out;
}

FallbackState derive_fallback(const config::Config& config) {
  FallbackState out;
  out.enabled = config.node.fallback;
  out.node_addresses = config.node.addresses;
  out.source_ports = config.node.source_ports;
  for (const config::Listener& listener : config.listeners) out.services.push_back(fallback_service(config, listener));
  return out;
}

}  // namespace penstock::compile
