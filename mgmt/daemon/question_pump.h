// question_pump.h - takes questions off the workers' rings and puts answers back.
//
// Model     one eventfd per worker wakes the pump; it drains fairly, kBatch per worker and turn, answers from the
//           rule book, publishes, and wakes the worker. The worker never waits: a full answer ring loses the answer
//           and the flow gets its default. Questions about requests have a ring of their own beside it; those for an
//           authorizer are answered when its call is done.
// Limits    kBatch questions between two looks at other work; kCallsMax calls of authorizers under way, beyond which
//           their failure mode decides at once.
// Not here  the decision (mgmt/decide).
#pragma once
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <memory>
#include <vector>

#include "mgmt/decide/decider.h"
#include "mgmt/decide/http_decider.h"
#include "mgmt/publish/dataplane_client.h"
#include "mgmt/telemetry/report.h"

namespace penstock::daemon {

class QuestionPump {
 public:
  static constexpr std::size_t kBatch = 256;
  static constexpr std::size_t kCallsMax = 256;
  /// Lives at most as long as `client`, whose rings it uses; `book` and `counts` outlive it.
  QuestionPump(boost::asio::io_context& loop, publish::DataplaneClient::Pointer client, const decide::RuleBook& book,
               const decide::HttpBook& http_book, telemetry::DecisionReport& counts);
  ~QuestionPump();
  QuestionPump(const QuestionPump&) = delete;
  QuestionPump& operator=(const QuestionPump&) = delete;

 private:
  struct Lane;
  void wait(Lane& lane);
  void drain(Lane& lane);
  void answer(Lane& lane, const control::HttpQuestion& question);
  void give(Lane& lane, const control::Answer& answer);

  boost::asio::io_context& loop_;
  publish::DataplaneClient::Pointer client_;
  const decide::RuleBook& book_;
  const decide::HttpBook& http_book_;
  telemetry::DecisionReport& counts_;
  std::vector<std::unique_ptr<Lane>> lanes_;
  /// Calls under way; whoever is done after the pump finds it gone.
  std::shared_ptr<std::size_t> calls_{std::make_shared<std::size_t>(0)};
};

}  // namespace penstock::daemon
