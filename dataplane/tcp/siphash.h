// siphash.h - SipHash-2-4, the keyed hash behind initial sequence numbers and SYN cookies.
//
// Model     Aumasson and Bernstein 2012; 64-bit result. The key is secret and is handed in.
// Errors    none.
#pragma once
#include <cstdint>

#include "dataplane/core/be.h"

namespace penstock::tcp {

struct SipKey {
  std::uint64_t k0{};
  std::uint64_t k1{};
};
[[nodiscard]] std::uint64_t siphash(const SipKey& key, ByteView bytes);

}  // namespace penstock::tcp
