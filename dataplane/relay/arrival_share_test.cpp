#include "dataplane/relay/arrival_share.h"

#include <gtest/gtest.h>

#include <vector>

namespace penstock::relay {
namespace {

struct Legs {
  explicit Legs(std::size_t n) : counted(n) {}
  void send(ArrivalShare& share, std::size_t n) {
    for (std::size_t i = 0; i < n; ++i) share.sends(counted[i]);
  }
  std::vector<std::uint8_t> counted;
};

TEST(ArrivalShare, the_ring_is_divided_among_those_that_send) {
  ArrivalShare share{1024, CoarseMs{0}};
  Legs legs{1000};
  EXPECT_EQ(share.segments(), 1024u);
  legs.send(share, 8);
  EXPECT_EQ(share.segments(), 128u);
  legs.send(share, 8);
  EXPECT_EQ(share.segments(), 128u) << "each is counted once";
  legs.send(share, 256);
  EXPECT_EQ(share.segments(), 4u);
  legs.send(share, 1000);
  EXPECT_EQ(share.segments(), ArrivalShare::kLeastSegments);
}

TEST(ArrivalShare, who_stopped_sending_is_forgotten_after_two_periods) {
  ArrivalShare share{1024, CoarseMs{0}};
  Legs legs{512};
  legs.send(share, 512);
  share.begin_round(CoarseMs{ArrivalShare::kPeriodMs});
  legs.send(share, 4);
  EXPECT_EQ(share.segments(), 2u) << "the others may only be waiting for a round trip";
  share.begin_round(CoarseMs{2 * ArrivalShare::kPeriodMs});
  legs.send(share, 4);
  EXPECT_EQ(share.segments(), 256u);
}

TEST(ArrivalShare, an_idle_worker_forgets_all) {
  ArrivalShare share{1024, CoarseMs{0xffffff00}};
  Legs legs{100};
  legs.send(share, 100);
  share.begin_round(CoarseMs{0xffffff00 + 60'000});  // the clock wraps meanwhile
  EXPECT_EQ(share.senders(), 0u);
  EXPECT_EQ(share.segments(), 1024u);
}

TEST(ArrivalShare, periods_are_told_apart_for_as_long_as_a_leg_lives) {
  ArrivalShare share{1024, CoarseMs{0}};
  std::uint8_t mover = 0, fresh = 0;
  CoarseMs now{0};
  for (int period = 0; period < 1000; ++period) {
    share.sends(mover);
    ASSERT_EQ(share.senders(), 1u) << period;
    now = CoarseMs{now.ms + ArrivalShare::kPeriodMs};
    share.begin_round(now);
  }
  share.sends(mover);
  share.sends(fresh);
  EXPECT_EQ(share.senders(), 2u);
}

}  // namespace
}  // namespace penstock::relay
