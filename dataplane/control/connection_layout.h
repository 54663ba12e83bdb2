// connection_layout.h - what a worker publishes about the connections that end at it, for readers in other processes.
//
// Model     one record per proxied connection with a leg to the client (downstream) and one to the endpoint
//           (upstream). The worker copies the state of its engine here about once a second and when a connection
//           begins and ends; nothing is ever read back. The arena is a memfd: ConnectionArenaHeader, then records.
// Units     created_ms and updated_ms are CoarseMs; times of a leg as their names say; octets of payload.
// Shape     256 octets per record, 64 per leg; no pointers.
// Rule      as for flows (flow_layout.h): readers copy a record, then look at `generation` again. Changed or odd
//           means torn, being written or free. Zeroed memory counts as free only at or beyond `high_water`, so a
//           record gets an odd generation before high_water covers it.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "dataplane/core/addresses.h"
#include "dataplane/core/be.h"

namespace penstock::control {

/// States of RFC 9293 s3.3.2, numbered as tcp::State.
enum class LegState : std::uint8_t {
  closed,
  syn_sent,
  syn_received,
  established,
  fin_wait_1,
  fin_wait_2,
  closing,
  time_wait,
  close_wait,
  last_ack,
  count
};
[[nodiscard]] constexpr const char* name_of(LegState s) {
  constexpr const char* kNames[] = {"closed",     "syn_sent", "syn_received", "established", "fin_wait_1",
                                    "fin_wait_2", "closing",  "time_wait",    "close_wait",  "last_ack"};
  static_assert(std::size(kNames) == static_cast<std::size_t>(LegState::count));
  return s < LegState::count ? kNames[static_cast<std::size_t>(s)] : "unknown";
}

enum LegFlags : std::uint8_t {
  kLegSack = 1,
  kLegTimestamps = 2,
  kLegScaling = 4,
  kLegRecovery = 8  ///< repairing a loss
};

struct LegRecord {
  LegState state;
  std::uint8_t flags;  ///< LegFlags
  std::uint16_t mss;   ///< octets of payload that a segment to the peer may carry
  std::uint32_t srtt_us;
  std::uint32_t rttvar_us;
  std::uint32_t min_rtt_us;
  std::uint32_t rto_ms;
  std::uint32_t cwnd_octets;
  std::uint32_t ssthresh_octets;
  std::uint32_t flight_octets;          ///< sent, not acknowledged
  std::uint32_t queued_octets;          ///< waiting to be sent
  std::uint32_t send_window_octets;     ///< offered by the peer
  std::uint32_t receive_window_octets;  ///< offered to the peer
  std::uint32_t retransmitted_segments;
  std::uint64_t octets_received;
  std::uint64_t octets_sent;
};
static_assert(sizeof(LegRecord) == 64);

struct alignas(64) ConnectionRecord {
  std::uint32_t generation;  ///< even = valid; odd = free or being written
  std::uint32_t created_ms;
  std::uint32_t updated_ms;
  std::uint32_t listener_id;
  std::uint32_t endpoint_id;
  std::uint32_t zero0;
  IpAddress client;  ///< downstream leg: client to service
  IpAddress service;
  IpAddress node;  ///< upstream leg: node to endpoint
  IpAddress endpoint;
  Be16 client_port;
  Be16 service_port;
  Be16 node_port;
  Be16 endpoint_port;
  LegRecord downstream;
  LegRecord upstream;
  std::array<std::uint8_t, 32> zero1;
};
static_assert(sizeof(ConnectionRecord) == 256);
static_assert(offsetof(ConnectionRecord, downstream) == 96);

inline constexpr std::uint64_t kConnectionArenaMagic = 0x316e6f63'736e6570;  // "penscon1"
inline constexpr std::uint32_t kConnectionArenaLayout = 1;

/// First 64 octets of a worker's connection arena.
struct alignas(64) ConnectionArenaHeader {
  std::uint64_t magic;
  std::uint32_t layout;
  std::uint32_t capacity;  ///< records
  std::uint32_t worker;
  std::uint32_t worker_count;
  std::uint64_t boot_epoch;
  std::uint32_t high_water;  ///< records at or beyond this index were never in use
};
static_assert(sizeof(ConnectionArenaHeader) == 64);
[[nodiscard]] constexpr std::size_t connection_arena_octets(std::size_t capacity) {
  return sizeof(ConnectionArenaHeader) + capacity * sizeof(ConnectionRecord);
}

/// Writes the header into zeroed memory that is aligned to 64 octets; capacity is what fits. Touches no record.
void format_connection_arena(ByteSpan memory, std::size_t worker, std::size_t worker_count, std::uint64_t boot_epoch);

/// Header and records of a formatted arena, for its writer.
[[nodiscard]] ConnectionArenaHeader& connection_header(ByteSpan memory);
[[nodiscard]] std::span<ConnectionRecord> connection_records(ByteSpan memory);

}  // namespace penstock::control
