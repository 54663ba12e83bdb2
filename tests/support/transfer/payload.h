// payload.h - octets whose value follows from their position, so that every one of them can be checked on arrival.
//
// Model     the stream is a sequence of 8-octet words, mix(key + index), little end first. A lost, repeated, swapped or
//           changed octet differs with certainty beyond 2^-64 per word. Each direction of each connection has its own
//           key.
// Not here  sockets (endpoint.h).
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>

namespace penstock::transfer {

inline std::uint64_t payload_key(std::uint64_t connection, bool down) {
  return (connection * 2 + (down ? 1 : 0)) * 0xd1342543de82ef95ull;
}

inline std::uint64_t payload_word(std::uint64_t key, std::uint64_t index) {
  std::uint64_t z = (key + index) * 0x9e3779b97f4a7c15ull;
  z = (z ^ (z >> 32)) * 0xbf58476d1ce4e5b9ull;
  return z ^ (z >> 29);
}

/// Writes the stream's octets from `position` on.
inline void fill_payload(std::span<std::byte> out, std::uint64_t key, std::uint64_t position) {
  std::size_t done = 0;
  while (done < out.size()) {
    const std::uint64_t word = payload_word(key, (position + done) / 8);
    const std::size_t skip = (position + done) % 8;
    const std::size_t count = std::min(8 - skip, out.size() - done);
    std::memcpy(out.data() + done, reinterpret_cast<const std::byte*>(&word) + skip, count);
    done += count;
  }
}

/// Where, counted from the stream's beginning, the first octet is that should be another.
inline std::optional<std::uint64_t> payload_mismatch(std::span<const std::byte> in, std::uint64_t key,
                                                     std::uint64_t position) {
  std::size_t done = 0;
  while (done < in.size()) {
    const std::uint64_t word = payload_word(key, (position + done) / 8);
    const std::size_t skip = (position + done) % 8;
    const std::size_t count = std::min(8 - skip, in.size() - done);
    const std::byte* expected = reinterpret_cast<const std::byte*>(&word) + skip;
    if (std::memcmp(in.data() + done, expected, count) != 0) {
      while (in[done] == *expected) ++done, ++expected;
      return position + done;
    }
    done += count;
  }
  return std::nullopt;
}

}  // namespace penstock::transfer
