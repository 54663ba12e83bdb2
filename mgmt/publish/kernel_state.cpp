#include "mgmt/publish/kernel_state.h"

#include <algorithm>

namespace penstock::publish {
namespace {

bool kernel_may_serve(const compile::FallbackState::Service& service) {
  const auto allows = [](const auto& rule) { return rule.decision == control::Decision::allow; };
  return service.default_decision == control::Decision::allow &&
         std::all_of(service.rules.begin(), service.rules.end(), allows);
}

}  // namespace

kernel::SteerState steer_state(const compile::SteeringState& wanted, const config::Node& node,
                               std::uint32_t worker_count) {
  kernel::SteerState out;
  out.settings = {worker_count, node.heartbeat_limit, node.kernel_flow_idle};
  for (const auto& service : wanted.services)
    out.services.push_back(
        {service.address, Be16::from_host(service.port), service.protocol, service.listener_id, service.dnat});
  for (const auto& source : wanted.sources)
    out.sources.push_back({source.address, Be16::from_host(source.port), source.protocol});
  for (const auto& address : wanted.addresses)
    out.addresses.push_back({address.address, (address.flags & PENSTOCK_ADDRESS_NEIGHBOR) != 0,
                             (address.flags & PENSTOCK_ADDRESS_ECHO) != 0});
  for (const auto& node_range : wanted.nodes)
    out.nodes.push_back({node_range.address, node_range.low, node_range.high});
  return out;
}

kernel::FallbackState fallback_state(const compile::FallbackState& wanted, std::vector<std::string> interfaces) {
  kernel::FallbackState out;
  for (const auto& service : wanted.services) {
    kernel::FallbackService row{
        service.address, service.port, service.protocol, service.forwarding == control::Forwarding::fullnat, {}};
    if (kernel_may_serve(service))
      for (const auto& endpoint : service.endpoints)
        row.endpoints.push_back({endpoint.address, endpoint.port, endpoint.weight});
    out.services.push_back(std::move(row));
  }
  out.node_addresses = wanted.node_addresses;
  out.source_port_low = wanted.source_ports.low;
  out.source_port_high = wanted.source_ports.high;
  out.interfaces = std::move(interfaces);
  return out;
}

}  // namespace penstock::publish
