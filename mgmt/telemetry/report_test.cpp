#include "mgmt/telemetry/report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "mgmt/telemetry/metrics.h"
#include "mgmt/telemetry/report_json.h"

namespace penstock::telemetry {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

Report healthy() {
  Report report;
  report.daemon_pid = 7;
  report.dataplane.connected = true;
  report.dataplane.state = "running";
  report.config.epoch_compiled = report.config.epoch_acknowledged = report.config.epoch_active = 3;
  PortReport port;
  port.name = "veth0";
  port.present = port.attached = port.served = true;
  port.steering = true;
  report.ports.push_back(port);
  WorkerReport worker;
  worker.values[kWorkerFrames] = 12;
  report.workers.push_back(worker);
  ListenerReport listener;
  listener.name = "web";
  listener.address = *IpAddress::parse("10.96.0.10");
  listener.port = 80;
  listener.cluster = "web";
  report.listeners.push_back(listener);
  EndpointReport endpoint;
  endpoint.cluster = "web";
  endpoint.address = *IpAddress::parse("fd00::1");
  endpoint.port = 8080;
  endpoint.values[kSlotFlows] = 5;
  report.endpoints.push_back(endpoint);
  return report;
}

TEST(Report, all_well_is_ok_without_reasons) {
  Report report = healthy();
  judge(report);
  EXPECT_EQ(report.verdict, "ok");
  EXPECT_TRUE(report.reasons.empty());
}

TEST(Report, a_missing_dataplane_is_down_and_says_who_serves) {
  Report report = healthy();
  report.dataplane.connected = false;
  report.dataplane.state = "waiting";
  report.dataplane.last_exit = "killed by signal 9";
  report.fallback_wanted = report.fallback_installed = true;
  judge(report);
  EXPECT_EQ(report.verdict, "down");
  EXPECT_EQ(report.reasons[0], "dataplane is waiting (killed by signal 9); the kernel path serves the services");
}

TEST(Report, one_failing_port_of_two_is_degraded_and_named) {
  Report report = healthy();
  PortReport bad;
  bad.name = "veth1";
  bad.error = "self-test failed";
  report.ports.push_back(bad);
  judge(report);
  EXPECT_EQ(report.verdict, "degraded");
  EXPECT_EQ(report.reasons[0], "port veth1: self-test failed");
}

TEST(Report, an_absent_optional_port_is_no_reason_to_complain) {
  Report report = healthy();
  PortReport absent;
  absent.name = "veth1";
  absent.optional = true;
  report.ports.push_back(absent);
  judge(report);
  EXPECT_EQ(report.verdict, "ok");
}

TEST(Report, a_silent_worker_and_an_old_epoch_degrade) {
  Report report = healthy();
  report.workers[0].beat_age_ns = 3'000'000'000;
  report.config.epoch_active = 2;
  judge(report);
  EXPECT_EQ(report.verdict, "degraded");
  EXPECT_EQ(report.reasons.size(), 2u);
}

TEST(Report, without_the_daemon_it_is_never_ok) {
  Report report = healthy();
  report.daemon_pid = 0;
  judge(report);
  EXPECT_EQ(report.verdict, "degraded");
}

TEST(Report, metrics_carry_every_table_row_once_with_help_and_type) {
  Report report = healthy();
  report.drops[static_cast<std::size_t>(DropReason::no_flow)] = 4;
  report.ports[0].steer[PENSTOCK_STEER_NOT_MESH] = 6;
  report.workers[0].proxy[kProxyRefusedFull] = 9;
  report.proxy.connections_limit = 16384;
  judge(report);
  const std::string text = metrics_text(report);
  for (const auto& row : kProxyMetrics) EXPECT_THAT(text, HasSubstr("# HELP penstock_proxy_" + std::string{row.name}));
  EXPECT_THAT(text, HasSubstr("penstock_proxy_refused_full_total{worker=\"0\"} 9"));
  EXPECT_THAT(text, HasSubstr("penstock_proxy_connections_limit 16384"));
  EXPECT_THAT(text, HasSubstr("# TYPE penstock_worker_frames_total counter"));
  EXPECT_THAT(text, HasSubstr("penstock_worker_frames_total{worker=\"0\"} 12"));
  EXPECT_THAT(text, HasSubstr("penstock_drops_total{reason=\"no_flow\"} 4"));
  EXPECT_THAT(text, HasSubstr("penstock_steer_frames_total{port=\"veth0\",reason=\"not_mesh\"} 6"));
  EXPECT_THAT(text, HasSubstr("penstock_endpoint_flows_total{cluster=\"web\",endpoint=\"[fd00::1]:8080\"} 5"));
  EXPECT_THAT(text, HasSubstr("penstock_up 1"));
  EXPECT_THAT(text, Not(HasSubstr("reason=\"none\"")));
  EXPECT_THAT(text, Not(HasSubstr("penstock_endpoint_healthy{"))) << "it has no checks";
}

TEST(Report, metrics_tell_the_health_of_endpoints_that_are_checked) {
  Report report = healthy();
  report.endpoints[0].health = "unhealthy";
  report.endpoints[0].checks_good = 3;
  report.endpoints[0].checks_bad = 4;
  report.endpoints[0].health_changes = 2;
  const std::string text = metrics_text(report);
  const std::string of = "{cluster=\"web\",endpoint=\"[fd00::1]:8080\"";
  EXPECT_THAT(text, HasSubstr("penstock_endpoint_healthy" + of + "} 0"));
  EXPECT_THAT(text, HasSubstr("penstock_endpoint_health_checks_total" + of + ",result=\"bad\"} 4"));
  EXPECT_THAT(text, HasSubstr("penstock_endpoint_health_changes_total" + of + "} 2"));
  report.endpoints[0].health = "unknown";
  EXPECT_THAT(metrics_text(report), Not(HasSubstr("penstock_endpoint_healthy{")));
}

TEST(Report, status_json_begins_with_the_verdict_and_names_services_endpoints) {
  Report report = healthy();
  judge(report);
  const auto status = status_json(report);
  EXPECT_EQ(status.begin().key(), "verdict");
  EXPECT_EQ(status["verdict"], "ok");
  EXPECT_EQ(status["workers"][0]["frames_total"], 12);
  EXPECT_TRUE(status["workers"][0]["busy_percent"].is_null());
  EXPECT_EQ(status["listeners"][0]["tier"], "l4");
  report.listeners[0].mode = control::ListenerMode::proxy;
  EXPECT_EQ(status_json(report)["listeners"][0]["tier"], "proxy");
  const auto services = services_json(report);
  EXPECT_EQ(services["services"][0]["name"], "web");
  EXPECT_EQ(services["services"][0]["endpoints"][0]["address"], "fd00::1");
}

TEST(Report, flows_are_listed_under_the_listeners_name) {
  Report report = healthy();
  report.listeners[0].id = 4;
  FlowList flows;
  FlowRow row;
  row.listener_id = 4;
  flows.rows.push_back(row);
  EXPECT_EQ(flows_json(flows, report)["flows"][0]["service_name"], "web");
}

}  // namespace
}  // namespace penstock::telemetry
