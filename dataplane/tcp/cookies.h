// cookies.h - SYN cookies: a handshake without state (RFC 4987 s3.6).
//
// Model     the SYN-ACK's sequence number carries 5 bits of time, 3 bits of MSS class and 24 bits of a keyed hash over
//           both ends, the client's number, the time and the class. What an MSS class cannot say (window shift, SACK)
//           rides in the low bits of our timestamp, which the client echoes; without timestamps it is given up.
// Units     ticks of 64 s; a cookie is good for the tick of its making and the next.
// Shape     stateless; nothing is stored for a SYN.
// Errors    a wrong, old or foreign cookie gives nothing. A cookie's SYN-ACK is never repeated, so cookies are for
//           overload only: a lost last ACK hangs a protocol in which the server speaks first.
// Not here  when to use them (the owner, above its half-open limit).
#pragma once
#include <optional>

#include "dataplane/tcp/isn.h"
#include "dataplane/tcp/limits.h"
#include "dataplane/tcp/segment.h"

namespace penstock::tcp {

/// What a valid cookie says about the SYN that it answered.
struct CookieGrant {
  std::uint16_t mss{};
  bool timestamps{};
  bool sack{};
  bool window_scaling{};
  std::uint8_t peer_shift{};
};

/// The SYN-ACK for a SYN, without keeping anything. `mtu` is of the own interface.
[[nodiscard]] SegmentOut cookie_syn_ack(const Secrets& secrets, const Limits& limits, const ConnectionKey& key,
                                        const SegmentIn& syn, std::uint16_t mtu, Instant now);
/// For an ACK of no known connection: the grant if it acknowledges a cookie of ours.
[[nodiscard]] std::optional<CookieGrant> check_cookie(const Secrets& secrets, const Limits& limits,
                                                      const ConnectionKey& key, const SegmentIn& ack, Instant now);

}  // namespace penstock::tcp
