#include "mgmt/daemon/question_pump.h"

#include <gtest/gtest.h>

#include "mgmt/publish/fake_dataplane_test_support.h"

namespace penstock::daemon {
namespace {

using control::Answer;
using control::Question;

class QuestionPumpTest : public ::testing::Test {
 protected:
  QuestionPumpTest() {
    client_ = publish::run_on(loop_, open(dataplane_.connect()));
    decide::RuleSet rules;
    rules.rules = {{*IpPrefix::parse("10.1.0.0/16"), control::Decision::allow, 60'000}};
    book_.emplace(3, rules);
  }
  publish::Task<publish::DataplaneClient::Pointer> open(control::Channel channel) {
    auto client = co_await publish::DataplaneClient::open(loop_, std::move(channel));
    co_return client.ok() ? *client : nullptr;
  }
  control::WorkerBlock& block() { return dataplane_.segment.block(0); }
  void ask(std::uint64_t id, const char* source) {
    Question question{};
    question.id = id;
    question.listener_id = 3;
    question.source = *IpAddress::parse(source);
    ASSERT_TRUE(worker_questions_.push(question));
  }
  /// As a worker: publish, ring only a sleeping daemon.
  void publish_questions() {
    worker_questions_.publish();
    const std::uint64_t one = 1;
    if (!worker_questions_.consumer_sleeps()) return;
    ASSERT_EQ(::write(client_->hello().question_events[0].get(), &one, sizeof one), 8);
  }
  std::vector<Answer> answers(std::size_t wanted) {
    std::vector<Answer> out;
    Answer answer;
    for (int turns = 0; turns < 200 && out.size() < wanted; ++turns) {
      loop_.restart();
      loop_.run_for(std::chrono::milliseconds{5});
      while (worker_answers_.pop(answer)) out.push_back(answer);
    }
    return out;
  }

  boost::asio::io_context loop_;
  publish::FakeDataplane dataplane_{loop_};
  publish::DataplaneClient::Pointer client_;
  decide::RuleBook book_;
  decide::HttpBook http_book_;
  telemetry::DecisionReport counts_;
  SpscRing<Question> worker_questions_{block().question_control, block().questions};
  SpscRing<Answer> worker_answers_{block().answer_control, block().answers};
};

TEST_F(QuestionPumpTest, questions_are_answered_by_the_rules_and_the_worker_is_woken) {
  QuestionPump pump{loop_, client_, book_, http_book_, counts_};
  ask(1, "10.1.2.3");
  ask(2, "10.2.2.3");
  publish_questions();
  const auto got = answers(2);
  ASSERT_EQ(got.size(), 2u);
  EXPECT_EQ(got[0].question_id, 1u);
  EXPECT_EQ(got[0].decision, control::Decision::allow);
  EXPECT_EQ(got[1].decision, control::Decision::deny);
  EXPECT_EQ(counts_.asked, 2u);
  EXPECT_EQ(counts_.allowed, 1u);
  std::uint64_t rung = 0;
  EXPECT_EQ(::read(client_->hello().answer_events[0].get(), &rung, sizeof rung), 8);
}

TEST_F(QuestionPumpTest, what_was_asked_before_the_pump_came_is_answered_too) {
  ask(7, "10.1.0.1");
  worker_questions_.publish();
  QuestionPump pump{loop_, client_, book_, http_book_, counts_};
  EXPECT_EQ(answers(1).size(), 1u);
}

TEST_F(QuestionPumpTest, more_than_one_batch_is_drained_without_another_wakeup) {
  QuestionPump pump{loop_, client_, book_, http_book_, counts_};
  for (std::uint64_t i = 0; i < QuestionPump::kBatch * 2 + 5; ++i) ask(i, "10.1.0.1");
  publish_questions();
  EXPECT_EQ(answers(QuestionPump::kBatch * 2 + 5).size(), QuestionPump::kBatch * 2 + 5);
}

TEST_F(QuestionPumpTest, a_full_answer_ring_loses_answers_and_counts_them) {
  QuestionPump pump{loop_, client_, book_, http_book_, counts_};
  for (int round = 0; round < 2; ++round) {
    for (std::uint64_t i = 0; i < control::kAnswerRingSlots; ++i) ask(i, "10.1.0.1");
    publish_questions();
    for (int turns = 0; turns < 50; ++turns) {
      loop_.restart();
      loop_.run_for(std::chrono::milliseconds{1});
    }
  }
  EXPECT_EQ(counts_.asked, 2 * control::kAnswerRingSlots);
  EXPECT_EQ(counts_.answers_lost, control::kAnswerRingSlots);
}

}  // namespace
}  // namespace penstock::daemon
