#include "mgmt/api/router.h"

#include <charconv>

#include "mgmt/telemetry/http_report.h"
#include "mgmt/telemetry/metrics.h"
#include "mgmt/telemetry/report_json.h"
#include "mgmt/telemetry/version.h"

namespace penstock::api {
namespace {

using Json = nlohmann::ordered_json;

Response json_response(const Json& body, unsigned status = 200) {
  return {status, "application/json", body.dump() + "\n"};
}
Response problem_response(unsigned status, const Problems& problems) {
  return json_response(telemetry::problems_json(problems), status);
}

void check(Backend& backend, const Request& request, const Respond& respond) {
  backend.check(request.body, [respond](const Problems& problems) {
    respond(problem_response(problems.empty() ? 200 : 422, problems));
  });
}

void apply(Backend& backend, const Request& request, const Respond& respond) {
  const auto dry = request.query.find("dry_run");
  const bool dry_run = dry != request.query.end() && dry->second != "0" && dry->second != "false";
  const std::string who = request.peer_uid ? "uid " + std::to_string(*request.peer_uid) : "unknown peer";
  backend.apply(request.body, dry_run, who, [respond](const ApplyResult& result) {
    Json body = telemetry::problems_json(result.problems);
    body["applied"] = result.applied;
    body["changes"] = result.changes;
    body["generation"] = result.generation;
    body["epoch"] = result.epoch;
    respond(json_response(body, result.problems.empty() ? 200 : result.refused ? 409 : 422));
  });
}

void flows(Backend& backend, const Request& request, const Respond& respond) {
  const telemetry::Report report = backend.report();
  const auto filter = flow_filter(request.query, report);
  if (!filter) return respond(problem_response(400, {filter.error()}));
  respond(json_response(telemetry::flows_json(backend.flows(*filter), report)));
}

void connections(Backend& backend, const Request& request, const Respond& respond) {
  const telemetry::Report report = backend.report();
  const auto filter = flow_filter(request.query, report);
  if (!filter) return respond(problem_response(400, {filter.error()}));
  respond(json_response(telemetry::connections_json(backend.connections(*filter), report)));
}

using Route = void (*)(Backend&, const Request&, const Respond&);
struct RouteRow {
  std::string_view method;
  std::string_view path;
  bool on_metrics_listener;
  Route run;
};
constexpr std::array kRoutes{
    RouteRow{"GET", "/v1/status", false,
             [](Backend& b, const Request&, const Respond& respond) {
               respond(json_response(telemetry::status_json(b.report())));
             }},
    RouteRow{"GET", "/v1/services", false,
             [](Backend& b, const Request&, const Respond& respond) {
               respond(json_response(telemetry::services_json(b.report())));
             }},
    RouteRow{"GET", "/v1/counters", false,
             [](Backend& b, const Request&, const Respond& respond) {
               respond(json_response(telemetry::counters_json(b.report())));
             }},
    RouteRow{"GET", "/v1/http", false,
             [](Backend& b, const Request&, const Respond& respond) {
               respond(json_response(telemetry::http_json(b.report().http)));
             }},
    RouteRow{"GET", "/v1/flows", false, flows},
    RouteRow{"GET", "/v1/connections", false, connections},
    RouteRow{"GET", "/v1/config", false,
             [](Backend& b, const Request&, const Respond& respond) {
               respond({200, "application/yaml", b.config_text()});
             }},
    RouteRow{"GET", "/v1/version", false,
             [](Backend&, const Request&, const Respond& respond) {
               respond(json_response({{"version", telemetry::kVersion}, {"build", telemetry::kBuild}}));
             }},
    RouteRow{"POST", "/v1/check", false, check},
    RouteRow{"POST", "/v1/apply", false, apply},
    RouteRow{"GET", "/metrics", true,
             [](Backend& b, const Request&, const Respond& respond) {
               respond({200, "text/plain; version=0.0.4; charset=utf-8", telemetry::metrics_text(b.report())});
             }},
    RouteRow{"GET", "/healthz", true,
             [](Backend&, const Request&, const Respond& respond) {
               respond({200, "text/plain", "ok\n"});
             }},
    RouteRow{"GET", "/readyz", true,
             [](Backend& b, const Request&, const Respond& respond) {
               if (b.ready()) return respond({200, "text/plain", "ready\n"});
               std::string body = "not ready\n";
               for (const std::string& reason : b.report().reasons) body += reason + "\n";
               respond({503, "text/plain", body});
             }},
};

void dispatch(Backend& backend, const Request& request, const Respond& respond, bool admin) {
  bool path_known = false;
  for (const RouteRow& row : kRoutes) {
    if (row.path != request.path || (!admin && !row.on_metrics_listener)) continue;
    path_known = true;
    if (row.method == request.method) return row.run(backend, request, respond);
  }
  if (path_known)
    return respond(problem_response(405, {{request.path, "method " + request.method + " is not served", ""}}));
  respond(problem_response(404, {{request.path, "no such resource", "see docs/guide/operations.md for the list"}}));
}

Problem bad(const std::string& key, const std::string& value, const std::string& want) {
  return {key, "'" + value + "' is not " + want, ""};
}

}  // namespace

void handle_admin(Backend& backend, Request request, const Respond& respond) {
  dispatch(backend, request, respond, true);
}
void handle_metrics(Backend& backend, Request request, const Respond& respond) {
  dispatch(backend, request, respond, false);
}

Result<telemetry::FlowFilter> flow_filter(const std::map<std::string, std::string>& query,
                                          const telemetry::Report& report) {
  telemetry::FlowFilter filter;
  for (const auto& [key, value] : query) {
    if (key == "client") {
      filter.client = IpPrefix::parse(value);
      if (!filter.client) return bad(key, value, "an address or prefix");
    } else if (key == "endpoint") {
      const auto where = telemetry::parse_host_port(value);
      if (!where) return bad(key, value, "an address or address:port");
      filter.endpoint = where->address;
      filter.endpoint_port = where->port;
    } else if (key == "service") {
      for (const telemetry::ListenerReport& listener : report.listeners)
        if (listener.name == value) filter.listener_id = listener.id;
      if (filter.listener_id) continue;
      const auto where = telemetry::parse_host_port(value);
      if (!where) return bad(key, value, "a service's name, address or address:port");
      filter.service = where->address;
      filter.service_port = where->port;
    } else if (key == "limit") {
      const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), filter.limit);
      if (error != std::errc{} || end != value.data() + value.size() || filter.limit > kFlowLimitMax)
        return bad(key, value, "a number up to " + std::to_string(kFlowLimitMax));
    } else {
      return Problem{key, "unknown filter", "use service, client, endpoint or limit"};
    }
  }
  return filter;
}

}  // namespace penstock::api
