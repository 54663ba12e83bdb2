#include "mgmt/publish/kernel_state.h"

#include <gtest/gtest.h>

namespace penstock::publish {
namespace {

using control::Decision;

compile::FallbackState::Service service(Decision fallback, std::vector<compile::FallbackState::Rule> rules) {
  compile::FallbackState::Service out{};
  out.name = "web";
  out.address = IpAddress::v4(10, 96, 0, 10);
  out.port = 80;
  out.protocol = IpProto::tcp;
  out.forwarding = control::Forwarding::fullnat;
  out.default_decision = fallback;
  out.rules = std::move(rules);
  out.endpoints = {{IpAddress::v4(10, 10, 2, 11), 8080, 5}};
  return out;
}

std::size_t endpoints_of(compile::FallbackState::Service row) {
  compile::FallbackState wanted;
  wanted.services = {std::move(row)};
  return fallback_state(wanted, {}).services.at(0).endpoints.size();
}

TEST(KernelState, the_kernel_serves_only_what_everybody_may_reach) {
  const IpPrefix some = *IpPrefix::parse("10.0.0.0/8");
  EXPECT_EQ(endpoints_of(service(Decision::allow, {})), 1u);
  EXPECT_EQ(endpoints_of(service(Decision::allow, {{some, Decision::allow}})), 1u);
  EXPECT_EQ(endpoints_of(service(Decision::allow, {{some, Decision::deny}})), 0u);
  EXPECT_EQ(endpoints_of(service(Decision::deny, {})), 0u);
  EXPECT_EQ(endpoints_of(service(Decision::deny, {{some, Decision::allow}})), 0u);
}

TEST(KernelState, steering_takes_network_order_and_the_nodes_limits) {
  compile::SteeringState wanted;
  wanted.services = {{IpAddress::v4(10, 96, 0, 10), 80, IpProto::tcp, 4},
                     {IpAddress::v4(10, 96, 0, 10), 81, IpProto::tcp, 5, true}};
  wanted.addresses = {{IpAddress::v4(10, 96, 0, 10), PENSTOCK_ADDRESS_ECHO}};
  config::Node node;
  node.heartbeat_limit = std::chrono::milliseconds{250};
  const kernel::SteerState state = steer_state(wanted, node, 3);
  EXPECT_EQ(state.settings.worker_count, 3u);
  EXPECT_EQ(state.settings.heartbeat_limit, std::chrono::milliseconds{250});
  EXPECT_EQ(state.services.at(0).port.host(), 80);
  EXPECT_FALSE(state.services.at(0).dnat);
  EXPECT_TRUE(state.services.at(1).dnat);
  EXPECT_TRUE(state.addresses.at(0).echo);
  EXPECT_FALSE(state.addresses.at(0).neighbor);
}

}  // namespace
}  // namespace penstock::publish
