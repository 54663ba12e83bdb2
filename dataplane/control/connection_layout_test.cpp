#include "dataplane/control/connection_layout.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>

namespace penstock::control {
namespace {

struct alignas(64) Line {
  std::array<std::byte, 64> octets{};
};

class ConnectionArena : public ::testing::Test {
 protected:
  ByteSpan memory(std::size_t octets) {
    lines_.assign((octets + sizeof(Line) - 1) / sizeof(Line), Line{});
    return {reinterpret_cast<std::byte*>(lines_.data()), octets};
  }
  std::vector<Line> lines_;
};

TEST_F(ConnectionArena, a_formatted_arena_has_the_records_that_fit_and_none_in_use) {
  const ByteSpan arena = memory(connection_arena_octets(5) + 255);
  format_connection_arena(arena, 2, 4, 77);
  const ConnectionArenaHeader& header = connection_header(arena);
  EXPECT_EQ(header.magic, kConnectionArenaMagic);
  EXPECT_EQ(header.layout, kConnectionArenaLayout);
  EXPECT_EQ(header.capacity, 5u);
  EXPECT_EQ(header.worker, 2u);
  EXPECT_EQ(header.worker_count, 4u);
  EXPECT_EQ(header.boot_epoch, 77u);
  EXPECT_EQ(header.high_water, 0u);
  const auto records = connection_records(arena);
  ASSERT_EQ(records.size(), 5u);
  EXPECT_EQ(reinterpret_cast<std::byte*>(&records[0]), arena.data() + 64);
  EXPECT_LE(reinterpret_cast<std::byte*>(&records[4] + 1), arena.data() + arena.size());
}

TEST_F(ConnectionArena, memory_without_room_for_a_record_or_cut_short_is_our_own_mistake) {
  EXPECT_DEATH(format_connection_arena(memory(connection_arena_octets(1) - 1), 0, 1, 1), "no record");
  const ByteSpan arena = memory(connection_arena_octets(2));
  format_connection_arena(arena, 0, 1, 1);
  EXPECT_DEATH((void)connection_records(arena.first(arena.size() - 1)), "smaller");
  EXPECT_DEATH((void)connection_header(arena.subspan(8)), "not aligned");
}

TEST(LegState, every_state_has_a_name_and_other_numbers_are_unknown) {
  for (std::uint8_t i = 0; i < static_cast<std::uint8_t>(LegState::count); ++i)
    EXPECT_NE(std::string{name_of(LegState{i})}, "unknown");
  EXPECT_STREQ(name_of(LegState::last_ack), "last_ack");
  EXPECT_STREQ(name_of(LegState{200}), "unknown");
}

}  // namespace
}  // namespace penstock::control
