#include "dataplane/tcp/send_queue.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace penstock::tcp {

bool SendQueue::open(Pools& pools, SeqNum first) {
  reserved_ = pools.entries.acquire();
  una_ = nxt_ = end_ = first;
  return reserved_ != kNoIndex;
}

void SendQueue::release_all(Pools& pools) {
  for (Index i = head_; i != kNoIndex;) {
    const Index next = pools.entries[i].next;
    pools.release(i);
    i = next;
  }
  if (reserved_ != kNoIndex) pools.entries.release(reserved_);
  const SeqNum nxt = nxt_;
  *this = SendQueue{};
  una_ = nxt_ = end_ = nxt;
}

void SendQueue::link_tail(Pools& pools, Index index) {
  if (tail_ != kNoIndex)
    pools.entries[tail_].next = index;
  else
    head_ = index;
  tail_ = index;
  if (unsent_ == kNoIndex) unsent_ = index;
  ++entries_;
}

std::size_t SendQueue::grow_tail(Pools& pools, ByteView bytes, std::uint32_t payload_max) {
  Entry& tail = pools.entries[tail_];
  const auto block_octets = pools.blocks.block_octets();
  if (pools.blocks.filled(tail.block) ==
      block_octets) {  // a runt at a block's end: a segment it can fill begins a block
    const Index block = pools.blocks.acquire();
    if (block == kNoIndex) return 0;
    std::memcpy(pools.blocks.bytes(block).data(), pools.payload_of(tail).data(), tail.octets);
    pools.blocks.set_filled(block, tail.octets);
    pools.release_block(tail.block);
    tail.block = block;
    tail.offset = 0;
  }
  const std::uint16_t filled = pools.blocks.filled(tail.block);
  const auto taken = static_cast<std::uint16_t>(std::min<std::size_t>(
      {bytes.size(), static_cast<std::size_t>(block_octets - filled), payload_max - std::size_t{tail.octets}}));
  std::memcpy(pools.blocks.bytes(tail.block).data() + filled, bytes.data(), taken);
  pools.blocks.set_filled(tail.block, static_cast<std::uint16_t>(filled + taken));
  tail.octets = static_cast<std::uint16_t>(tail.octets + taken);
  end_ += SeqSpan{taken};
  return taken;
}

std::size_t SendQueue::append_piece(Pools& pools, ByteView bytes, std::uint32_t payload_max) {
  const std::uint16_t block_octets = pools.blocks.block_octets();
  payload_max = std::min<std::uint32_t>(payload_max, block_octets);
  Index block = kNoIndex;
  std::uint16_t filled = 0;
  if (tail_ != kNoIndex && pools.entries[tail_].block != kNoIndex && !Pools::is_lent(pools.entries[tail_].block)) {
    const Entry& tail = pools.entries[tail_];
    filled = pools.blocks.filled(tail.block);
    const bool ends_block = tail.offset + tail.octets == filled;
    if (ends_block && unsent_ != kNoIndex && tail.octets < payload_max) return grow_tail(pools, bytes, payload_max);
    const std::size_t room = static_cast<std::size_t>(block_octets - filled);
    // What cannot become a full segment there shares the block only where it is likely to leave as it is.
    if (ends_block && room >= (unsent_ == kNoIndex ? std::min<std::size_t>(bytes.size(), payload_max) : payload_max))
      block = tail.block;
  }
  const Index index = pools.entries.acquire();
  if (index == kNoIndex) return 0;
  if (block != kNoIndex) {
    pools.blocks.add_reference(block);
  } else {
    block = pools.blocks.acquire();
    filled = 0;
    if (block == kNoIndex) {
      pools.entries.release(index);
      return 0;
    }
  }
  const auto taken = static_cast<std::uint16_t>(std::min<std::size_t>(bytes.size(), payload_max));
  std::memcpy(pools.blocks.bytes(block).data() + filled, bytes.data(), taken);
  pools.blocks.set_filled(block, static_cast<std::uint16_t>(filled + taken));
  Entry& entry = pools.entries[index];
  entry.block = block;
  entry.seq = end_;
  entry.offset = filled;
  entry.octets = taken;
  link_tail(pools, index);
  end_ += SeqSpan{taken};
  return taken;
}

void SendQueue::append_entry(Pools& pools, Index block, std::uint16_t offset, std::uint16_t octets) {
  const Index index = pools.entries.acquire();
  require(index != kNoIndex, "room for entries was promised");
  pools.add_reference(block);
  Entry& entry = pools.entries[index];
  entry.block = block;
  entry.seq = end_;
  entry.offset = offset;
  entry.octets = octets;
  link_tail(pools, index);
  end_ += SeqSpan{octets};
}

bool SendQueue::append_block(Pools& pools, Index block, std::uint16_t offset, std::uint16_t octets,
                             std::uint32_t payload_max, std::uint32_t budget, std::uint16_t entries_max) {
  if (octets == 0) return true;
  if (end_.since(una_).octets + octets > budget) return false;
  std::uint16_t joined = 0;
  if (unsent_ != kNoIndex) {  // the tail waits still: what continues it in the same block joins it
    const Entry& tail = pools.entries[tail_];
    if (tail.block == block && tail.offset + tail.octets == offset && tail.octets < payload_max)
      joined = static_cast<std::uint16_t>(std::min<std::uint32_t>(octets, payload_max - tail.octets));
  }
  const std::uint32_t pieces = (octets - joined + payload_max - 1) / payload_max;
  if (entries_ + pieces > entries_max || !pools.entries.has_room(pieces)) return false;
  if (joined > 0) {
    pools.entries[tail_].octets = static_cast<std::uint16_t>(pools.entries[tail_].octets + joined);
    end_ += SeqSpan{joined};
  }
  for (std::uint32_t at = joined; at < octets;) {
    const auto piece = static_cast<std::uint16_t>(std::min<std::uint32_t>(octets - at, payload_max));
    append_entry(pools, block, static_cast<std::uint16_t>(offset + at), piece);
    at += piece;
  }
  return true;
}

std::uint32_t SendQueue::copy_out_lent(Pools& pools, std::uint32_t octets_max) {
  const std::uint16_t block_octets = pools.blocks.block_octets();
  std::uint32_t copied = 0;
  Index block = kNoIndex;  // the copy in the making; every entry that lies in it holds a reference
  for (Index i = head_; i != kNoIndex && copied < octets_max; i = pools.entries[i].next) {
    Entry& entry = pools.entries[i];
    if (!Pools::is_lent(entry.block) || entry.octets > block_octets) continue;
    std::uint16_t filled = block == kNoIndex ? block_octets : pools.blocks.filled(block);
    if (entry.octets > block_octets - filled) {
      block = pools.blocks.acquire();
      if (block == kNoIndex) break;
      filled = 0;
    } else {
      pools.blocks.add_reference(block);
    }
    std::memcpy(pools.blocks.bytes(block).data() + filled, pools.payload_of(entry).data(), entry.octets);
    pools.blocks.set_filled(block, static_cast<std::uint16_t>(filled + entry.octets));
    pools.release_block(entry.block);
    entry.block = block;
    entry.offset = filled;
    copied += entry.octets;
  }
  return copied;
}

std::size_t SendQueue::append(Pools& pools, ByteView bytes, std::uint32_t payload_max, std::uint32_t budget,
                              std::uint16_t entries_max) {
  const std::uint32_t queued = end_.since(una_).octets;
  bytes = bytes.first(std::min<std::size_t>(bytes.size(), queued < budget ? budget - queued : 0));
  std::size_t taken = 0;
  while (taken < bytes.size() && entries_ < entries_max) {
    const std::size_t piece = append_piece(pools, bytes.subspan(taken), payload_max);
    if (piece == 0) break;
    taken += piece;
  }
  return taken;
}

bool SendQueue::append_syn(Pools& pools) {
  const Index index = pools.entries.acquire();
  if (index == kNoIndex) return false;
  pools.entries[index].seq = end_;
  pools.entries[index].flags |= Entry::kSyn;
  link_tail(pools, index);
  end_ += SeqSpan{1};
  return true;
}

void SendQueue::append_fin(Pools& pools) {
  if (unsent_ != kNoIndex && !pools.entries[tail_].is(Entry::kSyn)) {
    pools.entries[tail_].flags |= Entry::kFin;
  } else {
    require(reserved_ != kNoIndex, "FIN queued twice");
    Entry& entry = pools.entries[reserved_];
    entry.seq = end_;
    entry.flags |= Entry::kFin;
    link_tail(pools, std::exchange(reserved_, kNoIndex));
  }
  end_ += SeqSpan{1};
}

void SendQueue::drop_marks(Entry& entry) {
  const std::uint32_t span = entry.span();
  if (entry.is(Entry::kSacked)) sacked_ -= span;
  if (entry.is(Entry::kLost)) lost_ -= span;
  if (entry.is(Entry::kRetransmitted)) retransmitted_ -= span;
  if (entry.is(Entry::kLost) && !entry.is(Entry::kRetransmitted)) unrepaired_ -= span;
  entry.flags &= static_cast<std::uint8_t>(~(Entry::kSacked | Entry::kLost | Entry::kRetransmitted));
}

void SendQueue::note_delivery(const Entry& entry, Delivered& into) const {
  into.highest_end = into.octets > 0 ? later_of(into.highest_end, entry.end()) : entry.end();
  into.octets += entry.span();
  into.largest_octets = std::max(into.largest_octets, entry.octets);
  if (entry.sends == 1) {
    into.lowest_first_send = into.has_first_send ? earlier_of(into.lowest_first_send, entry.end()) : entry.end();
    into.has_first_send = true;
  }
  const std::int32_t newer = entry.last_sent.since(into.newest_sent);
  if (!into.newest_valid || newer > 0 || (newer == 0 && into.newest_end.precedes(entry.end()))) {
    into.newest_valid = true;
    into.newest_sent = entry.last_sent;
    into.newest_end = entry.end();
    into.newest_retransmitted = entry.sends > 1;
  }
}

void SendQueue::trim_head(Pools& pools, SeqNum ack, Delivered& into) {
  Entry& head = pools.entries[head_];
  const auto cut = static_cast<std::uint16_t>(ack.since(head.seq).octets);
  const std::uint8_t marks = head.flags & (Entry::kSacked | Entry::kLost | Entry::kRetransmitted);
  if (!head.is(Entry::kSacked)) into.octets += cut;
  drop_marks(head);
  head.seq = ack;
  head.offset = static_cast<std::uint16_t>(head.offset + cut);
  head.octets = static_cast<std::uint16_t>(head.octets - cut);
  if (head.octets == 0 && head.block != kNoIndex) {  // only its FIN waits still
    pools.release_block(head.block);
    head.block = kNoIndex;
  }
  const std::uint32_t span = head.span();
  head.flags |= marks;
  if (head.is(Entry::kSacked)) sacked_ += span;
  if (head.is(Entry::kLost)) lost_ += span;
  if (head.is(Entry::kRetransmitted)) retransmitted_ += span;
  if (head.is(Entry::kLost) && !head.is(Entry::kRetransmitted)) unrepaired_ += span;
}

void SendQueue::acknowledge(Pools& pools, SeqNum ack, Delivered& into) {
  into.acked_octets += ack.since(una_).octets;
  bool first = true;
  while (head_ != unsent_ && head_ != kNoIndex) {
    Entry& entry = pools.entries[head_];
    if (!entry.end().at_most(ack)) break;
    const bool was_sacked = entry.is(Entry::kSacked);
    if (!was_sacked) note_delivery(entry, into);
    if (entry.sends > 1) into.any_retransmitted = true;
    if (!was_sacked && entry.sends == 1 && first) {
      into.sample_sent = entry.first_sent;
      into.has_sample = true;
      first = false;
    }
    if (entry.is(Entry::kFin)) into.fin_acked = true;
    drop_marks(entry);
    const Index next = entry.next;
    if (repair_from_ == head_) repair_from_ = next;
    if (last_sent_ == head_) last_sent_ = kNoIndex;
    pools.release(head_);
    --entries_;
    head_ = next;
    if (head_ == kNoIndex) tail_ = kNoIndex;
  }
  if (into.any_retransmitted) into.has_sample = false;
  if (head_ != unsent_ && head_ != kNoIndex && pools.entries[head_].seq.precedes(ack)) trim_head(pools, ack, into);
  una_ = ack;
}

std::uint32_t SendQueue::mark_sacked(Pools& pools, SackBlock block, Delivered& into) {
  std::uint32_t marked = 0;
  for (Index i = head_; i != unsent_; i = past_run(pools, i)) {
    Entry& entry = pools.entries[i];
    if (!entry.seq.precedes(block.end)) break;
    if (entry.is(Entry::kSacked) || entry.seq.precedes(block.start) || !entry.end().at_most(block.end)) continue;
    note_delivery(entry, into);
    drop_marks(entry);
    entry.flags |= Entry::kSacked;
    entry.first_sent.us = i;
    sacked_ += entry.span();
    marked += entry.span();
  }
  return marked;
}

Index SendQueue::run_end(Pools& pools, Index index) {
  // first_sent names a later entry of the same run, at last itself; every look shortens the way for the next.
  Index end = pools.entries[index].first_sent.us;
  for (;;) {
    const Index next = pools.entries[end].next;
    if (next == unsent_ || next == kNoIndex || !pools.entries[next].is(Entry::kSacked)) break;
    end = pools.entries[next].first_sent.us;
  }
  pools.entries[index].first_sent.us = end;
  return end;
}

Index SendQueue::past_run(Pools& pools, Index index) {
  if (pools.entries[index].is(Entry::kSacked)) index = run_end(pools, index);
  return pools.entries[index].next;
}

void SendQueue::look_again_from(const Pools& pools, Index index) {
  if (unrepaired_ == 0 || pools.entries[index].seq.precedes(pools.entries[repair_from_].seq)) repair_from_ = index;
}

void SendQueue::mark_lost(Pools& pools, Index index) {
  Entry& entry = pools.entries[index];
  if (entry.is(Entry::kSacked) || entry.is(Entry::kLost)) return;
  entry.flags |= Entry::kLost;
  ++loss_marks_;
  lost_ += entry.span();
  if (entry.is(Entry::kRetransmitted)) return;
  look_again_from(pools, index);
  unrepaired_ += entry.span();
}

void SendQueue::mark_all_lost(Pools& pools) {
  for (Index i = head_; i != unsent_; i = pools.entries[i].next) {
    Entry& entry = pools.entries[i];
    if (entry.is(Entry::kSacked)) continue;
    drop_marks(entry);
    mark_lost(pools, i);
  }
}

void SendQueue::clear_sacked(Pools& pools) {
  for (Index i = head_; i != unsent_; i = pools.entries[i].next) {
    Entry& entry = pools.entries[i];
    if (!entry.is(Entry::kSacked)) continue;
    drop_marks(entry);
    entry.first_sent = entry.last_sent;  // which is what it was, if it was sent once
  }
}

void SendQueue::forget_retransmission(Pools& pools, Index index) {
  Entry& entry = pools.entries[index];
  if (!entry.is(Entry::kRetransmitted)) return;
  entry.flags &= static_cast<std::uint8_t>(~Entry::kRetransmitted);
  retransmitted_ -= entry.span();
  if (!entry.is(Entry::kLost)) return;
  look_again_from(pools, index);
  unrepaired_ += entry.span();
  ++loss_marks_;
}

Index SendQueue::first_unrepaired(const Pools& pools) {
  if (unrepaired_ == 0) return kNoIndex;
  for (Index i = repair_from_; i != unsent_; i = pools.entries[i].next) {
    if (!pools.entries[i].is(Entry::kLost) || pools.entries[i].is(Entry::kRetransmitted)) continue;
    repair_from_ = i;
    return i;
  }
  return kNoIndex;
}

bool SendQueue::split(Pools& pools, Index index, std::uint16_t octets) {
  const Index rest = pools.entries.acquire_reserved();
  if (rest == kNoIndex) return false;
  Entry& front = pools.entries[index];
  Entry& back = pools.entries[rest];
  back = front;
  back.seq = front.seq + SeqSpan{octets};
  back.offset = static_cast<std::uint16_t>(front.offset + octets);
  back.octets = static_cast<std::uint16_t>(front.octets - octets);
  if (back.octets == 0)
    back.block = kNoIndex;
  else
    pools.add_reference(front.block);
  front.octets = octets;
  front.flags &= static_cast<std::uint8_t>(~Entry::kFin);
  front.next = rest;
  if (tail_ == index) tail_ = rest;
  if (last_sent_ == index) last_sent_ = rest;
  ++entries_;
  return true;
}

void SendQueue::sent(Pools& pools, Index index, Stamp now) {
  Entry& entry = pools.entries[index];
  entry.last_sent = now;
  if (entry.sends < 255) ++entry.sends;
  if (index == unsent_) {
    entry.first_sent = now;
    nxt_ = entry.end();
    last_sent_ = index;
    unsent_ = entry.next;
    return;
  }
  if (entry.is(Entry::kRetransmitted)) return;
  entry.flags |= Entry::kRetransmitted;
  retransmitted_ += entry.span();
  if (entry.is(Entry::kLost)) unrepaired_ -= entry.span();
}

Index SendQueue::first_doubtful(Pools& pools) {
  std::uint32_t above = sacked_;
  for (Index i = head_; above > 0;) {
    const Entry& entry = pools.entries[i];
    if (!entry.is(Entry::kSacked | Entry::kLost | Entry::kRetransmitted)) return i;
    const Index next = past_run(pools, i);
    if (entry.is(Entry::kSacked)) above -= (next == unsent_ ? nxt_ : pools.entries[next].seq).since(entry.seq).octets;
    i = next;
  }
  return kNoIndex;
}

Index SendQueue::last_unsacked(Pools& pools) {
  Index last = kNoIndex;
  for (Index i = head_; i != unsent_; i = past_run(pools, i))
    if (!pools.entries[i].is(Entry::kSacked)) last = i;
  return last;
}

std::string_view SendQueue::audit_hints(const Pools& pools) const {
  Index last = kNoIndex;
  bool unrepaired_before = false, hint_met = false;
  for (Index i = head_; i != unsent_; i = pools.entries[i].next) {
    const Entry& entry = pools.entries[i];
    if (i == repair_from_) {
      if (unrepaired_before) return "something lost lies before the repair hint";
      hint_met = true;
    }
    unrepaired_before |= entry.is(Entry::kLost) && !entry.is(Entry::kRetransmitted);
    last = i;
    if (!entry.is(Entry::kSacked)) continue;
    const Index target = entry.first_sent.us;
    Index at = i;
    while (at != target && at != unsent_ && pools.entries[at].is(Entry::kSacked)) at = pools.entries[at].next;
    if (at == unsent_ || !pools.entries[at].is(Entry::kSacked)) return "a run's end is not in the run";
  }
  if (unrepaired_ > 0 && !hint_met) return "the repair hint is not in flight";
  return last == last_sent_ ? std::string_view{} : std::string_view{"last_sent is not the last that was sent"};
}

std::string_view SendQueue::audit(const Pools& pools) const {
  std::uint32_t sacked = 0, lost = 0, retransmitted = 0, unrepaired = 0;
  std::uint16_t count = 0;
  SeqNum at = una_;
  bool unsent = false;
  Index last = kNoIndex;
  for (Index i = head_; i != kNoIndex; i = pools.entries[i].next) {
    const Entry& entry = pools.entries[i];
    if (i == unsent_) {
      unsent = true;
      if (at != nxt_) return "nxt is not where the unsent part begins";
    }
    if (entry.seq != at) return "entries are not contiguous";
    if (entry.span() == 0) return "empty entry";
    if (unsent && entry.is(Entry::kSacked | Entry::kLost | Entry::kRetransmitted)) return "unsent entry has marks";
    if (entry.is(Entry::kSacked) && entry.is(Entry::kLost | Entry::kRetransmitted)) return "sacked entry is also lost";
    if (entry.is(Entry::kSacked)) sacked += entry.span();
    if (entry.is(Entry::kLost)) lost += entry.span();
    if (entry.is(Entry::kRetransmitted)) retransmitted += entry.span();
    if (entry.is(Entry::kLost) && !entry.is(Entry::kRetransmitted)) unrepaired += entry.span();
    at = entry.end();
    last = i;
    ++count;
  }
  if (at != end_ || last != tail_) return "end is not where the list ends";
  if (!unsent && nxt_ != end_) return "nxt is not end although nothing is unsent";
  if (count != entries_) return "entry count is wrong";
  if (sacked != sacked_) return "sacked sum is wrong";
  if (lost != lost_) return "lost sum is wrong";
  if (retransmitted != retransmitted_) return "retransmitted sum is wrong";
  if (unrepaired != unrepaired_) return "unrepaired sum is wrong";
  return audit_hints(pools);
}

}  // namespace penstock::tcp
