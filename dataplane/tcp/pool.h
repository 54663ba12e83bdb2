// pool.h - all memory of the TCP engine: slabs of fixed size, made before the first segment, named by index.
//
// Model     EntrySlab hands out entries, BlockPool payload blocks, LentTable names for device buffers whose payload is
//           queued in place. Blocks of both kinds are shared by reference count, and one Index names either: those of
//           lent buffers have kLentBit set. One Pools per worker; no locks.
//
//               lend(raw) --> in use --last reference released--> returned --take_returned()--> the owner's again
//
// Units     octets, indices; kNoIndex is "none".
// Memory    is reserved at the start and touched first when used: capacity that was never needed is not resident.
// Errors    an empty pool answers kNoIndex: the caller has a policy and a counter. Releasing twice breaks an invariant.
#pragma once
#include <cstddef>
#include <cstdint>

#include "dataplane/core/be.h"
#include "dataplane/core/frame.h"
#include "dataplane/core/require.h"
#include "dataplane/core/seq_num.h"
#include "dataplane/tcp/lazy_array.h"
#include "dataplane/tcp/stamp.h"

namespace penstock::tcp {

using Index = std::uint32_t;
inline constexpr Index kNoIndex = 0xffffffff;
inline constexpr Index kLentBit = 1u << 31;

/// A piece of one direction's sequence space: queued to be sent, sent, or received out of order.
struct Entry {
  static constexpr std::uint8_t kSyn = 1, kFin = 2, kSacked = 4, kLost = 8, kRetransmitted = 16, kInUse = 128;
  Index next{kNoIndex};
  Index block{kNoIndex};  ///< of either kind; none when there is no payload
  SeqNum seq;
  std::uint16_t offset{};  ///< from the block's start; of a lent buffer from its frame's first octet
  std::uint16_t octets{};
  Stamp first_sent;  ///< of a sacked entry, which needs it no more: see SendQueue::run_end()
  Stamp last_sent;
  std::uint8_t flags{};
  std::uint8_t sends{};  ///< saturates

  [[nodiscard]] bool is(std::uint8_t flag) const { return (flags & flag) != 0; }
  /// Sequence space that it takes.
  [[nodiscard]] std::uint32_t span() const { return octets + (is(kSyn) ? 1u : 0u) + (is(kFin) ? 1u : 0u); }
  [[nodiscard]] SeqNum end() const { return seq + SeqSpan{span()}; }
};
static_assert(sizeof(Entry) == 28);

class EntrySlab {
 public:
  static constexpr std::uint32_t kReserve = 8;
  explicit EntrySlab(std::uint32_t capacity) : entries_{capacity}, capacity_{capacity} {}
  /// The last kReserve entries are for cutting what is queued already: without them a full pool could not shrink its
  /// segments to a smaller path, and so never drain.
  [[nodiscard]] Index acquire() { return has_room(1) ? acquire_reserved() : kNoIndex; }
  [[nodiscard]] Index acquire_reserved() {
    Index index = free_;
    if (index != kNoIndex) {
      free_ = entries_[index].next;
    } else {
      if (touched_ == capacity_) return kNoIndex;
      index = touched_++;
    }
    entries_[index] = Entry{};
    entries_[index].flags = Entry::kInUse;
    ++in_use_;
    return index;
  }
  /// acquire() will succeed `count` times.
  [[nodiscard]] bool has_room(std::uint32_t count) const { return capacity_ - in_use_ >= kReserve + count; }
  void release(Index index) {
    require(entries_[index].is(Entry::kInUse), "entry released twice");
    entries_[index].flags = 0;
    entries_[index].next = free_;
    free_ = index;
    --in_use_;
  }
  [[nodiscard]] Entry& operator[](Index index) { return entries_[index]; }
  [[nodiscard]] const Entry& operator[](Index index) const { return entries_[index]; }
  [[nodiscard]] std::uint32_t in_use() const { return in_use_; }
  [[nodiscard]] std::uint32_t capacity() const { return capacity_; }

 private:
  LazyArray<Entry> entries_;
  std::uint32_t capacity_;
  std::uint32_t touched_{};  ///< entries below have been used before
  std::uint32_t in_use_{};
  Index free_{kNoIndex};
};

class BlockPool {
 public:
  BlockPool(std::uint32_t count, std::uint16_t block_octets)
      : memory_{std::size_t{count} * block_octets}, headers_{count}, capacity_{count}, block_octets_{block_octets} {}
  /// One reference is the caller's.
  [[nodiscard]] Index acquire() {
    Index index = free_;
    if (index != kNoIndex) {
      free_ = headers_[index].next;
    } else {
      if (touched_ == capacity_) return kNoIndex;
      index = touched_++;
    }
    headers_[index] = Header{kNoIndex, 1, 0};
    ++in_use_;
    return index;
  }
  /// acquire() will succeed `count` times.
  [[nodiscard]] bool has_room(std::uint32_t count) const { return capacity_ - in_use_ >= count; }
  void add_reference(Index index) {
    require(headers_[index].references < 0xffff, "too many references on a block");
    ++headers_[index].references;
  }
  void release(Index index) {
    require(headers_[index].references > 0, "block released twice");
    if (--headers_[index].references > 0) return;
    headers_[index].next = free_;
    free_ = index;
    --in_use_;
  }
  [[nodiscard]] ByteSpan bytes(Index index) {
    return {memory_.data() + std::size_t{index} * block_octets_, block_octets_};
  }
  [[nodiscard]] ByteView bytes(Index index) const {
    return {memory_.data() + std::size_t{index} * block_octets_, block_octets_};
  }
  [[nodiscard]] std::uint32_t references(Index index) const { return headers_[index].references; }
  /// Octets written from the front; what lies behind is free for the entry that ends there.
  [[nodiscard]] std::uint16_t filled(Index index) const { return headers_[index].filled; }
  void set_filled(Index index, std::uint16_t octets) { headers_[index].filled = octets; }
  [[nodiscard]] std::uint16_t block_octets() const { return block_octets_; }
  [[nodiscard]] std::uint32_t in_use() const { return in_use_; }
  [[nodiscard]] std::uint32_t capacity() const { return capacity_; }

 private:
  struct Header {
    Index next{kNoIndex};
    std::uint16_t references{};
    std::uint16_t filled{};
  };
  LazyArray<std::byte> memory_;
  LazyArray<Header> headers_;
  std::uint32_t capacity_;
  std::uint32_t touched_{};
  std::uint16_t block_octets_;
  std::uint32_t in_use_{};
  Index free_{kNoIndex};
};

/// A device buffer whose payload is queued in place. The owner lent it; it comes back by take_returned().
struct Lent {
  RawFrame raw;
  std::uint32_t references{};
  Index next{kNoIndex};  ///< in the free or the returned list
  // The sum of one range of the frame, if its owner knew it: a checksum need not read the payload again.
  std::uint16_t sum{};
  std::uint16_t sum_offset{};
  std::uint16_t sum_octets{};  ///< 0: not known
};

/// Indices here are without kLentBit.
class LentTable {
 public:
  explicit LentTable(std::uint32_t capacity) : lent_{capacity}, capacity_{capacity} {}
  [[nodiscard]] Index lend(const RawFrame& raw) {
    Index index = free_;
    if (index != kNoIndex) {
      free_ = lent_[index].next;
    } else {
      if (touched_ == capacity_) return kNoIndex;
      index = touched_++;
    }
    Lent& lent = lent_[index];  // field by field: a value built elsewhere is copied by loads that wait for its stores
    lent.raw = raw;
    lent.references = 1;
    lent.next = kNoIndex;
    lent.sum = lent.sum_offset = lent.sum_octets = 0;
    ++in_use_;
    return index;
  }
  void add_reference(Index index) { ++lent_[index].references; }
  void release(Index index) {
    Lent& lent = lent_[index];
    require(lent.references > 0, "lent buffer released twice");
    if (--lent.references > 0) return;
    lent.next = returned_;
    returned_ = index;
    --in_use_;
  }
  [[nodiscard]] bool take_returned(RawFrame& into) {
    const Index index = returned_;
    if (index == kNoIndex) return false;
    returned_ = lent_[index].next;
    into = lent_[index].raw;
    lent_[index].next = free_;
    free_ = index;
    return true;
  }
  [[nodiscard]] const Lent& operator[](Index index) const { return lent_[index]; }
  void note_sum(Index index, std::uint16_t offset, std::uint16_t octets, std::uint16_t sum) {
    lent_[index].sum = sum;
    lent_[index].sum_offset = offset;
    lent_[index].sum_octets = octets;
  }
  /// Buffers with references; those that wait in the returned list are not among them.
  [[nodiscard]] std::uint32_t in_use() const { return in_use_; }
  [[nodiscard]] std::uint32_t capacity() const { return capacity_; }

 private:
  LazyArray<Lent> lent_;
  std::uint32_t capacity_;
  std::uint32_t touched_{};
  std::uint32_t in_use_{};
  Index free_{kNoIndex};
  Index returned_{kNoIndex};
};

struct Pools {
  EntrySlab entries;
  BlockPool blocks;
  LentTable lent;
  Pools(std::uint32_t entry_count, std::uint32_t block_count, std::uint16_t block_octets = 2048,
        std::uint32_t lent_count = 0)
      : entries{entry_count}, blocks{block_count, block_octets}, lent{lent_count} {
    require(block_count < kLentBit && lent_count < kLentBit - 1, "pools: more blocks than indices");
  }

  /// One reference is the caller's; kNoIndex when the table is full.
  [[nodiscard]] Index lend(const RawFrame& raw) {
    const Index index = lent.lend(raw);
    return index == kNoIndex ? kNoIndex : index | kLentBit;
  }
  [[nodiscard]] static bool is_lent(Index block) { return block != kNoIndex && (block & kLentBit) != 0; }
  /// The owner knows the sum of [offset, offset + octets) of a lent buffer.
  void note_sum(Index block, std::uint16_t offset, std::uint16_t octets, std::uint16_t sum) {
    lent.note_sum(block & ~kLentBit, offset, octets, sum);
  }
  /// True when `into` is the sum of exactly this range of a lent buffer.
  [[nodiscard]] bool known_sum(Index block, std::uint16_t offset, std::size_t octets, std::uint16_t& into) const {
    const Lent& buffer = lent[block & ~kLentBit];
    into = buffer.sum;
    return octets != 0 && buffer.sum_octets == octets && buffer.sum_offset == offset;
  }
  [[nodiscard]] const RawFrame& lent_frame(Index block) const { return lent[block & ~kLentBit].raw; }
  [[nodiscard]] std::uint32_t references(Index block) const {
    return is_lent(block) ? lent[block & ~kLentBit].references : blocks.references(block);
  }
  void add_reference(Index block) {
    if (is_lent(block))
      lent.add_reference(block & ~kLentBit);
    else
      blocks.add_reference(block);
  }
  void release_block(Index block) {
    if (is_lent(block))
      lent.release(block & ~kLentBit);
    else
      blocks.release(block);
  }
  /// Buffers whose last reference is gone, to be given back to the device by the owner.
  [[nodiscard]] bool take_returned(RawFrame& into) { return lent.take_returned(into); }
  [[nodiscard]] std::uint32_t lent_in_use() const { return lent.in_use(); }

  /// Gives back an entry and its reference on a block.
  void release(Index index) {
    if (entries[index].block != kNoIndex) release_block(entries[index].block);
    entries.release(index);
  }
  [[nodiscard]] ByteView bytes_of(Index block, std::uint16_t offset, std::uint16_t octets) const {
    if (is_lent(block)) return {lent_frame(block).data + offset, octets};
    return blocks.bytes(block).subspan(offset, octets);
  }
  [[nodiscard]] ByteView payload_of(const Entry& entry) const {
    if (entry.octets == 0) return {};
    return bytes_of(entry.block, entry.offset, entry.octets);
  }
};

}  // namespace penstock::tcp
