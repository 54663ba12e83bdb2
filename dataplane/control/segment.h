// segment.h - the shared segment: counters and rings of one dataplane process.
//
// Model     the dataplane creates it as a memfd and passes it over the control socket; the daemon maps it
//           read-write (rings), the CLI read-only (counters). It stays readable while the daemon is down.
//           Every counter has one writer, its worker; readers sum over workers and may see one burst less.
// Shape     SegmentHeader, then `worker_count` WorkerBlocks at `worker_stride`. Offsets, no pointers.
// Units     counts, octets, nanoseconds; gauges are named so.
#pragma once
#include <array>
#include <cstdint>
#include <span>

#include "dataplane/control/counter.h"
#include "dataplane/control/http_question.h"
#include "dataplane/control/http_stats.h"
#include "dataplane/control/limits.h"
#include "dataplane/control/question.h"
#include "dataplane/core/drop_reason.h"
#include "dataplane/core/result.h"
#include "dataplane/core/spsc_ring.h"

namespace penstock::control {

inline constexpr std::uint64_t kSegmentMagic = 0x31676573'736e6570;  // "pensseg1"
inline constexpr std::uint32_t kSegmentLayout = 9;

struct PortCounters {
  Counter rx_frames, rx_octets, tx_frames, tx_octets, dropped, handed_off, probes, zero;
};

/// Counters of one stat slot: a listener or an endpoint.
struct SlotCounters {
  Counter active;      ///< gauge: flows alive
  Counter flows;       ///< flows ever
  Counter rx_packets;  ///< from downstream
  Counter rx_octets;
  Counter tx_packets;  ///< to downstream
  Counter tx_octets;
};

/// Connections that end here (ListenerMode::proxy). Each has two legs: downstream to the client, upstream to the
/// endpoint.
struct ProxyCounters {
  Counter connections_active;  ///< gauge
  Counter half_open;           ///< gauge: downstream handshakes under way
  Counter time_wait;           ///< gauge: ended connections that are remembered
  Counter opened;              ///< downstream SYNs that got a connection
  Counter established;         ///< both legs
  Counter closed;              ///< orderly, by FINs
  Counter reset_by_downstream, reset_by_upstream;
  Counter timed_out;       ///< retransmissions or keepalive probes without an answer
  Counter idle_closed;     ///< by NodeRecord::proxy_idle_ms
  Counter connect_failed;  ///< the endpoint refused, or not within NodeRecord::proxy_connect_ms
  Counter refused_full;    ///< new connections while NodeRecord::proxy_connections_max were there
  Counter cookies_sent, cookies_accepted, cookies_rejected;
  Counter time_wait_evicted;  ///< early, since others needed the room
  Counter time_wait_reused;   ///< by a new SYN of the same addresses and ports
  Counter segments_in, segments_out;
  Counter retransmitted, retransmit_timeouts;
  Counter octets_up;    ///< payload, client to endpoint
  Counter octets_down;  ///< payload, endpoint to client
  Counter out_of_order, duplicates;
  Counter challenge_acks;  ///< RFC 5961
  Counter paws_rejected;   ///< RFC 7323
  Counter lent;            ///< gauge: device buffers held by send queues
  Counter copied_out;      ///< payload moved from device buffers to our memory, to give the device its buffers back
  Counter memory_dropped;  ///< segments dropped since memory was short
  Counter window_clamped;  ///< windows offered smaller than the buffer allows, since memory was short
  Counter shed;            ///< connections reset to get memory back
  Counter listener_gone;   ///< connections reset since their listener was removed and its drain is over
  Counter entries_in_use;  ///< gauge: descriptors of queued payload
  Counter blocks_in_use;   ///< gauge: blocks of payload memory
  Counter in_place_sent;   ///< segments that left in the buffer they came in
  Counter copied_sent;     ///< segments whose payload was copied into the frame
  Counter splices_active;  ///< gauge: spliced flows
  Counter splices_begun, splices_ended;
  // Pairs at rest that stayed proxied; why (relay::SpliceRefusal):
  Counter splice_refused_options;  ///< timestamps on one leg alone
  Counter splice_refused_mss;      ///< a peer may send larger segments than the other takes
  Counter splice_refused_window;   ///< more was promised to a peer than the other offers, at that moment
  Counter splice_refused_full;     ///< all records were in use
};

struct alignas(64) WorkerCounters {
  Counter adopted_epoch;  ///< gauge: snapshot in use
  Counter beat_ns;        ///< gauge: last heartbeat
  Counter polls, empty_polls, bursts, frames;
  Counter busy_ns;  ///< time spent on bursts that carried frames, device kicks included
  Counter sleeps, sleep_ns;
  Counter flows_active;    ///< gauge
  Counter flows_capacity;  ///< gauge
  Counter flows_created, flows_expired, flows_closed, flows_restored;
  Counter parked;  ///< gauge
  Counter questions, answers, answers_late, decisions_cached, decisions_hit;
  Counter icmp_translated, icmp_consumed, echo_replies, neighbor_replies, resets_sent, too_big_sent;
  Counter handoff_in, handoff_out;
  Counter checksum_completed;  ///< partial checksums that were completed
  // Tier X: flows that the XDP program forwards by itself.
  Counter forwards_active;  ///< gauge
  Counter forwards_begun, forwards_ended;
  Counter forward_full;    ///< hot flows that found no pair of slots free, once per look
  Counter forward_failed;  ///< entries that the kernel did not take
  ProxyCounters proxy;
  std::array<Counter, kDropReasonMax> drops;
  std::array<PortCounters, kPortMax> ports;
  std::array<SlotCounters, kStatSlotMax> slots;
  HttpCounters http;
  std::array<HttpEndpointCounters, kStatSlotMax> http_endpoints;
  std::array<HttpSlotCounters, kHttpSlotMax> http_slots;  ///< ClusterPolicyRecord, HttpListenerRecord, route_slots
};

struct alignas(64) WorkerBlock {
  WorkerCounters counters;
  RingControl question_control;
  RingControl answer_control;
  RingControl access_control;
  RingControl http_question_control;
  std::array<Question, kQuestionRingSlots> questions;
  std::array<Answer, kAnswerRingSlots> answers;
  std::array<HttpQuestion, kHttpQuestionRingSlots> http_questions;  ///< as questions, with the same eventfd
  std::array<AccessRecord, kAccessRingSlots> access;  ///< read by the daemon now and then; nobody is woken
};

struct alignas(64) SegmentHeader {
  std::uint64_t magic;
  std::uint32_t layout;
  std::uint32_t worker_count;
  std::uint64_t worker_offset;
  std::uint64_t worker_stride;
  std::uint64_t boot_epoch;  ///< CLOCK_REALTIME nanoseconds at which the process started
};

/// Octets of a segment for this many workers.
[[nodiscard]] std::size_t segment_octets(std::size_t worker_count);
/// Writes the header into zeroed memory of segment_octets().
void format_segment(ByteSpan memory, std::size_t worker_count, std::uint64_t boot_epoch);

/// A checked look into a mapped segment. Borrows the memory.
class SegmentView {
 public:
  SegmentView() = default;
  [[nodiscard]] static Result<SegmentView> open(std::span<std::byte> memory);
  [[nodiscard]] std::size_t worker_count() const { return worker_count_; }
  [[nodiscard]] std::uint64_t boot_epoch() const;
  [[nodiscard]] const WorkerCounters& counters(std::size_t worker) const { return block(worker).counters; }
  [[nodiscard]] WorkerBlock& block(std::size_t worker) const;

 private:
  std::byte* memory_{};
  std::size_t worker_count_{};
};

}  // namespace penstock::control
