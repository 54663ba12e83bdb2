// rate_limiter.h - token buckets of one worker: one per limit, or one per limit and client.
//
// Model     a bucket is the time at which it would be full again: every request moves it on by one token, and is
//           refused when it would lie more than the burst ahead. A limit is of the whole node; a worker has its even
//           share: tokens come `workers` times slower, and the burst is divided, rounded up.
// Units     nanoseconds. IPv6 clients are told apart by their /64, in which a host may choose any address.
// Shape     all memory is taken at construction. Buckets of limits stay over snapshots with the limit's id.
// Errors    none.
// Limits    kRateLimitMax limits; kClientBucketMax clients in sets of eight. A set without room forgets the client that
//           has used the least, who starts with a full bucket again: counted by evicted(). Nobody is refused by it.
// Not here  what is answered (l7/proxy).
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "dataplane/control/policy_layout.h"
#include "dataplane/core/clock.h"

namespace penstock::policy {

class RateLimiter {
 public:
  explicit RateLimiter(std::uint64_t seed);

  /// The limits of a new snapshot, at most kRateLimitMax.
  void configure(std::span<const control::RateLimitRecord> limits, std::uint32_t workers);

  /// Takes a token of limit `index` of the last configure(). Zero: it had one; else the time until it has.
  [[nodiscard]] Duration take(std::uint32_t index, Instant now);
  /// The same of the client's own bucket.
  [[nodiscard]] Duration take(std::uint32_t index, const IpAddress& client, Instant now);

  /// Clients forgotten before their bucket was full again.
  [[nodiscard]] std::uint64_t evicted() const { return evicted_; }

 private:
  static constexpr std::size_t kWays = 8;
  struct Limit {
    std::uint64_t id;
    Duration step;  ///< of one token, of this worker
    Duration span;  ///< of all tokens that it holds
    Instant full;   ///< bucket of the limit itself
  };
  struct Client {
    std::uint64_t key{};
    Instant full{};
  };
  [[nodiscard]] static Duration take(const Limit& limit, Instant& full, Instant now);
  [[nodiscard]] std::uint64_t key_of(std::uint64_t id, const IpAddress& client) const;

  std::vector<Limit> limits_, before_;
  std::vector<std::uint32_t> slots_;  ///< by id, open addressing: index into before_
  std::vector<Client> clients_;
  std::uint64_t seed_;
  std::uint64_t evicted_{};
};

}  // namespace penstock::policy
