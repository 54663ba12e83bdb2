// flow_hash.h - the hashes that place flows on endpoints and on workers.
//
// Model     a pure function of the flow's key and a fixed seed: equal on every node, in every process and under
//           every snapshot, so that nodes which share an address send a flow to the same endpoint.
// Shape     64 bits, multiply-and-fold mixing of 64-bit words; every bit depends on every input bit.
// Not here  the flow table's own hash (dataplane/flow), which has its own secret seed.
#pragma once
#include <cstdint>
#include <cstring>

#include "dataplane/core/addresses.h"

namespace penstock::lb {

namespace detail {
inline constexpr std::uint64_t kSeed0 = 0xa0761d6478bd642full;
inline constexpr std::uint64_t kSeed1 = 0xe7037ed1a0b428dbull;
inline constexpr std::uint64_t kSeed2 = 0x8ebc6af09c88c6e3ull;
inline constexpr std::uint64_t kSeed3 = 0x589965cc75374cc3ull;
__extension__ using Wide = unsigned __int128;

[[nodiscard]] constexpr std::uint64_t mix(std::uint64_t a, std::uint64_t b) {
  const Wide product = Wide{a} * b;
  return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
}
[[nodiscard]] inline std::uint64_t word(const IpAddress& address, std::size_t at) {
  std::uint64_t out;
  std::memcpy(&out, address.octets.data() + at, 8);
  return out;
}
[[nodiscard]] inline std::uint64_t mix(const IpAddress& address, std::uint64_t seed) {
  return mix(word(address, 0) ^ kSeed1, word(address, 8) ^ seed);
}
/// The last step: without it consecutive ports of one client would land at regular distances.
[[nodiscard]] constexpr std::uint64_t finish(std::uint64_t hash) { return mix(hash ^ kSeed1, kSeed2); }
}  // namespace detail

/// Hash of one side of a flow. Places flows on workers: {client's address, client's port, protocol}.
[[nodiscard]] inline std::uint64_t endpoint_hash(const IpAddress& address, Be16 port, IpProto proto) {
  const std::uint64_t tail = static_cast<std::uint64_t>(port.wire()) << 8 | static_cast<std::uint64_t>(proto);
  return detail::finish(detail::mix(detail::mix(address, detail::kSeed0) ^ detail::kSeed2, tail ^ detail::kSeed3));
}

/// Hash of a whole flow as received from downstream. Picks the endpoint (maglev.h).
[[nodiscard]] inline std::uint64_t flow_hash(const IpAddress& src, Be16 src_port, const IpAddress& dst, Be16 dst_port,
                                             IpProto proto) {
  const std::uint64_t tail = static_cast<std::uint64_t>(src_port.wire()) << 32 |
                             static_cast<std::uint64_t>(dst_port.wire()) << 16 | static_cast<std::uint64_t>(proto);
  const std::uint64_t both = detail::mix(src, detail::kSeed0) ^ detail::mix(dst, detail::kSeed2);
  return detail::finish(detail::mix(both ^ detail::kSeed1, tail ^ detail::kSeed3));
}

/// The share of [0, count) that a hash falls into: multiplication instead of division. count > 0.
[[nodiscard]] constexpr std::uint32_t share_of(std::uint64_t hash, std::uint32_t count) {
  return static_cast<std::uint32_t>((detail::Wide{hash} * count) >> 64);
}

}  // namespace penstock::lb
