#include "mgmt/telemetry/http_report.h"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace penstock::telemetry {
namespace {

using Json = nlohmann::ordered_json;

void read_slot(const control::HttpSlotCounters& from, HttpSlotReport& into) {
  for (std::size_t i = 0; i < kHttpSlotMetrics.size(); ++i) into.values[i] += (from.*kHttpSlotMetrics[i].member).read();
  for (std::size_t i = 0; i < into.by_class.size(); ++i) into.by_class[i] += from.by_class[i].read();
  for (std::size_t i = 0; i < into.latency.size(); ++i) into.latency[i] += from.latency[i].read();
  into.latency_us_sum += from.latency_us_sum.read();
}

Json slot_json(const HttpSlotReport& slot) {
  Json out{{"kind", slot.kind},
           {"listener", slot.listener},
           {"host", slot.host},
           {"route", slot.route},
           {"cluster", slot.cluster}};
  for (std::size_t i = 0; i < kHttpSlotMetrics.size(); ++i) out[std::string{kHttpSlotMetrics[i].name}] = slot.values[i];
  for (std::size_t i = 0; i < kStatusClasses.size(); ++i)
    out["responses_" + std::string{kStatusClasses[i]}] = slot.by_class[i];
  out["latency_p50_microseconds"] = latency_quantile_us(slot.latency, 0.5);
  out["latency_p99_microseconds"] = latency_quantile_us(slot.latency, 0.99);
  out["latency_microseconds_sum"] = slot.latency_us_sum;
  out["latency_buckets"] = slot.latency;
  return out;
}

}  // namespace

void read_http(const control::SegmentView& segment, HttpReport& http) {
  for (std::size_t w = 0; w < segment.worker_count(); ++w) {
    const control::WorkerCounters& worker = segment.counters(w);
    for (HttpSlotReport& slot : http.slots)
      if (slot.slot < control::kHttpSlotMax) read_slot(worker.http_slots[slot.slot], slot);
    for (std::size_t i = 0; i < kHttpMetrics.size(); ++i)
      http.totals[i] += (worker.http.*kHttpMetrics[i].member).read();
    for (std::size_t i = 0; i < http.by_detail.size(); ++i) http.by_detail[i] += worker.http.by_detail[i].read();
    for (std::size_t i = 0; i < http.rejected.size(); ++i) http.rejected[i] += worker.http.rejected[i].read();
  }
}

HttpEndpointReport http_endpoint_report(const control::SegmentView& segment, std::uint32_t slot) {
  HttpEndpointReport out;
  for (std::size_t w = 0; slot < control::kStatSlotMax && w < segment.worker_count(); ++w) {
    const control::HttpEndpointCounters& from = segment.counters(w).http_endpoints[slot];
    for (std::size_t i = 0; i < out.values.size(); ++i) out.values[i] += (from.*kHttpEndpointMetrics[i].member).read();
    for (std::size_t i = 0; i < out.latency.size(); ++i) out.latency[i] += from.latency[i].read();
    for (std::size_t i = 0; i < out.by_class.size(); ++i) out.by_class[i] += from.by_class[i].read();
  }
  return out;
}

double latency_quantile_us(const LatencyValues& latency, double share) {
  std::uint64_t all = 0;
  for (const std::uint64_t count : latency) all += count;
  if (all == 0) return 0;
  const double rank = std::clamp(share, 0.0, 1.0) * static_cast<double>(all);
  double below = 0;
  for (std::size_t b = 0; b < latency.size(); ++b) {
    const auto here = static_cast<double>(latency[b]);
    if (below + here < rank || here == 0) {
      below += here;
      continue;
    }
    const double begin = b == 0 ? 0 : static_cast<double>(bucket_end_us(b - 1)) + 1;
    // The last bucket has no end: its beginning is what can be said.
    if (b == 0 || b + 1 == latency.size()) return begin;
    return begin + (static_cast<double>(bucket_end_us(b)) + 1 - begin) * (rank - below) / here;
  }
  return 0;
}

Json http_json(const HttpReport& http) {
  Json out;
  for (std::size_t i = 0; i < kHttpMetrics.size(); ++i)
    out["totals"][std::string{kHttpMetrics[i].name}] = http.totals[i];
  for (const auto& [detail, name] : control::kResponseDetails)
    out["details"][std::string{name}] = http.by_detail[static_cast<std::size_t>(detail)];
  for (const auto& reason : http1::kRejectReasons)
    if (reason.reason != http1::RejectReason::none)
      out["rejected"][std::string{reason.name}] = http.rejected[static_cast<std::size_t>(reason.reason)];
  out["slots"] = Json::array();
  for (const HttpSlotReport& slot : http.slots) out["slots"].push_back(slot_json(slot));
  return out;
}

}  // namespace penstock::telemetry
