// hash.h - the one hash of snapshots: XXH64.
//
// Model     XXH64 with seed 0 over the bytes, as published by its author; a second implementer can use any copy.
// Units     octets in, 64 bits out.
// Errors    none. Not against an adversary: it finds damage and equality.
#pragma once
#include <cstdint>

#include "dataplane/core/be.h"

namespace penstock::control {

[[nodiscard]] std::uint64_t hash64(ByteView bytes);

}  // namespace penstock::control
