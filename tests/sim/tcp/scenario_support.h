// scenario_support.h - scenarios made by hand, for tests that name one thing.
//
// Model     quiet() is a wire without faults and two applications that write and half-close; a test changes what it is
//           about.
// Errors    none.
#pragma once
#include "tests/sim/tcp/world.h"

namespace penstock::tcpsim {

[[nodiscard]] inline Scenario quiet(std::uint64_t octets_each_way, std::uint32_t delay_us = 1000) {
  Scenario out;
  out.seed = 1;
  out.link[0].delay_us = out.link[1].delay_us = delay_us;
  ConnectionPlan plan;
  plan.app[0].total = plan.app[1].total = octets_each_way;
  plan.client_port = 40000;
  plan.server_port = 80;
  out.connections.push_back(plan);
  return out;
}

[[nodiscard]] inline Result run(const Scenario& scenario, Pcapng* capture = nullptr) {
  return World{scenario, capture}.run();
}

}  // namespace penstock::tcpsim
