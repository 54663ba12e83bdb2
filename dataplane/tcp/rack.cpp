#include "dataplane/tcp/rack.h"

#include <algorithm>

namespace penstock::tcp {
namespace {

constexpr std::uint8_t kWideningMax = 16;
constexpr std::uint8_t kPersistRecoveries = 16;
constexpr std::uint32_t kDupThresh = 3;

/// RFC 8985 s6.1 RACK_sent_after(): by time, then by sequence number.
bool sent_after(Stamp a, SeqNum a_end, Stamp b, SeqNum b_end) {
  const std::int32_t later = a.since(b);
  return later > 0 || (later == 0 && b_end.precedes(a_end));
}

}  // namespace

void Rack::delivered(const Delivered& delivered, Stamp now, const Rto& rto) {
  if (!delivered.newest_valid) return;
  const std::int32_t rtt_us = now.since(delivered.newest_sent);
  // An answer quicker than the path can be is the answer to the first transmission (step 2).
  const bool ambiguous =
      delivered.newest_retransmitted && static_cast<std::uint32_t>(std::max(rtt_us, 0)) < rto.min_rtt_us();
  if (valid_ && delivered.has_first_send && delivered.lowest_first_send.precedes(forward_)) reordering_seen_ = true;
  forward_ = valid_ ? later_of(forward_, delivered.highest_end) : delivered.highest_end;
  if (ambiguous) return;
  rtt_us_ = static_cast<std::uint32_t>(std::max(rtt_us, 1));
  if (valid_ && !sent_after(delivered.newest_sent, delivered.newest_end, sent_, end_)) return;
  valid_ = true;
  sent_ = delivered.newest_sent;
  end_ = delivered.newest_end;
}

void Rack::duplicate_reported(SeqNum una, SeqNum nxt) {
  if (widening_ > 1 && una.precedes(widened_until_)) return;
  widening_ = std::min<std::uint8_t>(static_cast<std::uint8_t>(widening_ + 1), kWideningMax);
  widened_until_ = nxt;
  persist_ = kPersistRecoveries;
}

std::uint32_t Rack::reordering_window_us(const SendQueue& queue, const Rto& rto, std::uint32_t mss,
                                         bool recovering) const {
  if (!reordering_seen_ && (recovering || queue.sacked() >= kDupThresh * mss)) return 0;
  return std::min(std::max(rto.min_rtt_us() / 4, 1u) * widening_, rto.srtt_us());
}

std::uint32_t Rack::detect(Pools& pools, SendQueue& queue, Stamp now, const Rto& rto, std::uint32_t mss,
                           bool recovering) {
  if (!valid_) return 0;
  const auto wait_us = static_cast<std::int32_t>(rtt_us_ + reordering_window_us(queue, rto, mss, recovering));
  std::int32_t longest = 0;
  for (Index i = queue.head(); i != queue.first_unsent(); i = queue.past_run(pools, i)) {
    const Entry& entry = pools.entries[i];
    if (entry.is(Entry::kSacked) || (entry.is(Entry::kLost) && !entry.is(Entry::kRetransmitted))) continue;
    if (!sent_after(sent_, end_, entry.last_sent, entry.end())) {
      if (entry.sends == 1) break;  // what follows was sent for the first time later still
      continue;
    }
    const std::int32_t left_us = wait_us - now.since(entry.last_sent);
    if (left_us > 0) {
      longest = std::max(longest, left_us);
      continue;
    }
    queue.forget_retransmission(pools, i);
    queue.mark_lost(pools, i);
  }
  return static_cast<std::uint32_t>(longest);
}

bool Rack::probe_answered(SeqNum una, const Delivered& delivered, bool duplicate_reported) {
  if (!probing_) return false;
  if (probe_in_recovery_ || una.precedes(probe_end_)) {
    // In recovery the silence has ended with whatever arrives. Otherwise the probe itself has to, and below it there is
    // a hole: recovery will see to that.
    if (delivered.octets > 0 && (probe_in_recovery_ || probe_end_.at_most(delivered.highest_end))) probing_ = false;
    return false;
  }
  if (!probe_repeated_ || duplicate_reported) {
    probing_ = false;
    return false;
  }
  if (una == probe_end_) return false;
  probing_ = false;
  return true;
}

}  // namespace penstock::tcp
