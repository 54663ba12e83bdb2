// metric_table.h - the one list of the counters that workers keep, with names and meanings.
//
// Model     a row names a member of control/segment.h; /metrics, `penstock counters`, JSON and
//           docs/guide/counters.md are made from these rows.
// Rule      names are Prometheus names without their prefix; counters end in _total. Units are in the name.
#pragma once
#include <array>
#include <string_view>

#include "dataplane/control/segment.h"

namespace penstock::telemetry {

enum class MetricType { counter, gauge };

template <typename Block>
struct MetricRow {
  std::string_view name;
  MetricType type;
  control::Counter Block::*member;
  std::string_view meaning;
  double divisor{1};  ///< of the counter's unit to the one in the name
  /// The value in the name's unit.
  [[nodiscard]] constexpr double scaled(std::uint64_t raw) const { return static_cast<double>(raw) / divisor; }
};
inline constexpr double kNanoseconds = 1e9;

inline constexpr std::string_view kWorkerPrefix = "penstock_worker_";
inline constexpr std::string_view kProxyPrefix = "penstock_proxy_";
inline constexpr std::string_view kPortPrefix = "penstock_port_";
inline constexpr std::string_view kListenerPrefix = "penstock_listener_";
inline constexpr std::string_view kEndpointPrefix = "penstock_endpoint_";

using W = control::WorkerCounters;
inline constexpr std::array kWorkerMetrics{
    MetricRow<W>{"snapshot_epoch", MetricType::gauge, &W::adopted_epoch, "snapshot in use"},
    MetricRow<W>{"polls_total", MetricType::counter, &W::polls, "rounds of the poll loop"},
    MetricRow<W>{"empty_polls_total", MetricType::counter, &W::empty_polls, "rounds that found no frame"},
    MetricRow<W>{"bursts_total", MetricType::counter, &W::bursts, "bursts that carried frames"},
    MetricRow<W>{"frames_total", MetricType::counter, &W::frames, "frames received"},
    MetricRow<W>{"busy_seconds_total", MetricType::counter, &W::busy_ns,
                 "time spent on bursts that carried frames, device kicks included", kNanoseconds},
    MetricRow<W>{"sleeps_total", MetricType::counter, &W::sleeps, "times the worker went to sleep"},
    MetricRow<W>{"sleep_seconds_total", MetricType::counter, &W::sleep_ns, "time spent asleep", kNanoseconds},
    MetricRow<W>{"flows_active", MetricType::gauge, &W::flows_active, "flows in the table"},
    MetricRow<W>{"flows_capacity", MetricType::gauge, &W::flows_capacity, "flows that the table holds at most"},
    MetricRow<W>{"flows_created_total", MetricType::counter, &W::flows_created, "flows created"},
    MetricRow<W>{"flows_expired_total", MetricType::counter, &W::flows_expired, "flows removed by their idle time"},
    MetricRow<W>{"flows_closed_total", MetricType::counter, &W::flows_closed, "flows removed after their close"},
    MetricRow<W>{"flows_restored_total", MetricType::counter, &W::flows_restored,
                 "flows taken over from a predecessor process"},
    MetricRow<W>{"parked", MetricType::gauge, &W::parked, "flows that wait for a policy answer"},
    MetricRow<W>{"questions_total", MetricType::counter, &W::questions, "policy questions asked"},
    MetricRow<W>{"answers_total", MetricType::counter, &W::answers, "policy answers taken in time"},
    MetricRow<W>{"answers_late_total", MetricType::counter, &W::answers_late, "policy answers after the deadline"},
    MetricRow<W>{"decisions_cached_total", MetricType::counter, &W::decisions_cached,
                 "answers kept for their lifetime"},
    MetricRow<W>{"decisions_hit_total", MetricType::counter, &W::decisions_hit, "new flows decided by a kept answer"},
    MetricRow<W>{"icmp_translated_total", MetricType::counter, &W::icmp_translated,
                 "ICMP errors translated to the other side"},
    MetricRow<W>{"icmp_consumed_total", MetricType::counter, &W::icmp_consumed,
                 "ICMP errors about proxied connections, taken by our TCP"},
    MetricRow<W>{"echo_replies_total", MetricType::counter, &W::echo_replies, "pings of service addresses answered"},
    MetricRow<W>{"neighbor_replies_total", MetricType::counter, &W::neighbor_replies,
                 "ARP requests and neighbour solicitations answered"},
    MetricRow<W>{"resets_sent_total", MetricType::counter, &W::resets_sent, "RST sent to segments of no known flow"},
    MetricRow<W>{"too_big_sent_total", MetricType::counter, &W::too_big_sent,
                 "ICMP fragmentation needed and packet too big sent"},
    MetricRow<W>{"handoff_in_total", MetricType::counter, &W::handoff_in, "frames taken from other workers"},
    MetricRow<W>{"handoff_out_total", MetricType::counter, &W::handoff_out, "frames given to other workers"},
    MetricRow<W>{"checksums_completed_total", MetricType::counter, &W::checksum_completed,
                 "partial checksums that were completed"},
    MetricRow<W>{"forwards_active", MetricType::gauge, &W::forwards_active,
                 "flows that the XDP program forwards by itself"},
    MetricRow<W>{"forwards_begun_total", MetricType::counter, &W::forwards_begun, "flows given to the XDP program"},
    MetricRow<W>{"forwards_ended_total", MetricType::counter, &W::forwards_ended,
                 "flows taken back from the XDP program"},
    MetricRow<W>{"forward_full_total", MetricType::counter, &W::forward_full,
                 "hot flows that found no room in the XDP program's maps, once per look"},
    MetricRow<W>{"forward_failed_total", MetricType::counter, &W::forward_failed,
                 "flows whose entries the kernel did not take"},
};

using R = control::ProxyCounters;
inline constexpr std::array kProxyMetrics{
    MetricRow<R>{"connections_active", MetricType::gauge, &R::connections_active,
                 "connections that end here, both legs counted as one"},
    MetricRow<R>{"half_open", MetricType::gauge, &R::half_open, "handshakes of clients under way"},
    MetricRow<R>{"time_wait", MetricType::gauge, &R::time_wait,
                 "ended connections whose addresses and ports are remembered"},
    MetricRow<R>{"opened_total", MetricType::counter, &R::opened, "connections that a client opened"},
    MetricRow<R>{"established_total", MetricType::counter, &R::established,
                 "connections of which both legs were established"},
    MetricRow<R>{"closed_total", MetricType::counter, &R::closed, "connections ended in order, by FINs"},
    MetricRow<R>{"reset_by_downstream_total", MetricType::counter, &R::reset_by_downstream,
                 "connections that the client reset"},
    MetricRow<R>{"reset_by_upstream_total", MetricType::counter, &R::reset_by_upstream,
                 "connections that the endpoint reset"},
    MetricRow<R>{"timed_out_total", MetricType::counter, &R::timed_out,
                 "connections ended since a peer answered neither retransmissions nor probes"},
    MetricRow<R>{"idle_closed_total", MetricType::counter, &R::idle_closed, "connections reset by proxy.idle_timeout"},
    MetricRow<R>{"connect_failed_total", MetricType::counter, &R::connect_failed,
                 "connections whose endpoint refused, or not within proxy.connect_timeout"},
    MetricRow<R>{"refused_full_total", MetricType::counter, &R::refused_full,
                 "new connections refused at proxy.connections_per_worker"},
    MetricRow<R>{"cookies_sent_total", MetricType::counter, &R::cookies_sent,
                 "SYN cookies sent beyond proxy.half_open_max"},
    MetricRow<R>{"cookies_accepted_total", MetricType::counter, &R::cookies_accepted,
                 "handshakes completed by a SYN cookie"},
    MetricRow<R>{"cookies_rejected_total", MetricType::counter, &R::cookies_rejected,
                 "acknowledgements that carry no valid SYN cookie"},
    MetricRow<R>{"time_wait_evicted_total", MetricType::counter, &R::time_wait_evicted,
                 "TIME-WAIT records given up early for want of room"},
    MetricRow<R>{"time_wait_reused_total", MetricType::counter, &R::time_wait_reused,
                 "TIME-WAIT records replaced by a new SYN of the same addresses and ports"},
    MetricRow<R>{"segments_in_total", MetricType::counter, &R::segments_in, "TCP segments received, both legs"},
    MetricRow<R>{"segments_out_total", MetricType::counter, &R::segments_out, "TCP segments sent, both legs"},
    MetricRow<R>{"retransmitted_segments_total", MetricType::counter, &R::retransmitted, "TCP segments sent again"},
    MetricRow<R>{"retransmit_timeouts_total", MetricType::counter, &R::retransmit_timeouts,
                 "retransmission timers that ran out"},
    MetricRow<R>{"octets_up_total", MetricType::counter, &R::octets_up, "octets of payload from clients to endpoints"},
    MetricRow<R>{"octets_down_total", MetricType::counter, &R::octets_down,
                 "octets of payload from endpoints to clients"},
    MetricRow<R>{"out_of_order_segments_total", MetricType::counter, &R::out_of_order,
                 "segments that arrived before what precedes them"},
    MetricRow<R>{"duplicate_segments_total", MetricType::counter, &R::duplicates,
                 "segments whose payload was there already"},
    MetricRow<R>{"challenge_acks_total", MetricType::counter, &R::challenge_acks,
                 "acknowledgements that challenge a suspicious SYN, RST or ACK (RFC 5961)"},
    MetricRow<R>{"paws_rejected_total", MetricType::counter, &R::paws_rejected,
                 "segments with an old timestamp (RFC 7323)"},
    MetricRow<R>{"lent_buffers", MetricType::gauge, &R::lent, "device buffers that queues of payload hold"},
    MetricRow<R>{"copied_out_total", MetricType::counter, &R::copied_out,
                 "times a connection's payload was moved out of device buffers, to give those back"},
    MetricRow<R>{"memory_dropped_total", MetricType::counter, &R::memory_dropped,
                 "segments dropped for want of memory; the sender repeats them"},
    MetricRow<R>{"window_clamped_total", MetricType::counter, &R::window_clamped,
                 "times a connection's window was made smaller for want of memory"},
    MetricRow<R>{"shed_total", MetricType::counter, &R::shed, "connections reset to get their memory back"},
    MetricRow<R>{"listener_gone_total", MetricType::counter, &R::listener_gone,
                 "connections reset since their listener was removed and its drain is over"},
    MetricRow<R>{"entries_in_use", MetricType::gauge, &R::entries_in_use, "descriptors of queued payload"},
    MetricRow<R>{"blocks_in_use", MetricType::gauge, &R::blocks_in_use, "blocks of payload memory"},
    MetricRow<R>{"in_place_sent_total", MetricType::counter, &R::in_place_sent,
                 "segments sent in the buffer they came in"},
    MetricRow<R>{"copied_sent_total", MetricType::counter, &R::copied_sent,
                 "segments whose payload was copied into their frame"},
    MetricRow<R>{"splices_active", MetricType::gauge, &R::splices_active,
                 "spliced flows: connections whose ends deliver to each other, translated here"},
    MetricRow<R>{"splices_begun_total", MetricType::counter, &R::splices_begun,
                 "proxied connections that became spliced flows"},
    MetricRow<R>{"splices_ended_total", MetricType::counter, &R::splices_ended, "spliced flows ended"},
    MetricRow<R>{"splice_refused_options_total", MetricType::counter, &R::splice_refused_options,
                 "connections that stay proxied since one side alone has TCP timestamps"},
    MetricRow<R>{"splice_refused_mss_total", MetricType::counter, &R::splice_refused_mss,
                 "connections that stay proxied since one side may send larger segments than the other takes"},
    MetricRow<R>{"splice_refused_window_total", MetricType::counter, &R::splice_refused_window,
                 "times a connection was not spliced yet since a side offered less than the other had been promised"},
    MetricRow<R>{"splice_refused_full_total", MetricType::counter, &R::splice_refused_full,
                 "times a connection was not spliced since all records were in use"},
};

static_assert(kProxyMetrics.size() == sizeof(control::ProxyCounters) / sizeof(control::Counter),
              "every counter of proxied connections has a row");

using P = control::PortCounters;
inline constexpr std::array kPortMetrics{
    MetricRow<P>{"received_frames_total", MetricType::counter, &P::rx_frames, "frames received"},
    MetricRow<P>{"received_octets_total", MetricType::counter, &P::rx_octets, "octets received"},
    MetricRow<P>{"sent_frames_total", MetricType::counter, &P::tx_frames, "frames sent"},
    MetricRow<P>{"sent_octets_total", MetricType::counter, &P::tx_octets, "octets sent"},
    MetricRow<P>{"dropped_frames_total", MetricType::counter, &P::dropped, "frames that came in here and were dropped"},
    MetricRow<P>{"handed_off_frames_total", MetricType::counter, &P::handed_off,
                 "frames that came in here and were given to another worker"},
    MetricRow<P>{"probes_total", MetricType::counter, &P::probes, "frames of the attach self-test"},
};

using S = control::SlotCounters;
inline constexpr std::array kSlotMetrics{
    MetricRow<S>{"flows_active", MetricType::gauge, &S::active, "flows alive"},
    MetricRow<S>{"flows_total", MetricType::counter, &S::flows, "flows created"},
    MetricRow<S>{"received_packets_total", MetricType::counter, &S::rx_packets, "packets from downstream"},
    MetricRow<S>{"received_octets_total", MetricType::counter, &S::rx_octets, "octets from downstream"},
    MetricRow<S>{"sent_packets_total", MetricType::counter, &S::tx_packets, "packets to downstream"},
    MetricRow<S>{"sent_octets_total", MetricType::counter, &S::tx_octets, "octets to downstream"},
};

/// Position of a row by name; a compile error in constant evaluation when there is none.
template <typename Table>
[[nodiscard]] constexpr std::size_t row_of(const Table& table, std::string_view name) {
  for (std::size_t i = 0; i < table.size(); ++i)
    if (table[i].name == name) return i;
  require(false, "no such metric row");
  return table.size();
}
inline constexpr std::size_t kWorkerFrames = row_of(kWorkerMetrics, "frames_total");
inline constexpr std::size_t kWorkerBusyNs = row_of(kWorkerMetrics, "busy_seconds_total");
inline constexpr std::size_t kWorkerSleepNs = row_of(kWorkerMetrics, "sleep_seconds_total");
inline constexpr std::size_t kWorkerPolls = row_of(kWorkerMetrics, "polls_total");
inline constexpr std::size_t kWorkerSleeps = row_of(kWorkerMetrics, "sleeps_total");
inline constexpr std::size_t kWorkerEpoch = row_of(kWorkerMetrics, "snapshot_epoch");
inline constexpr std::size_t kWorkerFlowsActive = row_of(kWorkerMetrics, "flows_active");
inline constexpr std::size_t kWorkerFlowsCapacity = row_of(kWorkerMetrics, "flows_capacity");
inline constexpr std::size_t kProxyActive = row_of(kProxyMetrics, "connections_active");
inline constexpr std::size_t kProxyHalfOpen = row_of(kProxyMetrics, "half_open");
inline constexpr std::size_t kProxyTimeWait = row_of(kProxyMetrics, "time_wait");
inline constexpr std::size_t kProxyRefusedFull = row_of(kProxyMetrics, "refused_full_total");
inline constexpr std::size_t kProxyLent = row_of(kProxyMetrics, "lent_buffers");
inline constexpr std::size_t kProxyEntries = row_of(kProxyMetrics, "entries_in_use");
inline constexpr std::size_t kProxyBlocks = row_of(kProxyMetrics, "blocks_in_use");
inline constexpr std::size_t kProxyMemoryDropped = row_of(kProxyMetrics, "memory_dropped_total");
inline constexpr std::size_t kProxyWindowClamped = row_of(kProxyMetrics, "window_clamped_total");
inline constexpr std::size_t kProxyShed = row_of(kProxyMetrics, "shed_total");
inline constexpr std::size_t kSlotActive = row_of(kSlotMetrics, "flows_active");
inline constexpr std::size_t kSlotFlows = row_of(kSlotMetrics, "flows_total");

/// Metrics of the daemon itself, rendered by metrics.cpp.
struct DaemonMetricRow {
  std::string_view name;
  MetricType type;
  std::string_view meaning;
};
inline constexpr std::array kDaemonMetrics{
    DaemonMetricRow{"penstock_build_info", MetricType::gauge, "always 1; labels name version and build"},
    DaemonMetricRow{"penstock_up", MetricType::gauge, "1 when the verdict of status is ok, else 0"},
    DaemonMetricRow{"penstock_dataplane_up", MetricType::gauge, "1 while the dataplane is connected"},
    DaemonMetricRow{"penstock_dataplane_restarts_total", MetricType::counter, "times the dataplane was started again"},
    DaemonMetricRow{"penstock_config_generation", MetricType::gauge, "configurations accepted since the start"},
    DaemonMetricRow{"penstock_config_last_reload_success", MetricType::gauge, "1 when the last reload was accepted"},
    DaemonMetricRow{"penstock_config_last_reload_timestamp_seconds", MetricType::gauge, "Unix time of the last reload"},
    DaemonMetricRow{"penstock_snapshot_epoch", MetricType::gauge,
                    "epoch by state: compiled, acknowledged by the dataplane, active in every worker"},
    DaemonMetricRow{"penstock_decisions_total", MetricType::counter, "policy answers given, by decision"},
    DaemonMetricRow{"penstock_answers_lost_total", MetricType::counter, "answers that found the worker's ring full"},
    DaemonMetricRow{"penstock_port_steering", MetricType::gauge, "1 while the port's program redirects"},
    DaemonMetricRow{"penstock_steer_frames_total", MetricType::counter,
                    "frames seen by the steering program, by port and reason"},
    DaemonMetricRow{"penstock_drops_total", MetricType::counter, "frames dropped by the dataplane, by reason"},
    DaemonMetricRow{"penstock_proxy_connections_limit", MetricType::gauge,
                    "proxied connections that all workers together may hold"},
    DaemonMetricRow{"penstock_access_lines_total", MetricType::counter, "lines written to the access log"},
    DaemonMetricRow{"penstock_access_lines_lost_total", MetricType::counter,
                    "lines that the access log's file or pipe did not take"},
    DaemonMetricRow{"penstock_endpoint_healthy", MetricType::gauge,
                    "of endpoints with health checks: 1 healthy, 0 unhealthy; absent before the first result"},
    DaemonMetricRow{"penstock_endpoint_health_checks_total", MetricType::counter, "by result: good, bad"},
    DaemonMetricRow{"penstock_endpoint_health_changes_total", MetricType::counter, "changes of a check's state"},
    DaemonMetricRow{"penstock_worker_heartbeat_age_seconds", MetricType::gauge, "since the worker's last heartbeat"},
};

}  // namespace penstock::telemetry
