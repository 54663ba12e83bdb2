#include "dataplane/tcp/reassembly.h"

#include <algorithm>
#include <cstring>

namespace penstock::tcp {

void Reassembly::note_fin(SeqNum position) {
  if (fin_known_) return;
  fin_known_ = true;
  fin_position_ = position;
}

bool Reassembly::grow(Pools& pools, Index after, SeqNum seq, ByteView payload) {
  if (after == kNoIndex) return false;
  Entry& entry = pools.entries[after];
  if (entry.end() != seq) return false;
  const std::uint16_t filled = pools.blocks.filled(entry.block);
  if (entry.offset + entry.octets != filled) return false;
  if (payload.size() > static_cast<std::size_t>(pools.blocks.block_octets() - filled)) return false;
  std::memcpy(pools.blocks.bytes(entry.block).data() + filled, payload.data(), payload.size());
  pools.blocks.set_filled(entry.block, static_cast<std::uint16_t>(filled + payload.size()));
  entry.octets = static_cast<std::uint16_t>(entry.octets + payload.size());
  return true;
}

bool Reassembly::add(Pools& pools, Index& after, SeqNum seq, ByteView payload) {
  const Index index = pools.entries.acquire();
  if (index == kNoIndex) return false;
  const Index block = pools.blocks.acquire();
  if (block == kNoIndex) {
    pools.entries.release(index);
    return false;
  }
  std::memcpy(pools.blocks.bytes(block).data(), payload.data(), payload.size());
  pools.blocks.set_filled(block, static_cast<std::uint16_t>(payload.size()));
  Entry& entry = pools.entries[index];
  entry.seq = seq;
  entry.block = block;
  entry.octets = static_cast<std::uint16_t>(payload.size());
  Index& link = after == kNoIndex ? head_ : pools.entries[after].next;
  entry.next = link;
  link = index;
  after = index;
  ++pieces_;
  return true;
}

bool Reassembly::store(Pools& pools, Index& after, SeqNum seq, ByteView payload, std::uint16_t pieces_max) {
  if (grow(pools, after, seq, payload)) return true;
  while (!payload.empty()) {
    const std::size_t octets = std::min<std::size_t>(payload.size(), pools.blocks.block_octets());
    if (pieces_ >= pieces_max || !add(pools, after, seq, payload.first(octets))) return false;
    payload = payload.subspan(octets);
    seq += SeqSpan{static_cast<std::uint32_t>(octets)};
  }
  return true;
}

Stored Reassembly::insert(Pools& pools, SeqNum seq, ByteView payload, std::uint16_t pieces_max) {
  Stored out;
  SeqNum end = seq + SeqSpan{static_cast<std::uint32_t>(payload.size())};
  if (fin_known_ && fin_position_.precedes(end)) end = later_of(seq, fin_position_);
  Index before = kNoIndex;
  Index next = head_;
  SeqNum at = seq;
  while (at.precedes(end)) {
    while (next != kNoIndex && pools.entries[next].end().at_most(at)) {
      before = next;
      next = pools.entries[next].next;
    }
    if (next != kNoIndex && pools.entries[next].seq.at_most(at)) {  // held already
      const SeqNum covered = earlier_of(end, pools.entries[next].end());
      if (!out.duplicate) out.duplicate_of = {at, at};
      if (out.duplicate_of.end == at) out.duplicate_of.end = covered;
      out.duplicate = true;
      at = covered;
      continue;
    }
    const SeqNum limit = next == kNoIndex ? end : earlier_of(end, pools.entries[next].seq);
    const ByteView gap = payload.subspan(at.since(seq).octets, limit.since(at).octets);
    if (!store(pools, before, at, gap, pieces_max)) {
      out.complete = false;
      break;
    }
    at = limit;
  }
  report_around(pools, seq, payload.empty());
  return out;
}

void Reassembly::report_around(const Pools& pools, SeqNum seq, bool fin_only) {
  SackBlock run{seq, seq};
  bool found = false;
  for (Index i = head_; i != kNoIndex; i = pools.entries[i].next) {
    const Entry& entry = pools.entries[i];
    if (i != head_ && entry.seq == run.end) {
      run.end = entry.end();
    } else {
      if (found) break;
      run = {entry.seq, entry.end()};
    }
    found = run.start.at_most(seq) && (seq.precedes(run.end) || (fin_only && seq == run.end));
    if (seq.precedes(run.start)) break;
  }
  if (!found && fin_only) run = {seq, seq};
  if (!found && !fin_only) return;
  if (fin_known_ && run.end == fin_position_) run.end += SeqSpan{1};
  if (run.start != run.end) report(run);
  refill(pools);
}

void Reassembly::report(SackBlock range) {
  std::array<SackBlock, kSackBlocksMax> kept{range};
  std::uint8_t count = 1;
  for (std::uint8_t i = 0; i < range_count_ && count < kSackBlocksMax; ++i) {
    const bool apart = ranges_[i].end.precedes(range.start) || range.end.precedes(ranges_[i].start);
    if (apart) kept[count++] = ranges_[i];
  }
  if (range_count_ == kSackBlocksMax && count == kSackBlocksMax) untold_ = true;
  ranges_ = kept;
  range_count_ = count;
}

bool Reassembly::tell(SackBlock run) {
  for (std::uint8_t i = 0; i < range_count_; ++i)
    if (ranges_[i].start.at_most(run.start) && run.start.precedes(ranges_[i].end)) return true;
  if (range_count_ == kSackBlocksMax) return false;
  ranges_[range_count_++] = run;
  return true;
}

void Reassembly::refill(const Pools& pools) {
  if (!untold_ || range_count_ == kSackBlocksMax) return;
  bool all = true;
  bool fin_told = !fin_known_;
  for (Index i = head_; i != kNoIndex && all;) {
    SackBlock run{pools.entries[i].seq, pools.entries[i].seq};
    for (; i != kNoIndex && pools.entries[i].seq == run.end; i = pools.entries[i].next)
      run.end = pools.entries[i].end();
    if (fin_known_ && run.end == fin_position_) {
      run.end += SeqSpan{1};
      fin_told = true;
    }
    all = tell(run);
  }
  if (all && !fin_told) all = tell({fin_position_, fin_position_ + SeqSpan{1}});
  untold_ = !all;
}

void Reassembly::advanced_to(const Pools& pools, SeqNum rcv_nxt) {
  std::uint8_t count = 0;
  for (std::uint8_t i = 0; i < range_count_; ++i)
    if (rcv_nxt.precedes(ranges_[i].start)) ranges_[count++] = ranges_[i];
  range_count_ = count;
  refill(pools);
}

SackBlock Reassembly::held_within(const Pools& pools, SeqNum from, SeqNum to) const {
  SackBlock out{from, from};
  for (Index i = head_; i != kNoIndex && pools.entries[i].seq.precedes(to); i = pools.entries[i].next) {
    const Entry& piece = pools.entries[i];
    if (piece.end().at_most(from)) continue;
    if (out.start == out.end) out.start = out.end = later_of(piece.seq, from);
    if (piece.seq.at_most(out.end))
      out.end = earlier_of(piece.end(), to);
    else
      break;
  }
  return out;
}

bool Reassembly::front(const Pools& pools, SeqNum rcv_nxt, Piece& into) const {
  if (head_ == kNoIndex) return false;
  const Entry& entry = pools.entries[head_];
  if (rcv_nxt.precedes(entry.seq)) return false;
  const std::size_t before = std::min<std::size_t>(rcv_nxt.since(entry.seq).octets, entry.octets);
  into = {pools.payload_of(entry).subspan(before), entry.block, static_cast<std::uint16_t>(entry.offset + before)};
  return true;
}

void Reassembly::pop(Pools& pools) {
  const Index index = head_;
  head_ = pools.entries[index].next;
  pools.release(index);
  --pieces_;
}

void Reassembly::release_all(Pools& pools) {
  while (head_ != kNoIndex) pop(pools);
  *this = Reassembly{};
}

std::string_view Reassembly::audit(const Pools& pools, SeqNum rcv_nxt) const {
  SeqNum at = rcv_nxt;
  std::uint16_t count = 0;
  for (Index i = head_; i != kNoIndex; i = pools.entries[i].next) {
    const Entry& entry = pools.entries[i];
    if (entry.seq.precedes(at)) return "pieces overlap or lie before rcv_nxt";
    if (count == 0 && entry.seq == rcv_nxt) return "the first piece is in order and was not delivered";
    if (entry.octets == 0) return "empty piece";
    at = entry.end();
    ++count;
  }
  return count == pieces_ ? std::string_view{} : std::string_view{"piece count is wrong"};
}

}  // namespace penstock::tcp
