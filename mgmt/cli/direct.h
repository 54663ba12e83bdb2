// direct.h - a report without the daemon, read from the dataplane's shared memory.
//
// Model     connects to the dataplane as a reader, takes two samples kSampleGap apart for the rates, and names what
//           it finds by <runtime_dir>/last-good.yaml and the ids beside it.
// Errors    Problem when the dataplane is not there either.
// Loss      steering counters and next hops are not readable this way.
#pragma once
#include <chrono>
#include <string>

#include "mgmt/publish/dataplane_client.h"
#include "mgmt/telemetry/connection_reader.h"
#include "mgmt/telemetry/flow_reader.h"
#include "mgmt/telemetry/report.h"

namespace penstock::cli {

inline constexpr std::chrono::milliseconds kSampleGap{300};

struct DirectView {
  publish::ReaderView reader;
  telemetry::Report report;
  [[nodiscard]] telemetry::FlowList flows(const telemetry::FlowFilter& filter) const;
  [[nodiscard]] telemetry::ConnectionList connections(const telemetry::FlowFilter& filter) const;
};
/// `api_socket`: the daemon's socket path; the dataplane's lies beside it.
[[nodiscard]] Result<DirectView> open_direct(const std::string& api_socket);

}  // namespace penstock::cli
