#include "dataplane/worker/forwards.h"

#include <gtest/gtest.h>

#include <cstring>
#include <set>
#include <vector>

namespace penstock::worker {
namespace {

using State = Forwards::State;
constexpr CoarseMs kMs{5000};

/// A worker's end, with the share 10..12 of the pairs and memory for slots in the place of a map.
struct ForwardsTest : testing::Test {
  explicit ForwardsTest(std::uint32_t first_generation = 7) : forwards{&exchange, 3, 64, first_generation} {
    exchange.set_slots(slots.data());
    forwards.adopt_slots();
  }
  static BothWays<flow::FlowKey> keys(std::uint8_t n) {
    const auto client = IpAddress::v4(10, 1, 0, n), service = IpAddress::v4(10, 96, 0, 1);
    return {flow::FlowKey{client, service, Be16::from_host(1000), Be16::from_host(80), IpProto::tcp, {}},
            flow::FlowKey{service, client, Be16::from_host(80), Be16::from_host(1000), IpProto::tcp, {}}};
  }
  static BothWays<penstock_forward_slot> content(std::uint16_t port) {
    BothWays<penstock_forward_slot> out{};
    out[0].out_port = out[1].out_port = port;
    out[0].l4_delta = 0x1234;
    out[1].seq_delta = 99;
    out[1].window_shift = -3;
    return out;
  }
  PairIndex begin(std::uint8_t flow) { return forwards.begin(flow, keys(flow), content(flow)); }
  /// The oldest order, carried out.
  ForwardOrder carry_out(bool done = true) {
    static_cast<void>(forwards.publish());
    ForwardOrder order;
    EXPECT_TRUE(exchange.next(order));
    exchange.acknowledge(order, done);
    return order;
  }
  [[nodiscard]] penstock_forward_slot& slot(PairIndex pair, std::size_t way) { return slots[2 * (10 + pair) + way]; }

  std::vector<penstock_forward_slot> slots{PENSTOCK_FORWARD_MAX};
  ForwardExchange exchange{{.first = 10, .pairs = 3}};
  Forwards forwards;
};

TEST_F(ForwardsTest, a_pair_is_filled_before_its_order_can_be_seen_and_the_order_names_keys_slots_and_generation) {
  slot(0, 1).packets = slot(0, 1).last_seen_ns = 77;  // of whoever had it before
  const PairIndex p = begin(1);
  ASSERT_EQ(p, 0u);
  EXPECT_EQ(forwards.pair_of(1), p);
  for (std::size_t way = 0; way < 2; ++way) {
    EXPECT_EQ(slot(p, way).generation, 7u);
    EXPECT_EQ(slot(p, way).out_port, 1u);
    EXPECT_EQ(slot(p, way).worker, 3u);
    EXPECT_EQ(slot(p, way).packets, 0u);
    EXPECT_EQ(slot(p, way).last_seen_ns, 0u);
  }
  EXPECT_EQ(slot(p, 0).l4_delta, 0x1234);
  EXPECT_EQ(slot(p, 1).seq_delta, 99u);
  EXPECT_EQ(slot(p, 1).window_shift, -3);
  ForwardOrder order;
  EXPECT_FALSE(exchange.next(order)) << "not published yet";
  order = carry_out();
  EXPECT_TRUE(order.insert);
  EXPECT_EQ(order.pair, p);
  for (std::size_t way = 0; way < 2; ++way) {
    EXPECT_EQ(std::memcmp(&order.keys[way], &keys(1)[way], sizeof order.keys[way]), 0);
    EXPECT_EQ(order.entries[way].slot, 2 * 10 + way);
    EXPECT_EQ(order.entries[way].generation, 7u);
  }
  EXPECT_EQ(forwards.take_answers(kMs), std::nullopt);
  EXPECT_EQ(forwards.pair(p).state, State::held);
}

TEST_F(ForwardsTest, an_ended_pair_is_dead_at_once_and_goes_through_deletion_and_rest) {
  const PairIndex p = begin(1);
  carry_out();
  EXPECT_EQ(forwards.take_answers(kMs), std::nullopt);
  forwards.end(p, kMs);
  EXPECT_EQ(slot(p, 0).generation, 0u);
  EXPECT_EQ(slot(p, 1).generation, 0u);
  EXPECT_EQ(forwards.pair_of(1), kNoPair);
  EXPECT_EQ(forwards.pair(p).state, State::ending);
  const ForwardOrder order = carry_out();
  EXPECT_FALSE(order.insert);
  EXPECT_EQ(std::memcmp(&order.keys[0], &keys(1)[0], sizeof order.keys[0]), 0);
  EXPECT_EQ(forwards.take_answers({kMs.ms + 9}), std::nullopt);
  EXPECT_EQ(forwards.pair(p).state, State::resting);
  EXPECT_EQ(forwards.pair(p).resting_since_ms, kMs.ms + 9);
  EXPECT_EQ(forwards.in_use(), 1u);
  forwards.release(p);
  EXPECT_EQ(forwards.in_use(), 0u);
  EXPECT_EQ(begin(2), p) << "used again first: its memory is warm";
  EXPECT_EQ(slot(p, 0).generation, 8u) << "no entry of the old flow matches";
}

TEST_F(ForwardsTest, an_insertion_answered_after_the_end_changes_nothing) {
  for (const bool done : {true, false}) {
    const PairIndex p = begin(1);
    forwards.end(p, kMs);
    EXPECT_TRUE(carry_out(done).insert);
    EXPECT_EQ(forwards.take_answers(kMs), std::nullopt);
    EXPECT_EQ(forwards.pair(p).state, State::ending);
    EXPECT_FALSE(carry_out().insert);
    EXPECT_EQ(forwards.take_answers(kMs), std::nullopt);
    EXPECT_EQ(forwards.pair(p).state, State::resting);
    forwards.release(p);
  }
}

TEST_F(ForwardsTest, an_insertion_that_was_not_done_is_told_and_needs_no_deletion) {
  const PairIndex p = begin(1);
  carry_out(false);
  EXPECT_EQ(forwards.take_answers(kMs), p);
  EXPECT_EQ(forwards.pair_of(1), p) << "for whoever ends it";
  forwards.end(p, kMs);
  EXPECT_EQ(forwards.take_answers(kMs), std::nullopt);
  EXPECT_EQ(forwards.pair(p).state, State::resting);
  EXPECT_EQ(slot(p, 1).generation, 0u);
  static_cast<void>(forwards.publish());
  ForwardOrder order;
  EXPECT_FALSE(exchange.next(order));
  forwards.release(p);
}

TEST_F(ForwardsTest, the_share_is_the_limit) {
  EXPECT_EQ(begin(1), 0u);
  EXPECT_EQ(begin(2), 1u);
  EXPECT_EQ(begin(3), 2u);
  EXPECT_EQ(begin(4), kNoPair);
  EXPECT_EQ(forwards.pair_of(4), kNoPair);
  EXPECT_EQ(forwards.in_use(), 3u);
  EXPECT_EQ(slots[2 * 10 - 1].generation, 0u);
  EXPECT_EQ(slots[2 * 13].generation, 0u);
}

TEST_F(ForwardsTest, what_the_program_counted_is_taken_once) {
  const PairIndex p = begin(1);
  slot(p, 1).packets = 3;
  slot(p, 1).octets = 6'000'000'000;
  slot(p, 1).last_seen_ns = 123;
  Carried carried = forwards.take(p, 1);
  EXPECT_EQ(carried.packets, 3u);
  EXPECT_EQ(carried.octets, 6'000'000'000u);
  EXPECT_EQ(carried.last_seen, from_nanoseconds(123));
  EXPECT_EQ(forwards.take(p, 0).packets, 0u);
  slot(p, 1).packets = 4;
  carried = forwards.take(p, 1);
  EXPECT_EQ(carried.packets, 1u);
  EXPECT_EQ(carried.octets, 0u);
}

TEST_F(ForwardsTest, an_end_is_told_once_and_forgotten_with_the_flow) {
  PairIndex p = begin(1);
  slot(p, 0).ended = 1;
  EXPECT_EQ(forwards.take(p, 0).ended, 1u);
  EXPECT_EQ(forwards.take(p, 0).ended, 0u);
  slot(p, 0).ended = 1 | 4;
  EXPECT_EQ(forwards.take(p, 0).ended, 4u);
  EXPECT_EQ(forwards.take(p, 1).ended, 0u);
  EXPECT_TRUE(forwards.pair(p).saw_end());
  EXPECT_TRUE(forwards.same(p, content(1)));
  forwards.end(p, kMs);
  carry_out();
  carry_out();
  EXPECT_EQ(forwards.take_answers(kMs), std::nullopt);
  forwards.release(p);
  p = begin(2);
  EXPECT_EQ(slot(p, 0).ended, 0u);
  EXPECT_FALSE(forwards.pair(p).saw_end());
}

TEST_F(ForwardsTest, only_what_describes_a_direction_makes_slots_differ) {
  const PairIndex p = begin(1);
  slot(p, 0).packets = 5;
  slot(p, 0).last_seen_ns = 9;
  EXPECT_TRUE(forwards.same(p, content(1)));
  EXPECT_FALSE(forwards.same(p, content(2)));
  auto other = content(1);
  other[1].dst_mac[5] = 1;
  EXPECT_FALSE(forwards.same(p, other));
}

TEST_F(ForwardsTest, the_bell_is_rung_for_a_sleeper_alone_and_once_per_publication) {
  static_cast<void>(begin(1));
  EXPECT_FALSE(forwards.publish()) << "the control thread is awake";
  EXPECT_FALSE(exchange.sleep()) << "an order waits";
  carry_out();
  EXPECT_TRUE(exchange.sleep());
  EXPECT_FALSE(forwards.publish()) << "nothing new";
  static_cast<void>(begin(2));
  static_cast<void>(begin(3));
  EXPECT_TRUE(forwards.publish());
  EXPECT_FALSE(forwards.publish());
}

TEST_F(ForwardsTest, rings_have_room_for_every_order_that_can_be_under_way) {
  for (int round = 0; round < 100; ++round) {
    std::set<PairIndex> pairs;
    for (std::uint8_t flow = 1; flow <= 3; ++flow) pairs.insert(begin(flow));
    ASSERT_EQ(pairs.size(), 3u);
    for (const PairIndex p : pairs) forwards.end(p, kMs);
    for (int order = 0; order < 6; ++order) carry_out();
    ASSERT_EQ(forwards.take_answers(kMs), std::nullopt);
    for (const PairIndex p : pairs) forwards.release(p);
  }
}

struct WrappingForwards : ForwardsTest {
  WrappingForwards() : ForwardsTest{0xffffffff} {}
};
TEST_F(WrappingForwards, a_generation_is_never_0) {
  EXPECT_EQ(slot(begin(1), 0).generation, 0xffffffffu);
  EXPECT_EQ(slot(begin(2), 0).generation, 1u);
}

TEST(ForwardShare, shares_of_workers_neither_meet_nor_leave_the_map) {
  for (std::uint32_t workers = 1; workers <= control::kWorkerMax; ++workers) {
    PairIndex next = 0;
    for (std::uint32_t w = 0; w < workers; ++w) {
      const ForwardShare share = forward_share(w, workers);
      EXPECT_EQ(share.first, next);
      next += share.pairs;
    }
    EXPECT_LE(next, control::kForwardPairMax);
    EXPECT_GT(next + workers, control::kForwardPairMax);
  }
}

TEST(ForwardsOff, without_an_exchange_there_is_no_tier_x) {
  Forwards forwards{nullptr, 0, 1u << 20, 1};
  EXPECT_FALSE(forwards.on());
  EXPECT_FALSE(forwards.slots_changed());
  EXPECT_EQ(forwards.in_use(), 0u);
  EXPECT_FALSE(forwards.publish());
}

}  // namespace
}  // namespace penstock::worker
