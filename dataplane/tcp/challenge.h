// challenge.h - limit on acknowledgements that a third party could provoke (RFC 5961 s7).
//
// Model     a counter per connection and second, never shared between connections: a shared one can be observed
//           from outside. Segments with data are not limited: they cannot loop.
// Shape     4 octets.
// Errors    none.
#pragma once
#include <cstdint>

#include "dataplane/tcp/limits.h"
#include "dataplane/tcp/stamp.h"

namespace penstock::tcp {

class ChallengeLimit {
 public:
  /// True when one more may be sent in this second.
  bool allow(Instant now, const Limits& limits) {
    const auto second = static_cast<std::uint16_t>(to_nanoseconds(now) / 1'000'000'000);
    if (second != second_) {
      second_ = second;
      count_ = 0;
    }
    if (count_ >= limits.challenge_acks_per_second) return false;
    ++count_;
    return true;
  }

 private:
  std::uint16_t second_{};
  std::uint8_t count_{};
};
static_assert(sizeof(ChallengeLimit) == 4);

}  // namespace penstock::tcp
