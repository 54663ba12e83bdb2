// request.h - what a client asks the server to do with one connection: the first octets of every stream upwards.
//
// Model     both ends are this program on one machine, so the structures travel as they lie in memory; `magic` tells
//           garbage from a request.
//
//   up    [Request][payload: up octets]                     then the end of stream
//   down  [Greeting?][payload: down octets][Report?]        then the end of stream
#pragma once
#include <cstdint>

namespace penstock::transfer {

inline constexpr std::uint64_t kRequestMagic = 0x70736b5f78666572;
inline constexpr std::uint64_t kGreeting = 0x0a6f6c6c65682021;
inline constexpr std::uint64_t kReportMagic = 0x74726f7065726b70;

/// When an end sends its part.
enum class Turn : std::uint32_t {
  at_once,    ///< both directions at the same time
  after_end,  ///< only after the other's end of stream: half-closed connections
};

/// What one end does beside sending and receiving. Octets are of payload; 0 means never.
struct Manners {
  std::uint64_t reads_per_second{};  ///< 0: as fast as it can
  std::uint64_t stops_reading_after{};
  std::uint64_t stops_for_ms{};
  std::uint64_t resets_after{};  ///< sent and received together; by a reset
  std::uint64_t closes_after{};  ///< received; close() with unread data behind it, which is a reset too
};

struct Request {
  std::uint64_t magic{kRequestMagic};
  std::uint64_t connection{};  ///< key of the payload
  std::uint64_t up{}, down{};
  Turn turn{};              ///< the server's
  std::uint32_t report{1};  ///< the server tells what it received, behind its payload and after the client's end
  Manners server;
};

/// What the server received on this connection.
struct Report {
  std::uint64_t magic{kReportMagic};
  std::uint64_t received{};
  std::uint64_t good{};  ///< octets before the first wrong one
};

}  // namespace penstock::transfer
