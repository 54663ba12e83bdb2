#include "dataplane/tcp/congestion.h"

namespace penstock::tcp {

void Congestion::start(std::uint32_t mss, const Limits& limits, bool syn_lost) {
  *this = Congestion{};
  control_ = limits.congestion_control;
  cwnd_ = syn_lost ? mss : initial_window(mss, limits);
  hystart_ = control_ == CongestionControl::cubic && limits.hystart;
  if (hystart_) stage_ = HyStart{};
}

void Congestion::acked(const Growth& growth) {
  if (in_slow_start()) return slow_start(growth);
  if (control_ == CongestionControl::reno) return avoid_reno(growth);
  avoid_cubic(growth);
}

bool Congestion::half_used(const Growth& growth) {
  const std::uint32_t most = std::max(credit_, growth.flight);
  bool round_over = false;
  if (const HyStart* hystart = std::get_if<HyStart>(&stage_)) {
    round_over = hystart->started && hystart->round_end.at_most(growth.una);
  } else if (UsageRound* round = std::get_if<UsageRound>(&stage_)) {
    round_over = round->end.at_most(growth.una);
    if (round_over) round->end = growth.nxt;
  } else {
    stage_ = UsageRound{growth.nxt};
  }
  credit_ = round_over ? growth.flight : most;
  return most > cwnd_ / 2;
}

void Congestion::slow_start(const Growth& growth) {
  const bool used = half_used(growth);
  std::uint32_t segments_max = growth.growth_segments;
  std::uint32_t divisor = 1;
  bool over = false;
  if (HyStart* hystart = std::get_if<HyStart>(&stage_)) {
    over = hystart->acknowledged(growth.una, growth.nxt, growth.rtt_us);
    segments_max = HyStart::kBurstSegments;
    if (hystart->conservative()) divisor = HyStart::kGrowthDivisor;
  }
  if (over) {
    ssthresh_ = cwnd_;
    stage_ = std::monostate{};
  } else if (growth.was_limited || used) {
    grow(std::min(growth.octets, segments_max * growth.mss) / divisor);
  }
  if (!in_slow_start()) credit_ = 0;
}

void Congestion::avoid_reno(const Growth& growth) {
  if (!growth.was_limited) return;
  credit_ += growth.octets;
  if (credit_ < cwnd_) return;
  credit_ -= cwnd_;
  grow(growth.mss);
}

void Congestion::avoid_cubic(const Growth& growth) {
  CubicEpoch* epoch = std::get_if<CubicEpoch>(&stage_);
  if (epoch == nullptr) {
    w_max_ = std::max(w_max_, cwnd_);
    credit_ = 0;
    epoch = &stage_.emplace<CubicEpoch>(CubicEpoch::begin(cwnd_, w_max_, growth.now_ms, growth.mss));
  }
  if (!growth.was_limited) return epoch->unused_until(growth.now_ms);
  epoch->last_ms = growth.now_ms;
  const std::int64_t since_plateau_ms =
      std::int64_t{static_cast<std::int32_t>(growth.now_ms - epoch->start_ms)} - epoch->rise_ms;
  epoch->estimate_acked(growth.octets, cwnd_, cwnd_prior_, growth.mss);
  if (cubic_window(w_max_, since_plateau_ms, growth.mss) < epoch->estimate) {  // s4.3: where Reno would be faster
    cwnd_ = std::max(cwnd_, epoch->estimate);
    return;
  }
  // s4.2: towards where the curve will be a round trip from now, by half a window at most.
  const std::uint32_t ahead = cubic_window(w_max_, since_plateau_ms + growth.srtt_us / 1000, growth.mss);
  const std::uint32_t target = std::clamp(ahead, cwnd_, cwnd_ + cwnd_ / 2);
  const std::uint64_t share = std::uint64_t{target - cwnd_} * growth.octets + credit_;
  credit_ = static_cast<std::uint32_t>(share % cwnd_);
  grow(static_cast<std::uint32_t>(std::min<std::uint64_t>(share / cwnd_, target - cwnd_)));
}

void Congestion::reduce(std::uint32_t flight, std::uint32_t mss) {
  cwnd_prior_ = cwnd_;
  ssthresh_prior_ = ssthresh_;
  if (control_ == CongestionControl::reno) {
    ssthresh_ = std::max(flight / 2, 2 * mss);  // RFC 5681 s3.2, equation 4
  } else {
    // RFC 9438 s4.7, fast convergence: a flow that has less than last time makes room.
    w_max_ = cwnd_ < w_max_ ? static_cast<std::uint32_t>(std::uint64_t{cwnd_} * 17 / 20) : cwnd_;
    ssthresh_ = std::max(cubic_reduced(flight), 2 * mss);  // s4.6
  }
  credit_ = 0;
}

void Congestion::lost(std::uint32_t flight, std::uint32_t mss) {
  reduce(flight, mss);
  stage_ = Prr{.recover_flight = flight};
}

void Congestion::lost_and_repaired(std::uint32_t flight, std::uint32_t mss) {
  reduce(flight, mss);
  stage_ = std::monostate{};
  cwnd_ = std::min(cwnd_, ssthresh_);
}

void Congestion::repair(std::uint32_t delivered, std::uint32_t pipe, std::uint32_t mss, bool safe) {
  Prr* prr = std::get_if<Prr>(&stage_);
  if (prr == nullptr) return;
  cwnd_ = std::min(pipe + prr->allowance(delivered, pipe, ssthresh_, mss, safe), kCwndMax);
}

void Congestion::recovered() {
  cwnd_ = ssthresh_;
  stage_ = std::monostate{};
}

void Congestion::undo(std::uint32_t pipe, std::uint32_t mss) {
  constexpr std::uint32_t kBurstSegments = 10;
  cwnd_ = std::max(cwnd_, std::min(cwnd_prior_, pipe + kBurstSegments * mss));
  ssthresh_ = std::max({ssthresh_, ssthresh_prior_, cwnd_prior_});
  w_max_ = std::max(w_max_, cwnd_prior_);
  credit_ = 0;
  stage_ = std::monostate{};
  if (hystart_ && ssthresh_ == kUnknown) stage_ = HyStart{};
}

void Congestion::timed_out(std::uint32_t flight, std::uint32_t mss, bool first) {
  if (first) reduce(flight, mss);
  w_max_ = 0;  // RFC 9438 s4.8: the next curve begins on its plateau
  cwnd_ = mss;
  credit_ = 0;
  stage_ = std::monostate{};
}

void Congestion::idled(std::uint32_t mss, const Limits& limits) {
  const std::uint32_t restart = initial_window(mss, limits);
  if (cwnd_ <= restart) return;
  ssthresh_ = std::max(ssthresh_, cwnd_ - cwnd_ / 4);  // what was known to work (RFC 7661 s4.4.2)
  cwnd_ = restart;
  credit_ = 0;
  if (std::holds_alternative<CubicEpoch>(stage_)) stage_ = std::monostate{};
}

}  // namespace penstock::tcp
