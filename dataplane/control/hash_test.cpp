#include "dataplane/control/hash.h"

#include <gtest/gtest.h>

#include <numeric>
#include <string_view>
#include <vector>

namespace penstock::control {
namespace {

std::uint64_t hash_of(std::string_view text) { return hash64(std::as_bytes(std::span{text})); }

TEST(Hash64, agrees_with_the_published_values_of_xxh64) {
  EXPECT_EQ(hash_of(""), 0xef46db3751d8e999u);
  EXPECT_EQ(hash_of("a"), 0xd24ec4f1a98c6e5bu);
  EXPECT_EQ(hash_of("abc"), 0x44bc2cf5ad770999u);
  EXPECT_EQ(hash_of("The quick brown fox jumps over the lazy dog"), 0x0b242d361fda71bcu);
}

TEST(Hash64, differs_for_every_changed_bit_at_every_length) {
  for (std::size_t octets = 1; octets < 100; ++octets) {
    std::vector<std::byte> bytes(octets);
    const std::uint64_t before = hash64(bytes);
    for (std::size_t bit = 0; bit < octets * 8; ++bit) {
      bytes[bit / 8] ^= std::byte{1} << (bit % 8);
      EXPECT_NE(hash64(bytes), before) << octets << " octets, bit " << bit;
      bytes[bit / 8] ^= std::byte{1} << (bit % 8);
    }
  }
}

}  // namespace
}  // namespace penstock::control
