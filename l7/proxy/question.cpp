// Requests that somebody else decides about: asked, answered, or left to the default.
#include <algorithm>
#include <cstring>

#include "dataplane/control/question.h"
#include "l7/proxy/proxy.h"

namespace penstock::proxy {

using control::ResponseDetail;

namespace {
constexpr std::uint64_t kConnectionBits = 20;
}

/// Writes what the target has to know into question_; false when it does not fit.
bool HttpProxy::write_question(const Connection& c, const control::QuestionTargetRecord& target,
                               const route::RequestView& view) {
  control::HttpQuestion& q = question_;
  q = control::HttpQuestion{};
  q.target = target.id;
  q.client = c.client;
  stream::Writer text{q.text};
  const auto put = [&](std::uint8_t fact, std::string_view value) {
    if ((target.facts & fact) == 0) return std::uint16_t{0};
    text.put(value);
    return static_cast<std::uint16_t>(value.size());
  };
  q.method_octets = put(control::kFactMethod, view.method);
  q.host_octets = put(control::kFactHost, view.host);
  q.path_octets = put(control::kFactPath, view.path);
  q.path_octets = static_cast<std::uint16_t>(q.path_octets + put(control::kFactQuery, view.query));
  const std::size_t before = text.text().size();
  for (const control::TextRef ref :
       config_->policies.question_headers.subspan(target.first_header, target.header_count)) {
    const std::string_view name = config_->policies.text(ref);
    for (const route::HeaderField& field : view.headers) {
      if (!route::equals_folded(field.name, name)) continue;
      for (const std::string_view part : {name, std::string_view{": "}, field.value, std::string_view{"\r\n"}})
        text.put(part);
    }
  }
  q.header_octets = static_cast<std::uint16_t>(text.text().size() - before);
  return text.ok();
}

/// Over the part of the question that its answer depends on; lengths included, so that no text passes for another.
policy::Hash128 HttpProxy::facts_of_question() const {
  control::HttpQuestion copy = question_;
  copy.id = copy.asked_ns = copy.deadline_ns = 0;
  const std::size_t octets = std::size_t{copy.method_octets} + copy.host_octets + copy.path_octets + copy.header_octets;
  return policy::keyed_hash(facts_key_,
                            {reinterpret_cast<const char*>(&copy), offsetof(control::HttpQuestion, text) + octets});
}

/// True: the request may go on. False: it waits, or was refused.
bool HttpProxy::ask(std::uint32_t index, const control::QuestionTargetRecord& target, const route::RequestView& view) {
  Connection& c = connections_[index];
  const bool fits = write_question(c, target, view);
  const policy::Hash128 facts = fits ? facts_of_question() : policy::Hash128{};
  if (fits) {
    if (const auto known = answers_.find(facts, now_)) {
      counters_.http.answers_reused.add();
      if (*known == 0) return true;
      answer(index, *known, ResponseDetail::authorization_refused);
      return false;
    }
  }
  question_.id =
      control::kHttpQuestionBit | (++question_sequence_ << kConnectionBits & ~control::kHttpQuestionBit) | index;
  question_.asked_ns = to_nanoseconds(now_);
  question_.deadline_ns = to_nanoseconds(now_ + std::chrono::milliseconds{target.deadline_ms});
  question_.worker = worker_;
  if (!fits || questions_ == nullptr || !questions_->push(question_)) {
    counters_.http.questions_unasked.add();
    if (target.by_default == control::PolicyAction::allow) return true;
    answer(index, 403, ResponseDetail::authorization_overflow);
    return false;
  }
  counters_.http.questions.add();
  hold(index, Hold::Reason::question, target.deadline_ms);
  c.hold.question = question_.id;
  c.hold.facts = facts;
  c.hold.by_default = target.by_default;
  return false;
}

void HttpProxy::on_answer(const control::Answer& answer) {
  const auto index = static_cast<std::uint32_t>(answer.question_id & ((1u << kConnectionBits) - 1));
  const bool waits = connections_.knows(index) && connections_[index].leg != kNoLeg &&
                     connections_[index].hold.reason == Hold::Reason::question &&
                     connections_[index].hold.question == answer.question_id;
  if (!waits) return counters_.answers_late.add();
  const Connection& c = connections_[index];
  const std::uint16_t refusal = answer.status >= 300 && answer.status <= 599 ? answer.status : std::uint16_t{403};
  const policy::Verdict verdict = answer.decision == control::Decision::allow ? policy::Verdict{0} : refusal;
  if (answer.lifetime_ms != 0)
    answers_.put(c.hold.facts, verdict, now_ + std::chrono::milliseconds{answer.lifetime_ms});
  if (verdict == 0)
    resume(index, Hold::kAuthorized);
  else
    refuse_held(index, verdict, ResponseDetail::authorization_refused);
  if (connections_[index].leg != kNoLeg) ready_.push_back(index);
  pump_ready();
}

}  // namespace penstock::proxy
