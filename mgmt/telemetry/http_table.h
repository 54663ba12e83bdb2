// http_table.h - the counters of HTTP, with names and meanings (see metric_table.h).
#pragma once
#include "mgmt/telemetry/metric_table.h"

namespace penstock::telemetry {

using H = control::HttpSlotCounters;
/// Of one listener, route or cluster. Responses by class and latency have families of their own.
inline constexpr std::array kHttpSlotMetrics{
    MetricRow<H>{"requests_active", MetricType::gauge, &H::active, "requests under way"},
    MetricRow<H>{"requests_total", MetricType::counter, &H::requests, "requests that have ended"},
    MetricRow<H>{"retries_total", MetricType::counter, &H::retries, "tries after the first"},
    MetricRow<H>{"retries_overflow_total", MetricType::counter, &H::retries_overflow,
                 "tries not made since a limit of retries was reached"},
    MetricRow<H>{"overflow_total", MetricType::counter, &H::overflow, "requests refused by a circuit breaker"},
    MetricRow<H>{"timeouts_total", MetricType::counter, &H::timeouts, "requests ended by a timeout"},
    MetricRow<H>{"upstream_failures_total", MetricType::counter, &H::upstream_failures,
                 "requests whose endpoint refused, broke off or answered no HTTP"},
    MetricRow<H>{"downstream_resets_total", MetricType::counter, &H::downstream_resets,
                 "requests whose client went away before the end"},
    MetricRow<H>{"request_octets_total", MetricType::counter, &H::request_octets, "octets of request bodies"},
    MetricRow<H>{"response_octets_total", MetricType::counter, &H::response_octets, "octets of response bodies"},
};
inline constexpr std::size_t kHttpActive = 0;
inline constexpr std::size_t kHttpRequests = 1;
inline constexpr std::size_t kHttpRetries = 2;
static_assert(kHttpSlotMetrics[kHttpRequests].member == &H::requests);
static_assert(kHttpSlotMetrics[kHttpRetries].member == &H::retries);

using HW = control::HttpCounters;
/// Of all workers.
inline constexpr std::array kHttpMetrics{
    MetricRow<HW>{"downstream_active", MetricType::gauge, &HW::downstream_active, "connections of clients"},
    MetricRow<HW>{"upstream_active", MetricType::gauge, &HW::upstream_active,
                  "connections to endpoints, idle ones included"},
    MetricRow<HW>{"upstream_idle", MetricType::gauge, &HW::upstream_idle, "of these, kept for the next request"},
    MetricRow<HW>{"upstream_connects_total", MetricType::counter, &HW::upstream_connects,
                  "connections to endpoints that were begun"},
    MetricRow<HW>{"ejections_total", MetricType::counter, &HW::ejections,
                  "times that outlier detection left an endpoint out"},
    MetricRow<HW>{"ejected", MetricType::gauge, &HW::ejected, "endpoints that are left out, worker by worker"},
    MetricRow<HW>{"proxy_headers_total", MetricType::counter, &HW::proxy_headers,
                  "PROXY headers that clients' connections began with"},
    MetricRow<HW>{"proxy_headers_refused_total", MetricType::counter, &HW::proxy_headers_refused,
                  "connections reset since they began with no PROXY header, or not in time"},
    MetricRow<HW>{"tunnels_failed_total", MetricType::counter, &HW::tunnels_failed,
                  "TCP connections passed through the HTTP proxy whose endpoint could not be connected"},
    MetricRow<HW>{"access_records_total", MetricType::counter, &HW::access_records, "requests given to the access log"},
    MetricRow<HW>{"access_dropped_total", MetricType::counter, &HW::access_dropped,
                  "requests that the access log missed, since its ring was full"},
    MetricRow<HW>{"held", MetricType::gauge, &HW::held, "requests that a policy makes wait"},
    MetricRow<HW>{"delayed_total", MetricType::counter, &HW::delayed, "requests delayed by fault injection"},
    MetricRow<HW>{"mirrored_total", MetricType::counter, &HW::mirrored, "copies of requests sent"},
    MetricRow<HW>{"mirror_skipped_total", MetricType::counter, &HW::mirror_skipped,
                  "copies not sent: too long, given up early, no connection or no memory"},
    MetricRow<HW>{"mirror_failed_total", MetricType::counter, &HW::mirror_failed,
                  "copies whose connection ended without an answer"},
    MetricRow<HW>{"questions_total", MetricType::counter, &HW::questions, "questions about requests"},
    MetricRow<HW>{"questions_unasked_total", MetricType::counter, &HW::questions_unasked,
                  "requests decided by default since there was no room for the question"},
    MetricRow<HW>{"questions_late_total", MetricType::counter, &HW::questions_late,
                  "requests decided by default since no answer came in time"},
    MetricRow<HW>{"answers_reused_total", MetricType::counter, &HW::answers_reused,
                  "requests decided by an answer to an earlier one"},
    MetricRow<HW>{"rate_evicted_total", MetricType::counter, &HW::rate_evicted,
                  "clients forgotten by a rate limit before their time"},
};

using HE = control::HttpEndpointCounters;
/// Of one endpoint, beside its flows.
inline constexpr std::array kHttpEndpointMetrics{
    MetricRow<HE>{"http_requests_total", MetricType::counter, &HE::requests, "requests begun, retries included"},
    MetricRow<HE>{"http_responses_5xx_total", MetricType::counter, &HE::errors_5xx, "of these, answered with 5xx"},
    MetricRow<HE>{"http_failures_total", MetricType::counter, &HE::failures,
                  "of these, not answered: refused, broken off, no HTTP, too late"},
    MetricRow<HE>{"http_latency_seconds_total", MetricType::counter, &HE::latency_us_sum,
                  "of the answered, from the begin of the try to the head of the response", 1'000'000},
};
/// Families beside these rows: responses by class of status, and the histogram of what the last row sums up.
inline constexpr std::string_view kHttpEndpointResponses = "http_responses_total";
inline constexpr std::string_view kHttpEndpointHistogram = "http_latency_seconds";
inline constexpr std::size_t kHttpEndpointLatency = 3;
static_assert(kHttpEndpointMetrics[kHttpEndpointLatency].member == &HE::latency_us_sum);

inline constexpr std::string_view kHttpPrefix = "penstock_http_";
inline constexpr std::array<std::string_view, 5> kStatusClasses{"1xx", "2xx", "3xx", "4xx", "5xx"};

}  // namespace penstock::telemetry
