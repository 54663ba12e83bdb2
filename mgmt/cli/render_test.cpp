#include "mgmt/cli/render.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "mgmt/telemetry/report_json.h"

namespace penstock::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

// Rendering is tested against the JSON that the daemon really makes.
telemetry::Report sample() {
  telemetry::Report report;
  report.daemon_pid = 11;
  report.dataplane.state = "running";
  report.dataplane.connected = true;
  report.dataplane.pid = 12;
  telemetry::PortReport port;
  port.name = "veth0";
  port.present = port.attached = port.served = true;
  port.steering = true;
  port.mode = "native";
  port.steer[PENSTOCK_STEER_REDIRECTED_SERVICE] = 20'500;
  report.ports.push_back(port);
  telemetry::WorkerReport worker;
  worker.thread_cpu_percent = 0.4;
  report.workers.push_back(worker);
  telemetry::ListenerReport listener;
  listener.name = "web";
  listener.cluster = "web";
  listener.address = *IpAddress::parse("fd00::5");
  listener.port = 80;
  listener.steered = true;
  report.listeners.push_back(listener);
  for (const std::uint64_t flows : {30u, 10u}) {
    telemetry::EndpointReport endpoint;
    endpoint.cluster = "web";
    endpoint.address = IpAddress::v4(10, 10, 2, static_cast<std::uint8_t>(flows));
    endpoint.port = 8080;
    endpoint.resolved = flows == 30;
    endpoint.mac = "02:00:00:00:00:01";
    endpoint.values[telemetry::kSlotFlows] = flows;
    report.endpoints.push_back(endpoint);
  }
  report.drops[static_cast<std::size_t>(DropReason::no_flow)] = 3;
  telemetry::judge(report);
  return report;
}

TEST(Render, status_begins_with_the_verdict_and_shows_every_part) {
  const std::string text = render_status(telemetry::status_json(sample()), {});
  EXPECT_THAT(text, StartsWith("ok\n"));
  for (const char* part : {"pid 11", "pid 12", "veth0", "steering", "20.5k", "0.4%", "[fd00::5]:80", "L4", "75.0%",
                           "unresolved", "02:00:00:00:00:01"})
    EXPECT_THAT(text, HasSubstr(part));
  EXPECT_THAT(text, Not(HasSubstr("\033")));
}

TEST(Render, colour_is_only_for_a_style_that_wants_it) {
  EXPECT_THAT(render_status(telemetry::status_json(sample()), {true}), StartsWith("\033[32mok"));
}

TEST(Render, reasons_follow_the_verdict) {
  telemetry::Report report = sample();
  report.dataplane.connected = false;
  report.dataplane.state = "waiting";
  telemetry::judge(report);
  EXPECT_THAT(render_status(telemetry::status_json(report), {}), StartsWith("down\n  - dataplane is waiting"));
}

TEST(Render, counters_leave_out_zeros_on_request) {
  const Json counters = telemetry::counters_json(sample());
  EXPECT_THAT(render_counters(counters, false), HasSubstr("no_endpoint"));
  const std::string nonzero = render_counters(counters, true);
  EXPECT_THAT(nonzero, HasSubstr("no_flow"));
  EXPECT_THAT(nonzero, Not(HasSubstr("no_endpoint")));
}

TEST(Render, services_list_the_endpoints_of_a_shared_cluster_once) {
  telemetry::Report report = sample();
  report.listeners.push_back(report.listeners[0]);
  const std::string text = render_services(telemetry::services_json(report));
  EXPECT_EQ(text.find("10.10.2.30:8080"), text.rfind("10.10.2.30:8080"));
}

TEST(Render, problems_have_place_and_remedy) {
  EXPECT_EQ(render_problems(telemetry::problems_json({{"a.yaml:3:1", "is wrong", "put it right"}})),
            "a.yaml:3:1: is wrong (put it right)\n");
}

}  // namespace
}  // namespace penstock::cli
