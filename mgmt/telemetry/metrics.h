// metrics.h - a Report as Prometheus text (exposition format 0.0.4).
//
// Model     names, types and meanings come from metric_table.h, kDropReasons and kSteerReasons; docs/guide/counters.md
//           is made from the same rows. Labels are bounded: workers, ports, reasons, names of the configuration.
#pragma once
#include <string>

#include "mgmt/telemetry/report.h"

namespace penstock::telemetry {

[[nodiscard]] std::string metrics_text(const Report& report);

}  // namespace penstock::telemetry
