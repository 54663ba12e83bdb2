#include "l7/policy/rate_limiter.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "dataplane/control/http_layout.h"
#include "dataplane/control/limits.h"
#include "dataplane/core/require.h"

namespace penstock::policy {
namespace {

constexpr std::uint32_t kEmpty = 0xffffffff;

/// Finalizer of SplitMix64.
constexpr std::uint64_t mix(std::uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

}  // namespace

RateLimiter::RateLimiter(std::uint64_t seed)
    : slots_(std::bit_ceil(2 * control::kRateLimitMax)), clients_(control::kClientBucketMax), seed_{mix(seed)} {
  limits_.reserve(control::kRateLimitMax);
  before_.reserve(control::kRateLimitMax);
}

void RateLimiter::configure(std::span<const control::RateLimitRecord> limits, std::uint32_t workers) {
  require(limits.size() <= control::kRateLimitMax, "more rate limits than a snapshot may have");
  std::swap(limits_, before_);
  limits_.clear();
  std::fill(slots_.begin(), slots_.end(), kEmpty);
  const std::size_t mask = slots_.size() - 1;
  for (std::uint32_t i = 0; i < before_.size(); ++i) {
    std::size_t at = mix(before_[i].id) & mask;
    while (slots_[at] != kEmpty) at = (at + 1) & mask;
    slots_[at] = i;
  }
  for (const control::RateLimitRecord& record : limits) {
    const std::uint32_t burst = control::share_of_limit(record.burst, workers);
    const auto step = static_cast<Duration::rep>(record.token_ns * std::max(workers, 1u));
    Limit limit{record.id, Duration{step}, Duration{step} * burst, Instant{}};
    std::size_t at = mix(record.id) & mask;
    while (slots_[at] != kEmpty && before_[slots_[at]].id != record.id) at = (at + 1) & mask;
    if (slots_[at] != kEmpty) limit.full = before_[slots_[at]].full;
    limits_.push_back(limit);
  }
}

Duration RateLimiter::take(const Limit& limit, Instant& full, Instant now) {
  // Also when the limit was lowered: nobody is further behind than an empty bucket.
  full = std::clamp(full, now, now + limit.span);
  const Instant next = full + limit.step;
  if (next > now + limit.span) return next - now - limit.span;
  full = next;
  return Duration{0};
}

Duration RateLimiter::take(std::uint32_t index, Instant now) { return take(limits_[index], limits_[index].full, now); }

std::uint64_t RateLimiter::key_of(std::uint64_t id, const IpAddress& client) const {
  const IpAddress told = client.is_v4() ? client : masked(client, 64);
  std::uint64_t halves[2];
  std::memcpy(halves, told.octets.data(), sizeof halves);
  return mix(mix(mix(id ^ seed_) + halves[0]) ^ halves[1] ^ seed_);
}

Duration RateLimiter::take(std::uint32_t index, const IpAddress& client, Instant now) {
  const Limit& limit = limits_[index];
  const std::uint64_t key = key_of(limit.id, client);
  const std::span<Client> set{clients_.data() + (key & (clients_.size() / kWays - 1)) * kWays, kWays};
  auto entry = std::find_if(set.begin(), set.end(), [&](const Client& c) { return c.key == key; });
  if (entry == set.end()) {
    entry = std::min_element(set.begin(), set.end(), [](const Client& a, const Client& b) { return a.full < b.full; });
    if (entry->full > now) ++evicted_;
    *entry = {key, Instant{}};
  }
  return take(limit, entry->full, now);
}

}  // namespace penstock::policy
