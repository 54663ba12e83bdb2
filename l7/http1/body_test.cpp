// Bodies: where they end, that they are named and not copied, and what stands around chunks.
#include "l7/http1/body.h"

#include <gtest/gtest.h>

#include <array>
#include <memory>

namespace penstock::http1 {
namespace {

class Body : public ::testing::Test {
 protected:
  /// "data 100+5" for each piece, then how it ended and what is left.
  std::string feed(std::string_view octets, stream::Position where = 100) {
    stream::Slice slice{octets, where};
    std::string out;
    while (true) {
      const BodyReader::Step step = reader.feed(slice, *marks);
      slice = slice.from(step.consumed);
      if (step.status == BodyStatus::data)
        out += "data " + std::to_string(step.data.where) + "+" + std::to_string(step.data.octets) + " ";
      else
        return out + kNames[static_cast<std::size_t>(step.status)] + " left " + std::to_string(slice.octets.size());
    }
  }
  static constexpr std::array<const char*, 4> kNames{"more", "data", "complete", "rejected"};
  BodyLimits limits;
  std::array<char, 64> trailers;
  std::unique_ptr<Marks> marks = std::make_unique<Marks>();
  BodyReader reader{limits, best_classifier(), trailers};
};

TEST_F(Body, without_a_body_everything_behind_the_head_is_the_next_message) {
  reader.start({.kind = BodyKind::none});
  EXPECT_EQ(feed("GET"), "complete left 3");
  reader.start({.kind = BodyKind::content_length, .content_length = 0});
  EXPECT_EQ(feed("GET"), "complete left 3");
}

TEST_F(Body, content_length_ends_to_the_octet) {  // RFC 9112 s6.3 rule 6
  reader.start({.kind = BodyKind::content_length, .content_length = 5});
  EXPECT_EQ(feed("abc", 100), "data 100+3 more left 0");
  EXPECT_FALSE(reader.complete());
  EXPECT_EQ(feed("deGET", 103), "data 103+2 complete left 3");
  EXPECT_TRUE(reader.complete());
}

TEST_F(Body, until_close_ends_with_the_stream) {  // RFC 9112 s6.3 rule 8
  reader.start({.kind = BodyKind::until_close});
  EXPECT_EQ(feed("abc"), "data 100+3 more left 0");
  EXPECT_EQ(reader.end_of_stream(), BodyStatus::complete);
  EXPECT_TRUE(reader.complete());
}

TEST_F(Body, closing_too_early_is_a_truncation) {  // RFC 9112 s8
  for (const BodyKind kind : {BodyKind::content_length, BodyKind::chunked}) {
    reader.start({.kind = kind, .content_length = 5});
    EXPECT_EQ(feed(kind == BodyKind::chunked ? "5\r\nabc" : "abc").substr(0, 4), "data");
    EXPECT_EQ(reader.end_of_stream(), BodyStatus::rejected);
    EXPECT_EQ(reader.reason(), RejectReason::body_truncated);
  }
}

TEST_F(Body, chunk_data_is_named_by_its_place_in_the_stream) {
  reader.start({.kind = BodyKind::chunked});
  EXPECT_EQ(feed("3;x=y\r\nabc\r\n2\r\nde\r\n0\r\n\r\nGET", 1000), "data 1007+3 data 1015+2 complete left 3");
}

TEST_F(Body, a_large_chunk_comes_in_pieces_as_it_arrives) {
  reader.start({.kind = BodyKind::chunked});
  EXPECT_EQ(feed("ffffff\r\nab", 0), "data 8+2 more left 0");
  EXPECT_EQ(reader.chunked().remaining(), 0xfffffdu);
  EXPECT_EQ(feed("cdef", 10), "data 10+4 more left 0");
}

TEST_F(Body, the_largest_chunk_is_2_to_63_minus_1) {
  reader.start({.kind = BodyKind::chunked});
  EXPECT_EQ(feed("7fffffffffffffff\r\n"), "more left 0");
  EXPECT_EQ(reader.chunked().remaining(), 0x7fffffffffffffffu);
}

TEST_F(Body, trailers_are_fields_behind_the_last_chunk) {  // RFC 9112 s7.1.2
  reader.start({.kind = BodyKind::chunked});
  EXPECT_EQ(feed("0\r\nX-Sum: 1\r\n"), "more left 0");
  EXPECT_EQ(feed("Y: \r\n\r\nGET"), "complete left 3");
  EXPECT_EQ(reader.chunked().trailer_text(), "X-Sum: 1\r\nY: \r\n\r\n");
  const auto fields = std::make_unique<FieldTable>();
  ASSERT_EQ(reader.chunked().parse_trailers(*marks, NameRule::reject, *fields), RejectReason::none);
  ASSERT_EQ(fields->count, 2u);
  EXPECT_EQ(fields->fields[0].value.in(reader.chunked().trailer_text()), "1");
}

TEST_F(Body, trailers_that_do_not_fit_are_refused) {
  reader.start({.kind = BodyKind::chunked});
  EXPECT_EQ(feed("0\r\nX: " + std::string(57, 'y') + "\r\n\r\n"), "complete left 0") << "64 octets fit";
  reader.start({.kind = BodyKind::chunked});
  EXPECT_TRUE(feed("0\r\nX: " + std::string(58, 'y') + "\r\n\r\n").starts_with("rejected"));
  EXPECT_EQ(reader.reason(), RejectReason::trailer_too_large);
}

TEST_F(Body, after_a_refusal_nothing_is_read) {
  reader.start({.kind = BodyKind::chunked});
  EXPECT_TRUE(feed("x").starts_with("rejected"));
  EXPECT_EQ(feed("0\r\n\r\n"), "rejected left 5");
}

TEST_F(Body, each_message_starts_with_its_own_extension_budget) {
  for (int message = 0; message < 3; ++message) {
    reader.start({.kind = BodyKind::chunked});
    std::string octets;
    for (int chunk = 0; chunk < 16; ++chunk) octets += "1;" + std::string(250, 'x') + "\r\na\r\n";
    EXPECT_TRUE(feed(octets + "0\r\n\r\n").ends_with("complete left 0"));
  }
}

TEST(ChunkedEncoder, writes_what_stands_around_the_data) {
  std::array<char, 64> space;
  stream::Writer out{space};
  ChunkedEncoder encoder;
  encoder.begin_chunk(255, out);
  out.put("[255]");
  encoder.begin_chunk(4096, out);
  out.put("[4096]");
  encoder.last_chunk(out);
  out.put("\r\n");
  EXPECT_EQ(out.text(), "ff\r\n[255]\r\n1000\r\n[4096]\r\n0\r\n\r\n");
}

TEST(ChunkedEncoder, an_empty_body_is_its_last_chunk) {
  std::array<char, 64> space;
  stream::Writer out{space};
  ChunkedEncoder encoder;
  encoder.last_chunk(out);
  EXPECT_EQ(out.text(), "0\r\n");
}

}  // namespace
}  // namespace penstock::http1
