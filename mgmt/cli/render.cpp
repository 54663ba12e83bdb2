#include "mgmt/cli/render.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <map>
#include <set>

#include "mgmt/cli/table.h"

namespace penstock::cli {
namespace {

std::string text(const Json& value) { return value.is_string() ? value.get<std::string>() : value.dump(); }
std::uint64_t count(const Json& object, const char* key) { return object.value(key, std::uint64_t{0}); }
std::string yes_no(const Json& value) { return value.get<bool>() ? "yes" : "no"; }

std::string decimal(const Json& value, const char* unit) {
  if (value.is_null()) return "-";
  std::array<char, 32> out{};
  std::snprintf(out.data(), out.size(), "%.1f%s", value.get<double>(), unit);
  return out.data();
}

std::string host_port(const Json& row) {
  const std::string address = text(row["address"]);
  const bool v6 = address.find(':') != std::string::npos;
  return (v6 ? "[" + address + "]" : address) + ":" + text(row["port"]);
}

std::string colored(const std::string& word, bool good, bool bad, Style style) {
  if (!style.color) return word;
  return std::string{good ? "\033[32m" : bad ? "\033[31m" : "\033[33m"} + word + "\033[0m";
}

/// "-" when it cannot be told.
std::string known_yes_no(const Json& row, const char* key) {
  const auto value = row.find(key);
  return value == row.end() || value->is_null() ? "-" : yes_no(*value);
}

/// Why the program cannot send frames to ports by itself, each reason once.
std::string redirect_obstacles(const Json& ports) {
  std::vector<std::pair<std::string, std::string>> ports_by_reason;
  for (const Json& port : ports) {
    const std::string reason = port.value("redirect_obstacle", "");
    if (reason.empty()) continue;
    const auto known = std::find_if(ports_by_reason.begin(), ports_by_reason.end(),
                                    [&](const auto& entry) { return entry.first == reason; });
    if (known == ports_by_reason.end())
      ports_by_reason.emplace_back(reason, text(port["name"]));
    else
      known->second += ", " + text(port["name"]);
  }
  std::string out;
  for (const auto& [reason, names] : ports_by_reason) out += "XDP does not send to " + names + ": " + reason + "\n";
  return out;
}

std::string ports_table(const Json& ports) {
  Table table{{"PORT", "NETNS", "STATE", "MODE", ">QUEUES", "SELF-TEST", "XDP SENDS", ">STEERED", ">PASSED",
               ">FORWARDED", ">RX", ">TX", "ERROR"}};
  for (const Json& port : ports) {
    const std::string state = port["steering"] == true       ? "steering"
                              : port["served"].get<bool>()   ? "served"
                              : port["attached"].get<bool>() ? "attached"
                              : port["present"].get<bool>()  ? "present"
                                                             : "absent";
    table.add({text(port["name"]), text(port["netns"]), state, text(port["mode"]), text(port["queues"]),
               text(port["self_test"]), known_yes_no(port, "redirect_target"),
               short_count(count(port, "steered_frames")), short_count(count(port, "passed_frames")),
               short_count(count(port.value("reasons", Json::object()), "forwarded")),
               short_count(count(port, "received_frames_total")), short_count(count(port, "sent_frames_total")),
               text(port["error"])});
  }
  return table.text() + redirect_obstacles(ports);
}

std::string workers_table(const Json& workers) {
  Table table{{"WORKER", ">AWAKE", ">CPU", ">NS/FRAME", ">FRAMES", ">POLLS", ">SLEEPS", ">FLOWS", ">BEAT"}};
  for (const Json& worker : workers)
    table.add({text(worker["index"]), decimal(worker["busy_percent"], "%"), decimal(worker["thread_cpu_percent"], "%"),
               decimal(worker["nanoseconds_per_frame"], ""), short_count(count(worker, "frames_total")),
               short_count(count(worker, "polls_total")), short_count(count(worker, "sleeps_total")),
               short_count(count(worker, "flows_active")), duration_text(count(worker, "beat_age_milliseconds"))});
  return table.text();
}

std::string listeners_table(const Json& listeners) {
  Table table{
      {"LISTENER", "SERVICE", "PROTO", "FORWARDING", "POLICY", "TIER", "STATE", ">ACTIVE", ">FLOWS", ">RX", ">TX"}};
  for (const Json& row : listeners)
    table.add({text(row["name"]), host_port(row), text(row["protocol"]), text(row["forwarding"]), text(row["policy"]),
               row.value("http", false) ? "http" : text(row["tier"]),
               row["draining"].get<bool>()  ? "draining"
               : row["steered"].is_null()   ? "?"
               : row["steered"].get<bool>() ? "steered"
                                            : "not steered",
               short_count(count(row, "flows_active")), short_count(count(row, "flows_total")),
               short_count(count(row, "received_packets_total")), short_count(count(row, "sent_packets_total"))});
  return table.text();
}

/// With the reason when it is not well; "-" without checks.
std::string health_text(const Json& row) {
  const std::string health = row.value("health", "");
  if (health.empty()) return "-";
  const std::string reason = row.value("health_reason", "");
  return health == "unhealthy" && !reason.empty() ? health + " (" + reason + ")" : health;
}

std::string endpoints_table(const Json& endpoints) {
  std::map<std::string, std::uint64_t> flows_of;  // of the cluster
  for (const Json& row : endpoints) flows_of[text(row["cluster"])] += count(row, "flows_total");
  Table table{{"CLUSTER", "ENDPOINT", ">WEIGHT", "HEALTH", "NEXT HOP", ">ACTIVE", ">FLOWS", ">SHARE"}};
  for (const Json& row : endpoints) {
    const std::uint64_t all = flows_of[text(row["cluster"])];
    const Json share = all == 0
                           ? Json(nullptr)
                           : Json(100.0 * static_cast<double>(count(row, "flows_total")) / static_cast<double>(all));
    const std::string hop = row["resolved"].is_null()     ? "?"
                            : row["resolved"].get<bool>() ? text(row["mac"])
                                                          : "unresolved";
    table.add({text(row["cluster"]), host_port(row), text(row["weight"]), health_text(row), hop,
               short_count(count(row, "flows_active")), short_count(count(row, "flows_total")), decimal(share, "%")});
  }
  return table.text();
}

std::string dataplane_line(const Json& status) {
  const Json& dataplane = status["dataplane"];
  std::string out = "dataplane  " + text(dataplane["state"]);
  if (count(dataplane, "pid") != 0)
    out += ", pid " + text(dataplane["pid"]) + ", up " + duration_text(count(dataplane, "uptime_seconds") * 1000);
  out += ", restarts " + text(dataplane["restarts"]) + ", hugepages " + yes_no(dataplane["hugepages"]);
  if (dataplane["adopted"].get<bool>()) out += ", adopted";
  return out + "\n";
}

/// Microseconds as milliseconds; "-" before the first sample.
std::string round_trip(const Json& leg) {
  const std::uint64_t us = count(leg, "srtt_microseconds");
  return us == 0 ? "-" : decimal(static_cast<double>(us) / 1000, "ms");
}

void add_leg(Table& table, std::vector<std::string> row, const Json& leg, const std::string& age) {
  const std::string state = text(leg["state"]) + (leg["recovering"].get<bool>() ? " (recovering)" : "");
  row.insert(row.end(), {state, round_trip(leg)});
  for (const char* key : {"cwnd_octets", "flight_octets", "queued_octets", "send_window_octets",
                          "receive_window_octets", "retransmitted_segments", "octets_received", "octets_sent"})
    row.push_back(short_count(count(leg, key)));
  row.push_back(age);
  table.add(std::move(row));
}

std::string proxy_lines(const Json& proxy) {
  if (count(proxy, "reserved") == 0) return "";  // no dataplane, or a daemon that does not tell
  const bool short_of_room = count(proxy, "limit") < count(proxy, "configured");
  return "proxied    " + text(proxy["active"]) + " of " + text(proxy["limit"]) +
         (short_of_room ? " (" + text(proxy["configured"]) + " configured)" : "") + ", half open " +
         text(proxy["half_open"]) + " (cookies beyond " + text(proxy["half_open_max"]) + " per worker), TIME-WAIT " +
         text(proxy["time_wait"]) + ", refused " + text(proxy["refused_full"]) + "\n           memory: buffers lent " +
         text(proxy["lent_buffers"]) + ", entries " + text(proxy["entries_in_use"]) + ", blocks " +
         text(proxy["blocks_in_use"]) + "; dropped " + text(proxy["memory_dropped"]) + ", windows clamped " +
         text(proxy["window_clamped"]) + ", connections shed " + text(proxy["shed"]) + "\n";
}

void add_counters(Table& table, const std::string& scope, const Json& values, bool nonzero_only) {
  for (const auto& [name, value] : values.items()) {
    if (!value.is_number() || name == "index") continue;
    if (nonzero_only && value == 0) continue;
    table.add({scope, name, value.dump()});
  }
}

}  // namespace

std::string render_status(const Json& status, Style style) {
  const std::string verdict = text(status["verdict"]);
  std::string out = colored(verdict, verdict == "ok", verdict == "down", style) + "\n";
  for (const Json& reason : status["reasons"]) out += "  - " + text(reason) + "\n";
  for (const Json& warning : status.value("warnings", Json::array())) out += "  warning: " + text(warning) + "\n";
  const Json& daemon = status["daemon"];
  if (daemon["running"].get<bool>())
    out += "daemon     pid " + text(daemon["pid"]) + ", up " + duration_text(count(daemon, "uptime_seconds") * 1000) +
           ", configuration " + text(status["config"]["generation"]) + "\n";
  else
    out += "daemon     not running (read from the dataplane)\n";
  out += dataplane_line(status);
  const Json& epochs = status["epochs"];
  out += "epochs     compiled " + text(epochs["compiled"]) + ", acknowledged " + text(epochs["acknowledged"]) +
         ", active " + text(epochs["active"]) + "\n";
  out += "flows      " + text(status["flows"]["active"]) + " of " + text(status["flows"]["capacity"]) + "\n" +
         proxy_lines(status.value("proxy", Json::object()));
  if (daemon["running"].get<bool>())
    out +=
        "fallback   " + std::string{status["fallback"]["installed"].get<bool>() ? "installed" : "not installed"} + "\n";
  out += "\n" + workers_table(status["workers"]) + "\n" + ports_table(status["ports"]) + "\n" +
         listeners_table(status["listeners"]) + "\n" + endpoints_table(status["endpoints"]);
  return out;
}

std::string render_ports(const Json& status) { return ports_table(status["ports"]); }

std::string render_services(const Json& services) {
  std::string out = listeners_table(services["services"]);
  Json endpoints = Json::array();
  std::set<std::string> seen;  // clusters of several services once
  for (const Json& service : services["services"]) {
    std::set<std::string> here;
    for (const Json& endpoint : service["endpoints"]) {
      if (seen.contains(text(endpoint["cluster"]))) continue;
      here.insert(text(endpoint["cluster"]));
      endpoints.push_back(endpoint);
    }
    seen.merge(here);
  }
  return out + "\n" + endpoints_table(endpoints);
}

std::string render_flows(const Json& flows) {
  Table table{{"SERVICE", "TIER", "PROTO", "CLIENT", "ADDRESS", "SOURCE", "ENDPOINT", "STATE", ">AGE", ">IDLE",
               ">PACKETS", ">OCTETS"}};
  for (const Json& flow : flows["flows"])
    table.add({text(flow["service_name"]), flow.value("tier", "l4"), text(flow["protocol"]), text(flow["client"]),
               text(flow["service"]), text(flow["source"]), text(flow["endpoint"]), text(flow["state"]),
               duration_text(count(flow, "age_milliseconds")), duration_text(count(flow, "idle_milliseconds")),
               short_count(count(flow, "packets_forward") + count(flow, "packets_reverse")),
               short_count(count(flow, "octets_forward") + count(flow, "octets_reverse"))});
  std::string out = table.text();
  return out + std::to_string(flows["flows"].size()) + " of " + text(flows["matched"]) + " matching, " +
         text(flows["active"]) + " active\n";
}

std::string render_connections(const Json& connections) {
  Table table{{"SERVICE", "LEG", "PEER", "LOCAL", "STATE", ">RTT", ">CWND", ">FLIGHT", ">QUEUED", ">SEND WINDOW",
               ">OWN WINDOW", ">RETRANS", ">RECEIVED", ">SENT", ">AGE"}};
  for (const Json& row : connections["connections"]) {
    const std::string age = duration_text(count(row, "age_milliseconds"));
    add_leg(table, {text(row["service_name"]), "down", text(row["client"]), text(row["service"])}, row["downstream"],
            age);
    add_leg(table, {"", "up", text(row["endpoint"]), text(row["source"])}, row["upstream"], "");
  }
  return table.text() + std::to_string(connections["connections"].size()) + " of " + text(connections["matched"]) +
         " matching, " + text(connections["active"]) + " active\n";
}

std::string render_counters(const Json& counters, bool nonzero_only) {
  Table table{{"SCOPE", "COUNTER", ">VALUE"}};
  add_counters(table, "drops", counters["drops"], nonzero_only);
  for (const Json& worker : counters["workers"])
    add_counters(table, "worker " + text(worker["index"]), worker, nonzero_only);
  for (const Json& worker : counters["workers"])
    add_counters(table, "proxy " + text(worker["index"]), worker.value("proxy", Json::object()), nonzero_only);
  for (const Json& port : counters["ports"]) {
    add_counters(table, "port " + text(port["name"]), port, nonzero_only);
    add_counters(table, "steer " + text(port["name"]), port["reasons"], nonzero_only);
  }
  return table.text();
}

std::string render_problems(const Json& problems, const std::string& kind) {
  std::string out;
  for (const Json& problem : problems) {
    out += kind + text(problem["place"]) + ": " + text(problem["what"]);
    if (!text(problem["remedy"]).empty()) out += " (" + text(problem["remedy"]) + ")";
    out += "\n";
  }
  return out;
}

std::string render_preflight(const Json& checks, Style style) {
  std::string out;
  for (const Json& check : checks["checks"]) {
    const bool ok = check["ok"].get<bool>();
    const bool required = check["required"].get<bool>();
    out += colored(ok         ? "ok  "
                   : required ? "FAIL"
                              : "warn",
                   ok, required, style) +
           "  " + text(check["name"]) + ": " + text(ok ? check["detail"] : check["problem"]) + "\n";
  }
  return out;
}

}  // namespace penstock::cli
