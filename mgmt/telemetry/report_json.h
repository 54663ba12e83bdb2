// report_json.h - a Report as JSON, the stable form behind /v1/status, /v1/services and /v1/counters.
//
// Rule      keys are only ever added. Numbers are JSON numbers; unknown values are null.
#pragma once
#include <nlohmann/json.hpp>

#include "mgmt/telemetry/connection_reader.h"
#include "mgmt/telemetry/flow_reader.h"
#include "mgmt/telemetry/report.h"

namespace penstock::telemetry {

[[nodiscard]] nlohmann::ordered_json status_json(const Report& report);
[[nodiscard]] nlohmann::ordered_json services_json(const Report& report);
[[nodiscard]] nlohmann::ordered_json counters_json(const Report& report);
/// `report` gives listeners and ports their names.
[[nodiscard]] nlohmann::ordered_json flows_json(const FlowList& flows, const Report& report);
[[nodiscard]] nlohmann::ordered_json connections_json(const ConnectionList& connections, const Report& report);
[[nodiscard]] nlohmann::ordered_json problem_list(const Problems& problems);
[[nodiscard]] nlohmann::ordered_json problems_json(const Problems& problems);

}  // namespace penstock::telemetry
