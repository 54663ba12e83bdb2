// http_report.h - what the counters of HTTP say: per listener, route and cluster, and over all workers.
//
// Model     the daemon names the counter blocks; read_http() sums them over workers; metrics and JSON render them.
// Units     latency in microseconds by control::latency_bucket().
#pragma once
#include <array>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "l7/http1/reject.h"
#include "mgmt/telemetry/http_table.h"

namespace penstock::telemetry {

using LatencyValues = std::array<std::uint64_t, control::kLatencyBuckets>;

struct HttpSlotReport {
  std::string kind{};      ///< listener, route, cluster, other
  std::string listener{};  ///< of a listener or route
  std::string host{};      ///< virtual host of a route
  std::string route{};
  std::string cluster{};  ///< of a cluster
  std::uint32_t slot{};
  std::array<std::uint64_t, kHttpSlotMetrics.size()> values{};
  std::array<std::uint64_t, kStatusClasses.size()> by_class{};
  LatencyValues latency{};
  std::uint64_t latency_us_sum{};
};

using HttpEndpointValues = std::array<std::uint64_t, kHttpEndpointMetrics.size()>;
struct HttpEndpointReport {
  HttpEndpointValues values{};
  LatencyValues latency{};  ///< of the answered tries, to the head of the response
  std::array<std::uint64_t, kStatusClasses.size()> by_class{};
};

struct HttpReport {
  std::vector<HttpSlotReport> slots;
  std::array<std::uint64_t, kHttpMetrics.size()> totals{};
  std::array<std::uint64_t, control::kResponseDetails.size()> by_detail{};
  std::array<std::uint64_t, http1::kRejectReasonCount> rejected{};
};

/// Values of all blocks that `http` names, and of all workers.
void read_http(const control::SegmentView& segment, HttpReport& http);
/// Of the endpoint with this stat slot.
[[nodiscard]] HttpEndpointReport http_endpoint_report(const control::SegmentView& segment, std::uint32_t slot);

/// Upper end of bucket `bucket` in microseconds; the last has none.
[[nodiscard]] constexpr std::uint64_t bucket_end_us(std::size_t bucket) {
  return bucket == 0 ? 0 : (std::uint64_t{1} << bucket) - 1;
}
/// The latency that `share` (0..1) of the requests did not exceed, interpolated within its bucket; 0 without any.
[[nodiscard]] double latency_quantile_us(const LatencyValues& latency, double share);

[[nodiscard]] nlohmann::ordered_json http_json(const HttpReport& http);

}  // namespace penstock::telemetry
