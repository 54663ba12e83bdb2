// bolt_test: what the lab sends is Bolt, and is told from what is not, wherever it is cut.
#include "bench/lab/peers/bolt.h"

#include <gtest/gtest.h>

namespace penstock::lab::bolt {
namespace {

using namespace std::string_literals;

TEST(Bolt, a_heartbeat_is_22_octets_and_its_answer_20_with_the_same_id) {
  const std::string sent = request(Kind::heartbeat, 0x01020304, 0);
  EXPECT_EQ(sent, "\x01\x01\x00\x00\x01\x01\x02\x03\x04\x01\x00\x00\x0b\xb8\x00\x00\x00\x00\x00\x00\x00\x00"s);
  EXPECT_EQ(answer(shape_of(sent)),
            "\x01\x00\x00\x00\x01\x01\x02\x03\x04\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"s);
}

TEST(Bolt, a_call_is_answered_with_as_much_content) {
  const std::string sent = request(Kind::call, 7, 1024);
  const Shape asked = shape_of(sent);
  EXPECT_EQ(asked.octets, sent.size());
  EXPECT_EQ(asked.content_octets, 1024U);
  EXPECT_FALSE(asked.is_answer);
  const Shape got = shape_of(answer(asked));
  EXPECT_TRUE(got.is_answer);
  EXPECT_EQ(got.kind, Kind::call);
  EXPECT_EQ(got.id, 7U);
  EXPECT_EQ(got.status, 0);
  EXPECT_EQ(got.content_octets, 1024U);
  EXPECT_EQ(got.octets, answer(asked).size());
}

TEST(Bolt, a_part_is_neither_whole_nor_broken) {
  const std::string sent = request(Kind::call, 7, 100) + request(Kind::heartbeat, 8, 0);
  const std::size_t first = request(Kind::call, 7, 100).size();
  for (std::size_t cut = 0; cut <= sent.size(); ++cut) {
    const Shape found = shape_of(std::string_view{sent}.substr(0, cut));
    EXPECT_FALSE(found.broken) << cut;
    EXPECT_EQ(found.octets, cut < first ? 0 : first) << cut;
  }
}

TEST(Bolt, what_cannot_become_a_frame_is_broken) {
  std::string wrong = request(Kind::heartbeat, 1, 0);
  for (const auto& [at, value] : {std::pair{0, '\x02'}, {1, '\x02'}, {3, '\x09'}, {18, '\x7f'}}) {
    std::string octets = wrong;
    octets[static_cast<std::size_t>(at)] = value;
    EXPECT_TRUE(shape_of(octets).broken) << at;
  }
  EXPECT_TRUE(shape_of("GET / HTTP/1.1").broken);
}

}  // namespace
}  // namespace penstock::lab::bolt
