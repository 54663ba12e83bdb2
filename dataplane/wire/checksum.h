// checksum.h - the Internet checksum: in full, updated, and partial.
//
// Model     RFC 1071 sums and RFC 1624 (eqn. 3) updates. Sums are in wire order: words are read and written as they
//           stand in memory, which one's complement arithmetic allows (RFC 1071 s2 (B)), so nothing is swapped.
// Units     `sum`s are 64-bit one's complement accumulators; folded values have 16 bits. An accumulator that has
//           seen a non-zero word never becomes zero, so a checksum made here is never 0xffff (but see UDP).
// UDP       a field of 0 means "none": it stays 0, and a computed 0 is sent as 0xffff (RFC 768).
// Errors    none.
#pragma once
#include <bit>
#include <cstdint>

#include "dataplane/core/addresses.h"
#include "dataplane/core/be.h"

namespace penstock::wire {

/// One's complement addition of 64-bit words (2^64 = 1 modulo 2^16 - 1).
[[nodiscard]] constexpr std::uint64_t add_sums(std::uint64_t a, std::uint64_t b) {
  const std::uint64_t total = a + b;
  return total + (total < b ? 1 : 0);
}

/// The accumulator as one 16-bit one's complement number.
[[nodiscard]] constexpr std::uint16_t fold(std::uint64_t sum) {
  // Adding the halves exchanged puts their sum, end-around carry included, into the upper half: three
  // instructions a step, on the path of every packet.
  const auto half = static_cast<std::uint32_t>((sum + std::rotl(sum, 32)) >> 32);
  return static_cast<std::uint16_t>((half + std::rotl(half, 16)) >> 16);
}

/// Sum of `bytes`, which begin at an even offset of what is summed; an odd last octet is padded with zero.
[[nodiscard]] std::uint64_t sum_of(ByteView bytes);

/// Sum of an address. For IPv4 the mapped form adds 0xffff, which is zero here.
[[nodiscard]] inline std::uint64_t sum_of(const IpAddress& address) {
  std::uint64_t words[2];
  std::memcpy(words, address.octets.data(), sizeof words);
  return add_sums(words[0], words[1]);
}

/// Sum of the pseudo-header of either family (RFC 9293 s3.1, RFC 8200 s8.1). `octets`: transport header and payload.
[[nodiscard]] inline std::uint64_t pseudo_header_sum(const IpAddress& src, const IpAddress& dst, IpProto proto,
                                                     std::uint32_t octets) {
  const auto length = Be32::from_host(octets).wire();
  const auto protocol = Be16::from_host(static_cast<std::uint16_t>(proto)).wire();
  return add_sums(add_sums(sum_of(src), sum_of(dst)), std::uint64_t{length} + protocol);
}

/// The same for IPv4: four small terms, no carries.
[[nodiscard]] constexpr std::uint64_t pseudo_header_sum_v4(Be32 src, Be32 dst, IpProto proto, std::uint32_t octets) {
  return std::uint64_t{src.wire()} + dst.wire() + Be32::from_host(octets).wire() +
         Be16::from_host(static_cast<std::uint16_t>(proto)).wire();
}

/// The checksum field for a sum: its complement.
[[nodiscard]] constexpr Be16 checksum_from(std::uint64_t sum) {
  return Be16::from_wire(static_cast<std::uint16_t>(~fold(sum)));
}
/// The same for UDP, where 0 would mean "none".
[[nodiscard]] constexpr Be16 udp_checksum_from(std::uint64_t sum) {
  const Be16 checksum = checksum_from(sum);
  return checksum.wire() == 0 ? Be16::from_wire(0xffff) : checksum;
}

/// True when `sum`, which includes the checksum field, says that nothing was damaged.
[[nodiscard]] constexpr bool sum_is_valid(std::uint64_t sum) { return fold(sum) == 0xffff; }

/// True when the field holds only the pseudo-header sum: a local kernel left the rest to the device.
[[nodiscard]] constexpr bool is_partial(Be16 field, std::uint64_t pseudo_sum) {
  return field.wire() == fold(pseudo_sum);
}

/// What a set of field changes adds to a sum: sum(~old + new), RFC 1624 eqn. 3. Fields lie at even offsets.
class ChecksumDelta {
 public:
  constexpr void change(Be16 from, Be16 to) { add(static_cast<std::uint16_t>(~from.wire())), add(to.wire()); }
  constexpr void change(Be32 from, Be32 to) { add(~from.wire()), add(to.wire()); }
  void change(const IpAddress& from, const IpAddress& to) {
    std::uint64_t old_words[2];
    std::memcpy(old_words, from.octets.data(), sizeof old_words);
    add(~old_words[0]);
    add(~old_words[1]);
    add(sum_of(to));
  }
  /// Whole regions of which both sums are known; the region may be of any length.
  constexpr void change_sums(std::uint64_t from, std::uint64_t to) {
    add(static_cast<std::uint16_t>(~fold(from)));
    add(to);
  }
  [[nodiscard]] constexpr std::uint16_t folded() const { return fold(sum_); }

 private:
  constexpr void add(std::uint64_t words) { sum_ = add_sums(sum_, words); }
  std::uint64_t sum_{};
};

/// The checksum after a change. Both terms have 16 bits, so one step folds their sum.
[[nodiscard]] constexpr Be16 updated_checksum(Be16 checksum, std::uint16_t delta) {
  const std::uint32_t sum = static_cast<std::uint16_t>(~checksum.wire()) + std::uint32_t{delta};
  return Be16::from_wire(static_cast<std::uint16_t>(~((sum & 0xffff) + (sum >> 16))));
}
/// The same under UDP's rules for zero.
[[nodiscard]] constexpr Be16 updated_udp_checksum(Be16 checksum, std::uint16_t delta) {
  if (checksum.wire() == 0) return checksum;
  const Be16 updated = updated_checksum(checksum, delta);
  return updated.wire() == 0 ? Be16::from_wire(0xffff) : updated;
}

}  // namespace penstock::wire
