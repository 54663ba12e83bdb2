// What other processes may read about a pair: a copy, made now and then.
#include <algorithm>
#include <atomic>

#include "dataplane/relay/relay.h"

namespace penstock::relay {
namespace {

control::LegRecord leg_record(const tcp::ConnectionInfo& info) {
  control::LegRecord out{};
  out.state = static_cast<control::LegState>(info.state);
  out.flags = static_cast<std::uint8_t>(
      (info.sack ? control::kLegSack : 0) | (info.timestamps ? control::kLegTimestamps : 0) |
      (info.window_scaling ? control::kLegScaling : 0) | (info.phase != tcp::Phase::open ? control::kLegRecovery : 0));
  out.mss = info.mss;
  out.srtt_us = info.srtt_us;
  out.rttvar_us = info.rttvar_us;
  out.min_rtt_us = info.min_rtt_us;
  out.rto_ms = info.rto_ms;
  out.cwnd_octets = info.cwnd_octets;
  out.ssthresh_octets = info.ssthresh_octets;
  out.flight_octets = info.flight_octets;
  out.queued_octets = info.outstanding_octets - std::min(info.outstanding_octets, info.flight_octets);
  out.send_window_octets = info.send_window_octets;
  out.receive_window_octets = info.receive_window_octets;
  out.retransmitted_segments = info.retransmitted_segments;
  out.octets_received = info.octets_received;
  out.octets_sent = info.octets_sent;
  return out;
}

}  // namespace

static_assert(static_cast<int>(control::LegState::count) == tcp::kStateCount);
static_assert(static_cast<int>(control::LegState::last_ack) == static_cast<int>(tcp::State::last_ack));

void Relay::write_record(PairIndex index) {
  if (index >= records_.size()) return;
  const Pair& pair = pairs_[index];
  control::ConnectionRecord& record = records_[index];
  std::atomic_ref<std::uint32_t> generation{record.generation};
  const std::uint32_t busy = generation.load(std::memory_order_relaxed) | 1u;
  generation.store(busy, std::memory_order_relaxed);
  std::atomic_thread_fence(std::memory_order_release);
  if (record_header_->high_water < high_water_)
    std::atomic_ref<std::uint32_t>{record_header_->high_water}.store(high_water_, std::memory_order_release);
  if (!pair.in_use) return;
  const control::FlowDirection& down = table_.forward(pair.flow);
  const control::FlowDirection& up = table_.reverse(pair.flow);
  const control::FlowCold& cold = table_.cold(pair.flow);
  record.created_ms = cold.created_ms;
  record.updated_ms = now_ms_.ms;
  record.listener_id = cold.listener_id;
  record.endpoint_id = cold.endpoint_id;
  record.client = control::source_of(down);
  record.service = control::destination_of(down);
  record.node = control::destination_of(up);
  record.endpoint = control::source_of(up);
  record.client_port = down.src_port;
  record.service_port = down.dst_port;
  record.node_port = up.dst_port;
  record.endpoint_port = up.src_port;
  record.downstream = leg_record(engine_.info(pair.leg(Side::downstream)));
  record.upstream = leg_record(engine_.info(pair.leg(Side::upstream)));
  generation.store(busy + 1, std::memory_order_release);
}

}  // namespace penstock::relay
