// flow_key.h - the key of one direction of a connection, and its keyed hash.
//
// Model     the 5-tuple as received (wire/five_tuple.h). Its first 37 octets are laid out as in
//           control::FlowDirection, and a PacketInfo begins with one: keys are compared where they stand.
// Errors    none.
// Not here  which worker owns a flow (worker/owner.h): that hash must not depend on a secret.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>

#include "dataplane/control/flow_layout.h"
#include "dataplane/wire/five_tuple.h"

namespace penstock::flow {

using FlowKey = wire::FiveTuple;
static_assert(offsetof(FlowKey, proto) == offsetof(control::FlowDirection, proto));

/// The same flow seen from the other end.
[[nodiscard]] inline FlowKey reversed(const FlowKey& key) {
  return {key.dst, key.src, key.dst_port, key.src_port, key.proto, {}};
}
[[nodiscard]] inline FlowKey key_of(const control::FlowDirection& d) {
  return {control::source_of(d), control::destination_of(d), d.src_port, d.dst_port, d.proto, {}};
}
/// True when `direction` has this key. Words 0-3 are the addresses, word 4 ports, protocol and flags. Words 0 and 2 of
/// an IPv4 record hold something else than its key (control/flow_layout.h), which has zero there.
[[nodiscard]] inline bool same_key(const control::FlowDirection& direction, const FlowKey& key) {
  using wire::word_of;
  static constexpr std::uint64_t kTail = 0x000000ff'ffffffff;  // ports and protocol, little-endian
  static_assert(offsetof(control::FlowDirection, flags) == 37 && control::kFlowV6 == 1 << 1);
  const std::uint64_t tail = word_of(direction, 4);
  const std::uint64_t wide = std::uint64_t{0} - ((tail >> 41) & 1);  // all ones for IPv6
  return (((word_of(direction, 0) & wide) ^ word_of(key, 0)) | (word_of(direction, 1) ^ word_of(key, 1)) |
          ((word_of(direction, 2) & wide) ^ word_of(key, 2)) | (word_of(direction, 3) ^ word_of(key, 3)) |
          ((tail ^ word_of(key, 4)) & kTail)) == 0;
}

/// Multiply-mix with a secret, so that nobody outside can choose colliding flows.
class FlowHasher {
 public:
  explicit FlowHasher(const std::array<std::uint64_t, 2>& seed)
      : seeds_{seed[0] | 1, seed[1], seed[0] ^ 0xa0761d6478bd642full, seed[1] ^ 0xe7037ed1a0b428dbull,
               seed[0] + seed[1]} {}
  [[nodiscard]] std::uint64_t operator()(const FlowKey& key) const {
    using wire::word_of;
    const std::uint64_t a = mix(word_of(key, 0) ^ seeds_[0], word_of(key, 1) ^ seeds_[1]);
    const std::uint64_t b = mix(word_of(key, 2) ^ seeds_[2], word_of(key, 3) ^ seeds_[3]);
    return mix(a ^ word_of(key, 4), b ^ seeds_[4]) ^ a;
  }

 private:
  static std::uint64_t mix(std::uint64_t a, std::uint64_t b) {
    __extension__ using Wide = unsigned __int128;
    const Wide product = static_cast<Wide>(a) * b;
    return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
  }
  std::array<std::uint64_t, 5> seeds_;
};

}  // namespace penstock::flow
