// payload.h - a byte stream in which every octet knows its position.
//
// Model     one fixed pseudo-random table whose length is prime; stream `id` at position p is table[(p + id * k) mod
//           length]. Octets delivered twice, early, or from another stream do not match.
// Shape     a constant, made by the compiler: a run costs nothing for it.
// Errors    matches() says false.
#pragma once
#include <array>
#include <cstdint>
#include <cstring>

#include "dataplane/core/be.h"

namespace penstock::tcpsim {

class Payload {
 public:
  constexpr Payload() {
    std::uint64_t state = 0x1234;
    for (std::byte& octet : table_) {
      state = state * 6364136223846793005ull + 1442695040888963407ull;
      octet = static_cast<std::byte>(state >> 56);
    }
    for (std::size_t i = 0; i < kTail; ++i) table_[kPeriod + i] = table_[i];
  }
  /// At most `octets` of stream `id` from `position`; may be fewer.
  [[nodiscard]] ByteView view(std::uint32_t id, std::uint64_t position, std::size_t octets) const {
    const std::size_t at = static_cast<std::size_t>((position + std::uint64_t{id} * 7919) % kPeriod);
    return ByteView{table_}.subspan(at, octets < kTail ? octets : kTail);
  }
  [[nodiscard]] bool matches(std::uint32_t id, std::uint64_t position, ByteView bytes) const {
    while (!bytes.empty()) {
      const ByteView expected = view(id, position, bytes.size());
      if (std::memcmp(bytes.data(), expected.data(), expected.size()) != 0) return false;
      bytes = bytes.subspan(expected.size());
      position += expected.size();
    }
    return true;
  }

 private:
  static constexpr std::size_t kPeriod = 65521;
  static constexpr std::size_t kTail = 4096;
  std::array<std::byte, kPeriod + kTail> table_{};
};

/// In one object file (payload.cpp); the same for every run.
extern const Payload kPayload;

}  // namespace penstock::tcpsim
