// limits.h - every limit and time of the relay.
//
// Model     RelayConfig is fixed at start and sizes memory; RelaySettings come with each snapshot.
// Units     counts per worker; octets; Duration.
// Errors    none: mgmt/config and snapshot_check keep the values in range.
#pragma once
#include <cstdint>

#include "dataplane/control/limits.h"
#include "dataplane/control/snapshot_layout.h"
#include "dataplane/tcp/limits.h"

namespace penstock::relay {

/// Payload up to this size is copied out of its device buffer, which goes back at once. Lower makes small messages
/// hold whole buffers; higher copies what could have been sent in place.
inline constexpr std::size_t kCopyBreakOctets = 256;
/// Timers looked at per round: more would delay the next burst by over 10 us.
inline constexpr std::uint32_t kTimersPerRound = 64;
/// Segments that one pair may send per round before the others have their turn.
inline constexpr std::uint32_t kSegmentsPerTurn = 64;
/// Empty frames kept at hand for segments of our own.
inline constexpr std::size_t kSpareFrames = 64;
/// Pairs whose record is published per round while a sweep is under way.
inline constexpr std::uint32_t kRecordsPerRound = 32;
inline constexpr std::uint32_t kRecordPeriodMs = 500;
/// How long the acknowledgement of a message's end waits for the next message the other way (Relay::rest); timers add
/// up to a millisecond. Linux and our own TCP probe their tail two round trips and 2 ms after it was sent.
inline constexpr Duration kRestAck{std::chrono::milliseconds{1}};
/// Pairs per round whose listener is looked for after a change of configuration.
inline constexpr std::uint32_t kRechecksPerRound = 128;
/// Until the endpoint has sent its first octet a client may fill this much, so that many clients of a slow endpoint
/// do not fill the pools.
inline constexpr std::uint32_t kFirstWindowOctets = 64 * 1024;
/// What a SYN or SYN-ACK of ours offers at most: a peer's first flight is no larger (RFC 6928), and by its
/// acknowledgement it learns of the leg's share (arrival_share.h).
inline constexpr std::uint32_t kFirstFlightSegments = 10;
/// And at most this part of the share that a leg would have if no other began.
inline constexpr std::uint32_t kFirstFlightPart = 4;
// Connections to endpoints. Their round trip is a node's or a rack's, so a SYN is repeated sooner than RFC 6298 s2.1
// says, and often enough that only `connect_timeout` ends the attempt, never a count.
inline constexpr Duration kConnectRtoInitial{std::chrono::milliseconds{250}};
inline constexpr Duration kConnectRtoMax{std::chrono::seconds{1}};
inline constexpr std::uint8_t kHandshakeSpreadPercent = 50;
/// How long a worker that cannot send for lack of frames or of a next hop waits before it tries again.
inline constexpr std::uint32_t kBlockedMs = 10;
/// A served leg that its application has finished is reset when neither side has moved for this long.
inline constexpr std::uint32_t kLingerMs = 5'000;
/// Cookies stay good for two ticks of 64 s; after that an unknown segment cannot carry one of ours.
inline constexpr std::uint32_t kCookieLifeMs = 128'000;

// Memory pressure, percent of the pools in use.
inline constexpr std::uint32_t kClampPercent = 70;   ///< windows shrink to kClampSegments full segments
inline constexpr std::uint32_t kRefusePercent = 85;  ///< no new connection; the biggest holders get no window
inline constexpr std::uint32_t kShedPercent = 95;    ///< the biggest idle holder is reset
inline constexpr std::uint32_t kClampSegments = 4;
inline constexpr std::uint32_t kBigHolderOctets = 16 * 1024;

struct RelayConfig {
  std::uint32_t pairs_max{16384};
  std::uint32_t time_waits_max{65536};
  /// Device buffers that send queues may hold; at most half of the worker's share (afxdp: they feed the fill ring).
  std::uint32_t lent_max{4096};
  /// Frames of a receive ring that the peers of one side may have under way. Half: a port may serve both sides, and
  /// acknowledgements and handshakes need room beside payload.
  std::uint32_t arrival_frames{1024};
  /// Spliced flows; with all taken pairs stay proxied. 140 octets each, touched when used.
  std::uint32_t splices_max{control::kSpliceMax};
  /// Rests that a pair passes by before it becomes one; for tests.
  std::uint32_t rests_before_splice{};
  /// Entries and blocks of the TCP pools; zero takes what pairs_max suggests.
  std::uint32_t entries{};
  std::uint32_t blocks{};
  [[nodiscard]] std::uint32_t entry_count() const { return entries != 0 ? entries : 65536 + pairs_max * 8; }
  [[nodiscard]] std::uint32_t block_count() const { return blocks != 0 ? blocks : 16384 + pairs_max; }
};

struct RelaySettings {
  std::uint32_t pairs_max{16384};
  std::uint32_t half_open_max{1024};
  Duration idle{std::chrono::hours{1}};
  Duration connect{std::chrono::seconds{5}};
  tcp::Limits tcp;
};

/// What the node's record says, as settings.
[[nodiscard]] RelaySettings settings_of(const control::NodeRecord& node);

}  // namespace penstock::relay
