// stage_transmit: finished frames leave, grouped by port; dropped ones go back in one call.
#include <algorithm>

#include "dataplane/worker/worker_state.h"

namespace penstock::worker {

void Worker::State::drop_frame(Frame& frame, DropReason reason) {
  counters.drops[static_cast<std::size_t>(reason)].add();
  if (frame.port() < control::kPortMax) counters.ports[frame.port()].dropped.add();
  if (dropped_count == dropped.size()) return_dropped();
  dropped[dropped_count++] = std::move(frame);
}

void Worker::State::return_dropped() {
  if (dropped_count == 0) return;
  io.drop({dropped.data(), dropped_count});
  dropped_count = 0;
}

void Worker::State::stage_transmit() {
  const std::size_t n = std::exchange(out_count, 0);
  if (n != 0) flush({out.data(), n}, true);
  return_dropped();
}

void Worker::State::flush(std::span<Frame> frames, bool may_hand_off) {
  for (std::size_t at = 0; at < frames.size();) {
    if (!frames[at].live()) {  // gathered already
      ++at;
      continue;
    }
    const PortIndex port = frames[at].port();
    const auto leaves_here = [port](const Frame& f) { return f.port() == port; };
    const auto first = frames.begin() + static_cast<std::ptrdiff_t>(at);
    const auto end = std::find_if_not(first, frames.end(), leaves_here);
    if (std::none_of(end, frames.end(), leaves_here)) {  // all in one run, as devices deliver them: nothing is moved
      send_group(port, {first, end}, may_hand_off);
      at = static_cast<std::size_t>(end - frames.begin());
      continue;
    }
    std::size_t n = 0;
    for (std::size_t i = at; i < frames.size(); ++i)
      if (leaves_here(frames[i])) group[n++] = std::move(frames[i]);
    send_group(port, {group.data(), n}, may_hand_off);
  }
}

void Worker::State::send_group(PortIndex port, std::span<Frame> frames, bool may_hand_off) {
  if (view->port(port) == nullptr) [[unlikely]] {
    for (Frame& frame : frames) drop_frame(frame, DropReason::port_gone);
    return;
  }
  if (transmitter[port] != config.index) [[unlikely]] {
    for (Frame& frame : frames) {
      if (may_hand_off)
        hand_off(frame, transmitter[port], HandoffKind::transmit);
      else
        drop_frame(frame, DropReason::port_gone);
    }
    return;
  }
  std::uint64_t octets = 0;
  for (const Frame& frame : frames) octets += frame.octets();
  std::size_t taken = 0;
  for (auto rest = frames; !rest.empty(); rest = frames.subspan(taken)) {
    const std::size_t n = io.transmit(port, rest);
    taken += n;
    if (n == 0) break;
  }
  for (Frame& frame : frames.subspan(taken)) {
    octets -= frame.octets();
    drop_frame(frame, DropReason::transmit_full);
  }
  counters.ports[port].tx_frames.add(taken);
  counters.ports[port].tx_octets.add(octets);
}

void Worker::State::hand_off(Frame& frame, std::uint32_t to, HandoffKind kind) {
  const RawFrame raw = std::move(frame).release();
  if (!handoff_to[to].push({raw, kind})) {
    Frame back{raw};
    return drop_frame(back, DropReason::handoff_full);
  }
  counters.handoff_out.add();
  if (raw.port < control::kPortMax) counters.ports[raw.port].handed_off.add();
}

void Worker::State::publish_rings() {
  if (questions.publish() && questions.consumer_sleeps() && doorbell != nullptr) doorbell->ring();
  if (http_questions.publish() && http_questions.consumer_sleeps() && doorbell != nullptr) doorbell->ring();
  if (forwards.publish() && forward_doorbell != nullptr) forward_doorbell->ring();
  for (std::uint32_t w = 0; w < config.worker_count; ++w) {
    if (w == config.index) continue;
    if (handoff_to[w].publish() && handoff_to[w].consumer_sleeps()) mesh->wake(w);
  }
}

std::size_t Worker::State::receive_handoffs() {
  handed.count = 0;
  std::size_t transmits = 0;
  std::array<Frame, kBurstMax> finished;
  for (std::uint32_t w = 0; w < config.worker_count; ++w) {
    if (w == config.index) continue;
    HandoffItem item;
    while (handed.count < kBurstMax && transmits < kBurstMax && handoff_from[w].pop(item)) {
      counters.handoff_in.add();
      if (item.kind == HandoffKind::transmit)
        finished[transmits++] = Frame{item.frame};
      else
        handed.frames[handed.count++] = Frame{item.frame};
    }
  }
  if (transmits != 0) flush({finished.data(), transmits}, false);
  if (handed.count != 0) process(handed);
  return handed.count + transmits;
}

}  // namespace penstock::worker
