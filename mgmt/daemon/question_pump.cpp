#include "mgmt/daemon/question_pump.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include "mgmt/decide/authorizer_call.h"

namespace penstock::daemon {
namespace {

namespace asio = boost::asio;
using control::Answer;
using control::Question;

void clear_eventfd(int fd) {
  pollfd ready{fd, POLLIN, 0};
  std::uint64_t count;
  if (::poll(&ready, 1, 0) > 0) (void)!::read(fd, &count, sizeof count);
}
void ring_eventfd(int fd) {
  const std::uint64_t one = 1;
  (void)!::write(fd, &one, sizeof one);
}

}  // namespace

struct QuestionPump::Lane {
  Lane(asio::io_context& loop, control::WorkerBlock& block, int question_fd, int answer_event)
      : questions{block.question_control, block.questions},
        http_questions{block.http_question_control, block.http_questions},
        answers{block.answer_control, block.answers},
        wakeup{loop, ::fcntl(question_fd, F_DUPFD_CLOEXEC, 0)},
        answer_fd{answer_event} {}
  SpscRing<Question> questions;
  SpscRing<control::HttpQuestion> http_questions;
  SpscRing<Answer> answers;
  asio::posix::stream_descriptor wakeup;
  int answer_fd;
};

QuestionPump::QuestionPump(asio::io_context& loop, publish::DataplaneClient::Pointer client,
                           const decide::RuleBook& book, const decide::HttpBook& http_book,
                           telemetry::DecisionReport& counts)
    : loop_{loop}, client_{std::move(client)}, book_{book}, http_book_{http_book}, counts_{counts} {
  const publish::DataplaneHello& hello = client_->hello();
  for (std::size_t w = 0; w < client_->segment().worker_count(); ++w) {
    lanes_.push_back(std::make_unique<Lane>(loop_, client_->segment().block(w), hello.question_events[w].get(),
                                            hello.answer_events[w].get()));
    drain(*lanes_.back());
  }
}

QuestionPump::~QuestionPump() = default;

void QuestionPump::wait(Lane& lane) {
  lane.wakeup.async_wait(asio::posix::descriptor_base::wait_read, [this, &lane](boost::system::error_code error) {
    if (error) return;  // the lane is being destroyed
    clear_eventfd(lane.wakeup.native_handle());
    drain(lane);
  });
}

/// Leaves it to drain() to publish.
void QuestionPump::give(Lane& lane, const Answer& answer) {
  ++counts_.asked;
  ++(answer.decision == control::Decision::allow ? counts_.allowed : counts_.denied);
  if (!lane.answers.push(answer)) ++counts_.answers_lost;
}

void QuestionPump::answer(Lane& lane, const control::HttpQuestion& question) {
  const auto target = http_book_.find(question.target);
  if (target == http_book_.end()) return;  // of another configuration: the asker's default decides
  if (const auto* const rules = std::get_if<decide::HttpRules>(&target->second))
    return give(lane, decide::answer(*rules, question));
  const auto& external = std::get<route::ExternalAuthorizer>(target->second);
  if (*calls_ >= kCallsMax) return give(lane, decide::answer(external, question, std::nullopt));
  ++*calls_;
  decide::call_authorizer(loop_, external, decide::authorizer_request(external, question),
                          [this, &lane, question, external, calls = std::weak_ptr{calls_}](std::optional<int> status) {
                            const auto under_way = calls.lock();
                            if (under_way == nullptr) return;  // pump and lane are gone
                            --*under_way;
                            give(lane, decide::answer(external, question, status));
                            if (lane.answers.publish()) ring_eventfd(lane.answer_fd);
                          });
}

void QuestionPump::drain(Lane& lane) {
  lane.questions.announce_awake();
  lane.http_questions.announce_awake();
  Question question;
  for (std::size_t n = 0; n < kBatch && lane.questions.pop(question); ++n) {
    const Answer answer = decide::answer(book_, question);
    give(lane, answer);
  }
  control::HttpQuestion about_request;
  for (std::size_t n = 0; n < kBatch && lane.http_questions.pop(about_request); ++n) this->answer(lane, about_request);
  if (lane.answers.publish()) ring_eventfd(lane.answer_fd);
  lane.questions.announce_sleep();
  lane.http_questions.announce_sleep();
  if (!lane.questions.empty() || !lane.http_questions.empty())
    ring_eventfd(lane.wakeup.native_handle());  // more came, or the batch was full
  wait(lane);
}

}  // namespace penstock::daemon
