#include "tests/support/impair/impairment.h"

#include <algorithm>

namespace penstock::impair {

bool Impairment::loses() {
  if (burst_left_ > 0) {
    --burst_left_;
    return true;
  }
  if (chance(plan_.burst)) {
    burst_left_ = plan_.burst_frames - 1;
    return true;
  }
  return chance(plan_.loss);
}

bool Impairment::queue(Instant now, std::size_t octets, Instant& leaves) {
  leaves = now;
  if (plan_.bits_per_second == 0) return true;
  leaves = std::max(now, free_at_);
  if (leaves - now > plan_.queue) return false;
  leaves += Duration{static_cast<Duration::rep>(octets * 8 * 1'000'000'000 / plan_.bits_per_second)};
  free_at_ = leaves;
  return true;
}

Instant Impairment::delayed(Instant leaves) {
  leaves += plan_.delay;
  if (plan_.jitter.count() > 0)
    leaves += Duration{static_cast<Duration::rep>(random_.below(static_cast<std::size_t>(plan_.jitter.count()) + 1))};
  last_leaves_ = std::max(leaves, last_leaves_);
  return last_leaves_;
}

Passage Impairment::pass(Instant now, std::size_t octets) {
  Passage out;
  ++counters_.frames;
  counters_.octets += octets;
  if (loses()) {
    ++counters_.lost;
    out.fate = Fate::lost;
    return out;
  }
  Instant leaves;
  if (!queue(now, octets, leaves)) {
    ++counters_.overflowed;
    out.fate = Fate::overflowed;
    return out;
  }
  out.leaves[0] = delayed(leaves);
  if (chance(plan_.reorder)) {
    ++counters_.reordered;
    out.reordered = true;
    out.leaves[0] += plan_.reorder_delay;
    out.overtaken_by = plan_.reorder_frames;
  }
  if (chance(plan_.duplicate)) {
    ++counters_.duplicated;
    out.copies = 2;
    out.leaves[1] = delayed(leaves);
  }
  if (chance(plan_.corrupt) && octets > kEthernetOctets) {
    ++counters_.corrupted;
    out.corrupted = true;
    out.corrupt_bit = static_cast<std::uint32_t>(8 * kEthernetOctets + random_.below(8 * (octets - kEthernetOctets)));
  }
  return out;
}

}  // namespace penstock::impair
