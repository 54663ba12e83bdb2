#include "dataplane/tcp/recovery.h"

namespace penstock::tcp {
namespace {

constexpr std::uint16_t kDupThresh = 3;

/// Sequence space from one entry to the next that follows it, or to the end of what was sent.
std::uint32_t span_between(const Pools& pools, const SendQueue& queue, Index from, Index to) {
  const SeqNum end = to == queue.first_unsent() ? queue.nxt() : pools.entries[to].seq;
  return end.since(pools.entries[from].seq).octets;
}

/// `delivered` octets were not known to have arrived before: a stretch acknowledgement lets out no more than those.
Growth growth_of(const SendQueue& queue, const AckFacts& facts, std::uint32_t delivered, std::uint32_t mss,
                 bool repairing) {
  return {.octets = facts.growth_segments > 1 ? std::min(delivered, facts.acked_octets) : facts.acked_octets,
          .mss = mss,
          .flight = facts.flight_before,
          .was_limited = repairing || facts.cwnd_limited,
          .growth_segments = facts.growth_segments,
          .now_ms = facts.now_ms,
          .srtt_us = facts.srtt_us,
          .rtt_us = facts.rtt_us,
          .una = queue.una(),
          .nxt = queue.nxt()};
}

}  // namespace

std::uint32_t Recovery::count_without_sack(const SendQueue& queue, const AckFacts& facts, std::uint32_t mss) {
  std::uint32_t delivered = 0;
  const std::uint32_t before = reno_sacked_;
  if (facts.acked_octets > 0) {
    // What was acknowledged beyond the retransmitted segment had been counted as arrived.
    const std::uint32_t beyond = facts.acked_octets > mss ? facts.acked_octets - mss : 0;
    reno_sacked_ = phase_ == Phase::recovery ? reno_sacked_ - std::min(reno_sacked_, beyond) : 0;
    duplicates_ = 0;
    const std::uint32_t counted_before = before - reno_sacked_;
    delivered = facts.acked_octets - std::min(facts.acked_octets, counted_before);
  } else if (facts.duplicate && phase_ != Phase::loss) {
    if (duplicates_ < 0xffff) ++duplicates_;
    reno_sacked_ += mss;
    delivered = mss;
  }
  reno_sacked_ = std::min(reno_sacked_, queue.flight());
  return delivered;
}

void Recovery::mark_lost_by_sack(Pools& pools, SendQueue& queue, std::uint32_t mss) {
  if (queue.sacked() == 0) return;
  // Both walks end at the last sacked entry and take a step per hole and per run.
  std::uint32_t runs_above = 0, octets_above = 0;
  for (Index i = queue.head(); octets_above < queue.sacked();) {
    const Index next = queue.past_run(pools, i);
    if (pools.entries[i].is(Entry::kSacked)) {
      ++runs_above;
      octets_above += span_between(pools, queue, i, next);
    }
    i = next;
  }
  for (Index i = queue.head(); octets_above > 0;) {
    const Index next = queue.past_run(pools, i);
    if (pools.entries[i].is(Entry::kSacked)) {
      --runs_above;
      octets_above -= span_between(pools, queue, i, next);
    } else {
      // RFC 6675 s4 IsLost(); further on there is less above.
      if (octets_above <= (kDupThresh - 1u) * mss && runs_above < kDupThresh) return;
      queue.mark_lost(pools, i);
    }
    i = next;
  }
}

bool Recovery::should_enter(const SendQueue& queue, const AckFacts& facts) const {
  if (facts.sack) return queue.unrepaired() > 0;
  if (duplicates_ < kDupThresh) return false;
  return !recover_valid_ || recover_.precedes(queue.una() - SeqSpan{1});
}

bool Recovery::acknowledged(Pools& pools, SendQueue& queue, Congestion& congestion, const AckFacts& facts,
                            std::uint32_t mss) {
  const bool advanced = facts.acked_octets > 0;
  std::uint32_t delivered = facts.delivered_octets;
  if (!facts.sack) delivered = count_without_sack(queue, facts, mss);
  const bool leaving = phase_ != Phase::open && recover_.at_most(queue.una());
  const bool after_timeout = leaving && phase_ == Phase::loss;  // slow start counts this acknowledgement, too
  if (leaving) {
    if (phase_ == Phase::recovery) congestion.recovered();
    phase_ = Phase::open;
    reno_sacked_ = 0;
    duplicates_ = 0;
    force_ = false;
  } else if (phase_ == Phase::recovery && !facts.sack && advanced && queue.head() != queue.first_unsent()) {
    // Partial acknowledgement: the next hole (RFC 6582 s3.2 step 5).
    queue.forget_retransmission(pools, queue.head());
    queue.mark_lost(pools, queue.head());
    force_ = true;
  }
  if (facts.sack && !facts.rack) mark_lost_by_sack(pools, queue, mss);

  if (phase_ == Phase::loss) {
    if (advanced) congestion.acked(growth_of(queue, facts, facts.acked_octets, mss, true));
    return false;
  }
  if (phase_ == Phase::recovery) {
    const bool new_loss = facts.loss_marks_before != queue.loss_marks();
    // Nothing delivered: the window stays, so what was just found lost makes room for its repetition.
    if (delivered > 0) congestion.repair(delivered, pipe(queue), mss, advanced && !new_loss);
    return false;
  }
  if (queue.flight() > 0 && should_enter(queue, facts)) {
    phase_ = Phase::recovery;
    undo_.begin(queue.una());
    rescued_ = false;
    recover_ = queue.nxt();
    congestion.lost(std::min(queue.flight(), congestion.cwnd()), mss);
    if (!facts.sack) queue.mark_lost(pools, queue.head());
    congestion.repair(delivered, pipe(queue), mss, false);
    force_ = true;
    return true;
  }
  if (advanced && (!leaving || after_timeout)) congestion.acked(growth_of(queue, facts, delivered, mss, after_timeout));
  return false;
}

bool Recovery::duplicate_reported(const SendQueue& queue, Congestion& congestion, SackBlock range, std::uint32_t mss) {
  if (!undo_.duplicate(range, mss)) return false;
  if (phase_ != Phase::open && queue.lost() > 0) return false;  // not all of it: the rest has not been sent again
  phase_ = Phase::open;
  force_ = false;
  congestion.undo(pipe(queue), mss);
  return true;
}

void Recovery::tail_repaired(Congestion& congestion, std::uint32_t flight, std::uint32_t mss) {
  if (phase_ != Phase::open) return;  // that loss has its reduction already
  undo_.forget();
  congestion.lost_and_repaired(std::min(flight, congestion.cwnd()), mss);
}

void Recovery::timed_out(Pools& pools, SendQueue& queue, Congestion& congestion, std::uint32_t mss, bool first) {
  if (queue.head() != queue.first_unsent() && pools.entries[queue.head()].is(Entry::kSacked))
    queue.clear_sacked(pools);  // the peer gave up what it had reported (RFC 2018 s8)
  if (first) undo_.begin(queue.una());
  congestion.timed_out(queue.flight(), mss, first);
  queue.mark_all_lost(pools);
  phase_ = Phase::loss;
  recover_ = queue.nxt();
  recover_valid_ = true;
  reno_sacked_ = 0;
  duplicates_ = 0;
  force_ = true;
}

}  // namespace penstock::tcp
