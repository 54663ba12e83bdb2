// New flows that are denied, asked about, answered, forgotten.
#include <gtest/gtest.h>

#include "tests/sim/world.h"

namespace penstock::sim {
namespace {

using control::Answer;
using control::Decision;
using control::WorkerCounters;
using std::chrono::milliseconds;

struct PolicyAsk : testing::Test {
  PolicyAsk() {
    world.listeners = {make_listener({}, 2)};
    world.listeners[0].policy = control::Policy::ask;
    world.publish();
  }
  ~PolicyAsk() override { world.check(); }
  test::Bytes syn(std::uint16_t port = 40000, std::uint8_t client = 2) {
    return from_client({}, port, "S", client).build();
  }
  static Answer answer_to(const control::Question& q, Decision decision, std::uint32_t lifetime_ms = 0,
                          std::uint8_t bits = 32) {
    return {.question_id = q.id,
            .listener_id = q.listener_id,
            .lifetime_ms = lifetime_ms,
            .source = masked(q.source, bits),
            .source_bits = bits,
            .decision = decision,
            .status = 0,
            .zero = {}};
  }
  World world;
};

TEST_F(PolicyAsk, the_first_frame_waits_for_its_answer_and_then_goes_on) {
  EXPECT_TRUE(world.feed(kDownstream, syn()).empty());
  EXPECT_EQ(world.device->outstanding(), 1u);
  const auto question = world.next_question();
  ASSERT_TRUE(question.has_value());
  EXPECT_EQ(question->source, client_address(IpFamily::v4));
  EXPECT_EQ(question->destination, service_address(IpFamily::v4));
  EXPECT_EQ(question->destination_port, test::port(80));
  EXPECT_EQ(question->listener_id, 1u);
  EXPECT_EQ(question->deadline_ns - question->asked_ns, 200'000'000u);
  world.answer(answer_to(*question, Decision::allow));
  const auto out = world.settle();
  ASSERT_EQ(out.size(), 1u);
  EXPECT_EQ(out[0].port, kUpstream);
  EXPECT_EQ(world.device->outstanding(), 0u);
}

TEST_F(PolicyAsk, a_denied_flow_is_dropped) {
  world.feed(kDownstream, syn());
  world.answer(answer_to(*world.next_question(), Decision::deny));
  EXPECT_TRUE(world.settle().empty());
  EXPECT_EQ(world.drops(DropReason::policy_denied), 1u);
}

TEST_F(PolicyAsk, without_an_answer_the_default_is_taken_at_the_deadline) {
  world.feed(kDownstream, syn());
  world.advance(milliseconds{199});
  EXPECT_EQ(world.drops(DropReason::question_deadline), 0u);
  world.advance(milliseconds{1});
  EXPECT_EQ(world.drops(DropReason::question_deadline), 1u);
  const auto question = world.next_question();
  world.answer(answer_to(*question, Decision::allow));
  EXPECT_TRUE(world.settle().empty());
  EXPECT_EQ(world.sum(&WorkerCounters::answers_late), 1u);
}

TEST_F(PolicyAsk, a_default_of_allow_lets_the_flow_through_at_the_deadline) {
  world.listeners[0].ask_default = Decision::allow;
  world.publish();
  world.feed(kDownstream, syn());
  world.advance(milliseconds{200});
  EXPECT_EQ(world.settle().size(), 1u);
}

TEST_F(PolicyAsk, a_cached_answer_serves_its_prefix_until_it_ends) {
  world.feed(kDownstream, syn());
  world.answer(answer_to(*world.next_question(), Decision::allow, 60'000, 24));
  world.settle();
  world.pass(kDownstream, syn(40001, 77));
  EXPECT_EQ(world.sum(&WorkerCounters::decisions_hit), 1u);
  EXPECT_FALSE(world.next_question().has_value());
  world.advance(std::chrono::seconds{61});
  EXPECT_TRUE(world.feed(kDownstream, syn(40002, 78)).empty());
  EXPECT_TRUE(world.next_question().has_value());
}

TEST_F(PolicyAsk, a_cached_denial_drops_at_once) {
  world.feed(kDownstream, syn());
  world.answer(answer_to(*world.next_question(), Decision::deny, 60'000));
  world.settle();
  world.refuse(kDownstream, syn(40001), DropReason::policy_denied);
}

TEST_F(PolicyAsk, a_new_configuration_forgets_cached_answers) {
  world.feed(kDownstream, syn());
  world.answer(answer_to(*world.next_question(), Decision::allow, 60'000));
  world.settle();
  world.listeners[0].ask_deadline_ms = 300;
  world.publish();
  EXPECT_TRUE(world.feed(kDownstream, syn(40001)).empty());
  EXPECT_TRUE(world.next_question().has_value());
}

TEST_F(PolicyAsk, retransmissions_wait_with_the_first_frame_and_ask_nothing) {
  for (int i = 0; i < 4; ++i) EXPECT_TRUE(world.feed(kDownstream, syn()).empty());
  world.refuse(kDownstream, syn(), DropReason::parked_full);
  const auto question = world.next_question();
  EXPECT_FALSE(world.next_question().has_value());
  world.answer(answer_to(*question, Decision::allow));
  EXPECT_EQ(world.settle().size(), 4u);
  EXPECT_EQ(world.flows(), 1u);
}

TEST_F(PolicyAsk, beyond_the_parking_limit_the_default_is_taken) {
  world.node.parked_max = 3;
  world.publish();
  for (std::uint16_t i = 0; i < 3; ++i) EXPECT_TRUE(world.feed(kDownstream, syn(40000 + i)).empty());
  world.refuse(kDownstream, syn(40010), DropReason::parked_full);
  world.listeners[0].ask_default = Decision::allow;
  world.publish();
  world.pass(kDownstream, syn(40011));
}

TEST_F(PolicyAsk, a_full_question_ring_means_the_default) {
  World big{{.flows = 4096, .buffers = 8192, .parked = 4000}};
  big.node.parked_max = 4000;
  big.listeners = world.listeners;
  big.publish();
  for (std::size_t i = 0; i < control::kQuestionRingSlots; ++i)
    EXPECT_TRUE(big.feed(kDownstream, syn(static_cast<std::uint16_t>(1000 + i))).empty());
  big.refuse(kDownstream, syn(999), DropReason::question_ring_full);
  big.check();
}

TEST_F(PolicyAsk, a_listener_that_starts_draining_meanwhile_refuses_the_waiting_flow) {
  world.feed(kDownstream, syn());
  const auto question = world.next_question();
  world.listeners[0].draining = true;
  world.publish();
  world.answer(answer_to(*question, Decision::allow));
  EXPECT_TRUE(world.settle().empty());
  EXPECT_EQ(world.drops(DropReason::listener_draining), 1u);
}

TEST_F(PolicyAsk, an_answer_for_another_listener_or_with_a_foolish_prefix_changes_nothing) {
  world.feed(kDownstream, syn());
  const auto question = world.next_question();
  Answer wrong = answer_to(*question, Decision::allow);
  wrong.listener_id = 9;
  world.answer(wrong);
  EXPECT_TRUE(world.settle().empty());
  Answer foolish = answer_to(*question, Decision::allow, 1000);
  foolish.question_id = 0;
  foolish.source_bits = 255;
  world.answer(foolish);
  world.settle();
  EXPECT_EQ(world.sum(&WorkerCounters::decisions_cached), 0u);
  EXPECT_EQ(world.device->outstanding(), 1u);
}

TEST_F(PolicyAsk, a_worker_that_stops_gives_parked_frames_back) {
  world.feed(kDownstream, syn());
  world.workers[0]->drain();
  EXPECT_EQ(world.device->outstanding(), 0u);
  EXPECT_EQ(world.drops(DropReason::stopping), 1u);
}

TEST_F(PolicyAsk, a_policy_of_deny_asks_nothing) {
  world.listeners[0].policy = control::Policy::deny;
  world.publish();
  world.refuse(kDownstream, syn(), DropReason::policy_denied);
  EXPECT_FALSE(world.next_question().has_value());
}

}  // namespace
}  // namespace penstock::sim
