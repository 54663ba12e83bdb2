// splice.h - what happens to the segments of a spliced flow: sequence numbers, timestamps, SACK blocks and windows of
// one leg become those of the other, in place.
//
// Model     a pair of legs was at rest when it sank, so each leg's numbers differ from the other's by constants for
// ever
//           after: in one direction seq + seq_delta, ack + ack_delta, in the other the same constants negated. The end
//           hosts retransmit, acknowledge and time out; nothing here holds, makes or delays a segment.
//             translate()   pure: header in, header out, and what that does to its checksum
//             note()        remembers how far the sender has come, by segments that fit what the other one said:
//             resets,
//                           ICMP errors and later segments are judged by it
// Arithmetic is that of penstock_forward_slot (bpf/abi/steer.h): seq_delta, ack_delta, tsval_delta, tsecr_delta and
//           window_shift mean the same there, so that a slot can be filled from a direction whose echoes are settled
//           and whose options are at most timestamps.
// Options   timestamps and SACK blocks are translated when both legs negotiated them, every other option becomes NOPs:
//           none was accepted on either leg. What follows damage in the list becomes NOPs, too.
// Windows   shifted by the difference of both scales, rounded down, at most 65535: the right edge never grows.
// Shape     64 octets per direction, 12 of control per flow.
// Errors    none: every header that wire::TcpView accepts is translated.
// Not here  when a pair may sink (relay_splice.cpp), addresses, ports and checksums (l4/rewrite.h), states and timers
//           (worker/splice.cpp).
#pragma once
#include <algorithm>
#include <cstdint>

#include "dataplane/core/be.h"
#include "dataplane/core/seq_num.h"
#include "dataplane/wire/checksum.h"
#include "dataplane/wire/packet_info.h"
#include "dataplane/wire/tcp.h"

namespace penstock::relay {

enum SpliceFlags : std::uint8_t {
  kSpliceTimestamps = 1,  ///< both legs have them
  kSpliceSack = 2,        ///< both legs have it
  kSpliceOldEcho = 4      ///< TSecr may still answer values of our own TCP: see echo_from
};

/// One direction of a spliced flow.
struct alignas(64) SpliceDirection {
  // What is added, modulo 2^32.
  std::uint32_t seq_delta;
  std::uint32_t ack_delta;  ///< also to both edges of SACK blocks
  std::uint32_t tsval_delta;
  std::uint32_t tsecr_delta;
  // A TSecr before `echo_from` answers what our TCP sent. Translated it would name a time at which the receiver may
  // have sent nothing, so it becomes `echo_last`, the last one that the receiver really sent before.
  std::uint32_t echo_from;
  std::uint32_t echo_last;
  std::int8_t window_shift;   ///< of the window field: positive = left
  std::uint8_t sender_shift;  ///< the sender's own window scale
  std::uint8_t flags;         ///< SpliceFlags
  std::uint8_t zero;
  // How far the sender has come, in its own numbers.
  SeqNum seq_end;  ///< behind the highest octet sent
  SeqNum ack;      ///< highest acknowledgement
  SeqNum edge;     ///< highest right edge offered
};
static_assert(sizeof(SpliceDirection) == 64);

inline constexpr std::size_t kTimestampHeaderOctets = 32;  ///< a header whose only option is timestamps
/// NOP, NOP, kind 8, length 10: how timestamps alone are written.
inline constexpr std::uint32_t kTimestampWords = Be32::from_host(0x0101080a).wire();

[[nodiscard]] constexpr std::uint16_t shift_window(std::uint16_t field, std::int8_t shift) {
  if (shift < 0) return static_cast<std::uint16_t>(field >> -shift);
  return static_cast<std::uint16_t>(std::min<std::uint32_t>(std::uint32_t{field} << shift, 0xffff));
}

[[nodiscard]] constexpr std::uint32_t translate_echo(std::uint32_t echo, const SpliceDirection& d) {
  if (echo == 0) return 0;  // says nothing (RFC 7323 s3.2)
  if ((d.flags & kSpliceOldEcho) != 0 && static_cast<std::int32_t>(echo - d.echo_from) < 0) return d.echo_last;
  return echo + d.tsecr_delta;
}

/// The options of a header, from octet 20 on; what it adds to the checksum's sum.
[[nodiscard]] std::uint64_t translate_options(ByteSpan options, bool has_ack, const SpliceDirection& d);

/// Translates a whole TCP header, received in direction `d`, except ports and checksum. Returns the RFC 1624 sum to
/// apply to the checksum (wire::updated_checksum).
[[nodiscard, gnu::always_inline]] inline std::uint16_t translate(ByteSpan header, const SpliceDirection& d) {
  const auto flags = std::to_integer<std::uint8_t>(header[13]);
  const bool has_ack = (flags & wire::kTcpAck) != 0;
  std::uint64_t sum = 0;  // of few terms below 2^33: no carries
  const auto change = [&](std::size_t at, std::uint32_t value) {
    const Be32 old = load_be<std::uint32_t>(header, at), fresh = Be32::from_host(value);
    sum += std::uint64_t{static_cast<std::uint32_t>(~old.wire())} + fresh.wire();
    store_be(header, at, fresh);
  };
  const auto word = [&](std::size_t at) { return load_be<std::uint32_t>(header, at).host(); };
  change(4, word(4) + d.seq_delta);
  if (has_ack) change(8, word(8) + d.ack_delta);
  if ((flags & wire::kTcpSyn) == 0) {  // a SYN's window is not scaled
    const Be16 old = load_be<std::uint16_t>(header, 14),
               fresh = Be16::from_host(shift_window(old.host(), d.window_shift));
    sum += std::uint64_t{static_cast<std::uint16_t>(~old.wire())} + fresh.wire();
    store_be(header, 14, fresh);
  }
  if (header.size() == wire::TcpView::kMinHeaderOctets) return wire::fold(sum);
  const bool plain = header.size() == kTimestampHeaderOctets && has_ack && (d.flags & kSpliceTimestamps) != 0 &&
                     load_be<std::uint32_t>(header, 20).wire() == kTimestampWords;
  if (plain) [[likely]] {
    change(24, word(24) + d.tsval_delta);
    change(28, translate_echo(word(28), d));
    return wire::fold(sum);
  }
  return wire::fold(wire::add_sums(sum, translate_options(header.subspan(20), has_ack, d)));
}

/// The most that a host whose window field is shifted so can offer, and one octet.
[[nodiscard]] constexpr SeqSpan above_largest_window(std::uint8_t shift) { return {std::uint32_t{0x10000} << shift}; }

/// Remembers what a segment says of its sender, whose direction is `d`, before translate(). Not for SYN and RST.
/// False, and nothing is remembered: the segment is none that the sender could have sent, as `other`, the direction of
/// its receiver, has it. It continues neither from within a window of what the receiver acknowledged nor ends where the
/// receiver allows (a probe of a closed window is one octet beyond it); or it acknowledges what was never sent, or what
/// is older than a window (RFC 5961 s5.2), or nothing. Both hosts judge it themselves.
[[nodiscard, gnu::always_inline]] inline bool note(SpliceDirection& d, const SpliceDirection& other, ByteView header,
                                                   std::uint32_t payload_octets) {
  const auto flags = std::to_integer<std::uint8_t>(header[13]);
  const SeqNum seq{load_be<std::uint32_t>(header, 4).host()}, ack{load_be<std::uint32_t>(header, 8).host()};
  const SeqNum end = seq + SeqSpan{payload_octets};
  const SeqSpan to_seq{other.ack_delta}, to_ack{other.seq_delta};
  const SeqNum oldest_seq = other.ack + to_seq - above_largest_window(other.sender_shift);
  const SeqNum oldest_ack = d.ack - above_largest_window(d.sender_shift);
  if ((flags & wire::kTcpAck) == 0 || !oldest_seq.at_most(seq) || !end.at_most(other.edge + to_seq + SeqSpan{1}) ||
      !oldest_ack.at_most(ack) || !ack.at_most(other.seq_end + to_ack)) [[unlikely]]
    return false;
  d.seq_end = later_of(d.seq_end, end + SeqSpan{(flags & wire::kTcpFin) != 0 ? 1u : 0u});
  d.ack = later_of(d.ack, ack);
  d.edge = later_of(d.edge, ack + SeqSpan{std::uint32_t{load_be<std::uint16_t>(header, 14).host()} << d.sender_shift});
  if ((d.flags & kSpliceOldEcho) == 0 || header.size() != kTimestampHeaderOctets ||
      load_be<std::uint32_t>(header, 20).wire() != kTimestampWords)
    return true;
  // Who has answered a translated value answers no older one any more: from here on the clocks may wrap.
  const std::uint32_t echo = load_be<std::uint32_t>(header, 28).host();
  if (echo != 0 && static_cast<std::int32_t>(echo - d.echo_from) >= 0)
    d.flags = static_cast<std::uint8_t>(d.flags & ~kSpliceOldEcho);
  return true;
}

/// A reset with this sequence number, as received in `from`, lies in the window of its receiver, whose segments come in
/// direction `to` (RFC 5961 s3: the receiver itself asks for the exact number).
[[nodiscard]] inline bool reset_in_window(SeqNum seq, const SpliceDirection& from, const SpliceDirection& to) {
  const SeqNum at_receiver = seq + SeqSpan{from.seq_delta};
  return to.ack.at_most(at_receiver) && at_receiver.at_most(to.edge);
}

/// An ICMP error quotes `quoted`, which went to the host whose segments come in direction `to`; `from` are the
/// sender's. True when that was under way (RFC 5927 s4).
[[nodiscard]] inline bool was_under_way(SeqNum quoted, const SpliceDirection& from, const SpliceDirection& to) {
  return to.ack.at_most(quoted) && quoted.at_most(from.seq_end + SeqSpan{from.seq_delta});
}

/// Turns the quoted TCP header of an ICMP error, `segment`, back into what its sender sent: `to` is the direction of
/// the host that the quoted segment went to. At least its first 8 octets are there. Returns the sum to apply to the
/// ICMP checksum; the quoted checksum, when it is there, is updated.
[[nodiscard]] std::uint16_t translate_quote(ByteSpan segment, const SpliceDirection& to);

}  // namespace penstock::relay
