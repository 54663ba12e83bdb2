// options.h - TCP options, read and written.
//
// Model     reading is total: every byte string gives Options; what is unknown is skipped, what is damaged ends the
//           list and is reported (RFC 9293 s3.1, s3.2). Writing uses the order that Linux uses.
// Shape     at most 40 octets on the wire.
// Errors    `malformed` says that the list was damaged; options before the damage are kept.
#pragma once
#include <array>
#include <cstdint>

#include "dataplane/core/be.h"
#include "dataplane/core/seq_num.h"

namespace penstock::tcp {

/// [start, end)
struct SackBlock {
  SeqNum start;
  SeqNum end;
  friend constexpr bool operator==(SackBlock, SackBlock) = default;
};
inline constexpr std::size_t kSackBlocksMax = 4;
inline constexpr std::size_t kOptionOctetsMax = 40;
inline constexpr std::uint8_t kWindowShiftMax = 14;  // RFC 7323 s2.3

struct Options {
  bool has_mss{}, has_window_shift{}, sack_permitted{}, has_timestamps{}, malformed{};
  std::uint16_t mss{};
  std::uint8_t window_shift{};  ///< at most 14; larger ones are read as 14
  std::uint32_t ts_value{};
  std::uint32_t ts_echo{};
  std::uint8_t sack_count{};
  std::array<SackBlock, kSackBlocksMax> sack{};
};

/// `bytes` is exactly the option part of the header.
[[nodiscard]] Options parse_options(ByteView bytes);
/// The same in place: every field is set but the blocks behind sack_count.
void parse_options_into(ByteView bytes, Options& into);

/// Octets in a segment's options field, padded to a multiple of four.
struct OptionBytes {
  // NOLINTNEXTLINE(modernize-use-equals-default)
  OptionBytes() {}  // what lies behind `octets` has no value: clearing it would cost more than a segment's options
  std::array<std::byte, kOptionOctetsMax> bytes;
  std::uint8_t octets{};
  [[nodiscard]] ByteView view() const { return ByteView{bytes}.first(octets); }
};

/// Options of a SYN or SYN-ACK: MSS, SACK permitted, timestamps, window scale, each only if set.
[[nodiscard]] OptionBytes write_syn_options(const Options& options);
/// Options of any other segment: timestamps if set, then as many of the SACK blocks as fit into `room` octets.
[[nodiscard]] OptionBytes write_options(const Options& options, std::size_t room = kOptionOctetsMax);
/// What write_options() gives for timestamps alone, in place.
void write_timestamps(std::uint32_t value, std::uint32_t echo, OptionBytes& into);

}  // namespace penstock::tcp
