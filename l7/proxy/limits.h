// limits.h - every bound of the HTTP proxy that no configuration sets.
//
// Model     ProxyLimits sizes memory at the start, per worker; the constants bound what one connection may hold.
// Units     counts and octets.
#pragma once
#include <cstdint>

namespace penstock::proxy {

struct ProxyLimits {
  std::uint32_t connections_max{16384};  ///< clients' connections; beyond: reset, counted
  std::uint32_t upstreams_max{16384};    ///< connections to endpoints, idle ones included
  std::uint32_t buffers_max{2048};       ///< heads that span segments, requests that may have to be sent again
};

/// One buffer takes any head that the parsers accept, and what a proxy adds to it.
inline constexpr std::size_t kBufferOctets = 24 * 1024;
/// Lines of a response that our own edits may add or set, kept until its head has come.
inline constexpr std::size_t kKeptEditOctets = 2 * 1024;
inline constexpr std::size_t kTrailerOctets = 1024;
/// x-forwarded-for, Forwarded: what is longer is replaced by our own element.
inline constexpr std::size_t kSenderListOctets = 4 * 1024;
/// Text in a buffer with an open head; behind it stand the marks of what was scanned.
inline constexpr std::size_t kHeadTextOctets = 20 * 1024;
/// The next request of a pipeline is begun when less than this is still to be sent to the client.
inline constexpr std::size_t kPipelineQueuedMax = 64 * 1024;
/// Endpoints that may be tried for one request, the first included.
inline constexpr std::uint32_t kTriesMax = 8;
/// A copy of a request for a mirror takes one buffer, head and body; longer ones are not mirrored.
inline constexpr std::size_t kMirrorOctets = kBufferOctets;
/// How long a mirror may take to answer.
inline constexpr std::uint32_t kMirrorMs = 15'000;
/// A kept connection of a listener that drains is closed when it has been idle for so long. Too short, and requests
/// that are under way meanwhile find it closed; too long, and a drain takes longer than it has to.
inline constexpr std::uint32_t kDrainIdleMs = 1'000;
/// Connections and endpoints that housekeeping looks at in a round after a new configuration: under 10 us.
inline constexpr std::uint32_t kReviewsPerRound = 64;
/// Clusters whose state is kept: those of the configuration, and former ones that something still refers to. A new one
/// beyond takes no requests (`overflow`).
inline constexpr std::uint32_t kClusterStateMax = 8192;
/// A PROXY header is whole within this time after the handshake.
inline constexpr std::uint32_t kPrefaceMs = 5'000;
/// Idle connections of one endpoint are closed from the oldest when there are more.
inline constexpr std::uint32_t kIdlePerEndpointMax = 256;

}  // namespace penstock::proxy
