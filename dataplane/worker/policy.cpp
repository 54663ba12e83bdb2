// policy: whether a new flow is admitted, and what happens while that is asked.
#include "dataplane/worker/worker_state.h"

namespace penstock::worker {

Worker::State::Admission Worker::State::admit(Frame& frame, const wire::PacketInfo& info, const FlowKey& key,
                                              const control::ListenerRecord& listener) {
  static_cast<void>(info);
  switch (listener.policy) {
    case control::Policy::allow:
      return Admission::admitted;
    case control::Policy::deny:
      drop_frame(frame, DropReason::policy_denied);
      return Admission::taken;
    case control::Policy::ask:
      break;
  }
  if (const auto known = decisions.find(listener.id, key.src, now)) {
    counters.decisions_hit.add();
    if (*known == control::Decision::allow) return Admission::admitted;
    drop_frame(frame, DropReason::policy_denied);
    return Admission::taken;
  }
  return ask(frame, key, listener);
}

Worker::State::Admission Worker::State::ask(Frame& frame, const FlowKey& key, const control::ListenerRecord& listener) {
  const auto by_default = [&](DropReason reason) {
    if (listener.ask_default == control::Decision::allow) return Admission::admitted;
    drop_frame(frame, reason);
    return Admission::taken;
  };
  if (flow::ParkedFlow* const waiting = parked.find(key)) {
    if (!flow::ParkedFlows::add(*waiting, frame)) drop_frame(frame, DropReason::parked_full);
    return Admission::taken;
  }
  const Instant deadline = now + std::chrono::milliseconds{listener.ask_deadline_ms};
  flow::ParkedFlow* const entry = parked.park(key, deadline, view->snapshot.node().parked_max);
  if (entry == nullptr) return by_default(DropReason::parked_full);
  control::Question question{};
  question.id = entry->question_id;
  question.epoch = view->snapshot.epoch();
  question.asked_ns = to_nanoseconds(now);
  question.deadline_ns = to_nanoseconds(deadline);
  question.source = key.src;
  question.destination = key.dst;
  question.source_port = key.src_port;
  question.destination_port = key.dst_port;
  question.proto = key.proto;
  question.worker = config.index;
  question.listener_id = listener.id;
  if (!questions.push(question)) {
    parked.release(*entry);
    return by_default(DropReason::question_ring_full);
  }
  counters.questions.add();
  entry->listener_id = listener.id;
  entry->deny_by_default = listener.ask_default == control::Decision::deny;
  require(flow::ParkedFlows::add(*entry, frame), "a fresh parked flow has room");
  return Admission::taken;
}

void Worker::State::take_answers() {
  control::Answer answer;
  for (std::uint32_t i = 0; i < kAnswersPerRound && answers.pop(answer); ++i) {
    counters.answers.add();
    if ((answer.question_id & control::kHttpQuestionBit) != 0) {
      http.on_answer(answer);
      continue;
    }
    if (answer.lifetime_ms != 0 && decisions.put(answer.listener_id, {answer.source, answer.source_bits},
                                                 answer.decision, now + std::chrono::milliseconds{answer.lifetime_ms}))
      counters.decisions_cached.add();
    flow::ParkedFlow* const entry = parked.asked(answer.question_id);
    if (entry == nullptr || entry->listener_id != answer.listener_id) {
      counters.answers_late.add();
      continue;
    }
    resolve(*entry, answer.decision == control::Decision::allow, DropReason::policy_denied);
  }
}

void Worker::State::expire_parked() {
  while (flow::ParkedFlow* const entry = parked.due(now))
    resolve(*entry, !entry->deny_by_default, DropReason::question_deadline);
}

void Worker::State::resolve(flow::ParkedFlow& entry, bool allow, DropReason reason) {
  for (Frame& frame : entry.held()) {
    if (allow)
      resume(frame);
    else
      drop_frame(frame, reason);
  }
  parked.release(entry);
}

/// A frame whose policy question is settled. The world may have changed while it waited.
void Worker::State::resume(Frame& frame) {
  wire::PacketInfo info;
  const DropReason refused = wire::parse_packet_into(frame.bytes(), info);
  if (refused != DropReason::none) return drop_frame(frame, refused);
  const FlowKey& key = info;
  const DirectionIndex d = table.find(key);
  if (d != flow::kNoDirection) return forward_known(frame, info, d);
  const control::ListenerRecord* const listener = view->snapshot.find_listener(key.dst, key.dst_port, key.proto);
  if (listener == nullptr) return drop_frame(frame, DropReason::no_listener);
  if ((listener->flags & control::kListenerDraining) != 0) return drop_frame(frame, DropReason::listener_draining);
  if (!l4::opens_flow(info)) return refuse_segment(frame, info);
  open_flow(frame, info, key, *listener);
}

}  // namespace penstock::worker
