// counters_doc.h - docs/guide/counters.md, made from the tables that the code counts by.
#pragma once
#include <string>

namespace penstock::telemetry {

[[nodiscard]] std::string counters_doc();

}  // namespace penstock::telemetry
