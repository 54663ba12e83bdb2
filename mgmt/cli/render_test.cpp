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
  worker.proxy[telemetry::kProxyActive] = 7;
  worker.proxy[telemetry::kProxyHalfOpen] = 2;
  worker.proxy[telemetry::kProxyEntries] = 40;
  report.workers.push_back(worker);
  report.proxy = {100, 200, 100, 10, 65536};
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
  for (const char* part :
       {"pid 11", "pid 12", "veth0", "steering", "20.5k", "0.4%", "[fd00::5]:80", "l4",
        "proxied    7 of 100 (200 configured), half open", "half open 2 (cookies beyond 10 per worker)", "entries 40",
        "75.0%", "unresolved", "02:00:00:00:00:01"})
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

TEST(Render, warnings_stand_below_the_verdict_and_do_not_change_it) {
  telemetry::Report report = sample();
  report.warnings = {"no hugepages: 46 are needed"};
  telemetry::judge(report);
  EXPECT_THAT(render_status(telemetry::status_json(report), {}),
              StartsWith("ok\n  warning: no hugepages: 46 are needed\n"));
}

TEST(Render, ports_that_xdp_cannot_send_to_say_why_once) {
  telemetry::Report report = sample();
  report.ports[0].redirect_target = true;
  report.ports[0].steer[PENSTOCK_STEER_FORWARDED] = 31'000;
  EXPECT_THAT(render_ports(telemetry::status_json(report)), ::testing::ContainsRegex("veth0 .* yes .* 31.0k"));
  telemetry::PortReport port = report.ports[0];
  port.redirect_target = false;
  port.redirect_obstacle = "GRO is off (ethtool -K eth0 gro on)";
  for (const char* name : {"veth1", "veth2"}) {
    port.name = name;
    report.ports.push_back(port);
  }
  port.name = "veth3";
  port.redirect_target = std::nullopt;
  port.redirect_obstacle.clear();
  report.ports.push_back(port);
  EXPECT_THAT(render_status(telemetry::status_json(report), {}),
              HasSubstr("\nXDP does not send to veth1, veth2: GRO is off (ethtool -K eth0 gro on)\n"));
}

TEST(Render, a_flow_shows_its_tier) {
  telemetry::FlowList list;
  for (const bool forwarded : {false, true}) {
    telemetry::FlowRow row;
    row.forwarded = forwarded;
    list.rows.push_back(row);
  }
  const std::string text = render_flows(telemetry::flows_json(list, sample()));
  EXPECT_THAT(text, HasSubstr(" l4 "));
  EXPECT_THAT(text, HasSubstr(" xdp "));
}

TEST(Render, counters_leave_out_zeros_on_request) {
  const Json counters = telemetry::counters_json(sample());
  EXPECT_THAT(render_counters(counters, false), HasSubstr("no_endpoint"));
  const std::string nonzero = render_counters(counters, true);
  EXPECT_THAT(nonzero, HasSubstr("no_flow"));
  EXPECT_THAT(nonzero, ::testing::ContainsRegex("proxy 0 +connections_active +7"));
  EXPECT_THAT(nonzero, Not(HasSubstr("no_endpoint")));
}

TEST(Render, a_connection_is_two_lines_one_for_each_leg) {
  telemetry::ConnectionRow row;
  row.client = IpAddress::v4(10, 0, 0, 5);
  row.client_port = 4242;
  row.service = *IpAddress::parse("fd00::5");
  row.service_port = 80;
  row.endpoint = IpAddress::v4(10, 10, 2, 11);
  row.endpoint_port = 8080;
  row.age_ms = 5000;
  row.downstream.state = control::LegState::established;
  row.downstream.srtt_us = 1250;
  row.downstream.flags = control::kLegRecovery;
  row.upstream.state = control::LegState::syn_sent;
  row.upstream.queued_octets = 12'345;
  telemetry::ConnectionList list;
  list.rows = {row};
  list.matched = 1;
  list.active = 3;
  const std::string text = render_connections(telemetry::connections_json(list, sample()));
  EXPECT_THAT(text, ::testing::ContainsRegex(
                        "web +down +10.0.0.5:4242 +\\[fd00::5\\]:80 +established \\(recovering\\) +1.2ms"));
  EXPECT_THAT(text, ::testing::ContainsRegex("up +10.10.2.11:8080 .*syn_sent +-"));
  for (const char* part : {"12.3k", "5s", "1 of 1 matching, 3 active"}) EXPECT_THAT(text, HasSubstr(part));
}

TEST(Render, flows_show_their_tier) {
  telemetry::FlowList list;
  list.rows.resize(3);
  list.rows[1].proxied = true;
  list.rows[2].spliced = true;
  const std::string text = render_flows(telemetry::flows_json(list, sample()));
  EXPECT_THAT(text, ::testing::ContainsRegex("web +l4 +tcp"));
  EXPECT_THAT(text, ::testing::ContainsRegex("web +proxy +tcp"));
  EXPECT_THAT(text, ::testing::ContainsRegex("web +splice +tcp"));
}

TEST(Render, the_configured_number_is_only_told_when_another_holds) {
  telemetry::Report report = sample();
  report.proxy.connections_configured = 100;
  EXPECT_THAT(render_status(telemetry::status_json(report), {}), HasSubstr("proxied    7 of 100, half open"));
}

TEST(Render, what_a_daemon_of_an_older_version_does_not_tell_is_left_out) {
  Json status = telemetry::status_json(sample());
  status.erase("proxy");
  EXPECT_THAT(render_status(status, {}), Not(HasSubstr("proxied")));
  Json counters = telemetry::counters_json(sample());
  for (Json& worker : counters["workers"]) worker.erase("proxy");
  EXPECT_THAT(render_counters(counters, false), Not(HasSubstr("proxy 0")));
  Json flows = telemetry::flows_json({std::vector<telemetry::FlowRow>(1), 1, 1}, sample());
  for (Json& flow : flows["flows"]) flow.erase("tier");
  EXPECT_THAT(render_flows(flows), HasSubstr("l4"));
}

TEST(Render, services_list_the_endpoints_of_a_shared_cluster_once) {
  telemetry::Report report = sample();
  report.listeners.push_back(report.listeners[0]);
  const std::string text = render_services(telemetry::services_json(report));
  EXPECT_EQ(text.find("10.10.2.30:8080"), text.rfind("10.10.2.30:8080"));
}

TEST(Render, endpoints_show_their_health_and_why) {
  telemetry::Report report = sample();
  report.endpoints[0].health = "unhealthy";
  report.endpoints[0].health_reason = "status 503";
  report.endpoints[1].health = "healthy";
  report.endpoints[1].health_reason = "status 200";
  const std::string text = render_services(telemetry::services_json(report));
  EXPECT_THAT(text, HasSubstr("unhealthy (status 503)"));
  EXPECT_THAT(text, HasSubstr("  healthy "));
  EXPECT_THAT(text, Not(HasSubstr("status 200")));
}

TEST(Render, a_service_of_http_lists_the_endpoints_of_all_its_clusters) {
  telemetry::Report report = sample();
  report.listeners[0].http = true;
  report.listeners[0].cluster = "";
  report.listeners[0].clusters = {"web", "api"};
  report.endpoints[1].cluster = "api";
  const std::string text = render_services(telemetry::services_json(report));
  EXPECT_THAT(text, HasSubstr("http"));
  EXPECT_THAT(text, HasSubstr("10.10.2.30:8080"));
  EXPECT_THAT(text, HasSubstr("10.10.2.10:8080"));
}

TEST(Render, problems_have_place_and_remedy) {
  EXPECT_EQ(render_problems(telemetry::problem_list({{"a.yaml:3:1", "is wrong", "put it right"}}), "warning: "),
            "warning: a.yaml:3:1: is wrong (put it right)\n");
}

}  // namespace
}  // namespace penstock::cli
