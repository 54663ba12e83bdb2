#include "dataplane/core/frame.h"

#include <gtest/gtest.h>

#include <array>

namespace penstock {
namespace {

struct Buffer {
  std::array<std::byte, 128> storage{};
  Frame frame() { return Frame{RawFrame{storage.data() + 32, storage.data(), 64, 32, 32, 3}}; }
};

TEST(Frame, grows_and_shrinks_only_inside_its_buffer) {
  Buffer buffer;
  Frame frame = buffer.frame();
  EXPECT_FALSE(frame.prepend(33));
  EXPECT_TRUE(frame.prepend(4));
  EXPECT_EQ(frame.octets(), 68);
  EXPECT_EQ(frame.bytes().data(), buffer.storage.data() + 28);
  EXPECT_TRUE(frame.trim_front(8));
  EXPECT_EQ(frame.octets(), 60);
  EXPECT_FALSE(frame.trim_front(61));
  EXPECT_FALSE(frame.set_octets(93));
  EXPECT_TRUE(frame.set_octets(92));
  EXPECT_TRUE(frame.set_octets(14));
  EXPECT_TRUE(frame.set_octets(92));
  static_cast<void>(std::move(frame).release());
}

TEST(FrameDeathTest, a_live_frame_must_not_be_destroyed_or_overwritten) {
  Buffer buffer;
  EXPECT_DEATH({ Frame lost = buffer.frame(); }, "without a disposition");
  EXPECT_DEATH(
      {
        Frame a = buffer.frame();
        Frame b = buffer.frame();
        a = std::move(b);
      },
      "live frame overwritten");
}

TEST(Frame, a_moved_from_frame_owes_nothing) {
  Buffer buffer;
  Frame a = buffer.frame();
  Frame b = std::move(a);
  EXPECT_FALSE(a.live());
  EXPECT_EQ(b.port(), 3);
  const RawFrame raw = std::move(b).release();
  EXPECT_EQ(raw.octets, 64);
}

}  // namespace
}  // namespace penstock
