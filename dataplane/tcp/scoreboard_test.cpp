// R11: the send queue's marks against a plain model, and NextSeg() rules 3 and 4 (RFC 6675 s4).
#include <gtest/gtest.h>

#include <vector>

#include "dataplane/tcp/dialogue_test_support.h"
#include "tests/support/seeded.h"

namespace penstock::tcp {
namespace {

constexpr std::uint32_t kMss = 1000;

/// What each segment is, without any memory of where to look.
struct Model {
  struct Segment {
    bool sacked{}, lost{}, retransmitted{};
  };
  std::vector<Segment> segments;
  std::size_t acked{};
  [[nodiscard]] std::size_t first_unrepaired() const {
    for (std::size_t i = acked; i < segments.size(); ++i)
      if (segments[i].lost && !segments[i].retransmitted) return i;
    return segments.size();
  }
};

class ScoreboardRun {
 public:
  explicit ScoreboardRun(std::uint64_t seed) : rng_{seed} {
    EXPECT_TRUE(queue_.open(pools_, SeqNum{0xffffff00}));
    base_ = queue_.una();
  }
  ~ScoreboardRun() { queue_.release_all(pools_); }
  void step() {
    switch (rng_.below(6)) {
      case 0:
        return send();
      case 1:
        return sack();
      case 2:
        return lose();
      case 3:
        return repair();
      case 4:
        return forget();
      default:
        if (rng_.below(4) == 0) acknowledge();
    }
  }
  void check() {
    ASSERT_EQ(queue_.audit(pools_), "");
    const std::size_t wanted = model_.first_unrepaired();
    const Index found = queue_.first_unrepaired(pools_);
    if (wanted == model_.segments.size()) {
      ASSERT_EQ(found, kNoIndex);
    } else {
      ASSERT_NE(found, kNoIndex);
      ASSERT_EQ(number_of(found), wanted);
    }
    std::uint32_t sacked = 0;
    for (std::size_t i = model_.acked; i < model_.segments.size(); ++i) sacked += model_.segments[i].sacked ? kMss : 0;
    ASSERT_EQ(queue_.sacked(), sacked);
  }

 private:
  [[nodiscard]] std::size_t number_of(Index index) const {
    return pools_.entries[index].seq.since(base_).octets / kMss;
  }
  [[nodiscard]] SeqNum at(std::size_t number) const {
    return base_ + SeqSpan{static_cast<std::uint32_t>(number) * kMss};
  }
  [[nodiscard]] std::size_t in_flight() const { return model_.segments.size() - model_.acked; }
  /// Any segment in flight; kNoIndex if there is none.
  Index any() {
    if (in_flight() == 0) return kNoIndex;
    Index index = queue_.head();
    for (std::uint64_t n = rng_.below(in_flight()); n > 0; --n) index = pools_.entries[index].next;
    return index;
  }
  void send() {
    const std::vector<std::byte> payload(kMss);
    for (std::uint64_t n = rng_.below(8); n > 0 && in_flight() < 200; --n) {
      ASSERT_EQ(queue_.append(pools_, payload, kMss, 1'000'000, 500), kMss);
      queue_.sent(pools_, queue_.first_unsent(), now());
      model_.segments.emplace_back();
    }
  }
  void sack() {
    if (in_flight() < 2) return;
    const std::size_t start = model_.acked + 1 + rng_.below(in_flight() - 1);
    const std::size_t end = std::min(start + 1 + rng_.below(6), model_.segments.size());
    Delivered delivered;
    static_cast<void>(queue_.mark_sacked(pools_, {at(start), at(end)}, delivered));
    for (std::size_t i = start; i < end; ++i) model_.segments[i] = {.sacked = true};
  }
  void lose() {
    const Index index = any();
    if (index == kNoIndex) return;
    queue_.mark_lost(pools_, index);
    Model::Segment& segment = model_.segments[number_of(index)];
    if (!segment.sacked) segment.lost = true;
  }
  void repair() {
    const Index index = queue_.first_unrepaired(pools_);
    if (index == kNoIndex) return;
    queue_.sent(pools_, index, now());
    model_.segments[number_of(index)].retransmitted = true;
  }
  void forget() {
    const Index index = any();
    if (index == kNoIndex) return;
    queue_.forget_retransmission(pools_, index);
    model_.segments[number_of(index)].retransmitted = false;
  }
  void acknowledge() {
    if (in_flight() == 0) return;
    model_.acked += 1 + rng_.below(std::min<std::size_t>(in_flight(), 20));
    Delivered delivered;
    queue_.acknowledge(pools_, at(model_.acked), delivered);
  }
  Stamp now() { return Stamp{clock_ += 10}; }

  ::penstock::test::Seeded rng_;
  Pools pools_{512, 512};
  SendQueue queue_;
  Model model_;
  SeqNum base_;
  std::uint32_t clock_{};
};

TEST(Scoreboard, agrees_with_a_model_that_always_looks_everywhere) {
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    SCOPED_TRACE(seed);
    ScoreboardRun run{seed};
    for (int step = 0; step < 400; ++step) {
      run.step();
      run.check();
      if (::testing::Test::HasFatalFailure()) return;
    }
  }
}

Limits by_count() {
  Limits limits;
  limits.rack = false;
  limits.congestion_control = CongestionControl::reno;
  return limits;
}

TEST(NextSeg, rule_three_resends_a_hole_that_is_not_lost_yet_when_there_is_nothing_new) {
  test::Dialogue d{by_count()};
  d.establish({.mss = kMss, .sack = true});
  d.write(8 * kMss);
  d.all();
  d.in({.sack = {{1001, 2001}}});
  d.in({.sack = {{1001, 2001}, {3001, 4001}}});
  EXPECT_EQ(d.all(), "nothing");
  d.in({.sack = {{1001, 2001}, {3001, 4001}, {5001, 6001}}});
  EXPECT_EQ(d.ep.queue.lost(), kMss) << "only the first hole has three runs above";
  EXPECT_EQ(d.all(), "A 1+1000 ack 1");
  d.in({.sack = {{1001, 2001}, {3001, 4001}, {5001, 7001}}});
  EXPECT_EQ(d.ep.queue.lost(), 2 * kMss) << "the second has more than two segments above";
  EXPECT_EQ(d.all(), "A 2001+1000 ack 1");
  d.in({.ack = 2001, .sack = {{3001, 4001}, {5001, 7001}}});
  EXPECT_EQ(d.ep.queue.lost(), kMss);
  EXPECT_EQ(d.all(), "A 4001+1000 ack 1") << "the third is not lost, but nothing better is left to send";
}

TEST(NextSeg, rule_four_rescues_the_tail_once_per_recovery) {
  test::Dialogue d{by_count()};
  d.establish({.mss = kMss, .sack = true});
  d.write(6 * kMss);
  d.all();
  d.in({.sack = {{1001, 4001}}});
  EXPECT_EQ(d.all(), "A 1+1000 ack 1");
  d.in({.ack = 4001});  // of 4001 to 6001 nothing is heard
  EXPECT_EQ(d.ep.recovery.phase(), Phase::recovery);
  EXPECT_EQ(d.all(), "PA 5001+1000 ack 1");
  d.in({.ack = 4001, .sack = {{5001, 6001}}});
  EXPECT_EQ(d.all(), "A 4001+1000 ack 1") << "now it is a hole below what was reported: rule three";
  EXPECT_EQ(d.all(), "nothing");
}

}  // namespace
}  // namespace penstock::tcp
