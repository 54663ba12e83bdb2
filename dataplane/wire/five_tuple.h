// five_tuple.h - what identifies one direction of a connection, as received.
//
// Model     addresses, ports and protocol in one form for both families, so that both cost the same.
// Shape     40 octets; what is not used is zero, so tuples compare and hash as five words. Words are loaded one by
//           one: a copy of the whole goes through the stack and costs more than the comparison.
// Errors    none.
// Not here  the hash (flow/flow_key.h).
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "dataplane/core/addresses.h"
#include "dataplane/core/be.h"

namespace penstock::wire {

/// The i-th octet group of eight of any object that is laid out like a tuple.
template <typename T>
[[nodiscard]] inline std::uint64_t word_of(const T& object, std::size_t i) {
  static_assert(sizeof(T) >= 40);
  std::uint64_t word;
  std::memcpy(&word, reinterpret_cast<const std::byte*>(&object) + 8 * i, sizeof word);
  return word;
}

struct FiveTuple {
  IpAddress src;
  IpAddress dst;
  Be16 src_port;
  Be16 dst_port;
  IpProto proto{};
  std::array<std::uint8_t, 3> zero{};
  friend bool operator==(const FiveTuple& a, const FiveTuple& b) {
    return ((word_of(a, 0) ^ word_of(b, 0)) | (word_of(a, 1) ^ word_of(b, 1)) | (word_of(a, 2) ^ word_of(b, 2)) |
            (word_of(a, 3) ^ word_of(b, 3)) | (word_of(a, 4) ^ word_of(b, 4))) == 0;
  }
};
static_assert(sizeof(FiveTuple) == 40 && alignof(FiveTuple) <= 8);

}  // namespace penstock::wire
