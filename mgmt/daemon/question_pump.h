// question_pump.h - takes questions off the workers' rings and puts answers back.
//
// Model     one eventfd per worker wakes the pump; it drains fairly, kBatch per worker and turn, answers from the
//           rule book, publishes, and wakes the worker. The worker never waits: a full answer ring loses the answer
//           and the flow gets its default.
// Limits    kBatch questions between two looks at other work.
// Not here  the decision (mgmt/decide).
#pragma once
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <memory>
#include <vector>

#include "mgmt/decide/decider.h"
#include "mgmt/publish/dataplane_client.h"
#include "mgmt/telemetry/report.h"

namespace penstock::daemon {

class QuestionPump {
 public:
  static constexpr std::size_t kBatch = 256;
  /// Lives at most as long as `client`, whose rings it uses; `book` and `counts` outlive it.
  QuestionPump(boost::asio::io_context& loop, publish::DataplaneClient::Pointer client, const decide::RuleBook& book,
               telemetry::DecisionReport& counts);
  ~QuestionPump();
  QuestionPump(const QuestionPump&) = delete;
  QuestionPump& operator=(const QuestionPump&) = delete;

 private:
  struct Lane;
  void wait(Lane& lane);
  void drain(Lane& lane);

  boost::asio::io_context& loop_;
  publish::DataplaneClient::Pointer client_;
  const decide::RuleBook& book_;
  telemetry::DecisionReport& counts_;
  std::vector<std::unique_ptr<Lane>> lanes_;
};

}  // namespace penstock::daemon
