// Stage 1: the three builds agree on every octet at every place, and the marks are where the figure says.
#include "l7/http1/classify.h"

#include <gtest/gtest.h>

#include <random>
#include <string>

#include "l7/http1/chars.h"
#include "l7/http1/head_scan.h"
#include "l7/http1/relay_test_support.h"

namespace penstock::http1 {
namespace {

bool same(const HeadMasks& a, const HeadMasks& b) {
  return a.lf == b.lf && a.cr == b.cr && a.control == b.control && a.token == b.token;
}
bool same(const TargetMasks& a, const TargetMasks& b) {
  return a.uri == b.uri && a.question == b.question && a.special == b.special;
}

/// True when all levels give the scalar masks for `text`, which has exactly its own allocation.
bool all_agree(const std::string& text) {
  const std::vector<char> exact(text.begin(), text.end());
  const std::size_t blocks = (text.size() + 63) / 64;
  std::vector<HeadMasks> head(blocks), expected_head(blocks);
  std::vector<TargetMasks> target(blocks), expected_target(blocks);
  classifier_of(SimdLevel::scalar)->head(exact.data(), exact.size(), expected_head.data());
  classifier_of(SimdLevel::scalar)->target(exact.data(), exact.size(), expected_target.data());
  for (const Classifier* classifier : test::classifiers()) {
    classifier->head(exact.data(), exact.size(), head.data());
    classifier->target(exact.data(), exact.size(), target.data());
    for (std::size_t i = 0; i < blocks; ++i)
      if (!same(head[i], expected_head[i]) || !same(target[i], expected_target[i])) return false;
  }
  return true;
}

TEST(Classify, the_processor_of_this_test_has_a_vector_level) {
  EXPECT_NE(best_classifier().level, SimdLevel::scalar) << "the comparison below would compare nothing";
}

TEST(Classify, all_levels_agree_on_every_octet_in_every_place_of_a_block) {
  for (int octet = 0; octet < 256; ++octet)
    for (std::size_t place = 0; place < 64; ++place) {
      std::string block(64, 'x');
      block[place] = static_cast<char>(octet);
      ASSERT_TRUE(all_agree(block)) << octet << " at " << place;
    }
}

TEST(Classify, all_levels_agree_on_every_length_and_read_nothing_beyond) {
  std::mt19937 random{1};
  for (std::size_t octets = 0; octets <= 200; ++octets)
    for (int round = 0; round < 8; ++round) {
      std::string text(octets, ' ');
      for (char& c : text) c = static_cast<char>(random());
      ASSERT_TRUE(all_agree(text)) << test::escaped(text);
    }
}

TEST(Classify, the_scalar_masks_are_the_classes_of_the_rfcs) {
  for (unsigned octet = 0; octet < 256; ++octet) {
    const char c = static_cast<char>(octet);
    HeadMasks head;
    TargetMasks target;
    classifier_of(SimdLevel::scalar)->head(&c, 1, &head);
    classifier_of(SimdLevel::scalar)->target(&c, 1, &target);
    const bool tchar =
        octet < 128 && (std::isalnum(c) != 0 || std::string_view{"!#$%&'*+-.^`|~"}.find(c) != std::string_view::npos);
    EXPECT_EQ(head.token, tchar && octet != 0) << octet;
    EXPECT_EQ(head.control, (octet < 32 && octet != 9 && octet != 10 && octet != 13) || octet == 127) << octet;
    const bool uri = octet < 128 && (std::isalnum(c) != 0 ||
                                     std::string_view{"-._~:/?[]@!$&'()*+,;=%"}.find(c) != std::string_view::npos);
    EXPECT_EQ(target.uri, uri && octet != 0) << octet;
  }
}

TEST(HeadScan, marks_are_the_end_of_the_leading_token_and_the_lf_of_each_line) {
  HeadScan scan{{1000, 10}};
  Marks marks;
  ASSERT_EQ(scan.scan("GET / HTTP/1.1\r\nHost: a\r\nVia: b\r\n\r\nbody", best_classifier(), marks),
            ParseStatus::complete);
  EXPECT_EQ(scan.lines(), 3u);
  EXPECT_EQ(scan.head_octets(), 35u);
  const std::vector<std::uint16_t> expected{3, 15, 20, 24, 28, 32};
  EXPECT_EQ(std::vector<std::uint16_t>(marks.begin(), marks.begin() + 6), expected);
}

TEST(HeadScan, a_name_that_crosses_a_block_keeps_its_end) {
  for (std::size_t before = 40; before < 90; ++before) {
    const std::string text = "GET / HTTP/1.1\r\nA: " + std::string(before, 'x') + "\r\nLong-Name-Of-A-Field: b\r\n\r\n";
    HeadScan scan{{1000, 10}};
    Marks marks;
    ASSERT_EQ(scan.scan(text, best_classifier(), marks), ParseStatus::complete);
    EXPECT_EQ(text[marks[4]], ':');
    EXPECT_EQ(marks[4], text.find("d: b") + 1);
    EXPECT_EQ(scan.head_octets(), text.size());
  }
}

TEST(HeadScan, whole_blocks_are_not_looked_at_again) {
  const std::string text(640, 'x');
  HeadScan scan{{1000, 10}};
  Marks marks;
  ASSERT_EQ(scan.scan(text, best_classifier(), marks), ParseStatus::more);
  // If they were, the control octets put there now would be found.
  std::string changed = text;
  std::fill(changed.begin(), changed.begin() + 640, '\0');
  EXPECT_EQ(scan.scan(changed + "xx", best_classifier(), marks), ParseStatus::more);
}

}  // namespace
}  // namespace penstock::http1
