#include "dataplane/flow/parked.h"

#include <algorithm>
#include <bit>

namespace penstock::flow {

ParkedFlows::ParkedFlows(std::uint32_t capacity, std::uint64_t seed)
    : flows_(capacity), links_(capacity), heads_(std::bit_ceil(std::max(1u, capacity)), kNone), hasher_{{seed, ~seed}} {
  require(capacity < (1u << kSlotBits), "too many parked flows");
  for (std::uint32_t i = capacity; i-- > 0;) {
    links_[i].next = free_head_;
    free_head_ = i;
  }
}

std::uint32_t& ParkedFlows::head_of(const FlowKey& key) { return heads_[hasher_(key) & (heads_.size() - 1)]; }

ParkedFlow* ParkedFlows::find(const FlowKey& key) {
  if (size_ == 0) return nullptr;
  for (std::uint32_t i = head_of(key); i != kNone; i = links_[i].next)
    if (flows_[i].key == key) return &flows_[i];
  return nullptr;
}

bool ParkedFlows::add(ParkedFlow& flow, Frame& frame) {
  if (flow.frame_count == kParkedFramesPerFlow) return false;
  flow.frames[flow.frame_count++] = std::move(frame);
  return true;
}

ParkedFlow* ParkedFlows::park(const FlowKey& key, Instant deadline, std::uint32_t limit) {
  if (free_head_ == kNone || size_ >= limit) return nullptr;
  const std::uint32_t slot = free_head_;
  free_head_ = links_[slot].next;
  std::uint32_t& head = head_of(key);
  links_[slot] = {.next = head, .used = true};
  head = slot;
  earliest_ = size_++ == 0 ? deadline : std::min(earliest_, deadline);
  ParkedFlow& flow = flows_[slot];
  flow.key = key;
  flow.question_id = (++sequence_ << kSlotBits) | slot;
  flow.deadline = deadline;
  flow.frame_count = 0;
  return &flow;
}

ParkedFlow* ParkedFlows::asked(std::uint64_t question_id) {
  const std::uint64_t slot = question_id & ((1ull << kSlotBits) - 1);
  if (slot >= flows_.size() || !links_[slot].used || flows_[slot].question_id != question_id) return nullptr;
  return &flows_[slot];
}

ParkedFlow* ParkedFlows::due(Instant now) {
  if (size_ == 0 || now < earliest_) return nullptr;
  Instant earliest = Instant::max();
  for (std::size_t i = 0; i < flows_.size(); ++i) {
    if (!links_[i].used) continue;
    if (flows_[i].deadline <= now) return &flows_[i];
    earliest = std::min(earliest, flows_[i].deadline);
  }
  earliest_ = earliest;
  return nullptr;
}

ParkedFlow* ParkedFlows::any() {
  for (std::size_t i = 0; i < flows_.size(); ++i)
    if (links_[i].used) return &flows_[i];
  return nullptr;
}

void ParkedFlows::release(ParkedFlow& flow) {
  const auto slot = static_cast<std::uint32_t>(&flow - flows_.data());
  std::uint32_t* at = &head_of(flow.key);
  while (*at != slot) at = &links_[*at].next;
  *at = links_[slot].next;
  links_[slot] = {.next = free_head_, .used = false};
  free_head_ = slot;
  --size_;
}

}  // namespace penstock::flow
