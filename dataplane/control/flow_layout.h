// flow_layout.h - the record of a connection, readable by tools and by a successor process.
//
// Model     a connection is two adjacent FlowDirections (forward = from downstream, reverse = from the endpoint)
//           and one FlowCold at the same index of a second array. The translation of one direction is the other's
//           key reversed: out.src = other.dst, out.dst = other.src, and so for ports.
// Stored    an IPv4 record of a live table keeps its own translation where the constant octets in front of its
//           addresses would be, so that a packet touches one cache line of its connection and not two: at a million
//           flows every line is a miss. source_of() and destination_of() read both forms, plain() undoes it, and
//           everything that leaves a table (flow::ArenaView, readers in other processes) is plain.
// Units     last_seen is CoarseMs; packets and octets of a direction are folded into FlowCold before they wrap.
// Shape     64 octets per direction, 64 cold; no pointers. The arena is a memfd: FlowArenaHeader, directions, colds.
// Rule      readers in another process copy a record, then check `generation` of FlowCold again: a changed or odd
//           generation means the copy is torn. Odd = being written or free.
#pragma once
#include <cstdint>
#include <cstring>

#include "dataplane/control/next_hop.h"
#include "dataplane/core/addresses.h"
#include "dataplane/core/be.h"

namespace penstock::control {

enum class FlowState : std::uint8_t {
  free,
  syn_sent,       ///< TCP: forward SYN seen
  syn_received,   ///< TCP: SYN-ACK seen
  established,    ///< TCP: handshake complete
  fin_forward,    ///< TCP: FIN from downstream seen
  fin_reverse,    ///< TCP: FIN from the endpoint seen
  closing,        ///< TCP: FINs of both directions seen
  reset,          ///< TCP: RST seen; any later segment without RST revives the flow
  udp_unreplied,  ///< UDP: no datagram from the endpoint yet
  udp_stream,     ///< UDP: datagrams in both directions
  count
};
[[nodiscard]] constexpr const char* name_of(FlowState s) {
  constexpr const char* kNames[] = {"free",        "syn_sent", "syn_received", "established",   "fin_forward",
                                    "fin_reverse", "closing",  "reset",        "udp_unreplied", "udp_stream"};
  return kNames[static_cast<std::size_t>(s)];
}

enum FlowFlags : std::uint8_t {
  kFlowReverse = 1,  ///< this is the endpoint's direction
  kFlowV6 = 2,
  kFlowDnat = 4,
  kFlowOver = 16,  ///< with kFlowProxy: both ends have closed, only TIME-WAIT is left; no longer counted as active
  kFlowDownstreamLeg = 32,  ///< with kFlowProxy: the client's leg alone; the reverse key is what we send
  kFlowUpstreamLeg = 64,    ///< with kFlowProxy: the endpoint's leg alone; the forward key is what we send
  kFlowForwarded = 128,     ///< tier X: the XDP program forwards it, and counts it in slots that the worker folds
  kFlowProxy = 8            ///< both directions of a connection that ends here (ListenerMode::proxy)
};

struct alignas(64) FlowDirection {
  IpAddress src;  ///< as received in this direction; in a table see Stored
  IpAddress dst;
  Be16 src_port;
  Be16 dst_port;
  IpProto proto;
  std::uint8_t flags;      ///< FlowFlags
  std::uint16_t l4_delta;  ///< RFC 1624 sum to apply to the transport checksum, one's complement, wire order
  NextHopIndex next_hop;   ///< forward: index into the next-hop table; reverse: kNoNextHop, use next_mac
  std::uint8_t out_port;   ///< reverse: port the downstream is on
  FlowState state;         ///< the forward direction's counts; the reverse of an L4 or spliced flow has a copy
  MacAddress next_mac;     ///< reverse: link address of the downstream or its gateway
  std::uint16_t vlan_tci;  ///< reverse: tag to put back (host order), 0 = untagged
  std::uint32_t last_seen_ms;
  std::uint32_t packets;
  std::uint32_t octets;
};
static_assert(sizeof(FlowDirection) == 64);

/// A proxied connection whose ends deliver to each other; its segments are translated (tier S).
[[nodiscard]] inline bool is_spliced(const FlowDirection& forward, const FlowDirection& reverse) {
  return (forward.flags & kFlowProxy) != 0 && reverse.state != FlowState::free;
}

/// What an IPv4 record stores of its translation: source and destination address in the first 8 octets of `src`,
/// source and destination port in the first 4 of `dst`.
struct StoredTranslation {
  Be32 src, dst;
  Be16 src_port, dst_port;
};
[[nodiscard]] inline StoredTranslation stored_translation(const FlowDirection& d) {
  std::uint32_t addresses[2];
  std::uint16_t ports[2];
  std::memcpy(addresses, d.src.octets.data(), sizeof addresses);
  std::memcpy(ports, d.dst.octets.data(), sizeof ports);
  return {Be32::from_wire(addresses[0]), Be32::from_wire(addresses[1]), Be16::from_wire(ports[0]),
          Be16::from_wire(ports[1])};
}
/// Makes the IPv4 record `d` self-contained. Its partner may have either form; IPv6 records have no room.
inline void store_translation(FlowDirection& d, const FlowDirection& partner) {
  if ((d.flags & kFlowV6) != 0) return;
  std::memcpy(d.src.octets.data(), partner.dst.octets.data() + 12, 4);
  std::memcpy(d.src.octets.data() + 4, partner.src.octets.data() + 12, 4);
  std::memcpy(d.dst.octets.data(), &partner.dst_port, 2);
  std::memcpy(d.dst.octets.data() + 2, &partner.src_port, 2);
}
[[nodiscard]] inline IpAddress plain_address(const IpAddress& stored, std::uint8_t flags) {
  if ((flags & kFlowV6) != 0) return stored;
  return IpAddress::from_v4(stored.as_v4());
}
[[nodiscard]] inline IpAddress source_of(const FlowDirection& d) { return plain_address(d.src, d.flags); }
[[nodiscard]] inline IpAddress destination_of(const FlowDirection& d) { return plain_address(d.dst, d.flags); }
/// The record without its stored translation.
[[nodiscard]] inline FlowDirection plain(const FlowDirection& d) {
  FlowDirection out = d;
  out.src = source_of(d);
  out.dst = destination_of(d);
  return out;
}

struct alignas(64) FlowCold {
  std::uint32_t generation;  ///< even = valid; odd = free or being written
  std::uint32_t created_ms;
  std::uint32_t listener_id;
  std::uint32_t endpoint_id;
  std::uint32_t listener_slot;  ///< counters
  std::uint32_t endpoint_slot;  ///< counters
  std::uint32_t timer_next;     ///< timer wheel or free list
  std::uint32_t timer_prev;
  std::uint64_t packets[2];  ///< folded counts: forward, reverse
  std::uint64_t octets[2];
};
static_assert(sizeof(FlowCold) == 64);

inline constexpr std::uint64_t kFlowArenaMagic = 0x31776f6c'66736e70;  // "pnsflow1"
inline constexpr std::uint32_t kFlowArenaLayout = 2;

/// First 64 octets of a worker's flow arena.
struct alignas(64) FlowArenaHeader {
  std::uint64_t magic;
  std::uint32_t layout;
  std::uint32_t capacity;  ///< connections
  std::uint32_t worker;
  std::uint32_t worker_count;
  std::uint64_t boot_epoch;
  std::uint32_t high_water;  ///< connections at or beyond this index were never in use
};
static_assert(sizeof(FlowArenaHeader) == 64);
[[nodiscard]] constexpr std::size_t flow_arena_octets(std::size_t capacity) {
  return sizeof(FlowArenaHeader) + capacity * (2 * sizeof(FlowDirection) + sizeof(FlowCold));
}

}  // namespace penstock::control
