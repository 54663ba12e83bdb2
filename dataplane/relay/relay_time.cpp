// Time: the pairs' deadlines, memory pressure, and what other processes may read.
#include <algorithm>

#include "dataplane/relay/relay.h"

namespace penstock::relay {
namespace {

/// The first whole millisecond at or after `at`.
CoarseMs ceiling(Instant at) { return CoarseMs::of(at + std::chrono::nanoseconds{999'999}); }

CoarseMs earlier_of(CoarseMs a, CoarseMs b) { return a.since(b) < 0 ? a : b; }

// CoarseMs wraps after 49 days; a deadline further away than this is looked at again.
constexpr std::uint32_t kHorizonMs = 24u * 3600 * 1000;

}  // namespace

void Relay::arm(PairIndex index, const Pair& pair, bool blocked) {
  CoarseMs deadline{now_ms_.ms + kHorizonMs};
  const auto idle_ms = static_cast<std::uint32_t>(settings_.idle / std::chrono::milliseconds{1});
  if (!pair.served()) deadline = earlier_of(deadline, CoarseMs{pair.last_moved.ms + idle_ms});
  if (pair.app_timed) deadline = earlier_of(deadline, pair.app_deadline);
  // An acknowledgement will say when there is room, unless nothing is under way.
  blocked = blocked || (pair.blocked && engine_.outstanding(pair.leg(pair.served_side())) == 0);
  if (pair.dialled && pair.leg(Side::upstream).state == tcp::State::syn_sent)
    deadline = earlier_of(deadline, pair.connect_until);
  const Instant legs = std::min(tcp::Engine::deadline(pair.legs[0]), tcp::Engine::deadline(pair.legs[1]));
  if (legs < now_ + std::chrono::milliseconds{kHorizonMs}) deadline = earlier_of(deadline, ceiling(legs));
  if (blocked) deadline = earlier_of(deadline, CoarseMs{now_ms_.ms + kBlockedMs});
  // Never the current millisecond again: it may be the one that is being worked off.
  if (deadline.since(now_ms_) <= 0) deadline = CoarseMs{now_ms_.ms + 1};
  wheel_.arm(index, deadline);
}

void Relay::timer_fired(PairIndex index) {
  Pair& pair = pairs_[index];
  for (const Side side : {Side::downstream, Side::upstream}) {
    tcp::Endpoint& leg = pair.leg(side);
    if (tcp::Engine::deadline(leg) > now_) continue;
    const tcp::Events events = engine_.expire(leg, now_);
    after(index, side, events);
  }
  const bool connecting = pair.dialled && pair.leg(Side::upstream).state == tcp::State::syn_sent;
  if (connecting && now_ms_.since(pair.connect_until) >= 0) {
    tcp::Events timed_out;
    timed_out.add(tcp::Events::kTimedOut);
    broken(pair, Side::upstream, timed_out);
    static_cast<void>(engine_.abort(pair.leg(Side::upstream)));
  }
  if (pair.served()) return served_expired(index);
  const auto idle_ms = static_cast<std::int32_t>(settings_.idle / std::chrono::milliseconds{1});
  if (now_ms_.since(pair.last_moved) >= idle_ms) {
    if (!pair.counted_end) counters_.idle_closed.add();
    pair.counted_end = true;
    reset_both(pair);
  }
  touch(index);
}

bool Relay::housekeeping() {
  const std::uint32_t fired = wheel_.advance(now_ms_, kTimersPerRound, [this](PairIndex i) { timer_fired(i); });
  for (std::uint32_t n = 0; n < kTimersPerRound && time_waits_.size() != 0; ++n) {
    const TimeWaits::Slot oldest = time_waits_.oldest();
    if (!time_waits_[oldest].expired(now_)) break;
    drop_time_wait(oldest);
  }
  pressure_ = pressure();
  if (pressure_ != Pressure::none || pools_.lent_in_use() * 4 > config_.lent_max * 3) relieve();
  const bool more_records = publish_records();
  const bool more_listeners = recheck_listeners();
  return fired == kTimersPerRound || more_records || more_listeners;
}

/// Connections of a listener that is gone, its drain over, are reset: nothing steers their segments here any more.
bool Relay::recheck_listeners() {
  const std::uint32_t end = std::min(recheck_at_ + kRechecksPerRound, high_water_);
  for (; recheck_at_ < end; ++recheck_at_) {
    Pair& pair = pairs_[recheck_at_];
    if (!pair.in_use || pair.serving == Serving::upstream || host_.still_listens(pair.flow)) continue;
    if (!pair.counted_end) counters_.listener_gone.add();
    pair.counted_end = true;
    reset_any(recheck_at_);
    touch(recheck_at_);
  }
  return recheck_at_ < high_water_;
}

Relay::Pressure Relay::pressure() const {
  const auto percent = [](std::uint64_t used, std::uint64_t all) { return all == 0 ? 0 : used * 100 / all; };
  const std::uint64_t used = std::max(percent(pools_.entries.in_use(), pools_.entries.capacity()),
                                      percent(pools_.blocks.in_use(), pools_.blocks.capacity()));
  if (used >= kShedPercent) return Pressure::shed;
  if (used >= kRefusePercent) return Pressure::refuse;
  return used >= kClampPercent ? Pressure::clamp : Pressure::none;
}

/// A few pairs per round, in turn: device buffers are copied out where many are held, and what is left of memory goes
/// to those that move.
void Relay::relieve() {
  constexpr std::uint32_t kPairsPerRound = 16, kOctetsPerRound = 64 * 1024;
  std::uint32_t octets = kOctetsPerRound;
  for (std::uint32_t n = 0; n < std::min(kPairsPerRound, high_water_); ++n) {
    shed_at_ = shed_at_ + 1 < high_water_ ? shed_at_ + 1 : 0;
    Pair& pair = pairs_[shed_at_];
    if (!pair.in_use) continue;
    if (pressure_ != Pressure::none) {
      if (!pair.served()) settle_windows(pair);
      counters_.window_clamped.add();
    }
    for (const Side side : {Side::downstream, Side::upstream}) {
      const std::uint32_t moved = octets == 0 ? 0 : engine_.unlend(pair.leg(side), octets);
      octets -= std::min(octets, moved);
      if (moved != 0) counters_.copied_out.add();
    }
  }
  return_lent();
  if (pressure_ == Pressure::shed) shed_one();
}

/// The holder of most octets among those that were silent longest, of a sample.
void Relay::shed_one() {
  constexpr std::uint32_t kSample = 64;
  PairIndex worst = kNoPair;
  std::uint64_t worst_weight = 0;
  for (std::uint32_t n = 0; n < std::min(kSample, high_water_); ++n) {
    const PairIndex i = (shed_at_ + n) % high_water_;
    const Pair& pair = pairs_[i];
    if (!pair.in_use) continue;
    const std::uint64_t held =
        engine_.outstanding(pair.legs[0]) + std::uint64_t{engine_.outstanding(pair.legs[1])} + pair.inbox_octets;
    const std::uint64_t weight = held * (1 + static_cast<std::uint32_t>(now_ms_.since(pair.last_moved)));
    if (weight <= worst_weight) continue;
    worst_weight = weight;
    worst = i;
  }
  if (worst == kNoPair) return;
  counters_.shed.add();
  pairs_[worst].counted_end = true;
  reset_any(worst);
  touch(worst);
}

/// A sweep over all records begins at most every kRecordPeriodMs and only after something moved, so an idle worker
/// sleeps. True while one is under way.
bool Relay::publish_records() {
  if (record_at_ >= high_water_) {
    if (!records_wanted_ || now_ms_.since(records_since_) < static_cast<std::int32_t>(kRecordPeriodMs)) return false;
    records_since_ = now_ms_;
    records_wanted_ = false;
    record_at_ = 0;
    publish_gauges();
  }
  const std::uint32_t end = std::min(record_at_ + kRecordsPerRound, high_water_);
  for (; record_at_ < end; ++record_at_)
    if (pairs_[record_at_].in_use) write_record(record_at_);
  return record_at_ < high_water_;
}

void Relay::publish_gauges() {
  const tcp::Counters& tcp = engine_.counters();
  counters_.connections_active.set(size_);
  counters_.half_open.set(half_open_);
  counters_.time_wait.set(time_waits_.size());
  counters_.retransmitted.set(tcp.retransmitted);
  counters_.retransmit_timeouts.set(tcp.timeouts);
  counters_.out_of_order.set(tcp.out_of_order);
  counters_.duplicates.set(tcp.duplicates);
  counters_.challenge_acks.set(tcp.challenge_acks);
  counters_.paws_rejected.set(tcp.paws_rejected);
  counters_.lent.set(pools_.lent_in_use());
  counters_.entries_in_use.set(pools_.entries.in_use());
  counters_.blocks_in_use.set(pools_.blocks.in_use());
}

Instant Relay::next_deadline() const {
  if (!dirty_.empty()) return now_;
  Instant earliest = Instant::max();
  if (const std::uint32_t ms = wheel_.until_next(now_ms_); ms != DeadlineWheel::kIdle)
    earliest = now_ + std::chrono::milliseconds{ms};
  if (time_waits_.size() != 0) earliest = std::min(earliest, now_ + std::chrono::seconds{1});
  if (records_wanted_ || record_at_ < high_water_) {
    const std::int32_t left = static_cast<std::int32_t>(kRecordPeriodMs) - now_ms_.since(records_since_);
    earliest = std::min(earliest, now_ + std::chrono::milliseconds{std::max(left, 0) + 1});
  }
  return earliest;
}

}  // namespace penstock::relay
