// application.h - who takes the octets of a served leg: one that belongs to no pair.
//
// Model     a served leg has a Pair's slot to itself, with one of its two ends. What it receives waits in its inbox;
//           the application reads it there (front), drops it (skip) or hands it on to another leg (pass), by reference
//           where that saves a copy. Windows follow by themselves: what is in the inbox, or still outstanding on the
//           coupled leg, is not consumed.
//
//             segment -> inbox -> on_leg(received) -> front / skip / pass / write -> flush
//
// Units     octets; a LegId is a PairIndex and stays the leg's until on_leg(lost), finish() or reset().
// Errors    lost: the leg is gone, its id means nothing after the call.
// Not here  HTTP (l7/proxy), and choosing where to dial (worker).
#pragma once
#include "dataplane/relay/pair.h"

namespace penstock::relay {

using LegId = PairIndex;
inline constexpr LegId kNoLeg = kNoPair;
inline constexpr std::uint32_t kNoToken = 0xffffffff;

/// What happened to a served leg; a set.
struct LegEvents {
  std::uint8_t bits{};
  static constexpr std::uint8_t kConnected = 1;   ///< handshake complete; a downstream leg has no token yet
  static constexpr std::uint8_t kReceived = 2;    ///< there is something new in the inbox
  static constexpr std::uint8_t kPeerClosed = 4;  ///< nothing more will come
  static constexpr std::uint8_t kWritable = 8;    ///< after a write or pass that did not take everything
  static constexpr std::uint8_t kExpired = 16;    ///< set_deadline()
  static constexpr std::uint8_t kLost = 32;       ///< reset, timed out or never connected: gone
  [[nodiscard]] bool has(std::uint8_t bit) const { return (bits & bit) != 0; }
  void add(std::uint8_t bit) { bits = static_cast<std::uint8_t>(bits | bit); }
};

class Application {
 public:
  /// May call everything of the relay for any served leg, this one included.
  virtual void on_leg(LegId leg, std::uint32_t token, LegEvents events) = 0;

 protected:
  ~Application() = default;
};

}  // namespace penstock::relay
