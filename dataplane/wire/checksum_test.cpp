#include "dataplane/wire/checksum.h"

#include <gtest/gtest.h>

#include "tests/support/seeded.h"

namespace penstock::wire {
namespace {

using test::Bytes;
using test::plain_sum;
using test::Seeded;

std::uint16_t host_sum(std::uint64_t sum) { return Be16::from_wire(fold(sum)).host(); }

TEST(Checksum, sums_the_example_of_rfc_1071) {
  const unsigned octets[] = {0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7};
  Bytes bytes;
  for (const unsigned octet : octets) bytes.push_back(static_cast<std::byte>(octet));
  EXPECT_EQ(host_sum(sum_of(bytes)), 0xddf2);
}

TEST(Checksum, equals_the_plain_algorithm_for_every_length_and_alignment) {
  Seeded random{1071};
  for (std::size_t length = 0; length < 300; ++length)
    for (std::size_t shift = 0; shift < 8; ++shift) {
      const Bytes bytes = random.bytes(length + shift);
      const ByteView view = ByteView{bytes}.subspan(shift);
      ASSERT_EQ(host_sum(sum_of(view)), plain_sum(view)) << "length " << length << " shift " << shift;
    }
}

TEST(Checksum, carries_survive_when_every_word_is_all_ones) {
  for (const std::size_t length : {2u, 7u, 8u, 31u, 32u, 64u, 1500u, 9000u, 65535u}) {
    const Bytes ones(length, std::byte{0xff});
    EXPECT_EQ(host_sum(sum_of(ones)), plain_sum(ones)) << length;
  }
}

TEST(Checksum, a_long_region_equals_the_plain_algorithm_whatever_it_holds) {
  Seeded random{64};
  for (const std::size_t length : {65536u, 65600u, 200'001u}) {
    for (const unsigned octet : {0x00u, 0x7fu, 0x80u, 0xffu}) {
      const Bytes same(length, static_cast<std::byte>(octet));
      EXPECT_EQ(host_sum(sum_of(same)), plain_sum(same)) << length << " octets of " << octet;
    }
    const Bytes bytes = random.bytes(length);
    EXPECT_EQ(host_sum(sum_of(bytes)), plain_sum(bytes)) << length;
  }
}

TEST(Checksum, sums_of_parts_split_at_random_even_places_add_up_to_the_whole) {
  Seeded random{42};
  for (int round = 0; round < 5000; ++round) {
    const Bytes bytes = random.bytes(random.below(2000) + 1);
    std::uint64_t sum = 0;
    std::size_t at = 0;
    while (at < bytes.size()) {
      const std::size_t left = bytes.size() - at;
      std::size_t part = random.below(left) + 1;
      if (part != left) part += part & 1;  // the next part must begin at an even offset
      part = std::min(part, left);
      sum = add_sums(sum, sum_of(ByteView{bytes}.subspan(at, part)));
      at += part;
    }
    ASSERT_EQ(host_sum(sum), plain_sum(bytes)) << "round " << round;
  }
}

TEST(Checksum, fold_is_the_remainder_modulo_65535_for_any_accumulator) {
  Seeded random{7};
  for (int round = 0; round < 100000; ++round) {
    const std::uint64_t sum = round % 3 == 0 ? ~std::uint64_t{0} - random.below(1000) : random.next();
    ASSERT_EQ(fold(sum) % 0xffff, sum % 0xffff) << sum;
    if (sum != 0) {
      ASSERT_NE(fold(sum), 0) << sum;
    }
  }
  EXPECT_EQ(fold(0), 0);
  EXPECT_EQ(fold(0xffff), 0xffff);
}

TEST(Checksum, an_accumulator_that_saw_a_word_never_returns_to_zero) {
  EXPECT_EQ(add_sums(~std::uint64_t{0}, 1), 1u);
  EXPECT_EQ(add_sums(0x8000000000000000ull, 0x8000000000000000ull), 1u);
}

TEST(Checksum, an_update_equals_a_full_computation_over_random_changes) {
  Seeded random{1624};
  for (int round = 0; round < 20000; ++round) {
    Bytes bytes = random.bytes(64);
    if (round % 5 == 0) std::fill(bytes.begin() + 8, bytes.end(), round % 2 == 0 ? std::byte{0xff} : std::byte{0});
    bytes[0] = std::byte{0x45};  // like a header, never all zero
    const Be16 before = checksum_from(sum_of(bytes));
    ChecksumDelta delta;
    const std::size_t at16 = random.below(8) * 2, at32 = 16 + random.below(4) * 4;
    const auto new16 = Be16::from_wire(random.coin() ? random.u16() : std::uint16_t{0xffff});
    const auto new32 = Be32::from_wire(random.coin() ? random.u32() : 0u);
    const IpAddress new128 = random.address(random.coin());
    IpAddress old128;
    std::memcpy(old128.octets.data(), bytes.data() + 40, 16);
    if (at16 != 0) {
      delta.change(load_be<std::uint16_t>(bytes, at16), new16);
      store_be(ByteSpan{bytes}, at16, new16);
    }
    delta.change(load_be<std::uint32_t>(bytes, at32), new32);
    store_be(ByteSpan{bytes}, at32, new32);
    delta.change(old128, new128);
    std::memcpy(bytes.data() + 40, new128.octets.data(), 16);
    ASSERT_EQ(updated_checksum(before, delta.folded()), checksum_from(sum_of(bytes))) << "round " << round;
  }
}

TEST(Checksum, a_change_of_region_sums_equals_a_full_computation) {
  Seeded random{11};
  for (int round = 0; round < 5000; ++round) {
    Bytes bytes = random.bytes(100);
    const Be16 before = checksum_from(sum_of(bytes));
    const std::size_t at = random.below(20) * 2, length = random.below(20) * 2;
    const ByteSpan region = ByteSpan{bytes}.subspan(at, length);
    const std::uint64_t old_sum = sum_of(region);
    for (std::byte& octet : region) octet = static_cast<std::byte>(random.next() & 0xff);
    ChecksumDelta delta;
    delta.change_sums(old_sum, sum_of(region));
    ASSERT_EQ(updated_checksum(before, delta.folded()), checksum_from(sum_of(bytes))) << "round " << round;
  }
}

TEST(Checksum, the_counterexample_of_rfc_1624_section_4_comes_out_right) {
  // HC = 0xdd2f, m = 0x5555 -> m' = 0x3285 must give 0x0000, where eqn. 2 of RFC 1141 gave 0xffff.
  ChecksumDelta delta;
  delta.change(Be16::from_host(0x5555), Be16::from_host(0x3285));
  EXPECT_EQ(updated_checksum(Be16::from_host(0xdd2f), delta.folded()).host(), 0x0000);
}

TEST(Checksum, udp_without_a_checksum_stays_without_and_a_computed_zero_becomes_ones) {
  ChecksumDelta delta;
  delta.change(Be16::from_host(0x5555), Be16::from_host(0x3285));
  EXPECT_EQ(updated_udp_checksum(Be16{}, delta.folded()), Be16{});
  EXPECT_EQ(updated_udp_checksum(Be16::from_host(0xdd2f), delta.folded()).host(), 0xffff);
  EXPECT_EQ(udp_checksum_from(0xffff).wire(), 0xffff);
  EXPECT_EQ(checksum_from(0xffff).wire(), 0x0000);
}

TEST(Checksum, a_udp_checksum_of_ones_is_updated_as_the_zero_that_it_stands_for) {
  Seeded random{768};
  for (int round = 0; round < 2000; ++round) {
    const auto from = Be16::from_wire(random.u16()), to = Be16::from_wire(random.u16());
    // A datagram whose whole sum is 0xffff: one word `from` and one that completes it.
    Bytes bytes(4);
    store_be(ByteSpan{bytes}, 0, from);
    store_be(ByteSpan{bytes}, 2, Be16::from_wire(static_cast<std::uint16_t>(~from.wire())));
    ASSERT_EQ(udp_checksum_from(sum_of(bytes)).wire(), 0xffff);
    ChecksumDelta delta;
    delta.change(from, to);
    store_be(ByteSpan{bytes}, 0, to);
    ASSERT_EQ(updated_udp_checksum(Be16::from_wire(0xffff), delta.folded()), udp_checksum_from(sum_of(bytes)));
  }
}

TEST(Checksum, the_pseudo_header_sum_equals_the_plain_one_in_both_families) {
  Seeded random{9293};
  for (int round = 0; round < 2000; ++round) {
    const bool v4 = random.coin();
    const IpAddress src = random.address(v4), dst = random.address(v4);
    const std::uint32_t octets = random.u16();
    Bytes plain;
    for (const IpAddress& address : {src, dst}) {
      const ByteView all = std::as_bytes(std::span{address.octets});
      const ByteView own = v4 ? all.subspan(12) : all;
      plain.insert(plain.end(), own.begin(), own.end());
    }
    for (const unsigned octet : {octets >> 24, octets >> 16, octets >> 8, octets, 0u, 0u, 0u, 6u})
      plain.push_back(static_cast<std::byte>(octet & 0xff));
    ASSERT_EQ(host_sum(pseudo_header_sum(src, dst, IpProto::tcp, octets)), plain_sum(plain));
  }
}

TEST(Checksum, tells_a_partial_checksum_from_a_full_one) {
  const auto builder = test::PacketBuilder{}.ipv4("10.0.0.1", "10.0.0.2").tcp(1, 2).payload("some data");
  const std::uint64_t pseudo = pseudo_header_sum(test::ip("10.0.0.1"), test::ip("10.0.0.2"), IpProto::tcp, 29);
  const Bytes partial = test::PacketBuilder{builder}.checksum(test::ChecksumMode::partial).build();
  EXPECT_TRUE(is_partial(load_be<std::uint16_t>(partial, 14 + 20 + 16), pseudo));
  EXPECT_FALSE(is_partial(load_be<std::uint16_t>(builder.build(), 14 + 20 + 16), pseudo));
}

}  // namespace
}  // namespace penstock::wire
