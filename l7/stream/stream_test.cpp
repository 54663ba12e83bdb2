// The seam between TCP legs and codecs: gathering, writing, queueing, pausing.
#include <gtest/gtest.h>

#include <array>
#include <string>

#include "l7/stream/head_gather.h"
#include "l7/stream/output_queue.h"
#include "l7/stream/watermark.h"
#include "l7/stream/writer.h"

namespace penstock::stream {
namespace {

TEST(HeadGather, a_head_in_one_slice_is_not_copied) {
  std::array<char, 64> buffer;
  HeadGather gather{buffer};
  const std::string slice = "head and body";
  const std::string_view view = gather.offer(slice);
  EXPECT_EQ(view.data(), slice.data());
  EXPECT_EQ(gather.finish(4), 4u);
  EXPECT_FALSE(gather.copied());
}

TEST(HeadGather, a_head_over_three_slices_is_one_view) {
  std::array<char, 64> buffer;
  HeadGather gather{buffer};
  EXPECT_EQ(gather.offer("he"), "he");
  gather.keep();
  EXPECT_EQ(gather.offer("a"), "hea");
  gather.keep();
  EXPECT_EQ(gather.offer("d and body"), "head and body");
  EXPECT_EQ(gather.finish(4), 1u) << "one octet of the last slice belongs to the head";
  EXPECT_TRUE(gather.copied());
  EXPECT_EQ(gather.held(), 0u);
}

TEST(HeadGather, an_empty_slice_changes_nothing) {
  std::array<char, 8> buffer;
  HeadGather gather{buffer};
  EXPECT_EQ(gather.offer(""), "");
  gather.keep();
  EXPECT_EQ(gather.offer("ab"), "ab");
  gather.keep();
  EXPECT_EQ(gather.offer(""), "ab");
  gather.keep();
  EXPECT_EQ(gather.offer("cd"), "abcd");
}

TEST(HeadGather, what_does_not_fit_is_left_to_the_parsers_limit) {
  std::array<char, 4> buffer;
  HeadGather gather{buffer};
  static_cast<void>(gather.offer("abc"));
  gather.keep();
  EXPECT_EQ(gather.offer("defgh"), "abcd");
}

TEST(Watermark, pauses_above_high_and_resumes_at_low_once_each) {
  Watermark mark{{.high = 100, .low = 40}};
  EXPECT_EQ(mark.update(100), Flow::unchanged);
  EXPECT_EQ(mark.update(101), Flow::pause);
  EXPECT_EQ(mark.update(200), Flow::unchanged);
  EXPECT_EQ(mark.update(41), Flow::unchanged);
  EXPECT_TRUE(mark.paused());
  EXPECT_EQ(mark.update(40), Flow::resume);
  EXPECT_EQ(mark.update(0), Flow::unchanged);
}

TEST(Writer, numbers_and_text_stand_where_they_belong) {
  std::array<char, 64> buffer;
  Writer out{buffer};
  out.put("n=");
  out.put_decimal(18446744073709551615u);
  out.put(' ');
  out.put_hex(0xbeef);
  out.put_decimal(0);
  EXPECT_TRUE(out.ok());
  EXPECT_EQ(out.text(), "n=18446744073709551615 beef0");
}

TEST(Writer, overflow_is_sticky_even_for_a_shorter_text) {
  std::array<char, 4> buffer;
  Writer out{buffer};
  out.put("abc");
  out.put("de");
  out.put("f");
  EXPECT_FALSE(out.ok());
  EXPECT_EQ(out.text(), "abc");
}

class Queue : public ::testing::Test {
 protected:
  std::array<OutputPiece, 4> pieces;
  std::array<char, 8> ring;
  OutputQueue queue{pieces, ring};
  /// Everything queued, ranges as [where+octets], `step` octets at a time.
  std::string drain(std::uint64_t step) {
    std::string out;
    while (!queue.empty()) {
      const std::uint64_t octets =
          std::min<std::uint64_t>(step, queue.front().is_text ? queue.text().size() : queue.front().range.octets);
      if (queue.front().is_text)
        out += queue.text().substr(0, octets);
      else
        out += "[" + std::to_string(queue.front().range.where) + "+" + std::to_string(octets) + "]";
      queue.sent(octets);
    }
    return out;
  }
};

TEST_F(Queue, keeps_the_order_of_text_and_ranges) {
  EXPECT_TRUE(queue.push("head"));
  EXPECT_TRUE(queue.push(Range{100, 5}));
  EXPECT_TRUE(queue.push("\r\n"));
  EXPECT_EQ(queue.queued(), 11u);
  EXPECT_EQ(drain(100), "head[100+5]\r\n");
  EXPECT_EQ(queue.queued(), 0u);
}

TEST_F(Queue, joins_what_follows_without_a_gap) {
  EXPECT_TRUE(queue.push(Range{100, 5}));
  EXPECT_TRUE(queue.push(Range{105, 5}));
  EXPECT_TRUE(queue.push(Range{111, 5}));
  EXPECT_EQ(drain(100), "[100+10][111+5]");
}

TEST_F(Queue, refuses_what_does_not_fit_and_keeps_the_rest) {
  EXPECT_TRUE(queue.push("12345"));
  EXPECT_FALSE(queue.push("6789"));
  EXPECT_TRUE(queue.push(Range{1, 1}));
  EXPECT_TRUE(queue.push("678"));
  EXPECT_TRUE(queue.push(Range{3, 1}));
  EXPECT_FALSE(queue.push(Range{5, 1})) << "four pieces are the limit";
  EXPECT_EQ(drain(2), "12345[1+1]678[3+1]");
}

TEST_F(Queue, text_survives_the_wrap_of_the_ring) {
  std::string sent, expected;
  for (int round = 0; round < 50; ++round) {
    const std::string text = "r" + std::to_string(round) + ";";
    ASSERT_TRUE(queue.push(text));
    expected += text;
    sent += drain(static_cast<std::uint64_t>(round % 5 + 1));
  }
  EXPECT_EQ(sent, expected);
}

}  // namespace
}  // namespace penstock::stream
