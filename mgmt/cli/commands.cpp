#include "mgmt/cli/commands.h"

#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <iostream>
#include <iterator>
#include <thread>

#include "mgmt/compile/compiler.h"
#include "mgmt/config/loader.h"
#include "mgmt/kernel/preflight.h"
#include "mgmt/telemetry/report_json.h"
#include "mgmt/telemetry/version.h"

namespace penstock::cli {
namespace {

constexpr std::chrono::milliseconds kWaitInterval{200};
constexpr std::chrono::seconds kWatchInterval{1};

int print_fault(const Context& context, const Fault& fault) {
  if (context.json && !fault.body.is_null()) std::cout << fault.body.dump(2) << "\n";
  const std::string problems = fault.body.contains("problems") ? render_problems(fault.body["problems"]) : "";
  std::cerr << "penstock: " << (problems.empty() ? fault.text + "\n" : problems);
  return fault.exit_code;
}

/// JSON as it is, or rendered.
template <typename Render>
void print(const Context& context, const Json& body, Render render) {
  std::cout << (context.json ? body.dump(2) + "\n" : render(body)) << std::flush;
}

template <typename Render>
int show(const Context& context, const std::string& path, const Query& query, Render render) {
  const auto answer = context.source().get(path, query);
  if (!answer) return print_fault(context, answer.error());
  if (answer->direct) std::cerr << "penstock: penstockd does not answer; read from the dataplane\n";
  print(context, answer->body, render);
  return kExitGood;
}

Query query_of(const FlowsOptions& options) {
  Query query{{"limit", std::to_string(options.limit)}};
  if (!options.service.empty()) query["service"] = options.service;
  if (!options.client.empty()) query["client"] = options.client;
  if (!options.endpoint.empty()) query["endpoint"] = options.endpoint;
  return query;
}

Result<std::string, Fault> read_text(const std::string& file) {
  if (file == "-") return std::string{std::istreambuf_iterator<char>{std::cin}, {}};
  std::ifstream stream{file};
  if (!stream) return Fault{kExitUsage, file + ": cannot be read", nullptr};
  return std::string{std::istreambuf_iterator<char>{stream}, {}};
}

/// Until the verdict is ok or the time is up.
int wait_for_ok(const Context& context) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds{context.timeout_seconds};
  for (;;) {
    const auto answer = context.source().get("/v1/status");
    const bool ok = answer.ok() && answer->body["verdict"] == "ok";
    if (ok || std::chrono::steady_clock::now() >= end) {
      if (!answer) return print_fault(context, answer.error());
      print(context, answer->body, [&](const Json& body) { return render_status(body, context.style()); });
      return ok ? kExitGood : kExitTimeout;
    }
    std::this_thread::sleep_for(kWaitInterval);
  }
}

}  // namespace

Style Context::style() const {
  const char* no = std::getenv("NO_COLOR");
  return {!no_color && !json && (no == nullptr || *no == '\0') && ::isatty(STDOUT_FILENO) != 0};
}

int run_status(const Context& context, const StatusOptions& options) {
  if (options.wait) return wait_for_ok(context);
  for (;;) {
    const auto answer = context.source().get("/v1/status");
    if (options.watch && !context.json && context.style().color) std::cout << "\033[H\033[2J";
    if (!answer) {
      const int code = print_fault(context, answer.error());
      if (!options.watch) return code;
    } else {
      print(context, answer->body, [&](const Json& body) { return render_status(body, context.style()); });
      if (!options.watch) return answer->body["verdict"] == "ok" ? kExitGood : kExitNegative;
    }
    std::this_thread::sleep_for(kWatchInterval);
  }
}

int run_ports(const Context& context) {
  const auto answer = context.source().get("/v1/status");
  if (!answer) return print_fault(context, answer.error());
  const Json ports{{"ports", answer->body["ports"]}};
  print(context, ports, render_ports);
  return kExitGood;
}

int run_services(const Context& context) { return show(context, "/v1/services", {}, render_services); }

int run_flows(const Context& context, const FlowsOptions& options) {
  return show(context, "/v1/flows", query_of(options), render_flows);
}

int run_connections(const Context& context, const FlowsOptions& options) {
  return show(context, "/v1/connections", query_of(options), render_connections);
}

int run_counters(const Context& context, bool nonzero) {
  return show(context, "/v1/counters", {}, [&](const Json& body) { return render_counters(body, nonzero); });
}

int run_check(const Context& context, const std::string& file) {
  const std::string name = file.empty() ? "running configuration" : file;
  auto text = file.empty() ? context.source().text("/v1/config") : read_text(file);
  if (!text) return print_fault(context, text.error());
  Problems problems;
  config::Advice advice;
  const auto config = config::load_text(*text, name, config::this_machine(), &advice);
  if (!config) {
    problems = config.error();
  } else if (const auto compiled = compile::Compiler{}.compile(*config); !compiled) {
    problems = compiled.error();
  }
  Json body = telemetry::problems_json(problems);
  body["warnings"] = telemetry::problem_list(advice.warnings);
  body["notes"] = telemetry::problem_list(advice.notes);
  if (config)
    body["summary"] = {{"listeners", config->listeners.size()},
                       {"clusters", config->clusters.size()},
                       {"ports", config->ports.size()}};
  if (!context.json)
    std::cerr << render_problems(body["problems"]) << render_problems(body["warnings"], "warning: ")
              << render_problems(body["notes"], "note: ");
  if (context.json || problems.empty())
    print(context, body, [&](const Json&) {
      return name + ": ok, " + std::to_string(config->listeners.size()) + " listeners, " +
             std::to_string(config->clusters.size()) + " clusters, " + std::to_string(config->ports.size()) +
             " ports\n";
    });
  return problems.empty() ? kExitGood : kExitNegative;
}

int run_apply(const Context& context, const std::string& file, bool dry_run) {
  const auto text = read_text(file);
  if (!text) return print_fault(context, text.error());
  const auto answer = context.source().post("/v1/apply", dry_run ? Query{{"dry_run", "1"}} : Query{}, *text);
  if (!answer) return print_fault(context, answer.error());
  print(context, *answer, [&](const Json& body) {
    const std::string changes = body["changes"].get<std::string>();
    const std::string headline =
        dry_run ? "would change:\n" : "applied, configuration " + body["generation"].dump() + ":\n";
    return changes.empty() ? std::string{"nothing changes\n"} : headline + changes;
  });
  return kExitGood;
}

int run_preflight(const Context& context) {
  kernel::PreflightOptions options;
  Json body{{"checks", Json::array()}};
  const auto checks = kernel::preflight(options);
  for (const kernel::PreflightCheck& check : checks)
    body["checks"].push_back({{"name", check.name},
                              {"ok", check.ok},
                              {"required", check.required},
                              {"detail", check.detail},
                              {"problem", check.ok ? "" : check.problem.text()}});
  print(context, body, [&](const Json& all) { return render_preflight(all, context.style()); });
  return kernel::required_problems(checks).empty() ? kExitGood : kExitNegative;
}

int run_version(const Context& context) {
  Json body{{"version", telemetry::kVersion}, {"build", telemetry::kBuild}, {"daemon", nullptr}};
  if (const auto daemon = context.source().get("/v1/version"); daemon && !daemon->direct) body["daemon"] = daemon->body;
  print(context, body, [](const Json& all) {
    std::string out = "penstock " + all["version"].get<std::string>() + " (" + all["build"].get<std::string>() + ")\n";
    if (all["daemon"].is_object())
      out += "penstockd " + all["daemon"]["version"].get<std::string>() + " (" +
             all["daemon"]["build"].get<std::string>() + ")\n";
    return out;
  });
  return kExitGood;
}

}  // namespace penstock::cli
