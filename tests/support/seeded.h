// seeded.h - randomness for tests that is the same on every run.
//
// Model     splitmix64 from a stated seed; a failing test prints the seed or the round.
#pragma once
#include <cstddef>
#include <cstdint>

#include "tests/support/packet_builder.h"

namespace penstock::test {

class Seeded {
 public:
  explicit Seeded(std::uint64_t seed) : state_{seed} {}
  std::uint64_t next() {
    std::uint64_t z = (state_ += 0x9e3779b97f4a7c15ull);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
  }
  /// Of [0, bound); bound > 0.
  std::size_t below(std::size_t bound) { return static_cast<std::size_t>(next() % bound); }
  bool coin() { return (next() & 1) != 0; }
  std::uint16_t u16() { return static_cast<std::uint16_t>(next()); }
  std::uint32_t u32() { return static_cast<std::uint32_t>(next()); }
  Bytes bytes(std::size_t count) {
    Bytes out(count);
    for (std::byte& octet : out) octet = static_cast<std::byte>(next() & 0xff);
    return out;
  }
  /// A unicast address of either family.
  IpAddress address(bool v4) {
    if (v4) return IpAddress::v4(10, static_cast<std::uint8_t>(next()), static_cast<std::uint8_t>(next()), 1);
    IpAddress out;
    for (std::uint8_t& octet : out.octets) octet = static_cast<std::uint8_t>(next());
    out.octets[0] = 0xfd;
    return out;
  }
  MacAddress mac() {
    MacAddress out;
    for (std::uint8_t& octet : out.octets) octet = static_cast<std::uint8_t>(next());
    out.octets[0] = 2;
    return out;
  }

 private:
  std::uint64_t state_;
};

}  // namespace penstock::test
