// router.h - which request asks the daemon for what.
//
// Model     a function from Request to Response over a Backend, without any I/O.
//             GET  /v1/status /v1/services /v1/counters /v1/http /v1/flows /v1/connections /v1/config /v1/version
//             POST /v1/check /v1/apply[?dry_run=1]      body: YAML
//             GET  /metrics /healthz /readyz            also on the metrics listener, which has nothing else
// Errors    JSON {"problems": [{place, what, remedy}]} with 400 (request), 404, 405, 409 (refused by the dataplane),
//           422 (configuration), 503 (not ready).
// Limits    kFlowLimitMax rows of /v1/flows and /v1/connections.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "mgmt/api/http.h"
#include "mgmt/telemetry/connection_reader.h"
#include "mgmt/telemetry/flow_reader.h"
#include "mgmt/telemetry/report.h"

namespace penstock::api {

inline constexpr std::size_t kFlowLimitMax = 100'000;

struct ApplyResult {
  bool applied{};       ///< false: checked only, or refused
  bool refused{};       ///< valid, but the running system could not take it over
  std::string changes;  ///< one line per change, as compile::text()
  Problems problems;    ///< empty when all is well
  std::uint64_t generation{};
  std::uint64_t epoch{};
};

/// What the router asks for. Called on the event loop's thread.
class Backend {
 public:
  virtual ~Backend() = default;
  [[nodiscard]] virtual telemetry::Report report() = 0;
  [[nodiscard]] virtual telemetry::FlowList flows(const telemetry::FlowFilter& filter) = 0;
  [[nodiscard]] virtual telemetry::ConnectionList connections(const telemetry::FlowFilter& filter) = 0;
  [[nodiscard]] virtual std::string config_text() = 0;
  virtual void check(const std::string& yaml, std::function<void(Problems)> done) = 0;
  virtual void apply(const std::string& yaml, bool dry_run, const std::string& who,
                     std::function<void(ApplyResult)> done) = 0;
  /// The first configuration is in force on every worker and every required port steers.
  [[nodiscard]] virtual bool ready() = 0;
};

/// The Unix socket's requests.
void handle_admin(Backend& backend, Request request, const Respond& respond);
/// The metrics listener's requests: reading only, nothing of /v1.
void handle_metrics(Backend& backend, Request request, const Respond& respond);

/// A FlowFilter from the query of /v1/flows or /v1/connections; `report` resolves service names. Also used by the CLI.
[[nodiscard]] Result<telemetry::FlowFilter> flow_filter(const std::map<std::string, std::string>& query,
                                                        const telemetry::Report& report);

}  // namespace penstock::api
