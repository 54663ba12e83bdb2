// A busy queue is as deep as its backlogs need, an idle one as deep as allowed.
#include "dataplane/io/fill_depth.h"

#include <gtest/gtest.h>

namespace penstock::io {
namespace {

constexpr std::uint32_t kFull = 4096;

/// Looks that take `backlog` each, until `buffers` were taken.
void load(FillDepth& fill, std::uint32_t backlog, std::uint32_t buffers) {
  for (std::uint32_t taken = 0; taken < buffers; taken += backlog) fill.looked(backlog, backlog);
}

TEST(FillDepth, BeginsAsDeepAsAllowed) { EXPECT_EQ(FillDepth{kFull}.depth(), kFull); }

TEST(FillDepth, BecomesShallowUnderSteadyLoadOnly) {
  FillDepth fill{kFull};
  load(fill, 16, 8 * kFull - 16);
  EXPECT_EQ(fill.depth(), kFull);
  load(fill, 16, 16);
  EXPECT_EQ(fill.depth(), kFillDepthMin);
}

TEST(FillDepth, HoldsTwiceTheLargestBacklogOfThePeriod) {
  FillDepth fill{kFull};
  fill.looked(500, 128);
  load(fill, 16, 8 * kFull);
  EXPECT_EQ(fill.depth(), 2 * 500 + 256);
  load(fill, 16, 8 * kFull);
  EXPECT_EQ(fill.depth(), kFillDepthMin);
}

TEST(FillDepth, GrowsAtOnce) {
  FillDepth fill{kFull};
  load(fill, 16, 8 * kFull);
  fill.looked(450, 128);
  EXPECT_EQ(fill.depth(), 2 * 450 + 256);
  fill.looked(16, 16);
  EXPECT_EQ(fill.depth(), 2 * 450 + 256);
}

TEST(FillDepth, NeverDeeperThanAllowed) {
  FillDepth fill{2048};
  load(fill, 16, 8 * 2048);
  fill.looked(2048, 128);
  EXPECT_EQ(fill.depth(), 2048);
}

TEST(FillDepth, AnIdleQueueIsPreparedForAnything) {
  FillDepth fill{kFull};
  load(fill, 16, 8 * kFull);
  fill.idle();
  EXPECT_EQ(fill.depth(), kFull);
  load(fill, 16, 8 * kFull - 16);
  EXPECT_EQ(fill.depth(), kFull);
}

}  // namespace
}  // namespace penstock::io
