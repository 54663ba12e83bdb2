#include "dataplane/tcp/siphash.h"

#include <bit>
#include <cstring>

namespace penstock::tcp {
namespace {

struct SipState {
  std::uint64_t v0, v1, v2, v3;
  void round() {
    v0 += v1, v1 = std::rotl(v1, 13), v1 ^= v0, v0 = std::rotl(v0, 32);
    v2 += v3, v3 = std::rotl(v3, 16), v3 ^= v2;
    v0 += v3, v3 = std::rotl(v3, 21), v3 ^= v0;
    v2 += v1, v1 = std::rotl(v1, 17), v1 ^= v2, v2 = std::rotl(v2, 32);
  }
  void absorb(std::uint64_t word) {
    v3 ^= word;
    round(), round();
    v0 ^= word;
  }
};

/// Up to eight octets, least significant first.
std::uint64_t load_little(ByteView bytes) {
  std::uint64_t out = 0;
  for (std::size_t i = 0; i < bytes.size(); ++i) out |= std::to_integer<std::uint64_t>(bytes[i]) << (8 * i);
  return out;
}

}  // namespace

std::uint64_t siphash(const SipKey& key, ByteView bytes) {
  SipState s{key.k0 ^ 0x736f6d6570736575, key.k1 ^ 0x646f72616e646f6d, key.k0 ^ 0x6c7967656e657261,
             key.k1 ^ 0x7465646279746573};
  const std::uint64_t length = bytes.size();
  while (bytes.size() >= 8) {
    s.absorb(load_little(bytes.first(8)));
    bytes = bytes.subspan(8);
  }
  s.absorb(load_little(bytes) | length << 56);
  s.v2 ^= 0xff;
  for (int i = 0; i < 4; ++i) s.round();
  return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}

}  // namespace penstock::tcp
