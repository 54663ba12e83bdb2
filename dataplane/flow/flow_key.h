// flow_key.h - what identifies one direction of a connection, and its keyed hash.
//
// Model     the 5-tuple as received. Both families have one form, so both cost the same.
// Shape     40 octets, no padding that is not zero: keys compare as words. The first 37 octets are laid out as in
//           control::FlowDirection.
// Errors    none.
// Not here  which worker owns a flow (worker/owner.h): that hash must not depend on a secret.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "dataplane/control/flow_layout.h"

namespace penstock::flow {

struct FlowKey {
  IpAddress src;
  IpAddress dst;
  Be16 src_port;
  Be16 dst_port;
  IpProto proto{};
  std::array<std::uint8_t, 3> zero{};
  friend bool operator==(const FlowKey& a, const FlowKey& b) {
    std::array<std::uint64_t, 5> x, y;
    std::memcpy(x.data(), &a, sizeof x);
    std::memcpy(y.data(), &b, sizeof y);
    return ((x[0] ^ y[0]) | (x[1] ^ y[1]) | (x[2] ^ y[2]) | (x[3] ^ y[3]) | (x[4] ^ y[4])) == 0;
  }
};
static_assert(sizeof(FlowKey) == 40 && alignof(FlowKey) <= 8);
static_assert(offsetof(FlowKey, proto) == offsetof(control::FlowDirection, proto));

/// The same flow seen from the other end.
[[nodiscard]] inline FlowKey reversed(const FlowKey& key) {
  return {key.dst, key.src, key.dst_port, key.src_port, key.proto, {}};
}
[[nodiscard]] inline FlowKey key_of(const control::FlowDirection& d) {
  return {d.src, d.dst, d.src_port, d.dst_port, d.proto, {}};
}
/// True when `direction` has this key. Words 0-3 are the addresses, word 4 ports and protocol.
[[nodiscard]] inline bool same_key(const control::FlowDirection& direction, const FlowKey& key) {
  std::array<std::uint64_t, 5> x, y;
  std::memcpy(x.data(), &direction, sizeof x);
  std::memcpy(y.data(), &key, sizeof y);
  static constexpr std::uint64_t kTail = 0x000000ff'ffffffff;  // ports and protocol, little-endian
  return ((x[0] ^ y[0]) | (x[1] ^ y[1]) | (x[2] ^ y[2]) | (x[3] ^ y[3]) | ((x[4] ^ y[4]) & kTail)) == 0;
}

/// Multiply-mix with a secret, so that nobody outside can choose colliding flows.
class FlowHasher {
 public:
  explicit FlowHasher(const std::array<std::uint64_t, 2>& seed)
      : seeds_{seed[0] | 1, seed[1], seed[0] ^ 0xa0761d6478bd642full, seed[1] ^ 0xe7037ed1a0b428dbull,
               seed[0] + seed[1]} {}
  [[nodiscard]] std::uint64_t operator()(const FlowKey& key) const {
    std::array<std::uint64_t, 5> w;
    std::memcpy(w.data(), &key, sizeof w);
    const std::uint64_t a = mix(w[0] ^ seeds_[0], w[1] ^ seeds_[1]);
    const std::uint64_t b = mix(w[2] ^ seeds_[2], w[3] ^ seeds_[3]);
    return mix(a ^ w[4], b ^ seeds_[4]) ^ a;
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
