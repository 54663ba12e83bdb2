// segment.h - a TCP segment as a value, and its way from and to packets of both families.
//
// Model     SegmentIn is what arrived, SegmentOut what is to be sent. Payload is borrowed: it is valid only during
//           the call that passes it.
// Shape     a packet is IP header, TCP header, options, payload; single piece.
// Errors    reading gives a DropReason; a wrong checksum is bad_checksum. Writing cannot fail: the caller gives room.
#pragma once
#include "dataplane/core/addresses.h"
#include "dataplane/core/be.h"
#include "dataplane/core/result.h"
#include "dataplane/core/seq_num.h"
#include "dataplane/tcp/options.h"
#include "dataplane/tcp/pool.h"
#include "dataplane/wire/packet_info.h"

namespace penstock::tcp {

using wire::kTcpAck;
using wire::kTcpFin;
using wire::kTcpPsh;
using wire::kTcpRst;
using wire::kTcpSyn;
/// CWR and ECE are not ours: ECN is off, they are neither read nor echoed. URG data is ordinary data.
inline constexpr std::uint8_t kFlagsUnderstood = kTcpFin | kTcpSyn | kTcpRst | kTcpPsh | kTcpAck;

/// Both ends of a connection as this node sees them.
struct ConnectionKey {
  IpAddress local;
  IpAddress remote;
  Be16 local_port;
  Be16 remote_port;
  friend constexpr bool operator==(const ConnectionKey&, const ConnectionKey&) = default;
};

struct SegmentIn {
  SeqNum seq;
  SeqNum ack;
  std::uint8_t flags{};
  std::uint16_t window{};
  Options options;
  ByteView payload;
  [[nodiscard]] bool is(std::uint8_t flag) const { return (flags & flag) != 0; }
  /// Sequence space that it takes.
  [[nodiscard]] SeqSpan span() const {
    return {static_cast<std::uint32_t>(payload.size()) + (is(kTcpSyn) ? 1u : 0u) + (is(kTcpFin) ? 1u : 0u)};
  }
  [[nodiscard]] SeqNum end() const { return seq + span(); }
};

struct SegmentOut {
  SeqNum seq;
  SeqNum ack;
  std::uint8_t flags{};
  std::uint16_t window{};
  OptionBytes options;
  ByteView payload;
  Index block{kNoIndex};         ///< where the payload lies, so that its owner may send it in place
  std::uint16_t block_offset{};  ///< of its first octet
  bool retransmission{};
  bool partial_checksum{};  ///< whoever sends it completes the checksum
  bool has_payload_sum{};
  std::uint16_t payload_sum{};  ///< of the payload by itself (wire/checksum.h), when the owner knows it already

  /// As new, in place: assigning a new one would build it elsewhere and copy it whole.
  void clear() {
    seq = ack = SeqNum{};
    flags = 0;
    window = 0;
    options.octets = 0;
    payload = {};
    block = kNoIndex;
    block_offset = 0;
    retransmission = partial_checksum = has_payload_sum = false;
    payload_sum = 0;
  }
};

/// Room that every packet fits into: IPv6, TCP, 40 octets of options and the payload.
[[nodiscard]] constexpr std::size_t packet_room(std::size_t payload_octets) { return 40 + 20 + 40 + payload_octets; }

/// Writes a whole IP packet with right checksums, or TCP's partial one; returns its length. The caller has checked
/// packet_room().
std::size_t write_packet(ByteSpan out, const ConnectionKey& key, const SegmentOut& segment);

struct PacketIn {
  ConnectionKey key;  ///< the packet's destination is the local end
  SegmentIn segment;
};
/// Reads a whole IP packet of either family and verifies its checksums.
[[nodiscard]] Parsed<PacketIn> read_packet(ByteView packet);
/// Reads a TCP header whose checksum has been verified or is known good.
[[nodiscard]] Parsed<SegmentIn> read_segment(ByteView segment);
/// The same in place; `into` has no meaning unless the reason is `none`.
[[nodiscard]] DropReason read_segment_into(ByteView segment, SegmentIn& into);

}  // namespace penstock::tcp
