// Any record: one line each way, of printable ASCII only; the JSON one parses.
#include <cstring>
#include <nlohmann/json.hpp>

#include "dataplane/core/require.h"
#include "mgmt/telemetry/access_log.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace penstock;
  control::AccessRecord record{};
  std::memcpy(&record, data, std::min(size, sizeof record));
  telemetry::AccessNames names;
  names.listeners = {{1, "shop"}};
  names.routes = {{1, {"all/api", "all/pages"}}};
  for (const auto format : {telemetry::AccessFormat::text, telemetry::AccessFormat::json}) {
    const std::string line = telemetry::access_line(record, names, record.ended_ns, format);
    require(line.ends_with('\n') && line.find('\n') == line.size() - 1, "not one line");
    for (const char c : line.substr(0, line.size() - 1)) require(c >= 0x20 && c < 0x7f, "not printable");
    require(line.size() < 8192, "longer than a record can be");
    if (format == telemetry::AccessFormat::json)
      require(nlohmann::json::parse(line, nullptr, false).is_object(), "not JSON");
  }
  return 0;
}
