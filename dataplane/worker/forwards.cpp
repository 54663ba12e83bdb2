#include "dataplane/worker/forwards.h"

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstring>
#include <utility>

namespace penstock::worker {
namespace {

static_assert(sizeof(flow::FlowKey) == sizeof(penstock_flow_key));
static_assert(offsetof(flow::FlowKey, src_port) == offsetof(penstock_flow_key, src_port) &&
              offsetof(flow::FlowKey, proto) == offsetof(penstock_flow_key, ip_proto));
// What describes a direction: behind the generation up to the program's counters, then the splice's deltas.
constexpr std::size_t kContentAt = offsetof(penstock_forward_slot, out_port);
constexpr std::size_t kContentEnd = offsetof(penstock_forward_slot, last_seen_ns);
constexpr std::size_t kSpliceAt = offsetof(penstock_forward_slot, seq_delta);

const std::byte* bytes_of(const penstock_forward_slot& slot) { return reinterpret_cast<const std::byte*>(&slot); }

void set_generation(penstock_forward_slot& slot, std::uint32_t generation) {
  std::atomic_ref{slot.generation}.store(generation, std::memory_order_release);
}
template <typename T>
T read_shared(T& field) {
  return std::atomic_ref{field}.load(std::memory_order_relaxed);
}

void fill(penstock_forward_slot& slot, const penstock_forward_slot& content, std::uint16_t worker) {
  std::memcpy(reinterpret_cast<std::byte*>(&slot) + kContentAt, bytes_of(content) + kContentAt,
              kContentEnd - kContentAt);
  std::memcpy(reinterpret_cast<std::byte*>(&slot) + kSpliceAt, bytes_of(content) + kSpliceAt, sizeof slot - kSpliceAt);
  slot.worker = worker;
  slot.last_seen_ns = slot.packets = slot.octets = 0;
  slot.ended = 0;
}

}  // namespace

ForwardExchange::ForwardExchange(ForwardShare share)
    : share_{share},
      messages_{std::bit_ceil(std::size_t{2} * std::max(share.pairs, 1u))},
      named_{share.pairs},
      orders_{messages_},
      answers_{messages_},
      consumer_{order_control_, ring_of(orders_)},
      replies_{answer_control_, ring_of(answers_)} {}

bool ForwardExchange::next(ForwardOrder& into) {
  Message message;
  if (!consumer_.pop(message)) return false;
  const Named& named = named_[message.pair];
  into.pair = message.pair;
  into.insert = message.insert != 0;
  into.keys = named.keys;
  const std::uint32_t slot = 2 * (share_.first + message.pair);
  into.entries = {penstock_forward{slot, named.generation}, penstock_forward{slot + 1, named.generation}};
  return true;
}

void ForwardExchange::acknowledge(const ForwardOrder& order, bool done) {
  require(replies_.push({order.pair, order.insert, done}), "more answers than orders of tier X");
  replies_.publish();
}

bool ForwardExchange::sleep() {
  consumer_.announce_sleep();
  return consumer_.empty();
}

Forwards::Forwards(ForwardExchange* exchange, std::uint16_t worker, std::uint32_t flow_capacity,
                   std::uint32_t first_generation)
    : exchange_{exchange},
      worker_{worker},
      capacity_{exchange == nullptr ? 0 : exchange->share_.pairs},
      pairs_{capacity_},
      of_flow_{exchange == nullptr ? 0 : flow_capacity},
      next_generation_{first_generation} {
  if (exchange == nullptr) return;
  orders_ = {exchange->order_control_, exchange->ring_of(exchange->orders_)};
  answers_ = {exchange->answer_control_, exchange->ring_of(exchange->answers_)};
}

bool Forwards::slots_changed() const {
  return exchange_ != nullptr && exchange_->slots_.load(std::memory_order_acquire) != slots_;
}

void Forwards::adopt_slots() { slots_ = exchange_->slots_.load(std::memory_order_acquire); }

PairIndex Forwards::take_pair() {
  PairIndex p = free_head_;
  if (p != kNoPair)
    free_head_ = pairs_[p].next_free;
  else if (high_water_ < capacity_)
    p = high_water_++;
  else
    return kNoPair;
  ++in_use_;
  return p;
}

PairIndex Forwards::begin(flow::FlowIndex flow, const BothWays<flow::FlowKey>& keys,
                          const BothWays<penstock_forward_slot>& content) {
  const PairIndex p = take_pair();
  if (p == kNoPair) return p;
  if (next_generation_ == 0) ++next_generation_;
  Pair& pair = pairs_[p];
  pair = {};
  pair.state = State::asked;
  pair.flow = flow;
  pair.generation = next_generation_++;
  pair.slots = slots_ + 2 * (std::size_t{exchange_->share_.first} + p);
  ForwardExchange::Named& named = exchange_->named_[p];
  named.generation = pair.generation;
  for (std::size_t way = 0; way < 2; ++way) {
    std::memcpy(&named.keys[way], &keys[way], sizeof named.keys[way]);
    fill(pair.slots[way], content[way], worker_);
    set_generation(pair.slots[way], pair.generation);
  }
  of_flow_[flow] = p + 1;
  order(p, true);
  return p;
}

bool Forwards::same(PairIndex p, const BothWays<penstock_forward_slot>& content) const {
  for (std::size_t way = 0; way < 2; ++way) {
    penstock_forward_slot wanted = content[way];
    wanted.worker = worker_;
    if (std::memcmp(bytes_of(pairs_[p].slots[way]) + kContentAt, bytes_of(wanted) + kContentAt,
                    kContentEnd - kContentAt) != 0)
      return false;
  }
  return true;
}

void Forwards::end(PairIndex p, CoarseMs now) {
  Pair& pair = pairs_[p];
  require(pair.state == State::asked || pair.state == State::held || pair.state == State::resting,
          "a pair of tier X was ended twice");
  for (std::size_t way = 0; way < 2; ++way) set_generation(pair.slots[way], 0);
  of_flow_[pair.flow] = 0;
  pair.resting_since_ms = now.ms;
  if (pair.state == State::resting) return;  // nothing was inserted
  pair.state = State::ending;
  order(p, false);
}

Carried Forwards::take(PairIndex p, std::size_t direction) {
  Pair& pair = pairs_[p];
  penstock_forward_slot& slot = pair.slots[direction];
  const std::uint64_t packets = read_shared(slot.packets);
  const std::uint64_t octets = read_shared(slot.octets);
  const std::uint8_t ended = read_shared(slot.ended);
  const std::uint8_t before = std::exchange(pair.ended[direction], ended);
  return {packets - std::exchange(pair.packets[direction], packets),
          octets - std::exchange(pair.octets[direction], octets), from_nanoseconds(read_shared(slot.last_seen_ns)),
          static_cast<std::uint8_t>(ended & ~before)};
}

void Forwards::release(PairIndex p) {
  require(pairs_[p].state == State::resting, "a pair of tier X is released in use");
  pairs_[p].state = State::free;
  pairs_[p].next_free = std::exchange(free_head_, p);
  --in_use_;
}

void Forwards::order(PairIndex p, bool insert) {
  require(orders_.push({p, insert, 0}), "more orders of tier X than pairs");
  ordered_ = true;
}

std::optional<PairIndex> Forwards::take_answers(CoarseMs now) {
  ForwardExchange::Message answer;
  while (answers_.pop(answer)) {
    Pair& pair = pairs_[answer.pair];
    if (answer.insert == 0) {
      pair.state = State::resting;
      pair.resting_since_ms = now.ms;
    } else if (pair.state == State::asked) {
      if (answer.done != 0) {
        pair.state = State::held;
        continue;
      }
      pair.state = State::resting;
      return answer.pair;
    }
  }
  return std::nullopt;
}

bool Forwards::publish() {
  if (!ordered_) return false;
  ordered_ = false;
  return orders_.publish() && orders_.consumer_sleeps();
}

}  // namespace penstock::worker
