// Served legs: an inbox instead of the other leg's send queue, and an application that empties it.
#include <algorithm>
#include <utility>

#include "dataplane/relay/relay.h"

namespace penstock::relay {

/// Puts what was received into the leg's inbox. The payload of the frame itself stays there until the application had
/// its look at it.
class Relay::InboxDelivery final : public tcp::Delivery {
 public:
  InboxDelivery(Relay& relay, Pair& pair) : relay_{relay}, pair_{pair} {}
  void deliver(const tcp::Piece& piece) override {
    relay_.append_inbox(pair_, piece);
    pair_.last_moved = relay_.now_ms_;
    const auto octets = piece.bytes.size();
    (pair_.serving == Serving::downstream ? relay_.counters_.octets_up : relay_.counters_.octets_down).add(octets);
    received = true;
  }
  bool received{};

 private:
  Relay& relay_;
  Pair& pair_;
};

ByteView Relay::inbox_bytes(tcp::Index at) const {
  const tcp::Entry& entry = pools_.entries[at];
  if (entry.block == tcp::kNoIndex) return {current_.data + entry.offset, entry.octets};
  return pools_.bytes_of(entry.block, entry.offset, entry.octets);
}

void Relay::append_inbox(Pair& pair, const tcp::Piece& piece) {
  const tcp::Index at = pools_.entries.acquire();
  if (at == tcp::kNoIndex) {
    pair.failed = true;
    return;
  }
  tcp::Entry& entry = pools_.entries[at];
  entry.octets = static_cast<std::uint16_t>(piece.bytes.size());
  entry.block = piece.block;
  entry.offset =
      piece.block != tcp::kNoIndex ? piece.offset : static_cast<std::uint16_t>(piece.bytes.data() - current_.data);
  if (piece.block != tcp::kNoIndex) pools_.add_reference(piece.block);
  if (pair.inbox_tail == tcp::kNoIndex)
    pair.inbox_head = at;
  else
    pools_.entries[pair.inbox_tail].next = at;
  pair.inbox_tail = at;
  pair.inbox_octets += entry.octets;
}

bool Relay::lend_current() {
  if (current_.lent != tcp::kNoIndex) return true;
  if (current_.frame == nullptr || !current_.frame->live()) return false;
  const RawFrame raw = std::move(*current_.frame).release();
  current_.lent = pools_.lend(raw);
  if (current_.lent == tcp::kNoIndex) {
    *current_.frame = Frame{raw};
    return false;
  }
  if (has_payload_sum_)
    pools_.note_sum(current_.lent, current_.info->payload_offset, current_.info->payload_octets, payload_sum_);
  return true;
}

/// Copies an entry's octets behind those of the entry before it, or into a block of their own.
bool Relay::hold_small(Pair& pair, tcp::Index before, tcp::Index at, ByteView bytes) {
  if (before != tcp::kNoIndex) {
    tcp::Entry& last = pools_.entries[before];
    const bool own = last.block != tcp::kNoIndex && !tcp::Pools::is_lent(last.block) &&
                     pools_.blocks.references(last.block) == 1 &&
                     last.offset + std::size_t{last.octets} == pools_.blocks.filled(last.block) &&
                     pools_.blocks.filled(last.block) + bytes.size() <= pools_.blocks.block_octets();
    if (own) {
      std::copy(bytes.begin(), bytes.end(), pools_.blocks.bytes(last.block).data() + pools_.blocks.filled(last.block));
      last.octets = static_cast<std::uint16_t>(last.octets + bytes.size());
      pools_.blocks.set_filled(last.block, static_cast<std::uint16_t>(last.offset + std::size_t{last.octets}));
      last.next = pools_.entries[at].next;
      if (pair.inbox_tail == at) pair.inbox_tail = before;
      pools_.entries.release(at);
      return true;
    }
  }
  const tcp::Index block = pools_.blocks.acquire();
  if (block == tcp::kNoIndex) return false;
  require(bytes.size() <= pools_.blocks.block_octets(), "a piece larger than a block");
  std::copy(bytes.begin(), bytes.end(), pools_.blocks.bytes(block).begin());
  pools_.blocks.set_filled(block, static_cast<std::uint16_t>(bytes.size()));
  pools_.entries[at].block = block;
  pools_.entries[at].offset = 0;
  return true;
}

/// What the application left of the current frame must outlive it.
void Relay::hold_current(Pair& pair) {
  tcp::Index before = tcp::kNoIndex;
  for (tcp::Index at = pair.inbox_head; at != tcp::kNoIndex; before = at, at = pools_.entries[at].next) {
    tcp::Entry& entry = pools_.entries[at];
    if (entry.block != tcp::kNoIndex) continue;
    const ByteView bytes{current_.data + entry.offset, entry.octets};
    if (bytes.size() > kCopyBreakOctets && lend_current()) {
      pools_.add_reference(current_.lent);
      entry.block = current_.lent;
    } else if (!hold_small(pair, before, at, bytes)) {
      pair.failed = true;
      entry.octets = 0;
    }
    return;  // a segment is one piece at most
  }
}

void Relay::drop_inbox(Pair& pair) {
  while (pair.inbox_head != tcp::kNoIndex)
    pools_.release(std::exchange(pair.inbox_head, pools_.entries[pair.inbox_head].next));
  pair.inbox_tail = tcp::kNoIndex;
  pair.inbox_octets = 0;
}

ByteView Relay::front(LegId leg) const {
  const Pair& pair = pairs_[leg];
  return pair.inbox_head == tcp::kNoIndex ? ByteView{} : inbox_bytes(pair.inbox_head);
}

void Relay::skip(LegId leg, std::uint32_t octets) {
  Pair& pair = pairs_[leg];
  require(octets <= pair.inbox_octets, "more skipped than received");
  pair.inbox_octets -= octets;
  while (octets > 0) {
    const tcp::Index at = pair.inbox_head;
    tcp::Entry& entry = pools_.entries[at];
    if (octets < entry.octets) {
      entry.offset = static_cast<std::uint16_t>(entry.offset + octets);
      entry.octets = static_cast<std::uint16_t>(entry.octets - octets);
      break;
    }
    octets -= entry.octets;
    pair.inbox_head = entry.next;
    if (pair.inbox_head == tcp::kNoIndex) pair.inbox_tail = tcp::kNoIndex;
    pools_.release(at);
  }
  touch(leg);
}

/// The segment that waits at the end of the leg's queue has room for so much more: copying that much costs less than a
/// frame of its own.
bool Relay::joins_last(const tcp::Endpoint& leg, std::uint32_t octets) const {
  const tcp::Index at = leg.queue.first_unsent();
  if (at == tcp::kNoIndex) return false;
  const tcp::Entry& last = pools_.entries[at];
  if (last.next != tcp::kNoIndex || last.block == tcp::kNoIndex || tcp::Pools::is_lent(last.block)) return false;
  const std::uint32_t filled = pools_.blocks.filled(last.block);
  return last.offset + std::uint32_t{last.octets} == filled && last.octets + octets <= leg.piece_max() &&
         filled + octets <= pools_.blocks.block_octets();
}

std::uint32_t Relay::pass(LegId from, LegId to, std::uint32_t octets) {
  Pair& source = pairs_[from];
  Pair& target = pairs_[to];
  tcp::Endpoint& leg = target.leg(target.served_side());
  const tcp::Entry& entry = pools_.entries[source.inbox_head];
  const ByteView bytes = inbox_bytes(source.inbox_head).first(octets);
  std::uint32_t taken = 0;
  const bool by_reference =
      octets > kCopyBreakOctets && !joins_last(leg, octets) && (entry.block != tcp::kNoIndex || lend_current());
  if (by_reference) {
    const tcp::Index block = entry.block != tcp::kNoIndex ? entry.block : current_.lent;
    if (engine_.write_block(leg, block, entry.offset, static_cast<std::uint16_t>(octets))) taken = octets;
  } else {
    taken = static_cast<std::uint32_t>(engine_.write(leg, bytes));
  }
  if (taken > 0) {
    skip(from, taken);
    touch(to);
  }
  if (taken < octets) await_room(to);
  return taken;
}

bool Relay::write(LegId to, ByteView bytes) {
  Pair& pair = pairs_[to];
  tcp::Endpoint& leg = pair.leg(pair.served_side());
  const auto segments = static_cast<std::uint32_t>(bytes.size() / leg.piece_max() + 2);
  const auto blocks = static_cast<std::uint32_t>(bytes.size() / pools_.blocks.block_octets() + 2);
  const bool fits = engine_.writable(leg) >= bytes.size() && engine_.segments_writable(leg) > segments &&
                    pools_.entries.has_room(segments) && pools_.blocks.has_room(std::max(blocks, segments));
  if (!fits) {
    await_room(to);
    return false;
  }
  require(engine_.write(leg, bytes) == bytes.size(), "a send queue took less than it has room for");
  touch(to);
  return true;
}

std::uint32_t Relay::queued(LegId leg) const {
  const Pair& pair = pairs_[leg];
  return engine_.outstanding(pair.leg(pair.served_side()));
}

void Relay::couple(LegId a, LegId b) {
  pairs_[a].peer = b;
  pairs_[b].peer = a;
  for (const LegId leg : {a, b}) {
    pairs_[leg].answered = true;
    touch(leg);
  }
}

void Relay::decouple(LegId leg) {
  const PairIndex peer = std::exchange(pairs_[leg].peer, kNoPair);
  touch(leg);
  if (peer == kNoPair) return;
  pairs_[peer].peer = kNoPair;
  touch(peer);
}

/// An acknowledgement tells; when nothing is under way, time does: so the leg's timer is set anew.
void Relay::await_room(LegId leg) {
  pairs_[leg].blocked = true;
  touch(leg);
}

LegId Relay::dial_served(flow::FlowIndex flow, std::uint16_t mtu, std::uint32_t token) {
  if (pressure_ >= Pressure::refuse || size_ >= settings_.pairs_max) return kNoLeg;
  const PairIndex index = acquire(flow);
  if (index == kNoPair) return kNoLeg;
  Pair& pair = pairs_[index];
  pair.mtu[1] = mtu;
  pair.serving = Serving::upstream;
  pair.dialled = true;
  pair.connect_until =
      CoarseMs{now_ms_.ms + static_cast<std::uint32_t>(settings_.connect / std::chrono::milliseconds{1})};
  tcp::Endpoint& leg = pair.leg(Side::upstream);
  shares_[1].sends(pair.sent_in[1]);
  const tcp::ConnectionKey key = key_of(flow, Side::upstream);
  if (!engine_.connect(leg, key, mtu, now_, first_window(pair, Side::upstream, key.local.is_v4()))) {
    of_flow_[flow] = 0;
    release(index);
    return kNoLeg;
  }
  engine_.set_receive_budget(leg, budget_of(pair, Side::upstream));
  pair.attached = true;
  pair.token = token;
  table_.forward(flow).state = control::FlowState::syn_received;
  touch(index);
  return index;
}

void Relay::tell(PairIndex index, LegEvents events) {
  const Pair& pair = pairs_[index];
  if (events.bits == 0 || !pair.attached || application_ == nullptr) return;
  application_->on_leg(index, pair.token, events);
}

/// The leg is gone, or as good as: the application hears of it once.
void Relay::served_lost(PairIndex index) {
  Pair& pair = pairs_[index];
  if (pair.attached) {
    pair.attached = false;
    LegEvents lost;
    lost.add(LegEvents::kLost);
    if (application_ != nullptr) application_->on_leg(index, pair.token, lost);
  }
  if (pair.peer != kNoPair) decouple(index);
  drop_inbox(pair);
  pair.app_timed = pair.blocked = false;
}

void Relay::reset_any(PairIndex index) {
  reset_both(pairs_[index]);
  if (pairs_[index].served()) served_lost(index);
}

tcp::Events Relay::receive_served(PairIndex index, Frame& frame, const wire::PacketInfo& info,
                                  const tcp::SegmentIn& segment) {
  Pair& pair = pairs_[index];
  current_ = {&frame, &info, frame.bytes().data(), tcp::kNoIndex};
  InboxDelivery delivery{*this, pair};
  const tcp::Events events = engine_.receive(pair.leg(pair.served_side()), segment, now_, delivery);
  if (delivery.received) settle_share(pair, pair.served_side());
  if (delivery.received && pair.attached) {
    // Connected comes first: a downstream leg gets its token by it.
    if (events.has(tcp::Events::kConnected)) {
      tcp::Events first;
      first.add(tcp::Events::kConnected);
      after_served(index, first);
    }
    LegEvents received;
    received.add(LegEvents::kReceived);
    tell(index, received);
    tcp::Events rest = events;
    rest.bits = static_cast<std::uint16_t>(rest.bits & ~tcp::Events::kConnected);
    after_served(index, rest);
  } else {
    after_served(index, events);
  }
  if (!pair.attached) drop_inbox(pair);
  hold_current(pair);
  if (current_.lent != tcp::kNoIndex) pools_.release_block(current_.lent);
  current_ = Current{};
  return events;
}

void Relay::after_served(PairIndex index, tcp::Events events) {
  Pair& pair = pairs_[index];
  LegEvents out;
  if (events.has(tcp::Events::kConnected | tcp::Events::kAcked)) pair.last_moved = now_ms_;
  if (events.has(tcp::Events::kConnected)) {
    if (pair.half_open) --half_open_;
    pair.half_open = false;
    if (pair.serving == Serving::downstream) counters_.established.add();
    table_.forward(pair.flow).state = control::FlowState::established;
    out.add(LegEvents::kConnected);
  }
  if (events.has(tcp::Events::kPeerClosed)) out.add(LegEvents::kPeerClosed);
  if (events.has(tcp::Events::kAcked)) {
    if (pair.peer != kNoPair) touch(pair.peer);
    if (std::exchange(pair.blocked, false)) out.add(LegEvents::kWritable);
  }
  tell(index, out);
  constexpr std::uint16_t kBroken = tcp::Events::kReset | tcp::Events::kTimedOut | tcp::Events::kAborted;
  if (events.has(kBroken) || pair.failed) {
    if (events.has(kBroken)) broken(pair, pair.served_side(), events);
    if (pair.failed) reset_both(pair);
    served_lost(index);
  }
  touch(index);
}

void Relay::served_expired(PairIndex index) {
  Pair& pair = pairs_[index];
  LegEvents out;
  if (pair.app_timed && now_ms_.since(pair.app_deadline) >= 0) {
    pair.app_timed = false;
    const bool moves = queued(index) > 0 && now_ms_.since(pair.last_moved) < static_cast<std::int32_t>(kLingerMs);
    if (!pair.attached && moves)
      set_deadline(index, CoarseMs{now_ms_.ms + kLingerMs});
    else if (!pair.attached)
      reset_both(pair);
    out.add(LegEvents::kExpired);
  }
  if (std::exchange(pair.blocked, false)) out.add(LegEvents::kWritable);
  tell(index, out);
  touch(index);
}

/// What left the inbox, and the coupled leg's send queue after that, makes room.
void Relay::settle_served(Pair& pair) {
  tcp::Endpoint& leg = pair.leg(pair.served_side());
  if (!tcp::is_synchronized(leg.state)) return;
  engine_.set_receive_budget(leg, budget_of(pair, pair.served_side()));
  std::uint32_t held = pair.inbox_octets;
  if (pair.peer != kNoPair) held += queued(pair.peer);
  const std::uint32_t unconsumed = leg.receive_window.unconsumed();
  if (unconsumed > held) engine_.consume(leg, unconsumed - held);
  if (std::exchange(pair.resting, false)) engine_.postpone_ack(leg, now_ + kRestAck);
}

void Relay::rest(LegId leg) {
  pairs_[leg].resting = true;
  touch(leg);
}

void Relay::set_deadline(LegId leg, CoarseMs at) {
  Pair& pair = pairs_[leg];
  pair.app_timed = true;
  pair.app_deadline = at;
  touch(leg);
}

void Relay::shut_down(LegId leg) {
  Pair& pair = pairs_[leg];
  engine_.shutdown(pair.leg(pair.served_side()));
  touch(leg);
}

void Relay::finish(LegId leg) {
  Pair& pair = pairs_[leg];
  decouple(leg);
  drop_inbox(pair);
  pair.attached = pair.blocked = false;
  pair.token = kNoToken;
  shut_down(leg);
  set_deadline(leg, CoarseMs{now_ms_.ms + kLingerMs});
}

void Relay::reset(LegId leg) {
  Pair& pair = pairs_[leg];
  decouple(leg);
  drop_inbox(pair);
  pair.attached = pair.blocked = pair.app_timed = false;
  pair.counted_end = true;
  reset_both(pair);
  touch(leg);
}

}  // namespace penstock::relay
