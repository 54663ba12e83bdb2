// payload_test - every way in which a stream can arrive wrong is seen, wherever it is cut.
#include "tests/support/transfer/payload.h"

#include <gtest/gtest.h>

#include <vector>

#include "tests/support/seeded.h"
#include "tests/support/transfer/stream.h"

namespace penstock::transfer {
namespace {

std::vector<std::byte> payload(std::uint64_t key, std::uint64_t from, std::size_t count) {
  std::vector<std::byte> out(count);
  fill_payload(out, key, from);
  return out;
}

TEST(Payload, IsTheSameHoweverItIsCut) {
  const auto whole = payload(5, 0, 1000);
  test::Seeded random{1};
  for (int round = 0; round < 500; ++round) {
    const std::size_t from = random.below(1000), count = random.below(1001 - from);
    const auto part = payload(5, from, count);
    EXPECT_TRUE(std::equal(part.begin(), part.end(), whole.begin() + static_cast<std::ptrdiff_t>(from)));
    EXPECT_EQ(payload_mismatch(part, 5, from), std::nullopt);
  }
}

TEST(Payload, AnyFlippedBitIsFoundAtItsPlace) {
  for (std::size_t bit = 0; bit < 64 * 8; ++bit) {
    auto octets = payload(9, 13, 64);
    octets[bit / 8] ^= static_cast<std::byte>(1u << bit % 8);
    EXPECT_EQ(payload_mismatch(octets, 9, 13), 13 + bit / 8);
  }
}

TEST(Payload, ShiftsRepetitionsAndForeignStreamsAreFound) {
  const auto octets = payload(3, 0, 4096);
  for (const std::uint64_t shift : {1u, 7u, 8u, 1448u, 4096u}) EXPECT_EQ(payload_mismatch(octets, 3, shift), shift);
  EXPECT_TRUE(payload_mismatch(octets, payload_key(1, false), 0));
  EXPECT_NE(payload(payload_key(1, false), 0, 8), payload(payload_key(1, true), 0, 8));
  EXPECT_NE(payload(payload_key(1, true), 0, 8), payload(payload_key(2, false), 0, 8));
}

TEST(Streams, WhatOneRendersTheOtherTakes) {
  OutStream out{Small{Request{}}, Small{Report{}}, 5000, 77, 0};
  InStream in;
  in.prefix = Small::empty(sizeof(Request));
  in.suffix = Small::empty(sizeof(Report));
  in.payload = 5000;
  in.key = 77;
  test::Seeded random{4};
  std::vector<std::byte> buffer(700);
  while (!out.done()) {
    const std::size_t count = out.render(std::span{buffer}.first(1 + random.below(buffer.size())));
    ASSERT_GT(count, 0u);
    out.position += count;
    for (std::span<const std::byte> left{buffer.data(), count}; !left.empty();) left = left.subspan(in.take(left));
  }
  EXPECT_TRUE(in.done());
  EXPECT_FALSE(in.corrupted);
  EXPECT_EQ(in.good, 5000u);
  EXPECT_EQ(in.prefix.as<Request>().magic, kRequestMagic);
  EXPECT_EQ(in.suffix.as<Report>().magic, kReportMagic);
  EXPECT_EQ(in.take(buffer), buffer.size());
  EXPECT_EQ(in.beyond, buffer.size());
}

TEST(Streams, TellHowManyOctetsWereGood) {
  InStream in;
  in.payload = 1000;
  in.key = 6;
  auto octets = payload(6, 0, 1000);
  octets[617] ^= std::byte{1};
  static_cast<void>(in.take(octets));
  EXPECT_TRUE(in.corrupted);
  EXPECT_EQ(in.good, 617u);
}

}  // namespace
}  // namespace penstock::transfer
