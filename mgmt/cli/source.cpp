#include "mgmt/cli/source.h"

#include "mgmt/api/router.h"
#include "mgmt/cli/direct.h"
#include "mgmt/telemetry/report_json.h"

namespace penstock::cli {
namespace {

Fault fault_of(const api::Failure& failure) {
  if (failure.kind == api::Failure::Kind::timeout) return {kExitTimeout, failure.text, nullptr};
  return {kExitUnreachable, "penstockd does not answer: " + failure.text, nullptr};
}

std::string first_problem(const Json& body) {
  if (!body.contains("problems") || body["problems"].empty()) return "";
  return body["problems"][0].value("what", "");
}

/// The same resources as the daemon's, out of what the dataplane shares.
Result<Json, Fault> read_directly(const std::string& socket_path, const std::string& path, const Query& query) {
  auto view = open_direct(socket_path);
  if (!view) return Fault{kExitUnreachable, view.error().text(), nullptr};
  if (path == "/v1/status") return telemetry::status_json(view->report);
  if (path == "/v1/services") return telemetry::services_json(view->report);
  if (path == "/v1/counters") return telemetry::counters_json(view->report);
  if (path != "/v1/flows" && path != "/v1/connections")
    return Fault{kExitUnreachable, path + ": needs penstockd", nullptr};
  const auto filter = api::flow_filter(query, view->report);
  if (!filter) return Fault{kExitUsage, filter.error().text(), nullptr};
  if (path == "/v1/connections") return telemetry::connections_json(view->connections(*filter), view->report);
  return telemetry::flows_json(view->flows(*filter), view->report);
}

}  // namespace

Result<api::Response, Fault> Source::ask(api::Request request) const {
  auto response = api::call(socket_path_, request, timeout_);
  if (!response) return fault_of(response.error());
  return std::move(*response);
}

Result<Answer, Fault> Source::get(const std::string& path, const Query& query) const {
  auto response = ask({"GET", path, query, "", std::nullopt});
  if (!response) {
    if (response.error().exit_code != kExitUnreachable) return response.error();
    auto direct = read_directly(socket_path_, path, query);
    if (!direct) return Fault{direct.error().exit_code, response.error().text + "\n" + direct.error().text, nullptr};
    return Answer{std::move(*direct), true};
  }
  Json body = Json::parse(response->body, nullptr, false);
  if (body.is_discarded()) return Fault{kExitUnreachable, path + ": the answer is no JSON", nullptr};
  if (response->status != 200) return Fault{kExitUsage, first_problem(body), body};
  return Answer{std::move(body), false};
}

Result<Json, Fault> Source::post(const std::string& path, const Query& query, const std::string& text) const {
  auto response = ask({"POST", path, query, text, std::nullopt});
  if (!response) return response.error();
  Json body = Json::parse(response->body, nullptr, false);
  if (body.is_discarded()) return Fault{kExitUnreachable, path + ": the answer is no JSON", nullptr};
  if (response->status != 200) return Fault{kExitNegative, first_problem(body), body};
  return body;
}

Result<std::string, Fault> Source::text(const std::string& path) const {
  auto response = ask({"GET", path, {}, "", std::nullopt});
  if (!response) return response.error();
  return std::move(response->body);
}

}  // namespace penstock::cli
