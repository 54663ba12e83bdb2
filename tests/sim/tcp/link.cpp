#include "tests/sim/tcp/link.h"

#include <algorithm>

namespace penstock::tcpsim {
namespace {

// A peer with neither SACK nor timestamps keeps its backed-off timeout while every other acknowledgement is lost
// (RFC 6298 s5.7): right, but without end. So the regular loss has one.
constexpr std::uint32_t kLoseNthMax = 200;
// Every n-th packet of any kind may fall in step with a sender that repeats n packets per timeout, and then always
// meets the same one. So it ends before the sender gives up.
constexpr std::uint32_t kLoseNthOfAllMax = 12;

bool chance(test::Seeded& random, std::uint32_t of_ten_thousand) {
  return of_ten_thousand != 0 && random.below(10000) < of_ten_thousand;
}

}  // namespace

std::uint16_t Link::mtu(std::uint64_t now_us) const {
  const bool changed = plan_.mtu_change_at_us != 0 && now_us - start_us_ >= plan_.mtu_change_at_us;
  const bool restored = plan_.mtu_restored_at_us != 0 && now_us - start_us_ >= plan_.mtu_restored_at_us;
  return changed && !restored ? plan_.mtu_after : plan_.mtu;
}

bool Link::loses(test::Seeded& random, bool no_payload) {
  if (++packets_ == plan_.lose_packet) return true;
  if (burst_left_ > 0) {
    --burst_left_;
    return true;
  }
  if (chance(random, plan_.burst_start)) {
    burst_left_ = plan_.burst_packets - 1;
    return true;
  }
  if (plan_.lose_nth_of_all != 0 && packets_ % plan_.lose_nth_of_all == 0 && lost_of_all_ < kLoseNthOfAllMax) {
    ++lost_of_all_;
    return true;
  }
  const bool counted = no_payload && plan_.lose_nth != 0 && pure_acks_ < kLoseNthMax;
  if (counted && ++pure_acks_ % plan_.lose_nth == 0) return true;
  return chance(random, plan_.loss);
}

std::uint64_t Link::arrival(test::Seeded& random, std::uint64_t sent_us) {
  std::uint64_t at = sent_us + plan_.delay_us;
  if (plan_.jitter_us != 0) at += random.below(plan_.jitter_us + 1u);
  if (chance(random, plan_.reorder)) return at + 1 + random.below(plan_.reorder_extra_us + 1u);
  at = std::max(at, last_arrival_us_);  // jitter alone keeps the order
  last_arrival_us_ = at;
  return at;
}

Passage Link::pass(test::Seeded& random, std::uint64_t now_us, std::uint32_t octets, bool no_payload) {
  Passage out;
  if (octets > mtu(now_us)) {
    out.fate = Fate::too_big;
    out.mtu = mtu(now_us);
    return out;
  }
  if (loses(random, no_payload)) {
    out.fate = Fate::lost;
    return out;
  }
  std::uint64_t leaves = now_us;
  if (plan_.octets_per_ms != 0) {
    const std::uint64_t waits = free_at_us_ > now_us ? free_at_us_ - now_us : 0;
    if (waits > plan_.queue_us) {
      out.fate = Fate::lost;
      return out;
    }
    leaves = now_us + waits + std::uint64_t{octets} * 1000 / plan_.octets_per_ms;
    free_at_us_ = leaves;
  }
  const std::uint64_t pause_from = start_us_ + plan_.pause_at_us;
  if (plan_.pause_at_us != 0 && leaves >= pause_from) leaves = std::max(leaves, pause_from + plan_.pause_for_us);
  out.arrives_us[0] = arrival(random, leaves);
  if (chance(random, plan_.duplicate)) {
    out.copies = 2;
    out.arrives_us[1] = arrival(random, leaves);
  }
  if (chance(random, plan_.corrupt)) {
    out.corrupted = true;
    out.corrupt_bit = static_cast<std::uint32_t>(random.below(octets * 8));
  }
  return out;
}

}  // namespace penstock::tcpsim
