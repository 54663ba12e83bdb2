// isn.h - initial sequence numbers and timestamp offsets that an outsider cannot predict (RFC 6528, RFC 7323 s5.4).
//
// Model     ISN = a clock of 4 us + F(secret, both ends); the timestamps option's clock gets an offset per connection
//           in the same way, so neither tells anything about other connections or about uptime.
// Errors    none.
#pragma once
#include "dataplane/core/clock.h"
#include "dataplane/tcp/segment.h"
#include "dataplane/tcp/siphash.h"

namespace penstock::tcp {

struct Secrets {
  SipKey isn;
  SipKey timestamp;
  SipKey cookie;
};

/// 36 octets that name a connection.
struct KeyBytes {
  std::array<std::byte, 36> bytes{};
  explicit KeyBytes(const ConnectionKey& key);
};

[[nodiscard]] SeqNum initial_sequence(const Secrets& secrets, const ConnectionKey& key, Instant now);
[[nodiscard]] std::uint32_t timestamp_offset(const Secrets& secrets, const ConnectionKey& key);

}  // namespace penstock::tcp
