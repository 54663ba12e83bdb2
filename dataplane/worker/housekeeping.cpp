// housekeeping: what a worker does between bursts - views, timers, counters, gauges, heartbeat.
#include <algorithm>

#include "dataplane/worker/owner.h"
#include "dataplane/worker/worker_state.h"

namespace penstock::worker {

void Worker::State::adopt_view() {
  const WorkerView* const published = views.current.load(std::memory_order_acquire);
  if (published == nullptr || published == view) [[likely]]
    return;
  view = published;
  const control::SnapshotView& snapshot = view->snapshot;
  for (std::size_t s = 0; s < timeout_ms.size(); ++s)
    timeout_ms[s] = l4::idle_timeout_ms(static_cast<FlowState>(s), snapshot.node());
  node_v4_count = node_v6_count = 0;
  for (const IpAddress& address : snapshot.node_addresses()) {
    if (address.is_v4() && node_v4_count < node_v4.size()) node_v4[node_v4_count++] = address;
    if (!address.is_v4() && node_v6_count < node_v6.size()) node_v6[node_v6_count++] = address;
  }
  for (std::size_t p = 0; p < transmitter.size(); ++p) {
    const std::uint16_t queues = std::max<std::uint16_t>(1, view->ports[p].queues);
    transmitter[p] = config.index < queues ? config.index : static_cast<std::uint16_t>(config.index % queues);
  }
  if (snapshot.content_hash() != content_hash) {
    if (snapshot.epoch() != 0) relay.configure(relay::settings_of(snapshot.node()));
    content_hash = snapshot.content_hash();
    decisions.clear();  // other rules, other answers
    const auto listeners = snapshot.listeners();
    listeners_forward = std::any_of(listeners.begin(), listeners.end(),
                                    [](const auto& l) { return (l.flags & control::kListenerForward) != 0; });
  }
  const HttpView* const http_view = view->http.get();
  if (http_view != adopted_http) {
    adopted_http = http_view;
    if (http_view == nullptr)
      http.configure(nullptr, nullptr);
    else
      http.configure(&http_view->config, http_view->scratch[config.index].get());
  }
  adopt_forwards();
  counters.adopted_epoch.set(snapshot.epoch());
  views.adopted[config.index].generation.store(view->generation, std::memory_order_release);
}

bool Worker::State::housekeeping() {
  if (!answers.empty()) take_answers();
  if (parked.next_deadline() <= now) expire_parked();
  const bool more_timers =
      wheel.advance(now_ms, kTimersPerRound, [this](FlowIndex f) { timer_fired(f); }) == kTimersPerRound;
  const bool more_forwards = sweep_forwards();  // first: it frees pairs for flows that sink
  const bool more_folds = sweep();
  const bool more_relay = relay.housekeeping();
  const bool more_http = http.housekeeping();
  counters.flows_active.set(table.size());
  counters.parked.set(parked.size());
  beat();
  return more_timers || more_folds || more_forwards || more_relay || more_http;
}

CoarseMs Worker::State::deadline_of(FlowIndex flow) {
  const FlowDirection& f = table.forward(flow);
  if ((f.flags & control::kFlowForwarded) != 0) [[unlikely]]
    fold_pair(forwards.pair_of(flow));  // what keeps it alive is seen by the program alone
  const CoarseMs forward{f.last_seen_ms};
  const CoarseMs reverse{table.reverse(flow).last_seen_ms};
  const CoarseMs last = reverse.since(forward) > 0 ? reverse : forward;
  if (relay.spliced(flow)) [[unlikely]]
    return {last.ms + splice_timeout_ms(flow)};
  return {last.ms + timeout_ms[static_cast<std::size_t>(f.state)]};
}

void Worker::State::timer_fired(FlowIndex flow) {
  // The relay ends its connections by itself.
  if (relay.has(flow) && !relay.spliced(flow)) return wheel.arm(flow, {now_ms.ms + kProxiedLookMs});
  // A view may come before the first snapshot: its timeouts are nobody's, and restored flows wait for real ones.
  const bool knows_timeouts = view->snapshot.epoch() != 0;
  const CoarseMs deadline = knows_timeouts ? deadline_of(flow) : CoarseMs{now_ms.ms + 1000};
  if (deadline.since(now_ms) > 0) return wheel.arm(flow, deadline);
  const FlowState state = table.forward(flow).state;
  const bool over = state == FlowState::closing || state == FlowState::reset;
  close_flow(flow, over ? counters.flows_closed : counters.flows_expired);
}

std::span<const std::uint32_t> Worker::State::slots_of(FlowIndex flow) {
  const std::uint8_t flags = table.forward(flow).flags;
  const std::span<const std::uint32_t> both{&table.cold(flow).listener_slot, 2};
  static_assert(offsetof(FlowCold, endpoint_slot) == offsetof(FlowCold, listener_slot) + sizeof(std::uint32_t));
  if ((flags & control::kFlowDownstreamLeg) != 0) return both.first(1);
  return (flags & control::kFlowUpstreamLeg) != 0 ? both.last(1) : both;
}

void Worker::State::start_gauges(FlowIndex flow) {
  for (const std::uint32_t slot : slots_of(flow)) counters.slots[slot].active.add();
}

void Worker::State::stop_gauges(FlowIndex flow) {
  for (const std::uint32_t slot : slots_of(flow)) counters.slots[slot].active.sub();
}

void Worker::State::close_flow(FlowIndex flow, control::Counter& kind) {
  lift(flow);
  fold(flow);
  relay.forget(flow);
  if ((table.forward(flow).flags & control::kFlowOver) == 0) stop_gauges(flow);
  kind.add();
  table.erase(flow);
}

void Worker::State::fold(FlowIndex flow) {
  FlowDirection& f = table.forward(flow);
  FlowDirection& r = table.reverse(flow);
  FlowCold& cold = table.cold(flow);
  for (const std::uint32_t slot : slots_of(flow)) {
    control::SlotCounters& sums = counters.slots[slot];
    sums.rx_packets.add(f.packets);
    sums.rx_octets.add(f.octets);
    sums.tx_packets.add(r.packets);
    sums.tx_octets.add(r.octets);
  }
  cold.packets[0] += f.packets;
  cold.octets[0] += f.octets;
  cold.packets[1] += r.packets;
  cold.octets[1] += r.octets;
  f.packets = f.octets = r.packets = r.octets = 0;
}

/// Milliseconds until a sweep may follow one that began at `last`. Without a sign: when nothing was to be swept for
/// more than half the range of CoarseMs, it is due, and not far in the future.
std::uint32_t Worker::State::until_sweep(CoarseMs last) const {
  const std::uint32_t age = now_ms.ms - last.ms;
  return age < kFoldPeriodMs ? kFoldPeriodMs - age : 0;
}

/// Folds the counters of some flows; those that are hot sink. A sweep over all records begins at most every
/// kFoldPeriodMs and only when packets were counted since the last one, so an idle worker sleeps. True while a sweep is
/// under way.
bool Worker::State::sweep() {
  if (sweep_at >= table.high_water()) {
    if (!sweep_wanted || until_sweep(sweep_started) != 0) return false;
    sweep_started = now_ms;
    sweep_wanted = false;
    sweep_at = 0;
  }
  const std::uint32_t end = std::min(sweep_at + kFoldsPerRound, table.high_water());
  for (FlowIndex f = sweep_at; f < end; ++f) {
    const std::uint64_t packets = std::uint64_t{table.forward(f).packets} + table.reverse(f).packets;
    if (packets == 0 || !table.used(f)) continue;
    fold(f);
    if (packets >= control::kForwardPackets && listeners_forward && forwards.on()) sink(f);
  }
  sweep_at = end;
  return sweep_at < table.high_water();
}

Instant Worker::State::next_deadline() const {
  Instant earliest = std::min(parked.next_deadline(), relay.next_deadline());
  if (table.size() != 0) earliest = std::min(earliest, now + std::chrono::milliseconds{wheel.until_next(now_ms)});
  const auto sweep_in = [this](CoarseMs last) { return now + std::chrono::milliseconds{until_sweep(last) + 1}; };
  if (sweep_wanted) earliest = std::min(earliest, sweep_in(sweep_started));
  if (forwards.in_use() != 0) earliest = std::min(earliest, sweep_in(pairs_started));
  return earliest;
}

void Worker::State::beat() {
  if (now - last_beat < config.beat_interval) [[likely]]
    return;
  last_beat = now;
  counters.beat_ns.set(to_nanoseconds(now));
  if (std::atomic<std::uint64_t>* const slot = heartbeat.load(std::memory_order_acquire))
    slot->store(to_nanoseconds(now), std::memory_order_release);
}

bool Worker::State::restore_one(const flow::FlowRecord& record, RestoreReport& report) {
  if (!flow::plausible(record)) return ++report.implausible, false;
  const FlowDirection& f = record.forward;
  const FlowDirection& r = record.reverse;
  if (config.worker_count > 1) {
    const bool fullnat = (f.flags & control::kFlowDnat) == 0;
    if (owner_of_client(f.src, f.src_port, f.proto, config.worker_count) != config.index ||
        (fullnat && r.dst_port.host() % config.worker_count != config.index))
      return ++report.not_mine, false;
  }
  const FlowKey forward_key = flow::key_of(f);
  const FlowKey reverse_key = flow::key_of(r);
  if (table.full() || table.find(forward_key) != flow::kNoDirection || table.find(reverse_key) != flow::kNoDirection)
    return ++report.implausible, false;
  const FlowIndex flow = table.begin(forward_key, reverse_key);
  if (flow == flow::kNoFlow) return ++report.implausible, false;
  table.forward(flow) = f;
  table.forward(flow).next_hop = control::kNoNextHop;
  table.reverse(flow) = r;
  if ((f.flags & control::kFlowProxy) == 0) {
    table.reverse(flow).state = f.state;
    control::store_translation(table.forward(flow), r);
    control::store_translation(table.reverse(flow), f);
  }
  // Its connection died with the process that held it: both ends learn by a reset when they next say something.
  if ((f.flags & control::kFlowProxy) != 0) {
    table.forward(flow).state = FlowState::closing;
    table.reverse(flow).state = FlowState::free;  // spliced no more
  }
  // Nor does it know the slots: whoever was in tier X is ours again, and sinks anew.
  table.forward(flow).flags = static_cast<std::uint8_t>(f.flags & ~(control::kFlowOver | control::kFlowForwarded));
  table.reverse(flow).flags = static_cast<std::uint8_t>(r.flags & ~control::kFlowForwarded);
  FlowCold& cold = table.cold(flow);
  const std::uint32_t generation = cold.generation;
  cold = record.cold;
  cold.generation = generation;
  // How long it may still idle is not known before the first snapshot: every flow gets a full timeout from now.
  table.forward(flow).last_seen_ms = table.reverse(flow).last_seen_ms = now_ms.ms;
  table.commit(flow);
  wheel.arm(flow, {now_ms.ms + flow::TimerWheel::kSlotMs});
  start_gauges(flow);
  counters.flows_restored.add();
  return ++report.restored, true;
}

}  // namespace penstock::worker
